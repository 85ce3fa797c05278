//! Everything a stream holds, to be compared.

use std::collections::BTreeMap;

use crate::Error;
use crate::stream::disk::Disk;
use crate::stream::log::Log;
use crate::stream::record;

use super::super::*;

/// What a reader can find out about a stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Snapshot {
    state: StreamState,
    config: StreamConfig,
    messages: BTreeMap<u64, Content>,
    cursors: BTreeMap<String, Cursor>,
    consumers: BTreeMap<String, Bytes>,
    next_deadline: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Content {
    subject: Bytes,
    headers: Bytes,
    payload: (usize, u32),
    timestamp: u64,
}

impl Snapshot {
    /// Reads everything there is on the disk.
    pub(super) fn of(disk: &Disk, log: &Log) -> Result<Self, Error> {
        let items: Vec<_> = log.iter_matching(0, &[]).collect();
        let mut keys: Vec<u64> = items.iter().map(|item| item.block).collect();
        keys.dedup();
        let records = disk.records(&keys)?;
        let blocks: BTreeMap<u64, &Bytes> = keys
            .iter()
            .zip(&records)
            .filter_map(|(key, records)| Some((*key, records.as_ref()?)))
            .collect();
        let mut messages = BTreeMap::new();
        for item in &items {
            let found = blocks
                .get(&item.block)
                .and_then(|records| record::find_record(records, item.block, item.sequence));
            let (headers, payload) = found.ok_or_else(|| Error::Corrupt {
                path: disk.path(),
                reason: format!("message {} has no record", item.sequence),
            })?;
            let content = Content {
                subject: log.subject_name(item),
                headers,
                payload: (payload.len(), crc32fast::hash(&payload)),
                timestamp: item.timestamp,
            };
            messages.insert(item.sequence, content);
        }
        Ok(Self {
            state: log.state(),
            config: (*log.config).clone(),
            messages,
            cursors: disk.cursors()?.into_iter().collect(),
            consumers: disk.consumers()?.into_iter().collect(),
            next_deadline: log.next_deadline(),
        })
    }

    pub(super) fn last(&self) -> Sequence {
        self.state.last
    }

    pub(super) fn sequences(&self) -> Vec<u64> {
        self.messages.keys().copied().collect()
    }

    pub(super) fn consumer_names(&self) -> Vec<String> {
        let names = self.cursors.keys().chain(self.consumers.keys());
        names.cloned().collect()
    }

    /// A message is as it was appended, or was removed since.
    #[track_caller]
    pub(super) fn check(&self, sequence: u64, subject: &[u8], payload: &[u8]) {
        let Some(content) = self.messages.get(&sequence) else {
            return;
        };
        assert_eq!(content.subject, subject);
        assert_eq!(content.payload, (payload.len(), crc32fast::hash(payload)));
    }

    /// What differs, for people.
    pub(super) fn differences(&self, found: &Self) -> String {
        let mut text = String::new();
        if self.state != found.state {
            text += &format!("state {:?} became {:?}; ", self.state, found.state);
        }
        if self.config != found.config {
            text += &format!("config {:?} became {:?}; ", self.config, found.config);
        }
        if self.cursors != found.cursors {
            text += &format!("cursors {:?} became {:?}; ", self.cursors, found.cursors);
        }
        if self.consumers != found.consumers {
            text += &format!(
                "consumers {:?} became {:?}; ",
                self.consumers, found.consumers
            );
        }
        if self.next_deadline != found.next_deadline {
            text += "the next deadline differs; ";
        }
        let all = self.messages.keys().chain(found.messages.keys());
        for sequence in all {
            let (before, after) = (self.messages.get(sequence), found.messages.get(sequence));
            if before != after {
                text += &format!("message {sequence} {before:?} became {after:?}; ");
                break;
            }
        }
        text
    }
}
