//! `$JS.API.STREAM.>`: making, changing, listing and removing streams.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Asked;
use super::decode::{decode_or_default, from_value, parse};
use super::response::{Answer, Body, Page, answer, success_body};
use crate::jetstream::StreamHandle;
use crate::jetstream::config::{StreamConfig, Timestamp};
use crate::jetstream::error_code::{self as code, ApiError};
use crate::jetstream::limits::{DETAILS_PAGE, NAMES_PAGE, SUBJECTS_PAGE};
use crate::subject;

success_body!(StreamDeleted, "stream_delete");

/// What a stream is like now.
#[derive(Debug, Serialize)]
pub(crate) struct StreamInfo {
    config: Arc<StreamConfig>,
    created: Timestamp,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    ts: Timestamp,
}

#[derive(Debug, Serialize)]
struct State {
    messages: u64,
    bytes: u64,
    first_seq: u64,
    first_ts: Timestamp,
    last_seq: u64,
    last_ts: Timestamp,
    #[serde(skip_serializing_if = "crate::jetstream::config::is_default")]
    num_subjects: u64,
    #[serde(skip_serializing_if = "crate::jetstream::config::is_default")]
    num_deleted: u64,
    consumer_count: usize,
}

impl StreamInfo {
    pub(crate) fn of(asked: Asked<'_>, stream: &StreamHandle) -> Self {
        let state = stream.state();
        Self {
            config: stream.config(),
            created: stream.created(),
            state: State {
                messages: state.messages,
                bytes: state.bytes,
                first_seq: state.first.0,
                first_ts: Timestamp(state.first_timestamp),
                last_seq: state.last.0,
                last_ts: Timestamp(state.last_timestamp),
                num_subjects: state.subjects,
                num_deleted: state.deleted,
                consumer_count: stream.consumers().len(),
            },
            domain: asked.context.config.domain.clone(),
            ts: Timestamp::now(),
        }
    }
}

#[derive(Debug, Serialize)]
struct StreamCreated {
    #[serde(flatten)]
    info: StreamInfo,
    did_create: bool,
}

impl Body for StreamCreated {
    const KIND: &'static str = "stream_create";
}

#[derive(Debug, Serialize)]
struct StreamUpdated {
    #[serde(flatten)]
    info: StreamInfo,
}

impl Body for StreamUpdated {
    const KIND: &'static str = "stream_update";
}

#[derive(Debug, Serialize)]
struct StreamInfoAnswer {
    #[serde(flatten)]
    page: Page,
    #[serde(flatten)]
    info: StreamInfo,
}

impl Body for StreamInfoAnswer {
    const KIND: &'static str = "stream_info";
    const ERROR_MEMBERS: &'static str = Page::EMPTY;
}

#[derive(Debug, Serialize)]
struct StreamNames {
    #[serde(flatten)]
    page: Page,
    /// Null where there is none.
    streams: Option<Vec<String>>,
}

impl Body for StreamNames {
    const KIND: &'static str = "stream_names";
    const ERROR_MEMBERS: &'static str = r#","total":0,"offset":0,"limit":0,"streams":null"#;
}

#[derive(Debug, Serialize)]
struct StreamList {
    #[serde(flatten)]
    page: Page,
    streams: Vec<StreamInfo>,
}

