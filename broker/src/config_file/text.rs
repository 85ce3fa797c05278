//! Strings: quoted with escapes, quoted raw, in a block, and bare.

use super::cursor::{Cursor, is_blank, is_line_end};
use super::error::ConfigError;

/// `"…"`, where a backslash means something. The cursor stands on the quote.
pub(super) fn escaped(cursor: &mut Cursor<'_>) -> Result<String, ConfigError> {
    cursor.advance();
    let mut bytes = Vec::new();
    loop {
        match cursor.advance() {
            None => return Err(cursor.error("Unexpected EOF.")),
            Some('"') => break,
            Some('\\') => escape(cursor, &mut bytes)?,
            Some(c) => push(&mut bytes, c),
        }
    }
    finish(cursor, bytes)
}

/// `'…'`, where nothing means anything. The cursor stands on the quote.
pub(super) fn raw(cursor: &mut Cursor<'_>) -> Result<String, ConfigError> {
    cursor.advance();
    let text = cursor.take_while(|c| c != '\'').to_owned();
    match cursor.advance() {
        Some(_) => Ok(text),
        None => Err(cursor.error("Unexpected EOF.")),
    }
}

/// `(`, lines, and `)` alone on its line. The cursor stands on the bracket.
pub(super) fn block(cursor: &mut Cursor<'_>) -> Result<String, ConfigError> {
    cursor.advance();
    let mut text = String::new();
    loop {
        let is_at_line_start = text.ends_with('\n');
        if is_at_line_start && cursor.peek() == Some(')') {
            let after = cursor.rest()[1..].chars().next();
            if after.is_none_or(|c| c == '\n') {
                cursor.advance();
                return Ok(text);
            }
        }
        match cursor.advance() {
            Some(c) => text.push(c),
            None => return Err(cursor.error("Unexpected EOF processing block.")),
        }
    }
}

/// A word without quotes, up to a blank, a line end or one of `, ; ] }`. Escapes mean something in it.
///
/// The second part says whether there was one: then it is a string whatever it looks like.
pub(super) fn bare(cursor: &mut Cursor<'_>) -> Result<(String, bool), ConfigError> {
    let mut bytes = Vec::new();
    let mut has_escape = false;
    while let Some(c) = cursor.peek().filter(|c| !ends_bare(*c)) {
        cursor.advance();
        if c == '\\' {
            has_escape = true;
            escape(cursor, &mut bytes)?;
        } else {
            push(&mut bytes, c);
        }
    }
    Ok((finish(cursor, bytes)?, has_escape))
}

fn ends_bare(c: char) -> bool {
    is_blank(c) || is_line_end(c) || matches!(c, ',' | ';' | ']' | '}')
}

/// What follows a backslash.
fn escape(cursor: &mut Cursor<'_>, bytes: &mut Vec<u8>) -> Result<(), ConfigError> {
    let byte = match cursor.advance() {
        Some('t') => b'\t',
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('"') => b'"',
        Some('\\') => b'\\',
        Some('x') => hex(cursor)?,
        Some(other) => {
            return Err(cursor.error(format_args!(
                "Invalid escape character '{}'. Only the following escape characters are allowed: \\xXX, \\t, \\n, \\r, \
                 \\\", \\\\.",
                other.escape_debug()
            )));
        }
        None => return Err(cursor.error("Unexpected EOF.")),
    };
    bytes.push(byte);
    Ok(())
}

fn hex(cursor: &mut Cursor<'_>) -> Result<u8, ConfigError> {
    let mut byte = 0;
    for _ in 0..2 {
        let digit = cursor.peek().and_then(|c| c.to_digit(16));
        let Some(digit) = digit.and_then(|digit| u8::try_from(digit).ok()) else {
            return Err(cursor.error("Expected two hexadecimal digits after '\\x'"));
        };
        cursor.advance();
        byte = byte << 4 | digit;
    }
    Ok(byte)
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// `\x` can write any byte, but a setting is text.
fn finish(cursor: &Cursor<'_>, bytes: Vec<u8>) -> Result<String, ConfigError> {
    String::from_utf8(bytes).map_err(|_| cursor.error("The string is not UTF-8"))
}
