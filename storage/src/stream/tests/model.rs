//! Both stores against a `BTreeMap` that does what the documentation says, slowly.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Op {
    Append {
        subject: u8,
        len: usize,
        id: Option<u8>,
        rollup: Option<Rollup>,
        ttl: Option<u64>,
    },
    Delete(u64),
    Purge {
        filter: Option<u8>,
        before: Option<u64>,
        keep: Option<u64>,
    },
    Advance(u64),
    Limits(Limits),
    Reopen,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    messages: Option<u64>,
    bytes: Option<u64>,
    per_subject: Option<u64>,
    discard_new: bool,
    new_per_subject: bool,
    age: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
struct Kept {
    subject: String,
    len: usize,
    timestamp: u64,
    expires: Option<u64>,
}

#[derive(Debug)]
struct Model {
    config: StreamConfig,
    kept: BTreeMap<u64, Kept>,
    last: u64,
    ids: BTreeMap<u8, (u64, u64)>,
}

impl Model {
    fn size(&self, kept: &Kept) -> u64 {
        self.config.record_bytes(kept.subject.len(), 0, kept.len)
    }

    fn bytes(&self) -> u64 {
        self.kept.values().map(|kept| self.size(kept)).sum()
    }

    fn of_subject(&self, subject: &str) -> Vec<u64> {
        let found = self.kept.iter().filter(|(_, kept)| kept.subject == subject);
        found.map(|(sequence, _)| *sequence).collect()
    }

