//! Commands other than `serve`.

pub(crate) mod bench;
pub(crate) mod doctor;
pub(crate) mod token;
pub(crate) mod user;
