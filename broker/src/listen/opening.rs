//! The first moments of a connection that is not a session at once: PROXY protocol header and TLS handshake, bounded in
//! time, in bytes and in number.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Buf;
use rustls::ServerConnection;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::listener::Listener;
use super::places::{NoPlace, Place};
use super::proxy::{self, ProxyHeader};
use super::tls::Loaded;
use super::tls::handshake::{self, Begun};
use super::tls::peer::TlsSession;
use crate::limits::{PROXY_HEADER_BYTES_MAX, PROXY_HEADER_WAIT, READ_BUFFER_BYTES_MIN};
use crate::monitor::CloseReason;
use crate::server::Shared;

/// A socket on its way to becoming a session.
pub(crate) struct Opening {
    pub(crate) server: Arc<Shared>,
    pub(crate) listener: Arc<Listener>,
    pub(crate) begun: Begun,
    /// The other end of the socket.
    pub(crate) peer: SocketAddr,
    /// For whom a trusted proxy connects.
    pub(crate) client: Option<SocketAddr>,
    /// Its place among all connections, or why it has none and will only be told so.
    pub(crate) place: Result<Place, NoPlace>,
}

impl Opening {
    /// Reads more. `false` at the end.
    pub(crate) async fn fill(&mut self) -> bool {
        let Begun { socket, received } = &mut self.begun;
        received.reserve(READ_BUFFER_BYTES_MIN);
        matches!(socket.read_buf(received).await, Ok(len) if len > 0)
    }

    /// Takes the PROXY protocol header, if connections from there may have one.
    pub(crate) async fn take_proxy_header(&mut self) -> Result<(), CloseReason> {
        if !self.listener.is_proxied(self.peer) {
            return Ok(());
        }
        let header = timeout(PROXY_HEADER_WAIT, self.read_proxy_header()).await;
        let client = header.map_err(|_elapsed| CloseReason::ProtocolViolation)??;
        // Who sends no header, or one for itself, is its own client.
        self.belongs_to(client.unwrap_or(self.peer).ip());
        self.client = client;
        Ok(())
    }

    async fn read_proxy_header(&mut self) -> Result<Option<SocketAddr>, CloseReason> {
        loop {
            match proxy::read(&self.begun.received) {
                Ok(ProxyHeader::Present { len, client }) => {
                    self.begun.received.advance(len);
                    return Ok(client);
                }
                Ok(ProxyHeader::Absent) => return Ok(None),
                Ok(ProxyHeader::More)
                    if self.begun.received.len() <= PROXY_HEADER_BYTES_MAX + 16 => {}
                Ok(ProxyHeader::More) | Err(_) => return Err(CloseReason::ProtocolViolation),
            }
            if !self.fill().await {
                return Err(CloseReason::ClientClosed);
            }
        }
    }

    /// The connection counts for this client from now on.
    pub(crate) fn belongs_to(&mut self, client: IpAddr) {
        if let Ok(place) = &mut self.place
            && let Err(why) = place.is_for(client, Instant::now())
        {
            self.place = Err(why);
        }
    }

    /// Shakes hands within the time that the configuration gives. Until the first byte has come a silent client takes up
    /// none of the handshakes that may be under way at once.
    pub(crate) async fn shake_hands(
        mut self,
        tls: &Loaded,
    ) -> Result<(Self, ServerConnection, Arc<TlsSession>), CloseReason> {
        let shaken = timeout(tls.config.timeout, async move {
            if self.begun.received.is_empty() && !self.fill().await {
                return Err(CloseReason::ClientClosed);
            }
            let slots = self.server.handshakes.clone();
            let slot = slots.acquire().await;
            let Self {
                server,
                listener,
                begun,
                peer,
                client,
                place,
            } = self;
            let accepted = handshake::accept(tls, begun).await;
            drop(slot);
            let (begun, connection, session) = accepted.map_err(|error| {
                tracing::debug!(%peer, %error, "TLS handshake failed");
                CloseReason::TlsHandshakeFailure
            })?;
            let opening = Self {
                server,
                listener,
                begun,
                peer,
                client,
                place,
            };
            Ok((opening, connection, session))
        });
        shaken
            .await
            .unwrap_or(Err(CloseReason::TlsHandshakeFailure))
    }
}
