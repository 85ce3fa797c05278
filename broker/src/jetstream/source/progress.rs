//! How far a copy has come, as stream info shows it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::jetstream::config::{External, Nanos, StreamSource, SubjectTransform};
use crate::jetstream::error_code::ApiError;

/// One origin in the info of a stream, in nats-server's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SourceInfo {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    external: Option<External>,
    /// Messages of the origin that are still to be copied.
    lag: u64,
    /// The origin's sequence of what was copied last; a mirror has it as its own last sequence.
    #[serde(skip_serializing_if = "crate::jetstream::config::is_default")]
    seq: u64,
    /// Time since the origin was heard from; -1: never.
    active: Nanos,
    #[serde(skip_serializing_if = "String::is_empty")]
    filter_subject: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subject_transforms: Vec<SubjectTransform>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ApiError>,
}

#[cfg(test)]
impl SourceInfo {
    /// The origin's sequence of what was copied last.
    pub(crate) fn sequence(&self) -> u64 {
        self.seq
    }
}

/// Figures of one origin, written by the task that copies it and read by whoever asks for info.
#[derive(Debug, Default)]
pub(crate) struct Progress(Mutex<Figures>);

#[derive(Debug, Default)]
struct Figures {
    contact: Contact,
    lag: u64,
    sequence: u64,
    error: Option<ApiError>,
}

#[derive(Debug, Default, Clone, Copy)]
enum Contact {
    #[default]
    Never,
    /// The origin is open in this process: it is heard from at every moment.
    Now,
    Lost(Instant),
}

impl Progress {
    /// The origin is there and will be read.
    pub(crate) fn attached(&self, lag: u64) {
        let mut figures = self.lock();
        figures.contact = Contact::Now;
        figures.lag = lag;
        figures.error = None;
    }

    /// The origin is gone.
    pub(crate) fn lost(&self, now: Instant, error: ApiError) {
        let mut figures = self.lock();
        if let Contact::Now = figures.contact {
            figures.contact = Contact::Lost(now);
        }
        figures.error = Some(error);
    }

    /// Where a copy goes on: this was copied last.
    pub(crate) fn resumed(&self, sequence: u64) {
        self.lock().sequence = sequence;
    }

    /// Messages up to `sequence` of the origin are stored; `lag` are left.
    pub(crate) fn copied(&self, sequence: u64, lag: u64) {
        let mut figures = self.lock();
        figures.sequence = sequence;
        figures.lag = lag;
        figures.error = None;
    }

    /// Copying stands still until something changes; `lag`: what waits, where that is known.
    pub(crate) fn blocked(&self, error: ApiError, lag: Option<u64>) {
        let mut figures = self.lock();
        figures.error = Some(error);
        figures.lag = lag.unwrap_or(figures.lag);
    }

    /// What stream info shows; a mirror says no sequence.
    pub(crate) fn info(&self, source: &StreamSource, is_mirror: bool, now: Instant) -> SourceInfo {
        let figures = self.lock();
        let active = match figures.contact {
            Contact::Never => Nanos(-1),
            Contact::Now => Nanos::ZERO,
            Contact::Lost(since) => now.saturating_duration_since(since).into(),
        };
        SourceInfo {
            name: source.name.clone(),
            external: source.external.clone(),
            lag: figures.lag,
            seq: if is_mirror { 0 } else { figures.sequence },
            active,
            filter_subject: source.filter_subject.clone(),
            subject_transforms: source.subject_transforms.clone(),
            error: figures.error.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::jetstream::error_code as code;

    #[track_caller]
    fn check(progress: &Progress, now: Instant, expected: &str) {
        let source = StreamSource {
            name: "A".to_owned(),
            ..StreamSource::default()
        };
        let info = progress.info(&source, false, now);
        assert_eq!(serde_json::to_string(&info).expect("JSON"), expected);
    }

    #[test]
    fn an_origin_that_was_never_there_is_never_active() {
        let progress = Progress::default();
        let now = Instant::now();
        check(&progress, now, r#"{"name":"A","lag":0,"active":-1}"#);
        progress.lost(now, code::STREAM_NOT_FOUND.into());
        check(
            &progress,
            now,
            r#"{"name":"A","lag":0,"active":-1,"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#,
        );
    }

    #[test]
    fn figures_follow_what_is_copied() {
        let progress = Progress::default();
        let now = Instant::now();
        progress.attached(5);
        check(&progress, now, r#"{"name":"A","lag":5,"active":0}"#);
        progress.copied(3, 2);
        check(&progress, now, r#"{"name":"A","lag":2,"seq":3,"active":0}"#);
        progress.lost(now, code::STREAM_NOT_FOUND.into());
        let later = now + Duration::from_nanos(7);
        progress.lost(later, code::STREAM_NOT_FOUND.into());
        check(
            &progress,
            later,
            r#"{"name":"A","lag":2,"seq":3,"active":7,"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#,
        );
        progress.attached(2);
        progress.blocked(code::STREAM_STORE_FAILED.with("no room"), Some(9));
        progress.copied(5, 0);
        check(
            &progress,
            later,
            r#"{"name":"A","lag":0,"seq":5,"active":0}"#,
        );
    }

    #[test]
    fn a_mirror_says_what_it_selects_and_no_sequence() {
        let progress = Progress::default();
        progress.attached(0);
        progress.copied(9, 0);
        let mirror = StreamSource {
            name: "A".to_owned(),
            filter_subject: "a".to_owned(),
            external: Some(External {
                api: "$JS.hub.API".to_owned(),
                deliver: String::new(),
            }),
            ..StreamSource::default()
        };
        let info = progress.info(&mirror, true, Instant::now());
        assert_eq!(
            serde_json::to_string(&info).expect("JSON"),
            r#"{"name":"A","external":{"api":"$JS.hub.API","deliver":""},"lag":0,"active":0,"filter_subject":"a"}"#
        );
    }
}
