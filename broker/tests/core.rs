//! The core protocol on a real socket, one test per documented behaviour of nats-server.

mod support;

use std::time::Duration;

use broker::{Config, Identity, Limits};
use support::{Raw, eventually, open_server};

#[tokio::test]
async fn item_01_connect_without_options_is_verbose_and_pedantic() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::open(addr).await;
    raw.send("CONNECT {}\r\nSUB a 1\r\nPUB a.* 0\r\n\r\n").await;
    raw.expect("+OK\r\n+OK\r\n-ERR 'Invalid Publish Subject'\r\n+OK\r\n")
        .await;
}

#[tokio::test]
async fn item_02_ping_before_connect_is_answered_without_authentication() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::open(addr).await;
    raw.send("PING\r\n").await;
    raw.expect("PONG\r\n").await;
}

#[tokio::test]
async fn items_03_and_04_the_second_info_follows_the_first_pong() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::connect(addr, r#""verbose":false,"protocol":1"#).await;
    let info = raw.line().await;
    assert!(
        info.contains(r#""connect_info":true"#) && info.contains(r#""remote_account":"A""#),
        "{info}"
    );
    raw.expect_quiet().await;
    let mut old = Raw::connect(addr, r#""verbose":false,"protocol":0"#).await;
    old.expect_quiet().await;
}

#[tokio::test]
async fn items_05_and_06_verbs_in_any_case_end_at_lf() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::connect(addr, r#""verbose":false"#).await;
    raw.send("ping\nPING anything\r\nsub a 1\npub a 2\r\nhi\r\n")
        .await;
    raw.expect("PONG\r\nPONG\r\nMSG a 1 2\r\nhi\r\n").await;
}

#[tokio::test]
async fn item_07_wrong_argument_counts_close_without_a_word() {
    let (_server, addr) = open_server(Config::default()).await;
    for op in [
        "PUB a\r\n",
        "SUB a\r\n",
        "UNSUB 1 2 3\r\n",
        "PUB a b c 1\r\n",
        "CONNECT x\r\n",
    ] {
        let mut raw = Raw::connect(addr, r#""verbose":false"#).await;
        raw.send(op).await;
        raw.expect_closed("").await;
    }
}

#[tokio::test]
async fn items_08_and_09_payload_limit_counts_headers_and_acts_at_once() {
    let limits = Limits {
        payload_bytes_max: 10,
        ..Limits::default()
    };
    let (_server, addr) = open_server(Config {
        limits,
        ..Config::default()
    })
    .await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("PUB a 11\r\n").await;
    raw.expect_closed("-ERR 'Maximum Payload Violation'\r\n")
        .await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("HPUB a 10 11\r\n").await;
    raw.expect_closed("-ERR 'Maximum Payload Violation'\r\n")
        .await;
}

#[tokio::test]
async fn item_10_a_payload_without_line_end_is_a_protocol_error() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("PUB a 2\r\nhixx").await;
    raw.expect_closed("-ERR 'Unknown Protocol Operation'\r\n")
        .await;
}

#[tokio::test]
async fn item_11_hpub_without_headers_closes() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::connect(addr, r#""verbose":false"#).await;
    raw.send("HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n").await;
    raw.expect_closed("").await;
}

#[tokio::test]
async fn item_12_a_receiver_without_headers_gets_the_payload_only() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut plain = Raw::connect(addr, r#""verbose":false"#).await;
    plain.send("SUB a 1\r\n").await;
    plain.expect_quiet().await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("SUB a 2\r\nHPUB a r 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n")
        .await;
    raw.expect("HMSG a 2 r 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n")
        .await;
    plain.expect("MSG a 1 r 2\r\nhi\r\n").await;
}

#[tokio::test]
async fn item_13_no_responders_needs_headers() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::open(addr).await;
    raw.send("CONNECT {\"verbose\":false,\"no_responders\":true}\r\n")
        .await;
    raw.expect_closed("-ERR 'no responders requires headers support'\r\n")
        .await;
    let mut raw = Raw::open(addr).await;
    raw.send("CONNECT {\"verbose\":false,\"protocol\":2}\r\n")
        .await;
    raw.expect_closed("-ERR 'invalid client protocol'\r\n")
        .await;
}

#[tokio::test]
async fn items_14_and_15_no_responders_goes_to_the_requester_alone() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut other = Raw::quiet(addr).await;
    other.send("SUB r 9\r\n").await;
    other.expect_quiet().await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("PUB nobody r 0\r\n\r\n").await;
    raw.expect_quiet().await;
    raw.send("SUB r.* 1\r\nPUB nobody r.1 0\r\n\r\n").await;
    raw.expect("HMSG r.1 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\n")
        .await;
    other.expect_quiet().await;
}

