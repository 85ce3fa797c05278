//! What crosses a link, and what does not.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::{Client, HeaderMap, RequestErrorKind, Subscriber};
use futures_util::StreamExt;
use harness::{PATIENCE, eventually};

use crate::cable::Cable;
use crate::site::{Kind, PAIRS, Plan, Site};

/// Hub and edge with a link that is up.
async fn pair((hub, edge): (Kind, Kind)) -> (Site, Site) {
    let hub = Site::start(hub, Plan::hub("HUB")).await;
    let edge = Site::start(edge, Plan::edge("EDGE", hub.leaves())).await;
    (hub, edge)
}

pub(crate) async fn next(subscriber: &mut Subscriber) -> async_nats::Message {
    let next = tokio::time::timeout(PATIENCE, subscriber.next()).await;
    next.expect("a message comes")
        .expect("the subscription is open")
}

/// Nothing more has come, once everything sent before has been handled on both sides.
async fn is_silent(subscriber: &mut Subscriber) -> bool {
    tokio::time::timeout(Duration::from_millis(50), subscriber.next())
        .await
        .is_err()
}

/// Answers on `subject` and waits until the other client's requests arrive there.
pub(crate) async fn answer_beyond(near: &Client, far: &Client, subject: &'static str) {
    let mut requests = far.subscribe(subject).await.unwrap();
    far.flush().await.unwrap();
    let far = far.clone();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            if let Some(reply) = request.reply {
                far.publish(reply, request.payload).await.unwrap();
            }
        }
    });
    until_answered(near, subject).await;
}

