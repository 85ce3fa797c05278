//! What nats-server 2.15.1 answers to configurations of mirrors and sources.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::jetstream::limits::JetStreamLimits;

/// The configuration as a client writes it.
fn config(mut members: Value) -> StreamConfig {
    members["name"] = json!("X");
    serde_json::from_value(members).expect("a configuration")
}

fn check_among(
    config: StreamConfig,
    streams: &[Arc<StreamConfig>],
) -> Result<StreamConfig, ApiError> {
    let checks = Checks {
        limits: &JetStreamLimits::default(),
        pedantic: false,
        find: &|name| streams.iter().find(|stream| stream.name == name).cloned(),
    };
    config.checked(&checks)
}

fn check(config: StreamConfig) -> Result<(), ApiError> {
    check_among(config, &[]).map(drop)
}

#[track_caller]
fn check_refused(members: Value, err_code: u16, text: &str) {
    let shown = members.to_string();
    let refused = check(config(members)).expect_err(&shown);
    assert_eq!(
        (refused.err_code, &*refused.description),
        (err_code, text),
        "{shown}"
    );
}

#[track_caller]
fn check_accepted(members: Value) {
    let shown = members.to_string();
    assert_eq!(check(config(members)), Ok(()), "{shown}");
}

#[test]
fn a_mirror_has_nothing_of_its_own() {
    for (member, value, err_code, text) in [
        (
            "subjects",
            json!(["q"]),
            10034,
            "stream mirrors can not contain subjects",
        ),
        (
            "sources",
            json!([{"name": "O"}]),
            10031,
            "stream mirrors can not also contain other sources",
        ),
        (
            "first_seq",
            json!(5),
            10143,
            "stream mirrors can not have first sequence configured",
        ),
        (
            "allow_msg_counter",
            json!(true),
            10173,
            "stream mirrors can not also calculate counters",
        ),
        (
            "allow_msg_schedules",
            json!(true),
            10186,
            "stream mirrors can not also schedule messages",
        ),
        (
            "allow_atomic",
            json!(true),
            10198,
            "stream mirrors can not also use atomic publishing",
        ),
        (
            "allow_batched",
            json!(true),
            10209,
            "stream mirrors can not also use batch publishing",
        ),
        (
            "subject_delete_marker_ttl",
            json!(5_000_000_000_u64),
            10052,
            "subject delete markers forbidden on mirrors",
        ),
    ] {
        check_refused(
            json!({"mirror": {"name": "O"}, member: value}),
            err_code,
            text,
        );
    }
    for member in ["allow_msg_ttl", "mirror_direct"] {
        check_accepted(json!({"mirror": {"name": "O"}, member: true}));
    }
    check_refused(
        json!({"sources": [{"name": "O"}], "allow_msg_schedules": true}),
        10187,
        "stream source can not also schedule messages",
    );
}

#[test]
fn names_and_filters_are_checked() {
    for name in ["", "a.b", "a b", "a*"] {
        check_refused(
            json!({"mirror": {"name": name}}),
            10142,
            "mirrored stream name is invalid",
        );
        check_refused(
            json!({"sources": [{"name": name}]}),
            10141,
            "sourced stream name is invalid",
        );
    }
    check_refused(
        json!({"mirror": {"name": "O", "filter_subject": "o..2"}}),
        10049,
        "subject filter 'o..2' for the mirror invalid subject",
    );
    check_refused(
        json!({"sources": [{"name": "O", "filter_subject": "o..2"}]}),
        10049,
        "subject filter 'o..2' for the source: invalid subject",
    );
    check_accepted(json!({"mirror": {"name": "O", "filter_subject": "zz.>"}}));
}

#[test]
fn transforms_are_checked() {
    let both = [
        (
            10150,
            10144,
            "o.1",
            json!([{"src": "o.1", "dest": "p"}]),
            "multiple subject transforms cannot also have a single subject filter",
        ),
        (
            10152,
            10147,
            "",
            json!([{"src": "o.*", "dest": "p.$1"}, {"src": "o.1", "dest": "p"}]),
            "filters can not overlap",
        ),
        (
            10151,
            10145,
            "",
            json!([{"src": "o..", "dest": "p"}]),
            "transform source: invalid subject o..",
        ),
        (
            10151,
            10145,
            "",
            json!([{"src": "o..", "dest": ""}]),
            "transform source: invalid subject o..",
        ),
        (
            10154,
            10146,
            "",
            json!([{"src": "o.*", "dest": "p.$2"}]),
            "transform: invalid mapping destination: wildcard index out of range in $2: [2]",
        ),
        (
            10154,
            10146,
            "",
            json!([{"src": "o.*", "dest": "p..x"}]),
            "transform: invalid mapping destination: invalid transform",
        ),
        (
            10154,
            10146,
            "",
            json!([{"src": "o.*", "dest": "p.{{foo(1)}}"}]),
            "transform: invalid mapping destination: unknown function in {{foo(1)}}",
        ),
    ];
    for (of_mirror, of_source, filter, transforms, text) in both {
        let source =
            json!({"name": "O", "filter_subject": filter, "subject_transforms": transforms});
        for (members, err_code) in [
            (json!({"mirror": source}), of_mirror),
            (json!({"sources": [source]}), of_source),
        ] {
            let refused = check(config(members)).expect_err(text);
            assert_eq!(refused.err_code, err_code);
            assert!(refused.description.ends_with(text), "{refused}");
        }
    }
    for transform in [
        json!({"src": "o.*", "dest": ""}),
        json!({"src": "o.>", "dest": ""}),
        json!({"src": "", "dest": "p.>"}),
    ] {
        check_accepted(json!({"mirror": {"name": "O", "subject_transforms": [transform]}}));
    }
}

