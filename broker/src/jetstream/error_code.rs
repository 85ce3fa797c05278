//! What JetStream answers when it refuses: number, code and text of nats-server (ADR-7).
//!
//! One table. Texts with `{name}` are filled in by [`ErrorCode::with`]. Errors that only a cluster can have are left out.

use std::borrow::Cow;

use serde::Serialize;

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ErrorCode {
    /// In the manner of HTTP.
    pub(crate) code: u16,
    /// nats-server's own number, which clients compare.
    pub(crate) err_code: u16,
    text: &'static str,
}

/// A refusal as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{description}")]
#[non_exhaustive]
pub struct ApiError {
    /// In the manner of HTTP.
    pub code: u16,
    /// nats-server's own number, which clients compare.
    pub err_code: u16,
    /// What is wrong, for people.
    pub description: Cow<'static, str>,
}

impl From<ErrorCode> for ApiError {
    fn from(line: ErrorCode) -> Self {
        Self {
            code: line.code,
            err_code: line.err_code,
            description: Cow::Borrowed(line.text),
        }
    }
}

impl ErrorCode {
    const fn new(code: u16, err_code: u16, text: &'static str) -> Self {
        Self {
            code,
            err_code,
            text,
        }
    }

    /// The error with its one `{name}` replaced by `value`.
    pub(crate) fn with(self, value: impl std::fmt::Display) -> ApiError {
        let text = self.text;
        let description = match (text.find('{'), text.find('}')) {
            (Some(from), Some(to)) => format!("{}{value}{}", &text[..from], &text[to + 1..]),
            _ => text.to_owned(),
        };
        ApiError {
            description: Cow::Owned(description),
            ..self.into()
        }
    }
}

/// The table: number, code, name, text.
macro_rules! error_codes {
    ($($err_code:literal $code:literal $name:ident = $text:literal,)*) => {
        $(#[allow(dead_code, reason = "the table is whole; not every refusal can happen in one server")]
        pub(crate) const $name: ErrorCode = ErrorCode::new($code, $err_code, $text);)*
    };
}

