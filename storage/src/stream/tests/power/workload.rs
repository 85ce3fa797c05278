//! Work for a stream, and what was promised while it was done.

use std::sync::mpsc;

use crate::fault::{FaultDisk, random};
use crate::key::MasterKey;
use crate::stream::disk::DiskOptions;
use crate::stream::inner::Store;

use super::super::*;
use super::DIR;
use super::snapshot::Snapshot;

/// One thing to do. Every step is one job of the stream: it happens whole or not at all.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Append(Vec<Append>),
    AppendAll(Vec<Append>),
    Delete(u64),
    Purge(Purge),
    SaveCursor(String, Cursor),
    RemoveCursor(String),
    SaveConsumer(String, Bytes),
    RemoveConsumer(String),
    Settle(Settle),
    Update(Box<StreamConfig>),
    /// Time passes and what has expired goes.
    Expire(u64),
    Flush,
    /// Closes the stream and opens it again.
    Reopen,
}

/// Every message is one byte longer than the one before.
#[derive(Debug)]
struct OneLonger;

impl Derive for OneLonger {
    fn derive(&self, previous: Option<&StoredMessage>) -> Result<Derived, String> {
        let len = previous.map_or(0, |message| message.payload.len());
        Ok(Derived {
            headers: Bytes::new(),
            payload: vec![b'c'; (len + 1) % 300].into(),
        })
    }
}

/// How the file of a stream is made.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    large_from_bytes: u64,
    compact_from_bytes: u64,
    direct_from_bytes: usize,
    journal_from_commits: u32,
    journal_areas: &'static [u64],
    checkpoints_beside: bool,
    key: Option<Arc<MasterKey>>,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            large_from_bytes: u64::MAX,
            compact_from_bytes: u64::MAX,
            direct_from_bytes: 64 * 1024,
            journal_from_commits: 1,
            // Full after a few commits, so that they take turns.
            journal_areas: &[32 * 1024, 128 * 1024],
            checkpoints_beside: false,
            key: None,
        }
    }
}

impl Layout {
    /// Everything different.
    pub(super) fn other() -> Self {
        Self {
            large_from_bytes: 0,
            compact_from_bytes: 0,
            direct_from_bytes: 8 * 1024,
            journal_from_commits: 3,
            journal_areas: &[16 * 1024],
            checkpoints_beside: true,
            key: Some(Arc::new(MasterKey::from_bytes([3; 32]))),
        }
    }

    pub(super) fn options(&self, disk: &FaultDisk) -> DiskOptions {
        DiskOptions {
            files: Arc::new(disk.clone()),
            large_from_bytes: self.large_from_bytes,
            compact_from_bytes: self.compact_from_bytes,
            direct_from_bytes: self.direct_from_bytes,
            journal_from_commits: self.journal_from_commits,
            journal_areas: self.journal_areas,
            checkpoints_beside: self.checkpoints_beside,
            key: self.key.clone(),
        }
    }
}

/// Where the steps come from.
enum Source {
    Script(std::vec::IntoIter<Vec<Step>>),
    Chance { steps_left: usize },
}

pub(super) struct Workload {
    seed: u64,
    chance: u64,
    config: StreamConfig,
    source: Source,
    layout: Layout,
    /// Where to begin, instead of with a new stream: a disk after a cut, and the time of it.
    before: Option<(FaultDisk, u64)>,
    next_payload: u64,
}

/// A workload that was done.
pub(super) struct Recording {
    pub(super) seed: u64,
    pub(super) disk: FaultDisk,
    /// Place in the journal where the stream was there for the first time.
    pub(super) created_at: usize,
    pub(super) layout: Layout,
    pub(super) now: u64,
    /// What the stream held before the first step and after each.
    snapshots: Vec<Snapshot>,
    promises: Vec<Promise>,
}

/// When a step was begun and when it was promised to be durable, as places in the journal.
#[derive(Debug, Clone, Copy)]
struct Promise {
    begun: usize,
    kept_from: usize,
}

