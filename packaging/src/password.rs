//! Where the password of an account comes from, when the account is made or changed at the command line.

use std::io::{self, BufRead, IsTerminal, Read};

use rand::RngExt;

use crate::cli::PasswordSource;
use crate::trouble::{Exit, Trouble};

/// Letters and digits that are not taken for one another when read aloud or copied by hand: 32, so 5 bits each.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const GROUPS: usize = 5;
const GROUP_LEN: usize = 4;
/// Longer input is not a password; reading stops here.
const INPUT_BYTES_MAX: u64 = 4096;
/// Three tries at a terminal, as `passwd` gives.
const TRIES: usize = 3;

/// A password, and whether the person has not seen it yet.
pub(crate) struct Password {
    pub(crate) text: String,
    /// Made here, so it has to be printed, once.
    pub(crate) is_generated: bool,
}

impl Password {
    fn typed(text: String) -> Self {
        Self {
            text,
            is_generated: false,
        }
    }

    fn generated() -> Self {
        Self {
            text: generate(),
            is_generated: true,
        }
    }
}

/// Reads, asks for, or makes a password.
///
/// # Errors
///
/// Standard input is empty or can not be read, or what was typed twice differs each time.
pub(crate) fn obtain(source: &PasswordSource) -> Result<Password, Trouble> {
    if source.password_stdin {
        from_stdin().map(Password::typed)
    } else if io::stdin().is_terminal() && io::stderr().is_terminal() {
        ask()
    } else {
        Ok(Password::generated())
    }
}

fn from_stdin() -> Result<String, Trouble> {
    let mut line = String::new();
    let read = io::stdin()
        .lock()
        .take(INPUT_BYTES_MAX)
        .read_line(&mut line);
    read.map_err(|error| unreadable(&error))?;
    let text = line.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(Trouble::usage(
            "Standard input holds no password.",
            "Pass it on the first line, or leave out --password-stdin to have one made.",
        ));
    }
    Ok(text.to_owned())
}

fn ask() -> Result<Password, Trouble> {
    for _ in 0..TRIES {
        let first = prompt("New password (empty: make one): ")?;
        if first.is_empty() {
            return Ok(Password::generated());
        }
        if prompt("The same again: ")? == first {
            return Ok(Password::typed(first));
        }
        crate::output::note("These differ. Try again.");
    }
    Err(Trouble::usage(
        "The two passwords differed three times.",
        "Start again; nothing was changed.",
    ))
}

fn prompt(text: &str) -> Result<String, Trouble> {
    rpassword::prompt_password(text).map_err(|error| unreadable(&error))
}

fn unreadable(error: &io::Error) -> Trouble {
    Trouble::new(
        Exit::Io,
        format!("Could not read the password: {error}."),
        "Pass it on one line with --password-stdin.",
    )
}

/// 100 bits from the operating system's generator by way of the thread's, in groups for the eye.
fn generate() -> String {
    let mut random = rand::rng();
    let mut groups = Vec::with_capacity(GROUPS);
    for _ in 0..GROUPS {
        let group: String = (0..GROUP_LEN)
            .map(|_| ALPHABET[random.random_range(0..ALPHABET.len())] as char)
            .collect();
        groups.push(group);
    }
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_passwords_are_long_and_differ() {
        let (first, second) = (generate(), generate());
        assert_ne!(first, second);
        assert_eq!(first.len(), GROUPS * GROUP_LEN + GROUPS - 1);
    }
}
