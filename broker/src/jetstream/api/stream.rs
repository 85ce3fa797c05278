//! `$JS.API.STREAM.>`: making, changing, listing and removing streams.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Asked;
use super::backup;
use super::decode::{decode_json, from_value, is_empty_request, parse};
use super::message;
use super::response::{Answer, Body, Page, answer, success_body};
use super::stream_info::{StreamInfo, StreamInfoAnswer, info};
use crate::jetstream::StreamHandle;
use crate::jetstream::config::StreamConfig;
use crate::jetstream::context::Context;
use crate::jetstream::error_code::{self as code, ApiError};
use crate::jetstream::limits::{DETAILS_PAGE, NAMES_PAGE};
use crate::subject;

success_body!(StreamDeleted, "stream_delete");
success_body!(StreamLeaderStepdown, "stream_leader_stepdown");
success_body!(StreamPeerRemoved, "stream_remove_peer");

#[derive(Debug, Serialize)]
pub(super) struct StreamCreated {
    #[serde(flatten)]
    info: StreamInfo,
    did_create: bool,
}

impl StreamCreated {
    pub(super) fn of(server: &Context, stream: &StreamHandle) -> Self {
        Self {
            info: StreamInfo::of(server, stream),
            did_create: true,
        }
    }
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
        ["PURGE", name] => answer(message::purge(asked, name).await),
        ["MSG", "GET", name] => answer(message::get(asked, name).await),
        ["MSG", "DELETE", name] => answer(message::delete(asked, name).await),
        ["SNAPSHOT", name] => answer(backup::snapshot(asked, name)),
        ["RESTORE", name] => answer(backup::restore(asked, name)),
        ["LEADER", "STEPDOWN", _] | ["PEER", "REMOVE", _] => {
            return refusal(call, code::CLUSTER_REQUIRED.into());
        }
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
        ["PURGE", _] => answer::<message::StreamPurged>(Err(error)),
        ["MSG", "GET", _] => answer::<message::MessageGot>(Err(error)),
        ["MSG", "DELETE", _] => answer::<message::MessageDeleted>(Err(error)),
        ["SNAPSHOT", _] => answer::<backup::SnapshotBegun>(Err(error)),
        ["RESTORE", _] => answer::<backup::RestoreBegun>(Err(error)),
        ["LEADER", "STEPDOWN", _] => answer::<StreamLeaderStepdown>(Err(error)),
        ["PEER", "REMOVE", _] => answer::<StreamPeerRemoved>(Err(error)),
        _ => return None,
    })
}

/// Reads a configuration; `pedantic` stands beside its members.
fn config_of(asked: Asked<'_>, name: &str) -> Result<(StreamConfig, bool), ApiError> {
    if asked.request.payload.is_empty() {
        return Err(code::STREAM_MISMATCH.into());
    }
    let mut body = parse(&asked.request.payload)?;
    let pedantic = body
        .as_object_mut()
        .and_then(|members| members.remove("pedantic"));
    let config: StreamConfig = from_value(body, asked.strict())?;
    if config.name != name {
        return Err(code::STREAM_MISMATCH.into());
    }
    if name.contains(['/', '\\']) {
        return Err(code::STREAM_NAME_CONTAINS_PATH_SEPARATORS.into());
    }
    Ok((config, pedantic == Some(Value::Bool(true))))
}

async fn create(asked: Asked<'_>, name: &str) -> Result<StreamCreated, ApiError> {
    let (config, pedantic) = config_of(asked, name)?;
    let stream = asked.streams.create(config, pedantic).await?;
    Ok(StreamCreated::of(asked.context, &stream))
}

async fn update(asked: Asked<'_>, name: &str) -> Result<StreamUpdated, ApiError> {
    let (config, pedantic) = config_of(asked, name)?;
    let stream = asked.streams.update(config, pedantic).await?;
    Ok(StreamUpdated {
        info: StreamInfo::of(asked.context, &stream),
    })
}

/// The streams that a list request means, by name.
fn listed(asked: Asked<'_>) -> Result<(Vec<StreamHandle>, ListRequest), ApiError> {
    let request: ListRequest = decode_json(&asked.request.payload, asked.strict())?;
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
    let infos = infos.map(|stream| StreamInfo::in_list(asked.context, stream));
    Ok(StreamList {
        page,
        streams: infos.collect(),
    })
}

async fn delete(asked: Asked<'_>, name: &str) -> Result<StreamDeleted, ApiError> {
    if !is_empty_request(&asked.request.payload) {
        return Err(code::NOT_EMPTY_REQUEST.into());
    }
    if !asked.streams.remove(name).await? {
        return Err(code::STREAM_NOT_FOUND.into());
    }
    Ok(StreamDeleted { success: true })
}
