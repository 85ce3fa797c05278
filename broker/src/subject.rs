//! Subjects and subject filters, and the token rules of ADR-6. Depends on nothing.
//!
//! The wire side is more liberal than these types: a client may publish on `a.*` or on bytes that are no UTF-8, and the
//! trie matches them token by token ([`is_filter`], [`matches`]). What reaches in-process code went through
//! [`Subject::parse`] and is literal, well-formed text.

use std::fmt;
use std::sync::Arc;

/// Why a subject or filter was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubjectError {
    /// Nothing at all, or a leading, trailing or doubled dot.
    #[error("empty token in subject")]
    EmptyToken,
    /// A blank or control character.
    #[error("blank or control character in subject")]
    Blank,
    /// A wildcard where only literal tokens may stand, or `>` before the end of a filter.
    #[error("misplaced wildcard in subject")]
    Wildcard,
    /// The bytes are not UTF-8.
    #[error("subject is not UTF-8")]
    NotUtf8,
}

/// A literal subject: dot-separated, non-empty tokens without wildcards, blanks or control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// Checks the token rules once; from here on every `Subject` is trusted.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(raw: &str) -> Result<Self, SubjectError> {
        check_tokens(raw)?;
        if raw.split('.').any(|token| token == "*" || token == ">") {
            return Err(SubjectError::Wildcard);
        }
        Ok(Self(raw.into()))
    }

    /// As [`Subject::parse`], for bytes from the wire.
    ///
    /// # Errors
    /// Says which rule the bytes break.
    pub fn from_bytes(raw: &[u8]) -> Result<Self, SubjectError> {
        Self::parse(std::str::from_utf8(raw).map_err(|_| SubjectError::NotUtf8)?)
    }

    /// The subject as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The subject as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The tokens from left to right.
    pub fn tokens(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }
}

/// A subscription pattern: `*` stands for one token, a final `>` for one or more.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SubjectFilter(Arc<str>);

