//! The task of one consumer: reads what its machine wants and sends what the machine says.
//!
//! One turn of the driver looks at what came in, delivers what can be delivered, and hands all of it over together: one
//! lock and one wake-up per receiver. Between turns it waits for whatever could change that: mail, new messages, interest,
//! time, room at a receiver, or the end of a save. The machine's lock is held for a few dozen messages at a time, so that
//! acknowledgements get in between.

use std::collections::VecDeque;
use std::sync::Arc;

use storage::stream::{ReadLimit, Reader, ReaderStart, Sequence, StoredMessage, SubjectPattern};
use tokio::time::{Instant, sleep_until};

use super::advisory::Notice;
use super::handle::{Consumer, End};
use super::machine::{Demand, Effects, Offer};
use super::outlet::{Frame, Outlet, Taken};
use super::retention::Siblings;
use super::rules::Mode;
use super::saver::Saver;
use super::status::{Left, Status};
use crate::account::Account;
use crate::interest::watch::Watch;
use crate::router::Router;
use crate::session::connection::Connection;

/// Messages offered under one lock of the machine.
const CHUNK: usize = 64;
/// Most bytes of one read.
const READ_BYTES: usize = 1 << 20;
/// Redeliveries of one turn.
const REDELIVERIES: usize = 64;

/// How a driver came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was told to.
    Told(End),
    /// Nobody has used the consumer for too long.
    Abandoned,
    /// The stream closed or cannot be read any more.
    Closed,
}

/// What a turn came to.
#[derive(Debug, Default)]
struct Turn {
    /// Something was delivered: there may be more.
    delivered: bool,
    /// A receiver has enough waiting.
    busy: bool,
    /// New messages could be delivered if there were any.
    wants_new: bool,
}

pub(super) struct Driver {
    consumer: Arc<Consumer>,
    siblings: Siblings,
    account: Arc<Account>,
    router: Router,
    reader: Reader,
    /// Read and not delivered yet, and whether it may have been removed from the stream meanwhile.
    ahead: VecDeque<StoredMessage>,
    is_stale: bool,
    saver: Saver,
    watch: Option<Watch>,
}

/// The patterns of a configuration's filters.
pub(super) fn patterns(consumer: &Consumer) -> Vec<SubjectPattern> {
    let config = consumer.config();
    config.filters().filter_map(SubjectPattern::parse).collect()
}

impl Driver {
    pub(super) fn new(
        consumer: Arc<Consumer>,
        siblings: Siblings,
        account: Arc<Account>,
        reader: Reader,
        saver: Saver,
    ) -> Self {
        Self {
            router: Router::paced(account.clone()),
            consumer,
            siblings,
            account,
            reader,
            ahead: VecDeque::new(),
            is_stale: false,
            saver,
            watch: None,
        }
    }

    /// Serves until the consumer ends.
    pub(super) async fn run(mut self) -> Ended {
        self.look_at_interest();
        let ended = loop {
            if self.consumer.stop.is_cancelled() {
                break Ended::Told(self.consumer.how_it_ends());
            }
            let turn = match self.turn().await {
                Ok(turn) => turn,
                Err(storage::Error::Closed) => break Ended::Closed,
                Err(error) => {
                    tracing::error!(consumer = ?self.consumer, %error, "a consumer cannot read its stream");
                    break Ended::Closed;
                }
            };
            if self.is_abandoned() {
                break Ended::Abandoned;
            }
            if turn.delivered {
                tokio::task::yield_now().await;
            } else {
                self.wait(&turn).await;
            }
        };
        self.finish(ended).await;
        ended
    }

    fn unread(&self) -> u64 {
        self.reader.pending() + self.ahead.len() as u64
    }

