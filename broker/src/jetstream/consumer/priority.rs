//! Priority groups: one client has a group for itself as long as it keeps asking (`pinned_client`, ADR-42).

use super::machine::{Event, Machine};
use super::request::PullRequest;
use super::rules::{Nanos, PriorityPolicy};
use super::status::Status;
use super::waiting::Waiting;

/// Who has the group for itself.
#[derive(Debug, Default)]
pub(crate) struct Pin {
    holder: Option<Holder>,
}

/// A pinned client.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) group: String,
    pub(crate) id: String,
    /// Since when.
    pub(crate) since: Nanos,
    /// When it last asked.
    last_seen: Nanos,
}

impl Pin {
    pub(super) fn id(&self) -> Option<&str> {
        self.holder.as_ref().map(|holder| holder.id.as_str())
    }
}

impl Machine {
    /// Who has the group for itself.
    pub(crate) fn pinned(&self) -> Option<&Holder> {
        self.pin.holder.as_ref()
    }

    pub(super) fn is_pinning(&self) -> bool {
        self.rules
            .pull()
            .is_some_and(|pull| pull.priority == PriorityPolicy::PinnedClient)
    }

    /// A request with a pin keeps it alive; one with a pin that is not the group's is refused.
    pub(super) fn check_pin(
        &mut self,
        now: Nanos,
        request: &PullRequest,
    ) -> Result<(), Option<Status>> {
        if !self.is_pinning() || request.pin_id.is_empty() {
            return Ok(());
        }
        match &mut self.pin.holder {
            None => Err(Some(Status::WrongPin)),
            Some(holder) if holder.id != request.pin_id => Err(Some(Status::PinMismatch)),
            Some(holder) => {
                holder.last_seen = now;
                Ok(())
            }
        }
    }

    /// Whether a request may be served: it has the pin, or nobody has it and the request has no old one.
    pub(super) fn holds_pin(&self, waiting: &Waiting) -> bool {
        self.pin.id().unwrap_or_default() == waiting.asked.pin_id
    }

    pub(super) fn pin_to(&mut self, now: Nanos, group: String, id: String) {
        self.effects.events.push(Event::Pinned {
            group: group.clone(),
            pin_id: id.clone(),
        });
        self.pin.holder = Some(Holder {
            group,
            id,
            since: now,
            last_seen: now,
        });
    }

    /// Takes the pin away; false if nobody had it.
    pub(crate) fn unpin(&mut self, reason: &'static str) -> bool {
        let Some(holder) = self.pin.holder.take() else {
            return false;
        };
        self.effects.events.push(Event::Unpinned {
            group: holder.group,
            reason,
        });
        true
    }

    pub(super) fn next_pin_event(&self) -> Option<Nanos> {
        let holder = self.pin.holder.as_ref()?;
        let ttl = self.rules.pull()?.pinned_ttl;
        Some(holder.last_seen.saturating_add(ttl))
    }

    pub(super) fn tick_pin(&mut self, now: Nanos) {
        if self.next_pin_event().is_some_and(|at| at <= now) {
            self.unpin("timeout");
        }
    }
}
