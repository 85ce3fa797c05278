//! A file that is only read: what redb writes while it repairs and reads stays in memory.
//!
//! Used after a failed commit, when nothing may be written to the file any more and readers should
//! still be served.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::Mutex;

use redb::StorageBackend;

use super::lock;

const PAGE: u64 = 4096;

#[derive(Debug)]
pub(super) struct Frozen {
    below: Box<dyn StorageBackend>,
    overlay: Mutex<Overlay>,
}

#[derive(Debug)]
struct Overlay {
    len: u64,
    /// What may still be read from below: it shrinks with `set_len` and never grows again.
    below_len: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Frozen {
    pub(super) fn new(below: Box<dyn StorageBackend>) -> Self {
        let len = below.len().unwrap_or(0);
        Self {
            below,
            overlay: Mutex::new(Overlay {
                len,
                below_len: len,
                pages: BTreeMap::new(),
            }),
        }
    }

    fn read_below(&self, below_len: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        out.fill(0);
        let available = below_len.saturating_sub(offset).min(out.len() as u64) as usize;
        if available == 0 {
            return Ok(());
        }
        self.below.read(offset, &mut out[..available])
    }
}

impl StorageBackend for Frozen {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(lock(&self.overlay).len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let overlay = lock(&self.overlay);
        let end = offset + out.len() as u64;
        if end > overlay.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_below(overlay.below_len, offset, out)?;
        for (number, page) in overlay.pages.range(offset / PAGE..end.div_ceil(PAGE)) {
            let start = (number * PAGE).max(offset);
            let stop = (number * PAGE + PAGE).min(end);
            let from = (start - number * PAGE) as usize;
            let len = (stop - start) as usize;
            let to = (start - offset) as usize;
            out[to..to + len].copy_from_slice(&page[from..from + len]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut overlay = lock(&self.overlay);
        overlay.len = len;
        overlay.pages.split_off(&len.div_ceil(PAGE));
        overlay.below_len = overlay.below_len.min(len);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut overlay = lock(&self.overlay);
        let end = offset + data.len() as u64;
        for number in offset / PAGE..end.div_ceil(PAGE) {
            let start = (number * PAGE).max(offset);
            let stop = (number * PAGE + PAGE).min(end);
            let below_len = overlay.below_len;
            let page = match overlay.pages.entry(number) {
                Entry::Occupied(page) => page.into_mut(),
                Entry::Vacant(vacant) => {
                    let mut page = vec![0; PAGE as usize];
                    self.read_below(below_len, number * PAGE, &mut page)?;
                    vacant.insert(page)
                }
            };
            let from = (start - number * PAGE) as usize;
            let source = &data[(start - offset) as usize..(stop - offset) as usize];
            page[from..from + source.len()].copy_from_slice(source);
        }
        Ok(())
    }

    fn close(&self) -> Result<(), io::Error> {
        self.below.close()
    }
}
