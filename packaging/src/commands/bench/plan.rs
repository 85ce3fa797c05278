//! From the command line to a load.

use load::{
    AckPolicy, Api, Credentials, Error, Gets, Meter, Outcome, PubSub, Requests, StreamConsume,
    StreamPublish, StreamSettings, Target, Tls, TlsFiles,
};

use super::flags::{Common, Keeping, KvWork, Publishing, Receiving, StreamWork, Work};
use super::progress::Expected;
use super::units::{count, some};

/// What is going to be done, and where.
#[derive(Debug)]
pub(super) struct Plan {
    target: Target,
    /// Where subscribers go, if that is not the same place.
    listeners: Option<Target>,
    is_json: bool,
    load: Load,
}

#[derive(Debug)]
enum Load {
    PubSub(&'static str, PubSub),
    Requests(Requests),
    Stream(Store, StreamPublish),
    Bucket(Store, StreamPublish),
    Consume(Option<u64>, StreamConsume),
    Gets(Gets),
}

/// Where published messages are kept.
#[derive(Debug)]
struct Store {
    settings: StreamSettings,
    fresh: bool,
    delete: bool,
}

impl Store {
    fn new(name: String, subjects: String, keeping: &Keeping, is_bucket: bool) -> Self {
        Self {
            settings: StreamSettings {
                name,
                subjects,
                in_memory: keeping.memory,
                replicas: keeping.replicas,
                is_bucket,
            },
            fresh: keeping.fresh,
            delete: keeping.delete,
        }
    }

    fn run(
        &self,
        target: &Target,
        publish: &StreamPublish,
        meter: &Meter,
    ) -> Result<Outcome, Error> {
        let mut api = Api::connect(target)?;
        if self.fresh {
            api.delete_stream(&self.settings.name)?;
        }
        api.create_stream(&self.settings)?;
        let outcome = publish.run(target, meter)?;
        if self.delete {
            // The first connection may have been idle for long.
            Api::connect(target)?.delete_stream(&self.settings.name)?;
        }
        Ok(outcome)
    }
}

impl Plan {
    /// Reads the flags.
    pub(super) fn new(work: Work) -> Result<Self, Error> {
        let mut listeners = None;
        let (common, load) = match work {
            Work::Pub(flags) => {
                let work = publishing(&flags.subject, &flags.publishing);
                let work = PubSub {
                    subscribers: 0,
                    ..work
                };
                (flags.common, Load::PubSub("pub", work))
            }
            Work::Sub(flags) => {
                let work = PubSub {
                    publishers: 0,
                    ..PubSub::new(&flags.subject, 0, flags.messages)
                };
                let work = receiving(work, flags.receiving);
                (flags.common, Load::PubSub("sub", work))
            }
            Work::Pubsub(flags) => {
                let work = publishing(&flags.subject, &flags.publishing);
                let work = receiving(work, flags.receiving);
                (flags.common, Load::PubSub("pubsub", work))
            }
            Work::Fanout(flags) => {
                listeners = Some(target(&flags.websocket, &flags.common)?);
                let work = PubSub {
                    subscribers: flags.subscribers,
                    rate: flags.rate,
                    ..PubSub::new(&flags.subject, flags.size, flags.messages)
                };
                (flags.common, Load::PubSub("fanout", work))
            }
            Work::Request(flags) => {
                let work = Requests {
                    subject: flags.subject,
                    payload_bytes: flags.size,
                    requests: flags.messages,
                    clients: flags.clients,
                    responders: flags.responders,
                };
                (flags.common, Load::Requests(work))
            }
            Work::Stream(work) => of_stream(work),
            Work::Kv(work) => of_bucket(work),
        };
        Ok(Self {
            target: target(&common.server, &common)?,
            listeners,
            is_json: common.json,
            load,
        })
    }

    pub(super) fn is_json(&self) -> bool {
        self.is_json
    }

    pub(super) fn server(&self) -> String {
        self.target.to_string()
    }

    pub(super) fn name(&self) -> &'static str {
        match &self.load {
            Load::PubSub(name, _) => name,
            Load::Requests(_) => "request",
            Load::Stream(..) => "stream publish",
            Load::Bucket(..) => "kv put",
            Load::Consume(..) => "stream consume",
            Load::Gets(_) => "kv get",
        }
    }