    /// The sequence, and whether it is a duplicate; or the name of the refusal.
    fn append(
        &mut self,
        kept: Kept,
        id: Option<u8>,
        rollup: Option<Rollup>,
        now: u64,
    ) -> Result<(u64, bool), &'static str> {
        if let Some((sequence, at)) = id.and_then(|id| self.ids.get(&id)).copied()
            && at + nanos(self.config.duplicate_window) > now
        {
            return Ok((sequence, true));
        }
        let mates = self.of_subject(&kept.subject);
        let full = self
            .config
            .messages_per_subject_max
            .is_some_and(|max| mates.len() as u64 >= max);
        if full && self.config.discard_new_per_subject {
            return Err("per subject");
        }
        let size = self.size(&kept);
        let bytes_max = self.config.bytes_max.unwrap_or(u64::MAX);
        if self.config.discard == Discard::New {
            let freed = if full {
                self.size(&self.kept[&mates[0]])
            } else {
                0
            };
            if !full
                && self
                    .config
                    .messages_max
                    .is_some_and(|max| self.kept.len() as u64 >= max)
            {
                return Err("messages");
            }
            if self.bytes() + size - freed > bytes_max {
                return Err("bytes");
            }
        } else if size > bytes_max {
            return Err("bytes");
        }
        self.last += 1;
        let subject = kept.subject.clone();
        if let Some(id) = id {
            self.ids.insert(id, (self.last, now));
        }
        self.kept.insert(self.last, kept);
        let last = self.last;
        match rollup {
            Some(Rollup::All) => self.kept.retain(|sequence, _| *sequence == last),
            Some(Rollup::Subject) => self.kept.retain(|s, k| *s == last || k.subject != subject),
            None => {}
        }
        self.trim();
        Ok((last, false))
    }

    fn trim(&mut self) {
        if let Some(max) = self.config.messages_per_subject_max {
            let subjects: Vec<String> = self
                .kept
                .values()
                .map(|kept| kept.subject.clone())
                .collect();
            for subject in subjects {
                let mates = self.of_subject(&subject);
                for sequence in &mates[..mates.len().saturating_sub(max as usize)] {
                    self.kept.remove(sequence);
                }
            }
        }
        while self
            .config
            .messages_max
            .is_some_and(|max| self.kept.len() as u64 > max)
            || self.config.bytes_max.is_some_and(|max| self.bytes() > max)
        {
            self.kept.pop_first();
        }
    }

    fn expire(&mut self, now: u64) {
        let age = self.config.age_max.map_or(u64::MAX, nanos);
        self.kept.retain(|_, kept| match kept.expires {
            Some(u64::MAX) => true,
            expires => {
                expires.is_none_or(|at| at > now) && kept.timestamp.saturating_add(age) > now
            }
        });
    }

    fn purge(&mut self, purge: &Purge) -> u64 {
        let wanted = |sequence: u64, kept: &Kept| {
            purge.before.is_none_or(|before| sequence < before.0)
                && purge
                    .filter
                    .as_ref()
                    .is_none_or(|f| f.matches(kept.subject.as_bytes()))
        };
        let mut doomed: Vec<u64> = self
            .kept
            .iter()
            .filter(|(s, k)| wanted(**s, k))
            .map(|(s, _)| *s)
            .collect();
        doomed.truncate(
            doomed
                .len()
                .saturating_sub(purge.keep.unwrap_or(0) as usize),
        );
        for sequence in &doomed {
            self.kept.remove(sequence);
        }
        doomed.len() as u64
    }

    async fn check(&self, stream: &Stream) {
        let state = stream.state();
        assert_eq!(state.last.0, self.last);
        assert_eq!(state.messages, self.kept.len() as u64);
        assert_eq!(state.bytes, self.bytes());
        let first = match self.kept.keys().next() {
            Some(first) => *first,
            None if self.last == 0 => 0,
            None => self.last + 1,
        };
        assert_eq!(state.first.0, first);
        let read = stream
            .read(Sequence(0), None, ReadLimit::messages(10_000))
            .await
            .unwrap();
        let read: BTreeMap<u64, Kept> = read
            .into_iter()
            .map(|m| (m.sequence.0, self.as_kept(m)))
            .collect();
        assert_eq!(read, self.kept);
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut lasts: BTreeMap<String, u64> = BTreeMap::new();
        for (sequence, kept) in &self.kept {
            *counts.entry(kept.subject.clone()).or_default() += 1;
            lasts.insert(kept.subject.clone(), *sequence);
        }
        let subjects = stream.subjects(None).into_iter();
        let subjects: BTreeMap<String, u64> = subjects
            .map(|(s, n)| (String::from_utf8(s.to_vec()).unwrap(), n))
            .collect();
        assert_eq!(subjects, counts);
        let mut expected: Vec<u64> = lasts.values().copied().collect();
        expected.sort_unstable();
        let found = stream.last_per_subject(None).await.unwrap();
        assert_eq!(
            found.iter().map(|m| m.sequence.0).collect::<Vec<_>>(),
            expected
        );
        let odd = SubjectPattern::parse("s.1").unwrap();
        assert_eq!(
            stream.count(Sequence(3), Some(&odd)),
            self.of_subject("s.1").iter().filter(|s| **s >= 3).count() as u64
        );
    }

    fn as_kept(&self, message: StoredMessage) -> Kept {
        let expires = self
            .kept
            .get(&message.sequence.0)
            .and_then(|kept| kept.expires);
        Kept {
            subject: String::from_utf8(message.subject.to_vec()).unwrap(),
            len: message.payload.len(),
            timestamp: message.timestamp,
            expires,
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
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
    )
        .prop_map(
            |(messages, bytes, per_subject, discard_new, new_per_subject, age)| Limits {
                messages,
                bytes,
                per_subject,
                discard_new,
                new_per_subject,
                age,
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
    config.duplicate_window = Duration::from_secs(7);
    config.allow_rollup = true;
    config.allow_message_ttl = true;
}

fn op() -> impl Strategy<Value = Op> {
    let append = (
        0..4_u8,
        0..60_usize,
        proptest::option::weighted(0.2, 0..4_u8),
        proptest::option::weighted(0.05, prop_oneof![Just(Rollup::Subject), Just(Rollup::All)]),
        proptest::option::weighted(0.15, prop_oneof![1..40_u64, Just(u64::MAX)]),
    )
        .prop_map(|(subject, len, id, rollup, ttl)| Op::Append {
            subject,
            len,
            id,
            rollup,
            ttl,
        });
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
    prop_oneof![
        20 => append,
        4 => (1..40_u64).prop_map(Op::Delete),
        1 => purge,
        3 => (1..15_u64).prop_map(Op::Advance),
        1 => limits().prop_map(Op::Limits),
        1 => Just(Op::Reopen),
    ]
}

async fn run(storage: StorageKind, first: Limits, ops: Vec<Vec<Op>>) {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let mut store = StreamStore::open(dir.path(), options(&clock)).unwrap();
    let mut config = StreamConfig::with_name("M");
    config.storage = storage;
    apply(&mut config, first);
    let mut stream = store.create(config.clone()).await.unwrap();
    let mut model = Model {
        config,
        kept: BTreeMap::new(),
        last: 0,
        ids: BTreeMap::new(),
    };
    for op in ops.into_iter().flatten() {
        match op {
            Op::Append {
                subject,
                len,
                id,
                rollup,
                ttl,
            } => {
                let now = clock.now();
                let ttl = ttl.map(|s| {
                    if s == u64::MAX {
                        Duration::MAX
                    } else {
                        Duration::from_secs(s)
                    }
                });
                let append = Append {
                    subject: format!("s.{subject}").into(),
                    payload: vec![subject; len].into(),
                    message_id: id.map(|id| Bytes::from(vec![id])),
                    rollup,
                    ttl,
                    ..Append::default()
                };
                let expires = ttl.map(|ttl| {
                    if ttl == Duration::MAX {
                        u64::MAX
                    } else {
                        now + nanos(ttl)
                    }
                });
                let kept = Kept {
                    subject: format!("s.{subject}"),
                    len,
                    timestamp: now,
                    expires,
                };
                let expected = model.append(kept, id, rollup, now);
                let got = match stream.append(append).await {
                    Ok(appended) => Ok((appended.sequence.0, appended.duplicate)),
                    Err(AppendError::MaximumMessages) => Err("messages"),
                    Err(AppendError::MaximumBytes) => Err("bytes"),
                    Err(AppendError::MaximumPerSubject) => Err("per subject"),
                    Err(other) => panic!("{other}"),
                };
                assert_eq!(got, expected);
            }
            Op::Delete(sequence) => {
                let gone = model.kept.remove(&sequence).is_some();
                assert_eq!(stream.delete(Sequence(sequence)).await.unwrap(), gone);
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
                let expected = model.purge(&purge);
                assert_eq!(stream.purge(purge).await.unwrap(), expected);
            }
            Op::Advance(seconds) => {
                clock.advance(seconds * SECOND);
                model.expire(clock.now());
                stream.expire().await.unwrap();
            }
            Op::Limits(limits) => {
                apply(&mut model.config, limits);
                stream.update(model.config.clone()).await.unwrap();
                model.trim();
                model.expire(clock.now());
                stream.expire().await.unwrap();
            }
            Op::Reopen if storage == StorageKind::Disk => {
                store.shutdown().await;
                store = StreamStore::open(dir.path(), options(&clock)).unwrap();
                stream = store.open_all().await.unwrap().remove(0);
                // Ids of messages that are gone with their block are forgotten.
                model.ids.clear();
                let ids = &mut model.ids;
                for id in 0..4_u8 {
                    let log = lock(&stream.inner.log);
                    if let Some(found) = log.find_id(&[id], clock.now()) {
                        ids.insert(id, found);
                    }
                }
            }
            Op::Reopen => {}
        }
        model.check(&stream).await;
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
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn memory_streams_do_what_the_model_does(
        first in limits(),
        ops in proptest::collection::vec(proptest::collection::vec(op(), 1..10), 1..10),
    ) {
        block_on(run(StorageKind::Memory, first, ops));
    }

    #[test]
    fn disk_streams_do_what_the_model_does(
        first in limits(),
        ops in proptest::collection::vec(proptest::collection::vec(op(), 1..10), 1..6),
    ) {
        block_on(run(StorageKind::Disk, first, ops));
    }
}
