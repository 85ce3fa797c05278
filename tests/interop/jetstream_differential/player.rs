//! Plays a script on one server and writes down what it says.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use harness::{Broker, Frame, Raw};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::mask;
use crate::script::{Script, Step};

/// CONNECT of a client that wants everything and no +OK; then the subscription of all answers.
const HELLO: &[u8] =
    b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\nSUB in.> in\r\n";

/// Longest wait for an answer that should come. Only a difference has to wait that long.
const ANSWER: Duration = Duration::from_secs(10);

/// One server's side of a script, step by step.
pub(crate) type Transcript = Vec<Vec<Value>>;

/// Plays on a new connection; times in the script count from `start`.
pub(crate) async fn play(broker: &Broker, script: &Script, start: OffsetDateTime) -> Transcript {
    let mut raw = Raw::connect(broker.nats).await;
    raw.send(HELLO).await;
    let mut player = Player {
        raw,
        start,
        requests: 0,
        delivered: Vec::new(),
        waiting: VecDeque::new(),
    };
    let mut transcript = Vec::new();
    for step in &script.steps {
        let seen = player.step(step).await;
        let mut seen: Vec<Value> = seen.iter().map(mask::frame).collect();
        // An answer and what else the request sets free come from different places.
        let is_mixed = match step.verb.as_str() {
            "to" | "ack*" => true,
            "api*" => !step.target.starts_with("DIRECT."),
            _ => false,
        };
        if is_mixed {
            seen.sort_by_key(Value::to_string);
        }
        transcript.push(seen);
    }
    let rest = player.fence().await;
    transcript.push(rest.iter().map(mask::frame).collect());
    transcript
}

struct Player {
    raw: Raw,
    start: OffsetDateTime,
    requests: usize,
    /// Reply subjects of the messages that consumers delivered, in order.
    delivered: Vec<String>,
    /// Frames that nobody waited for yet, with their subscription or the reply subject that they came to.
    waiting: VecDeque<(String, Frame)>,
}

impl Player {
    async fn step(&mut self, step: &Step) -> Vec<Frame> {
        let target = self.fill_in(&step.target);
        let headers = self.fill_in(&step.headers);
        let payload = self.fill_in(&step.payload);
        match step.verb.as_str() {
            "api" | "api*" => {
                let subject = format!("$JS.API.{target}");
                self.request(&subject, &headers, &payload, step.count).await
            }
            "until" => {
                self.until(&target, &payload).await;
                Vec::new()
            }
            "silent" => {
                let subject = format!("$JS.API.{target}");
                self.request(&subject, &headers, &payload, 0).await;
                self.fence().await
            }
            "pub" | "to" => self.request(&target, &headers, &payload, step.count).await,
            "send" => {
                self.publish(&target, None, &headers, &payload).await;
                self.fence().await
            }
            "repeat" => {
                for n in 0..step.count {
                    let payload = payload.replace("{n}", &n.to_string());
                    self.request(&target, &headers, &payload, 1).await;
                }
                Vec::new()
            }
            "next" => {
                let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{target}");
                self.request(&subject, &headers, &payload, step.count).await
            }
            "ack" => {
                let subject = self.ack_subject(&target);
                self.publish(&subject, None, "", &payload).await;
                Vec::new()
            }
            "ack!" | "ack*" => {
                let subject = self.ack_subject(&target);
                self.request(&subject, "", &payload, step.count).await
            }
            "sub" => {
                self.raw
                    .send(format!("SUB {target} {payload} {target}\r\n").as_bytes())
                    .await;
                Vec::new()
            }
            "unsub" => {
                self.raw
                    .send(format!("UNSUB {target}\r\n").as_bytes())
                    .await;
                Vec::new()
            }
            "more" => {
                self.take(step.count, |from| match target.as_str() {
                    "" => is_answer(from),
                    target => from == target,
                })
                .await
            }
            "reply" => {
                let subject = self.flow_control(&target).await;
                self.publish(&subject, None, "", "").await;
                Vec::new()
            }
            "fence" => self.fence().await,
            verb => panic!("{verb} is no step: {}", step.line),
        }
    }

    async fn request(
        &mut self,
        subject: &str,
        headers: &str,
        payload: &str,
        count: usize,
    ) -> Vec<Frame> {
        self.requests += 1;
        let reply = format!("in.{}", self.requests);
        self.publish(subject, Some(&reply), headers, payload).await;
        // What a pull request of before delivers may come first, and is for a later step.
        let pulls =
            subject.starts_with("$JS.API.CONSUMER.MSG.NEXT.") || payload.starts_with("+NXT");
        if count == 1 && !pulls {
            return self.take(1, |from| from == reply).await;
        }
        self.take(count, is_answer).await
    }

