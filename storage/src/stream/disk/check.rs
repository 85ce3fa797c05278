//! Looks all rows of a file through.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::super::check::{Checked, Problem};
use super::super::log::nanos;
use super::super::record::{self, Entry, Totals, Walk};
use super::super::{Cursor, Sequence, StreamConfig};
use super::checkpoint::WaitingBlock;
use super::error::Fault;
use super::load;
use super::rows::{BLOCKS, CONSUMERS, CURSORS, HEADS, LIVE, META, Place, Rows, TOTALS_ROW};

/// Something to be put right.
enum Fix {
    /// A live row without its head.
    RemoveLive(u64),
    /// A data row without its head.
    RemoveData(u64),
    Totals(Totals),
}

/// What is known while the rows are gone through.
pub(super) struct Examination<'a> {
    rows: &'a Rows,
    repair: bool,
    found: &'a mut Checked,
    fixes: Vec<Fix>,
    last: u64,
    last_timestamp: u64,
    first: Option<u64>,
    /// Whether all heads were read: only then is what is counted right.
    complete: bool,
    subjects: HashMap<Vec<u8>, u64>,
    /// Newest message of each id.
    ids: HashMap<Vec<u8>, (u64, u64)>,
}

impl<'a> Examination<'a> {
    pub(super) fn new(rows: &'a Rows, repair: bool, found: &'a mut Checked) -> Self {
        Self {
            rows,
            repair,
            found,
            fixes: Vec::new(),
            last: 0,
            last_timestamp: 0,
            first: None,
            complete: true,
            subjects: HashMap::new(),
            ids: HashMap::new(),
        }
    }

    fn problem(&mut self, what: impl Into<String>, sequences: Option<(u64, u64)>, repaired: bool) {
        let sequences = sequences.map(|(first, last)| (Sequence(first), Sequence(last)));
        self.found.problems.push(Problem {
            what: what.into(),
            sequences,
            repaired,
        });
    }

    /// Goes through everything, then puts right what can be.
    pub(super) fn run(&mut self, database: &Database, now: u64) -> Result<(), Fault> {
        {
            let read = database.begin_read()?;
            let config = self.config(&read)?;
            self.blocks(&read, config.as_ref())?;
            self.orphans(&read)?;
            self.totals(&read)?;
            self.consumers(&read)?;
            self.index(&read, now);
        }
        self.found.messages = self.subjects.values().sum();
        self.found.last = Sequence(self.last);
        let empty_first = if self.last == 0 { 0 } else { self.last + 1 };
        self.found.first = Sequence(self.first.unwrap_or(empty_first));
        let span = self.first.map_or(0, |first| self.last - first + 1);
        self.found.deleted = span.saturating_sub(self.found.messages);
        self.put_right(database)
    }

