//! Test support: a disk that loses what was not synced, fails to sync or to read, or is full, on
//! cue.
//!
//! [`FaultDisk`] is shared by the test and by the store. It writes a journal of everything that
//! changes it: writes, lengths, syncs, names. [`Replay`] walks through that journal and makes, at
//! any point of it, the disk as it might be after a power cut there: what was synced is kept,
//! everything else is dropped, kept, reordered or torn at 512 bytes. So one run of a workload
//! gives as many cuts as it made writes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use crate::Error;
use crate::stream::files::Files;

/// A disk writes this much at once or not at all.
const SECTOR: usize = 512;
/// What a sparse file takes room in.
const PAGE: usize = 4096;

/// A simulated disk.
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

/// Names and contents of all files.
#[derive(Debug, Clone, Default)]
struct Contents {
    files: Vec<Arc<Vec<u8>>>,
    names: BTreeMap<PathBuf, usize>,
}

/// Something that changed the disk, in the order it happened.
#[derive(Debug, Clone)]
enum Event {
    Write(usize, usize, Arc<[u8]>),
    Len(usize, usize),
    Sync(usize),
    Name(NameChange),
    SyncDir,
}

#[derive(Debug, Clone)]
enum NameChange {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

#[derive(Debug, Default)]
struct State {
    /// What was there when the journal began.
    base: Contents,
    /// What a reader sees: with everything unsynced.
    visible: Contents,
    journal: Vec<Event>,
    /// Writes and length changes so far.
    writes: u64,
    sync_fault: SyncFault,
    /// Reads that still succeed.
    reads_left: Option<u64>,
    /// All files together can not be longer than this.
    capacity: Option<u64>,
    /// Room for pages that were never written, as on a disk where growing a file takes none.
    room: Option<u64>,
    taken: BTreeSet<(usize, usize)>,
}

impl FaultDisk {
    pub(crate) fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// Place in the journal: everything that happened so far lies below.
    pub(crate) fn position(&self) -> usize {
        self.lock().journal.len()
    }

    pub(crate) fn fail_sync(&self, fault: SyncFault) {
        self.lock().sync_fault = fault;
    }

    /// Reads fail after so many more; `None` = they succeed again.
    pub(crate) fn fail_reads_after(&self, reads: Option<u64>) {
        self.lock().reads_left = reads;
    }

    pub(crate) fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Files may grow, and so many new pages can be written.
    pub(crate) fn set_room(&self, pages: Option<u64>) {
        let mut state = self.lock();
        state.room = pages;
        let lens = state.visible.files.iter().map(|file| file.len());
        let taken = lens
            .enumerate()
            .flat_map(|(file, len)| (0..len.div_ceil(PAGE)).map(move |page| (file, page)));
        state.taken = taken.collect();
    }

    /// Bytes of all files.
    pub(crate) fn len(&self) -> u64 {
        self.lock().visible.len()
    }

    /// Size of one file.
    pub(crate) fn file_len(&self, path: &Path) -> Option<usize> {
        self.content(path).map(|content| content.len())
    }

    /// Bytes of one file.
    pub(crate) fn content(&self, path: &Path) -> Option<Arc<Vec<u8>>> {
        let state = self.lock();
        let file = *state.visible.names.get(path)?;
        Some(state.visible.files[file].clone())
    }

    /// Flips one bit of a file at rest.
    pub(crate) fn flip(&self, path: &Path, bit: usize) {
        let mut state = self.lock();
        let file = state.visible.names[path];
        Arc::make_mut(&mut state.visible.files[file])[bit / 8] ^= 1 << (bit % 8);
    }

    /// The journal, to be walked through.
    pub(crate) fn replay(&self) -> Replay {
        let state = self.lock();
        Replay {
            durable: state.base.clone(),
            journal: state.journal.clone(),
            at: 0,
            pending: Vec::new(),
            pending_names: Vec::new(),
        }
    }

    /// The disk as it is when power comes back now. `seed` decides what became of unsynced sectors.
    pub(crate) fn after_power_cut(&self, seed: u64) -> Self {
        let mut replay = self.replay();
        while replay.step() {}
        replay.cut(seed)
    }

    /// The disk as it is, with a new journal.
    pub(crate) fn copy(&self) -> Self {
        Self::with_contents(self.lock().visible.clone())
    }

