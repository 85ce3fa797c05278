//! Every key once: its name, what it does, and how its value is written.

/// How a value is written in the environment or in a flag, where everything is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text, also durations, sizes, addresses and paths.
    Text,
    /// A whole number.
    Count,
    /// `true` or `false`.
    Switch,
    /// Texts; in the environment separated by commas.
    List,
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// Dotted path in the file: `http.listen`.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    /// What it does, for the comment above it in the default file. Lines are broken there as here.
    pub(crate) about: &'static str,
    /// Shown instead of the default where there is none.
    pub(crate) example: Option<&'static str>,
}

impl Key {
    const fn new(path: &'static str, kind: Kind, about: &'static str) -> Self {
        Self {
            path,
            kind,
            about,
            example: None,
        }
    }

    const fn example(mut self, example: &'static str) -> Self {
        self.example = Some(example);
        self
    }

    /// The environment variable of this key: `NATTERJACK_HTTP__LISTEN`.
    pub(crate) fn env(&self) -> String {
        format!(
            "{ENV_PREFIX}{}",
            self.path.to_ascii_uppercase().replace('.', "__")
        )
    }
}

/// What the environment variables of natterjack begin with.
pub(crate) const ENV_PREFIX: &str = "NATTERJACK_";

/// Beginnings of variables with our prefix that are not keys: flags of their own, the build's and the tests', and what
/// Kubernetes sets in every pod when a service is called `natterjack`.
pub(crate) const ENV_OTHERS: [&str; 10] = [
    "NATTERJACK_CONFIG",
    "NATTERJACK_WEB_DIST",
    "NATTERJACK_BIN",
    "NATTERJACK_APPLIANCE",
    "NATTERJACK_BROKER",
    "NATTERJACK_SECURE_BROKER",
    "NATTERJACK_CREDENTIALS",
    "NATTERJACK_UPDATE_EXPECTED",
    "NATTERJACK_SERVICE_",
    "NATTERJACK_PORT",
];

/// What each section is for, in the order of the default file.
pub(crate) const SECTIONS: [(&str, &str); 5] = [
    (
        "http",
        "The web client, sign-in, and the WebSocket door at /nats-ws.",
    ),
    (
        "nats",
        "NATS over TCP, and the limits of every NATS connection, WebSocket or TCP.",
    ),
    (
        "streams",
        "Streams, key-value buckets and objects of NATS clients. Limits are for each account, and there is none until one is set.",
    ),
    ("identity", "Accounts and sign-in."),
    ("services", "The chat itself."),
];

