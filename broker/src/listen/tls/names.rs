//! The names that Go, and with it nats-server, gives to cipher suites and key exchange groups.

use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::{cipher_suite, kx_group};
use rustls::crypto::{SupportedKxGroup, aws_lc_rs};

use super::TlsError;

/// Suites in order of preference. As in Go, a list says nothing about TLS 1.3: its three suites are always there.
pub(super) fn cipher_suites(names: &[String]) -> Result<Vec<SupportedCipherSuite>, TlsError> {
    if names.is_empty() {
        return Ok(aws_lc_rs::DEFAULT_CIPHER_SUITES.to_vec());
    }
    let mut suites = Vec::new();
    for name in names {
        suites.push(cipher_suite_of(name)?);
    }
    for suite in aws_lc_rs::DEFAULT_CIPHER_SUITES {
        if suite.tls13().is_some() && !suites.contains(suite) {
            suites.push(*suite);
        }
    }
    Ok(suites)
}

fn cipher_suite_of(name: &str) -> Result<SupportedCipherSuite, TlsError> {
    Ok(match name {
        "TLS_AES_128_GCM_SHA256" => cipher_suite::TLS13_AES_128_GCM_SHA256,
        "TLS_AES_256_GCM_SHA384" => cipher_suite::TLS13_AES_256_GCM_SHA384,
        "TLS_CHACHA20_POLY1305_SHA256" => cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" => {
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        }
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" => {
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
        }
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" => {
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        }
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" => {
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        }
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305" | "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" => {
            cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
        }
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305"
        | "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" => {
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        }
        _ if is_weak(name) => {
            return Err(TlsError::Setting(format!(
                "cipher suite {name} is not offered: it has no forward secrecy or no authenticated encryption"
            )));
        }
        _ => {
            return Err(TlsError::Setting(format!(
                "there is no cipher suite named {name:?}"
            )));
        }
    })
}

/// Suites that Go still knows and rustls does not have, for good reasons.
fn is_weak(name: &str) -> bool {
    name.starts_with("TLS_RSA_WITH_")
        || name.starts_with("TLS_ECDHE_") && (name.contains("_CBC_") || name.contains("_RC4_"))
}

/// Groups in order of preference.
pub(super) fn key_exchanges(
    names: &[String],
) -> Result<Vec<&'static dyn SupportedKxGroup>, TlsError> {
    if names.is_empty() {
        return Ok(aws_lc_rs::DEFAULT_KX_GROUPS.to_vec());
    }
    names.iter().map(|name| key_exchange_of(name)).collect()
}

fn key_exchange_of(name: &str) -> Result<&'static dyn SupportedKxGroup, TlsError> {
    Ok(match name {
        "X25519" => kx_group::X25519,
        "CurveP256" => kx_group::SECP256R1,
        "CurveP384" => kx_group::SECP384R1,
        "X25519MLKEM768" => kx_group::X25519MLKEM768,
        "CurveP521" => {
            return Err(TlsError::Setting(
                "curve CurveP521 is not offered; CurveP384 is".to_owned(),
            ));
        }
        _ => {
            return Err(TlsError::Setting(format!(
                "there is no curve named {name:?}: X25519MLKEM768, X25519, CurveP256 and CurveP384 are there"
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_list_orders_tls12_and_leaves_tls13_alone() {
        let one = cipher_suites(&names(&["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"])).expect("known");
        assert_eq!(one.len(), 4);
        assert_eq!(one[0], cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384);
        assert_eq!(cipher_suites(&[]).expect("default").len(), 9);
    }

    #[test]
    fn weak_and_unknown_names_are_refused_with_a_sentence() {
        for (name, part) in [
            ("TLS_RSA_WITH_AES_128_CBC_SHA", "is not offered"),
            ("TLS_ECDHE_RSA_WITH_RC4_128_SHA", "is not offered"),
            ("TLS_NULL", "no cipher suite named"),
        ] {
            let refused = cipher_suites(&names(&[name])).expect_err(name).to_string();
            assert!(refused.contains(part), "{refused}");
        }
        for (name, part) in [("CurveP521", "is not offered"), ("P-256", "no curve named")] {
            let refused = key_exchanges(&names(&[name])).expect_err(name).to_string();
            assert!(refused.contains(part), "{refused}");
        }
    }
}
