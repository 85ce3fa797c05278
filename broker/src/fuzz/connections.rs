//! What is read of connections before it is NATS: WebSocket frames, requests and headers, and CONNECT itself.

use bytes::BytesMut;

use crate::auth::{ConnectRequest, ConnectionKind};
use crate::listen::config::{CookieNames, TrustedProxies, WebSocketConfig};
use crate::listen::proxy::{self, ProxyHeader};
use crate::listen::websocket::decode::{self, Agreed, Decoder};
use crate::listen::websocket::upgrade::Upgrader;
use crate::proto::info::ConnectOptions;

/// Frames of a WebSocket: read in pieces they are the same bytes, and end the same way, as in one piece. The first byte says
/// how large pieces are, what was agreed on and whether the client is known.
pub fn websocket(bytes: &[u8]) {
    let Some((mode, stream)) = bytes.split_first() else {
        return;
    };
    let whole = frames(stream, stream.len().max(1), *mode);
    assert_eq!(frames(stream, usize::from(*mode % 16) + 1, *mode), whole);
}

/// The byte stream in frames, and whether it ended in an error.
fn frames(stream: &[u8], piece: usize, mode: u8) -> (Vec<u8>, bool) {
    const OUT_BYTES_MAX: usize = 1 << 20;
    let mut decoder = Decoder::new(Agreed {
        compression: mode & 0x20 != 0,
        no_masking: mode & 0x40 != 0,
    });
    if mode & 0x80 != 0 {
        decoder.trust();
    }
    let (mut received, mut out) = (BytesMut::new(), BytesMut::new());
    for bytes in stream.chunks(piece) {
        received.extend_from_slice(bytes);
        loop {
            let (waiting, made) = (received.len(), out.len());
            match decoder.decode(&mut received, &mut out, 4096) {
                // A close frame ends a connection; a ping does not.
                Ok(Some(decode::Control::Close(_))) => return (out.to_vec(), false),
                Ok(Some(decode::Control::Ping(_))) => {}
                Ok(None) if (received.len(), out.len()) == (waiting, made) => break,
                Ok(None) => {}
                // How much of a bad message was let through may depend on how much had come.
                Err(_) => return (Vec::new(), true),
            }
            // What a few bytes inflate to is not the point here.
            if out.len() > OUT_BYTES_MAX {
                return (Vec::new(), true);
            }
        }
    }
    (out.to_vec(), false)
}

/// The first bytes of connections that are not NATS yet: a PROXY protocol header, or the request of a WebSocket. A header
/// takes no more than is there, and says the same about whatever follows it.
pub fn greeting(bytes: &[u8]) {
    if let Ok(ProxyHeader::Present { len, .. }) = proxy::read(bytes) {
        assert!(len <= bytes.len());
        assert_eq!(proxy::read(&bytes[..len]), proxy::read(bytes));
    }
    let upgrader = Upgrader::new(&WebSocketConfig {
        same_origin: true,
        allowed_origins: vec!["https://a.example".to_owned()],
        compression: true,
        cookies: CookieNames {
            token: Some("token".to_owned()),
            ..CookieNames::default()
        },
        trusted_proxies: TrustedProxies::everybody(),
        ..WebSocketConfig::default()
    });
    let upgrader = upgrader.expect("the configuration is valid");
    let peer = ([192, 0, 2, 1], 1).into();
    if let Ok(Some(upgrade)) = upgrader.answer(bytes, peer) {
        assert!(upgrade.len <= bytes.len());
        // Nothing that a client sends reaches the lines of the response.
        assert!(upgrade.response.ends_with("\r\n\r\n"));
        assert_eq!(upgrade.response.matches("\r\n\r\n").count(), 1);
    }
}

/// The object of a CONNECT: read or refused, and what is read shows no secret.
pub fn connect(json: &[u8]) {
    let Ok(options) = serde_json::from_slice::<ConnectOptions>(json) else {
        return;
    };
    let peer = ([192, 0, 2, 1], 1).into();
    let secret = options.pass.clone().filter(|pass| pass.len() > 20);
    let request = ConnectRequest {
        pass: options.pass,
        auth_token: options.auth_token,
        ..ConnectRequest::new(1, peer, ConnectionKind::Tcp)
    };
    let shown = format!("{request:?}");
    assert!(secret.is_none_or(|secret| !shown.contains(&secret)));
}
