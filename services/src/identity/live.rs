//! Which sessions have open connections, and how those are cut off when the session ends.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::SystemTime;

use storage::chat::sessions::LiveSession;
use tokio_util::sync::CancellationToken;

/// Sessions with open connections at the same time; more are refused.
const SESSIONS_MAX: usize = 65_536;

/// Sessions with open connections, by `sid`.
#[derive(Debug, Default)]
pub(crate) struct LiveSessions {
    entries: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug)]
struct Entry {
    revoked: CancellationToken,
    /// As the database has them; `None` while the first connection is being decided.
    roles: Option<String>,
    /// When the last of its connections ends by itself.
    until: SystemTime,
}

impl LiveSessions {
    /// Announces a connection that ends at `until` at the latest, *before* its session is looked up: whatever ends the
    /// session from now on cancels the token. `None` when there are too many.
    pub(crate) fn enter(
        &self,
        session_id: &str,
        until: SystemTime,
        now: SystemTime,
    ) -> Option<CancellationToken> {
        let mut entries = self.entries();
        if !entries.contains_key(session_id) && entries.len() >= SESSIONS_MAX {
            entries.retain(|_, entry| entry.until > now);
            if entries.len() >= SESSIONS_MAX {
                return None;
            }
        }
        let entry = entries
            .entry(session_id.to_owned())
            .or_insert_with(|| Entry {
                revoked: CancellationToken::new(),
                roles: None,
                until,
            });
        entry.until = entry.until.max(until);
        Some(entry.revoked.clone())
    }

    /// Notes the roles that a connection was given; `false` when it must not go on with them.
    pub(crate) fn settle(
        &self,
        session_id: &str,
        revoked: &CancellationToken,
        roles: String,
    ) -> bool {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(session_id) else {
            return false;
        };
        if revoked.is_cancelled() {
            return false;
        }
        match &entry.roles {
            Some(before) if *before != roles => {
                // Earlier connections have other rights than this one: all of them come back and get the new ones.
                entry.revoked.cancel();
                entries.remove(session_id);
                false
            }
            _ => {
                entry.roles = Some(roles);
                true
            }
        }
    }

    /// Cuts off every connection of a session.
    pub(crate) fn revoke(&self, session_id: &str) {
        if let Some(entry) = self.entries().remove(session_id) {
            entry.revoked.cancel();
        }
    }

    /// The sessions to look up again; those without open connections are forgotten.
    pub(crate) fn ids(&self, now: SystemTime) -> Vec<String> {
        let mut entries = self.entries();
        entries.retain(|_, entry| entry.until > now);
        entries.keys().cloned().collect()
    }

    /// Cuts off those of `asked` that are not among `alive` with the same roles.
    pub(crate) fn retain(&self, asked: &[String], alive: &[LiveSession]) {
        let alive: HashMap<&str, &str> = alive
            .iter()
            .map(|session| (session.id.as_str(), session.roles.as_str()))
            .collect();
        for id in asked {
            let mut entries = self.entries();
            // In doubt (not settled yet) it is cut off and comes back.
            let unchanged = entries.get(id).is_some_and(|entry| {
                entry.roles.is_some() && entry.roles.as_deref() == alive.get(id.as_str()).copied()
            });
            if !unchanged && let Some(entry) = entries.remove(id) {
                entry.revoked.cancel();
            }
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().expect("no panic under this lock")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn alive(id: &str, roles: &str) -> LiveSession {
        LiveSession {
            id: id.to_owned(),
            roles: roles.to_owned(),
        }
    }

    fn enter(live: &LiveSessions, id: &str, roles: &str) -> CancellationToken {
        let now = SystemTime::now();
        let token = live.enter(id, now + Duration::from_secs(60), now).unwrap();
        assert!(live.settle(id, &token, roles.to_owned()));
        token
    }

    #[test]
    fn what_is_not_alive_any_more_is_cut_off() {
        let live = LiveSessions::default();
        let (a, b, c) = (
            enter(&live, "a", "user"),
            enter(&live, "b", "user"),
            enter(&live, "c", "user"),
        );
        let asked = live.ids(SystemTime::now());
        live.retain(&asked, &[alive("a", "user"), alive("b", "admin,user")]);
        assert!(!a.is_cancelled());
        assert!(b.is_cancelled(), "its roles changed");
        assert!(c.is_cancelled(), "its session ended");
    }

    #[test]
    fn a_session_that_ends_while_it_connects_never_gets_in() {
        let live = LiveSessions::default();
        let now = SystemTime::now();
        let token = live.enter("a", now + Duration::from_secs(60), now).unwrap();
        live.revoke("a");
        assert!(token.is_cancelled());
        assert!(!live.settle("a", &token, "user".to_owned()));
    }

    #[test]
    fn connections_of_one_session_never_differ_in_roles() {
        let live = LiveSessions::default();
        let first = enter(&live, "a", "user");
        let now = SystemTime::now();
        let second = live.enter("a", now + Duration::from_secs(60), now).unwrap();
        assert!(!live.settle("a", &second, "admin,user".to_owned()));
        assert!(first.is_cancelled());
    }

    #[test]
    fn sessions_without_connections_are_forgotten() {
        let live = LiveSessions::default();
        let now = SystemTime::now();
        live.enter("a", now, now).unwrap();
        assert!(live.ids(now).is_empty());
    }
}