    /// Asks the API until its answer contains the text; a script that waits in vain differs in its next step.
    async fn until(&mut self, target: &str, text: &str) {
        let subject = format!("$JS.API.{target}");
        let start = Instant::now();
        while start.elapsed() < ANSWER {
            let answer = self.request(&subject, "", "", 1).await;
            // How often was asked must not show in the numbers of later replies.
            self.requests -= 1;
            if let [Frame::Message { payload, .. }] = &answer[..]
                && String::from_utf8_lossy(payload).contains(text)
            {
                return;
            }
        }
    }

    async fn publish(&mut self, subject: &str, reply: Option<&str>, headers: &str, payload: &str) {
        let reply = reply.map(|reply| format!(" {reply}")).unwrap_or_default();
        let frame = if headers.is_empty() {
            format!("PUB {subject}{reply} {}\r\n{payload}\r\n", payload.len())
        } else {
            let block = format!("NATS/1.0\r\n{headers}\r\n");
            format!(
                "HPUB {subject}{reply} {} {}\r\n{block}{payload}\r\n",
                block.len(),
                block.len() + payload.len()
            )
        };
        self.raw.send(frame.as_bytes()).await;
    }

    /// The next `count` frames from where it is `wanted`, or as many as come in time.
    async fn take(&mut self, count: usize, wanted: impl Fn(&str) -> bool) -> Vec<Frame> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let found = self.waiting.iter().position(|(from, _)| wanted(from));
            if let Some((_, frame)) = found.and_then(|index| self.waiting.remove(index)) {
                taken.push(frame);
                continue;
            }
            match self.raw.next_within(ANSWER).await {
                Some(Frame::Closed) | None => break,
                Some(frame) => self.sort_in(frame),
            }
        }
        taken
    }

    /// Everything that was not waited for, after an answer of the API and a PONG have come.
    async fn fence(&mut self) -> Vec<Frame> {
        self.publish("$JS.API.INFO", Some("in.fence"), "", "").await;
        let mut answered = false;
        while !answered {
            match self.raw.next_within(ANSWER).await {
                Some(Frame::Closed) | None => break,
                Some(Frame::Message { subject, .. }) if subject == "in.fence" => answered = true,
                Some(frame) => self.sort_in(frame),
            }
        }
        for frame in self.raw.fence().await {
            self.sort_in(frame);
        }
        let mut rest: Vec<_> = std::mem::take(&mut self.waiting).into();
        rest.sort_by(|one, other| one.0.cmp(&other.0));
        rest.into_iter().map(|(_, frame)| frame).collect()
    }

    fn sort_in(&mut self, frame: Frame) {
        let from = match &frame {
            Frame::Message {
                subject,
                sid,
                reply,
                ..
            } => {
                let ack = reply.as_ref().filter(|reply| reply.starts_with("$JS.ACK."));
                self.delivered.extend(ack.cloned());
                let is_to_reply = sid == "in" && subject.starts_with("in.");
                if is_to_reply {
                    subject.clone()
                } else {
                    sid.clone()
                }
            }
            Frame::Line(line) if line == "PONG" => return,
            _ => String::new(),
        };
        self.waiting.push_back((from, frame));
    }

    fn ack_subject(&self, number: &str) -> String {
        let number: usize = number.parse().expect("messages are numbered from 0");
        let missing = "a.message.that.did.not.come".to_owned();
        self.delivered.get(number).cloned().unwrap_or(missing)
    }

    /// Where the last frame of a push subscription wants its flow control answered.
    async fn flow_control(&mut self, sid: &str) -> String {
        let last = self.take(1, |from| from == sid).await.pop();
        let missing = "a.request.that.did.not.come".to_owned();
        let Some(Frame::Message { reply, headers, .. }) = last else {
            return missing;
        };
        let stalled = headers
            .split("\r\n")
            .find_map(|line| line.strip_prefix("Nats-Consumer-Stalled: "));
        reply.or(stalled.map(str::to_owned)).unwrap_or(missing)
    }

    /// Replaces `{x*300}` and `{+2s}`.
    fn fill_in(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let value = after
                .split_once('}')
                .and_then(|(inside, after)| Some((self.value(inside)?, after)));
            match value {
                Some((value, after)) => {
                    filled.push_str(&value);
                    rest = after;
                }
                None => {
                    filled.push('{');
                    rest = after;
                }
            }
        }
        filled.push_str(rest);
        filled
    }

    fn value(&self, inside: &str) -> Option<String> {
        if let Some((unit, times)) = inside.split_once('*') {
            let times = times.parse().ok()?;
            return (unit.len() == 1).then(|| unit.repeat(times));
        }
        let seconds: i64 = match inside.strip_prefix('+') {
            Some(ahead) => ahead.strip_suffix('s')?.parse().ok()?,
            None => -inside
                .strip_prefix('-')?
                .strip_suffix('s')?
                .parse::<i64>()
                .ok()?,
        };
        let moment = self.start + time::Duration::seconds(seconds);
        moment.replace_nanosecond(0).ok()?.format(&Rfc3339).ok()
    }
}

/// Whether something came to a reply subject, or was delivered for one.
fn is_answer(from: &str) -> bool {
    from == "in" || from.starts_with("in.")
}
