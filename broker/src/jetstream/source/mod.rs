//! Mirrors and sources: streams whose messages come from other streams.
//!
//! A mirror is a copy of one origin with the same sequences and times; a stream with sources appends the messages of its
//! origins to its own. Each origin has a task ([`follow`]) that reads it through storage's reader and appends what the
//! [`selection`] lets through. What a configuration may say of them is checked with it, in `config/origins.rs`.
//!
//! Invariants:
//! - every message of an origin is stored once, in the origin's order, also across crashes of either;
//! - a message that does not fit holds up its origin until there is room: nothing is left out silently;
//! - no message comes back to a stream that it has been in.

mod claim;
mod copy;
mod cycle;
mod follow;
mod header;
mod position;
mod progress;
mod selection;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use self::cycle::closes_cycle;
pub(crate) use self::progress::SourceInfo;

use self::copy::{Copying, Role};
use self::follow::Follower;
use self::header::SourceKey;
use self::progress::Progress;
use self::selection::Selection;
use super::StreamHandle;
use super::config::{StreamConfig, StreamSource};
use super::registry::AccountStreams;

/// Whether an origin is in the account of the stream itself.
fn local(source: &StreamSource, domain: Option<&str>) -> bool {
    let Some(external) = &source.external else {
        return true;
    };
    let api = external.api.as_str();
    let of_domain = api
        .strip_prefix("$JS.")
        .and_then(|rest| rest.strip_suffix(".API"));
    api.is_empty() || (of_domain.is_some() && of_domain == domain)
}

/// The origins of one stream and the tasks that copy them.
#[derive(Debug, Default)]
pub(crate) struct Origins(Mutex<Vec<Origin>>);

#[derive(Debug)]
struct Origin {
    source: StreamSource,
    is_mirror: bool,
    progress: Arc<Progress>,
    reconfigured: Arc<Notify>,
    task: Option<Task>,
}

#[derive(Debug)]
struct Task {
    stop: CancellationToken,
    handle: JoinHandle<()>,
}

impl Origins {
    /// Ends what `config` has no more, before it comes into force: a mirror that becomes a stream of its own must not be
    /// written to by both.
    pub(crate) async fn release(&self, config: &StreamConfig, streams: &AccountStreams) {
        let wanted = wanted(config);
        let is_kept = |origin: &Origin| {
            !config.sealed && wanted.contains(&(&origin.source, origin.is_mirror))
        };
        let released: Vec<Origin> = {
            let mut origins = self.lock();
            let (kept, released) = origins.drain(..).partition(is_kept);
            *origins = kept;
            released
        };
        give_up(&config.name, released, streams).await;
    }

    /// Ends all tasks of a stream that is removed.
    pub(crate) async fn end(&self, target: &str, streams: &AccountStreams) {
        let all = std::mem::take(&mut *self.lock());
        give_up(target, all, streams).await;
    }

    /// Starts what the configuration of the stream has and is not there yet; the rest goes on undisturbed.
    pub(crate) fn start(&self, target: &StreamHandle, streams: &Weak<AccountStreams>) {
        let config = target.config();
        let mut origins = self.lock();
        let mut before = std::mem::take(&mut *origins);
        for (source, is_mirror) in wanted(&config) {
            let known = before.iter().position(|origin| origin.source == *source);
            let origin = known.map(|index| before.swap_remove(index));
            if let Some(known) = &origin {
                known.reconfigured.notify_one();
            }
            origins.push(origin.unwrap_or_else(|| start(source, is_mirror, target, streams)));
        }
    }

    /// Ends all tasks of a stream that closes. What it has not copied yet is kept for it.
    pub(crate) async fn stop(&self) {
        let mut all = std::mem::take(&mut *self.lock());
        join(&mut all).await;
    }

    /// What stream info says about the mirror.
    pub(crate) fn mirror(&self) -> Option<SourceInfo> {
        self.infos(true).pop()
    }

    /// What stream info says about the sources.
    pub(crate) fn sources(&self) -> Vec<SourceInfo> {
        self.infos(false)
    }

    fn infos(&self, is_mirror: bool) -> Vec<SourceInfo> {
        let now = Instant::now();
        let origins = self.lock();
        let wanted = origins.iter().filter(|one| one.is_mirror == is_mirror);
        wanted
            .map(|one| one.progress.info(&one.source, is_mirror, now))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Origin>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The origins of a configuration, and whether each is a mirror's.
fn wanted(config: &StreamConfig) -> Vec<(&StreamSource, bool)> {
    let mirror = config.mirror.iter().map(|source| (source, true));
    let sources = config.sources.iter().map(|source| (source, false));
    mirror.chain(sources).collect()
}

fn role(source: &StreamSource, is_mirror: bool) -> Role {
    match is_mirror {
        true => Role::Mirror,
        false => Role::Source(SourceKey::new(source)),
    }
}

/// Starts copying. An origin in another domain is out of reach of a single server: it is shown and never active. A sealed
/// stream takes nothing any more.
fn start(
    source: &StreamSource,
    is_mirror: bool,
    target: &StreamHandle,
    streams: &Weak<AccountStreams>,
) -> Origin {
    let progress = Arc::new(Progress::default());
    let reconfigured = Arc::new(Notify::new());
    let role = role(source, is_mirror);
    let domain = target.context().server.config.domain.as_deref();
    let is_copied = local(source, domain) && !target.config().sealed;
    let selection = Selection::new(source).ok().filter(|_| is_copied);
    let task = selection.map(|selection| {
        let follower = Follower {
            source: source.clone(),
            copying: Copying { selection, role },
            target: target.clone(),
            streams: streams.clone(),
            progress: progress.clone(),
            reconfigured: reconfigured.clone(),
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let handle = tokio::spawn(async move {
            let _ = stopped.run_until_cancelled(follower.run()).await;
        });
        Task { stop, handle }
    });
    Origin {
        source: source.clone(),
        is_mirror,
        progress,
        reconfigured,
        task,
    }
}

/// Ends tasks; their origins need not keep anything for them any more.
async fn give_up(target: &str, mut origins: Vec<Origin>, streams: &AccountStreams) {
    join(&mut origins).await;
    for Origin {
        source, is_mirror, ..
    } in &origins
    {
        if let Some(origin) = streams.find(&source.name) {
            claim::give_up(&origin, target, &role(source, *is_mirror)).await;
        }
    }
}

async fn join(origins: &mut [Origin]) {
    let tasks = origins.iter_mut();
    let tasks: Vec<Task> = tasks.filter_map(|origin| origin.task.take()).collect();
    for task in &tasks {
        task.stop.cancel();
    }
    for task in tasks {
        if let Err(error) = task.handle.await {
            tracing::error!(%error, "a task that copies a stream has failed");
        }
    }
}
