//! Every cap of JetStream with its default and unit. The defaults are nats-server's where it has one.

use std::time::Duration;

use crate::accounts::AccountJetStream;

/// Caps of JetStream that an operator may set: each for one account, unless it says otherwise. `None` is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JetStreamLimits {
    /// Bytes of all memory streams. Default: none.
    pub memory_bytes_max: Option<u64>,
    /// Bytes of all disk streams. Default: none.
    pub storage_bytes_max: Option<u64>,
    /// Streams. Default: none.
    pub streams_max: Option<usize>,
    /// Consumers of one stream. Default: none.
    pub consumers_max: Option<usize>,
    /// `max_ack_pending` of one consumer. Default: none.
    pub ack_pending_max: Option<u64>,
    /// `max_bytes` of one memory stream. Default: none.
    pub memory_stream_bytes_max: Option<u64>,
    /// `max_bytes` of one disk stream. Default: none.
    pub storage_stream_bytes_max: Option<u64>,
    /// Every stream must say how large it may get. Default: no.
    pub bytes_max_required: bool,
    /// Longest duplicate window. Default: none.
    pub duplicate_window_max: Option<Duration>,
    /// Messages of one pull request. Default: none.
    pub request_batch_max: Option<usize>,
    /// API requests of one account that wait; more are refused with 429. Default 10,000.
    pub requests_max: usize,
    /// Bytes of all waiting API requests of one account. Default 32 MiB (nats-server: unlimited).
    pub request_bytes_max: usize,
    /// Direct gets of one account that wait for the disk; more are refused with 429. Default 10,000.
    pub direct_gets_max: usize,
}

impl Default for JetStreamLimits {
    fn default() -> Self {
        Self {
            memory_bytes_max: None,
            storage_bytes_max: None,
            streams_max: None,
            consumers_max: None,
            ack_pending_max: None,
            memory_stream_bytes_max: None,
            storage_stream_bytes_max: None,
            bytes_max_required: false,
            duplicate_window_max: None,
            request_batch_max: None,
            requests_max: 10_000,
            request_bytes_max: 32 << 20,
            direct_gets_max: 10_000,
        }
    }
}

impl JetStreamLimits {
    /// These limits, where an account has smaller ones.
    pub(crate) fn within(&self, own: &AccountJetStream) -> Self {
        fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            match (one, other) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            }
        }
        Self {
            memory_bytes_max: least(self.memory_bytes_max, own.memory_bytes_max),
            storage_bytes_max: least(self.storage_bytes_max, own.storage_bytes_max),
            streams_max: least(self.streams_max, own.streams_max),
            consumers_max: least(self.consumers_max, own.consumers_max),
            ack_pending_max: least(self.ack_pending_max, own.ack_pending_max),
            memory_stream_bytes_max: least(
                self.memory_stream_bytes_max,
                own.memory_stream_bytes_max,
            ),
            storage_stream_bytes_max: least(
                self.storage_stream_bytes_max,
                own.storage_stream_bytes_max,
            ),
            bytes_max_required: self.bytes_max_required || own.bytes_max_required,
            ..self.clone()
        }
    }
}

/// Names in one page of a list of names.
pub(crate) const NAMES_PAGE: usize = 1024;
/// Entries in one page of a detailed list.
pub(crate) const DETAILS_PAGE: usize = 256;
/// Subjects or deleted sequences in one page of a stream's details.
pub(crate) const SUBJECTS_PAGE: usize = 100_000;