    /// What the live line counts.
    pub(super) fn expected(&self) -> Expected {
        match &self.load {
            Load::PubSub(_, work) if work.subscribers == 0 => Expected::Sent(work.messages),
            Load::PubSub(_, work) if work.queue.is_some() => Expected::Received(work.messages),
            Load::PubSub(_, work) => Expected::Received(work.messages * work.subscribers as u64),
            Load::Requests(work) => Expected::Received(work.requests),
            Load::Stream(_, work) | Load::Bucket(_, work) => Expected::Received(work.messages),
            Load::Consume(messages, _) => Expected::Received(messages.unwrap_or(0)),
            Load::Gets(work) => Expected::Received(work.gets),
        }
    }

    /// One line that says what is going to happen.
    pub(super) fn describe(&self) -> String {
        let what = match &self.load {
            Load::PubSub(_, work) => describe_pubsub(work),
            Load::Requests(work) => format!(
                "{} requests on {}, {} B, {}",
                count(work.requests),
                work.subject,
                work.payload_bytes,
                some(work.clients, "client")
            ),
            Load::Stream(store, work) | Load::Bucket(store, work) => format!(
                "{} messages to {}, {} B, {}, {} in flight each",
                count(work.messages),
                store.settings.name,
                work.payload_bytes,
                some(work.clients, "client"),
                count(work.in_flight)
            ),
            Load::Consume(messages, work) => format!(
                "{} messages of {}, {}, {} per pull",
                messages.map_or_else(|| "all".to_owned(), count),
                work.stream,
                some(work.clients, "client"),
                count(work.batch)
            ),
            Load::Gets(work) => format!(
                "{} gets of {} keys of {}, {}, {} in flight each",
                count(work.gets),
                count(work.keys as u64),
                work.stream,
                some(work.clients, "client"),
                count(work.in_flight)
            ),
        };
        format!("{} at {}: {what}", self.name(), self.target)
    }

    /// Does it.
    pub(super) fn run(&self, meter: &Meter) -> Result<Outcome, Error> {
        let target = &self.target;
        match &self.load {
            Load::PubSub(_, work) => {
                work.run(target, self.listeners.as_ref().unwrap_or(target), meter)
            }
            Load::Requests(work) => work.run(target, meter),
            Load::Stream(store, work) | Load::Bucket(store, work) => store.run(target, work, meter),
            Load::Consume(messages, work) => {
                let messages = match messages {
                    Some(messages) => *messages,
                    None => Api::connect(target)?.stream_state(&work.stream, "messages")?,
                };
                let work = StreamConsume {
                    messages,
                    ..work.clone()
                };
                work.run(target, meter)
            }
            Load::Gets(work) => work.run(target, meter),
        }
    }
}

fn publishing(subject: &str, flags: &Publishing) -> PubSub {
    PubSub {
        subjects: flags.subjects,
        at_random: flags.random,
        publishers: flags.publishers,
        rate: flags.rate,
        ..PubSub::new(subject, flags.size, flags.messages)
    }
}

fn receiving(work: PubSub, flags: Receiving) -> PubSub {
    PubSub {
        subscribers: flags.subscribers,
        queue: flags.queue,
        ..work
    }
}

fn of_stream(work: StreamWork) -> (Common, Load) {
    match work {
        StreamWork::Publish(flags) => {
            let prefix = format!("{}.", flags.stream);
            let store = Store::new(flags.stream, format!("{prefix}>"), &flags.keeping, false);
            let work = StreamPublish {
                prefix,
                subjects: flags.subjects,
                payload_bytes: flags.size,
                messages: flags.messages,
                clients: flags.clients,
                in_flight: flags.in_flight,
            };
            (flags.common, Load::Stream(store, work))
        }
        StreamWork::Consume(flags) => {
            let work = StreamConsume {
                stream: flags.stream,
                consumer: format!("bench-{}", std::process::id()),
                messages: 0,
                batch: flags.batch,
                clients: flags.clients,
                ack_policy: match flags.ack {
                    true => AckPolicy::Explicit,
                    false => AckPolicy::None,
                },
            };
            (flags.common, Load::Consume(flags.messages, work))
        }
    }
}

