//! Bodies of requests about consumers, and of pulls.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| broker::fuzz::consumer_request(bytes));
