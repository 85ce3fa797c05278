//! The broker alone, for the figures of the table: everybody may do everything, and is checked for it.
//!
//! usage: `bench_server TCP_ADDRESS [WEBSOCKET_ADDRESS [CERTIFICATE KEY]]`

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use broker::{
    AuthError, Authenticator, CertificateFiles, Config, ConnectRequest, Identity, Permissions,
    Server, SubjectPermissions, TcpConfig, Tls, TlsConfig, WebSocketConfig,
};

/// Lists as long as a chat user's, in which everything that is measured is allowed.
struct Open;

#[async_trait]
impl Authenticator for Open {
    async fn authenticate(&self, request: ConnectRequest) -> Result<Identity, AuthError> {
        let list = |subjects: &[&str]| SubjectPermissions {
            allow: Some(
                subjects
                    .iter()
                    .map(|subject| (*subject).to_owned())
                    .collect(),
            ),
            deny: Vec::new(),
        };
        let name = request.name.unwrap_or_else(|| "bench".to_owned());
        let mut identity = Identity::new(name, "CHAT");
        identity.permissions = Permissions {
            publish: list(&[
                "deliver.bench.send.>",
                "room.join.*",
                "msg.get",
                "_INBOX.>",
                "bench.>",
            ]),
            subscribe: list(&[
                "deliver.bench.>",
                "room.notify.*",
                "room.presence.*",
                "_INBOX.>",
                "bench.>",
            ]),
            private_inboxes: true,
            ..Permissions::default()
        };
        Ok(identity)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "a command line tool")]
            {
                eprintln!("bench_server: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tcp, rest @ ..] = arguments.as_slice() else {
        return Err("usage: bench_server TCP_ADDRESS [WEBSOCKET_ADDRESS [CERTIFICATE KEY]]".into());
    };
    let server = Server::new(Config::default(), Arc::new(Open), None);
    let tls = match rest {
        [_, certificate, key] => Some(Tls::open(&TlsConfig {
            certificates: vec![CertificateFiles {
                cert_file: certificate.into(),
                key_file: key.into(),
            }],
            // One port for both, as the nats-server beside it.
            allow_non_tls: true,
            ..TlsConfig::default()
        })?),
        _ => None,
    };
    let config = TcpConfig {
        tls,
        ..TcpConfig::default()
    };
    server.listen_tcp_with(tcp.parse()?, config).await?;
    if let [websocket, ..] = rest {
        let config = WebSocketConfig::default();
        server.listen_websocket(websocket.parse()?, config).await?;
    }
    std::future::pending().await
}
