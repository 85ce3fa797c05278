//! The chat database: accounts, rooms, messages, read positions. SQLite in WAL mode.
//!
//! [`ChatDb`] is a cheap handle over one writer thread and a few reader threads. The writer takes whatever is waiting
//! into one transaction, each job in a savepoint of its own, and answers after the commit: a write that was answered
//! is on disk (`synchronous = FULL`). Readers have read-only connections and never wait for the writer.
//!
//! When a queue is full the caller waits. Each family of tables has one file here, with its SQL beside the functions.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction};
use tokio::sync::{mpsc, oneshot};

mod error;
mod migrate;
mod writer;

pub mod dead_letters;
pub mod messages;
pub mod read_receipts;
pub mod rooms;
pub mod sessions;
pub mod settings;
pub mod users;

pub use error::Error;

use writer::{Job, Request, TypedJob, Writer};

/// Read-only connections, each on a thread of its own.
const READERS: usize = 2;
/// Jobs waiting for one thread before callers wait.
const QUEUE_MAX: usize = 1024;
/// How long SQLite waits for another process (the command line beside a server) to let go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Page cache of the writer and of each reader, in KiB. The operating system's cache does the rest.
const WRITER_CACHE_KIB: i64 = 2048;
const READER_CACHE_KIB: i64 = 512;
/// Prepared statements kept per connection.
const STATEMENTS_MAX: usize = 64;

type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

/// A cheap handle to the chat database; clones share the same threads.
#[derive(Clone)]
pub struct ChatDb {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Mutex<Option<mpsc::Sender<Request>>>,
    readers: Mutex<Vec<mpsc::Sender<ReadJob>>>,
    next_reader: AtomicUsize,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl ChatDb {
    /// Opens the database file, creating it (mode 0600) and bringing it to today's shape where needed.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::NewerFormat`] and [`Error::Corrupt`] say what to do about it; the file is untouched.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || Self::open_blocking(&path))
            .await
            .map_err(|_| Error::Closed)?
    }

    fn open_blocking(path: &Path) -> Result<Self, Error> {
        let mut connection = open_writer(path)?;
        migrate::migrate(&mut connection, path)?;

        let mut threads = Vec::with_capacity(READERS + 1);
        let (writer, requests) = mpsc::channel(QUEUE_MAX);
        threads.push(spawn("chat-writer", path, move || {
            Writer::new(connection, requests).run()
        })?);
        let mut readers = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            let connection = open_reader(path)?;
            let (reader, jobs) = mpsc::channel(QUEUE_MAX);
            threads.push(spawn("chat-reader", path, move || {
                read_all(&connection, jobs)
            })?);
            readers.push(reader);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                writer: Mutex::new(Some(writer)),
                readers: Mutex::new(readers),
                next_reader: AtomicUsize::new(0),
                threads: Mutex::new(threads),
            }),
        })
    }

    /// Runs `job` in the writer's next transaction and answers after the commit.
    ///
    /// When `job` fails only its own changes are undone. Outcomes that a caller branches on belong into `T`.
    /// Waits while the queue is full; a caller that gives up does not stop a job that was queued.
    pub(crate) async fn write<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error> + Send + 'static,
    {
        let (job, answer) = TypedJob::new(job);
        self.request(Request::Job(Box::new(job) as Box<dyn Job>))
            .await?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Runs `job` on a read-only connection, which sees everything committed before.
    pub(crate) async fn read<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: ReadJob = Box::new(move |connection| {
            // A caller that stopped waiting needs no answer.
            let _ = reply.send(job(connection).map_err(Error::from));
        });
        let reader = self.next_reader().ok_or(Error::Closed)?;
        reader.send(job).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// A number that changes when another process (the command line beside a server) has written.
    ///
    /// # Errors
    /// [`Error::Closed`] after [`close`](Self::close).
    pub async fn data_version(&self) -> Result<u64, Error> {
        let (reply, answer) = oneshot::channel();
        self.request(Request::DataVersion(reply)).await?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Finishes what is queued and closes the file, for every clone of this handle.
    ///
    /// Later calls answer [`Error::Closed`].
    pub async fn close(self) {
        self.inner
            .writer
            .lock()
            .expect("no panic under this lock")
            .take();
        self.inner
            .readers
            .lock()
            .expect("no panic under this lock")
            .clear();
        let threads =
            std::mem::take(&mut *self.inner.threads.lock().expect("no panic under this lock"));
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a thread of the chat database had panicked");
                }
            }
        });
        let _ = joined.await;
    }

    async fn request(&self, request: Request) -> Result<(), Error> {
        let writer = self
            .inner
            .writer
            .lock()
            .expect("no panic under this lock")
            .clone();
        let writer = writer.ok_or(Error::Closed)?;
        writer.send(request).await.map_err(|_| Error::Closed)
    }

    fn next_reader(&self) -> Option<mpsc::Sender<ReadJob>> {
        let turn = self.inner.next_reader.fetch_add(1, Ordering::Relaxed);
        let readers = self.inner.readers.lock().expect("no panic under this lock");
        (!readers.is_empty()).then(|| readers[turn % readers.len()].clone())
    }
}

impl std::fmt::Debug for ChatDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChatDb")
    }
}

fn read_all(connection: &Connection, mut jobs: mpsc::Receiver<ReadJob>) {
    while let Some(job) = jobs.blocking_recv() {
        // A panicking job is a bug of its own caller, who hears `Closed`; the reader lives on.
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(connection)));
        if ran.is_err() {
            tracing::error!("a read of the chat database panicked");
        }
    }
}

fn open_writer(path: &Path) -> Result<Connection, Error> {
    create_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|source| open_error(path, source))?;
    configure(&connection, WRITER_CACHE_KIB)?;
    // The first statements that read the file: damage and missing rights show here.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

fn open_reader(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|source| open_error(path, source))?;
    configure(&connection, READER_CACHE_KIB)?;
    Ok(connection)
}

fn configure(connection: &Connection, cache_kib: i64) -> Result<(), Error> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Negative means KiB rather than pages.
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(())
}

/// SQLite would create the file with the umask's rights; password hashes deserve better.
fn create_private(path: &Path) -> Result<(), Error> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::CannotCreate {
            path: path.to_owned(),
            source: Arc::new(error),
        }),
    }
}

fn open_error(path: &Path, source: rusqlite::Error) -> Error {
    Error::Open {
        path: path.to_owned(),
        source: Arc::new(source),
    }
}

fn spawn(
    name: &str,
    path: &Path,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| Error::CannotCreate {
            path: path.to_owned(),
            source: Arc::new(error),
        })
}

#[cfg(test)]
mod tests;
