//! Plays a script on one server and writes down what it says.

use std::collections::{BTreeMap, VecDeque};
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
const ANSWER: Duration = Duration::from_secs(4);

/// One server's side of a script, step by step.
pub(crate) type Transcript = Vec<Vec<Value>>;

/// Plays on a new connection.
pub(crate) async fn play(broker: &Broker, script: &Script) -> Transcript {
    let mut raw = Raw::connect(broker.nats).await;
    raw.send(HELLO).await;
    let mut player = Player {
        raw,
        start: OffsetDateTime::now_utc(),
        requests: 0,
        delivered: Vec::new(),
        waiting: BTreeMap::new(),
    };
    let mut transcript = Vec::new();
    for step in &script.steps {
        let seen = player.step(step).await;
        let mut seen: Vec<Value> = seen.iter().map(mask::frame).collect();
        // An acknowledgement and what it sets free come from different places.
        if matches!(step.verb.as_str(), "to" | "ack*") {
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
    /// Frames that nobody waited for yet, by subscription.
    waiting: BTreeMap<String, VecDeque<Frame>>,
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
                let sid = if target.is_empty() { "in" } else { &target };
                self.take(sid, step.count).await
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
        self.take("in", count).await
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

    /// The next `count` frames of a subscription, or as many as come in time.
    async fn take(&mut self, sid: &str, count: usize) -> Vec<Frame> {
        let mut taken = Vec::new();
        while taken.len() < count {
            if let Some(frame) = self.waiting.entry(sid.to_owned()).or_default().pop_front() {
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
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_values().flatten().collect()
    }

    fn sort_in(&mut self, frame: Frame) {
        let sid = match &frame {
            Frame::Message { sid, reply, .. } => {
                let ack = reply.as_ref().filter(|reply| reply.starts_with("$JS.ACK."));
                self.delivered.extend(ack.cloned());
                sid.clone()
            }
            Frame::Line(line) if line == "PONG" => return,
            _ => String::new(),
        };
        self.waiting.entry(sid).or_default().push_back(frame);
    }

    fn ack_subject(&self, number: &str) -> String {
        let number: usize = number.parse().expect("messages are numbered from 0");
        let missing = "a.message.that.did.not.come".to_owned();
        self.delivered.get(number).cloned().unwrap_or(missing)
    }

    /// Where the last frame of a push subscription wants its flow control answered.
    async fn flow_control(&mut self, sid: &str) -> String {
        let last = self.take(sid, 1).await.pop();
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
