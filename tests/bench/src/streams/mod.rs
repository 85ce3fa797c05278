//! Streams: publishing with acknowledgements, reading, memory and start-up, beside nats-server with and without sync.

mod api;
mod disk;
mod frames;
mod publish;
mod pull;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::report::{self, Figure, Unit};
use crate::server::Server;
use publish::Publish;
use pull::Pull;

const STREAM: &str = "BENCH";
const BUCKET: &str = "KV_bench";
/// What a synced nats-server gets of the messages: it would take minutes for all.
const SYNCED_PERCENT: u64 = 2;
/// Messages of the memory figure.
const LARGE: u64 = 1_000_000;
/// A restarted server must know its messages within this time.
const READY_MAX: Duration = Duration::from_secs(120);

/// One line of the table, or two where the processor time counts too.
struct Scenario {
    name: &'static str,
    work: Work,
    /// Whether the processor time per message is a line of its own.
    with_cpu: bool,
}

enum Work {
    Rate(Publish),
    Bucket(Publish),
    Latency(Publish),
    Pull(Pull),
}

/// What one turn gave: messages per second or microseconds, and the processor time of the server per message.
#[derive(Clone, Copy, Debug)]
struct Turn {
    value: f64,
    cpu_us: f64,
}

fn all(scale: u64) -> Vec<Scenario> {
    let publish = |clients, in_flight, subjects, messages: u64| Publish {
        clients,
        in_flight,
        subjects,
        prefix: "bench.",
        messages: (messages * scale / 100).max(100),
    };
    let pull = |ack_policy| Pull {
        batch: 1000,
        messages: (500_000 * scale / 100).max(1000),
        ack_policy,
    };
    let scenario = |name, work| Scenario {
        name,
        work,
        with_cpu: false,
    };
    vec![
        Scenario {
            with_cpu: true,
            ..scenario(
                "publish, 1,000 in flight, 1 subject",
                Work::Rate(publish(1, 1000, 1, 600_000)),
            )
        },
        scenario(
            "publish, 1,000 in flight, 1,000 subjects",
            Work::Rate(publish(1, 1000, 1000, 600_000)),
        ),
        scenario(
            "publish, 10,000 in flight, 1 subject",
            Work::Rate(publish(1, 10_000, 1, 1_000_000)),
        ),
        scenario(
            "publish, 10,000 in flight, 1,000 subjects",
            Work::Rate(publish(1, 10_000, 1000, 1_000_000)),
        ),
        scenario(
            "KV put, 1,000 in flight, 5,000 keys",
            Work::Bucket(Publish {
                prefix: "$KV.bench.key",
                ..publish(1, 1000, 5000, 300_000)
            }),
        ),
        scenario(
            "pull, batches of 1,000, no acknowledgement",
            Work::Pull(pull("none")),
        ),
        scenario(
            "pull, batches of 1,000, each acknowledged",
            Work::Pull(pull("explicit")),
        ),
        scenario(
            "publish, 16 clients, 1 in flight each",
            Work::Rate(publish(16, 1, 1, 2_000)),
        ),
        scenario(
            "publish, 1 in flight, median",
            Work::Latency(publish(1, 1, 1, 500)),
        ),
    ]
}

impl Scenario {
    fn unit(&self) -> Unit {
        match self.work {
            Work::Latency(_) => Unit::Microseconds,
            _ => Unit::PerSecond,
        }
    }

    /// Makes the stream, with messages in it where they are to be read.
    fn prepare(&self, server: &Server, percent: u64) -> std::io::Result<()> {
        let mut frames = api::connect(server)?;
        match self.work {
            Work::Rate(_) | Work::Latency(_) => api::create(&mut frames, STREAM, "bench.>", ""),
            Work::Bucket(_) => {
                let extra = r#","max_msgs_per_subject":1,"discard":"new","allow_rollup_hdrs":true,"deny_delete":true,"allow_direct":true"#;
                api::create(&mut frames, BUCKET, "$KV.bench.>", extra)
            }
            Work::Pull(pull) => {
                api::create(&mut frames, STREAM, "bench.>", "")?;
                let fill = Publish {
                    clients: 1,
                    in_flight: 1000,
                    subjects: 1,
                    prefix: "bench.",
                    messages: part(pull.messages, percent),
                };
                fill.run(server).map(drop)
            }
        }
    }

    /// One turn, with `percent` of the messages.
    fn turn(&self, server: &Server, percent: u64) -> Result<Turn, String> {
        let failed = |error| format!("{}: {}: {error}", server.name, self.name);
        self.prepare(server, percent).map_err(failed)?;
        let before = server.cpu_time()?;
        let (messages, value) = self.measure(server, percent).map_err(failed)?;
        let cpu = server.cpu_time()? - before;
        self.check(server, messages).map_err(failed)?;
        Ok(Turn {
            value,
            cpu_us: cpu.as_secs_f64() * 1e6 / messages as f64,
        })
    }

