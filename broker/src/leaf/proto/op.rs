//! The operations that pass over a link, borrowed from the bytes they came in.

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeafOp<'a> {
    /// `INFO <json>`.
    Info(&'a [u8]),
    /// `CONNECT <json>`.
    Connect(&'a [u8]),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK`: accepted and ignored.
    Ignored,
    /// `-ERR '<text>'`, the text without quotes.
    Error(&'a [u8]),
    /// `LS+ <subject>` or `LS+ <subject> <queue> <weight>`.
    Subscribe {
        subject: &'a [u8],
        queue: Option<(&'a [u8], u32)>,
    },
    /// `LS- <subject>` or `LS- <subject> <queue>`.
    Unsubscribe {
        subject: &'a [u8],
        queue: Option<&'a [u8]>,
    },
    /// `LMSG` or `HMSG`.
    Message(LeafMessage<'a>),
}

/// A message with its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeafMessage<'a> {
    pub(crate) subject: &'a [u8],
    /// Empty where there is none.
    pub(crate) reply: &'a [u8],
    /// The queue groups that it is for, besides all plain subscriptions.
    pub(crate) queues: Queues<'a>,
    /// Size of the header block at the start of `body`.
    pub(crate) header_len: usize,
    /// Header block and payload.
    pub(crate) body: &'a [u8],
}

/// Names of queue groups as they stand on the line, with blanks between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Queues<'a>(pub(crate) &'a [u8]);

impl<'a> Queues<'a> {
    /// The names.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|name| !name.is_empty())
    }

    /// Whether a group is named.
    pub(crate) fn contains(self, group: &[u8]) -> bool {
        self.iter().any(|name| name == group)
    }
}
