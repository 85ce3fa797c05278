//! What the server itself writes into metadata: which level of the API an asset needs, and who tells about it.
//!
//! `_nats.req.level` is stored with the asset. `_nats.ver` and `_nats.level` are of the server that answers; they are in
//! answers only, and what clients send back of them is dropped.

use std::collections::BTreeMap;

use super::{PersistMode, StreamConfig};
use crate::proto::info::{API_LEVEL, COMPATIBLE_VERSION};

const REQUIRED_LEVEL: &str = "_nats.req.level";
const VERSION: &str = "_nats.ver";
const LEVEL: &str = "_nats.level";

/// Metadata of streams and consumers.
pub(crate) type Metadata = BTreeMap<String, String>;

/// Writes the level that the asset needs, for storing.
pub(crate) fn stamp(metadata: &mut Metadata, required_level: u32) {
    metadata.remove(VERSION);
    metadata.remove(LEVEL);
    metadata.insert(REQUIRED_LEVEL.to_owned(), required_level.to_string());
}

/// Adds what answers carry.
pub(crate) fn for_answer(metadata: &mut Metadata) {
    metadata.insert(VERSION.to_owned(), COMPATIBLE_VERSION.to_owned());
    metadata.insert(LEVEL.to_owned(), API_LEVEL.to_string());
}

impl StreamConfig {
    /// The configuration with the level that it needs.
    #[must_use]
    pub(crate) fn stamped(mut self) -> Self {
        let level = self.required_level();
        stamp(&mut self.metadata, level);
        self
    }

    /// Level of the API in which the youngest of its settings came.
    fn required_level(&self) -> u32 {
        let levels = [
            (
                self.allow_msg_ttl || !self.subject_delete_marker_ttl.is_zero(),
                1,
            ),
            (
                self.allow_msg_counter
                    || self.allow_atomic
                    || self.allow_msg_schedules
                    || self.persist_mode == PersistMode::Async,
                2,
            ),
            (self.allow_batched, 4),
        ];
        let used = levels.iter().filter(|(is_used, _)| *is_used);
        used.map(|(_, level)| *level).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(change: impl FnOnce(&mut StreamConfig)) -> String {
        let mut config = StreamConfig::with_name("S");
        change(&mut config);
        config.stamped().metadata[REQUIRED_LEVEL].clone()
    }

    #[test]
    fn the_youngest_setting_says_which_level_is_needed() {
        assert_eq!(level(|_| {}), "0");
        assert_eq!(level(|config| config.allow_msg_ttl = true), "1");
        assert_eq!(level(|config| config.allow_atomic = true), "2");
        assert_eq!(
            level(|config| {
                config.allow_batched = true;
                config.allow_msg_ttl = true;
            }),
            "4"
        );
    }

    #[test]
    fn item_129_what_clients_send_back_is_dropped() {
        let mut config = StreamConfig::with_name("S");
        let stored = config.clone().stamped();
        config.metadata = stored.metadata.clone();
        for_answer(&mut config.metadata);
        assert_eq!(config.metadata.len(), 3);
        assert_eq!(config.stamped(), stored);
    }
}
