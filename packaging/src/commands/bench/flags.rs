//! The command line of `natterjack bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Flags of `bench`.
#[derive(Args, Debug)]
pub(crate) struct BenchFlags {
    #[command(subcommand)]
    pub(crate) work: Work,
}

/// What kind of load.
#[derive(Debug, Subcommand)]
pub(crate) enum Work {
    /// Publish only
    Pub(PubFlags),
    /// Subscribe only, and wait for messages of somebody else
    Sub(SubFlags),
    /// Publish and subscribe, with --queue to a queue group
    Pubsub(PubsubFlags),
    /// One publisher and many WebSocket subscribers
    Fanout(FanoutFlags),
    /// Ask and wait for the answer, one after the other per client
    Request(RequestFlags),
    /// Streams
    #[command(subcommand)]
    Stream(StreamWork),
    /// Key-value buckets
    #[command(subcommand)]
    Kv(KvWork),
}

/// What to do with a stream.
#[derive(Debug, Subcommand)]
pub(crate) enum StreamWork {
    /// Publish and wait for acknowledgements; the stream is made if it is not there
    Publish(StreamPublishFlags),
    /// Read what is in the stream, by a pull consumer that all clients share
    Consume(StreamConsumeFlags),
}

/// What to do with a bucket.
#[derive(Debug, Subcommand)]
pub(crate) enum KvWork {
    /// Put values; the bucket is made if it is not there
    Put(KvPutFlags),
    /// Get the values that `put` has left
    Get(KvGetFlags),
}

/// Where the load goes, and how the result is told.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// nats://, tls://, ws:// or wss://host:port/path, with user:password@ or token@ before the host
    #[arg(
        short,
        long,
        value_name = "URL",
        default_value = "nats://127.0.0.1:4222",
        env = "NATS_URL",
        hide_env_values = true
    )]
    pub(crate) server: String,
    /// User to sign in as
    #[arg(long, value_name = "NAME", env = "NATS_USER", hide_env_values = true)]
    pub(crate) user: Option<String>,
    /// Its password. Others on the machine can read a command line: the variable is for that
    #[arg(
        long,
        value_name = "TEXT",
        env = "NATS_PASSWORD",
        hide_env_values = true,
        requires = "user"
    )]
    pub(crate) password: Option<String>,
    /// Token to sign in with
    #[arg(
        long,
        value_name = "TEXT",
        env = "NATS_TOKEN",
        hide_env_values = true,
        conflicts_with = "user"
    )]
    pub(crate) token: Option<String>,
    /// PEM file of the authorities trusted with tls:// and wss:// [default: those of the system]
    #[arg(long, value_name = "FILE")]
    pub(crate) tlsca: Option<PathBuf>,
    /// PEM file of a certificate to show
    #[arg(long, value_name = "FILE", requires = "tlskey")]
    pub(crate) tlscert: Option<PathBuf>,
    /// PEM file of its key
    #[arg(long, value_name = "FILE", requires = "tlscert")]
    pub(crate) tlskey: Option<PathBuf>,
    /// Begin with TLS instead of waiting for INFO
    #[arg(long)]
    pub(crate) tlsfirst: bool,
    /// The result as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is published.
#[derive(Args, Debug)]
pub(crate) struct Publishing {
    /// Messages of all publishers together
    #[arg(short, long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) messages: u64,
    /// Bytes of a payload; from 12 on, some carry the time they were sent
    #[arg(long, value_name = "BYTES", default_value_t = 128)]
    pub(crate) size: usize,
    /// Connections that publish
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(crate) publishers: usize,
    /// Subjects used, as SUBJECT.0.0, SUBJECT.0.1, ...
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(crate) subjects: usize,
    /// Take the subjects at random instead of in turn
    #[arg(long)]
    pub(crate) random: bool,
    /// Messages per second of all publishers together [default: as many as the server takes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: Option<u64>,
}

/// Who receives.
#[derive(Args, Debug)]
pub(crate) struct Receiving {
    /// Connections that subscribe
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(crate) subscribers: usize,
    /// Queue group that they are in: each message goes to one of them
    #[arg(short, long, value_name = "NAME")]
    pub(crate) queue: Option<String>,
}

