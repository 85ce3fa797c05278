//! Where a mirror or a sourcing stream gets its messages from, and how subjects change on the way.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One origin of a stream: of `mirror`, or one of `sources`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamSource {
    /// The origin's name.
    pub name: String,
    /// Where to begin, by sequence; 0: at the beginning.
    #[serde(skip_serializing_if = "super::is_default")]
    pub opt_start_seq: u64,
    /// Where to begin, by time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_start_time: Option<Timestamp>,
    /// Only these subjects; empty: all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter_subject: String,
    /// Filters with new subjects; excludes `filter_subject`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject_transforms: Vec<SubjectTransform>,
    /// The origin is in another account or domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// A durable consumer of the origin that is there already and is to be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<SourceConsumer>,
}

/// How to reach a stream of another account or domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct External {
    /// Prefix of its API, such as `$JS.hub.API`.
    pub api: String,
    /// Prefix of the subjects it delivers on.
    pub deliver: String,
}

/// A consumer that a mirror or source uses instead of making its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceConsumer {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The subject it delivers on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deliver_subject: String,
}

/// Subjects matching `src` become `dest`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubjectTransform {
    /// What it applies to; empty: everything.
    pub src: String,
    /// What becomes of it; empty: it stays.
    pub dest: String,
}
