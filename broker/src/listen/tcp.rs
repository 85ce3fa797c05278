//! NATS over plain TCP.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::auth::ConnectionKind;
use crate::limits::REFUSALS_MAX;
use crate::monitor::CloseReason;
use crate::proto::encode::{self, ProtocolError};
use crate::server::Shared;
use crate::session::reader::{self, Input};
use crate::session::state::{Session, write_info};
use crate::session::writer;

/// Pause after a failed accept: out of file descriptors does not get better at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The reading half of a socket.
pub(crate) struct TcpInput(OwnedReadHalf);

impl Input for TcpInput {
    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        capacity: usize,
    ) -> Poll<io::Result<usize>> {
        ready!(self.0.as_ref().poll_read_ready(context))?;
        buffer.reserve(capacity);
        let read = pin!(self.0.read_buf(buffer));
        std::future::Future::poll(read, context)
    }
}

/// Accepts until the server stops.
pub(crate) async fn accept(server: Arc<Shared>, listener: TcpListener) {
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    loop {
        let accepted = tokio::select! {
            () = server.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => admit(&server, socket, peer, &refusals),
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(server: &Arc<Shared>, socket: TcpStream, peer: SocketAddr, refusals: &Arc<Semaphore>) {
    // Without it small answers wait for the acknowledgement of earlier ones; a socket that refuses is gone already.
    let _ = socket.set_nodelay(true);
    let Some(connection) = server.connect(ConnectionKind::Tcp, peer) else {
        if let Ok(permit) = refusals.clone().try_acquire_owned() {
            let server = server.clone();
            server.tasks.clone().spawn(async move {
                refuse(&server, socket, peer).await;
                drop(permit);
            });
        }
        return;
    };
    let (read, write) = socket.into_split();
    connection.push(|out| write_info(&server.info(&connection), out));
    let write_deadline = server.config.write_deadline;
    server
        .tasks
        .spawn(writer::run(connection.clone(), write, write_deadline));
    server.tasks.spawn(reader::run(
        Session::new(server.clone(), connection),
        TcpInput(read),
    ));
}

/// Says INFO, then why not, as nats-server does.
async fn refuse(server: &Arc<Shared>, mut socket: TcpStream, peer: SocketAddr) {
    let connection = server.stranger(ConnectionKind::Tcp, peer);
    let mut out = Vec::new();
    write_info(&server.info(&connection), &mut out);
    encode::error(&ProtocolError::ConnectionsExceeded, &mut out);
    connection.close(CloseReason::MaximumConnectionsExceeded);
    let write = tokio::io::AsyncWriteExt::write_all(&mut socket, &out);
    // Best effort, within the time a stranger gets.
    let _ = tokio::time::timeout(server.config.auth_timeout, write).await;
}