/// Flags of `pub`.
#[derive(Args, Debug)]
pub(crate) struct PubFlags {
    /// Subject
    #[arg(default_value = "bench")]
    pub(crate) subject: String,
    #[command(flatten)]
    pub(crate) publishing: Publishing,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Flags of `sub`.
#[derive(Args, Debug)]
pub(crate) struct SubFlags {
    /// Subject; wildcards are fine
    #[arg(default_value = "bench")]
    pub(crate) subject: String,
    /// Messages that each subscriber waits for; of a queue group each still counts its own
    #[arg(short, long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) messages: u64,
    #[command(flatten)]
    pub(crate) receiving: Receiving,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Flags of `pubsub`.
#[derive(Args, Debug)]
pub(crate) struct PubsubFlags {
    /// Subject
    #[arg(default_value = "bench")]
    pub(crate) subject: String,
    #[command(flatten)]
    pub(crate) publishing: Publishing,
    #[command(flatten)]
    pub(crate) receiving: Receiving,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Flags of `fanout`.
#[derive(Args, Debug)]
pub(crate) struct FanoutFlags {
    /// Subject
    #[arg(default_value = "bench")]
    pub(crate) subject: String,
    /// Where the subscribers connect: ws://host:port/path
    #[arg(short, long, value_name = "URL")]
    pub(crate) websocket: String,
    /// Messages
    #[arg(short, long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) messages: u64,
    /// Bytes of a payload
    #[arg(long, value_name = "BYTES", default_value_t = 128)]
    pub(crate) size: usize,
    /// Connections that subscribe
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100, value_parser = at_least_one)]
    pub(crate) subscribers: usize,
    /// Messages per second [default: as many as the server takes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: Option<u64>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Flags of `request`.
#[derive(Args, Debug)]
pub(crate) struct RequestFlags {
    /// Subject
    #[arg(default_value = "bench.request")]
    pub(crate) subject: String,
    /// Requests of all clients together
    #[arg(short, long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) messages: u64,
    /// Bytes of a request and of an answer
    #[arg(long, value_name = "BYTES", default_value_t = 16)]
    pub(crate) size: usize,
    /// Connections that ask
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(crate) clients: usize,
    /// Connections that answer; 0 to ask a service that runs elsewhere
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    pub(crate) responders: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// How a stream or a bucket is kept.
#[derive(Args, Debug)]
pub(crate) struct Keeping {
    /// In memory instead of files
    #[arg(long)]
    pub(crate) memory: bool,
    /// Copies in a cluster
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(crate) replicas: usize,
    /// Begin with nothing: what is there is removed first
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Remove it at the end
    #[arg(long)]
    pub(crate) delete: bool,
}

/// Flags of `stream publish`.
#[derive(Args, Debug)]
pub(crate) struct StreamPublishFlags {
    /// Stream, which captures NAME.>
    #[arg(default_value = "bench-stream")]
    pub(crate) stream: String,
    /// Messages of all clients together
    #[arg(short, long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) messages: u64,
    /// Bytes of a payload
    #[arg(long, value_name = "BYTES", default_value_t = 128)]
    pub(crate) size: usize,
    /// Connections that publish
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(crate) clients: usize,
    /// Messages of each that may be unacknowledged; 1 waits for every acknowledgement
    #[arg(short, long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) in_flight: u64,
    /// Subjects used in turn
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(crate) subjects: usize,
    #[command(flatten)]
    pub(crate) keeping: Keeping,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Flags of `stream consume`.
#[derive(Args, Debug)]
pub(crate) struct StreamConsumeFlags {
    /// Stream
    #[arg(default_value = "bench-stream")]
    pub(crate) stream: String,
    /// Messages to read [default: all that are there]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) messages: Option<u64>,
    /// Messages of one pull
    #[arg(short, long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) batch: u64,
    /// Connections that read, sharing the messages
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(crate) clients: usize,
    /// Acknowledge every message
    #[arg(long)]
    pub(crate) ack: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Flags of `kv put`.
#[derive(Args, Debug)]
pub(crate) struct KvPutFlags {
    /// Bucket
    #[arg(default_value = "bench")]
    pub(crate) bucket: String,
    /// Puts of all clients together
    #[arg(short, long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) messages: u64,
    /// Bytes of a value
    #[arg(long, value_name = "BYTES", default_value_t = 128)]
    pub(crate) size: usize,
    /// Connections
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(crate) clients: usize,
    /// Puts of each that may be unconfirmed
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) in_flight: u64,
    /// Keys used in turn
    #[arg(short, long, value_name = "N", default_value_t = 1000, value_parser = at_least_one)]
    pub(crate) keys: usize,
    #[command(flatten)]
    pub(crate) keeping: Keeping,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Flags of `kv get`.
#[derive(Args, Debug)]
pub(crate) struct KvGetFlags {
    /// Bucket
    #[arg(default_value = "bench")]
    pub(crate) bucket: String,
    /// Gets of all clients together
    #[arg(short, long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) messages: u64,
    /// Connections
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub(crate) clients: usize,
    /// Gets of each that may be unanswered
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) in_flight: u64,
    /// Keys used in turn
    #[arg(short, long, value_name = "N", default_value_t = 1000, value_parser = at_least_one)]
    pub(crate) keys: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("not a number".to_owned()),
    }
}
