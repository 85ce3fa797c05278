//! The one shape of an error.

use std::borrow::Cow;

use serde::Serialize;

/// Why a request was refused: `{"error", "code", "message"}`.
///
/// `error` is the contract's text where it has one, else the code; `code` is for programs and `message` for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The contract's text, or the code.
    pub error: Cow<'static, str>,
    /// For programs.
    pub code: &'static str,
    /// What happened and what to do about it.
    pub message: Cow<'static, str>,
    /// When to try again, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal whose `error` is the code.
    pub fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            error: Cow::Borrowed(code),
            code,
            message: message.into(),
            retry_after_ms: None,
        }
    }

    /// With the contract's text in front.
    #[must_use]
    pub fn with_error(mut self, error: &'static str) -> Self {
        self.error = Cow::Borrowed(error);
        self
    }

    /// The body is not what the subject takes.
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("invalid_request", message).with_error("invalid request")
    }

    /// There is no such room, or the asker must not know of it: the two look the same.
    #[must_use]
    pub fn room_not_found() -> Self {
        Self::new(
            "not_found",
            "There is no such room, or you are not a member. Ask a member to invite you.",
        )
        .with_error("not found")
    }

    /// The body names somebody else as its author.
    #[must_use]
    pub fn user_mismatch() -> Self {
        Self::new(
            "user_mismatch",
            "The request names another user than the one who is signed in.",
        )
        .with_error("user mismatch")
    }

    /// Our own failure; the reason is in the log.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            "internal_error",
            "Something went wrong on the server. Try again in a moment.",
        )
        .with_error("internal error")
    }
}
