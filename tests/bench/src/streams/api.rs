//! Requests to the JetStream API, just enough for what is measured.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::frames::Frames;
use crate::server::Server;

/// A connection that hears its inbox, which is as long as those of stock clients.
pub(super) fn connect(server: &Server) -> io::Result<Frames> {
    static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
    let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let inbox = format!("_INBOX.benchbenchbench{number:07}");
    let connection = server.connect(&format!("SUB {inbox}.* 1\r\n"))?;
    Ok(Frames::new(connection.stream, inbox))
}

/// One call; a refusal is an error.
pub(super) fn call(frames: &mut Frames, name: &str, body: &str) -> io::Result<String> {
    let (inbox, len) = (&frames.inbox, body.len());
    let request = format!("PUB $JS.API.{name} {inbox}.api {len}\r\n{body}\r\n");
    frames.send(request.as_bytes())?;
    let answer = frames.wait()?;
    let text = String::from_utf8_lossy(frames.payload(&answer)).into_owned();
    let is_refused = frames.status(&answer).is_some() || text.contains("\"error\":");
    if is_refused {
        return Err(io::Error::other(format!("{name}: refused: {text}")));
    }
    Ok(text)
}

/// Removes a stream; one that is not there is fine.
pub(super) fn remove(frames: &mut Frames, stream: &str) -> io::Result<()> {
    match call(frames, &format!("STREAM.DELETE.{stream}"), "") {
        Err(error) if !error.to_string().contains("stream not found") => Err(error),
        _ => Ok(()),
    }
}

/// Makes an empty stream; `extra` is more of its configuration.
pub(super) fn create(
    frames: &mut Frames,
    stream: &str,
    subjects: &str,
    extra: &str,
) -> io::Result<()> {
    remove(frames, stream)?;
    let body = format!(
        r#"{{"name":"{stream}","subjects":["{subjects}"],"storage":"file","retention":"limits","num_replicas":1{extra}}}"#
    );
    call(frames, &format!("STREAM.CREATE.{stream}"), &body).map(drop)
}

/// A number of the information about a stream, or a consumer written `stream.consumer`.
pub(super) fn info(frames: &mut Frames, kind: &str, name: &str, field: &str) -> io::Result<u64> {
    let text = call(frames, &format!("{kind}.INFO.{name}"), "")?;
    number(&text, field).ok_or_else(|| io::Error::other(format!("no {field} in {text}")))
}

fn number(text: &str, field: &str) -> Option<u64> {
    let (_, rest) = text.split_once(&format!("\"{field}\":"))?;
    let digits = rest.trim_start();
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().ok()
}