    fn with_contents(contents: Contents) -> Self {
        let state = State {
            base: contents.clone(),
            visible: contents,
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rename_or_remove(&self, change: NameChange) -> io::Result<()> {
        let mut state = self.lock();
        let (NameChange::Rename(path, _) | NameChange::Remove(path) | NameChange::Create(path, _)) =
            &change;
        if !state.visible.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.writes += 1;
        state.visible.apply(&change);
        state.journal.push(Event::Name(change));
        Ok(())
    }
}

/// Walks through the journal of a disk.
#[derive(Debug)]
pub(crate) struct Replay {
    /// What the disk holds for certain.
    durable: Contents,
    journal: Vec<Event>,
    at: usize,
    /// Writes and lengths that were not synced yet.
    pending: Vec<Event>,
    pending_names: Vec<NameChange>,
}

impl Replay {
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Goes over one event; false at the end.
    pub(crate) fn step(&mut self) -> bool {
        let Some(event) = self.journal.get(self.at) else {
            return false;
        };
        self.at += 1;
        match event {
            Event::Write(..) | Event::Len(..) => self.pending.push(event.clone()),
            Event::Sync(file) => {
                for event in self.pending.extract_if(.., |event| event.file() == *file) {
                    event.apply(&mut self.durable);
                }
            }
            Event::Name(change) => {
                if let NameChange::Create(_, file) = change {
                    let files = &mut self.durable.files;
                    files.resize(files.len().max(file + 1), Arc::default());
                }
                self.pending_names.push(change.clone());
            }
            Event::SyncDir => {
                for change in self.pending_names.drain(..) {
                    self.durable.apply(&change);
                }
            }
        }
        true
    }

    /// The disk after a power cut here. The lowest three bits of `seed` choose what became of
    /// what was not synced; the rest is chance.
    pub(crate) fn cut(&self, seed: u64) -> FaultDisk {
        let mut contents = self.durable.clone();
        let mut chance = seed;
        let names = match seed % 8 {
            0 => 0,
            1 | 2 => self.pending_names.len(),
            _ => (random(&mut chance) % (self.pending_names.len() as u64 + 1)) as usize,
        };
        // A directory keeps its changes in order.
        for change in &self.pending_names[..names] {
            contents.apply(change);
        }
        match seed % 8 {
            0 => {}
            1 => self
                .pending
                .iter()
                .for_each(|event| event.apply(&mut contents)),
            2 => {
                if let Some((last, earlier)) = self.pending.split_last() {
                    earlier.iter().for_each(|event| event.apply(&mut contents));
                    last.tear(&mut contents, 2, &mut chance);
                }
            }
            kind => {
                let mut order: Vec<&Event> = self.pending.iter().collect();
                if kind % 2 == 0 {
                    shuffle(&mut order, &mut chance);
                }
                // Nearly all lost, half, nearly all kept.
                let one_in = [2, 8, 1][kind as usize % 3];
                for event in order {
                    event.tear(&mut contents, one_in, &mut chance);
                }
            }
        }
        FaultDisk::with_contents(contents)
    }
}

impl Event {
    fn file(&self) -> usize {
        match self {
            Self::Write(file, ..) | Self::Len(file, _) | Self::Sync(file) => *file,
            Self::Name(_) | Self::SyncDir => usize::MAX,
        }
    }

    fn apply(&self, contents: &mut Contents) {
        match self {
            Self::Write(file, offset, data) => contents.write(*file, *offset, data),
            Self::Len(file, len) => Arc::make_mut(&mut contents.files[*file]).resize(*len, 0),
            Self::Sync(_) | Self::Name(_) | Self::SyncDir => {}
        }
    }

    /// Keeps each sector by itself: one in `one_in`, or 7 in 8 where that is 1.
    fn tear(&self, contents: &mut Contents, one_in: u64, chance: &mut u64) {
        let mut kept = || match one_in {
            1 => !random(chance).is_multiple_of(8),
            _ => random(chance).is_multiple_of(one_in),
        };
        let Self::Write(file, offset, data) = self else {
            if kept() {
                self.apply(contents);
            }
            return;
        };
        let mut start = 0;
        while start < data.len() {
            let stop = ((offset + start) / SECTOR + 1) * SECTOR - offset;
            let stop = stop.min(data.len());
            if kept() {
                contents.write(*file, offset + start, &data[start..stop]);
            }
            start = stop;
        }
    }
}

impl Contents {
    fn len(&self) -> u64 {
        let lens = self.names.values().map(|file| self.files[*file].len());
        lens.sum::<usize>() as u64
    }

    fn write(&mut self, file: usize, offset: usize, data: &[u8]) {
        let bytes = Arc::make_mut(&mut self.files[file]);
        let end = offset + data.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset..end].copy_from_slice(data);
    }

    fn apply(&mut self, change: &NameChange) {
        match change {
            NameChange::Create(path, file) => {
                self.names.insert(path.clone(), *file);
            }
            NameChange::Rename(from, to) => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.clone(), file);
                }
            }
            NameChange::Remove(path) => {
                self.names.remove(path);
            }
        }
    }
}

