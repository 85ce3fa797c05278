//! Writes a connection's output to a socket, everything that is ready at once.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::timeout;

use super::connection::{Connection, Take};
use super::outbound::OutQueue;
use crate::monitor::CloseReason;

/// Parts handed to one vectored write.
const SLICES_MAX: usize = 64;

/// Writes until the connection ends. A write that makes no progress for `write_deadline` makes it a slow consumer.
pub(crate) async fn run(
    connection: Arc<Connection>,
    mut io: OwnedWriteHalf,
    write_deadline: Duration,
) {
    let mut batch = OutQueue::default();
    let mut was_idle = false;
    loop {
        match connection.take(&mut batch) {
            Take::Done => break,
            Take::Nothing => {
                if was_idle {
                    // Woken for nothing: the connection gives its buffers back.
                    batch.release();
                }
                was_idle = true;
                connection.writer_wake.notified().await;
            }
            Take::Batch => {
                was_idle = false;
                if let Err(reason) =
                    write_all(&connection, &mut io, &mut batch, write_deadline).await
                {
                    connection.cut_off(reason);
                    break;
                }
                connection.touch(Instant::now());
                tokio::task::coop::consume_budget().await;
            }
        }
    }
    // The other end may be gone already.
    let _ = io.shutdown().await;
}

async fn write_all(
    connection: &Connection,
    io: &mut OwnedWriteHalf,
    batch: &mut OutQueue,
    write_deadline: Duration,
) -> Result<(), CloseReason> {
    while !batch.is_empty() {
        let written = {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = batch.slices(&mut slices);
            io.try_write_vectored(&slices[..count])
        };
        match written {
            Ok(0) => return Err(CloseReason::WriteError),
            Ok(len) => {
                batch.advance(len);
                if !connection.wrote(len) {
                    return Err(CloseReason::WriteError);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let ready = async {
                    tokio::select! {
                        ready = io.writable() => ready,
                        () = connection.writer_wake.notified() => Ok(()),
                    }
                };
                match timeout(write_deadline, ready).await {
                    Ok(Ok(())) if connection.is_cut_off() => return Err(CloseReason::WriteError),
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(CloseReason::WriteError),
                    Err(_elapsed) => return Err(CloseReason::SlowConsumerWriteDeadline),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(CloseReason::WriteError),
        }
    }
    Ok(())
}
