//! Test support: a disk that loses what was not synced, fails to sync, or is full, on cue.
//!
//! [`FaultDisk`] is shared by the test and by redb. What redb writes is kept apart until it syncs.
//! At a cut, whatever was not synced is dropped, kept or torn at 512 bytes, piece by piece, as a
//! disk may do it in any order.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// A disk writes this much at once or not at all.
const SECTOR: usize = 512;

/// A simulated disk with one file.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultDisk {
    state: Arc<Mutex<State>>,
}

/// How the next syncs end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum SyncFault {
    #[default]
    None,
    Once,
    Always,
}

#[derive(Debug, Default)]
struct State {
    /// What the disk holds for certain.
    durable: Vec<u8>,
    /// What a reader sees: with everything unsynced.
    visible: Vec<u8>,
    /// Unsynced changes in order.
    pending: Vec<Change>,
    /// Writes and length changes so far.
    writes: u64,
    /// Power goes after this many writes.
    cut_after: Option<u64>,
    sync_fault: SyncFault,
    /// The file can not grow beyond this.
    capacity: Option<u64>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Len(usize),
}

impl FaultDisk {
    /// Power goes when this many writes were made; later operations fail.
    pub(crate) fn cut_after(&self, writes: u64) {
        self.lock().cut_after = Some(writes);
    }

    pub(crate) fn writes(&self) -> u64 {
        self.lock().writes
    }

    pub(crate) fn fail_sync(&self, fault: SyncFault) {
        self.lock().sync_fault = fault;
    }

    pub(crate) fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    pub(crate) fn len(&self) -> u64 {
        self.lock().visible.len() as u64
    }

    /// Flips one bit at rest.
    pub(crate) fn flip(&self, bit: usize) {
        let mut state = self.lock();
        state.visible[bit / 8] ^= 1 << (bit % 8);
        state.durable[bit / 8] ^= 1 << (bit % 8);
    }

    /// The disk as it is when power comes back. `seed` decides what became of unsynced sectors.
    pub(crate) fn after_power_cut(&self, mut seed: u64) -> Self {
        let state = self.lock();
        let mut bytes = state.durable.clone();
        for change in &state.pending {
            match change {
                Change::Len(len) => {
                    if random(&mut seed).is_multiple_of(2) {
                        bytes.resize(*len, 0);
                    }
                }
                Change::Write(offset, data) => tear(&mut bytes, *offset, data, &mut seed),
            }
        }
        Self::with_bytes(bytes)
    }

    fn with_bytes(bytes: Vec<u8>) -> Self {
        let state = State {
            durable: bytes.clone(),
            visible: bytes,
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps or drops each sector of an unsynced write by itself.
fn tear(bytes: &mut Vec<u8>, offset: usize, data: &[u8], seed: &mut u64) {
    let end = offset + data.len();
    let mut start = offset;
    while start < end {
        let stop = ((start / SECTOR + 1) * SECTOR).min(end);
        if random(seed).is_multiple_of(2) {
            if bytes.len() < stop {
                bytes.resize(stop, 0);
            }
            bytes[start..stop].copy_from_slice(&data[start - offset..stop - offset]);
        }
        start = stop;
    }
}

/// SplitMix64: enough to choose sectors by.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl State {
    fn check_power(&self) -> io::Result<()> {
        if self.cut_after.is_some_and(|cut| self.writes >= cut) {
            return Err(io::Error::other("power is gone"));
        }
        Ok(())
    }

    fn check_capacity(&self, end: usize) -> io::Result<()> {
        if self.capacity.is_some_and(|capacity| end as u64 > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl StorageBackend for FaultDisk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(Self::len(self))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let state = self.lock();
        let offset = offset as usize;
        let found = state.visible.get(offset..offset + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut state = self.lock();
        state.check_power()?;
        let len = len as usize;
        if len > state.visible.len() {
            state.check_capacity(len)?;
        }
        state.writes += 1;
        state.visible.resize(len, 0);
        state.pending.push(Change::Len(len));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut state = self.lock();
        state.check_power()?;
        match state.sync_fault {
            SyncFault::None => {}
            SyncFault::Once => {
                state.sync_fault = SyncFault::None;
                return Err(io::Error::other("sync failed"));
            }
            SyncFault::Always => return Err(io::Error::other("sync failed")),
        }
        let state = &mut *state;
        state.durable.clone_from(&state.visible);
        state.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut state = self.lock();
        state.check_power()?;
        let offset = offset as usize;
        state.check_capacity(offset + data.len())?;
        state.writes += 1;
        let end = offset + data.len();
        if state.visible.len() < end {
            state.visible.resize(end, 0);
        }
        state.visible[offset..end].copy_from_slice(data);
        state.pending.push(Change::Write(offset, data.to_vec()));
        Ok(())
    }
}
