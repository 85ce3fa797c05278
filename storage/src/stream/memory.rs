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
    consumers: Mutex<BTreeMap<String, Vec<u8>>>,
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
        write_named(&self.cursors, &changes.cursors);
        write_named(&self.consumers, &changes.consumers);
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

    pub(super) fn consumers(&self) -> Vec<(String, Bytes)> {
        let consumers = lock(&self.consumers);
        let decoded = consumers
            .iter()
            .filter_map(|(name, row)| Some((name.clone(), record::decode_owner(row).ok()?)));
        decoded.collect()
    }

    /// Bytes of all blocks.
    pub(super) fn bytes(&self) -> u64 {
        let blocks = lock(&self.blocks);
        blocks.values().map(|records| records.len() as u64).sum()
    }
}

fn write_named(rows: &Mutex<BTreeMap<String, Vec<u8>>>, changes: &[(String, Option<Vec<u8>>)]) {
    let mut rows = lock(rows);
    for (name, row) in changes {
        match row {
            Some(row) => drop(rows.insert(name.clone(), row.clone())),
            None => drop(rows.remove(name)),
        }
    }
}