fn of_bucket(work: KvWork) -> (Common, Load) {
    match work {
        KvWork::Put(flags) => {
            let subjects = format!("$KV.{}.>", flags.bucket);
            let store = Store::new(bucket(&flags.bucket), subjects, &flags.keeping, true);
            let work = StreamPublish {
                prefix: key_prefix(&flags.bucket),
                subjects: flags.keys,
                payload_bytes: flags.size,
                messages: flags.messages,
                clients: flags.clients,
                in_flight: flags.in_flight,
            };
            (flags.common, Load::Bucket(store, work))
        }
        KvWork::Get(flags) => {
            let work = Gets {
                stream: bucket(&flags.bucket),
                prefix: key_prefix(&flags.bucket),
                keys: flags.keys,
                gets: flags.messages,
                clients: flags.clients,
                in_flight: flags.in_flight,
            };
            (flags.common, Load::Gets(work))
        }
    }
}

/// The stream behind a bucket (ADR-8).
fn bucket(name: &str) -> String {
    format!("KV_{name}")
}

fn key_prefix(bucket: &str) -> String {
    format!("$KV.{bucket}.key")
}

/// Where to go and who to be. Flags win over what the URL says.
fn target(url: &str, common: &Common) -> Result<Target, Error> {
    let identity = common.tlscert.clone().zip(common.tlskey.clone());
    let wants_tls = common.tlsca.is_some() || identity.is_some() || common.tlsfirst;
    let is_tls = url.starts_with("tls://") || url.starts_with("wss://");
    let tls = (wants_tls || is_tls).then(|| {
        let files = TlsFiles {
            ca: common.tlsca.clone(),
            identity,
        };
        Tls::open(&files, common.tlsfirst)
    });
    let mut target = Target::parse(url, tls.transpose()?.as_ref())?;
    if let Some(token) = &common.token {
        target.credentials = Credentials::Token(token.clone());
    } else if let Some(name) = &common.user {
        target.credentials = Credentials::User {
            name: name.clone(),
            password: common.password.clone().unwrap_or_default(),
        };
    }
    Ok(target)
}

fn describe_pubsub(work: &PubSub) -> String {
    let mut parts = vec![format!("{} messages", count(work.messages))];
    parts.push(match work.subjects {
        1 => format!("subject {}", work.subject),
        subjects => format!("{} subjects {}.*.*", count(subjects as u64), work.subject),
    });
    if work.publishers > 0 {
        parts.push(format!("{} B", work.payload_bytes));
        parts.push(some(work.publishers, "publisher"));
    }
    if work.subscribers > 0 {
        parts.push(some(work.subscribers, "subscriber"));
    }
    if let Some(queue) = &work.queue {
        parts.push(format!("queue group {queue}"));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn plan(line: &str) -> Result<Plan, Error> {
        let words = ["natterjack", "bench"].into_iter().chain(line.split(' '));
        match Cli::try_parse_from(words).unwrap().command {
            Some(Command::Bench(flags)) => Plan::new(flags.work),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(plan(line).unwrap().describe(), expected);
    }

    #[test]
    fn plans_say_what_happens() {
        check(
            "pubsub chat -n 4 --size 16 --queue q -s nats://u:secret@h",
            "pubsub at nats://h:4222: 1,000,000 messages, subject chat, 16 B, 1 publisher, 4 subscribers, queue group q",
        );
        check(
            "pub --subjects 10000 --random --token secret -s h:1",
            "pub at nats://h:1: 1,000,000 messages, 10,000 subjects bench.*.*, 128 B, 1 publisher",
        );
        check(
            "kv put --keys 5 -i 100 -s h:1",
            "kv put at nats://h:1: 100,000 messages to KV_bench, 128 B, 1 client, 100 in flight each",
        );
    }

    #[test]
    fn flags_win_over_the_address() {
        let plan = plan("request -s nats://a:b@h --user u --password p").unwrap();
        let expected = Credentials::User {
            name: "u".to_owned(),
            password: "p".to_owned(),
        };
        assert_eq!(plan.target.credentials, expected);
    }

    #[test]
    fn fanout_has_two_places() {
        let plan = plan("fanout -w ws://h:8080/nats -n 50 -m 10").unwrap();
        assert_eq!(plan.listeners.as_ref().unwrap().path, "/nats");
        assert_eq!(plan.expected(), Expected::Received(500));
    }
}
