//! What accounts give each other, and where a published message goes instead.

use std::time::Duration;

/// What an account lets others import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Export {
    /// Messages that its clients publish.
    Stream(StreamExport),
    /// Requests that its clients answer.
    Service(ServiceExport),
}

/// Messages of an account that others may receive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamExport {
    /// A pattern.
    pub subject: String,
    /// Who may import it; `None`: everybody.
    pub accounts: Option<Vec<String>>,
    /// The token, counted from 1, that must be the name of the importing account.
    pub account_token_position: Option<usize>,
}

/// Requests that clients of an account answer for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceExport {
    /// A pattern.
    pub subject: String,
    /// Who may import it; `None`: everybody.
    pub accounts: Option<Vec<String>>,
    /// How many answers a request has.
    pub response: ResponseType,
    /// How long an answer is waited for; for several answers, how long for the next one. Default two minutes.
    pub threshold: Duration,
    /// The token, counted from 1, that must be the name of the importing account.
    pub account_token_position: Option<usize>,
    /// Measurements of its answers, published in the exporting account.
    pub latency: Option<Latency>,
    /// Message traces go on inside the exporting account.
    pub allow_trace: bool,
}

impl Default for ServiceExport {
    fn default() -> Self {
        Self {
            subject: String::new(),
            accounts: None,
            response: ResponseType::Single,
            threshold: Self::THRESHOLD,
            account_token_position: None,
            latency: None,
            allow_trace: false,
        }
    }
}

impl ServiceExport {
    /// The default of [`ServiceExport::threshold`].
    pub const THRESHOLD: Duration = Duration::from_secs(120);
}

/// How many answers a request has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResponseType {
    /// One.
    #[default]
    Single,
    /// Any number, until none comes for the threshold.
    Stream,
    /// Any number, until an empty one.
    Chunked,
}

/// How often answers of a service are measured, and where that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latency {
    /// Of a hundred requests; 0: those whose headers ask for it.
    pub sampling_percent: u8,
    /// Where the measurements are published.
    pub subject: String,
}

/// What an account takes from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Import {
    /// Messages.
    Stream(StreamImport),
    /// Requests are answered there.
    Service(ServiceImport),
}

/// Messages that come from another account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamImport {
    /// The exporting account.
    pub account: String,
    /// The pattern there: a subset of what is exported.
    pub subject: String,
    /// The subject here, whose wildcards stand for those of `subject` in order; `None`: the same.
    pub to: Option<String>,
    /// Stands before the subject here; not together with `to`.
    pub prefix: Option<String>,
    /// Message traces go on inside the importing account.
    pub allow_trace: bool,
}

/// Requests that another account answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceImport {
    /// The exporting account.
    pub account: String,
    /// The subject there: a subset of what is exported.
    pub subject: String,
    /// The subject that clients here ask on; `None`: the same.
    pub to: Option<String>,
    /// The header `Nats-Request-Info` tells the other account who asks, and not only from which account.
    pub share: bool,
}

/// Messages published on one subject are taken as published on another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping {
    /// The pattern that is published on.
    pub source: String,
    /// Where they go. What the weights leave of a hundred stays where it was.
    pub destinations: Vec<MappedDestination>,
}

/// One destination of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedDestination {
    /// The subject, with functions such as `{{wildcard(1)}}`.
    pub subject: String,
    /// Of a hundred messages.
    pub weight_percent: u8,
    /// For servers of this cluster only. One server alone has no cluster, so it never applies.
    pub cluster: Option<String>,
}

impl MappedDestination {
    /// Where every message goes.
    #[must_use]
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            weight_percent: 100,
            cluster: None,
        }
    }
}
