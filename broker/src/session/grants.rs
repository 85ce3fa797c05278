//! Reply subjects that a connection may answer under `allow_responses`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::auth::ResponsePermission;
use crate::limits::REPLY_GRANTS_MAX;

#[derive(Debug)]
struct Grant {
    /// Answers left; `None` is any number.
    left: Option<u32>,
    expires: Option<Instant>,
    number: u64,
}

/// Answers a connection owes. At most [`REPLY_GRANTS_MAX`]: the oldest is forgotten first.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    open: HashMap<Box<[u8]>, Grant>,
    /// In order of arrival, and so of expiry; an entry whose grant was replaced or used up is stale.
    order: VecDeque<(u64, Box<[u8]>)>,
    numbered: u64,
}

impl Grants {
    /// A request with this reply subject was delivered.
    pub(crate) fn grant(&mut self, reply: &[u8], permission: &ResponsePermission, now: Instant) {
        let defaults = ResponsePermission::default();
        let max = if permission.max == 0 {
            defaults.max
        } else {
            permission.max
        };
        let expires = if permission.expires == Duration::ZERO {
            defaults.expires
        } else {
            permission.expires
        };
        self.forget_oldest(now);
        self.numbered += 1;
        let grant = Grant {
            left: u32::try_from(max).ok(),
            expires: now.checked_add(expires),
            number: self.numbered,
        };
        self.open.insert(reply.into(), grant);
        self.order.push_back((self.numbered, reply.into()));
    }

    /// Whether an answer may be published now; it is counted if so.
    pub(crate) fn take(&mut self, reply: &[u8], now: Instant) -> bool {
        let Some(grant) = self.open.get_mut(reply) else {
            return false;
        };
        if grant.expires.is_some_and(|expires| expires <= now) {
            self.open.remove(reply);
            return false;
        }
        if let Some(left) = &mut grant.left {
            *left -= 1;
            if *left == 0 {
                self.open.remove(reply);
            }
        }
        true
    }

    fn forget_oldest(&mut self, now: Instant) {
        while let Some((number, reply)) = self.order.front() {
            let is_full = self.order.len() >= REPLY_GRANTS_MAX;
            let current = self.open.get(reply).filter(|grant| grant.number == *number);
            let is_over =
                current.is_none_or(|grant| grant.expires.is_some_and(|expires| expires <= now));
            if !is_full && !is_over {
                return;
            }
            if current.is_some() {
                self.open.remove(reply);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_50_one_answer_per_request_by_default() {
        let now = Instant::now();
        let mut grants = Grants::default();
        grants.grant(
            b"r",
            &ResponsePermission {
                max: 0,
                expires: Duration::ZERO,
            },
            now,
        );
        assert!(grants.take(b"r", now));
        assert!(!grants.take(b"r", now));
        assert!(!grants.take(b"other", now));
    }

    #[test]
    fn answers_expire_and_negative_means_any_number() {
        let now = Instant::now();
        let mut grants = Grants::default();
        grants.grant(
            b"r",
            &ResponsePermission {
                max: -1,
                expires: Duration::from_secs(1),
            },
            now,
        );
        assert!((0..100).all(|_| grants.take(b"r", now)));
        assert!(!grants.take(b"r", now + Duration::from_secs(1)));
    }

    #[test]
    fn memory_is_bounded() {
        let now = Instant::now();
        let mut grants = Grants::default();
        for number in 0..REPLY_GRANTS_MAX * 2 {
            grants.grant(
                number.to_string().as_bytes(),
                &ResponsePermission::default(),
                now,
            );
        }
        assert!(grants.open.len() <= REPLY_GRANTS_MAX && grants.order.len() <= REPLY_GRANTS_MAX);
        assert!(!grants.take(b"0", now));
    }
}
