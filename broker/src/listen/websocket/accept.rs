//! A WebSocket port of the broker's own: PROXY protocol header, TLS, HTTP request, all within one time limit.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Buf, BytesMut};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::upgrade::{Upgrade, Upgrader};
use super::{Arrival, Streams, start, start_leaf};
use crate::error::Error;
use crate::limits::{READ_BUFFER_BYTES_MIN, REFUSALS_MAX, UPGRADE_HEAD_BYTES_MAX};
use crate::listen::config::WebSocketConfig;
use crate::listen::io::{TcpInput, TcpOutput};
use crate::listen::listener::Listener;
use crate::listen::opening::Opening;
use crate::listen::places::{NoPlace, Place};
use crate::listen::tls::handshake::Begun;
use crate::listen::tls::peer::TlsSession;
use crate::listen::{tcp, tls};
use crate::monitor::CloseReason;
use crate::server::Shared;
use crate::session::reader::Input;
use crate::session::writer::Output;

/// One WebSocket port.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: Arc<Listener>,
    upgrader: Upgrader,
    handshake_timeout: Duration,
    /// Connections that are only told why there is no place for them.
    refusals: Arc<Semaphore>,
}

impl Acceptor {
    /// # Errors
    /// What cannot be honoured of the configuration.
    pub(crate) fn new(addr: SocketAddr, config: &WebSocketConfig) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            listener: Listener::websocket(addr, config),
            upgrader: Upgrader::new(config)?,
            handshake_timeout: config.handshake_timeout,
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
        }))
    }

    /// Serves the port until the server stops.
    pub(crate) async fn serve(self: Arc<Self>, server: Arc<Shared>, socket: TcpListener) {
        tcp::accept(server.clone(), socket, |socket, peer| {
            self.admit(&server, socket, peer);
        })
        .await;
    }

    fn admit(self: &Arc<Self>, server: &Arc<Shared>, socket: TcpStream, peer: SocketAddr) {
        let is_proxy = self.listener.is_proxied(peer) || self.upgrader.trusts(peer.ip());
        let entered = match is_proxy {
            true => server.places.enter_for_proxy(),
            false => server.places.enter(peer.ip(), Instant::now()),
        };
        // Whoever is refused is told so behind the upgrade, in place of somebody else who is.
        let permit = match &entered {
            Ok(_) => None,
            Err(_) => match self.refusals.clone().try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => return,
            },
        };
        let opening = Opening {
            server: server.clone(),
            listener: self.listener.clone(),
            begun: Begun {
                socket,
                received: BytesMut::new(),
            },
            peer,
            client: None,
            place: entered,
        };
        let acceptor = self.clone();
        server.tasks.clone().spawn(async move {
            let stop = opening.server.stop.clone();
            tokio::select! {
                opened = timeout(acceptor.handshake_timeout, acceptor.open(opening)) => {
                    if let Ok(Err(reason)) = opened {
                        tracing::debug!(%peer, reason = reason.as_str(), "a WebSocket was not opened");
                    }
                }
                () = stop.cancelled() => {}
            }
            drop(permit);
        });
    }

    async fn open(&self, mut opening: Opening) -> Result<(), CloseReason> {
        opening.take_proxy_header().await?;
        let Some(tls) = self.listener.tls.as_ref().map(tls::Tls::current) else {
            let (arrived, begun) = Arrived::of(opening);
            let (read, write) = begun.socket.into_split();
            let streams = Streams {
                input: TcpInput::new(read),
                output: TcpOutput(write),
                received: begun.received,
            };
            return self.upgrade(arrived, streams, None).await;
        };
        if !tls.may_begin(Instant::now()) {
            return Err(CloseReason::MaximumConnectionsExceeded);
        }
        let (opening, state, session) = opening.shake_hands(&tls).await?;
        let (arrived, begun) = Arrived::of(opening);
        let (read, write) = begun.socket.into_split();
        let (input, output) =
            tls::io::wrap(state, begun.received, TcpInput::new(read), TcpOutput(write));
        let streams = Streams {
            input,
            output,
            received: BytesMut::new(),
        };
        self.upgrade(arrived, streams, Some(session)).await
    }

    async fn upgrade<I: Input + 'static, O: Output>(
        &self,
        mut arrived: Arrived,
        mut streams: Streams<I, O>,
        tls: Option<Arc<TlsSession>>,
    ) -> Result<(), CloseReason> {
        let upgrade = match self.request(&mut streams, arrived.peer).await? {
            Ok(upgrade) => upgrade,
            Err(response) => {
                let said = say(&mut streams.output, response.as_bytes()).await;
                said.map_err(|_| CloseReason::WriteError)?;
                streams.output.shutdown().await;
                return Err(CloseReason::ProtocolViolation);
            }
        };
        streams.received.advance(upgrade.len);
        if !streams.received.is_empty() {
            // Nobody may send frames before it knows that they are wanted.
            return Err(CloseReason::ProtocolViolation);
        }
        let said = say(&mut streams.output, upgrade.response.as_bytes()).await;
        said.map_err(|_| CloseReason::WriteError)?;
        let leaf_port = arrived.server.leaves.port().filter(|_| upgrade.is_leaf);
        if upgrade.is_leaf && leaf_port.is_none() {
            streams.output.shutdown().await;
            return Err(CloseReason::ProtocolViolation);
        }
        if let Some(address) = upgrade.info.forwarded_for {
            arrived.is_for(address);
        } else if self.upgrader.trusts(arrived.peer.ip()) && arrived.client.is_none() {
            // The proxy speaks for itself.
            arrived.count(arrived.peer.ip());
        }
        let arrival = Arrival {
            listener: self.listener.clone(),
            info: upgrade.info,
            client: arrived.client,
            place: arrived.place,
            tls,
        };
        match leaf_port {
            Some(port) => start_leaf(&arrived.server, port, streams, arrival),
            None => start(&arrived.server, streams, arrival),
        }
        Ok(())
    }

    /// Reads the request. The inner error is a response.
    async fn request<I: Input, O>(
        &self,
        streams: &mut Streams<I, O>,
        peer: SocketAddr,
    ) -> Result<Result<Upgrade, String>, CloseReason> {
        let Streams {
            input, received, ..
        } = streams;
        loop {
            match self.upgrader.answer(received, peer) {
                Ok(Some(upgrade)) => return Ok(Ok(upgrade)),
                Err(refusal) => return Ok(Err(refusal.response(SystemTime::now()))),
                Ok(None) if received.len() >= UPGRADE_HEAD_BYTES_MAX => {
                    return Err(CloseReason::ProtocolViolation);
                }
                Ok(None) => {}
            }
            let read = poll_fn(|context| input.poll_fill(context, received, READ_BUFFER_BYTES_MIN));
            match read.await {
                Ok(0) => return Err(CloseReason::ClientClosed),
                Ok(_) => {}
                Err(_) => return Err(CloseReason::ReadError),
            }
        }
    }
}

