//! Both stores, and readers of them, against a naive model.

mod naive;

use std::time::Duration;

use proptest::prelude::*;

use self::naive::{Kept, Model, NaiveReader, Put};
use super::*;

#[derive(Debug, Clone)]
enum Op {
    Append(Message),
    AppendAll(Vec<Message>),
    Delete(u64),
    Settle(Vec<u64>),
    Purge {
        filter: Option<u8>,
        before: Option<u64>,
        keep: Option<u64>,
    },
    Advance(u64),
    Limits(Limits),
    AddReader {
        filter: u8,
        start: Option<u64>,
    },
    Read {
        which: usize,
        messages: usize,
    },
    DropReader(usize),
    Reopen,
}

#[derive(Debug, Clone)]
struct Message {
    subject: u8,
    len: usize,
    id: Option<u8>,
    rollup: Option<Rollup>,
    ttl: Option<u64>,
    /// Sequences left out before it.
    gap: Option<u64>,
    no_store: bool,
    /// Expectations about the last sequence of the subject and of the stream: how far off.
    of_subject: Option<u64>,
    of_stream: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    messages: Option<u64>,
    bytes: Option<u64>,
    per_subject: Option<u64>,
    discard_new: bool,
    new_per_subject: bool,
    age: Option<u64>,
    marker: Option<u64>,
}

fn limits() -> impl Strategy<Value = Limits> {
    let small = |range| proptest::option::weighted(0.4, range);
    (
        small(1..12_u64),
        small(60..700_u64),
        small(1..4_u64),
        any::<bool>(),
        any::<bool>(),
        small(10..60_u64),
        small(1..20_u64),
    )
        .prop_map(
            |(messages, bytes, per_subject, discard_new, new_per_subject, age, marker)| Limits {
                messages,
                bytes,
                per_subject,
                discard_new,
                new_per_subject,
                age,
                marker,
            },
        )
}

fn apply(config: &mut StreamConfig, limits: Limits) {
    config.messages_max = limits.messages;
    config.bytes_max = limits.bytes;
    config.messages_per_subject_max = limits.per_subject;
    config.discard = if limits.discard_new {
        Discard::New
    } else {
        Discard::Old
    };
    config.discard_new_per_subject =
        limits.discard_new && limits.new_per_subject && limits.per_subject.is_some();
    config.age_max = limits.age.map(Duration::from_secs);
    config.age_marker = limits.marker.map(|ttl| AgeMarker {
        headers: "NATS/1.0\r\nA: b\r\n\r\n".to_owned(),
        ttl: Duration::from_secs(ttl),
    });
    config.duplicate_window = Duration::from_secs(7);
    config.allow_rollup = true;
    config.allow_message_ttl = true;
}

fn message() -> impl Strategy<Value = Message> {
    let seldom = |range| proptest::option::weighted(0.06, range);
    (
        0..4_u8,
        0..60_usize,
        proptest::option::weighted(0.2, 0..4_u8),
        proptest::option::weighted(0.05, prop_oneof![Just(Rollup::Subject), Just(Rollup::All)]),
        proptest::option::weighted(0.15, prop_oneof![1..40_u64, Just(u64::MAX)]),
        seldom(0..9000_u64),
        proptest::bool::weighted(0.05),
        proptest::option::weighted(0.1, prop_oneof![4 => Just(0_u64), 1 => 1..4_u64]),
        proptest::option::weighted(0.1, prop_oneof![4 => Just(0_u64), 1 => 1..4_u64]),
    )
        .prop_map(
            |(subject, len, id, rollup, ttl, gap, no_store, of_subject, of_stream)| Message {
                subject,
                len,
                id,
                rollup,
                ttl,
                gap,
                no_store,
                of_subject,
                of_stream,
            },
        )
}

fn op() -> impl Strategy<Value = Op> {
    let purge = (
        proptest::option::of(0..4_u8),
        proptest::option::of(1..40_u64),
        proptest::option::of(0..5_u64),
    )
        .prop_map(|(filter, before, keep)| Op::Purge {
            filter,
            before,
            keep,
        });
    let reader = (0..5_u8, proptest::option::weighted(0.6, 0..60_u64))
        .prop_map(|(filter, start)| Op::AddReader { filter, start });
    prop_oneof![
        18 => message().prop_map(Op::Append),
        4 => proptest::collection::vec(message(), 0..6).prop_map(Op::AppendAll),
        4 => (1..40_u64).prop_map(Op::Delete),
        2 => proptest::collection::vec(1..40_u64, 0..6).prop_map(Op::Settle),
        1 => purge,
        3 => (1..15_u64).prop_map(Op::Advance),
        1 => limits().prop_map(Op::Limits),
        3 => reader,
        6 => (0..8_usize, 1..6_usize).prop_map(|(which, messages)| Op::Read { which, messages }),
        1 => (0..8_usize).prop_map(Op::DropReader),
        1 => Just(Op::Reopen),
    ]
}

