//! `app.{app}.{room}.{event}` without a reply: an app's event to everybody in the room.
//!
//! Only services in this process send events. A user's publish to such a subject is a request without an answer, and goes
//! to the app alone.

use std::sync::Arc;

use super::QUEUE_GROUP;
use crate::attendance::Attendance;
use crate::bus::BusError;
use crate::caller::Caller;
use crate::directory::Directory;
use crate::endpoint::{Endpoint, Request, Serving, internal};
use crate::subjects;
use crate::wire::Refusal;

/// Room apps answer here when they exist; until then the asker is told at once, and the same for every room.
fn no_such_app() -> Refusal {
    Refusal::new("no_such_app", "There is no such app here.")
}

pub(super) async fn start(
    endpoint: &Endpoint,
    directory: &Arc<Directory>,
    attendance: &Arc<Attendance>,
) -> Result<Serving, BusError> {
    let (directory, attendance) = (Arc::clone(directory), Arc::clone(attendance));
    let bus = Arc::clone(&endpoint.bus);
    let forward = move |request: Request| {
        let (directory, attendance, bus) = (
            Arc::clone(&directory),
            Arc::clone(&attendance),
            Arc::clone(&bus),
        );
        async move {
            if request.wants_reply() {
                return (request, Err(no_such_app()));
            }
            let is_event = matches!(request.caller, Caller::Service);
            let room = directory.room(request.token(2)).filter(|_| is_event);
            if let Some(room) = room {
                let users = if room.is_public() {
                    attendance.audience(&room.row.name)
                } else {
                    room.members
                        .iter()
                        .map(|(member, _)| member.clone())
                        .collect()
                };
                for user in users {
                    let subject = subjects::app_to_user(&user, request.message.subject.as_str());
                    if let Err(error) = bus.publish(&subject, request.message.payload.clone()).await
                    {
                        return (request, Err(internal(error)));
                    }
                }
            }
            (request, Ok(None))
        }
    };
    endpoint.in_order(subjects::APP, QUEUE_GROUP, forward).await
}
