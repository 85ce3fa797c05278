//! `authorization`: who may connect, where no accounts are needed.

use std::collections::HashSet;
use std::time::Duration;

use super::permissions::permissions;
use super::report::{Pair, Report, each, each_or, set};
use crate::accounts::{ConnectionType, Credential, Secret, UserConfig};
use crate::auth::Permissions;
use crate::config_file::value::{Node, Position, Value};
use crate::jwt::CalloutConfig;

/// The block.
#[derive(Debug, Default)]
pub(super) struct Authorization {
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) token: Option<Secret>,
    pub(super) users: Vec<UserConfig>,
    pub(super) default_permissions: Option<Permissions>,
    pub(super) timeout: Option<Duration>,
    pub(super) callout: Option<CalloutConfig>,
}

/// Names of users, over all blocks and accounts.
pub(super) type Names = HashSet<String>;

/// Reads the block of the top level.
pub(super) fn authorization(
    pair: Pair<'_>,
    names: &mut Names,
    report: &mut Report,
) -> Authorization {
    let mut block = Authorization::default();
    let Some(map) = pair.map(report) else {
        return block;
    };
    let mut has_users = false;
    each(map, report, |name, pair, report| {
        match name {
            "user" | "username" => block.user = pair.text(report),
            "pass" | "password" => block.password = secret(pair, report),
            "token" => block.token = secret(pair, report),
            "timeout" => block.timeout = pair.timeout(report, "authorization config"),
            "users" => {
                has_users = true;
                block.users = users(pair, names, report);
            }
            "default_permissions" | "default_permission" | "permissions" => {
                block.default_permissions = permissions(pair, report);
            }
            "auth_callout" | "auth_hook" => block.callout = callout(pair, report),
            "proxy_required" => refuse_proxy_required(pair, report),
            _ => return false,
        }
        true
    });
    let has_user = block.user.is_some() || block.password.is_some();
    if has_user && has_users {
        pair.error(report, "Can not have a single user/pass and a users array");
    }
    if has_user && block.token.is_some() {
        pair.error(report, "Cannot have a user/pass and token");
    }
    if block.token.is_some() && has_users {
        pair.error(report, "Can not have a token and a users array");
    }
    if let Some(user) = block.user.clone() {
        note_name(&user, pair.position(), names, report);
        let password = block.password.clone().unwrap_or_else(|| Secret::from(""));
        block.users.push(UserConfig::with_password(user, password));
    }
    block
}

/// A password or token; numbers are taken for text, as people write them without quotes.
pub(super) fn secret(pair: Pair<'_>, report: &mut Report) -> Option<Secret> {
    match &pair.node.value {
        Value::Integer(number) => Some(Secret::from(number.to_string())),
        _ => pair.text(report).map(Secret::from),
    }
}

/// Connections through signing proxies are not offered, so nobody could come in.
pub(super) fn refuse_proxy_required(pair: Pair<'_>, report: &mut Report) {
    if pair.boolean(report) == Some(true) {
        pair.error(
            report,
            "proxy_required is not supported: proxies that sign are not known here",
        );
    }
}

/// The array of users.
pub(super) fn users(pair: Pair<'_>, names: &mut Names, report: &mut Report) -> Vec<UserConfig> {
    let Value::Array(items) = &pair.node.value else {
        let kind = pair.node.value.kind();
        pair.error(
            report,
            format!("Expected users field to be an array, got {kind}"),
        );
        return Vec::new();
    };
    let users = items.iter().filter_map(|item| user(item, report));
    let users: Vec<(UserConfig, &Position)> = users.collect();
    users
        .into_iter()
        .map(|(user, position)| {
            note_name(&user.name, position, names, report);
            user
        })
        .collect()
}

fn note_name(name: &str, at: &Position, names: &mut Names, report: &mut Report) {
    if !names.insert(name.to_owned()) {
        report.error(at, format!("Duplicate user \"{name}\" detected"));
    }
}

