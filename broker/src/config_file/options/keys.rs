//! Whether a text is a public key of the kind that a setting takes.

use crate::jwt::{KeyKind, PublicKey};

fn is(text: &str, kind: KeyKind) -> bool {
    PublicKey::parse_as(text, kind).is_ok()
}

pub(super) fn is_user(text: &str) -> bool {
    is(text, KeyKind::User)
}

pub(super) fn is_account(text: &str) -> bool {
    is(text, KeyKind::Account)
}

pub(super) fn is_operator(text: &str) -> bool {
    is(text, KeyKind::Operator)
}

pub(super) fn is_curve(text: &str) -> bool {
    is(text, KeyKind::Curve)
}
