//! Starts natterjack.
fn main() {}
