//! What the machine needs of the world while it delivers.

/// A message on its way to a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// The subject it was stored with: what the receiver sees.
    pub(crate) subject: &'a [u8],
    /// Where to acknowledge it.
    pub(crate) reply: &'a [u8],
    pub(crate) headers: &'a [u8],
    pub(crate) payload: &'a [u8],
}

/// Whether a receiver took a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Yes,
    /// Nobody listens there (any more).
    NoInterest,
    /// The receiver has enough waiting: try again in a moment.
    Busy,
}

/// Where messages go. What is handed to it leaves in order, together, when the driver's turn is over.
pub(crate) trait Outlet {
    /// Sends a message to whoever listens on `to`.
    fn deliver(&mut self, to: &[u8], frame: &Frame<'_>) -> Taken;
    /// Sends a message without payload.
    fn status(&mut self, to: &[u8], reply: &[u8], headers: &[u8]);
    /// Whether somebody listens.
    fn has_interest(&mut self, subject: &[u8]) -> bool;
    /// Letters and digits that nobody can guess.
    fn token(&mut self, len: usize) -> String;
}
