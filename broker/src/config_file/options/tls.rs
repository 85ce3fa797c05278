//! `tls`: certificates, and who has to show one.

use std::path::PathBuf;

use super::report::{Pair, Report, each, each_or, set};
use super::units;
use crate::config_file::value::{Node, Value};
use crate::{CertificateFiles, HandshakeFirst, TlsConfig, TlsVersion};

/// Whose block it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// A listener: it needs a certificate.
    Server,
    /// A server that is dialled.
    Remote,
}

/// A `tls` map.
pub(super) fn tls(pair: Pair<'_>, side: Side, report: &mut Report) -> Option<TlsConfig> {
    let map = pair.map(report)?;
    let mut config = TlsConfig::default();
    let (mut cert, mut key) = (None, None);
    let unknown = |key: &str| format!("error parsing tls config, unknown field \"{key}\"");
    each_or(map, report, unknown, |name, pair, report| {
        match name {
            "cert_file" => cert = file(pair, report),
            "key_file" => key = file(pair, report),
            "ca_file" => config.ca_file = file(pair, report),
            "insecure" => {
                set(&mut config.insecure, boolean(pair, report));
            }
            "verify" => {
                set(&mut config.verify, boolean(pair, report));
            }
            "verify_and_map" => {
                set(&mut config.verify_and_map, boolean(pair, report));
            }
            "cipher_suites" => config.cipher_suites = names(pair, report),
            "curve_preferences" => config.curve_preferences = names(pair, report),
            "timeout" => {
                set(&mut config.timeout, pair.timeout(report, "tls config"));
            }
            "connection_rate_limit" => config.connection_rate_limit = rate(pair, report),
            "pinned_certs" => config.pinned_certs = pins(pair, report),
            "handshake_first" | "first" | "immediate" => {
                set(&mut config.handshake_first, handshake_first(pair, report));
            }
            "certs" | "certificates" => config.certificates.extend(certificates(pair, report)),
            "min_version" => {
                set(&mut config.min_version, min_version(pair, report));
            }
            "verify_cert_and_check_known_urls" | "allow_insecure_cipher_suites" => {
                refuse_if_on(pair, report)
            }
            "ocsp_peer"
            | "cert_store"
            | "cert_match"
            | "cert_match_by"
            | "cert_match_skip_invalid"
            | "ca_certs_match" => {
                let reason = format!("error parsing tls config, {} is not supported", pair.key);
                pair.error(report, reason);
            }
            _ => return false,
        }
        true
    });
    match (cert, key) {
        (Some(cert_file), Some(key_file)) => {
            config.certificates.insert(
                0,
                CertificateFiles {
                    cert_file,
                    key_file,
                },
            );
        }
        (Some(_), None) => pair.error(report, "missing 'key_file' in TLS configuration"),
        (None, Some(_)) => pair.error(report, "missing 'cert_file' in TLS configuration"),
        (None, None)
            if side == Side::Server && config.certificates.is_empty() && !map.is_empty() =>
        {
            pair.error(report, "missing 'cert_file' in TLS configuration");
        }
        (None, None) => {}
    }
    Some(config)
}

fn file(pair: Pair<'_>, report: &mut Report) -> Option<PathBuf> {
    match &pair.node.value {
        Value::String(path) => Some(PathBuf::from(path)),
        _ => {
            let reason = format!(
                "error parsing tls config, expected '{}' to be filename",
                pair.key
            );
            pair.error(report, reason);
            None
        }
    }
}

fn boolean(pair: Pair<'_>, report: &mut Report) -> Option<bool> {
    match &pair.node.value {
        Value::Bool(truth) => Some(*truth),
        _ => {
            let reason = format!(
                "error parsing tls config, expected '{}' to be a boolean",
                pair.key
            );
            pair.error(report, reason);
            None
        }
    }
}

fn refuse_if_on(pair: Pair<'_>, report: &mut Report) {
    if boolean(pair, report) == Some(true) {
        let reason = format!("error parsing tls config, '{}' is not supported", pair.key);
        pair.error(report, reason);
    }
}

