//! `Nats-Stream-Source`: where a sourced message comes from.
//!
//! `<stream> <sequence> <filters> <destinations> <subject> <id>`, as nats-server writes it: `>` stands for no filter and
//! for an unchanged subject, several filters are separated by form feeds, and the id tells one life of the origin from
//! the next of the same name.

use sha2::{Digest, Sha256};

use crate::jetstream::config::{StreamSource, Timestamp};

/// Name of the header.
pub(crate) const STREAM_SOURCE: &str = "Nats-Stream-Source";
/// Between several filters or destinations.
const SEPARATOR: &str = "\u{c}";

/// One origin among the sources of a stream: what no two of them may have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SourceKey {
    /// The origin's name, with a hash of the API prefix where it is in another account or domain.
    stream: String,
    filters: String,
    destinations: String,
}

impl SourceKey {
    /// The key of a configured source.
    pub(crate) fn new(source: &StreamSource) -> Self {
        let stream = match &source.external {
            Some(external) => format!("{}:{}", source.name, hash(&external.api)),
            None => source.name.clone(),
        };
        let transforms = &source.subject_transforms;
        let join = |texts: Vec<&str>| {
            let texts: Vec<&str> = texts.into_iter().map(any_if_empty).collect();
            texts.join(SEPARATOR)
        };
        let (filters, destinations) = if transforms.is_empty() {
            (vec![source.filter_subject.as_str()], vec![""])
        } else {
            (
                transforms.iter().map(|one| one.src.as_str()).collect(),
                transforms.iter().map(|one| one.dest.as_str()).collect(),
            )
        };
        Self {
            stream,
            filters: join(filters),
            destinations: join(destinations),
        }
    }

    /// The value of the header for one message of this origin.
    pub(crate) fn header(&self, sequence: u64, subject: &[u8], id: &str) -> String {
        let subject = String::from_utf8_lossy(subject);
        let Self {
            stream,
            filters,
            destinations,
        } = self;
        format!("{stream} {sequence} {filters} {destinations} {subject} {id}")
    }

    /// Sequence and id in a value of the header, if it is one of this origin. Older servers write no id.
    pub(crate) fn read<'a>(&self, value: &'a str) -> Option<(u64, Option<&'a str>)> {
        let mut parts = value.split(' ');
        let stream = parts.next()?;
        let sequence = parts.next()?.parse().ok()?;
        let is_mine = stream == self.stream
            && parts.next()? == self.filters
            && parts.next()? == self.destinations;
        let _subject = parts.next()?;
        is_mine.then(|| (sequence, parts.next()))
    }
}

impl std::fmt::Display for SourceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.stream, self.filters, self.destinations)
    }
}

/// Tells one life of a stream from the next of the same name: a hash of when it was made, as in nats-server.
pub(crate) fn life_id(created: Timestamp) -> String {
    hash(&created.to_string())
}

fn any_if_empty(subject: &str) -> &str {
    if subject.is_empty() { ">" } else { subject }
}

/// Eight letters and digits of a text's SHA-256: nats-server's short hash.
pub(super) fn hash(text: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digest = Sha256::digest(text.as_bytes());
    let digits = digest.iter().take(8);
    digits
        .map(|byte| char::from(DIGITS[usize::from(*byte) % DIGITS.len()]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::config::{External, SubjectTransform};

    fn source() -> StreamSource {
        StreamSource {
            name: "A".to_owned(),
            ..StreamSource::default()
        }
    }

    fn transform(src: &str, dest: &str) -> SubjectTransform {
        SubjectTransform {
            src: src.to_owned(),
            dest: dest.to_owned(),
        }
    }

    #[track_caller]
    fn check(source: &StreamSource, expected: &str) {
        let key = SourceKey::new(source);
        let value = key.header(7, b"a.0", "LzHP6OoP");
        assert_eq!(value, expected);
        assert_eq!(key.read(&value), Some((7, Some("LzHP6OoP"))));
    }

    #[test]
    fn a_header_says_where_a_message_comes_from() {
        check(&source(), "A 7 > > a.0 LzHP6OoP");
        let mut filtered = source();
        filtered.filter_subject = "a.*".to_owned();
        check(&filtered, "A 7 a.* > a.0 LzHP6OoP");
        let mut transformed = source();
        transformed.subject_transforms = vec![transform("a.0", "x.zero"), transform("a.1", "")];
        check(&transformed, "A 7 a.0\u{c}a.1 x.zero\u{c}> a.0 LzHP6OoP");
        let mut external = source();
        external.external = Some(External {
            api: "$JS.hub.API".to_owned(),
            deliver: String::new(),
        });
        let stream = format!("A:{}", hash("$JS.hub.API"));
        check(&external, &format!("{stream} 7 > > a.0 LzHP6OoP"));
    }

    #[test]
    fn only_its_own_headers_are_read() {
        let key = SourceKey::new(&source());
        assert_eq!(key.read("A 7 > > a.0"), Some((7, None)));
        for other in [
            "B 7 > > a.0 id",
            "A 7 a > a.0 id",
            "A 7 > b a.0 id",
            "A x > > a.0 id",
            "A 7",
            "",
        ] {
            assert_eq!(key.read(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_life_is_told_by_when_it_began() {
        let created = Timestamp::parse("2026-11-25T10:36:22.196147011Z").expect("a time");
        assert_eq!(life_id(created), "SE9Bp96n");
        assert_eq!(hash("$G"), "szMpdrwD");
    }
}
