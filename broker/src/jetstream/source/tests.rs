//! Random lives of an origin and its copies: whatever happens, every message arrives once and in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use storage::stream::{Sequence, StoredMessage};

use super::header::STREAM_SOURCE;
use crate::auth::{AllowAll, Identity};
use crate::jetstream::config::{StreamConfig, StreamSource, SubjectTransform};
use crate::jetstream::{PublishOptions, StreamHandle, Streams, StreamsRoot};
use crate::proto::headers::{Headers, raw_value};
use crate::server::{Config, Server};

/// Longest wait for a copy.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
enum Step {
    /// So many messages on one of three subjects.
    Publish(u8, u8),
    PurgeOrigin(Option<u8>),
    /// The copies lose what they hold.
    PurgeCopies,
    /// Everything is closed and opened again.
    Restart,
    /// The copies have caught up before the next step.
    CatchUp,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u8..3, 1_u8..40).prop_map(|(subject, count)| Step::Publish(subject, count)),
        1 => prop::option::of(0_u8..3).prop_map(Step::PurgeOrigin),
        1 => Just(Step::PurgeCopies),
        1 => Just(Step::Restart),
        1 => Just(Step::CatchUp),
    ]
}

/// A server that can be opened again.
struct World {
    directory: tempfile::TempDir,
    server: Server,
    streams: Streams,
    /// What was published, by sequence: subject and payload.
    published: BTreeMap<u64, (String, String)>,
    /// What the copies need not hold: they were purged up to here, in sequences of the origin.
    purged: u64,
}

const COPIES: [&str; 4] = ["MIRROR", "SOME", "SOURCE", "SMALL"];

