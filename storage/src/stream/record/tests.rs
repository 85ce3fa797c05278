//! Rows read back as written, and damage is noticed.

use proptest::prelude::*;

use super::*;

type Raw = (
    u32,
    u64,
    u8,
    Vec<u8>,
    Vec<u8>,
    Option<Vec<u8>>,
    Option<u64>,
    bool,
);

fn raw() -> impl Strategy<Value = Raw> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    (
        1..9_u32,
        any::<u64>(),
        0..4_u8,
        bytes(),
        bytes(),
        proptest::option::of(bytes()),
        proptest::option::of(any::<u64>()),
        any::<bool>(),
    )
}

type Expected = Vec<(u64, Vec<u8>, Vec<u8>)>;

fn build(key: u64, raws: &[Raw]) -> (Block, Expected) {
    let mut builder = BlockBuilder::default();
    let mut sequence = key;
    let mut expected = Vec::new();
    for (step, timestamp, subject, headers, payload, id, expires, marker) in raws {
        let entry = Entry {
            sequence,
            timestamp: *timestamp,
            subject: &[b's', *subject],
            // Two subjects share an id, as they may when one took the place of the other.
            subject_id: u32::from(*subject / 2),
            headers_len: headers.len(),
            payload_len: payload.len(),
            message_id: id.as_deref(),
            expires: *expires,
            marker: *marker,
        };
        builder.push(&entry, headers, payload);
        expected.push((sequence, headers.clone(), payload.clone()));
        sequence += u64::from(*step);
    }
    (builder.finish(), expected)
}

proptest! {
    #[test]
    fn blocks_read_back_as_written(
        key in 1..u64::MAX / 2,
        raws in proptest::collection::vec(raw(), 1..60),
    ) {
        let (block, expected) = build(key, &raws);
        let entries = decode_head(key, &block.head).unwrap();
        prop_assert_eq!(entries.len(), raws.len());
        let records = match inline_records(&block.head).unwrap() {
            Some(records) => Bytes::copy_from_slice(records),
            None => block.records.clone(),
        };
        prop_assert_eq!(&records, &block.records);
        for ((entry, raw), (sequence, headers, payload)) in
            entries.iter().zip(&raws).zip(expected)
        {
            prop_assert_eq!(entry.sequence, sequence);
            prop_assert_eq!(entry.timestamp, raw.1);
            prop_assert_eq!(entry.subject, &[b's', raw.2][..]);
            prop_assert_eq!(entry.message_id, raw.5.as_deref());
            prop_assert_eq!(entry.expires, raw.6);
            prop_assert_eq!(entry.marker, raw.7);
            let found = find_record(&records, key, sequence).unwrap();
            prop_assert_eq!(&found.0[..], &headers[..]);
            prop_assert_eq!(&found.1[..], &payload[..]);
        }
    }

    #[test]
    fn data_reads_back_as_written(
        records in proptest::collection::vec(0..4_u8, 0..3000), compress in any::<bool>(),
    ) {
        let (start, data) = encode_data(&records, compress);
        prop_assert!(start.len() + data.len() <= records.len() + 1);
        let row = [&start[..], &data].concat();
        prop_assert_eq!(&decode_data(Cow::Borrowed(&row)).unwrap()[..], &records[..]);
        prop_assert_eq!(&decode_data(Cow::Owned(row)).unwrap()[..], &records[..]);
    }

    #[test]
    fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_head(1, &bytes);
        let _ = inline_records(&bytes);
        let _ = decode_data(Cow::Borrowed(&bytes));
        let _ = Totals::decode(&bytes);
        let _ = decode_cursor(&bytes);
        let _ = find_record(&Bytes::from(bytes), 1, 5);
    }

    #[test]
    fn cursors_read_back_as_written(
        numbers in any::<[u64; 4]>(),
        data in proptest::collection::vec(any::<u8>(), 0..50),
        pending in proptest::collection::vec(any::<(u64, u64, u32, u64)>(), 0..20),
    ) {
        let cursor = Cursor {
            ack_floor: Sequence(numbers[0]),
            ack_floor_consumer: numbers[1],
            delivered: Sequence(numbers[2]),
            delivered_consumer: numbers[3],
            data: data.into(),
            pending: pending.into_iter().map(|(s, c, d, t)| Pending {
                sequence: Sequence(s),
                consumer_sequence: c,
                deliveries: d,
                delivered_at: t,
            }).collect(),
        };
        prop_assert_eq!(decode_cursor(&encode_cursor(&cursor)).unwrap(), cursor);
    }

    #[test]
    fn live_rows_know_who_is_left(
        key in 1..1000_u64,
        offsets in proptest::collection::btree_set(0..512_u64, 0..80),
    ) {
        let row = encode_live(key, offsets.iter().map(|o| key + o));
        for offset in 0..600 {
            prop_assert_eq!(is_live(&row, key, key + offset), offsets.contains(&offset));
        }
    }
}
