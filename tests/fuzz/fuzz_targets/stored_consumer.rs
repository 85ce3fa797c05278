//! Rows of stored consumers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| storage::stream::fuzz::consumer(bytes));
