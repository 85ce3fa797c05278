//! Who wants to know when the interest in a subject comes or goes: push consumers, about their deliver subjects.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use tokio::sync::Notify;

use crate::subject;

/// Who is to be told, by subject.
type Bells = HashMap<Box<[u8]>, Vec<Arc<Notify>>>;

/// All watches of one account. Costs a subscription nothing while there is none.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    by_subject: Mutex<Bells>,
    len: AtomicUsize,
}

/// Tells of changes for as long as it is held.
#[derive(Debug)]
pub(crate) struct Watch {
    watches: Arc<Watches>,
    subject: Box<[u8]>,
    bell: Arc<Notify>,
}

impl Watches {
    /// Watches a subject without wildcards.
    pub(crate) fn watch(self: &Arc<Self>, subject: &[u8]) -> Watch {
        let bell = Arc::new(Notify::new());
        self.lock()
            .entry_ref(subject)
            .or_default()
            .push(bell.clone());
        self.len.fetch_add(1, Ordering::AcqRel);
        Watch {
            watches: self.clone(),
            subject: subject.into(),
            bell,
        }
    }

    /// A subscription came or went.
    pub(crate) fn changed(&self, filter: &[u8]) {
        if self.len.load(Ordering::Acquire) == 0 {
            return;
        }
        let by_subject = self.lock();
        if !subject::has_wildcard(filter) {
            by_subject
                .get(filter)
                .into_iter()
                .flatten()
                .for_each(|bell| bell.notify_one());
            return;
        }
        for (watched, bells) in by_subject.iter() {
            if subject::matches(filter, watched) {
                bells.iter().for_each(|bell| bell.notify_one());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Bells> {
        self.by_subject
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Resolves after a change; one that came since the last call counts. Cancel-safe.
    pub(crate) async fn changed(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut by_subject = self.watches.lock();
        if let Some(bells) = by_subject.get_mut(&self.subject) {
            bells.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
            if bells.is_empty() {
                by_subject.remove(&self.subject);
            }
        }
        self.watches.len.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn changes_are_told_to_those_they_concern() {
        let watches = Arc::new(Watches::default());
        let (a, b) = (watches.watch(b"x.a"), watches.watch(b"x.b"));
        let told = |watch: &Watch| watch.changed().now_or_never().is_some();
        watches.changed(b"x.a");
        assert_eq!((told(&a), told(&b)), (true, false));
        watches.changed(b"x.*");
        assert_eq!((told(&a), told(&b)), (true, true));
        assert_eq!((told(&a), told(&b)), (false, false));
        drop(a);
        watches.changed(b">");
        assert!(told(&b));
        assert_eq!(watches.len.load(Ordering::Acquire), 1);
    }
}
