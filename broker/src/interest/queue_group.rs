//! Queue groups: among all subscriptions with the same group name, whatever their patterns, one gets the message.

use std::sync::Arc;

use hashbrown::HashMap;

use super::subscription::Subscription;

/// Matching members by group name.
#[derive(Debug, Default)]
pub(crate) struct QueueGroups {
    groups: Vec<Vec<Arc<Subscription>>>,
    by_name: HashMap<Box<[u8]>, usize>,
}

impl QueueGroups {
    /// Adds matching members of a group.
    pub(crate) fn extend(&mut self, name: &[u8], members: &[Arc<Subscription>]) {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            None => {
                self.by_name.insert(name.into(), self.groups.len());
                self.groups.push(Vec::new());
                self.groups.len() - 1
            }
        };
        self.groups[index].extend_from_slice(members);
    }

    /// Members of all groups together.
    pub(crate) fn len(&self) -> usize {
        self.groups.iter().map(Vec::len).sum()
    }

    /// The members of each group.
    pub(crate) fn into_groups(self) -> Vec<Vec<Arc<Subscription>>> {
        self.groups
    }
}

/// Tries the members from a random one on until one takes the message.
#[inline]
pub(crate) fn deliver_to_one<T>(
    members: &[T],
    mut random: impl FnMut(usize) -> usize,
    mut take: impl FnMut(&T) -> bool,
) -> bool {
    match members {
        [] => false,
        [only] => take(only),
        _ => {
            let (before, from) = members.split_at(random(members.len()));
            from.iter().chain(before).any(take)
        }
    }
}
