//! `$JS.API.STREAM.SNAPSHOT` and `$JS.API.STREAM.RESTORE`: the beginning of both.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Asked;
use super::audit::client_of;
use super::decode::{decode, from_value};
use super::response::{Body, answer};
use super::stream::StreamCreated;
use super::stream_info::State;
use crate::jetstream::backup::restore::Restore;
use crate::jetstream::backup::snapshot::Snapshot;
use crate::jetstream::config::StreamConfig;
use crate::jetstream::error_code::{self as code, ApiError};
use crate::subject::Subject;

#[derive(Debug, Serialize)]
pub(super) struct SnapshotBegun {
    config: StreamConfig,
    state: State,
}

impl Body for SnapshotBegun {
    const KIND: &'static str = "stream_snapshot";
}

#[derive(Debug, Serialize)]
pub(super) struct RestoreBegun {
    deliver_subject: String,
}

impl Body for RestoreBegun {
    const KIND: &'static str = "stream_restore";
    const ERROR_MEMBERS: &'static str = r#","deliver_subject":"""#;
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SnapshotRequest {
    deliver_subject: String,
    no_consumers: bool,
    chunk_size: i64,
    window_size: i64,
    /// Blocks are checked whenever they are read.
    jsck: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RestoreRequest {
    config: Value,
    /// What the snapshot says itself counts.
    state: Value,
}

/// An object without members is as good as nothing here.
fn is_empty(payload: &[u8]) -> bool {
    matches!(payload.trim_ascii(), b"" | b"{}")
}

pub(super) fn snapshot(asked: Asked<'_>, name: &str) -> Result<SnapshotBegun, ApiError> {
    if is_empty(&asked.request.payload) {
        return Err(code::BAD_REQUEST.into());
    }
    let stream = asked.stream(name)?;
    let request: SnapshotRequest = decode(&asked.request.payload, asked.strict())?;
    if Subject::parse(&request.deliver_subject).is_err() {
        return Err(code::SNAPSHOT_DELIVER_SUBJECT_INVALID.into());
    }
    let begun = SnapshotBegun {
        config: StreamConfig::clone(&stream.config()),
        state: State::of(&stream),
    };
    let size = |wanted: i64| usize::try_from(wanted).unwrap_or(0);
    let snapshot = Snapshot {
        stream,
        deliver_subject: request.deliver_subject,
        with_consumers: !request.no_consumers,
        chunk_bytes: size(request.chunk_size),
        window_bytes: size(request.window_size),
        client: client_of(asked),
    };
    let permit = permit(asked)?;
    asked.context.tasks.spawn(async move {
        snapshot.run().await;
        drop(permit);
    });
    Ok(begun)
}

pub(super) fn restore(asked: Asked<'_>, name: &str) -> Result<RestoreBegun, ApiError> {
    if is_empty(&asked.request.payload) {
        return Err(code::BAD_REQUEST.into());
    }
    let request: RestoreRequest = decode(&asked.request.payload, asked.strict())?;
    let config: StreamConfig = from_value(request.config, asked.strict())?;
    if config.name != name {
        return Err(code::STREAM_MISMATCH.into());
    }
    if asked.streams.find(name).is_some() {
        return Err(code::STREAM_NAME_EXIST_RESTORE_FAILED.into());
    }
    let config = asked.streams.restorable(config)?;
    let permit = permit(asked)?;
    let restore = Restore::open(asked.streams, config, client_of(asked));
    let begun = RestoreBegun {
        deliver_subject: restore.subject().to_owned(),
    };
    let server = asked.context.clone();
    asked.context.tasks.spawn(async move {
        let answer = move |restored: Result<_, _>| {
            answer(restored.map(|stream| StreamCreated::of(&server, &stream))).body
        };
        restore.run(Box::new(answer)).await;
        drop(permit);
    });
    Ok(begun)
}

fn permit(asked: Asked<'_>) -> Result<tokio::sync::OwnedSemaphorePermit, ApiError> {
    let backups = asked.streams.context().backups.clone();
    backups
        .try_acquire_owned()
        .map_err(|_| code::INSUFFICIENT_RESOURCES.into())
}