fn user<'a>(item: &'a Node, report: &mut Report) -> Option<(UserConfig, &'a Position)> {
    let Value::Map(map) = &item.value else {
        let kind = item.value.kind();
        let reason = format!("Expected user entry to be a map/struct, got {kind}");
        report.error(&item.position, reason);
        return None;
    };
    let (mut nkey, mut name, mut password) = (None, None, None);
    let (mut allowed, mut types) = (None, Vec::new());
    each(map, report, |key, pair, report| {
        match key {
            "nkey" => nkey = pair.text(report),
            "user" | "username" => name = pair.text(report),
            "pass" | "password" => password = secret(pair, report),
            "permission" | "permissions" | "authorization" => allowed = permissions(pair, report),
            "allowed_connection_types" | "connection_types" | "clients" => {
                types = connection_types(pair, report);
            }
            "proxy_required" => refuse_proxy_required(pair, report),
            _ => return false,
        }
        true
    });
    let mut user = match (nkey, name) {
        (Some(_), Some(_)) => {
            report.error(
                &item.position,
                "Nkey users do not take usernames or passwords",
            );
            return None;
        }
        (Some(_), None) if password.is_some() => {
            report.error(
                &item.position,
                "Nkey users do not take usernames or passwords",
            );
            return None;
        }
        (Some(nkey), None) => {
            if !super::keys::is_user(&nkey) {
                report.error(&item.position, "Not a valid public nkey for a user");
                return None;
            }
            UserConfig::with_nkey(nkey)
        }
        (None, Some(name)) => {
            let mut user = UserConfig::with_password(
                name,
                password.clone().unwrap_or_else(|| Secret::from("")),
            );
            // A user without a password is one that something else vouches for: a certificate, or `no_auth_user`.
            if password.is_none() {
                user.credential = Credential::Certificate;
            }
            user
        }
        (None, None) => {
            report.error(&item.position, "User entry requires a user");
            return None;
        }
    };
    user.permissions = allowed;
    user.connection_types = types;
    Some((user, &item.position))
}

fn connection_types(pair: Pair<'_>, report: &mut Report) -> Vec<ConnectionType> {
    let (mut types, mut unknown) = (Vec::new(), Vec::new());
    for text in pair.texts(report).unwrap_or_default() {
        match text.parse() {
            Ok(one) => types.push(one),
            Err(_) => unknown.push(format!("{:?}", text.to_uppercase())),
        }
    }
    if !unknown.is_empty() {
        let reason = format!("invalid connection types [{}]", unknown.join(" "));
        pair.error(report, reason);
    }
    types
}

/// `auth_callout`.
fn callout(pair: Pair<'_>, report: &mut Report) -> Option<CalloutConfig> {
    let Value::Map(map) = &pair.node.value else {
        let kind = pair.node.value.kind();
        let reason = format!("Expected authorization callout to be a map/struct, got {kind}");
        pair.error(report, reason);
        return None;
    };
    let mut callout = CalloutConfig::default();
    let (mut has_issuer, mut has_users) = (false, false);
    let unknown = |key: &str| format!("Unknown field \"{key}\" parsing authorization callout");
    each_or(map, report, unknown, |name, pair, report| {
        match name {
            "issuer" => {
                has_issuer = true;
                set(&mut callout.issuer, pair.text(report));
                if !super::keys::is_account(&callout.issuer) {
                    let reason = format!(
                        "Expected callout user to be a valid public account nkey, got {:?}",
                        callout.issuer
                    );
                    pair.error(report, reason);
                }
            }
            "account" | "acc" => {
                set(&mut callout.account, pair.text(report));
            }
            "auth_users" | "users" => {
                has_users = true;
                set(&mut callout.auth_users, strings(pair, "auth_users", report));
            }
            "xkey" | "key" => {
                callout.xkey = pair.text(report);
                if let Some(key) = callout
                    .xkey
                    .as_ref()
                    .filter(|key| !super::keys::is_curve(key))
                {
                    let reason =
                        format!("Expected callout xkey to be a valid public xkey, got {key:?}");
                    pair.error(report, reason);
                }
            }
            "allowed_accounts" => {
                set(
                    &mut callout.allowed_accounts,
                    strings(pair, "allowed accounts", report),
                );
            }
            _ => return false,
        }
        true
    });
    if !has_issuer {
        pair.error(
            report,
            "Authorization callouts require an issuer to be specified",
        );
        return None;
    }
    if !has_users || callout.auth_users.is_empty() {
        pair.error(
            report,
            "Authorization callouts require authorized users to be specified",
        );
        return None;
    }
    Some(callout)
}

fn strings(pair: Pair<'_>, what: &str, report: &mut Report) -> Option<Vec<String>> {
    if !matches!(pair.node.value, Value::Array(_)) {
        let kind = pair.node.value.kind();
        pair.error(
            report,
            format!("Expected {what} field to be an array, got {kind}"),
        );
        return None;
    }
    pair.texts(report)
}