    fn measure(&self, server: &Server, percent: u64) -> std::io::Result<(u64, f64)> {
        let less = |publish: Publish| Publish {
            messages: part(publish.messages, percent),
            ..publish
        };
        Ok(match self.work {
            Work::Rate(publish) | Work::Bucket(publish) => {
                let publish = less(publish);
                let messages = publish.messages * publish.clients as u64;
                let took = publish.run(server)?;
                (messages, messages as f64 / took.as_secs_f64())
            }
            Work::Latency(publish) => {
                let publish = less(publish);
                (publish.messages, median_us(publish.latencies(server)?))
            }
            Work::Pull(pull) => {
                let pull = Pull {
                    messages: part(pull.messages, percent),
                    ..pull
                };
                let took = pull.run(server, STREAM)?;
                (pull.messages, pull.messages as f64 / took.as_secs_f64())
            }
        })
    }

    /// Everything acknowledged is in the stream.
    fn check(&self, server: &Server, messages: u64) -> std::io::Result<()> {
        let mut frames = api::connect(server)?;
        let (stream, field) = match self.work {
            Work::Bucket(_) => (BUCKET, "last_seq"),
            _ => (STREAM, "messages"),
        };
        let found = api::info(&mut frames, "STREAM", stream, field)?;
        if found != messages {
            let text = format!("{found} messages where {messages} were acknowledged");
            return Err(std::io::Error::other(text));
        }
        api::remove(&mut frames, stream)
    }
}

fn part(count: u64, percent: u64) -> u64 {
    (count * percent / 100).max(100)
}

fn median_us(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// Measures everything whose name contains `only`. The first server is ours, the last may be one that syncs and is given
/// less to do; `store` is where all of them keep their files.
pub(crate) fn run(
    servers: &mut [Server],
    store: &Path,
    rounds: usize,
    scale: u64,
    only: &str,
) -> Result<(), String> {
    let names: Vec<&str> = servers.iter().map(|server| server.name).collect();
    let mut table = report::Beside::new(&names);
    for scenario in all(scale) {
        if scenario.name.contains(only) {
            compare(&mut table, &scenario, servers, store, rounds)?;
        }
    }
    if "memory".contains(only) && scale >= 100 {
        memory(&mut table, servers)?;
    }
    table.print();
    Ok(())
}

/// Runs one scenario in turns and adds its medians to the table.
fn compare(
    table: &mut report::Beside,
    scenario: &Scenario,
    servers: &[Server],
    store: &Path,
    rounds: usize,
) -> Result<(), String> {
    let mut turns: Vec<Vec<Turn>> = vec![Vec::new(); servers.len()];
    let mut disk = [Vec::new(), Vec::new()];
    // One turn that does not count warms caches, buffers and the clock of the processor.
    for server in servers {
        scenario.turn(server, if server.is_slow { SYNCED_PERCENT } else { 10 })?;
    }
    for _ in 0..rounds {
        for (server, turns) in servers.iter().zip(&mut turns) {
            let is_light = matches!(scenario.work, Work::Latency(_) | Work::Pull(_));
            let percent = match server.is_slow && !is_light {
                true => SYNCED_PERCENT,
                false => 100,
            };
            turns.push(scenario.turn(server, percent)?);
        }
        if scenario.unit() == Unit::Microseconds {
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
        name: scenario.name,
        unit: scenario.unit(),
        values: of(|turn| turn.value).collect(),
    });
    if scenario.with_cpu {
        table.row(Figure {
            name: "processor time per message of the first line",
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
        let failed = |name, error| format!("{name}: memory: {error}");
        fill(server).map_err(|error| failed(server.name, error))?;
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

fn fill(server: &Server) -> std::io::Result<()> {
    api::create(&mut api::connect(server)?, STREAM, "bench.>", "")?;
    let fill = Publish {
        clients: 1,
        in_flight: 1000,
        subjects: 1000,
        prefix: "bench.",
        messages: LARGE,
    };
    fill.run(server).map(drop)
}

fn wait_until_known(server: &Server, start: Instant) -> std::io::Result<()> {
    loop {
        let found = api::connect(server)
            .and_then(|mut frames| api::info(&mut frames, "STREAM", STREAM, "messages"));
        match found {
            Ok(LARGE) => return Ok(()),
            Ok(found) => {
                let text = format!("{found} messages where {LARGE} were acknowledged");
                return Err(std::io::Error::other(text));
            }
            Err(error) if start.elapsed() > READY_MAX => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
