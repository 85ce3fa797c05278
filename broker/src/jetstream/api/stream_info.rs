//! What a stream is like now, and `$JS.API.STREAM.INFO`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use storage::stream::{Sequence, StreamState, SubjectPattern};

use super::Asked;
use super::decode::decode_json;
use super::response::{Body, Page};
use crate::jetstream::StreamHandle;
use crate::jetstream::config::{StreamConfig, Timestamp, is_default};
use crate::jetstream::context::Context;
use crate::jetstream::error_code::ApiError;
use crate::jetstream::limits::SUBJECTS_PAGE;
use crate::jetstream::source::SourceInfo;

/// What a stream is like now.
#[derive(Debug, Serialize)]
pub(crate) struct StreamInfo {
    pub(crate) config: StreamConfig,
    pub(crate) created: Timestamp,
    pub(crate) state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<Cluster>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mirror: Option<SourceInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sources: Vec<SourceInfo>,
    ts: Timestamp,
}

/// Figures of a stream, in the words of the API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    pub(crate) messages: u64,
    bytes: u64,
    pub(crate) first_seq: u64,
    first_ts: Timestamp,
    pub(crate) last_seq: u64,
    last_ts: Timestamp,
    #[serde(skip_serializing_if = "is_default")]
    num_subjects: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    subjects: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "is_default")]
    num_deleted: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deleted: Vec<u64>,
    consumer_count: usize,
}

/// Who leads, where there is nobody else to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cluster {
    pub(crate) leader: String,
}

impl State {
    pub(crate) fn of(stream: &StreamHandle) -> Self {
        let StreamState {
            first,
            last,
            messages,
            bytes,
            subjects,
            first_timestamp,
            last_timestamp,
            deleted,
        } = stream.state();
        Self {
            messages,
            bytes,
            first_seq: first.0,
            first_ts: Timestamp(first_timestamp),
            last_seq: last.0,
            last_ts: Timestamp(last_timestamp),
            num_subjects: subjects,
            num_deleted: deleted,
            consumer_count: stream.consumers().len(),
            ..Self::default()
        }
    }
}

impl StreamInfo {
    /// As the answer to a call about this one stream.
    pub(crate) fn of(server: &Context, stream: &StreamHandle) -> Self {
        let mut info = Self::in_list(server, stream);
        crate::jetstream::config::metadata::for_answer(&mut info.config.metadata);
        info
    }

    /// As one of many.
    pub(crate) fn in_list(server: &Context, stream: &StreamHandle) -> Self {
        Self {
            config: StreamConfig::clone(&stream.config()),
            created: stream.created(),
            state: State::of(stream),
            domain: server.config.domain.clone(),
            cluster: None,
            mirror: stream.origins().mirror(),
            sources: stream.origins().sources(),
            ts: Timestamp::now(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct StreamInfoAnswer {
    #[serde(flatten)]
    page: Page,
    #[serde(flatten)]
    info: StreamInfo,
}

impl Body for StreamInfoAnswer {
    const KIND: &'static str = "stream_info";
    const ERROR_MEMBERS: &'static str = Page::EMPTY;
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InfoRequest {
    offset: i64,
    deleted_details: bool,
    subjects_filter: String,
}

pub(super) fn info(asked: Asked<'_>, name: &str) -> Result<StreamInfoAnswer, ApiError> {
    let stream = asked.stream(name)?;
    let request: InfoRequest = decode_json(&asked.request.payload, asked.strict())?;
    let mut info = StreamInfo::of(asked.context, &stream);
    info.cluster = Some(Cluster {
        leader: asked.context.server_name.clone(),
    });
    let mut page = Page {
        total: 0,
        offset: 0,
        limit: 0,
    };
    if request.deleted_details {
        let deleted = stream.storage().deleted(Sequence::NONE, usize::MAX);
        info.state.deleted = deleted.into_iter().map(|sequence| sequence.0).collect();
    }
    if let Some(filter) = SubjectPattern::parse(&request.subjects_filter) {
        let mut subjects = stream.storage().subjects(Some(&filter));
        if !subjects.is_empty() {
            subjects.sort_unstable();
            // Beyond the end nothing is listed, and the offset is given back as it was asked for.
            page.total = subjects.len();
            page.offset = usize::try_from(request.offset).unwrap_or(0);
            page.limit = SUBJECTS_PAGE;
            let listed = page.of(&subjects).iter();
            info.state.subjects = listed
                .map(|(subject, count)| (String::from_utf8_lossy(subject).into_owned(), *count))
                .collect();
        }
    }
    Ok(StreamInfoAnswer { page, info })
}