/// Every key, in the order of the default file: top level first, then by section.
pub(crate) const KEYS: [Key; 40] = [
    Key::new("data_dir", Kind::Text, "Where everything is kept. One natterjack at a time works in a data directory.\nDefault: /var/lib/natterjack for root, else $XDG_DATA_HOME/natterjack or ~/.local/share/natterjack.")
        .example("/var/lib/natterjack"),
    Key::new("log", Kind::Text, "How much is logged to standard error: error, warn, info, debug or trace,\nalso per part: \"info,broker=debug\"."),
    Key::new("http.listen", Kind::Text, "Address and port. Port 0 takes a free one and prints it. Browsers allow sign-in only on https\nor localhost: to be reached from elsewhere, put a TLS proxy in front and set public_url."),
    Key::new("http.public_url", Kind::Text, "What people type to come here, when it is not http://localhost and the port above.")
        .example("https://chat.example.org"),
    Key::new("http.monitoring_from", Kind::List, "Networks or addresses, beside this machine itself, that may read /varz, /connz, /metrics and the other\nmonitoring paths. They show who is connected from where; requests through a proxy are never answered."),
    Key::new("nats.listen", Kind::Text, "Address and port for NATS clients. Port 0 takes a free one and prints it."),
    Key::new("nats.server_name", Kind::Text, "The name that NATS clients are told."),
    Key::new("nats.connections_max", Kind::Count, "Connections at the same time; one more is refused."),
    Key::new("nats.connections_per_address_max", Kind::Count, "The same from one address. Everybody behind a proxy that does not say for whom it connects has one\naddress in common."),
    Key::new("nats.connect_rate_per_address_max", Kind::Count, "Connections from one address in a second, over a while; ten times as many may come at once."),
    Key::new("nats.subscriptions_max", Kind::Count, "Subscriptions of one connection."),
    Key::new("nats.payload_max", Kind::Text, "Largest message with its headers."),
    Key::new("nats.control_line_max", Kind::Text, "Longest protocol line."),
    Key::new("nats.pending_max", Kind::Text, "Bytes waiting for one slow reader before it is disconnected."),
    Key::new("nats.ping_interval", Kind::Text, "How often a quiet connection is asked whether it is still there."),
    Key::new("nats.pings_out_max", Kind::Count, "Unanswered questions before a connection counts as dead."),
    Key::new("nats.auth_timeout", Kind::Text, "How long a new connection may take to say who it is."),
    Key::new("nats.first_byte_timeout", Kind::Text, "How long a new connection may say nothing at all where it need not say who it is."),
    Key::new("nats.write_deadline", Kind::Text, "How long one write to a connection may take."),
    Key::new("streams.sync", Kind::Text, "\"always\": an acknowledgement means that the bytes are on the disk. \"interval\": they are within\nsync_interval after it; a power cut or a crash of the machine before that loses messages that were acknowledged.\nOnly for `natterjack broker`; messages of the chat are always on the disk first."),
    Key::new("streams.sync_interval", Kind::Text, "How long acknowledged messages may be at risk with sync = \"interval\"."),
    Key::new("streams.key_file", Kind::Text, "File with the key that streams are encrypted under on the disk: 32 random bytes, or a text of at\nleast 32 characters; only its owner may read it. Streams made before stay as they are. Lose the\nkey and they are lost.")
        .example("/etc/natterjack/streams.key"),
    Key::new("streams.domain", Kind::Text, "JetStream domain: the API answers under $JS.{domain}.API as well.")
        .example("edge"),
    Key::new("streams.strict", Kind::Switch, "Whether API requests with fields that nobody knows are refused."),
    Key::new("streams.memory_max", Kind::Text, "Bytes of all memory streams together.").example("1GiB"),
    Key::new("streams.disk_max", Kind::Text, "Bytes of all disk streams together.").example("100GiB"),
    Key::new("streams.streams_max", Kind::Count, "Streams.").example("1000"),
    Key::new("streams.consumers_max", Kind::Count, "Consumers of one stream.").example("1000"),
    Key::new("streams.ack_pending_max", Kind::Count, "Unacknowledged messages that one consumer may ask for (max_ack_pending).").example("10000"),
    Key::new("streams.memory_stream_max", Kind::Text, "Largest max_bytes of one memory stream.").example("256MiB"),
    Key::new("streams.disk_stream_max", Kind::Text, "Largest max_bytes of one disk stream.").example("10GiB"),
    Key::new("streams.size_required", Kind::Switch, "Whether each stream must say how large it may get (max_bytes)."),
    Key::new("streams.duplicate_window_max", Kind::Text, "Longest duplicate window of a stream.").example("1h"),
    Key::new("streams.pull_batch_max", Kind::Count, "Messages that one pull request may ask for.").example("10000"),
    Key::new("identity.realm", Kind::Text, "The name in the sign-in addresses: /auth/realms/{realm}."),
    Key::new("identity.access_token_lifetime", Kind::Text, "How long an access token is valid. Clients renew it by themselves."),
    Key::new("identity.session_idle_max", Kind::Text, "Somebody who has not been here for this long signs in again."),
    Key::new("identity.session_max", Kind::Text, "Everybody signs in again after this long, whatever happens."),
    Key::new("services.public_rooms", Kind::List, "Rooms that everybody sees, made at the first start."),
    Key::new("services.messages_per_minute", Kind::Count, "Messages one person may send in a minute."),
];
