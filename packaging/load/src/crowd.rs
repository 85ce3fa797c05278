//! Many receiving connections on one thread: a thread for each would spend the machine on switching between them.

use std::io::{Read, Write};
use std::sync::Barrier;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Error;
use crate::connection::{CHUNK_BYTES, Connection};
use crate::histogram::Histogram;
use crate::meter::Meter;
use crate::outcome::{ClientOutcome, Role};
use crate::skim::Skim;
use crate::websocket::Unframe;
use crate::work::subscriber::{Goal, LOOK};

struct Member {
    socket: TcpStream,
    unframe: Option<Unframe>,
    skim: Skim,
    messages: u64,
    end: Instant,
    is_done: bool,
}

/// Receives on all connections until each has what it waits for.
pub(crate) fn receive(
    connections: Vec<Connection>,
    goal: Goal,
    ready: &Barrier,
    meter: &Meter,
) -> Result<(Vec<ClientOutcome>, Histogram), Error> {
    let gathered = gather(connections);
    ready.wait();
    let (mut poll, mut members) = gathered?;
    let mut events = Events::with_capacity(members.len().clamp(64, 1024));
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut latencies = Histogram::default();
    let mut left = members.len();
    let mut last_heard = Instant::now();
    while left > 0 && !meter.is_stopped() {
        poll.poll(&mut events, Some(LOOK))?;
        if !events.is_empty() {
            last_heard = Instant::now();
        } else if goal.is_given_up(last_heard) {
            return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
        }
        for event in &events {
            let member = &mut members[event.token().0];
            let was_done = member.is_done;
            member.read(&mut buffer, goal, meter, &mut latencies)?;
            left -= usize::from(member.is_done && !was_done);
        }
    }
    let clients = members.iter().map(|member| ClientOutcome {
        role: Role::Subscriber,
        messages: member.messages,
        end: member.end,
    });
    Ok((clients.collect(), latencies))
}

fn gather(connections: Vec<Connection>) -> Result<(Poll, Vec<Member>), Error> {
    let poll = Poll::new()?;
    let mut members = Vec::with_capacity(connections.len());
    for (index, connection) in connections.into_iter().enumerate() {
        let mut skim = Skim::default();
        skim.feed(&connection.rest, |_| {})?;
        let stream = connection.stream;
        stream.carrier.socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(stream.carrier.socket);
        poll.registry()
            .register(&mut socket, Token(index), Interest::READABLE)?;
        members.push(Member {
            socket,
            unframe: stream.unframe,
            skim,
            messages: 0,
            end: Instant::now(),
            is_done: false,
        });
    }
    Ok((poll, members))
}

impl Member {
    fn read(
        &mut self,
        buffer: &mut [u8],
        goal: Goal,
        meter: &Meter,
        latencies: &mut Histogram,
    ) -> Result<(), Error> {
        loop {
            let read = match self.socket.read(buffer) {
                Ok(0) if self.is_done => return Ok(()),
                Ok(0) => return Err(Error::CutOff),
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let len = match &mut self.unframe {
                Some(unframe) => unframe.compact(&mut buffer[..read])?,
                None => read,
            };
            let seen = self
                .skim
                .feed(&buffer[..len], |age| latencies.record(age))?;
            if seen.messages > 0 {
                self.messages += seen.messages;
                self.end = Instant::now();
                meter.count_received(seen.messages);
            }
            if seen.pings > 0 && self.unframe.is_none() {
                self.socket.write_all(b"PONG\r\n")?;
            }
            self.is_done |= seen.ends > 0 || goal.is_reached(self.messages);
            if read < buffer.len() {
                // A short read has emptied the socket: the next event comes with the next bytes.
                return Ok(());
            }
        }
    }
}
