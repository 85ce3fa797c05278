//! What a server says at its start. Harnesses wait for some of these lines, so their text is nats-server's.

use std::path::Path;

use broker::config_file::Options;
use broker::{COMPATIBLE_VERSION, Server};

use super::settings::Store;

/// Who this is.
pub(super) fn start(server: &Server, options: &Options, config_file: Option<&Path>) {
    let snapshot = server.snapshot();
    tracing::info!("Starting nats-server");
    tracing::info!("  Version:  {COMPATIBLE_VERSION}");
    tracing::info!("  natterjack: {}", env!("CARGO_PKG_VERSION"));
    tracing::info!("  Name:     {}", snapshot.server_name);
    tracing::info!("  ID:       {}", snapshot.server_id);
    if has_plain_password(options) {
        tracing::warn!("Plaintext passwords detected, use nkeys or bcrypt");
    }
    if let Some(path) = config_file {
        let digest = options.digest.as_deref().unwrap_or_default();
        tracing::info!("Using configuration file: {} ({digest})", path.display());
    }
}

fn has_plain_password(options: &Options) -> bool {
    use broker::accounts::Credential;
    options.accounts.all_users().any(
        |(_, user)| matches!(&user.credential, Credential::Password(secret) if !secret.is_bcrypt()),
    )
}

/// Where the streams are.
pub(super) fn jetstream(store: &Store, options: &Options) {
    let size = |bytes: Option<u64>| {
        bytes.map_or_else(|| "unlimited".to_owned(), |bytes| format!("{bytes} bytes"))
    };
    tracing::info!("Starting JetStream");
    tracing::info!("---------------- JETSTREAM ----------------");
    tracing::info!("  Strict:          {}", options.jetstream.strict);
    tracing::info!(
        "  Max Memory:      {}",
        size(options.jetstream.memory_bytes_max)
    );
    tracing::info!(
        "  Max Storage:     {}",
        size(options.jetstream.storage_bytes_max)
    );
    tracing::info!("  Store Directory: \"{}\"", store.dir.display());
    if let Some(domain) = &options.jetstream.domain {
        tracing::info!("  Domain:          {domain}");
    }
    tracing::info!("-------------------------------------------");
}
