//! Brings the stream to the database (contract 9.4): many messages in one transaction, and the acknowledgement after it.
//! What the database refuses becomes a dead letter; nothing is tried for ever.

mod rules;

use std::sync::Arc;

use storage::chat::ChatDb;
use tokio::sync::watch;

use crate::bus::{Bus, BusError, Follower, StreamStart};
use crate::clock::now_ms;
use crate::endpoint::{Endpoint, Serving};
use crate::limits::{CATCH_UP_TIMEOUT, PERSIST_BATCH_MAX, PERSIST_RETRY};
use crate::subjects::{MESSAGES_STREAM, PERSIST_CONSUMER};

/// How far the database is behind the stream; for readers who must not miss what was just sent.
pub(crate) struct Progress {
    bus: Arc<dyn Bus>,
    stored: watch::Receiver<u64>,
}

impl Progress {
    /// Waits until the database has what the stream has now, or a bounded time.
    pub(crate) async fn caught_up(&self) {
        let Ok(last) = self.bus.last_seq(MESSAGES_STREAM).await else {
            return;
        };
        let mut stored = self.stored.clone();
        let reached = stored.wait_for(|stored| *stored >= last);
        if tokio::time::timeout(CATCH_UP_TIMEOUT, reached)
            .await
            .is_err()
        {
            tracing::warn!("the database is behind the stream");
        }
    }
}

pub(crate) async fn start(
    endpoint: &Endpoint,
    db: &ChatDb,
) -> Result<(Serving, Progress), crate::StartError> {
    let position = db.stream_position(MESSAGES_STREAM).await?;
    let last = endpoint.bus.last_seq(MESSAGES_STREAM).await?;
    if last < position {
        return Err(crate::StartError::StreamBehind { last, position });
    }
    let start = StreamStart::Durable(PERSIST_CONSUMER);
    let mut stream = endpoint.bus.follow(MESSAGES_STREAM, start).await?;
    let (progress, stored) = watch::channel(position);
    let (db, stop) = (db.clone(), endpoint.stop.clone());
    let run = async move {
        loop {
            let batch = tokio::select! {
                () = stop.cancelled() => break,
                batch = stream.next_batch(PERSIST_BATCH_MAX) => batch,
            };
            match batch {
                Ok(records) => store(&db, stream.as_mut(), records, &progress).await,
                Err(BusError::Closed) => break,
                Err(error) => {
                    tracing::error!(%error, "the database waits for the stream");
                    tokio::time::sleep(PERSIST_RETRY).await;
                }
            }
        }
    };
    let progress = Progress {
        bus: Arc::clone(&endpoint.bus),
        stored,
    };
    Ok((Box::pin(run), progress))
}

/// Applies a batch. A database that fails as a whole (a full disk) is tried again until it works: nothing may be lost,
/// and nothing is acknowledged meanwhile.
async fn store(
    db: &ChatDb,
    stream: &mut dyn Follower,
    records: Vec<crate::Record>,
    progress: &watch::Sender<u64>,
) {
    let Some(last) = records.last().map(|record| record.seq) else {
        return;
    };
    let events: Vec<_> = records.into_iter().map(rules::event).collect();
    loop {
        match db.apply(MESSAGES_STREAM, events.clone(), now_ms()).await {
            Ok(0) => break,
            Ok(refused) => {
                tracing::error!(refused, "messages became dead letters");
                break;
            }
            Err(storage::chat::Error::Closed) => return,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "messages wait for the database"
                );
                tokio::time::sleep(PERSIST_RETRY).await;
            }
        }
    }
    progress.send_replace(last);
    if let Err(error) = stream.ack(last).await {
        // The position in the database decides; the consumer's is a shortcut for the next start.
        tracing::warn!(%error, "the consumer's place was not stored");
    }
}