/// SplitMix64: enough to choose sectors by.
pub(crate) fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn shuffle<T>(items: &mut [T], seed: &mut u64) {
    for at in (1..items.len()).rev() {
        items.swap(at, (random(seed) % (at as u64 + 1)) as usize);
    }
}

impl State {
    fn check_capacity(&self, file: usize, len: usize) -> io::Result<()> {
        let growth = len.saturating_sub(self.visible.files[file].len()) as u64;
        let full = |capacity| self.visible.len() + growth > capacity;
        if growth > 0 && self.capacity.is_some_and(full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn take_room(&mut self, file: usize, offset: usize, len: usize) -> io::Result<()> {
        let Some(mut room) = self.room else {
            return Ok(());
        };
        for page in offset / PAGE..(offset + len).div_ceil(PAGE) {
            if !self.taken.contains(&(file, page)) {
                room = room.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
                self.taken.insert((file, page));
                self.room = Some(room);
            }
        }
        Ok(())
    }
}

impl Files for FaultDisk {
    fn make_dir(&self, _dir: &Path) -> Result<(), Error> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.lock();
        let inside = state.visible.names.keys();
        let inside = inside.filter(|path| path.parent() == Some(dir));
        Ok(inside.cloned().collect())
    }

    fn open(&self, path: &Path) -> Result<Box<dyn StorageBackend>, Error> {
        let mut state = self.lock();
        let found = state.visible.names.get(path).copied();
        let number = match found {
            Some(number) => number,
            None => {
                let number = state.visible.files.len();
                state.visible.files.push(Arc::default());
                let change = NameChange::Create(path.to_path_buf(), number);
                state.visible.apply(&change);
                state.journal.push(Event::Name(change));
                number
            }
        };
        Ok(Box::new(FaultFile {
            disk: self.clone(),
            number,
        }))
    }

    fn exists(&self, path: &Path) -> bool {
        self.lock().visible.names.contains_key(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.rename_or_remove(NameChange::Rename(from.to_path_buf(), to.to_path_buf()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.rename_or_remove(NameChange::Remove(path.to_path_buf()))
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.journal.push(Event::SyncDir);
        Ok(())
    }
}

/// One file of the disk; stays open when its name goes.
#[derive(Debug)]
struct FaultFile {
    disk: FaultDisk,
    number: usize,
}

impl StorageBackend for FaultFile {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.disk.lock().visible.files[self.number].len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let mut state = self.disk.lock();
        if let Some(left) = state.reads_left {
            let left = left.checked_sub(1);
            state.reads_left = Some(left.ok_or_else(|| io::Error::other("read failed"))?);
        }
        let offset = offset as usize;
        let found = state.visible.files[self.number].get(offset..offset + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut state = self.disk.lock();
        let event = Event::Len(self.number, len as usize);
        state.check_capacity(self.number, len as usize)?;
        state.writes += 1;
        event.apply(&mut state.visible);
        state.journal.push(event);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut state = self.disk.lock();
        match state.sync_fault {
            SyncFault::None => {}
            SyncFault::Once => {
                state.sync_fault = SyncFault::None;
                return Err(io::Error::other("sync failed"));
            }
            SyncFault::Always => return Err(io::Error::other("sync failed")),
        }
        state.journal.push(Event::Sync(self.number));
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut state = self.disk.lock();
        let offset = offset as usize;
        state.check_capacity(self.number, offset + data.len())?;
        state.take_room(self.number, offset, data.len())?;
        state.writes += 1;
        state.visible.write(self.number, offset, data);
        state
            .journal
            .push(Event::Write(self.number, offset, data.into()));
        Ok(())
    }
}