fn names(pair: Pair<'_>, report: &mut Report) -> Vec<String> {
    if pair.array(report).is_none_or(<[Node]>::is_empty) {
        let reason = format!("error parsing tls config, '{}' cannot be empty", pair.key);
        pair.error(report, reason);
        return Vec::new();
    }
    pair.texts(report).unwrap_or_default()
}

fn rate(pair: Pair<'_>, report: &mut Report) -> Option<u32> {
    let Value::Integer(rate) = &pair.node.value else {
        pair.error(
            report,
            "error parsing tls config, 'connection_rate_limit' wrong type",
        );
        return None;
    };
    u32::try_from(*rate).ok().filter(|rate| *rate > 0)
}

fn pins(pair: Pair<'_>, report: &mut Report) -> Vec<String> {
    if !matches!(pair.node.value, Value::Array(_)) {
        let reason = "error parsing tls config, expected 'pinned_certs' to be a list of hex-encoded sha256 of DER encoded \
                      SubjectPublicKeyInfo";
        pair.error(report, reason);
        return Vec::new();
    }
    let pins = pair.texts(report).unwrap_or_default();
    for pin in &pins {
        let is_hash = pin.len() == 64 && pin.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hash {
            let reason = format!(
                "error parsing tls config, 'pinned_certs' key {pin} does not look like hex-encoded sha256 of DER encoded \
                 SubjectPublicKeyInfo"
            );
            pair.error(report, reason);
        }
    }
    pins.iter().map(|pin| pin.to_lowercase()).collect()
}

/// A boolean, `auto`, or how long the client is waited for.
fn handshake_first(pair: Pair<'_>, report: &mut Report) -> Option<HandshakeFirst> {
    let invalid = |report: &mut Report, value: &str| {
        let reason = format!("field \"{}\"'s value {value:?} is invalid", pair.key);
        pair.error(report, reason);
        None
    };
    match &pair.node.value {
        Value::Bool(true) => Some(HandshakeFirst::Yes),
        Value::Bool(false) => Some(HandshakeFirst::No),
        Value::String(text) => match text.to_lowercase().as_str() {
            "true" | "on" => Some(HandshakeFirst::Yes),
            "false" | "off" => Some(HandshakeFirst::No),
            "auto" | "auto_fallback" => Some(HandshakeFirst::AUTO),
            _ => match units::duration(text) {
                Ok(wait) => Some(HandshakeFirst::Within(wait)),
                Err(_) => invalid(report, text),
            },
        },
        other => invalid(report, other.kind()),
    }
}

/// `certs: [ {cert_file, key_file} ]`.
fn certificates(pair: Pair<'_>, report: &mut Report) -> Vec<CertificateFiles> {
    let mut certificates = Vec::new();
    for item in pair.array(report).unwrap_or_default() {
        let Value::Map(map) = &item.value else {
            let kind = item.value.kind();
            report.error(
                &item.position,
                format!("error parsing certificates config: unsupported type {kind}"),
            );
            continue;
        };
        let (mut cert, mut key) = (None, None);
        each(map, report, |name, pair, report| {
            match name {
                "cert_file" => cert = file(pair, report),
                "key_file" => key = file(pair, report),
                _ => return false,
            }
            true
        });
        match (cert, key) {
            (Some(cert_file), Some(key_file)) => {
                certificates.push(CertificateFiles {
                    cert_file,
                    key_file,
                });
            }
            _ => report.error(
                &item.position,
                "error parsing certificates config: both 'cert_file' and 'key_file' are needed",
            ),
        }
    }
    certificates
}

fn min_version(pair: Pair<'_>, report: &mut Report) -> Option<TlsVersion> {
    let text = match &pair.node.value {
        Value::Float(number) => format!("{number:.1}"),
        _ => pair.text(report)?,
    };
    match text.as_str() {
        "1.2" => Some(TlsVersion::Tls12),
        "1.3" => Some(TlsVersion::Tls13),
        "1.0" | "1.1" => {
            pair.error(
                report,
                format!("error parsing tls config: unsupported TLS version: TLS {text}"),
            );
            None
        }
        _ => {
            pair.error(
                report,
                format!("error parsing tls config: unknown version: {text}"),
            );
            None
        }
    }
}
