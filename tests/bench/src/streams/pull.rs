//! A pull consumer that fetches batch after batch.

use std::fmt::Write;
use std::io;
use std::time::{Duration, Instant};

use super::api;
use crate::server::Server;

const CONSUMER: &str = "reader";

/// Fetches all of a stream's messages in batches; `ack_policy` `explicit` acknowledges each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pull {
    pub(super) batch: u64,
    pub(super) messages: u64,
    pub(super) ack_policy: &'static str,
}

impl Pull {
    /// From the first request until everything was read and, with acknowledgements, the server has taken the last one.
    pub(super) fn run(&self, server: &Server, stream: &str) -> io::Result<Duration> {
        let mut frames = api::connect(server)?;
        let Self {
            batch, ack_policy, ..
        } = self;
        let config = format!(
            r#"{{"stream_name":"{stream}","config":{{"name":"{CONSUMER}","durable_name":"{CONSUMER}","deliver_policy":"all","ack_policy":"{ack_policy}","replay_policy":"instant"}}}}"#
        );
        api::call(
            &mut frames,
            &format!("CONSUMER.CREATE.{stream}.{CONSUMER}"),
            &config,
        )?;
        let inbox = frames.inbox.clone();
        let body = format!(r#"{{"batch":{batch},"expires":20000000000}}"#);
        let request = format!(
            "PUB $JS.API.CONSUMER.MSG.NEXT.{stream}.{CONSUMER} {inbox}.next {}\r\n{body}\r\n",
            body.len()
        );
        let last_ack = format!(" {inbox}.ack");
        let acknowledge = *ack_policy == "explicit";
        let start = Instant::now();
        let (mut read, mut acks) = (0, String::new());
        while read < self.messages {
            frames.send(request.as_bytes())?;
            let wanted = (self.messages - read).min(*batch);
            let mut got = 0;
            while got < wanted {
                acks.clear();
                while let Some(message) = frames.next()? {
                    if let Some(status) = frames.status(&message) {
                        let status = String::from_utf8_lossy(status).into_owned();
                        return Err(io::Error::other(format!("status {status}")));
                    }
                    got += 1;
                    if acknowledge {
                        let reply = String::from_utf8_lossy(frames.reply(&message));
                        // The last one asks for a confirmation.
                        let confirm = match read + got == self.messages {
                            true => last_ack.as_str(),
                            false => "",
                        };
                        let _ = write!(acks, "PUB {reply}{confirm} 4\r\n+ACK\r\n");
                    }
                }
                frames.send(acks.as_bytes())?;
                if got < wanted {
                    frames.fill()?;
                }
            }
            read += got;
        }
        if acknowledge {
            frames.wait()?;
        }
        let took = start.elapsed();
        let name = format!("{stream}.{CONSUMER}");
        let left = api::info(&mut frames, "CONSUMER", &name, "num_pending")?
            + api::info(&mut frames, "CONSUMER", &name, "num_ack_pending")?;
        api::call(&mut frames, &format!("CONSUMER.DELETE.{name}"), "")?;
        match left {
            0 => Ok(took),
            left => Err(io::Error::other(format!("{left} messages are left"))),
        }
    }
}