impl SubjectFilter {
    /// Checks the token rules once.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(raw: &str) -> Result<Self, SubjectError> {
        check_tokens(raw)?;
        if !is_filter(raw.as_bytes()) {
            return Err(SubjectError::Wildcard);
        }
        Ok(Self(raw.into()))
    }

    /// The filter as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a subject is one of those this filter stands for.
    #[must_use]
    pub fn matches(&self, subject: &Subject) -> bool {
        matches(self.0.as_bytes(), subject.as_bytes())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl AsRef<str> for Subject {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for Subject {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Subject {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Subject {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl fmt::Display for SubjectFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SubjectFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Whether every token is non-empty and `>` stands at the end only: what nats-server accepts in SUB.
///
/// Wildcard characters inside a longer token (`a*`) are literal.
#[must_use]
pub fn is_filter(raw: &[u8]) -> bool {
    let mut tokens = raw.split(|byte| *byte == b'.').peekable();
    while let Some(token) = tokens.next() {
        if token.is_empty() || (token == b">" && tokens.peek().is_some()) {
            return false;
        }
    }
    true
}

/// Whether every token is non-empty and none is a wildcard: what a pedantic publisher may use.
#[must_use]
pub fn is_literal(raw: &[u8]) -> bool {
    raw.split(|byte| *byte == b'.')
        .all(|token| !matches!(token, b"" | b"*" | b">"))
}

/// Whether a filter has a wildcard token.
#[must_use]
pub fn has_wildcard(filter: &[u8]) -> bool {
    filter
        .split(|byte| *byte == b'.')
        .any(|token| matches!(token, b"*" | b">"))
}

/// Whether `filter` matches `subject`, whose tokens are all taken literally.
#[must_use]
pub fn matches(filter: &[u8], subject: &[u8]) -> bool {
    let mut subject = subject.split(|byte| *byte == b'.');
    for token in filter.split(|byte| *byte == b'.') {
        match (token, subject.next()) {
            (b">", Some(_)) => return true,
            (b"*", Some(_)) => {}
            (literal, Some(other)) if literal == other => {}
            _ => return false,
        }
    }
    subject.next().is_none()
}

/// Whether every subject that `inner` matches is matched by `outer` too.
#[must_use]
pub fn is_subset(inner: &[u8], outer: &[u8]) -> bool {
    let mut inner = inner.split(|byte| *byte == b'.');
    for token in outer.split(|byte| *byte == b'.') {
        match (inner.next(), token) {
            (Some(_), b">") => return true,
            (Some(b">"), _) => return false,
            (Some(_), b"*") => {}
            (Some(mine), theirs) if mine == theirs => {}
            _ => return false,
        }
    }
    inner.next().is_none()
}

/// Whether some subject is matched by both filters.
#[must_use]
pub fn overlap(left: &[u8], right: &[u8]) -> bool {
    let mut left = left.split(|byte| *byte == b'.');
    let mut right = right.split(|byte| *byte == b'.');
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(b">"), Some(_)) | (Some(_), Some(b">")) => return true,
            (Some(a), Some(b)) if a == b || a == b"*" || b == b"*" => {}
            _ => return false,
        }
    }
}

fn check_tokens(raw: &str) -> Result<(), SubjectError> {
    if raw.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(SubjectError::Blank);
    }
    if raw.split('.').any(str::is_empty) {
        return Err(SubjectError::EmptyToken);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_match(filter: &str, subject: &str, expected: bool) {
        assert_eq!(
            matches(filter.as_bytes(), subject.as_bytes()),
            expected,
            "{filter} against {subject}"
        );
    }

    #[test]
    fn wildcards_match_by_whole_tokens() {
        check_match("a.*", "a.b", true);
        check_match("a.*", "a", false);
        check_match("a.*", "a.b.c", false);
        check_match("a.>", "a.b.c", true);
        check_match("a.>", "a", false);
        check_match(">", "a", true);
        check_match("a*", "ab", false);
        check_match("a*", "a*", true);
        check_match("*.b", "a.b", true);
    }

    #[test]
    fn malformed_subjects_are_refused() {
        for (raw, error) in [
            ("", SubjectError::EmptyToken),
            (".a", SubjectError::EmptyToken),
            ("a.", SubjectError::EmptyToken),
            ("a..b", SubjectError::EmptyToken),
            ("a b", SubjectError::Blank),
            ("a\r\n", SubjectError::Blank),
            ("a.*", SubjectError::Wildcard),
            (">", SubjectError::Wildcard),
        ] {
            assert_eq!(Subject::parse(raw), Err(error), "{raw:?}");
        }
        assert_eq!(Subject::from_bytes(b"\xff"), Err(SubjectError::NotUtf8));
        assert_eq!(SubjectFilter::parse("a.>.b"), Err(SubjectError::Wildcard));
        assert!(SubjectFilter::parse("a.*.>").is_ok());
    }

    fn token() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("a"), Just("b"), Just("*")]
    }

    fn filter() -> impl Strategy<Value = String> {
        (prop::collection::vec(token(), 0..4), any::<bool>()).prop_map(|(mut tokens, tail)| {
            if tail || tokens.is_empty() {
                tokens.push(">");
            }
            tokens.join(".")
        })
    }

    /// All subjects over three letters with up to five tokens: enough to tell filters of up to five tokens apart.
    fn universe() -> Vec<String> {
        let mut all: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
        let mut last = all.clone();
        for _ in 0..4 {
            last = last
                .iter()
                .flat_map(|head| ["a", "b", "c"].map(|token| format!("{head}.{token}")))
                .collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    proptest! {
        #[test]
        fn subset_and_overlap_agree_with_brute_force(one in filter(), two in filter()) {
            let universe = universe();
            let hits = |filter: &str, subject: &String| matches(filter.as_bytes(), subject.as_bytes());
            let subset = universe.iter().all(|s| !hits(&one, s) || hits(&two, s));
            let overlaps = universe.iter().any(|s| hits(&one, s) && hits(&two, s));
            prop_assert_eq!(is_subset(one.as_bytes(), two.as_bytes()), subset);
            prop_assert_eq!(overlap(one.as_bytes(), two.as_bytes()), overlaps);
        }
    }
}
