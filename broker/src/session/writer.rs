//! Writes a connection's output to a socket, everything that is ready at once.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::connection::{Connection, Take};
use super::outbound::OutQueue;
use crate::monitor::CloseReason;

/// Parts handed to one vectored write.
const SLICES_MAX: usize = 64;

/// Where a connection's bytes go: a socket, perhaps with TLS or WebSocket frames around it.
pub(crate) trait Output: Send + 'static {
    /// Takes what it can of the slices without waiting; `WouldBlock` when that is nothing. What was taken may still be on
    /// its way until [`Output::try_flush`] succeeds.
    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Gets out what was taken, and what it has to say of its own, without waiting. A bare socket keeps nothing back.
    fn try_flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Resolves when trying again may get further.
    fn writable(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Prepares last words, such as why it ends; they are flushed before [`Output::shutdown`].
    fn farewell(&mut self, reason: CloseReason) {
        let _ = reason;
    }

    /// Ends the stream.
    fn shutdown(&mut self) -> impl Future<Output = ()> + Send;

    /// Gives back buffers; nothing is waiting.
    fn release(&mut self) {}
}

/// Writes until the connection ends. A write that makes no progress for `write_deadline` makes it a slow consumer.
pub(crate) async fn run<O: Output>(
    connection: Arc<Connection>,
    mut output: O,
    write_deadline: Duration,
) {
    let mut batch = OutQueue::default();
    let mut was_idle = false;
    loop {
        match connection.take(&mut batch) {
            Take::Done => break,
            Take::Nothing => {
                // Woken without output: something of the transport's own may have to go out.
                if let Err(reason) = flush(&connection, &mut output, write_deadline).await {
                    connection.cut_off(reason);
                    break;
                }
                if was_idle {
                    // Woken for nothing: the connection gives its buffers back.
                    batch.release();
                    output.release();
                }
                was_idle = true;
                connection.writer_wake.notified().await;
            }
            Take::Batch => {
                was_idle = false;
                if let Err(reason) =
                    write_all(&connection, &mut output, &mut batch, write_deadline).await
                {
                    connection.cut_off(reason);
                    break;
                }
                connection.touch(Instant::now());
                tokio::task::coop::consume_budget().await;
            }
        }
    }
    let reason = connection.close_reason();
    output.farewell(reason.unwrap_or(CloseReason::ClientClosed));
    // The other end may be gone already.
    let _ = timeout(write_deadline, end(&mut output)).await;
}

async fn write_all<O: Output>(
    connection: &Connection,
    output: &mut O,
    batch: &mut OutQueue,
    write_deadline: Duration,
) -> Result<(), CloseReason> {
    while !batch.is_empty() {
        let written = {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = batch.slices(&mut slices);
            output.try_write(&slices[..count])
        };
        match written {
            Ok(0) => return Err(CloseReason::WriteError),
            Ok(len) => {
                batch.advance(len);
                if !connection.wrote(len) {
                    return Err(CloseReason::WriteError);
                }
            }
            Err(error) => retry(connection, output, &error, write_deadline).await?,
        }
    }
    flush(connection, output, write_deadline).await
}

async fn flush<O: Output>(
    connection: &Connection,
    output: &mut O,
    write_deadline: Duration,
) -> Result<(), CloseReason> {
    while let Err(error) = output.try_flush() {
        retry(connection, output, &error, write_deadline).await?;
    }
    Ok(())
}

/// Waits until it is worth trying again. Whoever cuts the connection off ends the wait.
async fn retry<O: Output>(
    connection: &Connection,
    output: &mut O,
    error: &io::Error,
    write_deadline: Duration,
) -> Result<(), CloseReason> {
    match error.kind() {
        io::ErrorKind::WouldBlock => {}
        io::ErrorKind::Interrupted => return Ok(()),
        _ => return Err(CloseReason::WriteError),
    }
    let ready = async {
        tokio::select! {
            ready = output.writable() => ready,
            () = connection.writer_wake.notified() => Ok(()),
        }
    };
    match timeout(write_deadline, ready).await {
        Ok(Ok(())) if connection.is_cut_off() => Err(CloseReason::WriteError),
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(CloseReason::WriteError),
        Err(_elapsed) => Err(CloseReason::SlowConsumerWriteDeadline),
    }
}

async fn end<O: Output>(output: &mut O) {
    while let Err(error) = output.try_flush() {
        let may_go_on = matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
        );
        if !may_go_on || output.writable().await.is_err() {
            return;
        }
    }
    output.shutdown().await;
}