impl Recording {
    /// What the stream may hold after a cut at this place, and the last step that must be there.
    pub(super) fn allowed(&self, position: usize) -> (&[Snapshot], usize) {
        let promises = self.promises.iter();
        let kept = promises
            .clone()
            .rposition(|promise| promise.kept_from <= position)
            .map_or(0, |step| step + 1);
        let begun = promises
            .take_while(|promise| promise.begun < position)
            .count();
        (&self.snapshots[kept..=begun.max(kept)], kept)
    }
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn store_on(disk: &FaultDisk, clock: &Arc<HandClock>, layout: &Layout) -> StreamStore {
    let options = StoreOptions {
        cipher: layout.key.clone(),
        disk: layout.options(disk),
        ..options(clock)
    };
    StreamStore::open(std::path::Path::new(DIR), options).unwrap()
}

/// Opens the stream that a recording is about.
pub(super) async fn opened(disk: &FaultDisk, recording: &Recording) -> Stream {
    let clock = HandClock::at(recording.now);
    let store = store_on(disk, &clock, &recording.layout);
    store.open_all().await.unwrap().remove(0)
}

/// A stream that does what it is told, and can be opened again.
struct Bench {
    disk: FaultDisk,
    clock: Arc<HandClock>,
    layout: Layout,
    store: StreamStore,
    stream: Stream,
}

impl Bench {
    async fn new(workload: &Workload, disk: FaultDisk) -> Self {
        let clock = match &workload.before {
            Some((_, now)) => HandClock::at(*now),
            None => HandClock::new(),
        };
        let store = store_on(&disk, &clock, &workload.layout);
        let stream = match &workload.before {
            Some(_) => store.open_all().await.unwrap().remove(0),
            None => store.create(workload.config.clone()).await.unwrap(),
        };
        Self {
            disk,
            clock,
            layout: workload.layout.clone(),
            store,
            stream,
        }
    }

    fn snapshot(&self) -> Snapshot {
        let inner = &self.stream.inner;
        let Store::Disk(disk) = &inner.store else {
            panic!("the stream is not on a disk");
        };
        Snapshot::of(disk, &lock(&inner.log)).unwrap()
    }

    /// Does one step and waits for it.
    async fn wait_for(&mut self, step: Step) {
        let stream = self.stream.clone();
        match step {
            Step::Append(batch) => {
                let (reply, answer) = oneshot::channel();
                let done = |results| drop(reply.send(results));
                stream.submit(batch.clone(), done).unwrap();
                let results = answer.await.unwrap();
                let snapshot = self.snapshot();
                for (append, result) in batch.iter().zip(results) {
                    if let Some(sequence) = refused_by_rule(result)
                        && append.derive.is_none()
                    {
                        snapshot.check(sequence, &append.subject, &append.payload);
                    }
                }
            }
            Step::AppendAll(batch) => match stream.append_all(batch).await {
                Ok(_) => {}
                Err((_, refused)) => {
                    refused_by_rule(Err(refused));
                }
            },
            Step::Delete(sequence) => drop(stream.delete(Sequence(sequence)).await.unwrap()),
            Step::Purge(purge) => drop(stream.purge(purge).await.unwrap()),
            Step::SaveCursor(name, cursor) => stream.save_cursor(&name, cursor).await.unwrap(),
            Step::RemoveCursor(name) => drop(stream.remove_cursor(&name).await.unwrap()),
            Step::SaveConsumer(name, owner) => stream.save_consumer(&name, owner).await.unwrap(),
            Step::RemoveConsumer(name) => drop(stream.remove_consumer(&name).await.unwrap()),
            Step::Settle(settle) => drop(stream.settle(settle).await.unwrap()),
            Step::Update(config) => stream.update(*config).await.unwrap(),
            Step::Expire(nanos) => {
                self.clock.advance(nanos);
                stream.expire().await.unwrap();
            }
            Step::Flush => stream.flush().await.unwrap(),
            Step::Reopen => {
                self.store.shutdown().await;
                self.store = store_on(&self.disk, &self.clock, &self.layout);
                self.stream = self.store.open_all().await.unwrap().remove(0);
            }
        }
    }
}

/// A full stream may refuse; anything else is a failure. The sequence of what was stored.
fn refused_by_rule(result: Result<Appended, AppendError>) -> Option<u64> {
    match result {
        Ok(appended) => Some(appended.sequence.0),
        Err(
            AppendError::MaximumMessages
            | AppendError::MaximumBytes
            | AppendError::MaximumPerSubject
            | AppendError::DuplicateId
            | AppendError::MessageTooLarge { .. },
        ) => None,
        Err(other) => panic!("{other}"),
    }
}

impl Workload {
    /// Does the work: on the disk that is recorded, with several steps at once, and beside it
    /// step by step, to know what the stream holds after each.
    pub(super) fn record(mut self) -> Recording {
        block_on(async {
            let (disk, mirror) = match &self.before {
                Some((before, _)) => (before.copy(), before.copy()),
                None => (FaultDisk::default(), FaultDisk::default()),
            };
            let mut bench = Bench::new(&self, disk.clone()).await;
            let mut beside = Bench::new(&self, mirror).await;
            let mut recording = Recording {
                seed: self.seed,
                // Repairs after an earlier cut are cut too.
                created_at: if self.before.is_some() {
                    0
                } else {
                    disk.position()
                },
                disk,
                layout: self.layout.clone(),
                now: 0,
                snapshots: vec![beside.snapshot()],
                promises: Vec::new(),
            };
            // What expired before the cut may be removed at any time by the stream's own timer.
            let first = vec![Step::Expire(0)];
            self.take_steps(&mut recording, &mut bench, &mut beside, first)
                .await;
            while let Some(steps) = self.next_steps(&beside) {
                self.take_steps(&mut recording, &mut bench, &mut beside, steps)
                    .await;
            }
            bench.stream.flush().await.unwrap();
            recording.now = bench.clock.now();
            recording
        })
    }

