//! What keeps messages of a work queue or an interest stream until they are copied: a consumer of the origin that stands for
//! the copy. Nothing is delivered through it. It lives in the origin's file, so that the origin also keeps them while the
//! copy is closed, and it is named as in nats-server.

use std::collections::BTreeMap;
use std::sync::Arc;

use storage::stream::{ReadLimit, ReaderStart, Sequence};

use super::copy::Role;
use super::header::hash;
use super::selection::Selection;
use crate::jetstream::StreamHandle;
use crate::jetstream::config::{AckPolicy, ConsumerConfig, DeliverPolicy, Retention};
use crate::jetstream::consumer::{Action, Consumer};
use crate::jetstream::error_code::ApiError;

/// Messages that are looked at together.
const READ: usize = 1_000;

/// A copy's hold on the messages of its origin.
#[derive(Debug, Clone)]
pub(super) struct Claim(Arc<Consumer>);

/// The name of the consumer that stands for a copy.
pub(super) fn name_of(target: &str, role: &Role) -> String {
    match role {
        Role::Mirror => format!("JS_MIRROR_{}", hash(target)),
        Role::Source(key) => format!("JS_SRC_{}", hash(&format!("{target} {key}"))),
    }
}

impl Claim {
    /// Claims everything from `start` on, where the origin does not keep it anyway. What was copied before is let go.
    ///
    /// # Errors
    /// The consumer cannot be made, or the origin cannot be read.
    pub(super) async fn stake(
        origin: &StreamHandle,
        target: &str,
        role: &Role,
        selection: &Selection,
        start: Sequence,
    ) -> Result<Option<Self>, ApiError> {
        let config = origin.config();
        if config.retention == Retention::Limits {
            return Ok(None);
        }
        let name = name_of(target, role);
        if let Some(consumer) = origin.consumers().find(&name) {
            let claim = Self(consumer);
            claim.let_go_before(origin, selection, start).await?;
            return Ok(Some(claim));
        }
        let wanted = ConsumerConfig {
            durable: name.clone(),
            name: name.clone(),
            deliver_policy: DeliverPolicy::ByStartSequence,
            opt_start_seq: start.0,
            ack_policy: AckPolicy::Explicit,
            max_ack_pending: -1,
            filter_subjects: selection.filters(),
            sourcing: true,
            metadata: BTreeMap::from([("_nats.src.stream".to_owned(), target.to_owned())]),
            ..ConsumerConfig::default()
        };
        let wanted = wanted.normalise(&config);
        let consumers = origin.consumers();
        consumers
            .create(&config, &name, wanted, Action::CreateOrUpdate)
            .await?;
        Ok(consumers.find(&name).map(Self))
    }

    /// These messages are stored in the copy; `is_all`: there are no more for now.
    pub(super) fn let_go(&self, sequences: &[u64], is_all: bool) {
        self.0.pass(sequences, is_all);
    }

    /// A crash may have come between the commit of a copy and that of the origin.
    async fn let_go_before(
        &self,
        origin: &StreamHandle,
        selection: &Selection,
        start: Sequence,
    ) -> Result<(), ApiError> {
        let first = ReaderStart::Sequence(origin.state().first);
        let mut reader = origin.storage().reader(selection.patterns(), first);
        loop {
            let messages = reader.next(ReadLimit::messages(READ)).await?;
            let copied = messages.iter().map(|message| message.sequence);
            let copied: Vec<u64> = copied
                .take_while(|sequence| *sequence < start)
                .map(|sequence| sequence.0)
                .collect();
            self.let_go(&copied, true);
            if copied.is_empty() || copied.len() < messages.len() {
                return Ok(());
            }
        }
    }
}

/// A copy that is no more claims nothing.
pub(super) async fn give_up(origin: &StreamHandle, target: &str, role: &Role) {
    let name = name_of(target, role);
    if let Err(error) = origin.consumers().remove(&name).await {
        let stream = &origin.config().name;
        tracing::error!(stream, consumer = name, %error, "the consumer of a copy that is no more is not removed");
    }
}