fn filters(number: u8) -> Vec<SubjectPattern> {
    let texts: &[&str] = match number {
        0 => &[],
        1 => &["s.1"],
        2 => &["s.*"],
        3 => &["s.2", "s.0"],
        _ => &["*.3", "t.>"],
    };
    let parsed = texts.iter().map(SubjectPattern::parse);
    parsed.map(Option::unwrap).collect()
}

/// The stream, its model, and readers of both.
struct Beside {
    dir: tempfile::TempDir,
    clock: Arc<HandClock>,
    store: StreamStore,
    stream: Stream,
    model: Model,
    readers: Vec<(Reader, NaiveReader)>,
}

impl Beside {
    async fn new(storage: StorageKind, first: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = HandClock::new();
        let store = StreamStore::open(dir.path(), options(&clock)).unwrap();
        let mut config = StreamConfig::with_name("M");
        config.storage = storage;
        apply(&mut config, first);
        let stream = store.create(config.clone()).await.unwrap();
        Self {
            dir,
            clock,
            store,
            stream,
            model: Model::new(config),
            readers: Vec::new(),
        }
    }

    /// The same message for the model and for the stream.
    fn translate(&self, message: &Message, model: &Model) -> (Put, Append) {
        let now = self.clock.now();
        let subject = format!("s.{}", message.subject);
        let ttl = message.ttl.map(|seconds| match seconds {
            u64::MAX => Duration::MAX,
            seconds => Duration::from_secs(seconds),
        });
        let last_of = model.last_of(&subject);
        let expected = Expected {
            last_subject_sequence: message.of_subject.map(|off| Sequence(last_of + off)),
            last_sequence: message.of_stream.map(|off| Sequence(model.last + off)),
            ..Expected::default()
        };
        let place = message.gap.map(|gap| Place {
            sequence: Sequence(model.last + gap),
            timestamp: now,
        });
        let append = Append {
            subject: subject.clone().into(),
            payload: vec![message.subject; message.len].into(),
            message_id: message.id.map(|id| Bytes::from(vec![id])),
            expected: expected.clone(),
            rollup: message.rollup,
            ttl,
            place,
            no_store: message.no_store,
            ..Append::default()
        };
        let kept = Kept {
            subject,
            headers: 0,
            len: message.len,
            timestamp: now,
            expires: ttl.map(|ttl| match ttl {
                Duration::MAX => u64::MAX,
                ttl => now + naive::nanos(ttl),
            }),
            marker: false,
        };
        let put = Put {
            kept,
            id: message.id,
            rollup: message.rollup,
            place: place.map(|place| place.sequence.0),
            no_store: message.no_store,
            expected,
        };
        (put, append)
    }

    async fn apply(&mut self, op: Op) {
        match op {
            Op::Append(message) => {
                let (put, append) = self.translate(&message, &self.model);
                let expected = self.model.append(put, self.clock.now());
                let got = self.stream.append(append).await;
                let got = got.map(|a| (a.sequence.0, a.duplicate));
                assert_eq!(got.map_err(name), expected);
            }
            Op::AppendAll(messages) => self.append_all(&messages).await,
            Op::Delete(sequence) => {
                let gone = self.model.kept.remove(&sequence).is_some();
                let deleted = self.stream.delete(Sequence(sequence)).await;
                assert_eq!(deleted.unwrap(), gone);
            }
            Op::Settle(sequences) => {
                let kept = &mut self.model.kept;
                let removed = sequences.iter().filter(|s| kept.remove(s).is_some());
                let removed = removed.count() as u64;
                let cursor = Cursor {
                    ack_floor: Sequence(self.model.last),
                    ..Cursor::default()
                };
                let settle = Settle {
                    cursor: Some(("c".to_owned(), cursor.clone())),
                    remove: sequences.into_iter().map(Sequence).collect(),
                };
                assert_eq!(self.stream.settle(settle).await.unwrap(), removed);
                assert_eq!(self.stream.cursor("c").await.unwrap(), Some(cursor));
            }
            Op::Purge {
                filter,
                before,
                keep,
            } => {
                let purge = Purge {
                    filter: filter.and_then(|f| SubjectPattern::parse(format!("s.{f}"))),
                    before: before.map(Sequence),
                    keep,
                };
                let expected = self.model.purge(&purge);
                assert_eq!(self.stream.purge(purge).await.unwrap(), expected);
            }
            Op::Advance(seconds) => {
                self.clock.advance(seconds * SECOND);
                self.expire().await;
            }
            Op::Limits(limits) => {
                apply(&mut self.model.config, limits);
                let config = self.model.config.clone();
                self.stream.update(config).await.unwrap();
                self.model.trim();
                self.expire().await;
            }
            Op::AddReader { filter, start } => {
                let start = start.map_or(ReaderStart::LastPerSubject, |start| {
                    ReaderStart::Sequence(Sequence(start))
                });
                let reader = self.stream.reader(filters(filter), start);
                let naive = NaiveReader::new(&self.model, filters(filter), start);
                self.readers.push((reader, naive));
            }
            Op::Read { which, messages } => self.read(which, messages).await,
            Op::DropReader(which) => {
                if which < self.readers.len() {
                    drop(self.readers.remove(which));
                }
            }
            Op::Reopen => self.reopen().await,
        }
    }

