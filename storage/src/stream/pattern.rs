//! Which subjects a reader asks for: tokens, `*` for one token, `>` for the rest.

use bytes::Bytes;

/// A subject, possibly with wildcards, checked once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectPattern {
    raw: Bytes,
    literal: bool,
}

impl SubjectPattern {
    /// Checks the token rules; `None` when `raw` has an empty token, blanks, or `>` before the end.
    pub fn parse(raw: impl AsRef<[u8]>) -> Option<Self> {
        let raw = raw.as_ref();
        let mut literal = true;
        let mut tokens = raw.split(|byte| *byte == b'.').peekable();
        while let Some(token) = tokens.next() {
            let last = tokens.peek().is_none();
            match token {
                b"" => return None,
                b"*" => literal = false,
                b">" if last => literal = false,
                b">" => return None,
                _ if token.iter().any(u8::is_ascii_whitespace) => return None,
                _ => {}
            }
        }
        Some(Self {
            raw: Bytes::copy_from_slice(raw),
            literal,
        })
    }

    /// Matches every subject.
    #[must_use]
    pub fn all() -> Self {
        Self {
            raw: Bytes::from_static(b">"),
            literal: false,
        }
    }

    /// Whether this matches every subject.
    #[must_use]
    pub fn is_all(&self) -> bool {
        &self.raw[..] == b">"
    }

    /// The text it was made from.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw
    }

    /// The one subject this stands for, if it has no wildcard.
    #[must_use]
    pub fn as_literal(&self) -> Option<&[u8]> {
        self.literal.then_some(&self.raw[..])
    }

    /// Whether `subject` (without wildcards) is one of these.
    #[must_use]
    pub fn matches(&self, subject: &[u8]) -> bool {
        if self.literal {
            return self.raw == subject;
        }
        let mut tokens = subject.split(|byte| *byte == b'.');
        for want in self.raw.split(|byte| *byte == b'.') {
            match (want, tokens.next()) {
                (_, None) => return false,
                (b">", Some(_)) => return true,
                (b"*", Some(_)) => {}
                (want, Some(token)) if want == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, subject: &str, expected: bool) {
        let pattern = SubjectPattern::parse(pattern).expect("a pattern");
        assert_eq!(pattern.matches(subject.as_bytes()), expected);
    }

    #[test]
    fn wildcards_match_whole_tokens() {
        check("a.b", "a.b", true);
        check("a.b", "a.bc", false);
        check("a.*", "a.b", true);
        check("a.*", "a.b.c", false);
        check("a.*.c", "a.b.c", true);
        check("a.>", "a.b.c", true);
        check("a.>", "a", false);
        check(">", "a", true);
        check("*", "a.b", false);
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for bad in ["", ".", "a.", ".a", "a..b", "a.>.b", "a b", "a\t"] {
            assert_eq!(SubjectPattern::parse(bad), None, "{bad:?}");
        }
        assert!(SubjectPattern::parse("a*.b>").is_some_and(|p| p.as_literal().is_some()));
    }
}
