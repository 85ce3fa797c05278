//! Who wants which subject. Synchronous, no IO.

pub(crate) mod cache;
pub(crate) mod counts;
pub(crate) mod queue_group;
pub(crate) mod subscription;
pub(crate) mod trie;
pub(crate) mod watch;