error_codes! {
    10002 400 ACCOUNT_RESOURCES_EXCEEDED = "resource limits exceeded for account",
    10003 400 BAD_REQUEST = "bad request",
    10006 500 CLUSTER_NOT_ACTIVE = "JetStream not in clustered mode",
    10010 503 CLUSTER_REQUIRED = "JetStream clustering support required",
    10012 500 CONSUMER_CREATE = "{err}",
    10013 400 CONSUMER_NAME_EXIST = "consumer name already in use",
    10014 404 CONSUMER_NOT_FOUND = "consumer not found",
    10015 400 SNAPSHOT_DELIVER_SUBJECT_INVALID = "deliver subject not valid",
    10016 400 CONSUMER_DURABLE_NAME_NOT_IN_SUBJECT = "consumer expected to be durable but no durable name set in subject",
    10017 400 CONSUMER_DURABLE_NAME_NOT_MATCH_SUBJECT = "consumer name in subject does not match durable name in request",
    10018 400 CONSUMER_DURABLE_NAME_NOT_SET = "consumer expected to be durable but a durable name was not set",
    10020 400 CONSUMER_EPHEMERAL_WITH_DURABLE_NAME = "consumer expected to be ephemeral but a durable name was set in request",
    10021 400 STREAM_EXTERNAL_API_OVERLAP = "stream external api prefix {prefix} must not overlap with {subject}",
    10022 400 STREAM_EXTERNAL_DEL_PREFIX_OVERLAPS = "stream external delivery prefix {prefix} overlaps with stream subject {subject}",
    10023 503 INSUFFICIENT_RESOURCES = "insufficient resources",
    10024 400 STREAM_INVALID_EXTERNAL_DELIVERY_SUBJ = "stream external delivery prefix {prefix} must not contain wildcards",
    10025 400 INVALID_JSON = "invalid JSON: {err}",
    10026 400 MAXIMUM_CONSUMERS_LIMIT = "maximum consumers limit reached",
    10027 400 MAXIMUM_STREAMS_LIMIT = "maximum number of streams reached",
    10028 500 MEMORY_RESOURCES_EXCEEDED = "insufficient memory resources available",
    10029 500 MIRROR_CONSUMER_SETUP_FAILED = "{err}",
    10030 400 MIRROR_MAX_MESSAGE_SIZE_TOO_BIG = "stream mirror must have max message size >= source",
    10031 400 MIRROR_WITH_SOURCES = "stream mirrors can not also contain other sources",
    10032 400 MIRROR_WITH_START_SEQ_AND_TIME = "stream mirrors can not have both start seq and start time configured",
    10033 400 MIRROR_WITH_SUBJECT_FILTERS = "stream mirrors can not contain filtered subjects",
    10034 400 MIRROR_WITH_SUBJECTS = "stream mirrors can not contain subjects",
    10037 404 NO_MESSAGE_FOUND = "no message found",
    10038 400 NOT_EMPTY_REQUEST = "expected an empty request payload",
    10039 503 NOT_ENABLED_FOR_ACCOUNT = "JetStream not enabled for account",
    10042 500 RESTORE_SUBSCRIBE_FAILED = "JetStream unable to subscribe to restore snapshot {subject}: {err}",
    10043 400 SEQUENCE_NOT_FOUND = "sequence {seq} not found",
    10045 500 SOURCE_CONSUMER_SETUP_FAILED = "{err}",
    10046 400 SOURCE_MAX_MESSAGE_SIZE_TOO_BIG = "stream source must have max message size >= target",
    10047 500 STORAGE_RESOURCES_EXCEEDED = "insufficient storage resources available",
    10049 500 STREAM_CREATE = "{err}",
    10050 500 STREAM_DELETE = "{err}",
    10051 500 STREAM_GENERAL_ERROR = "{err}",
    10052 500 STREAM_INVALID_CONFIG = "{err}",
    10053 500 STREAM_LIMITS = "{err}",
    10054 400 STREAM_MESSAGE_EXCEEDS_MAXIMUM = "message size exceeds maximum allowed",
    10055 400 STREAM_MIRROR_NOT_UPDATABLE = "stream mirror configuration can not be updated",
    10056 400 STREAM_MISMATCH = "stream name in subject does not match request",
    10057 500 STREAM_MSG_DELETE_FAILED = "{err}",
    10058 400 STREAM_NAME_EXIST = "stream name already in use with a different configuration",
    10059 404 STREAM_NOT_FOUND = "stream not found",
    10060 400 STREAM_NOT_MATCH = "expected stream does not match",
    10062 500 STREAM_RESTORE = "restore failed: {err}",
    10064 500 STREAM_SNAPSHOT = "snapshot failed: {err}",
    10065 400 STREAM_SUBJECT_OVERLAP = "subjects overlap with an existing stream",
    10069 500 STREAM_UPDATE = "{err}",
    10070 400 STREAM_WRONG_LAST_MESSAGE_ID = "wrong last msg ID: {id}",
    10071 400 STREAM_WRONG_LAST_SEQUENCE = "wrong last sequence: {seq}",
    10072 500 TEMP_STORAGE_FAILED = "JetStream unable to open temp storage for restore",
    10074 500 STREAM_REPLICAS_NOT_SUPPORTED = "replicas > 1 not supported in non-clustered mode",
    10076 503 NOT_ENABLED = "JetStream not enabled",
    10077 503 STREAM_STORE_FAILED = "{err}",
    10078 400 CONSUMER_CONFIG_REQUIRED = "consumer config required",
    10079 400 CONSUMER_DELIVER_TO_WILDCARDS = "consumer deliver subject has wildcards",
    10080 400 CONSUMER_PUSH_MAX_WAITING = "consumer in push mode can not set max waiting",
    10081 400 CONSUMER_DELIVER_CYCLE = "consumer deliver subject forms a cycle",
    10082 400 CONSUMER_MAX_PENDING_ACK_POLICY_REQUIRED = "consumer requires ack policy for max ack pending",
    10083 400 CONSUMER_SMALL_HEARTBEAT = "consumer idle heartbeat needs to be >= 100ms",
    10084 400 CONSUMER_PULL_REQUIRES_ACK = "consumer in pull mode requires explicit ack policy on workqueue stream",
    10086 400 CONSUMER_PULL_WITH_RATE_LIMIT = "consumer in pull mode can not have rate limit set",
    10087 400 CONSUMER_MAX_WAITING_NEGATIVE = "consumer max waiting needs to be positive",
    10088 400 CONSUMER_HB_REQUIRES_PUSH = "consumer idle heartbeat requires a push based consumer",
    10089 400 CONSUMER_FC_REQUIRES_PUSH = "consumer flow control requires a push based consumer",
    10090 400 CONSUMER_DIRECT_REQUIRES_PUSH = "consumer direct requires a push based consumer",
    10091 400 CONSUMER_DIRECT_REQUIRES_EPHEMERAL = "consumer direct requires an ephemeral consumer",
    10094 400 CONSUMER_INVALID_POLICY = "{err}",
    10095 400 CONSUMER_INVALID_SAMPLING = "failed to parse consumer sampling configuration: {err}",
    10096 500 STREAM_INVALID = "stream not valid",
    10097 400 STREAM_HEADER_EXCEEDS_MAXIMUM = "header size exceeds maximum allowed of 64k",
    10098 400 CONSUMER_WQ_REQUIRES_EXPLICIT_ACK = "workqueue stream requires explicit ack",
    10099 400 CONSUMER_WQ_MULTIPLE_UNFILTERED = "multiple non-filtered consumers not allowed on workqueue stream",
    10100 400 CONSUMER_WQ_CONSUMER_NOT_UNIQUE = "filtered consumer not unique on workqueue stream",
    10101 400 CONSUMER_WQ_CONSUMER_NOT_DELIVER_ALL = "consumer must be deliver all on workqueue stream",
    10102 400 CONSUMER_NAME_TOO_LONG = "consumer name is too long, maximum allowed is {max}",
    10103 400 CONSUMER_BAD_DURABLE_NAME = "durable name can not contain '.', '*', '>'",
    10104 500 CONSUMER_STORE_FAILED = "error creating store for consumer: {err}",
    10105 400 CONSUMER_EXISTING_ACTIVE = "consumer already exists and is still active",
    10107 400 CONSUMER_DESCRIPTION_TOO_LONG = "consumer description is too long, maximum allowed is {max}",
    10108 400 CONSUMER_WITH_FLOW_CONTROL_NEEDS_HEARTBEATS = "consumer with flow control also needs heartbeats",
    10109 400 STREAM_SEALED = "invalid operation on sealed stream",
    10110 500 STREAM_PURGE_FAILED = "{err}",
    10111 500 STREAM_ROLLUP_FAILED = "{err}",
    10112 400 CONSUMER_INVALID_DELIVER_SUBJECT = "invalid push consumer deliver subject",
    10113 400 STREAM_MAX_BYTES_REQUIRED = "account requires a stream config to have max bytes set",
    10114 400 CONSUMER_MAX_REQUEST_BATCH_NEGATIVE = "consumer max request batch needs to be > 0",
    10115 400 CONSUMER_MAX_REQUEST_EXPIRES_TOO_SMALL = "consumer max request expires needs to be >= 1ms",
    10116 400 CONSUMER_MAX_DELIVER_BACKOFF = "max deliver is required to be > length of backoff values",
    10117 500 STREAM_INFO_MAX_SUBJECTS = "subject details would exceed maximum allowed",
    10120 400 NO_LIMITS = "no JetStream default or applicable tiered limit present",
    10121 400 CONSUMER_MAX_PENDING_ACK_EXCESS = "consumer max ack pending exceeds system limit of {limit}",
    10122 400 STREAM_MAX_STREAM_BYTES_EXCEEDED = "stream max bytes exceeds account limit max stream bytes",
    10125 400 CONSUMER_MAX_REQUEST_BATCH_EXCEEDED = "consumer max request batch exceeds server limit of {limit}",
    10126 400 CONSUMER_REPLICAS_EXCEEDS_STREAM = "consumer config replica count exceeds parent stream",
    10127 400 CONSUMER_NAME_CONTAINS_PATH_SEPARATORS = "Consumer name can not contain path separators",
    10128 400 STREAM_NAME_CONTAINS_PATH_SEPARATORS = "Stream name can not contain path separators",
    10130 400 STREAM_NAME_EXIST_RESTORE_FAILED = "stream name already in use, cannot restore",
    10131 400 CONSUMER_CREATE_FILTER_SUBJECT_MISMATCH = "Consumer create request did not match filtered subject from create subject",
    10132 400 CONSUMER_CREATE_DURABLE_AND_NAME_MISMATCH = "Consumer Durable and Name have to be equal if both are provided",
    10133 400 REPLICAS_COUNT_CANNOT_BE_NEGATIVE = "replicas count cannot be negative",
    10134 400 CONSUMER_REPLICAS_SHOULD_MATCH_STREAM = "consumer config replicas must match interest retention stream's replicas",
    10135 400 CONSUMER_METADATA_LENGTH = "consumer metadata exceeds maximum size of {limit}",
    10136 400 CONSUMER_DUPLICATE_FILTER_SUBJECTS = "consumer cannot have both FilterSubject and FilterSubjects specified",
    10137 400 CONSUMER_MULTIPLE_FILTERS_NOT_ALLOWED = "consumer with multiple subject filters cannot use subject based API",
    10138 400 CONSUMER_OVERLAPPING_SUBJECT_FILTERS = "consumer subject filters cannot overlap",
    10139 400 CONSUMER_EMPTY_FILTER = "consumer filter in FilterSubjects cannot be empty",
    10140 400 SOURCE_DUPLICATE_DETECTED = "duplicate source configuration detected",
    10141 400 SOURCE_INVALID_STREAM_NAME = "sourced stream name is invalid",
    10142 400 MIRROR_INVALID_STREAM_NAME = "mirrored stream name is invalid",
    10143 400 MIRROR_WITH_FIRST_SEQ = "stream mirrors can not have first sequence configured",
    10144 400 SOURCE_MULTIPLE_FILTERS_NOT_ALLOWED = "source with multiple subject transforms cannot also have a single subject filter",
    10145 400 SOURCE_INVALID_SUBJECT_FILTER = "source transform source: {err}",
    10146 400 SOURCE_INVALID_TRANSFORM_DESTINATION = "source transform: {err}",
    10147 400 SOURCE_OVERLAPPING_SUBJECT_FILTERS = "source filters can not overlap",
    10148 400 CONSUMER_ALREADY_EXISTS = "consumer already exists",
    10149 400 CONSUMER_DOES_NOT_EXIST = "consumer does not exist",
    10150 400 MIRROR_MULTIPLE_FILTERS_NOT_ALLOWED = "mirror with multiple subject transforms cannot also have a single subject filter",
    10151 400 MIRROR_INVALID_SUBJECT_FILTER = "mirror transform source: {err}",
    10152 400 MIRROR_OVERLAPPING_SUBJECT_FILTERS = "mirror subject filters can not overlap",
    10153 400 CONSUMER_INACTIVE_THRESHOLD_EXCESS = "consumer inactive threshold exceeds system limit of {limit}",
    10154 400 MIRROR_INVALID_TRANSFORM_DESTINATION = "mirror transform: {err}",
    10155 400 STREAM_TRANSFORM_INVALID_SOURCE = "stream transform source: {err}",
    10156 400 STREAM_TRANSFORM_INVALID_DESTINATION = "stream transform: {err}",
    10157 400 PEDANTIC = "pedantic mode: {err}",
    10159 400 CONSUMER_PRIORITY_POLICY_WITHOUT_GROUP = "Setting PriorityPolicy requires at least one PriorityGroup to be set",
    10160 400 CONSUMER_INVALID_PRIORITY_GROUP = "Provided priority group does not exist for this consumer",
    10161 400 CONSUMER_EMPTY_GROUP_NAME = "Group name cannot be an empty string",
    10162 400 CONSUMER_INVALID_GROUP_NAME = "Valid priority group name must match A-Z, a-z, 0-9, -_/=)+ and may not exceed 16 characters",
    10164 400 STREAM_WRONG_LAST_SEQUENCE_CONSTANT = "wrong last sequence",
    10165 400 MESSAGE_TTL_INVALID = "invalid per-message TTL",
    10166 400 MESSAGE_TTL_DISABLED = "per-message TTL is disabled",
    10167 429 STREAM_TOO_MANY_REQUESTS = "too many requests",
    10168 400 MESSAGE_INCR_DISABLED = "message counters is disabled",
    10169 400 MESSAGE_INCR_MISSING = "message counter increment is missing",
    10170 400 MESSAGE_INCR_PAYLOAD = "message counter has payload",
    10171 400 MESSAGE_INCR_INVALID = "message counter increment is invalid",
    10172 400 MESSAGE_COUNTER_BROKEN = "message counter is broken",
    10173 400 MIRROR_WITH_COUNTERS = "stream mirrors can not also calculate counters",
    10174 400 ATOMIC_PUBLISH_DISABLED = "atomic publish is disabled",
    10175 400 ATOMIC_PUBLISH_MISSING_SEQ = "atomic publish sequence is missing",
    10176 400 ATOMIC_PUBLISH_INCOMPLETE_BATCH = "atomic publish batch is incomplete",
    10177 400 ATOMIC_PUBLISH_UNSUPPORTED_HEADER_BATCH = "atomic publish unsupported header used: {header}",
    10178 400 CONSUMER_PUSH_WITH_PRIORITY_GROUP = "priority groups can not be used with push consumers",
    10179 400 ATOMIC_PUBLISH_INVALID_BATCH_ID = "atomic publish batch ID is invalid",
    10181 400 CONSUMER_ACK_POLICY_INVALID = "consumer ack policy invalid",
    10182 400 CONSUMER_REPLAY_POLICY_INVALID = "consumer replay policy invalid",
    10183 400 CONSUMER_ACK_WAIT_NEGATIVE = "consumer ack wait needs to be positive",
    10184 400 CONSUMER_BACK_OFF_NEGATIVE = "consumer backoff needs to be positive",
    10185 412 REQUIRED_API_LEVEL = "JetStream minimum api level required",
    10186 400 MIRROR_WITH_MSG_SCHEDULES = "stream mirrors can not also schedule messages",
    10187 400 SOURCE_WITH_MSG_SCHEDULES = "stream source can not also schedule messages",
    10188 400 MESSAGE_SCHEDULES_DISABLED = "message schedules is disabled",
    10189 400 MESSAGE_SCHEDULES_PATTERN_INVALID = "message schedules pattern is invalid",
    10190 400 MESSAGE_SCHEDULES_TARGET_INVALID = "message schedules target is invalid",
    10191 400 MESSAGE_SCHEDULES_TTL_INVALID = "message schedules invalid per-message TTL",
    10192 400 MESSAGE_SCHEDULES_ROLLUP_INVALID = "message schedules invalid rollup",
    10193 400 STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_INVALID = "missing sequence for expected last sequence per subject",
    10196 400 CONSUMER_PRIORITY_GROUP_WITH_POLICY_NONE = "consumer can not have priority groups when policy is none",
    10197 400 CONSUMER_PINNED_TTL_WITHOUT_PRIORITY_POLICY_NONE = "PinnedTTL cannot be set when PriorityPolicy is none",
    10198 400 MIRROR_WITH_ATOMIC_PUBLISH = "stream mirrors can not also use atomic publishing",
    10199 400 ATOMIC_PUBLISH_TOO_LARGE_BATCH = "atomic publish batch is too large: {size}",
    10200 400 ATOMIC_PUBLISH_INVALID_BATCH_COMMIT = "atomic publish batch commit is invalid",
    10201 400 ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE = "atomic publish batch contains duplicate message id",
    10203 400 MESSAGE_SCHEDULES_SOURCE_INVALID = "message schedules source is invalid",
    10204 400 CONSUMER_INVALID_RESET = "invalid reset: {err}",
    10205 400 BATCH_PUBLISH_DISABLED = "batch publish is disabled",
    10206 400 BATCH_PUBLISH_INVALID_PATTERN = "batch publish pattern is invalid",
    10207 400 BATCH_PUBLISH_INVALID_BATCH_ID = "batch publish ID is invalid",
    10208 400 BATCH_PUBLISH_UNKNOWN_BATCH_ID = "batch publish ID unknown",
    10209 400 MIRROR_WITH_BATCH_PUBLISH = "stream mirrors can not also use batch publishing",
    10210 429 ATOMIC_PUBLISH_TOO_MANY_INFLIGHT = "atomic publish too many inflight",
    10211 429 BATCH_PUBLISH_TOO_MANY_INFLIGHT = "batch publish too many inflight",
    10212 400 MESSAGE_SCHEDULES_SCHEDULER_INVALID = "message schedules invalid scheduler",
    10213 400 MIRROR_DURABLE_CONSUMER_CFG_INVALID = "stream mirror consumer config is invalid",
    10214 400 MIRROR_CONSUMER_REQUIRES_ACK_FC = "stream mirror consumer requires flow control ack policy",
    10215 400 SOURCE_DURABLE_CONSUMER_CFG_INVALID = "stream source consumer config is invalid",
    10216 400 SOURCE_DURABLE_CONSUMER_DUPLICATE_DETECTED = "duplicate stream source consumer detected",
    10217 400 SOURCE_CONSUMER_REQUIRES_ACK_FC = "stream source consumer requires flow control ack policy",
    10218 400 CONSUMER_ACK_FC_REQUIRES_PUSH = "flow control ack policy requires a push based consumer",
    10219 400 CONSUMER_ACK_FC_REQUIRES_FC = "flow control ack policy requires flow control",
    10220 400 CONSUMER_ACK_FC_REQUIRES_MAX_ACK_PENDING = "flow control ack policy requires max ack pending",
    10221 400 CONSUMER_ACK_FC_REQUIRES_NO_ACK_WAIT = "flow control ack policy requires unset ack wait",
    10222 400 CONSUMER_ACK_FC_REQUIRES_NO_MAX_DELIVER = "flow control ack policy requires unset max deliver",
    10223 400 MESSAGE_SCHEDULES_TIME_ZONE_INVALID = "message schedules time zone is invalid",
    10227 400 MESSAGE_SOURCE_HDR_NOT_ALLOWED = "message stream source header is not allowed",
}
