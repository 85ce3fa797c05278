//! Finds people (contract 9.7).

use storage::chat::ChatDb;
use storage::chat::users::UserCard as Row;

use crate::bus::BusError;
use crate::endpoint::{Endpoint, Reply, Request, Serving, internal, reply};
use crate::limits::{SEARCH_BYTES_MAX, SEARCH_RESULTS_MAX, USERS_GET_MAX};
use crate::subjects;
use crate::wire::{Refusal, UserCard, UserName};

const QUEUE_GROUP: &str = "user-search-workers";

pub(crate) async fn start(endpoint: &Endpoint, db: &ChatDb) -> Result<Vec<Serving>, BusError> {
    let (for_search, for_get) = (db.clone(), db.clone());
    Ok(vec![
        endpoint
            .side_by_side(subjects::USERS_SEARCH, QUEUE_GROUP, move |request| {
                let db = for_search.clone();
                async move {
                    let reply = search(&db, &request).await;
                    (request, reply)
                }
            })
            .await?,
        endpoint
            .side_by_side(subjects::USERS_GET, QUEUE_GROUP, move |request| {
                let db = for_get.clone();
                async move {
                    let reply = users(&db, &request).await;
                    (request, reply)
                }
            })
            .await?,
    ])
}

fn card(row: Row) -> UserCard {
    let (first, last) = row
        .display_name
        .split_once(' ')
        .unwrap_or((&row.display_name, ""));
    UserCard {
        first_name: first.to_owned(),
        last_name: last.to_owned(),
        username: row.username,
        display_name: row.display_name,
    }
}

/// The body is the text itself; nothing to look for finds nobody.
async fn search(db: &ChatDb, request: &Request) -> Reply {
    let text = String::from_utf8_lossy(&request.message.payload);
    let text = text.trim();
    if text.is_empty() || text.len() > SEARCH_BYTES_MAX {
        return Ok(Some("[]".into()));
    }
    let found = db
        .search_users(text, SEARCH_RESULTS_MAX)
        .await
        .map_err(internal)?;
    reply(&found.into_iter().map(card).collect::<Vec<_>>())
}

async fn users(db: &ChatDb, request: &Request) -> Reply {
    let UserName { usernames } = request.body()?;
    if usernames.len() > USERS_GET_MAX {
        return Err(Refusal::new(
            "too_large",
            "At most 100 names in one request.",
        ));
    }
    let found = db.user_cards(usernames).await.map_err(internal)?;
    reply(&found.into_iter().map(card).collect::<Vec<_>>())
}
