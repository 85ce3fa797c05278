//! The kinds of load.

pub(crate) mod api;
pub(crate) mod consume;
pub(crate) mod gets;
pub(crate) mod publisher;
pub(crate) mod pubsub;
pub(crate) mod request;
pub(crate) mod stream_publish;
pub(crate) mod subscriber;

/// The share of one of `clients` in `total`; the first ones take what does not divide.
fn share(total: u64, clients: usize, index: usize) -> u64 {
    let clients = clients.max(1) as u64;
    total / clients + u64::from((index as u64) < total % clients)
}

/// An inbox as long as those of stock clients, one per call.
fn new_inbox() -> String {
    format!("_INBOX.{:022x}", rand::random::<u64>())
}

/// Joins a thread of a work; a panic in it is ours.
fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    match thread.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for (total, clients) in [(10, 3), (2, 5), (0, 1), (7, 7)] {
            let all: u64 = (0..clients).map(|index| share(total, clients, index)).sum();
            assert_eq!(all, total);
        }
        assert_eq!(new_inbox().len(), "_INBOX.".len() + 22);
    }
}
