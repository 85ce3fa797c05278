//! Starting and stopping all services.

use std::sync::Arc;
use std::time::Duration;

use storage::chat::ChatDb;
use storage::chat::rooms::{RoomKind, RoomRow};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::attendance::Attendance;
use crate::bus::{Bus, BusError};
use crate::clock::now_ms;
use crate::directory::Directory;
use crate::endpoint::Endpoint;
use crate::limits::DUPLICATE_WINDOW;
use crate::names::{RoomName, RoomNameError};
use crate::{Config, fanout, history, persist, presence, read_receipts, rooms, subjects, users};

/// How long services may take to finish what they have begun.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the services did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The message system refused.
    #[error("the chat services cannot use the message system")]
    Bus(#[from] BusError),
    /// The chat database refused.
    #[error("the chat services cannot use the chat database")]
    Database(#[from] storage::chat::Error),
    /// The database knows more than the stream: files of different backups lie together.
    #[error(
        "the message stream ends at {last} and the chat database already has {position}; \
         restore both from the same backup"
    )]
    StreamBehind {
        /// The stream's last sequence.
        last: u64,
        /// What the database has.
        position: u64,
    },
    /// A public room in the configuration cannot have that name.
    #[error("public room {name:?}: {source}")]
    RoomName {
        /// As configured.
        name: String,
        /// The rule.
        source: RoomNameError,
    },
}

/// The services, running.
#[derive(Debug)]
pub struct Running {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// A service ended although nobody stopped it.
#[derive(Debug, thiserror::Error)]
#[error("a chat service ended by itself")]
pub struct Ended {
    #[source]
    panic: Option<JoinError>,
}

impl Running {
    /// Resolves when a service ends although nobody stopped it: the others would go on without it, and whoever needs it
    /// would wait in vain. Cancel-safe.
    pub async fn ended(&mut self) -> Ended {
        match self.tasks.join_next().await {
            Some(ended) => Ended { panic: ended.err() },
            None => Ended { panic: None },
        }
    }

    /// Waits for the stop, then until everything that was begun is finished, for ten seconds at most.
    pub async fn wait(mut self) {
        self.stop.cancelled().await;
        let tasks = &mut self.tasks;
        let drained = async {
            while let Some(ended) = tasks.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a chat service ended badly");
                }
            }
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::warn!("chat services were stopped before they had finished");
        }
    }
}

/// Starts all services; returns when every subject is answered.
///
/// # Errors
/// When the message system or the database cannot be used, or the configuration names an impossible room.
pub async fn start(
    bus: Arc<dyn Bus>,
    db: ChatDb,
    config: Config,
    stop: CancellationToken,
) -> Result<Running, StartError> {
    make_public_rooms(&db, &config.public_rooms).await?;
    bus.open_stream(
        subjects::MESSAGES_STREAM,
        config.stream_messages_max,
        DUPLICATE_WINDOW,
    )
    .await?;
    let directory = Arc::new(Directory::load(db.clone()).await?);
    let attendance = Arc::new(Attendance::default());
    let endpoint = Endpoint {
        bus,
        stop: stop.clone(),
    };

    let (persisting, progress) = persist::start(&endpoint, &db).await?;
    let progress = Arc::new(progress);
    let mut serving = vec![persisting];
    serving.extend(history::start(&endpoint, &db, &directory, Arc::clone(&progress)).await?);
    serving.extend(read_receipts::start(&endpoint, &db, &directory, Arc::clone(&progress)).await?);
    serving.extend(rooms::start(&endpoint, &db, &directory, &attendance, progress).await?);
    serving.extend(presence::start(&endpoint, &directory, &attendance).await?);
    serving.extend(users::start(&endpoint, &db).await?);
    serving.extend(fanout::start(&endpoint, &directory, &attendance, &config).await?);

    let mut tasks = JoinSet::new();
    for service in serving {
        tasks.spawn(service);
    }
    Ok(Running { stop, tasks })
}

async fn make_public_rooms(db: &ChatDb, names: &[String]) -> Result<(), StartError> {
    for name in names {
        let checked = RoomName::parse(name);
        let checked = checked.map_err(|source| StartError::RoomName {
            name: name.clone(),
            source,
        })?;
        let row = RoomRow {
            name: checked.as_str().to_owned(),
            display_name: checked.as_str().to_owned(),
            creator: crate::names::SYSTEM_AUTHOR.to_owned(),
            kind: RoomKind::Public,
            created_at: now_ms(),
        };
        db.insert_room(row, Vec::new()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_service_that_ends_by_itself_is_noticed() {
        let mut tasks = JoinSet::new();
        tasks.spawn(std::future::pending());
        tasks.spawn(async { panic!("broken") });
        let mut running = Running {
            stop: CancellationToken::new(),
            tasks,
        };
        let ended = running.ended().await;
        assert!(ended.panic.is_some_and(|panic| panic.is_panic()));
    }
}
