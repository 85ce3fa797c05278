//! Publishers that wait for acknowledgements, as stock clients do: so many in flight, answers to one inbox.

use std::io;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::api;
use super::frames::Frames;
use crate::server::Server;

/// What is published.
pub(super) const PAYLOAD_BYTES: usize = 128;

/// Publishing `messages` by each of `clients`, `in_flight` of them unanswered at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Publish {
    pub(super) clients: usize,
    pub(super) in_flight: u64,
    pub(super) subjects: usize,
    /// First tokens of the subjects: a number follows.
    pub(super) prefix: &'static str,
    pub(super) messages: u64,
}

impl Publish {
    /// From the first message to the last acknowledgement. Anything but an acknowledgement is an error.
    pub(super) fn run(&self, server: &Server) -> io::Result<Duration> {
        let ready = Barrier::new(self.clients + 1);
        std::thread::scope(|scope| {
            let publish = || {
                let frames = api::connect(server);
                ready.wait();
                self.publish(&mut frames?, |_| {})?;
                Ok::<_, io::Error>(Instant::now())
            };
            let clients: Vec<_> = (0..self.clients).map(|_| scope.spawn(publish)).collect();
            ready.wait();
            let start = Instant::now();
            let mut end = start;
            for client in clients {
                end = end.max(client.join().expect("a publisher does not panic")?);
            }
            Ok(end - start)
        })
    }

    /// One message after the other: how long each took until its acknowledgement.
    pub(super) fn latencies(&self, server: &Server) -> io::Result<Vec<Duration>> {
        let mut took = Vec::with_capacity(self.messages as usize);
        let mut last = Instant::now();
        self.publish(&mut api::connect(server)?, |now| {
            took.push(now - last);
            last = now;
        })?;
        Ok(took)
    }

    fn publish(
        &self,
        frames: &mut Frames,
        mut acknowledged: impl FnMut(Instant),
    ) -> io::Result<()> {
        let heads: Vec<Vec<u8>> = (0..self.subjects)
            .map(|number| format!("PUB {}{number} {}.", self.prefix, frames.inbox).into_bytes())
            .collect();
        let tail = format!(" {PAYLOAD_BYTES}\r\n{}\r\n", "x".repeat(PAYLOAD_BYTES));
        let mut out = Vec::new();
        let (mut sent, mut done) = (0, 0);
        while done < self.messages {
            out.clear();
            while sent < self.messages && sent - done < self.in_flight {
                out.extend_from_slice(&heads[sent as usize % heads.len()]);
                out.extend_from_slice(&token(sent));
                out.extend_from_slice(tail.as_bytes());
                sent += 1;
            }
            frames.send(&out)?;
            frames.fill()?;
            while let Some(answer) = frames.next()? {
                check(frames.payload(&answer))?;
                done += 1;
                acknowledged(Instant::now());
            }
        }
        Ok(())
    }
}

/// Eight hexadecimal digits: each message is answered on a subject of its own.
fn token(number: u64) -> [u8; 8] {
    std::array::from_fn(|index| b"0123456789abcdef"[(number >> (28 - 4 * index)) as usize & 15])
}

fn check(answer: &[u8]) -> io::Result<()> {
    if answer.starts_with(b"{\"stream\":") {
        return Ok(());
    }
    let text = String::from_utf8_lossy(answer).into_owned();
    Err(io::Error::other(format!("no acknowledgement: {text}")))
}
