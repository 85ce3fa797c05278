//! NATS over WebSocket: the same byte stream in binary messages.
//!
//! The HTTP upgrade happens here, on a port of the broker's own, or in a web server that hands the connection over. Text
//! and binary messages are accepted, binary ones are sent. Compression is spoken where it is configured, never to
//! strangers. What a client may send before it has authenticated is counted below the frames, so that not even frame
//! headers are free.

mod accept;
mod control;
pub(crate) mod decode;
mod deflate;
mod input;
mod origin;
mod output;
pub(crate) mod upgrade;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

pub(crate) use accept::Acceptor;
use control::Control;
use decode::{Agreed, Decoder};
use input::WebSocketInput;
use output::{Style, WebSocketOutput};

use super::io::{StreamInput, StreamOutput, TcpInput, TcpOutput};
use super::listener::{Cookies, Listener};
use super::places::{NoPlace, Place};
use super::tcp;
use super::tls::peer::TlsSession;
use crate::auth::ConnectionKind;
use crate::leaf::accept::{self as leaf_accept, Before, Port};
use crate::monitor::CloseReason;
use crate::proto::encode;
use crate::server::Shared;
use crate::session::reader::Input;
use crate::session::state::{Session, write_info};
use crate::session::writer::{self, Output};

/// What the HTTP side knows about a client that was upgraded.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    peer: SocketAddr,
    is_browser: bool,
    is_safari: bool,
    agreed: Agreed,
    cookies: Option<Cookies>,
    forwarded_for: Option<IpAddr>,
}

impl ConnectionInfo {
    /// A client at the other end of this address.
    #[must_use]
    pub fn new(peer: SocketAddr) -> Self {
        Self {
            peer,
            is_browser: false,
            is_safari: false,
            agreed: Agreed::default(),
            cookies: None,
            forwarded_for: None,
        }
    }

    /// Takes note of the `User-Agent`: browsers get small frames, as from nats-server.
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: &str) -> Self {
        self.is_browser = user_agent.starts_with("Mozilla/");
        self.is_safari = user_agent.contains("Version/") && user_agent.contains("Safari/");
        self
    }

    fn style(&self) -> Style {
        Style {
            compresses: self.agreed.compression,
            keeps_compressed_whole: self.is_safari,
            ..match self.is_browser {
                true => Style::of_browser(),
                false => Style::default(),
            }
        }
    }
}

/// Serves a connection that somebody else upgraded, in tasks of the server's.
pub(crate) fn serve<S>(server: &Arc<Shared>, io: S, info: ConnectionInfo)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (read, write) = tokio::io::split(io);
    let streams = Streams {
        input: StreamInput(read),
        output: StreamOutput::new(write),
        received: BytesMut::new(),
    };
    start_foreign(server, streams, info);
}

/// The same for a bare socket, of which `received` was read already.
pub(crate) fn serve_tcp(
    server: &Arc<Shared>,
    socket: TcpStream,
    received: BytesMut,
    info: ConnectionInfo,
) {
    let _ = socket.set_nodelay(true);
    let (read, write) = socket.into_split();
    let streams = Streams {
        input: TcpInput::new(read),
        output: TcpOutput(write),
        received,
    };
    start_foreign(server, streams, info);
}

fn start_foreign<I: Input + 'static, O: Output>(
    server: &Arc<Shared>,
    streams: Streams<I, O>,
    info: ConnectionInfo,
) {
    let place = server.places.enter(info.peer.ip(), Instant::now());
    let arrival = Arrival {
        listener: server.foreign_listener.clone(),
        info,
        client: None,
        place,
        tls: None,
    };
    start(server, streams, arrival);
}

/// Both directions of an upgraded connection, and what was read of it already.
pub(crate) struct Streams<I, O> {
    pub(crate) input: I,
    pub(crate) output: O,
    pub(crate) received: BytesMut,
}

/// How an upgraded connection came.
pub(crate) struct Arrival {
    pub(crate) listener: Arc<Listener>,
    pub(crate) info: ConnectionInfo,
    /// The client, where the other end of the socket is a proxy.
    pub(crate) client: Option<SocketAddr>,
    pub(crate) place: Result<Place, NoPlace>,
    pub(crate) tls: Option<Arc<TlsSession>>,
}

/// Makes a session of an upgraded connection, or says why not.
pub(crate) fn start<I: Input + 'static, O: Output>(
    server: &Arc<Shared>,
    streams: Streams<I, O>,
    arrival: Arrival,
) {
    let Arrival {
        listener,
        info,
        client,
        place,
        tls,
    } = arrival;
    let control = Arc::new(Control::default());
    let output = WebSocketOutput::new(streams.output, control.clone(), info.style());
    let kind = ConnectionKind::WebSocket;
    let place = match place {
        Ok(place) => place,
        Err(why) => {
            let connection = server.stranger(kind, listener, info.peer);
            connection.push(|out| write_info(&server.info(&connection), out));
            connection.push(|out| encode::error(&why.error(), out));
            connection.close(CloseReason::MaximumConnectionsExceeded);
            let write_deadline = server.config.write_deadline;
            server
                .tasks
                .spawn(writer::run(connection, output, write_deadline));
            return;
        }
    };
    let Some(connection) = server.connect(kind, listener, info.peer, place) else {
        return;
    };
    if let Some(client) = client {
        connection.is_behind_proxy(client);
    }
    if let Some(tls) = tls {
        connection.set_tls(tls);
    }
    if let Some(cookies) = info.cookies {
        connection.set_cookies(cookies);
    }
    connection.push(|out| write_info(&server.info(&connection), out));
    let mut carrier = streams.input;
    carrier.attach(&connection);
    let input = WebSocketInput::new(
        carrier,
        streams.received,
        Decoder::new(info.agreed),
        control,
        connection.clone(),
    );
    let session = Session::new(server.clone(), connection);
    tcp::start(session, input, output, BytesMut::new());
}

/// Makes a leaf link of an upgraded connection. One that has no place is closed: it comes again by itself.
pub(crate) fn start_leaf<I: Input + 'static, O: Output>(
    server: &Arc<Shared>,
    port: Arc<Port>,
    streams: Streams<I, O>,
    arrival: Arrival,
) {
    let Ok(place) = arrival.place else { return };
    let control = Arc::new(Control::default());
    let output = WebSocketOutput::new(streams.output, control.clone(), arrival.info.style());
    let kind = ConnectionKind::LeafnodeWebSocket;
    let connection = server.stranger(kind, arrival.listener, arrival.info.peer);
    if let Some(client) = arrival.client {
        connection.is_behind_proxy(client);
    }
    let mut carrier = streams.input;
    carrier.attach(&connection);
    let decoder = Decoder::new(arrival.info.agreed);
    let input = WebSocketInput::new(
        carrier,
        streams.received,
        decoder,
        control,
        connection.clone(),
    );
    let before = Before::silent(arrival.tls);
    let serving = leaf_accept::welcome(
        server.clone(),
        port,
        connection,
        (input, output),
        before,
        place,
    );
    server.tasks.spawn(serving);
}