#[test]
fn a_source_is_named_once() {
    let duplicate = "duplicate source configuration detected";
    let hub = json!({"api": "$JS.hub.API", "deliver": "d"});
    for other in [
        json!({"name": "O"}),
        json!({"name": "O", "opt_start_seq": 2}),
    ] {
        check_refused(json!({"sources": [{"name": "O"}, other]}), 10140, duplicate);
    }
    check_refused(
        json!({"sources": [{"name": "O", "external": {"api": "$JS.hub.API"}}, {"name": "O", "external": hub}]}),
        10140,
        duplicate,
    );
    check_accepted(json!({"sources": [{"name": "O"}, {"name": "O", "external": hub}]}));
    check_accepted(
        json!({"sources": [{"name": "O", "filter_subject": "o.*"}, {"name": "O", "filter_subject": "o.2"}]}),
    );
}

#[test]
fn prefixes_of_other_domains_are_subjects() {
    let with = |api: &str, deliver: &str| json!({"mirror": {"name": "O", "external": {"api": api, "deliver": deliver}}});
    for (api, deliver) in [
        ("$JS.hub.API", ""),
        ("", ""),
        ("o.1", ""),
        ("my.prefix", "o.1"),
    ] {
        check_accepted(with(api, deliver));
    }
    check_refused(
        with("$JS.API", ""),
        10021,
        "stream external api prefix $JS.API must not overlap with $JS.API",
    );
    for api in ["$JS.API.>", "x.*.API", "my..prefix", "$JS.hub.API."] {
        let text =
            format!("stream external api prefix {api:?} must be a valid subject without wildcards");
        check_refused(with(api, ""), 10052, &text);
    }
    check_refused(
        with("my.prefix", "d.*"),
        10024,
        "stream external delivery prefix d.* must not contain wildcards",
    );
}

#[test]
fn a_consumer_of_the_origin_is_named_in_full() {
    let invalid = [
        json!({"name": "C"}),
        json!({"deliver_subject": "d"}),
        json!({}),
        json!({"name": "a.b", "deliver_subject": "d"}),
        json!({"name": "C", "deliver_subject": "d.*"}),
        json!({"name": "C", "deliver_subject": "d..x"}),
    ];
    for consumer in invalid {
        let source = json!({"name": "O", "consumer": consumer});
        check_refused(
            json!({"mirror": source}),
            10213,
            "stream mirror consumer config is invalid",
        );
        check_refused(
            json!({"sources": [source]}),
            10215,
            "stream source consumer config is invalid",
        );
    }
    let consumer = json!({"name": "C", "deliver_subject": "d"});
    check_accepted(json!({"mirror": {"name": "O", "consumer": consumer}}));
    for (member, value) in [
        ("filter_subject", json!("o.1")),
        ("opt_start_seq", json!(4)),
    ] {
        check_refused(
            json!({"mirror": {"name": "O", "consumer": consumer, member: value}}),
            10213,
            "stream mirror consumer config is invalid",
        );
    }
}

#[test]
fn a_mirror_stays_one_or_becomes_a_stream_of_its_own() {
    let limits = JetStreamLimits::default();
    let checks = Checks {
        limits: &limits,
        pedantic: false,
        find: &|_| None,
    };
    let checked = |members| config(members).checked(&checks).expect("valid");
    let mirror = checked(json!({"mirror": {"name": "O"}}));
    let own = checked(json!({"subjects": ["x"]}));
    let no_subjects = checked(json!({"sources": [{"name": "P"}]}));
    let other = checked(json!({"mirror": {"name": "O", "filter_subject": "a"}}));
    let update = |old: &StreamConfig, new: &StreamConfig| {
        let updated = new.clone().checked_update(old, &checks);
        updated.map(drop).map_err(|refused| refused.err_code)
    };
    assert_eq!(update(&mirror, &mirror), Ok(()));
    assert_eq!(update(&mirror, &own), Ok(()));
    assert_eq!(update(&mirror, &other), Err(10055));
    assert_eq!(update(&no_subjects, &mirror), Err(10055));
}

#[test]
fn origins_must_fit_and_not_lead_back() {
    let origin = Arc::new(StreamConfig {
        max_msg_size: 100,
        allow_direct: true,
        ..StreamConfig::with_name("O")
    });
    let streams = [origin];
    let refused = |members| {
        let checked = check_among(config(members), &streams);
        checked.map(drop).map_err(|refused| refused.err_code)
    };
    let mirror = json!({"name": "O"});
    assert_eq!(
        refused(json!({"mirror": mirror, "max_msg_size": 99})),
        Err(10030)
    );
    assert_eq!(
        refused(json!({"mirror": mirror, "max_msg_size": 100})),
        Ok(())
    );
    assert_eq!(refused(json!({"mirror": mirror})), Ok(()));
    assert_eq!(
        refused(json!({"sources": [mirror], "max_msg_size": 99})),
        Err(10046)
    );
    assert_eq!(
        refused(json!({"sources": [{"name": "P"}], "max_msg_size": 9})),
        Ok(())
    );
    assert_eq!(refused(json!({"sources": [{"name": "X"}]})), Err(10052));
    let hub = json!({"name": "O", "external": {"api": "$JS.hub.API"}});
    assert_eq!(refused(json!({"mirror": hub, "max_msg_size": 9})), Ok(()));
    let mirror = check_among(config(json!({"mirror": mirror})), &streams);
    assert!(mirror.expect("valid").mirror_direct);
}
