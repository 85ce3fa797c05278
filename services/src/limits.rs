//! Every cap of the chat services, with its unit. Those an administrator may change are in [`Config`](crate::Config).

use std::time::Duration;

/// Text of one message, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 16 << 10;
/// A whole message body, in bytes: text, mentions, attachments and what clients add.
pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;
/// Users one message may mention.
pub(crate) const MENTIONS_MAX: usize = 50;
/// Attachments of one message.
pub(crate) const FILES_MAX: usize = 20;
/// A reaction, in bytes: the longest emoji sequences need about half.
pub(crate) const EMOJI_BYTES_MAX: usize = 64;
/// What a client may call its message, in bytes.
pub(crate) const CLIENT_ID_BYTES_MAX: usize = 64;
/// A picture's address, in bytes.
pub(crate) const STICKER_URL_BYTES_MAX: usize = 2 << 10;
/// A room's display name, in characters.
pub(crate) const DISPLAY_NAME_CHARS_MAX: usize = 100;
/// Rooms one user may own or belong to, direct conversations not counted.
pub(crate) const ROOMS_PER_USER_MAX: usize = 500;
/// Direct conversations of one user.
pub(crate) const DIRECT_PER_USER_MAX: usize = 2_000;
/// Members of one private room.
pub(crate) const MEMBERS_MAX: usize = 2_000;
/// Rooms one connection may have joined.
pub(crate) const JOINED_PER_CONNECTION_MAX: usize = 2_500;
/// Messages on a page of history unless asked otherwise, as the contract has it.
pub(crate) const HISTORY_PAGE: usize = 25;
/// Messages on a page of history at most.
pub(crate) const HISTORY_PAGE_MAX: usize = 100;
/// Replies of a thread in one answer, the newest.
pub(crate) const THREAD_PAGE: usize = 200;
/// Users in the answer to a search.
pub(crate) const SEARCH_RESULTS_MAX: usize = 20;
/// A search text, in bytes.
pub(crate) const SEARCH_BYTES_MAX: usize = 100;
/// Users one `users.get` may name.
pub(crate) const USERS_GET_MAX: usize = 100;
/// Read positions in one answer.
pub(crate) const READ_STATE_MAX: usize = 2_000;
/// Users whose sending rate is remembered; a full bucket is forgotten first.
pub(crate) const RATE_USERS_MAX: usize = 20_000;
/// Sends waiting for their durable acknowledgement before intake pauses.
pub(crate) const SENDS_IN_FLIGHT_MAX: usize = 1_024;
/// Requests of one endpoint that run at the same time.
pub(crate) const REQUESTS_IN_FLIGHT_MAX: usize = 64;
/// Stream messages taken to the database in one transaction.
pub(crate) const PERSIST_BATCH_MAX: usize = 500;
/// Stream messages notified in one go.
pub(crate) const NOTIFY_BATCH_MAX: usize = 500;
/// Connections whose presence is remembered.
pub(crate) const PRESENCE_CONNECTIONS_MAX: usize = 100_000;

/// A connection that has not said anything for so long is gone (contract 9.3).
pub(crate) const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(45);
/// How often presence looks for connections that fell silent.
pub(crate) const PRESENCE_SWEEP: Duration = Duration::from_secs(5);
/// How long a notification's content can be fetched (contract 5.2).
pub(crate) const MESSAGE_CACHE_TTL: Duration = Duration::from_mins(5);
/// How long history waits for the database to catch up with the stream before it answers with what there is.
pub(crate) const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a repeated `clientId` is recognised as the same message.
pub(crate) const DUPLICATE_WINDOW: Duration = Duration::from_mins(10);
/// A client's clock may be so far behind before the server's time counts.
pub(crate) const CLOCK_BEHIND_MAX: Duration = Duration::from_mins(1);
/// And so far ahead.
pub(crate) const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(2);
/// Pause before a failed commit of the persist worker is tried again.
pub(crate) const PERSIST_RETRY: Duration = Duration::from_secs(1);
