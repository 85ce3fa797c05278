//! The two subjects of an import: the exporting account's, and the one it is known under in the importing account.

use bytes::Bytes;

use crate::subject;
use crate::transform::{Transform, TransformError};

/// Two patterns whose wildcards stand for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The pattern in the exporting account.
    pub(crate) there: Box<str>,
    /// The pattern in the importing account.
    pub(crate) here: Box<str>,
    /// For each wildcard of `here`, which one of `there` it is, counted from 1.
    wildcards: Vec<usize>,
    to_here: Transform,
    to_there: Transform,
}

impl Pair {
    /// `to` is the subject here: with as many wildcards as `there`, in the same order or as `$n`. `None`: the same.
    ///
    /// # Errors
    /// One of them is no pattern, or their wildcards do not correspond.
    pub(crate) fn new(there: &str, to: Option<&str>) -> Result<Self, TransformError> {
        let to = to.unwrap_or(there);
        let mut wildcards = Vec::new();
        let (mut here, mut forth) = (Vec::new(), Vec::new());
        for token in to.split('.') {
            let number = token.strip_prefix('$').and_then(|text| text.parse().ok());
            let number = match token {
                "*" => Some(wildcards.len() + 1),
                _ => number,
            };
            match number {
                Some(number) => {
                    wildcards.push(number);
                    here.push("*".to_owned());
                    forth.push(format!("${number}"));
                }
                None => {
                    here.push(token.to_owned());
                    forth.push(token.to_owned());
                }
            }
        }
        let here = here.join(".");
        let to_here = Transform::parse(there, &forth.join("."))?;
        let mut seen = 0;
        let mut back = Vec::new();
        for token in there.split('.') {
            if token != "*" {
                back.push(token.to_owned());
                continue;
            }
            seen += 1;
            let place = wildcards.iter().position(|number| *number == seen);
            let place = place.ok_or_else(|| TransformError::UnusedWildcard {
                destination: to.to_owned(),
            })?;
            back.push(format!("${}", place + 1));
        }
        Ok(Self {
            to_there: Transform::parse(&here, &back.join("."))?,
            there: there.into(),
            here: here.into(),
            wildcards,
            to_here,
        })
    }

    /// A subject of the exporting account, as it is known here.
    pub(crate) fn to_here(&self, subject: &[u8]) -> Option<Bytes> {
        self.to_here.apply(subject)
    }

    /// A subject of the importing account, as it is known there.
    pub(crate) fn to_there(&self, subject: &[u8]) -> Option<Bytes> {
        self.to_there.apply(subject)
    }

    /// What a subscription here is interested in there. It may match a little more than the subscription does. `None`:
    /// nothing.
    pub(crate) fn narrow(&self, filter: &[u8]) -> Option<Vec<u8>> {
        if !subject::overlap(filter, self.here.as_bytes()) {
            return None;
        }
        let mut known: Vec<&[u8]> = vec![b"*"; self.wildcards.len()];
        let mut tail: &[u8] = b">";
        let (mut rest, mut index) = (filter, 0);
        for token in self.here.split('.') {
            let (asked, after) = match memchr::memchr(b'.', rest) {
                Some(dot) => (&rest[..dot], &rest[dot + 1..]),
                None => (rest, &b""[..]),
            };
            if asked == b">" {
                break;
            }
            if token == ">" {
                tail = rest;
                break;
            }
            if token == "*" {
                known[self.wildcards[index] - 1] = asked;
                index += 1;
            }
            rest = after;
        }
        let mut next = known.into_iter();
        let tokens = self.there.split('.').map(|token| match token {
            "*" => next.next().unwrap_or(b"*"),
            ">" => tail,
            literal => literal.as_bytes(),
        });
        Some(tokens.collect::<Vec<_>>().join(&b'.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Option<impl AsRef<[u8]>>) -> Option<String> {
        bytes.map(|bytes| String::from_utf8_lossy(bytes.as_ref()).into_owned())
    }

    #[track_caller]
    fn check(there: &str, to: &str, subject_there: &str, subject_here: &str) {
        let pair = Pair::new(there, Some(to)).expect("a pair");
        let here = text(pair.to_here(subject_there.as_bytes()));
        assert_eq!(here.as_deref(), Some(subject_here));
        let back = text(pair.to_there(subject_here.as_bytes()));
        assert_eq!(back.as_deref(), Some(subject_there));
    }

    #[test]
    fn subjects_go_there_and_back() {
        check("a", "b", "a", "b");
        check("a.*", "b.*", "a.x", "b.x");
        check("a.*.*", "b.$2.$1", "a.x.y", "b.y.x");
        check("a.>", "p.a.>", "a.x.y", "p.a.x.y");
        check("a.*.>", "p.*.>", "a.x.y.z", "p.x.y.z");
    }

    #[test]
    fn every_wildcard_must_be_used() {
        for (there, to) in [("a.*", "b"), ("a.*.*", "b.$1"), ("a", "b.*"), ("a.>", "b")] {
            assert!(Pair::new(there, Some(to)).is_err(), "{there} {to}");
        }
    }

    #[test]
    fn interest_here_is_interest_there() {
        let narrow = |there: &str, to: &str, filter: &str| {
            let pair = Pair::new(there, Some(to)).expect("a pair");
            text(pair.narrow(filter.as_bytes()))
        };
        for (there, to, filter, expected) in [
            ("a.>", "p.a.>", "p.a.x", Some("a.x")),
            ("a.>", "p.a.>", "p.a.*.y", Some("a.*.y")),
            ("a.>", "p.a.>", "p.>", Some("a.>")),
            ("a.>", "p.a.>", ">", Some("a.>")),
            ("a.>", "p.a.>", "p.b.>", None),
            ("a.*.*", "b.$2.$1", "b.x.*", Some("a.*.x")),
            ("a.*.*", "b.$2.$1", "b.*.y", Some("a.y.*")),
            ("a", "b", "*", Some("a")),
            ("a.*", "b.*", "b.c", Some("a.c")),
        ] {
            assert_eq!(narrow(there, to, filter).as_deref(), expected, "{filter}");
        }
    }
}