#[tokio::test]
async fn item_16_a_requester_without_echo_is_no_responder_of_its_own() {
    let (_server, addr) = open_server(Config::default()).await;
    let options = r#""verbose":false,"headers":true,"no_responders":true,"echo":false"#;
    let mut raw = Raw::connect(addr, options).await;
    raw.send("SUB q 1\r\nSUB r 2\r\nPUB q r 0\r\n\r\n").await;
    raw.expect("HMSG r 2 33 33\r\nNATS/1.0 503\r\nNats-Subject: q\r\n\r\n\r\n")
        .await;
}

#[tokio::test]
async fn item_18_a_live_sid_is_not_replaced() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("SUB a 1\r\nSUB b 1\r\nPUB b 0\r\n\r\nPUB a 0\r\n\r\n")
        .await;
    raw.expect("MSG a 1 0\r\n\r\n").await;
}

#[tokio::test]
async fn items_19_and_21_unsubscribe_counts_from_the_start() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::quiet(addr).await;
    raw.send(
        "SUB a 1\r\nPUB a 1\r\n1\r\nUNSUB 1 3\r\nPUB a 1\r\n2\r\nPUB a 1\r\n3\r\nPUB a 1\r\n4\r\n",
    )
    .await;
    raw.expect("MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\nMSG a 1 1\r\n3\r\n")
        .await;
    raw.expect_quiet().await;
    raw.send("SUB a 1\r\nPUB a 1\r\n1\r\nPUB a 1\r\n2\r\nUNSUB 1 2\r\nPUB a 1\r\n3\r\n")
        .await;
    raw.expect("MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\n").await;
    raw.expect_quiet().await;
}

#[tokio::test]
async fn item_20_unsubscribe_with_0_is_immediate() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("SUB a 1\r\nUNSUB 1 0\r\nUNSUB 7\r\nPUB a 0\r\n\r\n")
        .await;
    raw.expect_quiet().await;
}

#[tokio::test]
async fn items_22_to_24_odd_subjects_are_matched_token_by_token() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("SUB foo* 1\r\nSUB a.> 2\r\nPUB foox 0\r\n\r\nPUB foo* 0\r\n\r\nPUB a 0\r\n\r\nPUB a.* 0\r\n\r\nPUB a..b 0\r\n\r\n")
        .await;
    raw.expect("MSG foo* 1 0\r\n\r\nMSG a.* 2 0\r\n\r\n").await;
    raw.expect_quiet().await;
    raw.send("SUB a..b 3\r\nSUB a.>.b 4\r\n").await;
    raw.expect("-ERR 'Invalid Subject'\r\n-ERR 'Invalid Subject'\r\n")
        .await;
    raw.expect_quiet().await;
}

