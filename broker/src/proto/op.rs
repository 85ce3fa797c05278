//! The operations a client can send, borrowed from the bytes they came in.

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op<'a> {
    /// `CONNECT <json>`.
    Connect(&'a [u8]),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `INFO` or `+OK`: accepted and ignored.
    Ignored,
    /// `-ERR` from a client: it closes the connection.
    PeerError,
    /// `SUB <subject> [queue] <sid>`.
    Subscribe {
        subject: &'a [u8],
        queue: Option<&'a [u8]>,
        sid: &'a [u8],
    },
    /// `UNSUB <sid> [max]`; an unreadable maximum is none.
    Unsubscribe { sid: &'a [u8], max: Option<u64> },
    /// `PUB` or `HPUB`.
    Publish(PublishOp<'a>),
}

/// `PUB <subject> [reply] <size>` or `HPUB <subject> [reply] <header size> <total size>`, with its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublishOp<'a> {
    pub(crate) subject: &'a [u8],
    /// Empty where there is none.
    pub(crate) reply: &'a [u8],
    /// Whether it was HPUB.
    pub(crate) with_headers: bool,
    /// Size of the header block at the start of `body`.
    pub(crate) header_len: usize,
    /// Header block and payload.
    pub(crate) body: &'a [u8],
    /// Everything from the reply or size argument to the CR LF behind the body, if it is spelled the way the broker would
    /// spell it: then a delivery is a prefix and these bytes. Empty otherwise.
    pub(crate) verbatim: &'a [u8],
}
