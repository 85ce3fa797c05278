//! What is known about a TLS connection and the certificate at its other end.

use std::sync::Arc;

/// A finished handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSession {
    /// `1.2` or `1.3`, as `/connz` says it.
    pub version: &'static str,
    /// The cipher suite, under its IANA name.
    pub cipher: String,
    /// The name that the client asked for (SNI).
    pub server_name: Option<String>,
    /// The client's certificate, then those it sent along. All empty unless the listener verifies.
    pub certificates: Arc<[PeerCertificate]>,
    /// The listener says that the certificate names the user (`verify_and_map`).
    pub maps_user: bool,
}

impl TlsSession {
    /// The client's own certificate.
    #[must_use]
    pub fn certificate(&self) -> Option<&PeerCertificate> {
        self.certificates.first()
    }
}

/// A verified certificate of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The subject in the form of RFC 2253, last part first: `CN=alice,OU=chat,O=example`.
    pub subject: String,
    /// E-mail addresses among the alternative names.
    pub emails: Vec<String>,
    /// DNS names among the alternative names.
    pub dns_names: Vec<String>,
    /// URIs among the alternative names.
    pub uris: Vec<String>,
    /// SHA-256 of the public key (SubjectPublicKeyInfo), in hexadecimal.
    pub spki_sha256: String,
    /// SHA-256 of the whole certificate, in hexadecimal.
    pub sha256: String,
    /// The certificate itself, DER.
    pub der: Arc<[u8]>,
}

impl PeerCertificate {
    /// The names under which nats-server looks for a user, in its order: e-mail addresses, DNS names, URIs, the subject.
    pub fn user_names(&self) -> impl Iterator<Item = &str> {
        let alternatives = [&self.emails, &self.dns_names, &self.uris];
        alternatives
            .into_iter()
            .flatten()
            .map(String::as_str)
            .chain(std::iter::once(self.subject.as_str()))
    }

    /// Whether a user's name is this certificate's subject, its parts in whatever order, as nats-server compares them.
    #[must_use]
    pub fn is_subject(&self, user: &str) -> bool {
        let mut wanted = subject_parts(user);
        let mut own = subject_parts(&self.subject);
        wanted.sort_unstable();
        own.sort_unstable();
        !own.is_empty() && wanted == own
    }
}

/// `CN=alice` and the like, keys in capitals, of a subject in the form of RFC 2253.
fn subject_parts(subject: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_escaped = false;
    for letter in subject.chars() {
        if letter == ',' && !is_escaped {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    let part = |part: String| {
        let (key, value) = part.trim().split_once('=')?;
        Some(format!(
            "{}={}",
            key.trim().to_ascii_uppercase(),
            value.trim()
        ))
    };
    // Whoever leaves out a key means no subject.
    parts
        .into_iter()
        .map(part)
        .collect::<Option<_>>()
        .unwrap_or_default()
}
