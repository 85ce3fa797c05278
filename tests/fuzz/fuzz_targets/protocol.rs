//! Whatever a client sends, read in one piece and in many.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| broker::fuzz::protocol(bytes));