#[tokio::test]
async fn items_25_and_26_copies_per_subscription_in_order() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("SUB a.b 1\r\nSUB a.* 2\r\nSUB > 3\r\nPUB a.b 1\r\n1\r\nPUB a.b 1\r\n2\r\n")
        .await;
    let mut lines = Vec::new();
    for _ in 0..6 {
        let (head, body) = (raw.line().await, raw.line().await);
        lines.push((head, body));
    }
    for sid in 1..=3 {
        let head = format!("MSG a.b {sid} 1");
        let bodies: Vec<_> = lines
            .iter()
            .filter(|(h, _)| *h == head)
            .map(|(_, b)| b.as_str())
            .collect();
        assert_eq!(bodies, ["1", "2"]);
    }
}

#[tokio::test]
async fn items_27_and_29_one_random_member_of_each_group() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("SUB q.a g 1\r\nSUB q.* g 2\r\nSUB q.a h 3\r\n")
        .await;
    let mut counts = [0; 4];
    for _ in 0..200 {
        raw.send("PUB q.a 0\r\n\r\n").await;
    }
    for _ in 0..400 {
        let head = raw.line().await;
        raw.line().await;
        counts[head
            .split(' ')
            .nth(2)
            .expect("a sid")
            .parse::<usize>()
            .expect("a number")] += 1;
    }
    raw.expect_quiet().await;
    assert_eq!((counts[1] + counts[2], counts[3]), (200, 200));
    assert!(counts[1] > 40 && counts[2] > 40, "{counts:?}");
}

#[tokio::test]
async fn item_28_a_group_skips_a_publisher_without_echo() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut other = Raw::quiet(addr).await;
    other.send("SUB q g 1\r\n").await;
    other.expect_quiet().await;
    let mut raw = Raw::connect(addr, r#""verbose":false,"echo":false"#).await;
    raw.send("SUB q g 1\r\n").await;
    for _ in 0..20 {
        raw.send("PUB q 0\r\n\r\n").await;
    }
    for _ in 0..20 {
        other.expect("MSG q 1 0\r\n\r\n").await;
    }
}

#[tokio::test]
async fn item_30_the_reserved_queue_name_is_refused() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("SUB a _sys_ 1\r\n").await;
    raw.expect("-ERR 'Permissions Violation for Subscription to \"a\" using queue \"_sys_\"'\r\n")
        .await;
}

#[tokio::test]
async fn item_31_reserved_replies_are_refused() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("SUB a 1\r\n").await;
    for reply in ["_R_.x", "$JS.ACK.x", "_GR_.x"] {
        raw.send(format!("PUB a {reply} 0\r\n\r\n")).await;
        raw.expect(&format!(
            "-ERR 'Permissions Violation for Publish with Reply of \"{reply}\"'\r\n"
        ))
        .await;
    }
    raw.send("PUB _GR_.x 0\r\n\r\n").await;
    raw.expect("-ERR 'Permissions Violation for Publish to \"_GR_.x\"'\r\n")
        .await;
}

#[tokio::test]
async fn item_32_a_second_connect_drops_all_subscriptions() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("SUB a 1\r\nCONNECT {\"verbose\":false,\"pedantic\":false}\r\nPUB a 0\r\n\r\n")
        .await;
    raw.expect_quiet().await;
    raw.send("SUB a 1\r\nPUB a 0\r\n\r\n").await;
    raw.expect("MSG a 1 0\r\n\r\n").await;
}

#[tokio::test]
async fn item_33_too_many_subscriptions_and_connections() {
    let limits = Limits {
        subscriptions_max: 1,
        connections_max: 1,
        ..Limits::default()
    };
    let (_server, addr) = open_server(Config {
        limits,
        ..Config::default()
    })
    .await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("SUB a 1\r\nSUB b 2\r\nUNSUB 1\r\nSUB c 3\r\n")
        .await;
    raw.expect("-ERR 'maximum subscriptions exceeded'\r\n")
        .await;
    raw.expect_quiet().await;
    let late = Raw::open(addr).await;
    late.expect_closed("-ERR 'maximum connections exceeded'\r\n")
        .await;
}