    async fn take_steps(
        &mut self,
        recording: &mut Recording,
        bench: &mut Bench,
        beside: &mut Bench,
        steps: Vec<Step>,
    ) {
        let described = format!("{steps:?}");
        let first = recording.promises.len();
        let begun = if first == 0 {
            0
        } else {
            recording.disk.position()
        };
        for step in &steps {
            beside.wait_for(step.clone()).await;
            recording.snapshots.push(beside.snapshot());
            let promise = Promise {
                begun,
                kept_from: usize::MAX,
            };
            recording.promises.push(promise);
        }
        let synced = steps
            .iter()
            .any(|step| matches!(step, Step::Flush | Step::Reopen));
        let always = bench.stream.config().sync == SyncPolicy::Always;
        if let Some(batches) = only_appends(&steps) {
            // All at once: they share commits, and are answered on the writer's thread.
            let (answers, answered) = mpsc::channel();
            for (at, batch) in batches.into_iter().enumerate() {
                let (answers, disk) = (answers.clone(), recording.disk.clone());
                let done = move |results: Vec<_>| {
                    for result in results {
                        refused_by_rule(result);
                    }
                    answers.send((at, disk.position())).unwrap();
                };
                bench.stream.submit(batch, done).unwrap();
            }
            drop(answers);
            for (at, position) in answered {
                if always {
                    recording.promises[first + at].kept_from = position;
                }
            }
        } else {
            for (at, step) in steps.into_iter().enumerate() {
                bench.wait_for(step).await;
                if always {
                    recording.promises[first + at].kept_from = recording.disk.position();
                }
            }
        }
        if synced {
            let position = recording.disk.position();
            for promise in &mut recording.promises {
                promise.kept_from = promise.kept_from.min(position);
            }
        }
        let after = recording.snapshots.last().unwrap();
        let differences = after.differences(&bench.snapshot());
        let seed = self.seed & !1;
        assert!(
            differences.is_empty(),
            "together, steps did not do what they do one by one: {differences}\n{described:.2000}\n\
             try again with NATTERJACK_POWER_SEED={seed}"
        );
    }

    fn next_steps(&mut self, beside: &Bench) -> Option<Vec<Step>> {
        match &mut self.source {
            Source::Script(steps) => steps.next(),
            Source::Chance { steps_left } => {
                *steps_left = steps_left.checked_sub(1)?;
                let snapshot = beside.snapshot();
                Some(self.steps_by_chance(&snapshot, &beside.stream.config()))
            }
        }
    }

