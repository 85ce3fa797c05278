//! A place in a text that moves forward and knows its line.

use std::sync::Arc;

use super::error::ConfigError;
use super::value::Position;

/// Reads a text character by character.
pub(super) struct Cursor<'a> {
    file: Arc<str>,
    text: &'a str,
    offset: usize,
    line: u32,
    line_start: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(file: Arc<str>, text: &'a str) -> Self {
        Self {
            file,
            text,
            offset: 0,
            line: 1,
            line_start: 0,
        }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.offset..]
    }

    pub(super) fn advance(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.offset += next.len_utf8();
        if next == '\n' {
            self.line += 1;
            self.line_start = self.offset;
        }
        Some(next)
    }

    /// Takes characters as long as they are such.
    pub(super) fn take_while(&mut self, is_such: impl Fn(char) -> bool) -> &'a str {
        let start = self.offset;
        while self.peek().is_some_and(&is_such) {
            self.advance();
        }
        &self.text[start..self.offset]
    }

    /// Steps over blanks within a line.
    pub(super) fn skip_blanks(&mut self) {
        self.take_while(is_blank);
    }

    /// Steps over everything that means nothing between two pairs: blanks, line ends and comments.
    pub(super) fn skip_space_and_comments(&mut self) {
        loop {
            self.take_while(char::is_whitespace);
            if !self.is_at_comment() {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    pub(super) fn is_at_comment(&self) -> bool {
        self.rest().starts_with('#') || self.rest().starts_with("//")
    }

    pub(super) fn line(&self) -> u32 {
        self.line
    }

    pub(super) fn file(&self) -> &Arc<str> {
        &self.file
    }

    pub(super) fn position(&self) -> Position {
        let column = self.offset - self.line_start + usize::from(self.line > 1);
        Position {
            file: self.file.clone(),
            line: self.line,
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }

    /// An error at this place, in the frame that nats-server puts around it.
    pub(super) fn error(&self, reason: impl std::fmt::Display) -> ConfigError {
        let line = self.line;
        ConfigError::at(
            &self.position(),
            format!("Parse error on line {line}: '{reason}'"),
        )
    }

    /// What stands here, for an error: the character, or the end.
    pub(super) fn found(&self) -> String {
        self.peek()
            .map_or_else(|| "EOF".to_owned(), |c| format!("'{}'", c.escape_debug()))
    }
}

/// A blank that ends no line.
pub(super) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// Either half of a line end.
pub(super) fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r')
}