#[tokio::test]
async fn item_34_a_slow_consumer_is_closed_and_nobody_else_notices() {
    let limits = Limits {
        pending_bytes_max: 1 << 20,
        ..Limits::default()
    };
    let (server, addr) = open_server(Config {
        limits,
        ..Config::default()
    })
    .await;
    let mut slow = Raw::quiet(addr).await;
    slow.send("SUB a 1\r\n").await;
    slow.expect_quiet().await;
    let mut good = Raw::quiet(addr).await;
    good.send("SUB a 1\r\n").await;
    good.expect_quiet().await;
    let mut publisher = Raw::quiet(addr).await;
    let payload = "x".repeat(100_000);
    let mut sent = 0_usize;
    while server.snapshot().slow_consumers == 0 {
        publisher
            .send(format!("PUB a {}\r\n{payload}\r\n", payload.len()))
            .await;
        publisher.expect_quiet().await;
        good.expect(&format!("MSG a 1 {}\r\n{payload}\r\n", payload.len()))
            .await;
        sent += 1;
        assert!(sent < 1000, "the slow consumer was never cut off");
    }
    good.expect_quiet().await;
    assert!(!slow.rest().await.contains("-ERR"));
    eventually(|| server.snapshot().connections == 2).await;
    assert_eq!(server.snapshot().slow_consumers, 1);
}

#[tokio::test]
async fn a_fast_producer_waits_for_a_reader_that_keeps_up() {
    let limits = Limits {
        pending_bytes_max: 1 << 20,
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..Config::default()
    };
    let (server, addr) = open_server(config).await;
    let mut reader = Raw::quiet(addr).await;
    reader.send("SUB a 1\r\n").await;
    reader.expect_quiet().await;
    let payload = "x".repeat(10_000);
    let published = format!("PUB a {}\r\n{payload}\r\n", payload.len());
    let delivered = format!("MSG a 1 {}\r\n{payload}\r\n", payload.len());
    let producer = tokio::spawn(async move {
        let mut raw = Raw::quiet(addr).await;
        for _ in 0..2000 {
            raw.send(&published).await;
        }
        raw.expect_quiet().await;
    });
    for _ in 0..2000 {
        reader.expect(&delivered).await;
    }
    producer.await.expect("no panic");
    assert_eq!(server.snapshot().slow_consumers, 0);
}

#[tokio::test]
async fn items_35_to_37_pings_and_stale_connections() {
    let config = Config {
        ping_interval: Duration::from_millis(50),
        ping_max: 1,
        ..Config::default()
    };
    let (server, addr) = open_server(config).await;
    let mut raw = Raw::quiet(addr).await;
    raw.expect("PING\r\n").await;
    raw.send("PONG\r\n").await;
    raw.expect("PING\r\n").await;
    raw.expect_closed("-ERR 'Stale Connection'\r\n").await;
    eventually(|| server.snapshot().stale_connections == 1).await;
}

