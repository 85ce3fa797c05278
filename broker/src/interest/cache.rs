//! What a publisher remembers of recent matches.
//!
//! A route holds for one generation of the trie. It is made once per subject and then costs a comparison (the subject of
//! the last message) or one look-up. Its memory is bounded in subjects and in targets; a full cache starts afresh.

use std::sync::Arc;

use hashbrown::HashMap;

use super::counts::Counts;
use super::subscription::Subscription;
use crate::crossing::mapping::Rule;
use crate::crossing::service::Way;
use crate::leaf::route::LeafRoute;
use crate::limits::{ROUTE_SUBJECT_BYTES_MAX, ROUTE_TARGETS_MAX, ROUTES_MAX};

/// One subscription that gets the messages of a subject.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) subscription: Arc<Subscription>,
    /// The receiver in the publisher's list, for connections.
    pub(crate) slot: usize,
    /// `HMSG <subject> <sid> `, for connections. For others the subject that they know the messages under, where it is not
    /// the published one.
    pub(crate) prefix: Box<[u8]>,
    /// The receiver takes headers.
    pub(crate) with_headers: bool,
    /// The receiver may answer what it receives: note the reply subject.
    pub(crate) notes_reply: bool,
}

/// Where the messages of one subject go.
#[derive(Debug, Default)]
pub(crate) struct Route {
    pub(crate) generation: u64,
    /// The publisher's permission lists allow the subject.
    pub(crate) is_allowed: bool,
    pub(crate) plain: Vec<Target>,
    pub(crate) queues: Vec<Vec<Target>>,
    /// The part over links, where there are any.
    pub(crate) leaves: Option<Box<LeafRoute>>,
    /// Ways into other accounts.
    pub(crate) ways: Option<Arc<[Way]>>,
    /// Messages go to another subject instead. Such a route allows nothing and has no targets.
    pub(crate) mapping: Option<Arc<Rule>>,
}

impl Route {
    fn targets_len(&self) -> usize {
        1 + self.plain.len() + self.queues.iter().map(Vec::len).sum::<usize>()
    }
}

/// Recent routes of one publisher.
#[derive(Debug)]
pub(crate) struct RouteCache {
    /// Of the account that the routes are in.
    counts: Arc<Counts>,
    routes: Vec<Route>,
    by_subject: HashMap<Box<[u8]>, usize>,
    targets_len: usize,
    last_subject: Vec<u8>,
    last: usize,
}

impl RouteCache {
    /// An empty cache for one account.
    pub(crate) fn new(counts: Arc<Counts>) -> Self {
        Self {
            counts,
            routes: Vec::new(),
            by_subject: HashMap::new(),
            targets_len: 0,
            last_subject: Vec::new(),
            last: 0,
        }
    }

    /// The route of a subject, if it is remembered and of this generation.
    #[inline]
    pub(crate) fn find(&mut self, subject: &[u8], generation: u64) -> Option<usize> {
        if self.last_subject != subject || self.routes.is_empty() {
            self.last = *self.by_subject.get(subject)?;
            self.last_subject.clear();
            self.last_subject.extend_from_slice(subject);
        }
        (self.routes[self.last].generation == generation).then_some(self.last)
    }

    #[inline]
    pub(crate) fn route(&self, index: usize) -> &Route {
        &self.routes[index]
    }

    /// Remembers a route in place of an older one and says where.
    pub(crate) fn insert(&mut self, subject: &[u8], route: Route) -> usize {
        self.targets_len += route.targets_len();
        if subject.len() > ROUTE_SUBJECT_BYTES_MAX
            || self.routes.len() >= ROUTES_MAX
            || self.targets_len > ROUTE_TARGETS_MAX
        {
            self.clear();
            self.targets_len = route.targets_len();
        }
        let index = match self.by_subject.get(subject) {
            Some(index) => {
                self.targets_len -= self.routes[*index].targets_len();
                self.routes[*index] = route;
                *index
            }
            None => {
                self.by_subject.insert(subject.into(), self.routes.len());
                self.routes.push(route);
                self.counts.cached();
                self.routes.len() - 1
            }
        };
        self.last_subject.clear();
        self.last_subject.extend_from_slice(subject);
        self.last = index;
        index
    }

    /// Forgets everything and gives the memory back.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.counts.clone());
    }
}

impl Drop for RouteCache {
    fn drop(&mut self) {
        self.counts.forgotten(self.routes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(generation: u64) -> Route {
        Route {
            generation,
            ..Route::default()
        }
    }

    #[test]
    fn routes_hold_for_one_generation() {
        let mut cache = RouteCache::new(Arc::default());
        assert_eq!(cache.find(b"", 1), None);
        let index = cache.insert(b"a", route(1));
        assert_eq!(cache.find(b"a", 1), Some(index));
        assert_eq!(cache.find(b"a", 2), None);
        assert_eq!(cache.insert(b"a", route(2)), index);
        assert_eq!(cache.find(b"a", 2), Some(index));
        assert_eq!(cache.find(b"b", 2), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut cache = RouteCache::new(Arc::default());
        for number in 0..ROUTES_MAX * 3 {
            cache.insert(number.to_string().as_bytes(), route(1));
            assert!(cache.routes.len() <= ROUTES_MAX);
        }
        let counts = cache.counts.clone();
        assert_eq!(counts.read().cached, cache.routes.len() as u64);
        let last = cache.insert(b"z", route(1));
        assert_eq!(cache.find(b"z", 1), Some(last));
        drop(cache);
        assert_eq!(counts.read().cached, 0);
    }
}
