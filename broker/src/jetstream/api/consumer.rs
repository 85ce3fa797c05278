//! `$JS.API.CONSUMER.>`: making, changing, listing and removing consumers. Pull requests are no part of it: they go straight
//! to their consumer.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Asked;
use super::decode::{decode, decode_json};
use super::response::{Answer, Body, Page, answer, success_body};
use crate::jetstream::StreamHandle;
use crate::jetstream::config::consumer_check::{Caps, check_name};
use crate::jetstream::config::{ConsumerConfig, Timestamp, is_default, metadata};
use crate::jetstream::consumer::{Action, Consumer, ConsumerInfo, token};
use crate::jetstream::error_code::{self as code, ApiError};
use crate::jetstream::limits::{DETAILS_PAGE, NAMES_PAGE};

/// Length of the names that the server makes up.
const NAME_LEN: usize = 8;

success_body!(ConsumerDeleted, "consumer_delete");
success_body!(StepDown, "consumer_leader_stepdown");

/// `consumer_create`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Created(ConsumerInfo);

impl Body for Created {
    const KIND: &'static str = "consumer_create";
}

/// `consumer_info`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Info(ConsumerInfo);

impl Body for Info {
    const KIND: &'static str = "consumer_info";
}

#[derive(Debug, Serialize)]
struct Reset {
    #[serde(flatten)]
    info: ConsumerInfo,
    reset_seq: u64,
}

impl Body for Reset {
    const KIND: &'static str = "consumer_reset";
    const ERROR_MEMBERS: &'static str = r#","reset_seq":0"#;
}

#[derive(Debug, Serialize)]
struct Unpinned {}

impl Body for Unpinned {
    const KIND: &'static str = "consumer_unpin";
}

#[derive(Debug, Serialize)]
struct Paused {
    paused: bool,
    pause_until: Timestamp,
    #[serde(skip_serializing_if = "is_default")]
    pause_remaining: u64,
}

impl Body for Paused {
    const KIND: &'static str = "consumer_pause";
    const ERROR_MEMBERS: &'static str = r#","paused":false,"pause_until":"0001-01-01T00:00:00Z""#;
}

#[derive(Debug, Serialize)]
struct Names {
    #[serde(flatten)]
    page: Page,
    consumers: Vec<String>,
}

impl Body for Names {
    const KIND: &'static str = "consumer_names";
    const ERROR_MEMBERS: &'static str = r#","total":0,"offset":0,"limit":0,"consumers":[]"#;
}

#[derive(Debug, Serialize)]
struct List {
    #[serde(flatten)]
    page: Page,
    consumers: Vec<ConsumerInfo>,
}

