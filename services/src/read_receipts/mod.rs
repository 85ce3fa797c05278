//! How far everybody has read (contract 9.6): one position per user and room, which only moves forward.

use std::sync::Arc;

use storage::chat::ChatDb;
use storage::chat::read_receipts::Reached;

use crate::bus::BusError;
use crate::directory::Directory;
use crate::endpoint::{Endpoint, Reply, Request, Serving, internal, reply};
use crate::limits::READ_STATE_MAX;
use crate::names::{ADMIN_AUDIENCE, ADMIN_ROOM};
use crate::persist::Progress;
use crate::subjects;
use crate::wire::{ReadState, ReadUpdate, Refusal};

const QUEUE_GROUP: &str = "read-receipt-workers";

struct ReadReceipts {
    db: ChatDb,
    directory: Arc<Directory>,
    progress: Arc<Progress>,
}

pub(crate) async fn start(
    endpoint: &Endpoint,
    db: &ChatDb,
    directory: &Arc<Directory>,
    progress: Arc<Progress>,
) -> Result<Vec<Serving>, BusError> {
    let receipts = Arc::new(ReadReceipts {
        db: db.clone(),
        directory: Arc::clone(directory),
        progress,
    });
    let update = Arc::clone(&receipts);
    Ok(vec![
        endpoint
            .side_by_side(subjects::READ_UPDATE, QUEUE_GROUP, move |request| {
                let receipts = Arc::clone(&update);
                async move {
                    let reply = receipts.update(&request).await;
                    (request, reply)
                }
            })
            .await?,
        endpoint
            .side_by_side(subjects::READ_STATE, QUEUE_GROUP, move |request| {
                let receipts = Arc::clone(&receipts);
                async move {
                    let reply = receipts.state(&request).await;
                    (request, reply)
                }
            })
            .await?,
    ])
}

/// Read subjects call the administrators' room by its audience.
fn room_of(token: &str) -> &str {
    if token == ADMIN_AUDIENCE {
        ADMIN_ROOM
    } else {
        token
    }
}

impl ReadReceipts {
    async fn update(&self, request: &Request) -> Reply {
        let room = room_of(request.token(2));
        let update: ReadUpdate = request.body()?;
        let user = request.caller.speaks_for(update.user_id.as_deref())?;
        if !self.directory.may_read(&request.caller, room) {
            return Err(Refusal::room_not_found());
        }
        let reached = match (update.seq, update.last_read.or(update.timestamp)) {
            (Some(seq), _) => Reached::Seq(seq),
            (None, Some(time)) => Reached::Time(time),
            (None, None) => {
                return Err(Refusal::invalid_request(
                    "The request does not say how far you read.",
                ));
            }
        };
        self.progress.caught_up().await;
        let position = self
            .db
            .set_read_position(&user, room, reached)
            .await
            .map_err(internal)?;
        let (last_read, seq) =
            position.map_or((0, 0), |position| (position.timestamp, position.seq));
        reply(&ReadState {
            user_id: user,
            last_read,
            seq,
        })
    }

    async fn state(&self, request: &Request) -> Reply {
        let room = room_of(request.token(2));
        if !self.directory.may_read(&request.caller, room) {
            return Ok(Some("[]".into()));
        }
        let positions = self
            .db
            .read_positions(room, READ_STATE_MAX)
            .await
            .map_err(internal)?;
        let mut states: Vec<ReadState> = Vec::with_capacity(positions.len());
        let members = self.directory.room(room).filter(|room| !room.is_public());
        for position in positions {
            // Former members are nobody's business.
            if members
                .as_ref()
                .is_none_or(|room| room.role(&position.username).is_some())
            {
                states.push(ReadState {
                    user_id: position.username,
                    last_read: position.timestamp,
                    seq: position.seq,
                });
            }
        }
        reply(&states)
    }
}
