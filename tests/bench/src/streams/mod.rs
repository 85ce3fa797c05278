//! Streams: publishing with acknowledgements, reading, memory and start-up, beside nats-server with and without sync.

mod disk;

use std::path::Path;
use std::time::{Duration, Instant};

use load::{AckPolicy, Api, Error, Meter, StreamConsume, StreamPublish, StreamSettings};

use crate::report::{self, Figure, Unit};
use crate::select::Selection;
use crate::server::Server;
use crate::turn::Turn;

const STREAM: &str = "BENCH";
const BUCKET: &str = "KV_bench";
const PAYLOAD_BYTES: usize = 128;
/// What a synced nats-server gets of the messages: it would take minutes for all.
const SYNCED_PERCENT: u64 = 2;
/// Messages of the memory figure.
const LARGE: u64 = 1_000_000;
/// A restarted server must know its messages within this time.
const READY_MAX: Duration = Duration::from_secs(120);
/// The row with three lines.
const MEMORY: &str = "stream-memory";

/// One line of the table, or two where the processor time counts too.
struct Row {
    name: &'static str,
    what: &'static str,
    work: Work,
    /// Whether the processor time per message is a line of its own.
    with_cpu: bool,
}

enum Work {
    Publish(StreamPublish),
    Bucket(StreamPublish),
    /// The median is the figure.
    Latency(StreamPublish),
    Consume(StreamConsume),
}

/// Names and descriptions of all rows.
pub(crate) fn names() -> Vec<(&'static str, &'static str)> {
    let rows = all(100).into_iter().map(|row| (row.name, row.what));
    rows.chain([(MEMORY, "memory and restart with 1 million messages")])
        .collect()
}

fn all(scale: u64) -> Vec<Row> {
    let publish = |clients, in_flight, subjects, messages: u64| StreamPublish {
        prefix: "bench.".to_owned(),
        subjects,
        payload_bytes: PAYLOAD_BYTES,
        messages: (messages * scale / 100).max(100),
        clients,
        in_flight,
    };
    let consume = |ack_policy| StreamConsume {
        stream: STREAM.to_owned(),
        consumer: "reader".to_owned(),
        messages: (500_000 * scale / 100).max(1000),
        batch: 1000,
        clients: 1,
        ack_policy,
    };
    let row = |name, what, work| Row {
        name,
        what,
        work,
        with_cpu: name == "stream-1k",
    };
    let bucket = StreamPublish {
        prefix: "$KV.bench.key".to_owned(),
        ..publish(1, 1000, 5000, 300_000)
    };
    vec![
        row(
            "stream-1k",
            "publish, 1,000 in flight, 1 subject",
            Work::Publish(publish(1, 1000, 1, 600_000)),
        ),
        row(
            "stream-1k-subjects",
            "publish, 1,000 in flight, 1,000 subjects",
            Work::Publish(publish(1, 1000, 1000, 600_000)),
        ),
        row(
            "stream-10k",
            "publish, 10,000 in flight, 1 subject",
            Work::Publish(publish(1, 10_000, 1, 1_000_000)),
        ),
        row(
            "stream-10k-subjects",
            "publish, 10,000 in flight, 1,000 subjects",
            Work::Publish(publish(1, 10_000, 1000, 1_000_000)),
        ),
        row(
            "kv-put",
            "KV put, 1,000 in flight, 5,000 keys",
            Work::Bucket(bucket),
        ),
        row(
            "pull",
            "pull, batches of 1,000, no acknowledgement",
            Work::Consume(consume(AckPolicy::None)),
        ),
        row(
            "pull-ack",
            "pull, batches of 1,000, each acknowledged",
            Work::Consume(consume(AckPolicy::Explicit)),
        ),
        row(
            "stream-16",
            "publish, 16 clients, 1 in flight each",
            Work::Publish(publish(16, 1, 1, 32_000)),
        ),
        row(
            "stream-1",
            "publish, 1 in flight, median",
            Work::Latency(publish(1, 1, 1, 500)),
        ),
    ]
}

