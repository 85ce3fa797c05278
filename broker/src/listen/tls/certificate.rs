//! Reads the names and the key out of a certificate that rustls has verified.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::peer::PeerCertificate;

/// SHA-256 of the public key; `None` for what is no certificate.
pub(super) fn spki_digest(der: &[u8]) -> Option<[u8; 32]> {
    let certificate = Certificate::from_der(der).ok()?;
    let key = certificate.tbs_certificate().subject_public_key_info();
    Some(Sha256::digest(key.to_der().ok()?).into())
}

/// What is in a certificate; `None` for what is no certificate.
pub(super) fn read(der: &[u8]) -> Option<PeerCertificate> {
    let certificate = Certificate::from_der(der).ok()?;
    let content = certificate.tbs_certificate();
    let mut peer = PeerCertificate {
        subject: content.subject().to_string(),
        emails: Vec::new(),
        dns_names: Vec::new(),
        uris: Vec::new(),
        spki_sha256: hex(&spki_digest(der)?),
        sha256: hex(&Sha256::digest(der)),
        der: der.into(),
    };
    if let Ok(Some((_, SubjectAltName(names)))) = content.get_extension() {
        for name in names {
            match name {
                GeneralName::Rfc822Name(name) => peer.emails.push(name.as_str().to_owned()),
                GeneralName::DnsName(name) => peer.dns_names.push(name.as_str().to_owned()),
                GeneralName::UniformResourceIdentifier(name) => {
                    peer.uris.push(name.as_str().to_owned());
                }
                _ => {}
            }
        }
    }
    Some(peer)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn names_are_read_in_nats_servers_order() {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).expect("a name");
        let text = |text: &str| text.try_into().expect("ASCII");
        params
            .subject_alt_names
            .push(SanType::Rfc822Name(text("alice@example.org")));
        params
            .subject_alt_names
            .push(SanType::URI(text("spiffe://example.org/alice")));
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = &mut params.distinguished_name;
        name.push(DnType::OrganizationName, "Example, Inc.");
        name.push(DnType::OrganizationalUnitName, "chat");
        name.push(DnType::CommonName, "alice");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        let peer = read(certificate.der()).expect("a certificate");
        let names: Vec<_> = peer.user_names().collect();
        assert_eq!(
            names,
            [
                "alice@example.org",
                "a.example",
                "spiffe://example.org/alice",
                "CN=alice,OU=chat,O=Example\\, Inc.",
            ]
        );
        let spki = Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&key));
        assert_eq!(peer.spki_sha256, hex(&spki));
        assert!(peer.is_subject("O=Example\\, Inc., ou=chat, CN=alice"));
        assert!(!peer.is_subject("OU=chat,CN=alice"));
        assert!(!peer.is_subject("CN=Alice,OU=chat,O=Example\\, Inc."));
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        assert_eq!(read(b"\x30\x03\x02\x01\x00"), None);
        assert_eq!(spki_digest(b""), None);
    }
}
