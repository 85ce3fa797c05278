//! Every refusal was seen on the wire of nats-server 2.15.1.

use super::*;

fn stream() -> StreamConfig {
    StreamConfig {
        subjects: vec!["s.>".to_owned()],
        ..StreamConfig::with_name("S")
    }
}

fn config(json: &str) -> ConsumerConfig {
    serde_json::from_str(json).expect("a configuration")
}

#[track_caller]
fn check_refused(json: &str, err_code: u32, text: &str) {
    refused_by(&stream(), json, err_code, text);
}

#[track_caller]
fn refused_by(stream: &StreamConfig, json: &str, err_code: u32, text: &str) {
    let refused = config(json).check(stream, Caps::default());
    let error = refused.expect_err(json);
    assert_eq!(
        (u32::from(error.err_code), &*error.description),
        (err_code, text),
        "{json}"
    );
}

#[track_caller]
fn check_accepted(json: &str) -> ConsumerConfig {
    let config = config(json);
    config.check(&stream(), Caps::default()).expect(json);
    config.normalise(&stream())
}

#[test]
fn filters_are_checked() {
    check_refused(
        r#"{"filter_subject":"s.a","filter_subjects":["s.b"]}"#,
        10136,
        "consumer cannot have both FilterSubject and FilterSubjects specified",
    );
    check_refused(
        r#"{"filter_subjects":["s.>","s.b"]}"#,
        10138,
        "consumer subject filters cannot overlap",
    );
    check_refused(
        r#"{"filter_subjects":["s.>",""]}"#,
        10139,
        "consumer filter in FilterSubjects cannot be empty",
    );
    check_refused(r#"{"filter_subject":"s..a"}"#, 10052, "invalid subject");
    check_accepted(r#"{"filter_subject":"elsewhere"}"#);
}

#[test]
fn the_start_must_fit_the_policy() {
    let text = |policy: &str, problem: &str| {
        format!("consumer delivery policy is deliver {policy}, but optional {problem}")
    };
    for (json, policy, problem) in [
        (
            r#"{"deliver_policy":"by_start_sequence"}"#,
            "by start sequence",
            "start sequence is not set",
        ),
        (
            r#"{"opt_start_seq":1}"#,
            "all",
            "start sequence is also set",
        ),
        (
            r#"{"deliver_policy":"by_start_time"}"#,
            "by start time",
            "start time is not set",
        ),
        (
            r#"{"deliver_policy":"last","opt_start_time":"2030-01-01T00:00:00Z"}"#,
            "last",
            "start time is also set",
        ),
        (
            r#"{"deliver_policy":"last_per_subject"}"#,
            "last per subject",
            "filter subject is not set",
        ),
    ] {
        check_refused(json, 10094, &text(policy, problem));
    }
    check_accepted(r#"{"deliver_policy":"last_per_subject","filter_subjects":["s.a","s.b"]}"#);
}

#[test]
fn push_and_pull_have_settings_of_their_own() {
    for (json, err_code, text) in [
        (
            r#"{"deliver_subject":"a.*"}"#,
            10079,
            "consumer deliver subject has wildcards",
        ),
        (
            r#"{"deliver_subject":"a..b"}"#,
            10112,
            "invalid push consumer deliver subject",
        ),
        (
            r#"{"deliver_subject":"s.x"}"#,
            10081,
            "consumer deliver subject forms a cycle",
        ),
        (
            r#"{"deliver_subject":"d","max_waiting":3}"#,
            10080,
            "consumer in push mode can not set max waiting",
        ),
        (
            r#"{"deliver_subject":"d","flow_control":true}"#,
            10108,
            "consumer with flow control also needs heartbeats",
        ),
        (
            r#"{"deliver_subject":"d","idle_heartbeat":1000}"#,
            10083,
            "consumer idle heartbeat needs to be >= 100ms",
        ),
        (
            r#"{"deliver_subject":"d","priority_groups":["A"],"priority_policy":"overflow"}"#,
            10178,
            "priority groups can not be used with push consumers",
        ),
        (
            r#"{"flow_control":true}"#,
            10089,
            "consumer flow control requires a push based consumer",
        ),
        (
            r#"{"idle_heartbeat":1000000000}"#,
            10088,
            "consumer idle heartbeat requires a push based consumer",
        ),
        (
            r#"{"rate_limit_bps":5}"#,
            10086,
            "consumer in pull mode can not have rate limit set",
        ),
        (
            r#"{"direct":true}"#,
            10090,
            "consumer direct requires a push based consumer",
        ),
        (
            r#"{"max_expires":1000}"#,
            10115,
            "consumer max request expires needs to be >= 1ms",
        ),
        (
            r#"{"ack_policy":"flow_control"}"#,
            10218,
            "flow control ack policy requires a push based consumer",
        ),
    ] {
        check_refused(json, err_code, text);
    }
}

#[test]
fn acknowledgement_settings_are_checked() {
    for (json, err_code, text) in [
        (
            r#"{"ack_wait":-5}"#,
            10183,
            "consumer ack wait needs to be positive",
        ),
        (
            r#"{"backoff":[-5]}"#,
            10184,
            "consumer backoff needs to be positive",
        ),
        (
            r#"{"backoff":[1,2,3],"max_deliver":2}"#,
            10116,
            "max deliver is required to be > length of backoff values",
        ),
        (
            r#"{"sample_freq":"x"}"#,
            10095,
            r#"failed to parse consumer sampling configuration: strconv.Atoi: parsing "x": invalid syntax"#,
        ),
        (
            r#"{"num_replicas":3}"#,
            10074,
            "replicas > 1 not supported in non-clustered mode",
        ),
    ] {
        check_refused(json, err_code, text);
    }
}

#[test]
fn priority_settings_are_checked() {
    for (json, err_code) in [
        (r#"{"priority_policy":"overflow"}"#, 10159),
        (r#"{"priority_groups":["A"]}"#, 10196),
        (r#"{"priority_timeout":1000}"#, 10197),
        (
            r#"{"priority_policy":"overflow","priority_groups":[""]}"#,
            10161,
        ),
        (
            r#"{"priority_policy":"overflow","priority_groups":["a b"]}"#,
            10162,
        ),
        (
            r#"{"priority_policy":"overflow","priority_groups":["aaaaaaaaaaaaaaaaa"]}"#,
            10162,
        ),
    ] {
        let refused = config(json).check(&stream(), Caps::default());
        assert_eq!(
            u32::from(refused.expect_err(json).err_code),
            err_code,
            "{json}"
        );
    }
}

#[test]
fn work_queues_want_explicit_acknowledgement_of_everything() {
    let queue = StreamConfig {
        retention: Retention::WorkQueue,
        ..stream()
    };
    for (json, err_code, text) in [
        (
            r#"{"ack_policy":"none"}"#,
            10084,
            "consumer in pull mode requires explicit ack policy on workqueue stream",
        ),
        (
            r#"{"ack_policy":"none","deliver_subject":"d"}"#,
            10098,
            "workqueue stream requires explicit ack",
        ),
        (
            r#"{"ack_policy":"all"}"#,
            10098,
            "workqueue stream requires explicit ack",
        ),
        (
            r#"{"ack_policy":"explicit","deliver_policy":"new"}"#,
            10101,
            "consumer must be deliver all on workqueue stream",
        ),
    ] {
        refused_by(&queue, json, err_code, text);
    }
}

#[test]
fn the_stream_caps_its_consumers() {
    let mut stream = stream();
    stream.consumer_limits.max_ack_pending = 10;
    stream.consumer_limits.inactive_threshold = Nanos::from_secs(60);
    let too_many = r#"{"ack_policy":"explicit","max_ack_pending":20}"#;
    refused_by(
        &stream,
        too_many,
        10121,
        "consumer max ack pending exceeds system limit of 10",
    );
    let too_long = r#"{"inactive_threshold":90000000000}"#;
    refused_by(
        &stream,
        too_long,
        10153,
        "consumer inactive threshold exceeds system limit of 1m0s",
    );
    let filled = config(r#"{"ack_policy":"explicit"}"#).normalise(&stream);
    assert_eq!(filled.max_ack_pending, 10);
    assert_eq!(filled.inactive_threshold, Nanos::from_secs(60));
}

#[test]
fn defaults_are_those_of_nats_server() {
    let pull = check_accepted(r#"{"ack_policy":"explicit","max_deliver":-5,"max_ack_pending":-7}"#);
    assert_eq!(
        serde_json::to_string(&pull).expect("JSON"),
        r#"{"deliver_policy":"all","ack_policy":"explicit","ack_wait":30000000000,"max_deliver":-1,"replay_policy":"instant","max_waiting":512,"max_ack_pending":-1,"inactive_threshold":5000000000,"num_replicas":0}"#
    );
    let durable =
        check_accepted(r#"{"durable_name":"d","name":"d","ack_policy":"none","backoff":[1,2]}"#);
    assert_eq!(
        serde_json::to_string(&durable).expect("JSON"),
        r#"{"durable_name":"d","name":"d","deliver_policy":"all","ack_policy":"none","ack_wait":1,"max_deliver":-1,"backoff":[1,2],"replay_policy":"instant","max_waiting":512,"num_replicas":0}"#
    );
    let push = check_accepted(r#"{"ack_policy":"flow_control","deliver_subject":"q"}"#);
    assert!(push.flow_control);
    assert_eq!(push.idle_heartbeat, Nanos::from_secs(1));
}

#[test]
fn what_a_consumer_is_stays() {
    let old = check_accepted(r#"{"ack_policy":"explicit"}"#);
    let changed = |json: &str| {
        let new = config(json).normalise(&stream());
        old.check_update(&new)
            .map_err(|error| error.description.into_owned())
    };
    for (json, text) in [
        (r#"{"ack_policy":"all"}"#, "ack policy can not be updated"),
        (
            r#"{"ack_policy":"explicit","deliver_policy":"new"}"#,
            "deliver policy can not be updated",
        ),
        (
            r#"{"ack_policy":"explicit","replay_policy":"original"}"#,
            "replay policy can not be updated",
        ),
        (
            r#"{"ack_policy":"explicit","max_waiting":7}"#,
            "max waiting can not be updated",
        ),
        (
            r#"{"ack_policy":"explicit","deliver_subject":"x"}"#,
            "can not update pull consumer to push based",
        ),
        (
            r#"{"ack_policy":"explicit","mem_storage":true}"#,
            "storage type can not be updated",
        ),
    ] {
        assert_eq!(changed(json), Err(text.to_owned()), "{json}");
    }
    assert_eq!(
        changed(r#"{"ack_policy":"explicit","ack_wait":5,"max_deliver":3}"#),
        Ok(())
    );
}

#[test]
fn names_are_checked() {
    assert!(check_name("a-b_C9").is_ok());
    for (name, err_code) in [
        ("a.b", 10052),
        ("a b", 10052),
        ("a/b", 10127),
        ("a\\b", 10127),
        (">", 10052),
    ] {
        let error = check_name(name).expect_err(name);
        assert_eq!(u32::from(error.err_code), err_code, "{name}");
    }
    assert!(check_name(&"a".repeat(256)).is_err());
}

#[test]
fn samples_are_a_share() {
    for (text, percent) in [
        ("", Some(0)),
        ("30%", Some(30)),
        ("50", Some(50)),
        ("200%", Some(100)),
        ("x", None),
    ] {
        assert_eq!(sample_percent(text), percent, "{text}");
    }
}
