//! What monitoring shows of the configuration.

use std::time::SystemTime;

use broker::config_file::Options;
use broker::{Facts, Server};

use super::settings::Store;

/// Tells the server what was read: at the start, and again at every reload.
pub(super) fn tell(server: &Server, options: &Options, store: Option<&Store>) {
    let store_dir = store.map(|store| store.dir.display().to_string());
    let before = server.facts();
    let websocket = options.websocket.as_ref();
    let websocket = websocket.and_then(|block| Some((block.host.clone(), block.port?)));
    let (websocket_host, websocket_port) = websocket.unwrap_or_default();
    server.set_facts(Facts {
        store_dir: store_dir.unwrap_or_else(|| before.store_dir.clone()),
        config_digest: options.digest.clone().unwrap_or_default(),
        config_loaded: Some(SystemTime::now()),
        tags: options.server_tags.clone(),
        metadata: options.server_metadata.clone(),
        websocket_host,
        websocket_port,
        tls_required: options.tls.is_some(),
        tls_verify: options.tls.as_ref().is_some_and(|tls| tls.verify),
        ..before
    });
}

/// Tells the server where it can be looked at.
pub(super) fn tell_http(server: &Server, host: String, port: u16, base_path: &str) {
    server.set_facts(Facts {
        http_host: host,
        http_port: port,
        http_base_path: base_path.trim_end_matches('/').to_owned(),
        ..server.facts()
    });
}
