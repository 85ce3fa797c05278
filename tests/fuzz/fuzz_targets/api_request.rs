//! Bodies of JetStream requests.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| broker::fuzz::request(bytes));
