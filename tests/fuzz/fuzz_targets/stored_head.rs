//! Head rows of stored blocks.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| storage::stream::fuzz::head(bytes));
