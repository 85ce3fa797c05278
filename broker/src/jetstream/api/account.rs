//! `$JS.API.INFO`: what an account uses and may use.

use std::sync::atomic::Ordering;

use serde::Serialize;

use super::Asked;
use super::response::{Answer, Body, answer};
use crate::jetstream::limits::JetStreamLimits;
use crate::proto::info::API_LEVEL;

#[derive(Debug, Serialize)]
pub(super) struct AccountInfo<'a> {
    memory: u64,
    storage: u64,
    reserved_memory: u64,
    reserved_storage: u64,
    streams: usize,
    consumers: usize,
    limits: Limits,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
    api: Api,
}

impl Body for AccountInfo<'_> {
    const KIND: &'static str = "account_info";
}

/// -1 is no limit.
#[derive(Debug, Serialize)]
struct Limits {
    max_memory: i64,
    max_storage: i64,
    max_streams: i64,
    max_consumers: i64,
    max_ack_pending: i64,
    memory_max_stream_bytes: i64,
    storage_max_stream_bytes: i64,
    max_bytes_required: bool,
}

impl From<&JetStreamLimits> for Limits {
    fn from(limits: &JetStreamLimits) -> Self {
        fn or_none<T: TryInto<i64>>(limit: Option<T>) -> i64 {
            limit.map_or(-1, |limit| limit.try_into().unwrap_or(i64::MAX))
        }
        Self {
            max_memory: or_none(limits.memory_bytes_max),
            max_storage: or_none(limits.storage_bytes_max),
            max_streams: or_none(limits.streams_max),
            max_consumers: or_none(limits.consumers_max),
            max_ack_pending: or_none(limits.ack_pending_max),
            memory_max_stream_bytes: or_none(limits.memory_stream_bytes_max),
            storage_max_stream_bytes: or_none(limits.storage_stream_bytes_max),
            max_bytes_required: limits.bytes_max_required,
        }
    }
}

#[derive(Debug, Serialize)]
struct Api {
    level: u32,
    total: u64,
    errors: u64,
}

pub(super) fn info(asked: Asked<'_>) -> Answer {
    let usage = asked.streams.usage();
    answer(Ok(AccountInfo {
        memory: usage.memory_bytes,
        storage: usage.storage_bytes,
        reserved_memory: usage.memory_reserved,
        reserved_storage: usage.storage_reserved,
        streams: usage.streams,
        consumers: usage.consumers,
        limits: Limits::from(&*asked.streams.limits()),
        domain: asked.context.config.domain.as_deref(),
        api: Api {
            level: API_LEVEL,
            total: asked.api.total.load(Ordering::Relaxed),
            errors: asked.api.errors.load(Ordering::Relaxed),
        },
    }))
}