impl Row {
    fn unit(&self) -> Unit {
        match self.work {
            Work::Latency(_) => Unit::Microseconds,
            _ => Unit::PerSecond,
        }
    }

    /// Makes the stream, with messages in it where they are to be read.
    fn prepare(&self, server: &Server, percent: u64) -> Result<(), Error> {
        let mut api = Api::connect(&server.target())?;
        match &self.work {
            Work::Publish(_) | Work::Latency(_) => create(&mut api, STREAM, "bench.>"),
            Work::Bucket(_) => create(&mut api, BUCKET, "$KV.bench.>"),
            Work::Consume(consume) => {
                create(&mut api, STREAM, "bench.>")?;
                fill(server, part(consume.messages, percent), 1)
            }
        }
    }

    /// One turn, with `percent` of the messages.
    fn turn(&self, server: &Server, percent: u64) -> Result<Turn, String> {
        let failed = |error: Error| format!("{}: {}: {error}", server.name, self.name);
        self.prepare(server, percent).map_err(failed)?;
        let turn = Turn::measure(server, |target, meter| {
            self.load(percent).run(target, meter)
        })
        .map_err(|error| format!("{}: {}: {error}", server.name, self.name))?;
        self.check(server, turn.messages).map_err(failed)?;
        Ok(turn)
    }

    fn load(&self, percent: u64) -> Load {
        match &self.work {
            Work::Publish(publish) | Work::Bucket(publish) | Work::Latency(publish) => {
                Load::Publish(StreamPublish {
                    messages: part(publish.messages, percent),
                    ..publish.clone()
                })
            }
            Work::Consume(consume) => Load::Consume(StreamConsume {
                messages: part(consume.messages, percent),
                ..consume.clone()
            }),
        }
    }

    /// Everything acknowledged is in the stream.
    fn check(&self, server: &Server, messages: u64) -> Result<(), Error> {
        let mut api = Api::connect(&server.target())?;
        let (stream, field) = match self.work {
            Work::Bucket(_) => (BUCKET, "last_seq"),
            _ => (STREAM, "messages"),
        };
        let found = api.stream_state(stream, field)?;
        if found != messages {
            let wanted = messages;
            return Err(Error::TooFew { wanted, found });
        }
        api.delete_stream(stream)
    }
}

enum Load {
    Publish(StreamPublish),
    Consume(StreamConsume),
}

impl Load {
    fn run(&self, target: &load::Target, meter: &Meter) -> Result<load::Outcome, Error> {
        match self {
            Self::Publish(publish) => publish.run(target, meter),
            Self::Consume(consume) => consume.run(target, meter),
        }
    }
}

fn create(api: &mut Api, name: &str, subjects: &str) -> Result<(), Error> {
    api.delete_stream(name)?;
    api.create_stream(&StreamSettings {
        name: name.to_owned(),
        subjects: subjects.to_owned(),
        in_memory: false,
        replicas: 1,
        is_bucket: name == BUCKET,
    })
}

fn fill(server: &Server, messages: u64, subjects: usize) -> Result<(), Error> {
    let publish = StreamPublish {
        prefix: "bench.".to_owned(),
        subjects,
        payload_bytes: PAYLOAD_BYTES,
        messages,
        clients: 1,
        in_flight: 1000,
    };
    publish.run(&server.target(), &Meter::default()).map(drop)
}

fn part(count: u64, percent: u64) -> u64 {
    (count * percent / 100).max(100)
}