    async fn append_all(&mut self, messages: &[Message]) {
        // Expectations refer to the stream as it is within the batch.
        let mut trial = self.model.clone();
        let mut puts = Vec::new();
        let mut appends = Vec::new();
        for message in messages {
            let (put, append) = self.translate(message, &trial);
            let _ = trial.append_all(vec![put.clone()], self.clock.now());
            puts.push(put);
            appends.push(append);
        }
        let expected = self.model.append_all(puts, self.clock.now());
        let got = self.stream.append_all(appends).await;
        let sequences = |all: Vec<Appended>| {
            let sequences = all.into_iter().map(|appended| appended.sequence.0);
            sequences.collect::<Vec<_>>()
        };
        let named = |(index, error)| (index, name(error));
        assert_eq!(got.map(sequences).map_err(named), expected);
    }

    async fn read(&mut self, which: usize, messages: usize) {
        let Some((reader, naive)) = self.readers.get_mut(which) else {
            return;
        };
        let mut expected = naive.ahead(&self.model);
        expected.truncate(messages);
        let read = reader.next(ReadLimit::messages(messages)).await.unwrap();
        let read: Vec<u64> = read.iter().map(|message| message.sequence.0).collect();
        assert_eq!(read, expected);
        naive.read(&self.model, read.len());
    }

    async fn expire(&mut self) {
        self.model.expire(self.clock.now());
        self.stream.expire().await.unwrap();
    }

    async fn reopen(&mut self) {
        if self.model.config.storage == StorageKind::Memory {
            return;
        }
        self.readers.clear();
        self.store.shutdown().await;
        self.store = StreamStore::open(self.dir.path(), options(&self.clock)).unwrap();
        self.stream = self.store.open_all().await.unwrap().remove(0);
        // Ids of messages that are gone with their block are forgotten.
        self.model.ids.clear();
        for id in 0..4_u8 {
            let log = lock(&self.stream.inner.log);
            if let Some(found) = log.find_id(&[id], self.clock.now()) {
                self.model.ids.insert(id, found);
            }
        }
    }

    async fn check(&mut self) {
        self.model.check(&self.stream).await;
        for (reader, naive) in &mut self.readers {
            let ahead = naive.ahead(&self.model);
            assert_eq!(reader.pending(), ahead.len() as u64, "{reader:?} {naive:?}");
            let next = ahead.first().copied().unwrap_or(u64::MAX);
            assert!(reader.position().0 <= next);
        }
    }
}

fn name(error: AppendError) -> &'static str {
    match error {
        AppendError::MaximumMessages => "messages",
        AppendError::MaximumBytes => "bytes",
        AppendError::MaximumPerSubject => "per subject",
        AppendError::DuplicateId => "duplicate",
        AppendError::WrongPlace { .. } => "place",
        AppendError::WrongLastSequence { .. } => "last",
        AppendError::WrongLastSubjectSequence { .. } => "last of subject",
        other => panic!("{other}"),
    }
}

async fn run(storage: StorageKind, first: Limits, ops: Vec<Vec<Op>>) {
    let mut beside = Beside::new(storage, first).await;
    for op in ops.into_iter().flatten() {
        beside.apply(op).await;
        beside.check().await;
    }
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn memory_streams_do_what_the_model_does(
        first in limits(),
        ops in proptest::collection::vec(proptest::collection::vec(op(), 1..10), 1..12),
    ) {
        block_on(run(StorageKind::Memory, first, ops));
    }

    #[test]
    fn disk_streams_do_what_the_model_does(
        first in limits(),
        ops in proptest::collection::vec(proptest::collection::vec(op(), 1..10), 1..7),
    ) {
        block_on(run(StorageKind::Disk, first, ops));
    }
}