    fn config(&mut self, read: &ReadTransaction) -> Result<Option<StreamConfig>, Fault> {
        match load::config(&read.open_table(META)?, self.rows) {
            Ok(config) => {
                self.found.name.clone_from(&config.name);
                self.last = config.initial_last().0;
                Ok(Some(config))
            }
            Err(Fault::Damage(what)) => {
                self.problem(what, None, false);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    fn blocks(
        &mut self,
        read: &ReadTransaction,
        config: Option<&StreamConfig>,
    ) -> Result<(), Fault> {
        let heads = read.open_table(HEADS)?;
        let blocks = read.open_table(BLOCKS)?;
        let live = read.open_table(LIVE)?;
        for row in heads.iter()? {
            let (key, head) = row?;
            let block = u64::from_be_bytes(*key.value());
            let opened = self.rows.open(Place::Heads, key.value(), head.value());
            let entries = opened
                .as_ref()
                .map_err(|error| *error)
                .and_then(|head| record::decode_head(block, head));
            let entries = match entries {
                Ok(entries) => entries,
                Err(error) => {
                    self.complete = false;
                    let what = format!("a block is unreadable: {error}");
                    self.problem(what, Some((block, block)), false);
                    continue;
                }
            };
            let live = live.get(key.value())?;
            let live = live
                .as_ref()
                .map(|row| self.rows.open(Place::Live, key.value(), row.value()))
                .transpose();
            let live = match live {
                Ok(live) => live,
                Err(error) => {
                    self.complete = false;
                    let what = format!("what was deleted of a block is unreadable: {error}");
                    self.problem(what, span_of(&entries), false);
                    continue;
                }
            };
            let kept: Vec<&Entry<'_>> = entries
                .iter()
                .filter(|entry| {
                    let bits = live.as_ref();
                    bits.is_none_or(|bits| record::is_live(bits, block, entry.sequence))
                })
                .collect();
            self.order(&entries);
            for entry in &kept {
                self.count(entry, config);
            }
            self.records(&heads, &blocks, block, &kept)?;
        }
        Ok(())
    }

    /// Sequences rise from block to block.
    fn order(&mut self, entries: &[Entry<'_>]) {
        let Some((first, last)) = span_of(entries) else {
            return self.problem("a block is empty", None, false);
        };
        if first <= self.last && self.first.is_some() {
            let what = "sequences are given out twice";
            self.problem(what, Some((first, self.last)), false);
        }
        self.last = self.last.max(last);
        self.last_timestamp = entries.last().map_or(0, |entry| entry.timestamp);
    }

    fn count(&mut self, entry: &Entry<'_>, config: Option<&StreamConfig>) {
        self.first.get_or_insert(entry.sequence);
        *self.subjects.entry_ref(entry.subject).or_insert(0) += 1;
        let Some(config) = config else {
            return;
        };
        let (headers, payload) = (entry.headers_len, entry.payload_len);
        self.found.bytes += config.record_bytes(entry.subject.len(), headers, payload);
        let window = nanos(config.duplicate_window);
        let Some(id) = entry.message_id.filter(|_| window > 0) else {
            return;
        };
        let before = self
            .ids
            .insert(id.to_vec(), (entry.sequence, entry.timestamp));
        if let Some((sequence, timestamp)) = before
            && entry.timestamp.saturating_sub(timestamp) < window
        {
            let what = "one message id was stored twice within the duplicate window";
            self.problem(what, Some((sequence, entry.sequence)), false);
        }
    }

    /// Every message of the head is among the records.
    fn records(
        &mut self,
        heads: &impl ReadableTable<&'static [u8; 8], &'static [u8]>,
        blocks: &impl ReadableTable<&'static [u8; 8], &'static [u8]>,
        block: u64,
        kept: &[&Entry<'_>],
    ) -> Result<(), Fault> {
        let (Some(first), Some(last)) = (kept.first(), kept.last()) else {
            return Ok(());
        };
        let span = Some((first.sequence, last.sequence));
        let records = match load::records(heads, blocks, self.rows, block, &WaitingBlock::default())
        {
            Ok(Some(records)) => records,
            Ok(None) => {
                self.problem("the messages of a block are missing", span, false);
                return Ok(());
            }
            Err(Fault::Damage(what)) => {
                let what = format!("the messages of a block are unreadable: {what}");
                self.problem(what, span, false);
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        let mut walk = Walk::new(records, block);
        for entry in kept {
            let found = walk.find(entry.sequence);
            let lens = found.map(|(headers, payload)| (headers.len(), payload.len()));
            if lens != Some((entry.headers_len, entry.payload_len)) {
                let sequence = entry.sequence;
                self.problem("a message is missing", Some((sequence, sequence)), false);
            }
        }
        Ok(())
    }

    /// Rows that no head belongs to.
    fn orphans(&mut self, read: &ReadTransaction) -> Result<(), Fault> {
        let heads = read.open_table(HEADS)?;
        type FixOf = fn(u64) -> Fix;
        let tables: [(_, _, FixOf); 2] = [
            (
                LIVE,
                "a note of what was deleted belongs to no block",
                Fix::RemoveLive,
            ),
            (BLOCKS, "messages belong to no block", Fix::RemoveData),
        ];
        for (table, what, fix) in tables {
            let table = read.open_table(table)?;
            if table.len()? == 0 {
                continue;
            }
            for row in table.iter()? {
                let (key, _) = row?;
                if heads.get(key.value())?.is_some() {
                    continue;
                }
                let block = u64::from_be_bytes(*key.value());
                // Messages without a head may be all that is left of them: they stay while
                // anything else is wrong with heads.
                let safe = self.complete;
                self.problem(what, Some((block, block)), self.repair && safe);
                if safe {
                    self.fixes.push(fix(block));
                }
            }
        }
        Ok(())
    }

    fn totals(&mut self, read: &ReadTransaction) -> Result<(), Fault> {
        let stored = match load::totals(&read.open_table(META)?, self.rows) {
            Ok(stored) => stored,
            Err(Fault::Damage(what)) => {
                self.problem(format!("the totals are unreadable: {what}"), None, false);
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        let Some(stored) = stored else {
            return Ok(());
        };
        if stored.last > self.last {
            self.last = stored.last;
            self.last_timestamp = stored.last_timestamp;
        }
        let counted = Totals {
            last: self.last,
            last_timestamp: self.last_timestamp,
            messages: self.subjects.values().sum(),
            bytes: self.found.bytes,
        };
        let known = stored.messages != u64::MAX;
        if known && counted != stored {
            let what = format!(
                "it should hold {} messages of {} bytes up to sequence {}, and holds {} of {} up to {}",
                stored.messages,
                stored.bytes,
                stored.last,
                counted.messages,
                counted.bytes,
                counted.last,
            );
            self.problem(what, None, self.repair && self.complete);
            if self.complete {
                self.fixes.push(Fix::Totals(counted));
            }
        }
        Ok(())
    }

    fn consumers(&mut self, read: &ReadTransaction) -> Result<(), Fault> {
        let mut cursors: BTreeMap<String, Cursor> = BTreeMap::new();
        for row in read.open_table(CURSORS)?.iter()? {
            let (key, row) = row?;
            let opened = load::named(self.rows, Place::Cursors, key.value(), row.value());
            let opened = opened.and_then(|(name, body)| Ok((name, record::decode_cursor(&body)?)));
            match opened {
                Ok((name, cursor)) => drop(cursors.insert(name, cursor)),
                Err(error) => {
                    self.problem(
                        format!("where a consumer stands is unreadable: {error}"),
                        None,
                        false,
                    );
                }
            }
        }
        let mut names = 0;
        for row in read.open_table(CONSUMERS)?.iter()? {
            let (key, row) = row?;
            match load::named(self.rows, Place::Consumers, key.value(), row.value()) {
                Ok((name, _)) => names += u64::from(!cursors.contains_key(&name)),
                Err(error) => {
                    self.problem(format!("a consumer is unreadable: {error}"), None, false)
                }
            }
        }
        self.found.consumers = names + cursors.len() as u64;
        for (name, cursor) in cursors {
            if let Some(what) = out_of_order(&cursor, self.last) {
                self.problem(format!("consumer {name}: {what}"), None, false);
            }
        }
        Ok(())
    }

    /// The index, as a start would build it, against what was counted here.
    fn index(&mut self, read: &ReadTransaction, now: u64) {
        let Ok(log) = load::log(read, self.rows, now) else {
            // What keeps it from loading was found already.
            return;
        };
        let subjects = log.subjects(None);
        let differs = subjects.len() != self.subjects.len()
            || subjects
                .iter()
                .any(|(name, count)| self.subjects.get(&name[..]) != Some(count));
        if differs {
            self.problem(
                "the index of subjects does not agree with the messages",
                None,
                false,
            );
        }
    }

    fn put_right(&self, database: &Database) -> Result<(), Fault> {
        if !self.repair || self.fixes.is_empty() {
            return Ok(());
        }
        let mut write = database.begin_write()?;
        write.set_two_phase_commit(true);
        for fix in &self.fixes {
            match fix {
                Fix::RemoveLive(block) => {
                    write.open_table(LIVE)?.remove(&block.to_be_bytes())?;
                }
                Fix::RemoveData(block) => {
                    write.open_table(BLOCKS)?.remove(&block.to_be_bytes())?;
                }
                Fix::Totals(totals) => {
                    let mut meta = write.open_table(META)?;
                    let body = totals.encode();
                    self.rows
                        .put(&mut meta, Place::Meta, TOTALS_ROW, &[&body])?;
                }
            }
        }
        Ok(write.commit()?)
    }
}

fn span_of(entries: &[Entry<'_>]) -> Option<(u64, u64)> {
    Some((entries.first()?.sequence, entries.last()?.sequence))
}

/// What is wrong with where a consumer stands.
fn out_of_order(cursor: &Cursor, last: u64) -> Option<String> {
    let (floor, delivered) = (cursor.ack_floor.0, cursor.delivered.0);
    if floor > delivered {
        return Some(format!(
            "acknowledged up to {floor}, delivered up to {delivered}"
        ));
    }
    if delivered > last {
        return Some(format!(
            "delivered up to {delivered}, the stream ends at {last}"
        ));
    }
    let outside = cursor
        .pending
        .iter()
        .find(|pending| pending.sequence.0 > delivered || pending.sequence.0 == 0)?;
    Some(format!(
        "waits for {}, delivered up to {delivered}",
        outside.sequence
    ))
}