    /// Everything once, with small and large messages and several subjects.
    pub(super) fn scripted(sync: SyncPolicy, layout: Layout) -> Self {
        let mut config = StreamConfig::with_name("A");
        config.messages_per_subject_max = Some(4);
        config.allow_rollup = true;
        config.allow_message_ttl = true;
        config.sync = sync;
        config.compression = layout.key.is_some();
        let mut workload = Self {
            seed: 1,
            chance: 1,
            config: config.clone(),
            source: Source::Script(Vec::new().into_iter()),
            layout,
            before: None,
            next_payload: 0,
        };
        let mut append = |subject: &str, len| workload.append(subject, len);
        let cursor = |floor| Cursor {
            ack_floor: Sequence(floor),
            pending: vec![Pending::default(); floor as usize],
            ..Cursor::default()
        };
        let mut rolled_up = append("s.2", 10);
        rolled_up.rollup = Some(Rollup::Subject);
        let mut short_lived = append("s.3", 30);
        short_lived.ttl = Some(Duration::from_secs(2));
        let mut unwanted = append("s.7", 10);
        unwanted.no_store = true;
        let mut mirrored = append("s.7", 10);
        mirrored.place = Some(Place {
            sequence: Sequence(100),
            timestamp: 17,
        });
        let mut counted = append("s.1", 0);
        counted.derive = Some(Arc::new(OneLonger));
        let mut wider = config;
        wider.messages_per_subject_max = Some(3);
        wider.age_max = Some(Duration::from_secs(300));
        wider.age_marker = Some(AgeMarker {
            headers: "NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\n\r\n".to_owned(),
            ttl: Duration::from_secs(30),
        });
        let one = |step| vec![step];
        let steps = vec![
            one(Step::Append(vec![append("s.1", 40)])),
            one(Step::Append(vec![
                append("s.2", 40),
                append("s.3", 0),
                append("s.1", 300),
            ])),
            vec![
                Step::Append(vec![append("s.1", 40); 3]),
                Step::Append(vec![append("s.2", 5000)]),
                Step::Append(vec![append("s.4", 100)]),
            ],
            one(Step::SaveCursor("worker".into(), cursor(2))),
            one(Step::Append(vec![append("s.5", 70_000)])),
            one(Step::Delete(2)),
            one(Step::Append(vec![rolled_up])),
            one(Step::Update(Box::new(wider))),
            one(Step::SaveCursor("worker".into(), cursor(5))),
            one(Step::Flush),
            one(Step::Append(vec![short_lived; 2])),
            one(Step::Expire(3 * SECOND)),
            one(Step::Purge(Purge {
                filter: SubjectPattern::parse("s.1"),
                keep: Some(1),
                ..Purge::default()
            })),
            one(Step::Reopen),
            one(Step::Append(vec![append("s.6", 20); 12])),
            one(Step::RemoveCursor("worker".into())),
            one(Step::SaveConsumer(
                "reader".into(),
                Bytes::from_static(b"{}"),
            )),
            one(Step::AppendAll(vec![
                append("s.1", 40),
                append("s.8", 70_000),
                append("s.9", 4),
            ])),
            one(Step::Settle(Settle {
                cursor: Some(("reader".into(), cursor(3))),
                remove: vec![Sequence(24), Sequence(25), Sequence(27)],
            })),
            one(Step::Append(vec![unwanted, counted])),
            one(Step::Append(vec![mirrored])),
            one(Step::RemoveConsumer("reader".into())),
            one(Step::Purge(Purge::default())),
            one(Step::Append(vec![append("s.1", 40)])),
        ];
        workload.source = Source::Script(steps.into_iter());
        workload
    }

    /// Anything, as `seed` says.
    pub(super) fn random(seed: u64, before: Option<(FaultDisk, u64)>) -> Self {
        let mut chance = seed;
        let mut config = StreamConfig::with_name("A");
        config.allow_rollup = true;
        config.allow_message_ttl = true;
        if random(&mut chance).is_multiple_of(4) {
            config.sync = SyncPolicy::Interval(Duration::from_secs(1));
        }
        // A workload that goes on from another has the file of it.
        let shared = &mut (seed >> 1).wrapping_mul(0x1_0001);
        let key = Arc::new(MasterKey::from_bytes([3; 32]));
        let layout = Layout {
            large_from_bytes: [0, 1024 * 1024, u64::MAX][(random(shared) % 3) as usize],
            compact_from_bytes: [0, u64::MAX][(random(shared) % 2) as usize],
            direct_from_bytes: [0, 8 * 1024, usize::MAX][(random(shared) % 3) as usize],
            journal_from_commits: [1, 3][(random(shared) % 2) as usize],
            journal_areas: [&[8192][..], &[32 * 1024, 128 * 1024]][(random(shared) % 2) as usize],
            checkpoints_beside: random(shared).is_multiple_of(2),
            key: Some(key).filter(|_| random(shared).is_multiple_of(2)),
        };
        let mut workload = Self {
            seed,
            chance,
            config,
            source: Source::Chance { steps_left: 24 },
            layout,
            before,
            next_payload: 0,
        };
        let config = workload.other_limits(&workload.config.clone());
        workload.config = config;
        workload
    }

    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        random(&mut self.chance) % end
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let at = self.below(from.len().max(1) as u64) as usize;
        from.get(at).cloned()
    }

    fn append(&mut self, subject: &str, len: usize) -> Append {
        self.next_payload += 1;
        let fill = self.next_payload.to_le_bytes();
        let payload: Vec<u8> = (0..len).map(|at| fill[at % 2] ^ (at >> 3) as u8).collect();
        Append::new(subject.to_owned(), payload)
    }

