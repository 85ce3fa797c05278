//! What a consumer is to do, in the machine's own terms: a configuration with every default filled in.

/// Nanoseconds: of a point in time since 1970, of a span its length.
pub(crate) type Nanos = u64;

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) mode: Mode,
    pub(crate) ack: AckPolicy,
    /// Time for an acknowledgement; `backoff`, if any, has precedence.
    pub(crate) ack_wait: Nanos,
    /// Time for an acknowledgement by number of deliveries so far; the last one repeats.
    pub(crate) backoff: Vec<Nanos>,
    /// Deliveries of one message; `None`: as many as it takes.
    pub(crate) deliveries_max: Option<u32>,
    /// Messages that may wait for an acknowledgement before new ones are held back; `None`: any number.
    pub(crate) ack_pending_max: Option<usize>,
    /// Bodies are left out.
    pub(crate) headers_only: bool,
    /// Messages come with the pauses in which they were stored.
    pub(crate) replays_original: bool,
    /// Nothing is delivered before; 0: no pause.
    pub(crate) paused_until: Nanos,
    /// The consumer goes after so much time without anybody; `None`: never.
    pub(crate) inactive_threshold: Option<Nanos>,
    /// Share of acknowledgements that are measured, in percent.
    pub(crate) sample_percent: u8,
}

/// When an acknowledgement is needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum AckPolicy {
    /// Never: sent is done.
    #[default]
    None,
    /// One acknowledges everything before it too.
    All,
    /// For every message.
    Explicit,
    /// The answer to a flow control request acknowledges everything sent before the request.
    FlowControl,
}

/// Who asks for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nobody: they are sent as long as somebody listens.
    Push(Push),
    /// Clients, by requests.
    Pull(Pull),
}

/// The push side of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Push {
    pub(crate) deliver_subject: Vec<u8>,
    /// Queue group that must listen; `None`: anybody.
    pub(crate) deliver_group: Option<Vec<u8>>,
    /// Silence after which a heartbeat goes out.
    pub(crate) heartbeat: Option<Nanos>,
    /// The receiver says how much it has handled.
    pub(crate) flow_control: bool,
    /// Bytes per second.
    pub(crate) bytes_per_second: Option<u64>,
}

/// The pull side of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pull {
    /// Requests that may wait.
    pub(crate) waiting_max: usize,
    /// Messages of one request.
    pub(crate) batch_max: Option<u64>,
    /// Time that one request may wait.
    pub(crate) expires_max: Option<Nanos>,
    /// Bytes of one request.
    pub(crate) bytes_max: Option<u64>,
    pub(crate) priority: PriorityPolicy,
    /// Groups that requests must name one of, when there is a policy.
    pub(crate) groups: Vec<String>,
    /// Time without a request after which the pinned client loses its place.
    pub(crate) pinned_ttl: Nanos,
}

impl Default for Pull {
    fn default() -> Self {
        Self {
            waiting_max: 512,
            batch_max: None,
            expires_max: None,
            bytes_max: None,
            priority: PriorityPolicy::None,
            groups: Vec::new(),
            pinned_ttl: 120_000_000_000,
        }
    }
}

/// Which of several pulling clients is served (ADR-42).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum PriorityPolicy {
    /// All, in turn.
    #[default]
    None,
    /// Some only when much is waiting.
    Overflow,
    /// One, until it goes.
    PinnedClient,
    /// Those of the lowest priority number first.
    Prioritized,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            mode: Mode::Pull(Pull::default()),
            ack: AckPolicy::None,
            ack_wait: 30_000_000_000,
            backoff: Vec::new(),
            deliveries_max: None,
            ack_pending_max: None,
            headers_only: false,
            replays_original: false,
            paused_until: 0,
            inactive_threshold: None,
            sample_percent: 0,
        }
    }
}

impl Rules {
    /// Time for the acknowledgement of a message that was delivered so often.
    pub(crate) fn ack_wait_of(&self, deliveries: u32) -> Nanos {
        let index = (deliveries.max(1) - 1) as usize;
        let last = self.backoff.last();
        self.backoff
            .get(index)
            .or(last)
            .copied()
            .unwrap_or(self.ack_wait)
    }

    /// Whether a message that was delivered so often is given up.
    pub(crate) fn is_exhausted(&self, deliveries: u32) -> bool {
        self.deliveries_max.is_some_and(|max| deliveries >= max)
    }

    pub(crate) fn pull(&self) -> Option<&Pull> {
        match &self.mode {
            Mode::Pull(pull) => Some(pull),
            Mode::Push(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_of_a_backoff_repeats() {
        let mut rules = Rules {
            ack_wait: 9,
            ..Rules::default()
        };
        assert_eq!(rules.ack_wait_of(4), 9);
        rules.backoff = vec![1, 5];
        let waits: Vec<Nanos> = (1..5).map(|n| rules.ack_wait_of(n)).collect();
        assert_eq!(waits, [1, 5, 5, 5]);
    }
}
