//! The one thread that writes: whatever waits shares one transaction and one fsync.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::Error;

/// Jobs in one transaction.
const BATCH_MAX: usize = 256;

/// What the writer thread is asked to do.
pub(super) enum Request {
    Job(Box<dyn Job>),
    DataVersion(oneshot::Sender<Result<u64, Error>>),
}

/// A job whose result type is forgotten until it is answered.
pub(super) trait Job: Send {
    /// Runs once; `false` means that its changes are to be undone.
    fn run(&mut self, transaction: &Transaction<'_>) -> bool;
    /// Tells the caller, once the fate of the batch is known.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

/// A job with its result and the way back to its caller.
pub(super) struct TypedJob<T, F> {
    job: Option<F>,
    result: Result<T, Error>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> TypedJob<T, F> {
    pub(super) fn new(job: F) -> (Self, oneshot::Receiver<Result<T, Error>>) {
        let (reply, answer) = oneshot::channel();
        // The result stays `Closed` when the job never ran or panicked.
        let job = Self {
            job: Some(job),
            result: Err(Error::Closed),
            reply,
        };
        (job, answer)
    }
}

impl<T, F> Job for TypedJob<T, F>
where
    T: Send,
    F: FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error> + Send,
{
    fn run(&mut self, transaction: &Transaction<'_>) -> bool {
        let Some(job) = self.job.take() else {
            return false;
        };
        self.result = job(transaction).map_err(Error::from);
        self.result.is_ok()
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        // A caller that stopped waiting needs no answer.
        let _ = self.reply.send(match committed {
            Ok(()) => self.result,
            Err(error) => Err(error),
        });
    }
}

/// Owner of the only connection that writes.
pub(super) struct Writer {
    connection: Connection,
    requests: mpsc::Receiver<Request>,
}

impl Writer {
    pub(super) fn new(connection: Connection, requests: mpsc::Receiver<Request>) -> Self {
        Self {
            connection,
            requests,
        }
    }

    /// Runs until every handle is gone and the queue is empty.
    pub(super) fn run(mut self) {
        let mut waiting = Vec::with_capacity(BATCH_MAX);
        let mut jobs = Vec::with_capacity(BATCH_MAX);
        while self.requests.blocking_recv_many(&mut waiting, BATCH_MAX) > 0 {
            for request in waiting.drain(..) {
                match request {
                    Request::Job(job) => jobs.push(job),
                    Request::DataVersion(reply) => {
                        let _ = reply.send(self.data_version());
                    }
                }
            }
            if !jobs.is_empty() {
                let committed = self.commit(&mut jobs);
                for job in jobs.drain(..) {
                    job.answer(committed.clone());
                }
            }
        }
    }

    fn commit(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), Error> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        for job in jobs {
            run_in_savepoint(&transaction, job.as_mut())?;
        }
        transaction.commit().map_err(Error::from)
    }

    /// SQLite changes this number for commits of other connections only, and the writer is the only one that commits.
    fn data_version(&self) -> Result<u64, Error> {
        let version: i64 = self
            .connection
            .pragma_query_value(None, "data_version", |row| row.get(0))?;
        Ok(version.unsigned_abs())
    }
}

fn run_in_savepoint(transaction: &Transaction<'_>, job: &mut dyn Job) -> Result<(), Error> {
    execute(transaction, "SAVEPOINT job")?;
    let kept = catch_unwind(AssertUnwindSafe(|| job.run(transaction))).unwrap_or_else(|_| {
        tracing::error!("a write to the chat database panicked");
        false
    });
    // A full disk or an I/O error makes SQLite undo the whole transaction by itself; then there is no savepoint left
    // and the batch fails as one.
    if !kept {
        execute(transaction, "ROLLBACK TO job")?;
    }
    execute(transaction, "RELEASE job")
}

fn execute(transaction: &Transaction<'_>, sql: &str) -> Result<(), Error> {
    transaction.prepare_cached(sql)?.execute([])?;
    Ok(())
}
