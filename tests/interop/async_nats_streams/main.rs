//! async-nats, the Rust client, with its default options: streams, consumers, key-value buckets and object stores.

mod consumers;
mod kv;
mod objects;
mod streams;

use std::time::Duration;

use async_nats::jetstream::{self, Context, stream};
use futures_util::{Stream, StreamExt};
use harness::{Broker, PATIENCE};
use tokio::time::timeout;

/// A server of a test's own and a connection to it.
struct Fixture {
    broker: Broker,
    context: Context,
}

impl Fixture {
    async fn start() -> Self {
        let broker = Broker::start().await;
        let client = async_nats::connect(format!("nats://{}", broker.nats))
            .await
            .unwrap();
        Self {
            broker,
            context: jetstream::new(client),
        }
    }

    /// Stream `S` on `s.*` with `count` messages `0`, `1`, ... on `s.0` and `s.1` in turn.
    async fn stream(&self, count: usize) -> stream::Stream {
        let config = stream::Config {
            name: "S".to_owned(),
            subjects: vec!["s.*".to_owned()],
            allow_direct: true,
            ..stream::Config::default()
        };
        self.stream_of(config, count).await
    }

    async fn stream_of(&self, config: stream::Config, count: usize) -> stream::Stream {
        let stream = self.context.create_stream(config).await.unwrap();
        for number in 0..count {
            self.publish(&format!("s.{}", number % 2), &number.to_string())
                .await;
        }
        stream
    }

    /// Publishes and waits for the acknowledgement; its sequence.
    async fn publish(&self, subject: &str, payload: &str) -> u64 {
        let ack = self
            .context
            .publish(subject.to_owned(), payload.to_owned().into())
            .await
            .unwrap();
        ack.await.unwrap().sequence
    }
}

/// The next `count` things of a stream of the client.
async fn take<T, E: std::fmt::Debug>(
    stream: &mut (impl Stream<Item = Result<T, E>> + Unpin),
    count: usize,
) -> Vec<T> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let next = timeout(PATIENCE, stream.next()).await;
        taken.push(
            next.expect("it comes in time")
                .expect("the stream goes on")
                .unwrap(),
        );
    }
    taken
}

fn text(message: &jetstream::Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}

fn texts(messages: &[jetstream::Message]) -> Vec<String> {
    messages.iter().map(text).collect()
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
