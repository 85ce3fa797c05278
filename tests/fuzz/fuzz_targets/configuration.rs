//! nats-server's configuration files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| broker::fuzz::configuration(bytes));
