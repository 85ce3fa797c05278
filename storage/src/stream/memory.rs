//! Blocks of a stream that lives in memory only.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;

use super::disk::Changes;
use super::log::Touch;
use super::record;
use super::{Cursor, lock};

#[derive(Debug, Default)]
pub(super) struct Memory {
    blocks: Mutex<BTreeMap<u64, Bytes>>,
    cursors: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Memory {
    pub(super) fn commit(&self, changes: &Changes) {
        let mut blocks = lock(&self.blocks);
        for block in &changes.blocks {
            blocks.insert(block.key, block.records.clone());
        }
        for (key, touch) in &changes.touched {
            match touch {
                Touch::Drop => drop(blocks.remove(key)),
                Touch::Thin(_) => {}
                Touch::Rewrite(live) => {
                    if let Some(records) = blocks.get_mut(key) {
                        *records = record::keep_records(records, *key, live);
                    }
                }
            }
        }
        let mut cursors = lock(&self.cursors);
        for (name, row) in &changes.cursors {
            match row {
                Some(row) => drop(cursors.insert(name.clone(), row.clone())),
                None => drop(cursors.remove(name)),
            }
        }
    }

    pub(super) fn records(&self, key: u64) -> Option<Bytes> {
        lock(&self.blocks).get(&key).cloned()
    }

    pub(super) fn cursor(&self, name: &str) -> Option<Cursor> {
        let cursors = lock(&self.cursors);
        cursors
            .get(name)
            .and_then(|row| record::decode_cursor(row).ok())
    }

    pub(super) fn cursors(&self) -> Vec<(String, Cursor)> {
        let cursors = lock(&self.cursors);
        let decoded = cursors
            .iter()
            .filter_map(|(name, row)| Some((name.clone(), record::decode_cursor(row).ok()?)));
        decoded.collect()
    }
}
