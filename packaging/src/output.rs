//! The two ways to speak to whoever started the program.
//!
//! Both ignore a closed pipe: `natterjack user list | head -1` is no reason to fail.

use std::io::Write;

/// Prints what was asked for, on standard output.
pub(crate) fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// Prints a remark, on standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
