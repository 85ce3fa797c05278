//! Log lines as nats-server writes them: `[17] 2026/11/25 15:00:00.000000 [INF] Server is ready`.
//!
//! Harnesses and log collectors read these lines, so their form is a contract. Everything below logs through `tracing`;
//! this turns its events into lines and brings them to standard error, a file or the system's log.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use broker::config_file::options::LogOptions;
use jiff::Zoned;
use jiff::tz::TimeZone;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use super::log_sink::Sink;
use super::settings::Refusal;

/// Events of this target end the process: they are `[FTL]`.
const FATAL: &str = "natterjack::fatal";
/// Lines of the protocol.
const PROTOCOL: &str = "broker::protocol";
/// Our own parts; of libraries only warnings are logged.
const OURS: [&str; 5] = ["natterjack", "broker", "storage", "services", "web"];

/// The log of this process.
#[derive(Clone)]
pub(crate) struct Log {
    sink: Arc<Mutex<Sink>>,
    levels: reload::Handle<Targets, Registry>,
}

/// Writes events as lines.
struct Lines {
    sink: Arc<Mutex<Sink>>,
}

impl Log {
    /// Starts logging; how much is said by the options, or by natterjack's own `level`.
    ///
    /// # Errors
    /// The log file or the system's log cannot be opened, or the level is none.
    pub(crate) fn start(options: &LogOptions, level: Option<&str>) -> Result<Self, Refusal> {
        let sink = Sink::open(options).map_err(Refusal::Words)?;
        let sink = Arc::new(Mutex::new(sink));
        let targets = match level.filter(|_| !options.debug && !options.trace) {
            Some(level) => crate::logging::targets(level)?,
            None => targets(options),
        };
        let (filter, levels) = reload::Layer::new(targets);
        let lines = Lines { sink: sink.clone() };
        let subscriber = tracing_subscriber::registry().with(filter).with(lines);
        subscriber
            .try_init()
            .map_err(|error| Refusal::Words(format!("logging could not be started: {error}")))?;
        std::panic::set_hook(Box::new(crate::logging::log_panic));
        Ok(Self { sink, levels })
    }

    /// Takes on other options while lines are written.
    ///
    /// # Errors
    /// The new file cannot be opened; the old one stays.
    pub(crate) fn configure(&self, options: &LogOptions) -> Result<(), String> {
        let sink = Sink::open(options)?;
        *lock(&self.sink) = sink;
        self.levels
            .reload(targets(options))
            .map_err(|error| format!("levels could not be changed: {error}"))
    }

    /// Opens the log file again, for those who moved it away. Whether there is one.
    pub(crate) fn reopen(&self) -> Result<bool, String> {
        lock(&self.sink).reopen()
    }
}

fn lock(sink: &Mutex<Sink>) -> std::sync::MutexGuard<'_, Sink> {
    sink.lock().unwrap_or_else(PoisonError::into_inner)
}

fn targets(options: &LogOptions) -> Targets {
    let level = if options.debug {
        LevelFilter::DEBUG
    } else {
        LevelFilter::INFO
    };
    let protocol = if options.trace {
        LevelFilter::TRACE
    } else {
        LevelFilter::OFF
    };
    Targets::new()
        .with_default(LevelFilter::WARN)
        .with_targets(OURS.map(|target| (target, level)))
        .with_target(PROTOCOL, protocol)
}

/// Logs what ends the process.
pub(crate) fn fatal(reason: &str) {
    tracing::error!(target: FATAL, "{reason}");
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let label = match *metadata.level() {
            _ if metadata.target() == FATAL => "FTL",
            Level::ERROR => "ERR",
            Level::WARN => "WRN",
            Level::INFO => "INF",
            Level::DEBUG => "DBG",
            Level::TRACE => "TRC",
        };
        let mut text = Text::default();
        event.record(&mut text);
        lock(&self.sink).line(label, &text.finish());
    }
}

/// The message, then the fields as `name: value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn finish(self) -> String {
        match (self.message.is_empty(), self.fields.is_empty()) {
            (false, false) => format!("{} ({})", self.message, self.fields),
            (false, true) => self.message,
            (true, _) => self.fields,
        }
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
            return;
        }
        let separator = if self.fields.is_empty() { "" } else { ", " };
        let _ = write!(self.fields, "{separator}{}: {value:?}", field.name());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// `2026/11/25 15:00:00.000000`.
pub(super) fn time(is_utc: bool) -> String {
    let now = Zoned::now();
    let now = if is_utc {
        now.with_time_zone(TimeZone::UTC)
    } else {
        now
    };
    now.strftime("%Y/%m/%d %H:%M:%S%.6f").to_string()
}
