//! Slows down guessing: failures are counted per user and per address, and make the next try wait.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Failures of one user before waiting starts.
const USER_FREE: u32 = 5;
/// Failures from one address before waiting starts: an office shares one.
const ADDRESS_FREE: u32 = 20;
/// The longest wait. Short enough that nobody can lock somebody else out for long.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Failures are forgotten after this time without another.
const FORGET_AFTER: Duration = Duration::from_secs(15 * 60);
/// Users, and addresses, remembered at the same time; the longest quiet make room.
const ENTRIES_MAX: usize = 10_000;

/// Failed attempts of the recent past.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    users: Failures<String>,
    addresses: Failures<IpAddr>,
}

impl Guard {
    /// How long this user from this address has to wait; zero means go ahead.
    pub(crate) fn wait(&self, user: &str, address: IpAddr, now: Instant) -> Duration {
        let user = self.users.wait(&user.to_owned(), USER_FREE, now);
        user.max(self.addresses.wait(&network(address), ADDRESS_FREE, now))
    }

    /// Counts a failure.
    pub(crate) fn failed(&mut self, user: &str, address: IpAddr, now: Instant) {
        self.users.add(user.to_owned(), now);
        self.addresses.add(network(address), now);
    }

    /// Forgets the user's failures. The address keeps its own: who knows one password may still guess others.
    pub(crate) fn succeeded(&mut self, user: &str) {
        self.users.entries.remove(user);
    }
}

#[derive(Debug)]
struct Failures<K> {
    entries: HashMap<K, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    count: u32,
    last: Instant,
}

impl<K> Default for Failures<K> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash + Clone> Failures<K> {
    fn wait(&self, key: &K, free: u32, now: Instant) -> Duration {
        let Some(entry) = self
            .entries
            .get(key)
            .filter(|entry| !entry.is_forgotten(now))
        else {
            return Duration::ZERO;
        };
        if entry.count < free {
            return Duration::ZERO;
        }
        // 1, 2, 4, … seconds after the last failure.
        let doublings = (entry.count - free).min(16);
        let wait = Duration::from_secs(1 << doublings).min(WAIT_MAX);
        (entry.last + wait).saturating_duration_since(now)
    }

    fn add(&mut self, key: K, now: Instant) {
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&key) {
            self.make_room(now);
        }
        let entry = self.entries.entry(key).or_insert(Entry {
            count: 0,
            last: now,
        });
        if entry.is_forgotten(now) {
            entry.count = 0;
        }
        entry.count = entry.count.saturating_add(1);
        entry.last = now;
    }

    fn make_room(&mut self, now: Instant) {
        self.entries.retain(|_, entry| !entry.is_forgotten(now));
        if self.entries.len() >= ENTRIES_MAX {
            let oldest = self
                .entries
                .iter()
                .min_by_key(|(_, entry)| entry.last)
                .map(|(key, _)| key.clone());
            if let Some(key) = oldest {
                self.entries.remove(&key);
            }
        }
    }
}

impl Entry {
    fn is_forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) > FORGET_AFTER
    }
}

/// One customer's IPv6 network is one address: the lower 64 bits are theirs to choose.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let bits = u128::from(v6) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(bits))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn waiting_starts_after_five_failures_and_doubles() {
        let (mut guard, now) = (Guard::default(), Instant::now());
        for _ in 0..5 {
            assert_eq!(guard.wait("alice", address(1), now), Duration::ZERO);
            guard.failed("alice", address(1), now);
        }
        assert_eq!(guard.wait("alice", address(1), now), Duration::from_secs(1));
        assert_eq!(guard.wait("bob", address(1), now), Duration::ZERO);
        guard.failed("alice", address(1), now);
        assert_eq!(guard.wait("alice", address(2), now), Duration::from_secs(2));
        assert_eq!(
            guard.wait("alice", address(2), now + Duration::from_secs(2)),
            Duration::ZERO
        );
        for _ in 0..100 {
            guard.failed("alice", address(1), now);
        }
        assert_eq!(guard.wait("alice", address(1), now), WAIT_MAX);
    }

    #[test]
    fn one_address_trying_many_users_waits_too() {
        let (mut guard, now) = (Guard::default(), Instant::now());
        for user in 0..20 {
            guard.failed(&format!("user{user}"), address(1), now);
        }
        assert!(guard.wait("somebody", address(1), now) > Duration::ZERO);
        assert_eq!(guard.wait("somebody", address(2), now), Duration::ZERO);
    }

    #[test]
    fn success_and_time_are_forgiving() {
        let (mut guard, now) = (Guard::default(), Instant::now());
        for _ in 0..6 {
            guard.failed("alice", address(1), now);
            guard.failed("bob", address(1), now);
        }
        guard.succeeded("alice");
        assert_eq!(guard.wait("alice", address(1), now), Duration::ZERO);
        let later = now + FORGET_AFTER + Duration::from_secs(1);
        guard.failed("bob", address(1), later);
        assert_eq!(guard.wait("bob", address(1), later), Duration::ZERO);
    }

    #[test]
    fn a_flood_of_names_stays_bounded() {
        let (mut guard, now) = (Guard::default(), Instant::now());
        for user in 0..ENTRIES_MAX + 10 {
            guard.failed(&user.to_string(), address(1), now);
        }
        assert_eq!(guard.users.entries.len(), ENTRIES_MAX);
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let (mut guard, now) = (Guard::default(), Instant::now());
        for host in 0..20 {
            guard.failed(
                &format!("u{host}"),
                format!("2001:db8::{host:x}").parse().unwrap(),
                now,
            );
        }
        assert!(guard.wait("x", "2001:db8::ffff".parse().unwrap(), now) > Duration::ZERO);
        assert_eq!(
            guard.wait("x", "2001:db8:0:1::1".parse().unwrap(), now),
            Duration::ZERO
        );
    }
}
