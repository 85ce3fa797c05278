//! Commands other than `serve`.

pub(crate) mod user;
