//! What the disk itself takes to make 4 KiB durable.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

const BLOCK: [u8; 4096] = [0x5a; 4096];
const BLOCKS: u64 = 64;

/// Times of `count` single writes, each followed by `fdatasync`.
#[derive(Debug)]
pub(super) struct SyncTimes {
    /// Into a file that has its size already.
    pub(super) overwritten: Vec<Duration>,
    /// At the end of a file, which grows.
    pub(super) appended: Vec<Duration>,
}

pub(super) fn sync_times(directory: &Path, count: u64) -> io::Result<SyncTimes> {
    let path = directory.join("sync-times");
    let file = File::create(&path)?;
    for block in 0..BLOCKS {
        write_block(&file, block)?;
    }
    file.sync_all()?;
    let times = SyncTimes {
        overwritten: (0..count)
            .map(|number| timed_write(&file, number % BLOCKS))
            .collect::<io::Result<_>>()?,
        appended: (0..count)
            .map(|number| timed_write(&file, BLOCKS + number))
            .collect::<io::Result<_>>()?,
    };
    std::fs::remove_file(&path)?;
    Ok(times)
}

fn timed_write(file: &File, block: u64) -> io::Result<Duration> {
    let start = Instant::now();
    write_block(file, block)?;
    file.sync_data()?;
    Ok(start.elapsed())
}

fn write_block(file: &File, block: u64) -> io::Result<()> {
    file.write_all_at(&BLOCK, block * BLOCK.len() as u64)
}
