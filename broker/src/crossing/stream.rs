//! Imports of messages: every subscription that one concerns has a shadow in the exporting account.

use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::pair::Pair;
use crate::account::Account;
use crate::interest::subscription::{Sink, Subscription};
use crate::subject;

/// An import of messages.
#[derive(Debug)]
pub(crate) struct StreamCrossing {
    pub(crate) exporter: Weak<Account>,
    pub(crate) pair: Pair,
}

/// A subscription of another account, as the exporting account sees it.
#[derive(Debug)]
pub(crate) struct Shadow {
    pub(crate) original: Arc<Subscription>,
    crossing: Arc<StreamCrossing>,
}

impl StreamCrossing {
    /// The shadow of a subscription, if the import concerns it.
    pub(crate) fn shadow(
        self: &Arc<Self>,
        original: &Arc<Subscription>,
    ) -> Option<Arc<Subscription>> {
        // What the server itself listens to is not imported, and neither is what is imported already.
        let is_shadowed = matches!(
            original.sink,
            Sink::Connection(..) | Sink::Local(_) | Sink::Replies(_) | Sink::Stream(_)
        );
        let filter = self.pair.narrow(&original.filter).filter(|_| is_shadowed)?;
        let shadow = Shadow {
            original: original.clone(),
            crossing: self.clone(),
        };
        let sink = Sink::Shadow(Box::new(shadow));
        let queue = original.queue.as_deref();
        Some(Subscription::new(&filter, queue, &original.sid, sink))
    }
}

impl Shadow {
    /// The subject that the subscription gets a message under; `None`: it does not want it after all.
    pub(crate) fn subject(&self, subject: &[u8]) -> Option<Bytes> {
        let here = self.crossing.pair.to_here(subject)?;
        subject::matches(&self.original.filter, &here).then_some(here)
    }
}
