//! Every cap of the HTTP surface.

use std::time::Duration;

/// Open HTTP connections; more wait in the listen queue. A WebSocket leaves this count once it is upgraded.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Open HTTP connections of the monitoring port; more wait in the listen queue.
pub const MONITORING_CONNECTIONS_MAX: usize = 256;
/// Accounts with metrics of their own.
pub const METRICS_ACCOUNTS_MAX: usize = 256;
/// Streams with metrics of their own.
pub const METRICS_STREAMS_MAX: usize = 1000;
/// Bytes of a request's head.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Header fields of a request.
pub const HEADERS_MAX: usize = 64;
/// Time for a request's head to arrive; also how long an idle connection is kept.
pub const HEAD_WAIT: Duration = Duration::from_secs(20);
/// Bytes of a form.
pub const FORM_BYTES_MAX: usize = 32 * 1024;
/// Fields of a form or a query.
pub const FIELDS_MAX: usize = 64;
/// Time for a form to arrive.
pub const FORM_WAIT: Duration = Duration::from_secs(10);
/// Time for a whole request, answer included.
pub const REQUEST_WAIT: Duration = Duration::from_secs(60);
/// Time that requests in flight get when the server stops.
pub const DRAIN_WAIT: Duration = Duration::from_secs(5);