fn median_us(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// Measures what is selected. The first server is ours, the last may be one that syncs and is given less to do; `store` is
/// where all of them keep their files.
pub(crate) fn run(
    servers: &mut [Server],
    store: &Path,
    rounds: usize,
    scale: u64,
    selection: &Selection,
) -> Result<(), String> {
    let names: Vec<&str> = servers.iter().map(|server| server.name).collect();
    let mut table = report::Beside::new(&names);
    for row in all(scale) {
        if selection.has(row.name) {
            compare(&mut table, &row, servers, store, rounds)?;
        }
    }
    if selection.has(MEMORY) && scale >= 100 {
        memory(&mut table, servers)?;
    }
    table.print();
    Ok(())
}

/// Runs one row in turns and adds its medians to the table.
fn compare(
    table: &mut report::Beside,
    row: &Row,
    servers: &[Server],
    store: &Path,
    rounds: usize,
) -> Result<(), String> {
    let mut turns: Vec<Vec<Turn>> = vec![Vec::new(); servers.len()];
    let mut disk = [Vec::new(), Vec::new()];
    // One turn that does not count warms caches, buffers and the clock of the processor.
    for server in servers {
        row.turn(server, if server.is_slow { SYNCED_PERCENT } else { 10 })?;
    }
    for _ in 0..rounds {
        for (server, turns) in servers.iter().zip(&mut turns) {
            let is_light = matches!(row.work, Work::Latency(_) | Work::Consume(_));
            let percent = match server.is_slow && !is_light {
                true => SYNCED_PERCENT,
                false => 100,
            };
            turns.push(row.turn(server, percent)?);
        }
        if row.unit() == Unit::Microseconds {
            let times = disk::sync_times(store, 200).map_err(|error| format!("disk: {error}"))?;
            disk[0].push(median_us(times.overwritten));
            disk[1].push(median_us(times.appended));
        }
    }
    let of = |pick: fn(&Turn) -> f64| {
        turns
            .iter()
            .map(move |turns| turns.iter().map(pick).collect())
    };
    table.row(Figure {
        name: row.what,
        unit: row.unit(),
        values: match row.unit() {
            Unit::Microseconds => of(|turn| turn.median_us).collect(),
            _ => of(|turn| turn.rate).collect(),
        },
    });
    if row.with_cpu {
        table.row(Figure {
            name: "processor time per message of the line before",
            unit: Unit::Microseconds,
            values: of(|turn| turn.cpu_us).collect(),
        });
    }
    if !disk[0].is_empty() {
        table.note_disk(&disk[0], &disk[1]);
    }
    Ok(())
}

/// A large stream: memory after it was filled; killed, how soon all of it is there again; memory then.
fn memory(table: &mut report::Beside, servers: &mut [Server]) -> Result<(), String> {
    let mut filled = Vec::new();
    let mut ready = Vec::new();
    let mut again = Vec::new();
    for server in servers.iter_mut().filter(|server| !server.is_slow) {
        let failed = |name, error: Error| format!("{name}: memory: {error}");
        Api::connect(&server.target())
            .and_then(|mut api| create(&mut api, STREAM, "bench.>"))
            .and_then(|()| fill(server, LARGE, 1000))
            .map_err(|error| failed(server.name, error))?;
        std::thread::sleep(Duration::from_secs(2));
        filled.push(vec![server.resident_bytes()? as f64]);
        let start = Instant::now();
        server.restart()?;
        wait_until_known(server, start).map_err(|error| failed(server.name, error))?;
        ready.push(vec![start.elapsed().as_secs_f64() * 1e6]);
        std::thread::sleep(Duration::from_secs(2));
        again.push(vec![server.resident_bytes()? as f64]);
    }
    let figures = [
        (
            "memory with 1 million messages in 1,000 subjects",
            Unit::Bytes,
            filled,
        ),
        (
            "killed and started: until they are there",
            Unit::Microseconds,
            ready,
        ),
        ("memory after that start", Unit::Bytes, again),
    ];
    for (name, unit, values) in figures {
        table.row(Figure { name, unit, values });
    }
    Ok(())
}

fn wait_until_known(server: &Server, start: Instant) -> Result<(), Error> {
    loop {
        let found =
            Api::connect(&server.target()).and_then(|mut api| api.stream_state(STREAM, "messages"));
        match found {
            Ok(LARGE) => return Ok(()),
            Ok(found) => {
                let wanted = LARGE;
                return Err(Error::TooFew { wanted, found });
            }
            Err(error) if start.elapsed() > READY_MAX => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
