//! The clock of one stream's publish side: what has to happen although nobody publishes.
//!
//! A task runs while there is something to wait for, and ends by itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::jetstream::context::AccountContext;

/// What is watched.
pub(crate) trait Watched: Send + Sync + 'static {
    /// Does what is due and says when to come again; `None`: there is nothing to wait for, and the watch has ended.
    fn tick(self: &Arc<Self>, now: Instant) -> impl Future<Output = Option<Instant>> + Send;
}

/// Wakes and ends the watch of one stream.
#[derive(Debug)]
pub(crate) struct Watch {
    tasks: TaskTracker,
    runtime: Handle,
    wake: Arc<Notify>,
    stop: CancellationToken,
    is_running: Mutex<bool>,
}

impl Watch {
    pub(crate) fn new(context: &AccountContext) -> Self {
        Self {
            tasks: context.server.tasks.clone(),
            runtime: context.runtime.clone(),
            wake: Arc::default(),
            stop: context.server.stop.child_token(),
            is_running: Mutex::new(false),
        }
    }

    /// There is something new to wait for.
    pub(crate) fn wake<W: Watched>(&self, watched: &Arc<W>) {
        let mut is_running = self.lock();
        if std::mem::replace(&mut *is_running, true) {
            self.wake.notify_one();
        } else if !self.stop.is_cancelled() {
            let run = run(
                Arc::downgrade(watched),
                self.wake.clone(),
                self.stop.clone(),
            );
            self.tasks.spawn_on(run, &self.runtime);
        }
    }

    /// The watch ends where `is_idle` still holds while nobody can wake it.
    pub(crate) fn end_if(&self, is_idle: impl FnOnce() -> bool) -> bool {
        let mut is_running = self.lock();
        let ends = is_idle();
        *is_running = !ends;
        ends
    }

    /// Ends the watch for good.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run<W: Watched>(watched: Weak<W>, wake: Arc<Notify>, stop: CancellationToken) {
    loop {
        let next = {
            let Some(watched) = watched.upgrade() else {
                return;
            };
            tokio::select! {
                // What a tick began is stored or not, as with any publisher that goes away.
                next = watched.tick(Instant::now()) => next,
                () = stop.cancelled() => return,
            }
        };
        let Some(next) = next else {
            return;
        };
        tokio::select! {
            () = sleep_until(next) => {}
            () = wake.notified() => {}
            () = stop.cancelled() => return,
        }
    }
}