pub(crate) async fn until_answered(near: &Client, subject: &'static str) {
    eventually("requests are answered beyond the link", || async {
        near.request(subject, "ping".into()).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_cross_both_ways_with_headers_and_answers() {
    for pair_of in PAIRS {
        let (hub, edge) = pair(pair_of).await;
        let (at_hub, at_edge) = (hub.client().await, edge.client().await);
        answer_beyond(&at_edge, &at_hub, "hub.echo").await;
        answer_beyond(&at_hub, &at_edge, "edge.echo").await;
        let mut all = at_hub.subscribe("data.*.x").await.unwrap();
        let mut same = at_hub.subscribe("data.>").await.unwrap();
        at_hub.flush().await.unwrap();
        until_answered(&at_edge, "hub.echo").await;
        let mut headers = HeaderMap::new();
        headers.insert("Colour", "green");
        at_edge
            .publish_with_headers("data.1.x", headers, "hello".into())
            .await
            .unwrap();
        for subscriber in [&mut all, &mut same] {
            let message = next(subscriber).await;
            assert_eq!(&message.payload[..], b"hello", "{pair_of:?}");
            let headers = message.headers.expect("headers cross");
            assert_eq!(headers.get("Colour").unwrap().as_str(), "green");
            assert!(is_silent(subscriber).await, "one copy: {pair_of:?}");
        }
        let large = vec![b'x'; 300_000];
        at_edge
            .publish("data.2.x", large.clone().into())
            .await
            .unwrap();
        assert_eq!(next(&mut all).await.payload.len(), large.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_where_nobody_answers_is_told_so() {
    for pair_of in PAIRS {
        let (hub, edge) = pair(pair_of).await;
        let (at_hub, at_edge) = (hub.client().await, edge.client().await);
        answer_beyond(&at_edge, &at_hub, "hub.echo").await;
        let mut service = at_hub.subscribe("service").await.unwrap();
        at_hub.flush().await.unwrap();
        let asking = at_edge.clone();
        let asked = tokio::spawn(async move { asking.request("service", "?".into()).await });
        let request = eventually_request(&mut service, &at_edge).await;
        at_hub
            .publish(request.reply.unwrap(), "!".into())
            .await
            .unwrap();
        drop(asked);
        service.unsubscribe().await.unwrap();
        at_hub.flush().await.unwrap();
        // The interest has gone on this side too.
        eventually("nobody answers any more", || async {
            let asked = at_edge.request("service", "?".into()).await;
            matches!(asked, Err(error) if error.kind() == RequestErrorKind::NoResponders)
                .then_some(())
        })
        .await;
    }
}

/// The first request that arrives; asked again, because the interest may not have crossed yet.
async fn eventually_request(service: &mut Subscriber, from: &Client) -> async_nats::Message {
    loop {
        from.publish_with_reply("service", "nowhere.yet", "?".into())
            .await
            .unwrap();
        let next = tokio::time::timeout(Duration::from_millis(50), service.next()).await;
        if let Ok(Some(message)) = next {
            return message;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn items_112_and_125_a_queue_group_spans_the_link() {
    for pair_of in PAIRS {
        let (hub, edge) = pair(pair_of).await;
        let (at_hub, at_edge) = (hub.client().await, edge.client().await);
        answer_beyond(&at_edge, &at_hub, "hub.echo").await;
        answer_beyond(&at_hub, &at_edge, "edge.echo").await;
        let mut beyond = at_hub.queue_subscribe("work", "g".into()).await.unwrap();
        let mut plain = at_hub.subscribe("work").await.unwrap();
        at_hub.flush().await.unwrap();
        until_answered(&at_edge, "hub.echo").await;
        for number in 0..20 {
            at_edge
                .publish("work", number.to_string().into())
                .await
                .unwrap();
        }
        for _ in 0..20 {
            next(&mut beyond).await;
            next(&mut plain).await;
        }
        // A member on the publisher's side has all of them to itself.
        let mut near = at_edge.queue_subscribe("work", "g".into()).await.unwrap();
        at_edge.flush().await.unwrap();
        for number in 0..20 {
            at_edge
                .publish("work", number.to_string().into())
                .await
                .unwrap();
        }
        for _ in 0..20 {
            next(&mut near).await;
            next(&mut plain).await;
        }
        assert!(is_silent(&mut beyond).await, "{pair_of:?}");
        assert!(is_silent(&mut near).await, "{pair_of:?}");
        near.unsubscribe().await.unwrap();
        at_edge.flush().await.unwrap();
        at_edge.publish("work", "last".into()).await.unwrap();
        assert_eq!(&next(&mut beyond).await.payload[..], b"last");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_of_one_hub_reach_each_other() {
    for (hub_kind, kind) in PAIRS {
        let hub = Site::start(hub_kind, Plan::hub("HUB")).await;
        let one = Site::start(kind, Plan::edge("ONE", hub.leaves())).await;
        let two = Site::start(Kind::Ours, Plan::edge("TWO", hub.leaves())).await;
        let (at_one, at_two) = (one.client().await, two.client().await);
        answer_beyond(&at_one, &at_two, "two.echo").await;
        answer_beyond(&at_two, &at_one, "one.echo").await;
        let mut all = at_two.subscribe("news.>").await.unwrap();
        let mut group = at_two.queue_subscribe("news.*", "g".into()).await.unwrap();
        at_two.flush().await.unwrap();
        until_answered(&at_one, "two.echo").await;
        at_one.publish("news.1", "x".into()).await.unwrap();
        next(&mut all).await;
        next(&mut group).await;
        assert!(is_silent(&mut all).await && is_silent(&mut group).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_link_comes_back_and_nothing_arrives_twice() {
    for (hub_kind, edge_kind) in PAIRS {
        let hub = Site::start(hub_kind, Plan::hub("HUB")).await;
        let cable = Cable::to(hub.leaves()).await;
        let edge = Site::start(edge_kind, Plan::edge("EDGE", cable.address)).await;
        let (at_hub, at_edge) = (hub.client().await, edge.client().await);
        let (down, up) = (
            flow(&at_hub, &at_edge, "down"),
            flow(&at_edge, &at_hub, "up"),
        );
        let (mut down, mut up) = tokio::join!(down, up);
        for _ in 0..3 {
            down.more().await;
            up.more().await;
            cable.cut();
            cable.mend();
        }
        down.more().await;
        up.more().await;
        for flow in [down, up] {
            let counts = flow.stop().await;
            assert!(counts.values().all(|count| *count == 1), "{counts:?}");
        }
    }
}

/// Numbers that one client sends to another one, without a pause.
struct Flow {
    seen: tokio::sync::watch::Receiver<u64>,
    stop: tokio::sync::watch::Sender<bool>,
    counted: tokio::task::JoinHandle<BTreeMap<u64, u32>>,
}

async fn flow(from: &Client, to: &Client, subject: &'static str) -> Flow {
    let mut numbers = to.subscribe(subject).await.unwrap();
    to.flush().await.unwrap();
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let (count, seen) = tokio::sync::watch::channel(0);
    let from = from.clone();
    let mut sending = stopped.clone();
    tokio::spawn(async move {
        for number in 0_u64.. {
            from.publish(subject, number.to_string().into())
                .await
                .unwrap();
            if number % 16 == 0 {
                from.flush().await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if *sending.borrow_and_update() {
                return;
            }
        }
    });
    let counted = tokio::spawn(async move {
        let mut counts = BTreeMap::new();
        let mut last = None;
        loop {
            let message = tokio::select! {
                message = numbers.next() => message.unwrap(),
                _ = stopped.wait_for(|stop| *stop) => return counts,
            };
            let number: u64 = std::str::from_utf8(&message.payload)
                .unwrap()
                .parse()
                .unwrap();
            assert!(last.is_none_or(|last| last < number), "in order");
            last = Some(number);
            *counts.entry(number).or_insert(0) += 1;
            count.send_modify(|count| *count += 1);
        }
    });
    Flow {
        seen,
        stop,
        counted,
    }
}

impl Flow {
    /// Waits for many numbers more.
    async fn more(&mut self) {
        let before = *self.seen.borrow();
        let more = self.seen.wait_for(|seen| *seen > before + 500);
        let more = tokio::time::timeout(PATIENCE, more).await;
        more.expect("numbers arrive").expect("the flow goes on");
    }

    async fn stop(self) -> BTreeMap<u64, u32> {
        self.stop.send_replace(true);
        self.counted.await.unwrap()
    }
}
