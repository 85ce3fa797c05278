//! Subjects and payloads of acknowledgements.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| broker::fuzz::acknowledgement(bytes));
