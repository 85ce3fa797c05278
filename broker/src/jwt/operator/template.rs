//! Templates in the permissions of a scope, filled in for one user.
//!
//! | template | becomes |
//! | --- | --- |
//! | `{{name()}}`, `{{subject()}}` | name and key of the user |
//! | `{{account-name()}}`, `{{account-subject()}}` | name and key of the account |
//! | `{{tag(x)}}`, `{{account-tag(x)}}` | every `y` of a tag `x:y` of user or account: one subject for each |
//!
//! A subject that cannot be filled in is left out of an allow list; in a deny list the login is refused, because whoever
//! wrote it meant to deny something. An allow list of which nothing is left denies everything.

use crate::auth::AuthError;
use crate::jwt::claims::{SubjectsClaim, UserClaims, UserLimits};
use crate::jwt::envelope::Claims;
use crate::limits::TEMPLATE_SUBJECTS_MAX;
use crate::subject::is_filter;

use super::account::Account;

/// The limits of a scope for one user.
pub(super) fn fill(
    template: &UserLimits,
    user: &Claims<UserClaims>,
    account: &Account,
) -> Result<UserLimits, AuthError> {
    let mut limits = template.clone();
    let values = Values { user, account };
    values.fill(&mut limits.permissions.publish)?;
    values.fill(&mut limits.permissions.subscribe)?;
    Ok(limits)
}

struct Values<'a> {
    user: &'a Claims<UserClaims>,
    account: &'a Account,
}

impl Values<'_> {
    fn fill(&self, lists: &mut SubjectsClaim) -> Result<(), AuthError> {
        let had_allow = !lists.allow.is_empty();
        lists.allow = self.filled(&lists.allow, false)?;
        lists.deny = self.filled(&lists.deny, true)?;
        if had_allow && lists.allow.is_empty() {
            lists.deny.push(">".to_owned());
        }
        Ok(())
    }

    fn filled(&self, list: &[String], is_strict: bool) -> Result<Vec<String>, AuthError> {
        let mut filled = Vec::new();
        for subject in list {
            for one in self.expand(subject)? {
                if is_entry(&one) {
                    filled.push(one);
                } else if is_strict {
                    return Err(AuthError::new(
                        "a denied subject of the scope cannot be filled in",
                    ));
                }
            }
            if filled.len() > TEMPLATE_SUBJECTS_MAX {
                return Err(AuthError::new(
                    "the scope's templates make too many subjects",
                ));
            }
        }
        Ok(filled)
    }

    /// Every combination of the values of a subject's templates. One without a value leaves the template's place empty, so
    /// that what comes out is no subject.
    fn expand(&self, subject: &str) -> Result<Vec<String>, AuthError> {
        let mut done = vec![String::new()];
        let mut rest = subject;
        while let Some((before, operation, after)) = split_template(rest) {
            let mut values = self.values(operation)?;
            if values.is_empty() {
                values.push(String::new());
            }
            if done.len().saturating_mul(values.len()) > TEMPLATE_SUBJECTS_MAX {
                return Err(AuthError::new(
                    "the scope's templates make too many subjects",
                ));
            }
            done = done
                .iter()
                .flat_map(|start| {
                    values
                        .iter()
                        .map(move |value| format!("{start}{before}{value}"))
                })
                .collect();
            rest = after;
        }
        for one in &mut done {
            one.push_str(rest);
        }
        Ok(done)
    }

    fn values(&self, operation: &str) -> Result<Vec<String>, AuthError> {
        let operation = operation.trim().to_ascii_lowercase();
        let name = |name: &str| vec![name.to_owned()];
        Ok(match operation.as_str() {
            "name()" => name(&self.user.name),
            "subject()" => vec![self.user.sub.to_string()],
            "account-name()" => name(&self.account.claims.name),
            "account-subject()" => vec![self.account.key.to_string()],
            _ => {
                let (prefix, tags) = self.tags(&operation).ok_or_else(|| {
                    AuthError::new(format!("template operation {operation:?} is not defined"))
                })?;
                let value = |tag: &String| {
                    let (name, value) = tag.split_once(':')?;
                    name.eq_ignore_ascii_case(prefix).then(|| value.to_owned())
                };
                tags.iter().filter_map(value).collect()
            }
        })
    }

    fn tags<'a>(&'a self, operation: &'a str) -> Option<(&'a str, &'a [String])> {
        let inner = operation.strip_suffix(')')?;
        if let Some(name) = inner.strip_prefix("tag(") {
            Some((name.trim(), &self.user.nats.tags))
        } else {
            let name = inner.strip_prefix("account-tag(")?;
            Some((name.trim(), &self.account.claims.nats.tags))
        }
    }
}

/// What stands before the first `{{...}}`, what in it, what behind it.
fn split_template(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (operation, after) = rest.split_once("}}")?;
    Some((before, operation, after))
}

/// A subject, or a subject and a queue group.
fn is_entry(text: &str) -> bool {
    match text.split_once(' ') {
        None => is_filter(text.as_bytes()),
        Some((subject, queue)) => {
            is_filter(subject.as_bytes()) && !queue.is_empty() && !queue.contains(' ')
        }
    }
}
