//! First bytes: PROXY protocol headers and requests for a WebSocket.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| broker::fuzz::greeting(bytes));
