//! Pages of a room, replies of a thread, and the conversations of a user (contract 9.5).

use std::sync::Arc;

use serde::Serialize;
use storage::chat::ChatDb;
use storage::chat::messages::Page;
use storage::chat::rooms::RoomKind;

use crate::bus::BusError;
use crate::directory::Directory;
use crate::endpoint::{Endpoint, Reply, Request, Serving, internal, reply};
use crate::limits::{HISTORY_PAGE, HISTORY_PAGE_MAX, THREAD_PAGE};
use crate::names::thread_parent;
use crate::persist::Progress;
use crate::subjects;
use crate::wire::{HistoryPage, HistoryRequest, Refusal, StoredMessage, json};

const QUEUE_GROUP: &str = "history-workers";

struct History {
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
    let history = Arc::new(History {
        db: db.clone(),
        directory: Arc::clone(directory),
        progress,
    });
    let page = Arc::clone(&history);
    let thread = Arc::clone(&history);
    Ok(vec![
        endpoint
            .side_by_side(subjects::HISTORY, QUEUE_GROUP, move |request| {
                let history = Arc::clone(&page);
                async move {
                    let reply = history.page(&request).await;
                    (request, reply)
                }
            })
            .await?,
        endpoint
            .side_by_side(subjects::HISTORY_THREAD, QUEUE_GROUP, move |request| {
                let history = Arc::clone(&thread);
                async move {
                    let reply = history.thread_of_subject(&request).await;
                    (request, reply)
                }
            })
            .await?,
        endpoint
            .side_by_side(subjects::DIRECT_ROOMS, QUEUE_GROUP, move |request| {
                let reply = history.direct_rooms(&request);
                std::future::ready((request, reply))
            })
            .await?,
    ])
}

/// A refusal that older clients read as an empty page.
#[derive(Serialize)]
struct RefusedPage {
    #[serde(flatten)]
    refusal: Refusal,
    #[serde(flatten)]
    page: HistoryPage,
}

fn refused_page(refusal: Refusal) -> Reply {
    reply(&RefusedPage {
        refusal,
        page: HistoryPage::default(),
    })
}

impl History {
    async fn page(&self, request: &Request) -> Reply {
        let room = request.token(2);
        if !self.directory.may_read(&request.caller, room) {
            return refused_page(Refusal::room_not_found());
        }
        // As the contract has it: a body that cannot be read asks for the newest page.
        let wish: HistoryRequest = request.body().unwrap_or_default();
        self.progress.caught_up().await;
        let found = match &wish.thread_id {
            Some(thread) if thread_parent(room, thread).is_none() => Ok((Vec::new(), false)),
            Some(thread) => self.db.thread_messages(room, thread, THREAD_PAGE).await,
            None => {
                let count_max = wish
                    .limit
                    .unwrap_or(HISTORY_PAGE)
                    .clamp(1, HISTORY_PAGE_MAX);
                self.db.messages(room, page_of(&wish), count_max).await
            }
        };
        match found {
            Ok((rows, has_more)) => {
                let messages = rows.into_iter().map(StoredMessage::from).collect();
                reply(&HistoryPage { messages, has_more })
            }
            Err(error) => refused_page(internal(error)),
        }
    }

    /// The older form: a bare list.
    async fn thread_of_subject(&self, request: &Request) -> Reply {
        let (room, thread) = (request.token(2), request.token(4));
        let readable = self.directory.may_read(&request.caller, room);
        if !readable || thread_parent(room, thread).is_none() {
            return Ok(Some("[]".into()));
        }
        self.progress.caught_up().await;
        let (rows, _) = self
            .db
            .thread_messages(room, thread, THREAD_PAGE)
            .await
            .map_err(internal)?;
        let messages: Vec<_> = rows.into_iter().map(StoredMessage::from).collect();
        Ok(Some(json(&messages)))
    }

    /// The asker's own; the name in the body is not looked at.
    fn direct_rooms(&self, request: &Request) -> Reply {
        let named = String::from_utf8_lossy(&request.message.payload);
        let user = request.caller.user().unwrap_or(named.trim());
        let rooms = self.directory.rooms_of(user).into_iter();
        let direct = rooms.filter(|room| room.row.kind == RoomKind::Direct);
        reply(&direct.map(|room| room.row.name.clone()).collect::<Vec<_>>())
    }
}

fn page_of(wish: &HistoryRequest) -> Page {
    match (wish.after_seq, wish.before_seq, wish.before) {
        (Some(seq), _, _) => Page::AfterSeq(seq),
        (_, Some(seq), _) => Page::BeforeSeq(seq),
        (_, _, Some(time)) if time > 0 => Page::BeforeTime(time),
        _ => Page::Newest,
    }
}