    fn append_by_chance(&mut self) -> Append {
        let len = match self.below(40) {
            0 => 150_000 + self.below(50_000),
            1 | 2 => 60_000 + self.below(10_000),
            3..=8 => self.below(6_000),
            _ => self.below(200),
        };
        let subject = format!("s.{}", self.below(9));
        let mut append = self.append(&subject, len as usize);
        if self.below(4) == 0 {
            append.headers = Bytes::from_static(b"NATS/1.0\r\nA: b\r\n\r\n");
        }
        if self.below(4) == 0 {
            append.message_id = Some(format!("id-{}-{}", self.seed, self.next_payload).into());
        }
        if self.below(6) == 0 {
            append.ttl = Some(Duration::from_secs(1 + self.below(20)));
        }
        match self.below(40) {
            0 => append.rollup = Some(Rollup::All),
            1 | 2 => append.rollup = Some(Rollup::Subject),
            3 => append.no_store = true,
            4 => append.derive = Some(Arc::new(OneLonger)),
            _ => {}
        }
        append
    }

    fn appends_by_chance(&mut self) -> Step {
        let count = match self.below(8) {
            0 => 1 + self.below(40),
            _ => 1 + self.below(4),
        };
        Step::Append((0..count).map(|_| self.append_by_chance()).collect())
    }

    fn steps_by_chance(&mut self, snapshot: &Snapshot, config: &StreamConfig) -> Vec<Step> {
        let step = match self.below(32) {
            0..=7 => {
                let together = 1 + self.below(4);
                return (0..together).map(|_| self.appends_by_chance()).collect();
            }
            8..=11 => self.appends_by_chance(),
            12..=14 => match self.pick(&snapshot.sequences()) {
                Some(sequence) => Step::Delete(sequence),
                None => Step::Flush,
            },
            15 => {
                let filter = format!("s.{}", self.below(9));
                Step::Purge(Purge {
                    filter: SubjectPattern::parse(filter).filter(|_| self.below(3) > 0),
                    before: self.pick(&snapshot.sequences()).map(Sequence),
                    keep: Some(self.below(4)).filter(|keep| *keep > 0),
                })
            }
            16 | 17 => Step::SaveCursor(self.consumer(), self.cursor(snapshot)),
            18 => match self.pick(&snapshot.consumer_names()) {
                Some(name) => Step::RemoveCursor(name),
                None => Step::Flush,
            },
            24 | 25 => {
                let Step::Append(batch) = self.appends_by_chance() else {
                    return Vec::new();
                };
                Step::AppendAll(batch)
            }
            26 => Step::SaveConsumer(self.consumer(), vec![b'o'; self.below(900) as usize].into()),
            27 => match self.pick(&snapshot.consumer_names()) {
                Some(name) => Step::RemoveConsumer(name),
                None => Step::Flush,
            },
            28..=31 => {
                let cursor = Some((self.consumer(), self.cursor(snapshot)));
                let remove = (0..self.below(5)).filter_map(|_| self.pick(&snapshot.sequences()));
                let remove = remove.map(Sequence).collect();
                Step::Settle(Settle { cursor, remove })
            }
            19 => Step::Update(Box::new(self.other_limits(config))),
            20 | 21 => Step::Expire((1 + self.below(8)) * SECOND),
            22 => Step::Flush,
            _ => Step::Reopen,
        };
        vec![step]
    }

    fn consumer(&mut self) -> String {
        format!("c{}", self.below(4))
    }

    fn cursor(&mut self, snapshot: &Snapshot) -> Cursor {
        Cursor {
            ack_floor: Sequence(self.below(snapshot.last().0 + 1)),
            delivered: snapshot.last(),
            pending: vec![Pending::default(); self.below(30) as usize],
            ..Cursor::default()
        }
    }

    fn other_limits(&mut self, config: &StreamConfig) -> StreamConfig {
        let mut config = config.clone();
        let seldom = |value: u64, one_in: u64| value.is_multiple_of(one_in);
        config.messages_max = Some(5 + self.below(60)).filter(|value| seldom(*value, 3));
        config.bytes_max = Some(2000 + self.below(300_000)).filter(|value| seldom(*value, 3));
        config.messages_per_subject_max =
            Some(1 + self.below(12)).filter(|value| seldom(*value, 2));
        config.age_max = Some(Duration::from_secs(200 + self.below(100)));
        config.compression = self.below(2) == 0;
        let marker = self.below(3) == 0;
        config.age_marker = marker.then(|| AgeMarker {
            headers: "NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\n\r\n".to_owned(),
            ttl: Duration::from_secs(10),
        });
        config.discard = [Discard::Old, Discard::New][usize::from(self.below(4) == 0)];
        config
    }
}

/// The batches, when there is nothing but appends.
fn only_appends(steps: &[Step]) -> Option<Vec<Vec<Append>>> {
    let batches = steps.iter().map(|step| match step {
        Step::Append(batch) => Some(batch.clone()),
        _ => None,
    });
    batches.collect()
}
