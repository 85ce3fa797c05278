//! How this server shows another one who it is: a name and a password, a token, a key, or a credentials file.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::config::LeafRemote;
use super::dial::DialError;
use super::proto::info::{LeafConnect, LeafInfo};
use super::url::LeafUrl;
use crate::jwt::KeyPair;

/// Fills in the credentials of a CONNECT. The file is read each time: it may have been renewed.
///
/// # Errors
/// The file or the key cannot be used.
pub(crate) async fn show(
    remote: &LeafRemote,
    url: &LeafUrl,
    info: &LeafInfo,
    connect: &mut LeafConnect,
) -> Result<(), DialError> {
    let nonce = info.nonce.as_deref().unwrap_or_default();
    if let Some(file) = &remote.credentials {
        let file = file.clone();
        let read_file = move || std::fs::read_to_string(file);
        let text = tokio::task::spawn_blocking(read_file).await;
        let text = text
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(DialError::CredentialsFile)?;
        let (jwt, seed) = read(&text).ok_or(DialError::NoCredentials)?;
        connect.sig = Some(signature(&KeyPair::from_seed(seed)?, nonce));
        connect.jwt = Some(jwt.to_owned());
    } else if let Some(seed) = &remote.nkey_seed {
        let key = KeyPair::from_seed(seed)?;
        connect.sig = Some(signature(&key, nonce));
        connect.nkey = Some(key.public().to_string());
    }
    match (&url.user, &url.password) {
        (Some(user), Some(password)) => {
            connect.user = Some(user.clone());
            connect.pass = Some(password.clone());
        }
        (Some(token), None) => connect.auth_token = Some(token.clone()),
        (None, _) => {}
    }
    Ok(())
}

fn signature(key: &KeyPair, nonce: &str) -> String {
    URL_SAFE_NO_PAD.encode(key.sign(nonce.as_bytes()))
}

/// The JWT and the seed of a credentials file: each the first line that is text between two lines of dashes.
fn read(text: &str) -> Option<(&str, &str)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line.starts_with("---") && line.contains("BEGIN") {
            blocks.push(lines.find(|line| !line.is_empty())?);
        }
    }
    match blocks[..] {
        [jwt, seed, ..] if !jwt.starts_with('-') && !seed.starts_with('-') => Some((jwt, seed)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_files_are_read() {
        let text = "-----BEGIN NATS USER JWT-----\neyJ0.a.b\n------END NATS USER JWT------\n\n\
            ************************* IMPORTANT *************************\n\
            -----BEGIN USER NKEY SEED-----\r\nSUAB\r\n------END USER NKEY SEED------\n";
        assert_eq!(read(text), Some(("eyJ0.a.b", "SUAB")));
        for text in ["", "eyJ0.a.b", "-----BEGIN NATS USER JWT-----\neyJ0.a.b\n"] {
            assert_eq!(read(text), None);
        }
    }
}
