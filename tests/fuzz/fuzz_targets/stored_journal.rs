//! Areas of journals.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| storage::stream::fuzz::journal(bytes));
