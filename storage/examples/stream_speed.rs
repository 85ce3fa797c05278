//! How fast a stream takes messages and gives them back, without a broker around it.
//!
//! `cargo run --release -p natterjack-storage --example stream_speed -- [publish|read|memory] ...`
//! prints a line per figure. Messages carry 128 bytes; every acknowledgement is durable.

#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use storage::stream::{
    Append, ReadLimit, ReaderStart, Sequence, StoreOptions, Stream, StreamConfig, StreamStore,
};
use tokio::sync::Semaphore;

const PAYLOAD_BYTES: usize = 128;
/// What one read of a publisher's socket gives, about.
const BATCH: usize = 256;

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[tokio::main(worker_threads = 2)]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_else(|| "all".to_owned());
    let messages: usize = arguments.next().map_or(Ok(1_000_000), |n| n.parse())?;
    let dir = tempfile::tempdir_in(std::env::current_dir()?)?;
    let store = StreamStore::open(dir.path(), StoreOptions::default())?;
    if what == "publish" || what == "all" {
        for in_flight in [1, 1_000, 10_000] {
            for subjects in [1, 1_000] {
                let messages = if in_flight == 1 { 2_000 } else { messages };
                publish(&store, messages, in_flight, subjects).await?;
            }
        }
    }
    if what == "read" || what == "all" {
        read(&store, messages).await?;
    }
    store.shutdown().await;
    if what == "memory" || what == "all" {
        drop(store);
        let dir = tempfile::tempdir_in(std::env::current_dir()?)?;
        memory(dir.path(), messages).await?;
    }
    Ok(())
}

fn subject_names(subjects: usize) -> Vec<Bytes> {
    (0..subjects)
        .map(|n| Bytes::from(format!("bench.subject.{n}")))
        .collect()
}

/// Publishes with so many messages waiting for their acknowledgement at most.
async fn fill(stream: &Stream, messages: usize, in_flight: usize, subjects: usize) -> Outcome {
    let names = subject_names(subjects);
    let payload = Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
    let window = Arc::new(Semaphore::new(in_flight));
    let mut sent = 0;
    while sent < messages {
        let batch = BATCH.min(messages - sent).min(in_flight.div_ceil(4));
        let permits = window.clone().acquire_many_owned(batch as u32).await?;
        let appends = (sent..sent + batch)
            .map(|n| Append::new(names[n % subjects].clone(), payload.clone()))
            .collect();
        let submitted = stream.submit(appends, move |results| {
            assert!(results.iter().all(Result::is_ok));
            drop(permits);
        });
        submitted.map_err(|full| format!("{full:?}"))?;
        sent += batch;
    }
    drop(window.acquire_many(in_flight as u32).await?);
    Ok(())
}

async fn publish(
    store: &StreamStore,
    messages: usize,
    in_flight: usize,
    subjects: usize,
) -> Outcome {
    let name = format!("P{in_flight}-{subjects}");
    let stream = store.create(StreamConfig::with_name(&name)).await?;
    fill(&stream, 1_000.min(messages), in_flight, subjects).await?;
    let (start, cpu) = (Instant::now(), cpu_time());
    fill(&stream, messages, in_flight, subjects).await?;
    let (took, cpu) = (start.elapsed(), cpu_time().saturating_sub(cpu));
    report(
        &format!("publish, {in_flight} in flight, {subjects} subjects"),
        messages,
        took,
        cpu,
    );
    drop(stream);
    store.remove(&name).await?;
    Ok(())
}

async fn read(store: &StreamStore, messages: usize) -> Outcome {
    let stream = store.create(StreamConfig::with_name("R")).await?;
    fill(&stream, messages, 10_000, 1_000).await?;
    for (what, start) in [("cold", 1), ("cold again", 1)] {
        let mut reader = stream.reader(Vec::new(), ReaderStart::Sequence(Sequence(start)));
        let (start, cpu) = (Instant::now(), cpu_time());
        let mut seen = 0;
        loop {
            let limit = ReadLimit {
                messages: 1_000,
                bytes: usize::MAX,
            };
            let part = reader.next(limit).await?;
            if part.is_empty() {
                break;
            }
            seen += part.len();
        }
        let (took, cpu) = (start.elapsed(), cpu_time().saturating_sub(cpu));
        report(&format!("read, batches of 1,000, {what}"), seen, took, cpu);
    }

    follow(&stream, messages).await?;
    warm(&stream).await
}

/// A reader right behind a publisher.
async fn follow(stream: &Stream, messages: usize) -> Outcome {
    let next = stream.state().last.next();
    let mut reader = stream.reader(Vec::new(), ReaderStart::Sequence(next));
    let (start, cpu) = (Instant::now(), cpu_time());
    let reading = async {
        let mut seen = 0;
        while seen < messages {
            let limit = ReadLimit {
                messages: 1_000,
                bytes: usize::MAX,
            };
            let part = reader.next(limit).await?;
            if part.is_empty() {
                reader.changed().await;
            }
            seen += part.len();
        }
        Ok::<(), Box<dyn std::error::Error>>(())
    };
    let (filled, read) = tokio::join!(fill(stream, messages, 10_000, 1_000), reading);
    filled.and(read)?;
    let (took, cpu) = (start.elapsed(), cpu_time().saturating_sub(cpu));
    report("publish and read behind it", messages, took, cpu);
    Ok(())
}

/// The newest messages again and again.
async fn warm(stream: &Stream) -> Outcome {
    let first = Sequence(stream.state().last.0 - 4_000 + 1);
    let (start, cpu) = (Instant::now(), cpu_time());
    let mut seen = 0;
    for _ in 0..500 {
        let mut reader = stream.reader(Vec::new(), ReaderStart::Sequence(first));
        for _ in 0..4 {
            let limit = ReadLimit {
                messages: 1_000,
                bytes: usize::MAX,
            };
            seen += reader.next(limit).await?.len();
        }
    }
    let (took, cpu) = (start.elapsed(), cpu_time().saturating_sub(cpu));
    report("read, batches of 1,000, warm", seen, took, cpu);
    Ok(())
}

async fn memory(dir: &std::path::Path, messages: usize) -> Outcome {
    println!("memory at start: {} KiB", resident_kib());
    let store = StreamStore::open(dir, StoreOptions::default())?;
    let stream = store.create(StreamConfig::with_name("M")).await?;
    fill(&stream, messages, 1_000, 1_000).await?;
    println!(
        "memory with {messages} messages in 1000 subjects: {} KiB",
        resident_kib()
    );
    drop(stream);
    store.shutdown().await;
    drop(store);
    let start = Instant::now();
    let store = StreamStore::open(dir, StoreOptions::default())?;
    let opened = store.open_all().await?;
    println!(
        "opened again in {:?}, memory {} KiB",
        start.elapsed(),
        resident_kib()
    );
    drop(opened);
    store.shutdown().await;
    Ok(())
}

fn report(what: &str, messages: usize, took: Duration, cpu: Duration) {
    let rate = messages as f64 / took.as_secs_f64() / 1_000.0;
    let each = cpu.as_secs_f64() * 1e9 / messages as f64;
    let mean = took.as_secs_f64() * 1e6 / messages as f64;
    println!("{what}: {rate:.0} k/s, {mean:.2} us each, {each:.0} ns of CPU each");
}

/// Processor time of this process so far.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}
