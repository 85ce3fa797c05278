//! NATS over TCP: plain connections become sessions at once, others after their PROXY protocol header and TLS handshake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::io::{TcpInput, TcpOutput};
use super::listener::Listener;
use super::opening::Opening;
use super::places::NoPlace;
use super::tls;
use super::tls::Loaded;
use super::tls::config::HandshakeFirst;
use super::tls::handshake::Begun;
use crate::auth::ConnectionKind;
use crate::limits::REFUSALS_MAX;
use crate::monitor::CloseReason;
use crate::proto::encode;
use crate::server::Shared;
use crate::session::connection::Connection;
use crate::session::reader::{self, Input};
use crate::session::state::{Session, write_info};
use crate::session::writer::{self, Output};

/// Pause after a failed accept: out of file descriptors does not get better at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// First byte of every TLS connection: a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// Accepts until the server stops and gives every socket, with its other end, to `admit`.
pub(crate) async fn accept(
    server: Arc<Shared>,
    socket: TcpListener,
    mut admit: impl FnMut(TcpStream, SocketAddr),
) {
    loop {
        let accepted = tokio::select! {
            () = server.listening.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                // Without it small answers wait for the acknowledgement of earlier ones; a socket that refuses is gone.
                let _ = socket.set_nodelay(true);
                admit(socket, peer);
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves a NATS port until the server stops.
pub(crate) async fn serve(server: Arc<Shared>, socket: TcpListener, listener: Arc<Listener>) {
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    accept(server.clone(), socket, |socket, peer| {
        if let Err(why) = admit(&server, &listener, socket, peer)
            && let Ok(permit) = refusals.clone().try_acquire_owned()
        {
            let (server, listener) = (server.clone(), listener.clone());
            server.tasks.clone().spawn(async move {
                refuse(&server, listener, why).await;
                drop(permit);
            });
        }
    })
    .await;
}

/// Somebody who was not let in.
struct Refused {
    socket: TcpStream,
    peer: SocketAddr,
    why: NoPlace,
}

fn admit(
    server: &Arc<Shared>,
    listener: &Arc<Listener>,
    socket: TcpStream,
    peer: SocketAddr,
) -> Result<(), Refused> {
    let entered = match listener.is_proxied(peer) {
        true => server.places.enter_for_proxy(),
        false => server.places.enter(peer.ip(), Instant::now()),
    };
    let place = match entered {
        Ok(place) => place,
        Err(why) => return Err(Refused { socket, peer, why }),
    };
    if listener.is_plain() {
        let listener = listener.clone();
        if let Some(connection) = server.connect(ConnectionKind::Tcp, listener, peer, place) {
            connection.push(|out| write_info(&server.info(&connection), out));
            let session = Session::new(server.clone(), connection);
            start_tcp(session, socket, BytesMut::new());
        }
        return Ok(());
    }
    let opening = Opening {
        server: server.clone(),
        listener: listener.clone(),
        begun: Begun {
            socket,
            received: BytesMut::new(),
        },
        peer,
        client: None,
        place: Ok(place),
    };
    server.tasks.spawn(open(opening));
    Ok(())
}

fn start_tcp(session: Session, socket: TcpStream, received: BytesMut) {
    let (read, write) = socket.into_split();
    start(session, TcpInput::new(read), TcpOutput(write), received);
}

/// Runs a session in tasks of the server's. `received` is what was read already.
pub(crate) fn start<I: Input + 'static, O: Output>(
    session: Session,
    input: I,
    output: O,
    received: BytesMut,
) {
    let server = session.server.clone();
    let write_deadline = server.config.write_deadline;
    let connection = session.connection.clone();
    server
        .tasks
        .spawn(writer::run(connection, output, write_deadline));
    server.tasks.spawn(reader::run(session, input, received));
}

/// Opens a connection, or ends it with the reason why not.
async fn open(opening: Opening) {
    let server = opening.server.clone();
    let mut greeted = None;
    let opened = tokio::select! {
        opened = try_open(opening, &mut greeted) => opened,
        () = server.stop.cancelled() => Err(CloseReason::ServerShutdown),
    };
    if let (Err(reason), Some(connection)) = (opened, greeted) {
        connection.close(reason);
        server.session_ended(&Session::new(server.clone(), connection));
    }
}

/// `greeted` is the connection from the moment it is registered.
async fn try_open(
    mut opening: Opening,
    greeted: &mut Option<Arc<Connection>>,
) -> Result<(), CloseReason> {
    let tls = opening.listener.tls.as_ref().map(tls::Tls::current);
    let Some(tls) = tls else {
        let connection = greet(&mut opening, greeted).await?;
        opening.take_proxy_header().await?;
        return start_plain(opening, connection).await;
    };
    if !tls.may_begin(Instant::now()) {
        return deny(&mut opening, NoPlace::TooFast).await;
    }
    let is_first = begins_with_tls(&mut opening, &tls).await?;
    let mut connection = None;
    if !is_first {
        let greeting = greet(&mut opening, greeted).await?;
        connection = Some(greeting.clone());
        opening.take_proxy_header().await?;
        if tls.config.allow_non_tls && !speaks_tls(&mut opening, &tls).await {
            return start_plain(opening, greeting).await;
        }
    }
    let (mut opening, state, shaken) = opening.shake_hands(&tls).await?;
    let connection = match connection {
        Some(connection) => connection,
        None => register(&opening, greeted)?,
    };
    connection.set_tls(shaken);
    settle(&mut opening, &connection).await?;
    if is_first {
        connection.push(|out| write_info(&opening.server.info(&connection), out));
    }
    let Begun { socket, received } = opening.begun;
    let (read, write) = socket.into_split();
    let (mut input, output) = tls::io::wrap(state, received, TcpInput::new(read), TcpOutput(write));
    input.attach(&connection);
    let session = Session::new(opening.server, connection);
    start(session, input, output, BytesMut::new());
    Ok(())
}

/// The client goes on without TLS.
async fn start_plain(mut opening: Opening, connection: Arc<Connection>) -> Result<(), CloseReason> {
    settle(&mut opening, &connection).await?;
    let Begun { socket, received } = opening.begun;
    start_tcp(Session::new(opening.server, connection), socket, received);
    Ok(())
}

/// Whether TLS comes before INFO. Reads a PROXY protocol header that has to come before either.
async fn begins_with_tls(opening: &mut Opening, tls: &Loaded) -> Result<bool, CloseReason> {
    match tls.config.handshake_first {
        HandshakeFirst::No => Ok(false),
        HandshakeFirst::Yes => {
            opening.take_proxy_header().await?;
            Ok(true)
        }
        HandshakeFirst::Within(wait) => match timeout(wait, opening.fill()).await {
            Ok(true) => {
                opening.take_proxy_header().await?;
                Ok(true)
            }
            Ok(false) => Err(CloseReason::ClientClosed),
            Err(_elapsed) => Ok(false),
        },
    }
}

/// Looks at the first byte of a client that may or may not speak TLS. Silence is no TLS, as nats-server sees it.
async fn speaks_tls(opening: &mut Opening, tls: &Loaded) -> bool {
    if opening.begun.received.is_empty() {
        let _ = timeout(tls.config.timeout, opening.fill()).await;
    }
    opening.begun.received.first() == Some(&TLS_HANDSHAKE)
}

/// Registers the connection; it can be seen and closed by others from then on.
fn register(
    opening: &Opening,
    greeted: &mut Option<Arc<Connection>>,
) -> Result<Arc<Connection>, CloseReason> {
    let listener = opening.listener.clone();
    let server = &opening.server;
    let connection = server.register(ConnectionKind::Tcp, listener, opening.peer);
    let connection = connection.ok_or(CloseReason::ServerShutdown)?;
    *greeted = Some(connection.clone());
    Ok(connection)
}

/// Registers the connection and sends INFO in clear.
async fn greet(
    opening: &mut Opening,
    greeted: &mut Option<Arc<Connection>>,
) -> Result<Arc<Connection>, CloseReason> {
    let connection = register(opening, greeted)?;
    let mut info = Vec::new();
    {
        let mut fields = opening.server.info(&connection);
        if opening.listener.is_proxied(opening.peer) {
            // Where the client is will be said only after this.
            fields.client_ip.clear();
        }
        write_info(&fields, &mut info);
    }
    let write = opening.begun.socket.write_all(&info);
    match timeout(opening.server.config.auth_timeout, write).await {
        Ok(Ok(())) => Ok(connection),
        _ => Err(CloseReason::WriteError),
    }
}

/// Tells the connection what was learned about it, or the client that there is no place for it after all.
async fn settle(opening: &mut Opening, connection: &Connection) -> Result<(), CloseReason> {
    if let Some(client) = opening.client {
        connection.is_behind_proxy(client);
    }
    match std::mem::replace(&mut opening.place, Err(NoPlace::TooMany)) {
        Ok(place) => {
            connection.hold(Some(place));
            Ok(())
        }
        Err(why) => deny(opening, why).await,
    }
}

/// Tells a client in clear that there is no place for it. Behind a TLS handshake it reads nothing that is clear: there the
/// connection just ends.
async fn deny(opening: &mut Opening, why: NoPlace) -> Result<(), CloseReason> {
    let mut out = Vec::new();
    encode::error(&why.error(), &mut out);
    let write = opening.begun.socket.write_all(&out);
    // Best effort, within the time a stranger gets.
    let _ = timeout(opening.server.config.auth_timeout, write).await;
    Err(CloseReason::MaximumConnectionsExceeded)
}

/// Says INFO, then why not, as nats-server does.
async fn refuse(server: &Arc<Shared>, listener: Arc<Listener>, mut refused: Refused) {
    let connection = server.stranger(ConnectionKind::Tcp, listener, refused.peer);
    let mut out = Vec::new();
    write_info(&server.info(&connection), &mut out);
    encode::error(&refused.why.error(), &mut out);
    let write = refused.socket.write_all(&out);
    // Best effort, within the time a stranger gets.
    let _ = timeout(server.config.auth_timeout, write).await;
}
