//! `$JS.API.STREAM.MSG.>` and `$JS.API.STREAM.PURGE`: reading and removing messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use storage::stream::{Purge, Sequence, StorageKind, StoredMessage, SubjectPattern};

use super::Asked;
use super::decode::{decode, decode_json};
use super::direct::{Selection, read_one};
use super::response::{Body, success_body};
use crate::jetstream::config::{Timestamp, is_default};
use crate::jetstream::error_code::{self as code, ApiError};

success_body!(MessageDeleted, "stream_msg_delete");

#[derive(Debug, Serialize)]
pub(super) struct MessageGot {
    message: Message,
}

impl Body for MessageGot {
    const KIND: &'static str = "stream_msg_get";
}

/// A stored message in JSON.
#[derive(Debug, Serialize)]
struct Message {
    subject: String,
    seq: u64,
    #[serde(skip_serializing_if = "is_default")]
    hdrs: String,
    #[serde(skip_serializing_if = "is_default")]
    data: String,
    time: Timestamp,
}

#[derive(Debug, Serialize)]
pub(super) struct StreamPurged {
    success: bool,
    purged: u64,
}

impl Body for StreamPurged {
    const KIND: &'static str = "stream_purge";
    const ERROR_MEMBERS: &'static str = r#","purged":0"#;
}

pub(super) async fn get(asked: Asked<'_>, name: &str) -> Result<MessageGot, ApiError> {
    if asked.request.payload.is_empty() {
        return Err(code::BAD_REQUEST.into());
    }
    let request: Selection = decode(&asked.request.payload, asked.strict())?;
    if request.batch != 0 || !request.multi_last.is_empty() || !request.names_one() {
        return Err(code::BAD_REQUEST.into());
    }
    let stream = asked.stream(name)?;
    let found = read_one(stream.storage(), &request).await?;
    let StoredMessage {
        sequence,
        subject,
        headers,
        payload,
        timestamp,
    } = found.ok_or(code::NO_MESSAGE_FOUND)?;
    let headers = if request.no_hdr { &[][..] } else { &headers };
    Ok(MessageGot {
        message: Message {
            subject: String::from_utf8_lossy(&subject).into_owned(),
            seq: sequence.0,
            hdrs: STANDARD.encode(headers),
            data: STANDARD.encode(&payload),
            time: Timestamp(timestamp),
        },
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DeleteRequest {
    seq: u64,
    /// Storage writes over what is deleted when it stores the block anew, whatever is asked for here.
    no_erase: bool,
}

pub(super) async fn delete(asked: Asked<'_>, name: &str) -> Result<MessageDeleted, ApiError> {
    if asked.request.payload.is_empty() {
        return Err(code::BAD_REQUEST.into());
    }
    let request: DeleteRequest = decode(&asked.request.payload, asked.strict())?;
    let stream = asked.stream(name)?;
    let config = stream.config();
    if config.sealed {
        return Err(code::STREAM_SEALED.into());
    }
    if config.deny_delete {
        return Err(code::STREAM_MSG_DELETE_FAILED.with("message delete not permitted"));
    }
    let state = stream.state();
    if stream.storage().delete(Sequence(request.seq)).await? {
        return Ok(MessageDeleted { success: true });
    }
    // In memory nats-server does not look why it is not there.
    Err(if config.storage == StorageKind::Memory {
        code::SEQUENCE_NOT_FOUND.with(request.seq)
    } else if request.seq > state.last.0 {
        code::STREAM_MSG_DELETE_FAILED.with("stream store EOF")
    } else if request.seq > state.first.0 {
        code::SEQUENCE_NOT_FOUND.with(request.seq)
    } else {
        code::STREAM_MSG_DELETE_FAILED.with("no message found")
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PurgeRequest {
    seq: u64,
    keep: u64,
    filter: String,
}

pub(super) async fn purge(asked: Asked<'_>, name: &str) -> Result<StreamPurged, ApiError> {
    let request: PurgeRequest = decode_json(&asked.request.payload, asked.strict())?;
    if request.seq > 0 && request.keep > 0 {
        return Err(code::BAD_REQUEST.into());
    }
    let stream = asked.stream(name)?;
    let config = stream.config();
    if config.sealed {
        return Err(code::STREAM_SEALED.into());
    }
    if config.deny_purge {
        return Err(code::STREAM_PURGE_FAILED.with("stream purge not permitted"));
    }
    let mut purge = Purge {
        filter: None,
        before: (request.seq > 0).then_some(Sequence(request.seq)),
        keep: (request.keep > 0).then_some(request.keep),
    };
    if !request.filter.is_empty() {
        let Some(filter) = SubjectPattern::parse(&request.filter) else {
            return Ok(StreamPurged {
                success: true,
                purged: 0,
            });
        };
        purge.filter = Some(filter);
    }
    Ok(StreamPurged {
        success: true,
        purged: stream.storage().purge(purge).await?,
    })
}
