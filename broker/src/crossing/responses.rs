//! Requests from other accounts that wait for answers: reply subjects `_R_.<account>.<request>`.
//!
//! The answering account sees such a subject instead of the requester's inbox. Who publishes on it reaches the requester, as
//! often and as long as the export says. Nobody can guess one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hashbrown::HashMap;

use crate::account::Account;
use crate::accounts::ResponseType;
use crate::limits::SERVICE_RESPONSES_MAX;

/// What all reply subjects of requests that crossed accounts begin with.
const PREFIX: &str = "_R_.";

/// The open requests to one account. At most [`SERVICE_RESPONSES_MAX`]: the oldest is forgotten first.
#[derive(Debug)]
pub(crate) struct Responses {
    prefix: String,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    requests: HashMap<Arc<[u8]>, Waiting>,
    /// In order of arrival; a name whose request is answered is stale.
    order: VecDeque<Arc<[u8]>>,
}

/// A request that waits.
#[derive(Debug)]
struct Waiting {
    account: Weak<Account>,
    reply: Arc<[u8]>,
    expectation: Expectation,
    expires: Instant,
}

/// How many answers are waited for, and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expectation {
    pub(crate) response: ResponseType,
    pub(crate) threshold: Duration,
}

/// Where an answer goes.
#[derive(Debug)]
pub(crate) struct Requester {
    pub(crate) account: Arc<Account>,
    pub(crate) reply: Arc<[u8]>,
    pub(crate) expectation: Expectation,
}

impl Responses {
    pub(crate) fn new() -> Self {
        let name = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 6]>());
        Self {
            prefix: format!("{PREFIX}{name}."),
            open: Mutex::default(),
        }
    }

    /// The pattern of all its reply subjects.
    pub(crate) fn filter(&self) -> String {
        format!("{}*", self.prefix)
    }

    /// A new reply subject, whose messages go to `reply` in the requester's account.
    pub(crate) fn expect(
        &self,
        account: &Arc<Account>,
        reply: &[u8],
        expectation: Expectation,
        now: Instant,
    ) -> Arc<[u8]> {
        let name = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 12]>());
        let subject: Arc<[u8]> = format!("{}{name}", self.prefix).into_bytes().into();
        let waiting = Waiting {
            account: Arc::downgrade(account),
            reply: reply.into(),
            expectation,
            expires: now + expectation.threshold,
        };
        let mut open = self.lock();
        open.forget_oldest(now);
        open.requests.insert(subject.clone(), waiting);
        open.order.push_back(subject.clone());
        subject
    }

    /// Who waits for an answer on this subject. An answer that is the last one ends the wait: the only one, or an empty one.
    pub(crate) fn take(&self, subject: &[u8], is_empty: bool, now: Instant) -> Option<Requester> {
        let mut open = self.lock();
        let waiting = open.requests.get_mut(subject)?;
        let is_over = waiting.expires <= now;
        let is_last = is_empty || waiting.expectation.response == ResponseType::Single;
        let account = waiting.account.upgrade().filter(|_| !is_over);
        waiting.expires = now + waiting.expectation.threshold;
        let requester = account.map(|account| Requester {
            account,
            reply: waiting.reply.clone(),
            expectation: waiting.expectation,
        });
        if is_last || requester.is_none() {
            open.requests.remove(subject);
        }
        requester
    }

    /// Whether somebody waits for an answer on this subject.
    pub(crate) fn waits(&self, subject: &[u8], now: Instant) -> bool {
        let open = self.lock();
        let waiting = open.requests.get(subject);
        waiting.is_some_and(|waiting| waiting.expires > now)
    }

    /// Nobody took the request.
    pub(crate) fn forget(&self, subject: &[u8]) {
        self.lock().requests.remove(subject);
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Makes room for one more, and looks at few others.
    fn forget_oldest(&mut self, now: Instant) {
        const LOOKED_AT: usize = 4;
        for _ in 0..LOOKED_AT {
            let Some(subject) = self.order.front() else {
                return;
            };
            let is_full = self.order.len() >= SERVICE_RESPONSES_MAX;
            let is_waiting = self
                .requests
                .get(subject)
                .is_some_and(|waiting| waiting.expires > now);
            if is_waiting && !is_full {
                return;
            }
            if let Some(subject) = self.order.pop_front() {
                self.requests.remove(&subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expectation(response: ResponseType) -> Expectation {
        Expectation {
            response,
            threshold: Duration::from_secs(1),
        }
    }

    #[test]
    fn answers_are_counted_and_expire() {
        let responses = Responses::new();
        let account = Account::new("A");
        let now = Instant::now();
        let later = |millis| now + Duration::from_millis(millis);
        let expect = |response| responses.expect(&account, b"inbox.1", expectation(response), now);
        let takes = |subject: &[u8], is_empty, at| {
            let taken = responses.take(subject, is_empty, at);
            taken.is_some_and(|requester| &*requester.reply == b"inbox.1")
        };
        let single = expect(ResponseType::Single);
        assert!(single.starts_with(PREFIX.as_bytes()));
        assert!(takes(&single, false, now));
        assert!(!takes(&single, false, now));
        let stream = expect(ResponseType::Stream);
        assert!(takes(&stream, false, later(900)));
        assert!(takes(&stream, false, later(1800)));
        assert!(!takes(&stream, false, later(2900)));
        let chunked = expect(ResponseType::Chunked);
        assert!(takes(&chunked, false, now));
        assert!(takes(&chunked, true, now));
        assert!(!takes(&chunked, false, now));
        let forgotten = expect(ResponseType::Single);
        responses.forget(&forgotten);
        assert!(!takes(&forgotten, false, now));
    }

    #[test]
    fn open_requests_are_bounded() {
        let responses = Responses::new();
        let account = Account::new("A");
        let now = Instant::now();
        let expect = |at| responses.expect(&account, b"r", expectation(ResponseType::Single), at);
        let first = expect(now);
        for _ in 0..SERVICE_RESPONSES_MAX {
            expect(now);
        }
        assert_eq!(responses.lock().requests.len(), SERVICE_RESPONSES_MAX);
        assert!(responses.take(&first, false, now).is_none());
        for _ in 0..10 {
            expect(now + Duration::from_secs(2));
        }
        assert!(responses.lock().order.len() < SERVICE_RESPONSES_MAX);
    }
}
