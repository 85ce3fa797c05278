//! Whatever another server sends over a leaf link, read in one piece and in many.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| broker::fuzz::leaf(bytes));
