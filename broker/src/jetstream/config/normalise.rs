//! What a configuration means that leaves things out: the form in which configurations are compared and stored.

use super::stream::DUPLICATE_WINDOW;
use super::{Placement, StreamConfig};

impl StreamConfig {
    /// Fills in the defaults. Two configurations mean the same when their normalised forms are equal.
    #[must_use]
    pub(crate) fn normalise(mut self) -> Self {
        for limit in [
            &mut self.max_msgs,
            &mut self.max_msgs_per_subject,
            &mut self.max_bytes,
            &mut self.max_msg_size,
            &mut self.max_consumers,
        ] {
            if *limit < 1 {
                *limit = -1;
            }
        }
        if self.num_replicas == 0 {
            self.num_replicas = 1;
        }
        let has_origin = self.mirror.is_some() || !self.sources.is_empty();
        if self.duplicate_window.is_zero() && !has_origin {
            self.duplicate_window = match self.max_age {
                age if age.0 > 0 => age.min(DUPLICATE_WINDOW),
                _ => DUPLICATE_WINDOW,
            };
        }
        if self.subjects.is_empty() && !has_origin {
            self.subjects.push(self.name.clone());
        }
        if self.placement == Some(Placement::default()) {
            self.placement = None;
        }
        self
    }
}
