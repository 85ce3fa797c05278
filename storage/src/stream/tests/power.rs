//! Power goes after every single write, and nothing that was promised is gone.
//!
//! A workload is run once on a [`FaultDisk`], which keeps a journal. Then the disk is cut at every
//! place of that journal, several times with other things becoming of what was not synced, and
//! opened again. What it holds must be exactly what the stream held after one of its steps: after
//! the last one that was acknowledged, or after a later one that had been begun. So a step is
//! there whole or not at all, in the order in which the steps were given.
//!
//! `NATTERJACK_POWER_CUTS` is the number of cuts of the random workloads (the long form takes
//! 1,000,000), `NATTERJACK_POWER_SEED` the first seed: a failure prints the one to try again with.

#![allow(clippy::print_stdout, reason = "a seed is printed before it is needed")]

mod snapshot;
mod workload;

use std::time::Instant;

use crate::fault::Replay;
use crate::stream::disk::Disk;

use super::trouble::{DIR, path};
use super::*;
use snapshot::Snapshot;
use workload::{Layout, Recording, Workload};

/// Cuts of the random workloads in the normal run.
const CUTS: u64 = 10_000;
/// Tests that share them, so that they use all cores.
const SHARES: u64 = 4;
/// Every so many cuts the stream goes on with work after it was opened.
const GO_ON_EVERY: u64 = 16;

fn environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Opens the disk after a cut and compares it with what was promised.
fn check(recording: &Recording, replay: &Replay, seed: u64) -> Result<(), String> {
    let disk = replay.cut(seed);
    let options = recording.layout.options(&disk);
    let (allowed, lost) = recording.allowed(replay.position());
    let opened = Disk::open(&path(), options);
    let disk = opened.map_err(|error| format!("does not open: {error}"))?;
    let log = disk.load(recording.now);
    let log = log.map_err(|error| format!("does not load: {error}"))?;
    let found = Snapshot::of(&disk, &log);
    let found = found.map_err(|error| format!("does not read: {error}"))?;
    if !allowed.contains(&found) {
        let nearest = allowed.iter().map(|snapshot| snapshot.differences(&found));
        let nearest: Vec<String> = nearest.collect();
        return Err(format!(
            "is in none of {} states (step {lost}): {}",
            allowed.len(),
            nearest.join("\n or: ")
        ));
    }
    match disk.verify() {
        Ok(true) => Ok(()),
        Ok(false) => Err("its integrity check repaired something".to_owned()),
        Err(error) => Err(format!("its integrity check failed: {error}")),
    }
}

/// Cuts everywhere in a recording, `seeds` times each; at most `cuts` in all. Returns how many.
fn cut_everywhere(recording: &Recording, seeds: u64, cuts: u64) -> u64 {
    let mut replay = recording.disk.replay();
    let mut done = 0;
    loop {
        if replay.position() >= recording.created_at {
            for kind in 0..seeds {
                if done == cuts {
                    return done;
                }
                // The lowest bits say what becomes of the unsynced: every place sees every kind.
                let chance = recording.seed.wrapping_mul(0x1000) + replay.position() as u64;
                let kind = if seeds < 8 {
                    replay.position() as u64 * 3 + kind
                } else {
                    kind
                };
                let seed = chance << 3 | (kind % 8);
                if let Err(problem) = check(recording, &replay, seed) {
                    panic!(
                        "after a cut at {} of {}, kind {}, the stream {problem}\n\
                         try again with NATTERJACK_POWER_SEED={}",
                        replay.position(),
                        recording.disk.position(),
                        kind % 8,
                        recording.seed & !1,
                    );
                }
                done += 1;
            }
        }
        if !replay.step() {
            return done;
        }
    }
}

/// After some cuts the work goes on: what is appended then is kept too.
fn go_on(recording: &Recording, cut: u64) {
    let mut replay = recording.disk.replay();
    for _ in 0..recording.created_at as u64 + cut {
        replay.step();
    }
    let disk = replay.cut(cut);
    let earlier = recording.allowed(replay.position()).0;
    let lasts = earlier.iter().map(|snapshot| snapshot.last());
    let promised = lasts.min().unwrap_or_default();
    workload::block_on(async {
        let stream = workload::opened(&disk, recording).await;
        let mut roomy = (*stream.config()).clone();
        roomy.discard = Discard::Old;
        stream.update(roomy).await.unwrap();
        let appended = stream.append(text("after", "the cut")).await.unwrap();
        assert!(
            appended.sequence > promised,
            "a sequence is given out again"
        );
        stream.close().await.unwrap();
        let stream = workload::opened(&disk, recording).await;
        let found = stream.message(appended.sequence).await.unwrap().unwrap();
        assert_eq!(&found.payload[..], b"the cut");
    });
}

#[test]
fn nothing_acknowledged_is_lost_whenever_power_goes() {
    for sync in [
        SyncPolicy::Always,
        SyncPolicy::Interval(Duration::from_secs(1)),
    ] {
        for layout in [Layout::default(), Layout::other()] {
            let recording = Workload::scripted(sync, layout).record();
            let cuts = cut_everywhere(&recording, 8, u64::MAX);
            assert!(cuts > 500, "the script writes: {cuts} cuts");
        }
    }
}

fn random_share(share: u64) {
    let cuts = environment("NATTERJACK_POWER_CUTS").unwrap_or(CUTS) / SHARES;
    let first = environment("NATTERJACK_POWER_SEED");
    let mut seed = first
        .unwrap_or_else(|| SystemClock.now())
        .wrapping_add(share << 32);
    if first.is_some() && share > 0 {
        return;
    }
    println!("NATTERJACK_POWER_SEED={seed}");
    let began = Instant::now();
    let (mut done, mut went_on) = (0, 0);
    let mut before = None;
    seed &= !1;
    while done < cuts {
        let recording = Workload::random(seed, before.take()).record();
        let more = cut_everywhere(&recording, 1, cuts - done);
        for cut in (0..more).step_by(GO_ON_EVERY as usize) {
            go_on(&recording, cut);
            went_on += 1;
        }
        done += more;
        // Every other workload goes on where power was cut in the one before.
        if seed.is_multiple_of(2) {
            let mut replay = recording.disk.replay();
            let last = recording.disk.position() as u64;
            while (replay.position() as u64) < last * 3 / 4 && replay.step() {}
            before = Some((replay.cut(seed), recording.now));
        }
        seed = seed.wrapping_add(1);
    }
    println!("{done} cuts, {went_on} went on, {:?}", began.elapsed());
}

#[test]
fn nothing_is_lost_in_a_random_workload_1() {
    random_share(0);
}

#[test]
fn nothing_is_lost_in_a_random_workload_2() {
    random_share(1);
}

#[test]
fn nothing_is_lost_in_a_random_workload_3() {
    random_share(2);
}

#[test]
fn nothing_is_lost_in_a_random_workload_4() {
    random_share(3);
}