fn config(name: &str) -> StreamConfig {
    let origin = StreamSource {
        name: "ORIGIN".to_owned(),
        ..StreamSource::default()
    };
    let plain = StreamConfig::with_name(name);
    match name {
        "ORIGIN" => StreamConfig {
            subjects: vec!["o.*".to_owned()],
            ..plain
        },
        "MIRROR" => StreamConfig {
            mirror: Some(origin),
            ..plain
        },
        "SOME" => StreamConfig {
            mirror: Some(StreamSource {
                subject_transforms: vec![SubjectTransform {
                    src: "o.1".to_owned(),
                    dest: "one".to_owned(),
                }],
                ..origin
            }),
            ..plain
        },
        "SMALL" => StreamConfig {
            sources: vec![origin],
            max_msgs: 3,
            ..plain
        },
        _ => StreamConfig {
            sources: vec![origin],
            subjects: vec!["own".to_owned()],
            ..plain
        },
    }
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (server, streams) = open(&directory).await;
        for name in COPIES.into_iter().chain(["ORIGIN"]) {
            streams.create(config(name)).await.expect("made");
        }
        Self {
            directory,
            server,
            streams,
            published: BTreeMap::new(),
            purged: 0,
        }
    }

    fn stream(&self, name: &str) -> StreamHandle {
        self.streams.stream(name).expect("open")
    }

    async fn take(&mut self, step: Step) {
        let origin = self.stream("ORIGIN");
        match step {
            Step::Publish(subject, count) => {
                for _ in 0..count {
                    let subject = format!("o.{subject}");
                    let payload = self.published.len().to_string();
                    let options = PublishOptions::default();
                    let stored = origin
                        .publish(&subject, Headers::new(), payload.clone(), options)
                        .await
                        .expect("stored");
                    self.published.insert(stored.sequence.0, (subject, payload));
                }
            }
            Step::PurgeOrigin(subject) => {
                let filter = subject.map(|subject| format!("o.{subject}"));
                origin.purge(filter.as_deref()).await.expect("purged");
            }
            Step::PurgeCopies => {
                self.catch_up().await;
                self.purged = origin.state().last.0;
                for name in COPIES {
                    self.stream(name).purge(None).await.expect("purged");
                }
            }
            Step::Restart => {
                self.server.shutdown().await;
                (self.server, self.streams) = open(&self.directory).await;
            }
            Step::CatchUp => self.catch_up().await,
        }
    }

    /// Waits until the copies have everything that is in the origin.
    async fn catch_up(&self) {
        let origin = self.stream("ORIGIN");
        let held = all(&origin).await;
        for name in COPIES {
            let copy = self.stream(name);
            let wanted = held
                .iter()
                .rev()
                .find(|message| name != "SOME" || &message.subject[..] == b"o.1");
            let Some(wanted) = wanted.map(|message| message.sequence.0) else {
                continue;
            };
            let has_come = || {
                let is_mirror = copy.config().mirror.is_some();
                let last = match is_mirror {
                    true => copy.state().last.0,
                    false => copy.origins().sources()[0].sequence(),
                };
                last >= wanted
            };
            let waiting = async {
                while !has_come() {
                    tokio::task::yield_now().await;
                }
            };
            let waited = tokio::time::timeout(PATIENCE, waiting).await;
            waited.unwrap_or_else(|_| panic!("{name} comes to {wanted}"));
        }
    }

    /// Every message that a copy should hold is there, as it was published, and no other.
    async fn check(&self) {
        self.catch_up().await;
        let held = all(&self.stream("ORIGIN")).await;
        for name in COPIES {
            let copied = all(&self.stream(name)).await;
            let mut last = 0;
            for message in &copied {
                let (sequence, subject) = match name {
                    "MIRROR" => (message.sequence.0, text(&message.subject)),
                    "SOME" => (message.sequence.0, "o.1".to_owned()),
                    _ => origin_of(message),
                };
                assert!(sequence > last, "{name}: {sequence} after {last}");
                last = sequence;
                let published = &self.published[&sequence];
                assert_eq!(*published, (subject, text(&message.payload)), "{name}");
            }
            let sequences: Vec<u64> = copied
                .iter()
                .map(|message| match name {
                    "MIRROR" | "SOME" => message.sequence.0,
                    _ => origin_of(message).0,
                })
                .collect();
            let kept = held.iter().filter(|message| {
                message.sequence.0 > self.purged
                    && (name != "SOME" || &message.subject[..] == b"o.1")
            });
            let mut kept: Vec<u64> = kept.map(|message| message.sequence.0).collect();
            if name == "SMALL" {
                // It holds the last three that came, also what the origin has lost since.
                assert!(sequences.len() <= 3 && sequences.last() >= kept.last());
                kept.clear();
            }
            for sequence in kept {
                assert!(sequences.contains(&sequence), "{name} lacks {sequence}");
            }
        }
    }
}

async fn open(directory: &tempfile::TempDir) -> (Server, Streams) {
    let path = directory.path().to_owned();
    let root = StreamsRoot::new(move |account| path.join(account));
    let server = Server::new(Config::default(), Arc::new(AllowAll::new("A")), Some(root));
    server.open_streams("A").await.expect("opened");
    let streams = server.client("A", &Identity::new("test", "A")).streams();
    (server, streams)
}

async fn all(stream: &StreamHandle) -> Vec<StoredMessage> {
    let mut all: Vec<StoredMessage> = Vec::new();
    loop {
        let next = all.last().map_or(Sequence(1), |last| last.sequence.next());
        let more = stream.read(next, None, 10_000).await.expect("readable");
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Sequence and subject in the origin.
fn origin_of(message: &StoredMessage) -> (u64, String) {
    let value = text(raw_value(&message.headers, STREAM_SOURCE).expect("a header"));
    let parts: Vec<&str> = value.split(' ').collect();
    (parts[1].parse().expect("a sequence"), parts[4].to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn every_message_arrives_once_and_in_order(steps in prop::collection::vec(step(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.take(step).await;
            }
            world.check().await;
            world.server.shutdown().await;
        });
    }
}