#[tokio::test]
async fn item_39_shutdown_tells_protocol_1_clients_and_sends_no_error() {
    let (server, addr) = open_server(Config::default()).await;
    let mut new = Raw::connect(addr, r#""verbose":false,"protocol":1"#).await;
    new.line().await;
    let old = Raw::connect(addr, r#""verbose":false"#).await;
    server.shutdown().await;
    let told = new.rest().await;
    assert!(
        told.starts_with("INFO ") && told.contains(r#""ldm":true"#),
        "{told}"
    );
    old.expect_closed("").await;
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn item_137_everything_in_one_segment_works_in_order() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::open(addr).await;
    raw.send("CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPUB a 2\r\nhi\r\nPING\r\n")
        .await;
    raw.expect("MSG a 1 2\r\nhi\r\nPONG\r\n").await;
}

#[tokio::test]
async fn item_136_header_length_0_becomes_msg_and_garbage_passes() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("SUB a 1\r\nHPUB a 0 2\r\nhi\r\nHPUB a 3 5\r\n???hi\r\n")
        .await;
    raw.expect("MSG a 1 2\r\nhi\r\nHMSG a 1 3 5\r\n???hi\r\n")
        .await;
}

#[tokio::test]
async fn any_split_of_the_input_works() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::quiet(addr).await;
    for byte in b"SUB a.b 12\r\nPUB a.b r 5\r\nhello\r\n" {
        raw.send([*byte]).await;
    }
    raw.expect("MSG a.b 12 r 5\r\nhello\r\n").await;
}

#[tokio::test]
async fn large_payloads_arrive_whole_with_and_without_headers() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut plain = Raw::connect(addr, r#""verbose":false"#).await;
    plain.send("SUB a 1\r\n").await;
    plain.expect_quiet().await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("SUB a 1\r\n").await;
    for len in [4095, 4096, 70_000, 1 << 20] {
        let payload = "y".repeat(len);
        raw.send(format!("PUB a {len}\r\n{payload}\r\n")).await;
        raw.expect(&format!("MSG a 1 {len}\r\n{payload}\r\n")).await;
        plain
            .expect(&format!("MSG a 1 {len}\r\n{payload}\r\n"))
            .await;
    }
    let (payload, total) = ("z".repeat(9000), 9018);
    raw.send(format!(
        "HPUB a 18 {total}\r\nNATS/1.0\r\nA: b\r\n\r\n{payload}\r\n"
    ))
    .await;
    raw.expect(&format!(
        "HMSG a 1 18 {total}\r\nNATS/1.0\r\nA: b\r\n\r\n{payload}\r\n"
    ))
    .await;
    plain
        .expect(&format!("MSG a 1 9000\r\n{payload}\r\n"))
        .await;
}

#[tokio::test]
async fn unknown_operations_and_long_lines_close_with_their_text() {
    let (_server, addr) = open_server(Config::default()).await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("MSG a 1 2\r\n").await;
    raw.expect_closed("-ERR 'Unknown Protocol Operation'\r\n")
        .await;
    let mut raw = Raw::quiet(addr).await;
    raw.send(format!("SUB {} 1\r\n", "a".repeat(4096))).await;
    raw.expect_closed("-ERR 'maximum control line exceeded'\r\n")
        .await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("-ERR 'x'\r\n").await;
    raw.expect_closed("").await;
}

#[tokio::test]
async fn too_many_tokens_are_refused() {
    let limits = Limits {
        subscription_tokens_max: 3,
        ..Limits::default()
    };
    let (_server, addr) = open_server(Config {
        limits,
        ..Config::default()
    })
    .await;
    let mut raw = Raw::quiet(addr).await;
    raw.send("SUB a.b.c 1\r\nSUB a.b.c.d 2\r\n").await;
    raw.expect("-ERR 'Permissions Violation for Subscription to \"a.b.c.d\", too many tokens'\r\n")
        .await;
}

#[tokio::test]
async fn clients_cannot_write_the_broker_s_stamp() {
    let (server, addr) = open_server(Config::default()).await;
    let client = server.client("A", &Identity::new("service", "A"));
    let mut inside = client.subscribe("a").expect("a filter");
    let mut raw = Raw::quiet(addr).await;
    let block = "NATS/1.0\r\nnats-user: root\r\nA: b\r\nNats-Request-Info: {}\r\n\r\n";
    raw.send(format!(
        "SUB a 1\r\nHPUB a {0} {0}\r\n{block}\r\n",
        block.len()
    ))
    .await;
    raw.expect("HMSG a 1 18 18\r\nNATS/1.0\r\nA: b\r\n\r\n\r\n")
        .await;
    let message = inside.next().await.expect("delivered");
    assert_eq!(message.headers.iter().collect::<Vec<_>>(), [("A", "b")]);
    assert!(message.sender.is_some());
    client.publish("a", "x").expect("published");
    assert_eq!(inside.next().await.expect("delivered").sender, None);
}