    /// Does what can be done now.
    async fn turn(&mut self) -> Result<Turn, storage::Error> {
        let consumer = self.consumer.clone();
        if consumer.take_reopens() {
            self.reopen();
        }
        for answer in consumer.take_asking() {
            self.forget_vanished();
            let unread = self.unread();
            self.drop_silent();
            // Whoever asked may be gone.
            let _ = answer.send(consumer.info_with(unread));
        }
        let now = consumer.now();
        let demand = {
            let has_arrivals = !consumer.machine().arrivals.is_empty();
            let unread = if has_arrivals { self.unread() } else { 0 };
            let mut machine = consumer.machine();
            let mut outlet = Gate(&mut self.router);
            machine.admit(now, unread, &mut outlet);
            machine.tick(now, &mut outlet);
            machine.demand(now)
        };
        let mut turn = Turn::default();
        if demand.redeliveries {
            self.redeliver(&mut turn).await?;
        }
        if demand.new > 0 && !turn.busy {
            self.deliver_new(demand, &mut turn).await?;
        }
        if !turn.delivered && !turn.busy {
            let mut machine = consumer.machine();
            machine.exhaust(&mut Gate(&mut self.router));
        }
        self.settle();
        self.router.flush();
        Ok(turn)
    }

    async fn redeliver(&mut self, turn: &mut Turn) -> Result<(), storage::Error> {
        let sequences = self.consumer.machine().redeliveries(REDELIVERIES);
        let to_come = self.unread();
        for sequence in sequences {
            let message = self.consumer.stream.message(Sequence(sequence)).await?;
            let now = self.consumer.now();
            let mut machine = self.consumer.machine();
            let Some(message) = message else {
                machine.vanished(now, sequence);
                turn.delivered = true;
                continue;
            };
            match machine.redeliver(now, &message, to_come, &mut Gate(&mut self.router)) {
                Offer::Taken => turn.delivered = true,
                Offer::Dropped => {}
                Offer::Kept => return Ok(()),
                Offer::Busy => {
                    turn.busy = true;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn deliver_new(&mut self, demand: Demand, turn: &mut Turn) -> Result<(), storage::Error> {
        if self.ahead.is_empty() {
            let limit = ReadLimit {
                messages: usize::try_from(demand.new).unwrap_or(usize::MAX),
                bytes: READ_BYTES,
            };
            self.ahead = self.reader.next(limit).await?.into();
            self.is_stale = false;
        }
        turn.wants_new = self.ahead.is_empty();
        let behind = if turn.wants_new {
            0
        } else {
            self.reader.pending()
        };
        while !self.ahead.is_empty() {
            let result = self.offer_chunk(behind, turn);
            if self.router.is_full() {
                self.router.flush();
            }
            match result {
                Offer::Taken => {}
                Offer::Busy => {
                    turn.busy = true;
                    break;
                }
                Offer::Kept | Offer::Dropped => break,
            }
        }
        // What stays is offered again in a later turn; it may be gone from the stream by then.
        self.is_stale = true;
        Ok(())
    }

    /// Offers a few messages under one lock. [`Offer::Taken`]: go on.
    fn offer_chunk(&mut self, behind: u64, turn: &mut Turn) -> Offer {
        let now = self.consumer.now();
        let mut machine = self.consumer.machine();
        for _ in 0..CHUNK {
            let Some(message) = self.ahead.front() else {
                break;
            };
            if self.is_stale && !self.reader.holds(message.sequence) {
                self.ahead.pop_front();
                continue;
            }
            let to_come = behind + self.ahead.len() as u64 - 1;
            match machine.offer(now, message, to_come, &mut Gate(&mut self.router)) {
                Offer::Taken => turn.delivered = true,
                Offer::Dropped => {}
                stop => return stop,
            }
            self.ahead.pop_front();
            if self.router.is_full() {
                break;
            }
        }
        Offer::Taken
    }

    /// Tells what happened and starts to save what must be saved.
    fn settle(&mut self) {
        let Effects {
            events,
            settled,
            confirmations,
            is_dirty,
        } = self.consumer.machine().take_effects();
        for event in &events {
            self.consumer.about.tell(Notice::Of(event));
        }
        let removable = self.siblings.unneeded(&self.consumer, &settled);
        self.saver.note(removable, confirmations, is_dirty);
        for reply in self.saver.start(&self.consumer) {
            self.confirm(&reply);
        }
    }

    fn confirm(&mut self, reply: &[u8]) {
        self.router.collect(reply, b"", &bytes::Bytes::new());
    }

    /// Waits until something may have changed.
    async fn wait(&mut self, turn: &Turn) {
        let now = self.consumer.now();
        let next = self.consumer.machine().next_event(now);
        let next = [next, self.saver.next_start()].into_iter().flatten().min();
        let far = || Instant::now() + std::time::Duration::from_secs(3600);
        let at = next.map_or_else(far, |at| self.consumer.clock.instant(at));
        let busy = turn.busy.then(|| self.router.busy_receiver()).flatten();
        let mut saved = None;
        tokio::select! {
            biased;
            () = self.consumer.stop.cancelled() => {}
            () = self.consumer.wake.notified() => {}
            result = self.saver.done() => saved = Some(result),
            () = self.reader.changed(), if turn.wants_new => {}
            () = interest(self.watch.as_ref()) => self.look_at_interest(),
            () = room(busy), if turn.busy => {}
            () = sleep_until(at) => {}
        }
        if let Some(confirmed) = saved {
            for reply in confirmed {
                self.confirm(&reply);
            }
        }
    }

    /// Push: notes whether somebody listens.
    fn look_at_interest(&mut self) {
        let consumer = self.consumer.clone();
        let mut machine = consumer.machine();
        let Mode::Push(push) = &machine.rules().mode else {
            return;
        };
        if self.watch.is_none() {
            self.watch = Some(self.account.watch(&push.deliver_subject));
        }
        let group = push.deliver_group.as_deref();
        let is_active = self.account.has_interest(&push.deliver_subject, group);
        machine.set_interest(consumer.now(), is_active);
    }

    /// The configuration or the place changed: reads on behind what was delivered, with the filters of now.
    fn reopen(&mut self) {
        let delivered = self.consumer.machine().delivered().stream;
        let start = ReaderStart::Sequence(Sequence(delivered).next());
        self.reader = self.consumer.stream.reader(patterns(&self.consumer), start);
        self.ahead.clear();
        self.watch = None;
        self.look_at_interest();
    }

    fn drop_silent(&mut self) {
        let mut machine = self.consumer.machine();
        machine.drop_silent(&mut Gate(&mut self.router));
    }

    fn forget_vanished(&mut self) {
        let (reader, now) = (&self.reader, self.consumer.now());
        let mut machine = self.consumer.machine();
        machine.forget_vanished(now, |sequence| reader.holds(Sequence(sequence)));
        drop(machine);
        self.ahead.retain(|message| reader.holds(message.sequence));
    }

    fn is_abandoned(&mut self) -> bool {
        let now = self.consumer.now();
        let mut machine = self.consumer.machine();
        machine.is_abandoned(now, &mut Gate(&mut self.router))
    }

    /// Tells those who wait, and saves what is not saved yet.
    async fn finish(&mut self, ended: Ended) {
        let status: fn(Left) -> Status = match ended {
            Ended::Told(End::Shutdown) | Ended::Closed => Status::ServerShutdown,
            Ended::Told(End::Deleted) | Ended::Abandoned => |_| Status::ConsumerDeleted,
        };
        self.consumer
            .machine()
            .end_requests(status, &mut Gate(&mut self.router));
        self.settle();
        self.router.flush();
        if matches!(ended, Ended::Told(End::Shutdown)) {
            for reply in self.saver.finish(&self.consumer).await {
                self.confirm(&reply);
            }
            self.router.flush();
        }
    }
}

async fn interest(watch: Option<&Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

async fn room(receiver: Option<Arc<Connection>>) {
    if let Some(receiver) = receiver {
        receiver.room().await;
    } else {
        // It has room again already, or it is a queue inside the process: look again in a moment.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// The router as the machine sees it.
struct Gate<'a>(&'a mut Router);

impl Outlet for Gate<'_> {
    fn deliver(&mut self, to: &[u8], frame: &Frame<'_>) -> Taken {
        self.0.deliver_as(to, frame)
    }

    fn status(&mut self, to: &[u8], reply: &[u8], headers: &[u8]) {
        self.0
            .collect_with_reply(to, reply, headers, &bytes::Bytes::new());
    }

    fn has_interest(&mut self, subject: &[u8]) -> bool {
        self.0.has_interest(subject)
    }

    fn token(&mut self, len: usize) -> String {
        super::token(len)
    }
}
