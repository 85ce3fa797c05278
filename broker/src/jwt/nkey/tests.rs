//! Keys against what another client made.

use super::*;

/// Made by `@nats-io/nkeys` 2.0.3: public key, seed, and the signature of `the nonce`.
const MADE_ELSEWHERE: [(KeyKind, &str, &str, &str); 4] = [
    (
        KeyKind::Account,
        "AAET4ELOIGYDH4BUO2KFPIWN7FAQJQCUH2VSU2WIBXQG2ZZZMCGZHQ3H",
        "SAAODCID4LEKTSSLCYRRA3IVF5O6PFWFBCJ4R2T5YJ3NQSRFFKNQKXRFN4",
        "dGProsca59tk8J42NHWoL4E7mUxr4Q64XgDMCUQqOlX46nOwzHM9NLIASgEsyYokpBviMs7M17HrDcd8UVDbBw",
    ),
    (
        KeyKind::Operator,
        "OCUA33LU3H5HZVOB4H265XLUTQKSSO6GJV3YZRED6ZSUANLMC62QHCNP",
        "SOAB53NG5B5UTSVGXG5HTMX5CF5EQLGW3GC2ZW2MEC675SVDEJFE53QVWE",
        "Jp4LntyR4e-fRbLl9FldMhi7f0YZvdiOVLbldyTRtP5lyPMH0ba4wDPGnJpy3hjUihNGrPAJVQ2AFq73oIw1BQ",
    ),
    (
        KeyKind::Server,
        "NBJU5Y7Q66RXVZY2F62OGVQRXPIFSHCRLINEJLNXCYF7W5LD2WCN3FOO",
        "SNAEMWRVP6JMNOZWEMN2DEXU2O3E4VEG24FRQKNHW37VY54I43ZXEAQXZ4",
        "IOgh1_hc2PeIC1gi0ozOW5xW5YMUsGdtc9oW0wCBaUJrjVl18UVz2wkvzke_KkcVXrhQ1x3FeWwMbAB_E6XnCA",
    ),
    (
        KeyKind::User,
        "UCLJKSJ537NR5ZEA4LPDSX4ST74JY53HV6NZNVKCDXZDSMJFI5WTMVLC",
        "SUAHT5SLETA73T2VGKSPXSU2HENUOAR3DSMN6YTOJJMRIWUTRCV5H36GAQ",
        "Db-lj-oIWS61aY76S5BU44j99rppjwaRe0Eqdr_ImzJJ6Pq4bvDW8A2lCU8_O0hrrObTm8omYfkqMKHBoY0aBg",
    ),
];
const CLUSTER: &str = "CC4XM7NAFASRO5GRIAZJE354JY6T5JFFYTYTRZ7DFXV7WJDOV7E5JJC7";

#[test]
fn keys_of_other_clients_read_sign_and_write_the_same() {
    for (kind, public, seed, signature) in MADE_ELSEWHERE {
        let key = PublicKey::parse_as(public, kind).unwrap();
        assert_eq!(key.to_string(), public);
        assert!(key.verifies_text(b"the nonce", signature));
        assert!(!key.verifies_text(b"another nonce", signature));
        let pair = KeyPair::from_seed(seed).unwrap();
        assert_eq!((pair.public(), pair.seed()), (key, seed.to_owned()));
        assert_eq!(
            URL_SAFE_NO_PAD.encode(pair.sign(b"the nonce")),
            signature,
            "{kind}"
        );
    }
}

#[test]
fn standard_base64_is_a_signature_too() {
    let pair = KeyPair::generate(KeyKind::User);
    let signature = STANDARD.encode(pair.sign(b"nonce"));
    assert!(pair.public().verifies_text(b"nonce", &signature));
}

#[test]
fn what_is_no_key_is_refused() {
    let user = MADE_ELSEWHERE[3].1;
    let swapped = user.replace("UCL", "ULC");
    let mut cases = vec![
        (String::new(), KeyError::Malformed),
        (user.to_lowercase(), KeyError::Malformed),
        (format!("{user}A"), KeyError::Malformed),
        (user[1..].to_owned(), KeyError::Malformed),
        (swapped, KeyError::Checksum),
        (CLUSTER.to_owned(), KeyError::Prefix),
    ];
    cases.push((MADE_ELSEWHERE[3].2.to_owned(), KeyError::Malformed));
    for (text, expected) in cases {
        assert_eq!(PublicKey::parse(&text), Err(expected), "{text}");
    }
    let wrong = PublicKey::parse_as(user, KeyKind::Account);
    assert!(matches!(
        wrong,
        Err(KeyError::Kind {
            found: KeyKind::User,
            expected: KeyKind::Account
        })
    ));
    assert!(KeyPair::from_seed(user).is_err());
}

#[test]
fn new_keys_have_their_letter_and_show_no_secret() {
    for (kind, letter) in [
        (KeyKind::Account, 'A'),
        (KeyKind::User, 'U'),
        (KeyKind::Server, 'N'),
        (KeyKind::Operator, 'O'),
    ] {
        let pair = KeyPair::generate(kind);
        assert!(pair.public().to_string().starts_with(letter));
        assert!(pair.seed().starts_with(&format!("S{letter}")));
        assert!(!format!("{pair:?}").contains(&pair.seed()));
    }
    let curve = CurveKeyPair::generate();
    assert!(curve.public().to_string().starts_with('X') && curve.seed().starts_with("SX"));
    assert!(!curve.public().verifies(b"", &[0; 64]));
}