impl Body for List {
    const KIND: &'static str = "consumer_list";
    const ERROR_MEMBERS: &'static str = r#","total":0,"offset":0,"limit":0,"consumers":[]"#;
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CreateRequest {
    stream_name: String,
    config: ConsumerConfig,
    action: Action,
    pedantic: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListRequest {
    offset: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PauseRequest {
    pause_until: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct UnpinRequest {
    group: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ResetRequest {
    seq: u64,
}

/// The forms of a create request, by its subject.
#[derive(Debug, Clone, Copy)]
enum Form<'a> {
    /// `CREATE.<stream>`: an ephemeral one.
    Unnamed,
    /// `CREATE.<stream>.<consumer>[.<filter>]`
    Named {
        name: &'a str,
        filter: &'a [&'a str],
    },
    /// `DURABLE.CREATE.<stream>.<consumer>`
    Durable { name: &'a str },
}

/// Does what is asked; the tokens follow `CONSUMER`. `None`: there is no such call.
pub(super) async fn answer_call(asked: Asked<'_>, call: &[&str]) -> Option<Answer> {
    Some(match *call {
        ["CREATE", stream] => answer(create(asked, stream, Form::Unnamed).await),
        ["CREATE", stream, name, ref filter @ ..] => {
            answer(create(asked, stream, Form::Named { name, filter }).await)
        }
        ["DURABLE", "CREATE", stream, name] => {
            answer(create(asked, stream, Form::Durable { name }).await)
        }
        ["INFO", stream, name] => answer(info(asked, stream, name).await),
        ["NAMES", stream] => answer(names(asked, stream)),
        ["LIST", stream] => answer(list(asked, stream).await),
        ["DELETE", stream, name] => answer(delete(asked, stream, name).await),
        ["PAUSE", stream, name] => answer(pause(asked, stream, name).await),
        ["UNPIN", stream, name] => answer(unpin(asked, stream, name)),
        ["LEADER", "STEPDOWN", _, _] => answer::<StepDown>(Err(code::CLUSTER_REQUIRED.into())),
        ["RESET", stream, name] => {
            // Without such a consumer nobody answers, as in nats-server.
            let consumer = find(asked, stream, name).ok()?;
            answer(reset(asked, consumer).await)
        }
        _ => return None,
    })
}

/// The answer to a call that is refused before it is looked at.
pub(super) fn refusal(call: &[&str], error: ApiError) -> Option<Answer> {
    Some(match *call {
        ["CREATE", _, ..] | ["DURABLE", "CREATE", _, _] => answer::<Created>(Err(error)),
        ["INFO", _, _] => answer::<Info>(Err(error)),
        ["NAMES", _] => answer::<Names>(Err(error)),
        ["LIST", _] => answer::<List>(Err(error)),
        ["DELETE", _, _] => answer::<ConsumerDeleted>(Err(error)),
        ["PAUSE", _, _] => answer::<Paused>(Err(error)),
        ["UNPIN", _, _] => answer::<Unpinned>(Err(error)),
        ["LEADER", "STEPDOWN", _, _] => answer::<StepDown>(Err(error)),
        ["RESET", _, _] => answer::<Reset>(Err(error)),
        _ => return None,
    })
}

/// The stream and one of its consumers.
fn find(
    asked: Asked<'_>,
    stream: &str,
    name: &str,
) -> Result<(StreamHandle, Arc<Consumer>), ApiError> {
    let stream = asked.stream(stream)?;
    let consumer = stream
        .consumers()
        .find(name)
        .ok_or(code::CONSUMER_NOT_FOUND)?;
    Ok((stream, consumer))
}

async fn create(asked: Asked<'_>, stream: &str, form: Form<'_>) -> Result<Created, ApiError> {
    let request: CreateRequest = match &asked.request.payload[..] {
        // An empty body names no stream.
        b"" => CreateRequest::default(),
        body => decode(body, asked.strict())?,
    };
    if request.stream_name != stream {
        return Err(code::STREAM_MISMATCH.into());
    }
    let mut config = request.config;
    let name = settle_name(&mut config, form)?;
    let handle = asked.stream(stream)?;
    let of_stream = handle.config();
    let limits = asked.streams.limits();
    let caps = Caps {
        ack_pending_max: limits.ack_pending_max,
        request_batch_max: limits.request_batch_max.map(|max| max as u64),
    };
    if request.pedantic {
        config.check_pedantic(&of_stream)?;
    }
    config.check(&of_stream, caps)?;
    let mut config = config.normalise(&of_stream);
    let level = config.required_level();
    metadata::stamp(&mut config.metadata, level);
    handle
        .consumers()
        .create(&of_stream, &name, config, request.action)
        .await
        .map(|info| Created(info.for_answer()))
}

/// Decides on the name and returns it: the one in the subject counts.
fn settle_name(config: &mut ConsumerConfig, form: Form<'_>) -> Result<String, ApiError> {
    match form {
        Form::Unnamed => {
            if config.is_durable() {
                return Err(code::CONSUMER_EPHEMERAL_WITH_DURABLE_NAME.into());
            }
        }
        Form::Named { name, filter } => {
            if config.is_durable() && config.durable != name {
                return Err(code::CONSUMER_DURABLE_NAME_NOT_MATCH_SUBJECT.into());
            }
            check_filter(config, filter)?;
            name.clone_into(&mut config.name);
        }
        Form::Durable { name } => {
            if !config.is_durable() {
                return Err(code::CONSUMER_DURABLE_NAME_NOT_SET.into());
            }
            if config.durable != name {
                return Err(code::CONSUMER_DURABLE_NAME_NOT_MATCH_SUBJECT.into());
            }
            name.clone_into(&mut config.name);
        }
    }
    if config.name.is_empty() {
        // A name that the server makes up is no part of the configuration.
        return Ok(token(NAME_LEN));
    }
    check_name(&config.name)?;
    Ok(config.name.clone())
}

/// A filter in the subject repeats the one of the configuration, so that permissions can speak of it.
fn check_filter(config: &ConsumerConfig, filter: &[&str]) -> Result<(), ApiError> {
    if filter.is_empty() {
        return Ok(());
    }
    if !config.filter_subjects.is_empty() {
        return Err(code::CONSUMER_MULTIPLE_FILTERS_NOT_ALLOWED.into());
    }
    if config.filter_subject != filter.join(".") {
        return Err(code::CONSUMER_CREATE_FILTER_SUBJECT_MISMATCH.into());
    }
    Ok(())
}

async fn info(asked: Asked<'_>, stream: &str, name: &str) -> Result<Info, ApiError> {
    let (_, consumer) = find(asked, stream, name)?;
    Ok(Info(consumer.info().await.for_answer()))
}

fn names(asked: Asked<'_>, stream: &str) -> Result<Names, ApiError> {
    let stream = asked.stream(stream)?;
    let request: ListRequest = decode_json(&asked.request.payload, asked.strict())?;
    let names = stream.consumers().names();
    let page = Page::new(names.len(), request.offset, NAMES_PAGE);
    Ok(Names {
        consumers: page.of(&names).to_vec(),
        page,
    })
}

async fn list(asked: Asked<'_>, stream: &str) -> Result<List, ApiError> {
    let stream = asked.stream(stream)?;
    let request: ListRequest = decode_json(&asked.request.payload, asked.strict())?;
    let all = stream.consumers().all();
    let page = Page::new(all.len(), request.offset, DETAILS_PAGE);
    let mut consumers = Vec::new();
    for consumer in page.of(&all) {
        consumers.push(consumer.info().await);
    }
    Ok(List { page, consumers })
}

async fn delete(asked: Asked<'_>, stream: &str, name: &str) -> Result<ConsumerDeleted, ApiError> {
    let stream = asked.stream(stream)?;
    if !stream.consumers().remove(name).await? {
        return Err(code::CONSUMER_NOT_FOUND.into());
    }
    Ok(ConsumerDeleted { success: true })
}

async fn pause(asked: Asked<'_>, stream: &str, name: &str) -> Result<Paused, ApiError> {
    let request: PauseRequest = decode_json(&asked.request.payload, asked.strict())?;
    let (stream, consumer) = find(asked, stream, name)?;
    let until = stream
        .consumers()
        .pause(&consumer, request.pause_until)
        .await?;
    let now = Timestamp::now();
    Ok(Paused {
        paused: until.is_some(),
        pause_until: until.or(request.pause_until).unwrap_or_default(),
        pause_remaining: until.map_or(0, |until| until.0.saturating_sub(now.0)),
    })
}

fn unpin(asked: Asked<'_>, stream: &str, name: &str) -> Result<Unpinned, ApiError> {
    let request: UnpinRequest = decode(&asked.request.payload, asked.strict())?;
    if request.group.is_empty() {
        return Err(code::INVALID_JSON.with("consumer group not specified"));
    }
    let (_, consumer) = find(asked, stream, name)?;
    if !consumer.config().priority_groups.contains(&request.group) {
        return Err(code::CONSUMER_INVALID_PRIORITY_GROUP.into());
    }
    consumer.unpin();
    Ok(Unpinned {})
}

async fn reset(
    asked: Asked<'_>,
    (stream, consumer): (StreamHandle, Arc<Consumer>),
) -> Result<Reset, ApiError> {
    // Members that nobody knows are not minded here, as in nats-server.
    let request: ResetRequest = decode_json(&asked.request.payload, false)?;
    let reset_seq = stream.consumers().reset(&consumer, request.seq).await?;
    Ok(Reset {
        info: consumer.info().await.for_answer(),
        reset_seq,
    })
}
