//! What fuzzing reaches of the codecs of stored rows: whatever a file holds is read or refused, and what is read can be
//! written again. `tests/fuzz` runs these for long, the test below for a moment.

use bytes::Bytes;

use super::disk;
use super::record::{self, BlockBuilder};

/// The body of a head row with its key in the first eight bytes; and as that of a data row.
pub fn head(bytes: &[u8]) {
    let Some((key, row)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    // A sequence near the end of the numbers never occurs: a stream would have to live for ever.
    let key = u64::from_be_bytes(*key) >> 1;
    read_head(key, row);
    let _ = record::decode_data(row.into());
    let _ = record::Totals::decode(row);
}

fn read_head(key: u64, row: &[u8]) {
    let Ok(entries) = record::decode_head(key, row) else {
        return;
    };
    let inline = record::inline_records(row).expect("the head was read");
    let records = Bytes::copy_from_slice(inline.unwrap_or_default());
    let mut builder = BlockBuilder::default();
    for entry in &entries {
        let found = record::find_record(&records, key, entry.sequence);
        let (headers, payload) = found.unwrap_or_default();
        let mut entry = entry.clone();
        entry.headers_len = headers.len();
        entry.payload_len = payload.len();
        builder.push(&entry, &headers, &payload);
    }
    let live: Vec<u64> = entries.iter().map(|entry| entry.sequence).collect();
    let _ = record::keep_records(&records, key, &live);
    if builder.is_empty() || !live.is_sorted_by(|a, b| a < b) {
        return;
    }
    let block = builder.finish();
    let again = record::decode_head(block.key, &block.head).expect("what was written is read");
    assert_eq!(again.len(), entries.len());
    for (written, read) in entries.iter().zip(&again) {
        assert_eq!(
            (written.sequence, written.subject, written.message_id),
            (read.sequence, read.subject, read.message_id)
        );
    }
}

/// The rows of consumers.
pub fn consumer(row: &[u8]) {
    if let Ok(owner) = record::decode_owner(row) {
        assert_eq!(record::encode_owner(&owner), row);
    }
    if let Ok(cursor) = record::decode_cursor(row) {
        let written = record::encode_cursor(&cursor);
        assert_eq!(record::decode_cursor(&written).as_ref(), Ok(&cursor));
    }
}

/// An area of a journal, behind eight bytes of which generation it is: what is found in it can be taken over.
pub fn journal(bytes: &[u8]) {
    if let Some((generation, area)) = bytes.split_first_chunk::<8>() {
        disk::fuzz_journal(u64::from_be_bytes(*generation), area);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_row_is_read_or_refused(mut row in prop::collection::vec(any::<u8>(), 0..300), version in 0_u8..3) {
            super::consumer(&row);
            super::head(&row);
            super::journal(&row);
            // Random bytes rarely begin with flags that are known.
            if let Some(first) = row.get_mut(8) {
                *first = version;
            }
            super::head(&row);
            row.drain(..row.len().min(8));
            super::consumer(&row);
        }
    }
}