impl Body for StreamList {
    const KIND: &'static str = "stream_list";
    const ERROR_MEMBERS: &'static str = r#","total":0,"offset":0,"limit":0,"streams":null"#;
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListRequest {
    subject: String,
    offset: i64,
}

/// Does what is asked; the tokens follow `STREAM`. `None`: there is no such call.
pub(super) async fn answer_call(asked: Asked<'_>, call: &[&str]) -> Option<Answer> {
    Some(match *call {
        ["CREATE", name] => answer(create(asked, name).await),
        ["UPDATE", name] => answer(update(asked, name).await),
        ["INFO", name] => answer(info(asked, name)),
        ["NAMES"] => answer(names(asked)),
        ["LIST"] => answer(list(asked)),
        ["DELETE", name] => answer(delete(asked, name).await),
        _ => return None,
    })
}

/// The answer to a call that is refused before it is looked at.
pub(super) fn refusal(call: &[&str], error: ApiError) -> Option<Answer> {
    Some(match *call {
        ["CREATE", _] => answer::<StreamCreated>(Err(error)),
        ["UPDATE", _] => answer::<StreamUpdated>(Err(error)),
        ["INFO", _] => answer::<StreamInfoAnswer>(Err(error)),
        ["NAMES"] => answer::<StreamNames>(Err(error)),
        ["LIST"] => answer::<StreamList>(Err(error)),
        ["DELETE", _] => answer::<StreamDeleted>(Err(error)),
        _ => return None,
    })
}

/// Reads a configuration; `pedantic` stands beside its members.
fn config_of(asked: Asked<'_>, name: &str) -> Result<(StreamConfig, bool), ApiError> {
    let mut body = parse(&asked.request.payload)?;
    let pedantic = body
        .as_object_mut()
        .and_then(|members| members.remove("pedantic"));
    let config: StreamConfig = from_value(body, asked.strict())?;
    if config.name != name {
        return Err(code::STREAM_MISMATCH.into());
    }
    Ok((config, pedantic == Some(Value::Bool(true))))
}

async fn create(asked: Asked<'_>, name: &str) -> Result<StreamCreated, ApiError> {
    let (config, _pedantic) = config_of(asked, name)?;
    let stream = asked.streams.create(config).await?;
    Ok(StreamCreated {
        info: StreamInfo::of(asked, &stream),
        did_create: true,
    })
}

async fn update(asked: Asked<'_>, name: &str) -> Result<StreamUpdated, ApiError> {
    let (config, _pedantic) = config_of(asked, name)?;
    let stream = asked.streams.update(config).await?;
    Ok(StreamUpdated {
        info: StreamInfo::of(asked, &stream),
    })
}

fn info(asked: Asked<'_>, name: &str) -> Result<StreamInfoAnswer, ApiError> {
    let stream = asked.stream(name)?;
    Ok(StreamInfoAnswer {
        page: Page::new(0, 0, SUBJECTS_PAGE),
        info: StreamInfo::of(asked, &stream),
    })
}

/// The streams that a list request means, by name.
fn listed(asked: Asked<'_>) -> Result<(Vec<StreamHandle>, ListRequest), ApiError> {
    let request: ListRequest = decode_or_default(&asked.request.payload, asked.strict())?;
    let filter = request.subject.as_bytes();
    let is_listed = |stream: &StreamHandle| {
        let subjects = &stream.config().subjects;
        filter.is_empty()
            || subjects
                .iter()
                .any(|mine| subject::overlap(mine.as_bytes(), filter))
    };
    let mut streams = asked.streams.all();
    streams.retain(is_listed);
    Ok((streams, request))
}

fn names(asked: Asked<'_>) -> Result<StreamNames, ApiError> {
    let (streams, request) = listed(asked)?;
    let page = Page::new(streams.len(), request.offset, NAMES_PAGE);
    let names = page.of(&streams).iter();
    let names: Vec<String> = names.map(|stream| stream.config().name.clone()).collect();
    Ok(StreamNames {
        page,
        streams: Some(names).filter(|names| !names.is_empty()),
    })
}

fn list(asked: Asked<'_>) -> Result<StreamList, ApiError> {
    let (streams, request) = listed(asked)?;
    let page = Page::new(streams.len(), request.offset, DETAILS_PAGE);
    let infos = page.of(&streams).iter();
    Ok(StreamList {
        page,
        streams: infos.map(|stream| StreamInfo::of(asked, stream)).collect(),
    })
}

async fn delete(asked: Asked<'_>, name: &str) -> Result<StreamDeleted, ApiError> {
    if !asked.streams.remove(name).await? {
        return Err(code::STREAM_NOT_FOUND.into());
    }
    Ok(StreamDeleted { success: true })
}