/// A connection whose socket is in use already.
struct Arrived {
    server: Arc<Shared>,
    peer: SocketAddr,
    client: Option<SocketAddr>,
    place: Result<Place, NoPlace>,
}

impl Arrived {
    fn of(opening: Opening) -> (Self, Begun) {
        let arrived = Self {
            server: opening.server,
            peer: opening.peer,
            client: opening.client,
            place: opening.place,
        };
        (arrived, opening.begun)
    }

    /// A trusted proxy says that it passes on this client.
    fn is_for(&mut self, client: IpAddr) {
        self.count(client);
        // Ports are not forwarded.
        self.client = Some(SocketAddr::new(client, 0));
    }

    fn count(&mut self, client: IpAddr) {
        if let Ok(place) = &mut self.place
            && let Err(why) = place.is_for(client, Instant::now())
        {
            self.place = Err(why);
        }
    }
}

/// Writes a few bytes out.
async fn say<O: Output>(output: &mut O, mut bytes: &[u8]) -> io::Result<()> {
    loop {
        let tried = match bytes.is_empty() {
            true => output.try_flush().map(|()| 0),
            false => output.try_write(&[IoSlice::new(bytes)]),
        };
        match tried {
            Ok(_) if bytes.is_empty() => return Ok(()),
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => bytes = &bytes[len..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => output.writable().await?,
            Err(error) => return Err(error),
        }
    }
}
