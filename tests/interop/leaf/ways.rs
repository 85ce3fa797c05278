//! The ways a link takes: TLS with a key for a password, and WebSocket.

use std::path::Path;

use broker::jwt::{KeyKind, KeyPair};
use broker::{CertificateFiles, LeafAuthorization, LeafUser, TlsConfig};

use crate::links::answer_beyond;
use crate::site::{PAIRS, Plan, Site};

/// Writes a certificate for 127.0.0.1 and its key.
fn certificate(directory: &Path) -> CertificateFiles {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let files = CertificateFiles {
        cert_file: directory.join("cert.pem"),
        key_file: directory.join("key.pem"),
    };
    std::fs::write(&files.cert_file, certificate.pem()).unwrap();
    std::fs::write(&files.key_file, key.serialize_pem()).unwrap();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn links_run_over_tls_and_are_signed_for() {
    let directory = tempfile::tempdir().unwrap();
    let files = certificate(directory.path());
    let (cert, key) = (files.cert_file.display(), files.key_file.display());
    let pair = KeyPair::generate(KeyKind::User);
    let (public, seed) = (pair.public().to_string(), pair.seed());
    for (hub_kind, edge_kind) in PAIRS {
        let user = LeafUser {
            nkey: Some(public.clone()),
            ..LeafUser::default()
        };
        let hub = Plan {
            authorization: Some(LeafAuthorization {
                users: vec![user],
                ..LeafAuthorization::default()
            }),
            port_tls: Some(TlsConfig {
                certificates: vec![files.clone()],
                ..TlsConfig::default()
            }),
            leaf_more: format!(
                "tls {{ cert_file: \"{cert}\", key_file: \"{key}\" }}\nauthorization {{ nkey: {public} }}"
            ),
            ..Plan::hub("HUB")
        };
        let hub = Site::start(hub_kind, hub).await;
        let edge = Plan {
            name: "EDGE",
            remotes: vec![format!("tls://{}", hub.leaves())],
            remote_tls: Some(TlsConfig {
                ca_file: Some(files.cert_file.clone()),
                ..TlsConfig::default()
            }),
            nkey_seed: Some(seed.clone()),
            remote_more: format!("nkey: {seed}, tls {{ ca_file: \"{cert}\" }}"),
            ..Plan::default()
        };
        let edge = Site::start(edge_kind, edge).await;
        answer_beyond(&edge.client().await, &hub.client().await, "hub.echo").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_run_over_websocket() {
    for (hub_kind, edge_kind) in PAIRS {
        let hub = Plan {
            websocket: true,
            ..Plan::hub("HUB")
        };
        let hub = Site::start(hub_kind, hub).await;
        let edge = Plan {
            name: "EDGE",
            remotes: vec![format!("ws://{}", hub.websocket())],
            ..Plan::default()
        };
        let edge = Site::start(edge_kind, edge).await;
        answer_beyond(&edge.client().await, &hub.client().await, "hub.echo").await;
        answer_beyond(&hub.client().await, &edge.client().await, "edge.echo").await;
    }
}
