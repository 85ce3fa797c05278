//! What keys mean, and in which words nats-server 2.15 refuses what is wrong with them.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::{LameDuckOptions, Options, SyncOption};
use crate::accounts::{Credential, Export, Import, ResponseType};
use crate::config_file::{Document, Surroundings};

/// Nothing to include, and an environment without variables.
struct Nothing;

impl Surroundings for Nothing {
    fn read(&self, _path: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn variable(&self, _name: &str) -> Option<String> {
        None
    }
}

fn load(text: &str) -> Result<Options, String> {
    let document = Document::parse("c.conf", text, &Nothing).map_err(|error| error.to_string())?;
    let loaded = Options::read(&document, &Nothing).map_err(|errors| errors.to_string())?;
    Ok(loaded.options)
}

#[track_caller]
fn read(text: &str) -> Options {
    load(text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

#[track_caller]
fn check_refused(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        match load(text) {
            Ok(_) => panic!("accepted: {text}"),
            Err(error) => assert_eq!(&error, expected, "{text}"),
        }
    }
}

#[test]
fn where_to_listen_is_said_in_several_ways() {
    for (text, host, port) in [
        ("a: 1\nb: $a\nport: $a", "0.0.0.0", 1),
        ("listen: 4333", "0.0.0.0", 4333),
        ("listen: \"127.0.0.1:-1\"", "127.0.0.1", 0),
        ("listen: \"[::1]:4333\"", "::1", 4333),
        ("host: localhost\nport: 0", "localhost", 4222),
        ("net: \"::\"\nPORT: -1", "::", 0),
    ] {
        // A key that is used as a variable may have any name; `b` is one that is not.
        let text = text.replace("b: $a\n", "");
        let options = read(&text);
        assert_eq!(
            (options.host.as_str(), options.port),
            (host, port),
            "{text}"
        );
    }
    check_refused(&[
        (
            "listen: abc",
            "c.conf:1:0: could not parse address string \"abc\"",
        ),
        (
            "listen: \"abc:def\"",
            "c.conf:1:0: could not parse port \"def\"",
        ),
        (
            "port: 70000",
            "c.conf:1:0: port must be a port from 1 to 65535, or -1 for any",
        ),
        (
            "port: abc",
            "c.conf:1:0: field \"port\" must be a whole number, not a string",
        ),
    ]);
}

#[test]
fn unknown_keys_are_refused_with_their_place_unless_they_are_variables() {
    read("X = 4223\nport: $X");
    check_refused(&[
        (
            "foo: 1\nbar: 2",
            "c.conf:1:0: unknown field \"foo\"\nc.conf:2:1: unknown field \"bar\"",
        ),
        ("X: 1\nport: 1", "c.conf:1:0: unknown field \"X\""),
        (
            "authorization { foo: 0.5 }",
            "c.conf:1:16: unknown field \"foo\"",
        ),
        ("jetstream {foo: 1}", "c.conf:1:11: unknown field \"foo\""),
        (
            "jetstream {limits {foo: 1}}",
            "c.conf:1:19: unknown field \"foo\"",
        ),
        ("websocket {foo: 1}", "c.conf:1:11: unknown field \"foo\""),
        ("leafnodes {foo: 1}", "c.conf:1:11: unknown field \"foo\""),
        (
            "leafnodes {remotes: [{foo: \"nats://a:1\"}]}",
            "c.conf:1:21: a remote leafnode needs a url\nc.conf:1:22: unknown field \"foo\"",
        ),
        (
            "tls {foo: 1}",
            "c.conf:1:0: missing 'cert_file' in TLS configuration\nc.conf:1:5: error parsing tls config, unknown field \"foo\"",
        ),
        (
            "accounts: {A: {foo: 5}}",
            "c.conf:1:15: unknown field \"foo\"",
        ),
        (
            "accounts: {A: {limits: {foo: 1}}}",
            "c.conf:1:24: Unknown field \"foo\" parsing account limits",
        ),
        (
            "accounts: {A: {exports: [{foo: \"a\"}]}}",
            "c.conf:1:25: an export needs a stream or a service\nc.conf:1:26: unknown field \"foo\"",
        ),
    ]);
}

#[test]
fn limits_and_times() {
    let options = read(
        "max_payload: 2MB\nmax_pending: 10m\nmax_control_line: 512\nmax_connections: 7\nmax_subs: 8\nmax_sub_tokens: 9\n\
         ping_interval: \"20s\"\nping_max: 3\nwrite_deadline: \"3s\"\nlame_duck_duration: \"1m\"\nlame_duck_grace_period: \"2s\"",
    );
    let limits = &options.limits;
    assert_eq!(
        (limits.payload_bytes_max, limits.pending_bytes_max),
        (2 << 20, 10_000_000)
    );
    assert_eq!(
        (limits.control_line_bytes_max, limits.connections_max),
        (512, 7)
    );
    assert_eq!(
        (limits.subscriptions_max, limits.subscription_tokens_max),
        (8, 9)
    );
    let config = options.to_config();
    assert_eq!(
        (config.ping_interval, config.ping_max),
        (Duration::from_secs(20), 3)
    );
    assert_eq!(config.write_deadline, Duration::from_secs(3));
    let (duration, grace_period) = (Duration::from_secs(60), Duration::from_secs(2));
    assert_eq!(
        options.lame_duck,
        LameDuckOptions {
            duration,
            grace_period
        }
    );
    assert_eq!(
        read("max_connections: -1").limits.connections_max,
        usize::MAX
    );
    check_refused(&[
        (
            "max_payload: 1xb",
            "c.conf:1:0: field \"max_payload\" must be a whole number, not a string",
        ),
        (
            "max_payload: 5GB",
            "c.conf:1:0: max_payload value is too big",
        ),
        (
            "max_payload: 2MB\nmax_pending: 1MB",
            "max_payload (2097152) cannot be higher than max_pending (1048576)",
        ),
        (
            "ping_interval: \"2x\"",
            "c.conf:1:0: error parsing ping_interval: time: unknown unit \"x\" in duration \"2x\"",
        ),
        (
            "lame_duck_duration: \"10s\"",
            "c.conf:1:0: invalid lame_duck_duration of 10s, minimum is 30 seconds",
        ),
        (
            "lame_duck_grace_period: \"3m\"",
            "lame duck grace period (180s) should be strictly lower than lame duck duration (120s)",
        ),
        (
            "write_timeout: abc",
            "c.conf:1:0: write_timeout must be 'default', 'close' or 'retry'",
        ),
        (
            "server_name: \"a b\"",
            "c.conf:1:0: server name cannot contain spaces",
        ),
    ]);
}

#[test]
fn a_number_for_a_duration_is_a_warning() {
    let document = Document::parse("c.conf", "ping_interval: 20", &Nothing).unwrap();
    let loaded = Options::read(&document, &Nothing).unwrap();
    assert_eq!(loaded.options.ping_interval, Duration::from_secs(20));
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "c.conf:1:0: invalid use of field \"ping_interval\": ping_interval should be converted to a duration"
        ]
    );
}

#[test]
fn authorization_is_a_user_a_token_or_users() {
    let options = read("authorization { user: a, password: 123, timeout: 0.5 }");
    assert_eq!(options.accounts.users.len(), 1);
    assert_eq!(options.auth_timeout, Duration::from_millis(500));
    let Credential::Password(password) = &options.accounts.users[0].credential else {
        panic!("a password")
    };
    assert_eq!(password.expose(), "123");
    assert!(
        read("authorization { token: s3cr3t }")
            .accounts
            .token
            .is_some()
    );
    let options = read(
        "no_auth_user: c\nauthorization { default_permissions { publish: \"a.>\" }\n users: [ {user: c} \n {user: d, pass: e, \
         permissions: { publish: { allow: [x, y], deny: z }, subscribe: \"q w\", allow_responses: {max: 3, expires: \"1m\"} }, \
         allowed_connection_types: [STANDARD, websocket] } ] }",
    );
    let users = &options.accounts.users;
    assert_eq!(users[0].credential, Credential::Certificate);
    let permissions = users[1].permissions.as_ref().unwrap();
    assert_eq!(
        permissions.publish.allow.as_deref(),
        Some(&["x".to_owned(), "y".to_owned()][..])
    );
    assert_eq!(permissions.publish.deny, ["z"]);
    assert_eq!(
        permissions.subscribe.allow.as_deref(),
        Some(&["q w".to_owned()][..])
    );
    let responses = permissions.allow_responses.unwrap();
    assert_eq!(
        (responses.max, responses.expires),
        (3, Duration::from_secs(60))
    );
    assert_eq!(users[1].connection_types.len(), 2);
    assert!(options.accounts.default_permissions.is_some());
}

#[test]
fn authorization_that_contradicts_itself_is_refused_in_nats_servers_words() {
    let nkey = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    check_refused(&[
        (
            "authorization { user: a, pass: b, users: [ {user: c, pass: d} ] }",
            "c.conf:1:0: Can not have a single user/pass and a users array",
        ),
        (
            "authorization { user: a, pass: b, token: x }",
            "c.conf:1:0: Cannot have a user/pass and token",
        ),
        (
            "authorization { token: x, users: [ {user: c, pass: d} ] }",
            "c.conf:1:0: Can not have a token and a users array",
        ),
        (
            "authorization { users: [ {user: c, pass: d}, {user: c, pass: d} ] }",
            "c.conf:1:45: Duplicate user \"c\" detected",
        ),
        (
            "authorization { users: [ {pass: c} ] }",
            "c.conf:1:25: User entry requires a user",
        ),
        (
            "authorization { users: [ {nkey: c} ] }",
            "c.conf:1:25: Not a valid public nkey for a user",
        ),
        (
            "authorization { users: [ {user: c, pass: d, foo: 1} ] }",
            "c.conf:1:44: unknown field \"foo\"",
        ),
        (
            "authorization { users: [ {user: c, pass: d, permissions: {publish: \"foo..bar\"}} ] }",
            "c.conf:1:58: subject \"foo..bar\" is not a valid subject",
        ),
        (
            "authorization { users: [ {user: c, pass: d, permissions: {publish: \"foo q\"}} ] }",
            "c.conf:1:58: subject \"foo q\" is not a valid subject",
        ),
        (
            "authorization { users: [ {user: c, pass: d, permissions: {subscribe: \"foo q q\"}} ] }",
            "c.conf:1:58: subject \"foo q q\" is not a valid subject",
        ),
        (
            "authorization { users: [ {user: c, pass: d, permissions: {publish: {foo: 5}}} ] }",
            "c.conf:1:68: Unknown field name \"foo\" parsing subject permissions, only 'allow' or 'deny' are permitted",
        ),
        (
            "authorization { users: [ {user: c, pass: d, permissions: {allow_responses: 5}} ] }",
            "c.conf:1:58: error parsing response permissions, expected a boolean or a map",
        ),
        (
            "authorization { users: [ {user: c, pass: d, permissions: {foo: 5}} ] }",
            "c.conf:1:58: Unknown field \"foo\" parsing permissions",
        ),
        (
            "authorization { users: [ {user: c, pass: d, allowed_connection_types: [x]} ] }",
            "c.conf:1:44: invalid connection types [\"X\"]",
        ),
        (
            "authorization { timeout: \"x\" }",
            "c.conf:1:16: error parsing authorization config, 'timeout' time: invalid duration \"x\"",
        ),
        (
            "authorization { auth_callout: {} }",
            "c.conf:1:16: Authorization callouts require an issuer to be specified",
        ),
        (
            "accounts: {A: {users: [{user: a, pass: b}]}, B: {users: [{user: a, pass: b}]}}",
            "c.conf:1:57: Duplicate user \"a\" detected",
        ),
        (
            "authorization { users: [ {user: u, pass: x, proxy_required: true} ] }",
            "c.conf:1:44: proxy_required is not supported: proxies that sign are not known here",
        ),
        (
            "no_auth_user: foo",
            "no_auth_user: \"foo\" not present as user or nkey in authorization block or account configuration",
        ),
    ]);
    let text = format!("authorization {{ users: [ {{nkey: {nkey}, user: a, pass: b}} ] }}");
    assert!(
        load(&text)
            .unwrap_err()
            .contains("Nkey users do not take usernames or passwords")
    );
    let text = "authorization { auth_callout: {issuer: x} }";
    assert!(
        load(text)
            .unwrap_err()
            .contains("Expected callout user to be a valid public account nkey, got \"x\"")
    );
}

#[test]
fn accounts_share_and_map() {
    let options = read(
        "accounts { A { users: [{user: a, pass: b}], jetstream: {max_mem: 1M, max_streams: 5}\n exports: [ {stream: \"s.>\"}, \
         {service: q, response: stream, threshold: \"1s\", accounts: [B], latency: {sampling: 50%, subject: lat}} ]\n \
         mappings { x.*: \"y.$1\", z: [ {destination: z1, weight: 40}, {destination: z2, weight: \"60%\"} ] }\n \
         limits { max_connections: 3, max_payload: -1 } }\n B { imports: [ {stream: {account: A, subject: \"s.>\"}, prefix: p}, \
         {service: {account: A, subject: q}, to: r, share: true} ] } }\nsystem_account: B",
    );
    let [a, b] = options.accounts.accounts.as_slice() else {
        panic!("two accounts")
    };
    assert_eq!((a.name.as_str(), b.name.as_str()), ("A", "B"));
    let Export::Service(service) = &a.exports[1] else {
        panic!("a service")
    };
    assert_eq!(
        (service.response, service.threshold),
        (ResponseType::Stream, Duration::from_secs(1))
    );
    assert_eq!(service.latency.as_ref().unwrap().sampling_percent, 50);
    let Import::Stream(stream) = &b.imports[0] else {
        panic!("a stream")
    };
    assert_eq!(stream.prefix.as_deref(), Some("p"));
    let Import::Service(service) = &b.imports[1] else {
        panic!("a service")
    };
    assert!(service.share && service.to.as_deref() == Some("r"));
    assert_eq!(a.mappings.len(), 2);
    assert_eq!(a.mappings[1].destinations[1].weight_percent, 60);
    assert_eq!(
        (a.limits.connections_max, a.limits.payload_bytes_max),
        (Some(3), None)
    );
    assert_eq!(
        a.jetstream.as_ref().unwrap().memory_bytes_max,
        Some(1_000_000)
    );
    assert_eq!(read("accounts: [A, B]").accounts.accounts.len(), 2);
}

#[test]
fn accounts_that_do_not_fit_are_refused_in_nats_servers_words() {
    check_refused(&[
        (
            "accounts: {A: 5}",
            "c.conf:1:11: Expected map entries for accounts",
        ),
        (
            "accounts: {$G: {}}",
            "c.conf:1:11: \"$G\" is a Reserved Account",
        ),
        (
            "accounts: {A: {exports: [{stream: \"a\", service: b}]}}",
            "c.conf:1:39: Detected service \"b\" but already saw a stream",
        ),
        (
            "accounts: {A: {exports: [{service: \"a\", response: foo}]}}",
            "c.conf:1:40: Unknown response type: \"foo\"",
        ),
        (
            "accounts: {A: {exports: [{stream: \"a\", response: stream}]}}",
            "c.conf:1:39: Detected response directive on non-service",
        ),
        (
            "accounts: {A: {exports: [{stream: \"a\", accounts: [Z]}]}}",
            "c.conf:1:0: \"Z\" account not defined for stream export",
        ),
        (
            "accounts: {A: {imports: [{stream: {account: Z, subject: \"a\"}}]}}",
            "c.conf:1:0: \"Z\" account not defined for stream import",
        ),
        (
            "accounts: {A: {imports: [{stream: {subject: \"a\"}}]}}",
            "c.conf:1:26: Expect an account name and a subject",
        ),
        (
            "accounts: {A: {imports: 5}}",
            "c.conf:1:15: Imports should be an array, got a whole number",
        ),
        (
            "accounts: {A: {nkey: x}}",
            "c.conf:1:15: Not a valid public nkey for an account: \"x\"",
        ),
        (
            "accounts: {A: {mappings: {a: 5}}}",
            "c.conf:1:26: Expected an entry for the mapping destination",
        ),
        (
            "accounts: {A: {mappings: {a..b: \"b\"}}}",
            "c.conf:1:15: Subject \"a..b\" is not a valid subject",
        ),
        (
            "accounts: {A: {mappings: {a: [{destination: b, weight: 50}, {destination: c, weight: \"60%\"}]}}}",
            "c.conf:1:26: Error adding mapping for \"a\" : total weight needs to be <= 100",
        ),
    ]);
}

#[test]
fn streams_have_many_spellings() {
    for text in [
        "jetstream: true",
        "jetstream: enabled",
        "jetstream {}",
        "jetstream { enabled: true }",
    ] {
        assert!(read(text).jetstream.enabled, "{text}");
    }
    for text in [
        "jetstream: disabled",
        "jetstream: off",
        "jetstream { enabled: false }",
        "port: 1",
    ] {
        assert!(!read(text).jetstream.enabled, "{text}");
    }
    let options = read(
        "jetstream { store_dir: \"/d\", max_mem: 1G, max_file: \"2T\", domain: edge, strict: false, sync_interval: always\n \
         limits { max_request_batch: 4, duplicate_window: \"1m\", batch { max_msgs: 1000 } }, cipher: aes, key: abc, unique_tag: x }",
    );
    let jetstream = &options.jetstream;
    assert_eq!(jetstream.store_dir.as_deref(), Some(Path::new("/d")));
    assert_eq!(
        (jetstream.memory_bytes_max, jetstream.storage_bytes_max),
        (Some(1_000_000_000), Some(2 << 40))
    );
    assert_eq!(jetstream.sync, SyncOption::Always);
    assert!(jetstream.encryption_key.is_some() && !jetstream.strict);
    assert_eq!(
        options.to_config().jetstream.limits.request_batch_max,
        Some(4)
    );
    assert_eq!(
        read("store_dir: \"/e\"\njetstream: true")
            .jetstream
            .store_dir
            .as_deref(),
        Some(Path::new("/e"))
    );
    check_refused(&[
        (
            "jetstream: foo",
            "c.conf:1:0: Expected 'enabled' or 'disabled' for string value, got 'foo'",
        ),
        (
            "jetstream {cipher: foo}",
            "c.conf:1:11: Unknown cipher type: \"foo\"",
        ),
        (
            "jetstream {sync_interval: foo}",
            "c.conf:1:11: error parsing sync_interval: time: invalid duration \"foo\"",
        ),
        (
            "store_dir: x\njetstream {store_dir: y}",
            "c.conf:2:12: Duplicate 'store_dir' configuration",
        ),
        (
            "jetstream {max_mem: 10%}",
            "c.conf:1:11: max_mem sizes defined as strings must end in K, M, G, T",
        ),
    ]);
}

#[test]
fn browsers_and_leaves_have_blocks_of_their_own() {
    let options = read(
        "websocket { listen: \"127.0.0.1:-1\", no_tls: true, same_origin: true, allowed_origins: [\"http://a\"], compression: true, \
         handshake_timeout: \"3s\", token_cookie: d, authorization {user: a, pass: b, timeout: 1}, headers: {A: b}, advertise: \"x:1\" }",
    );
    let websocket = options.websocket.unwrap();
    assert_eq!(
        (websocket.host.as_str(), websocket.port),
        ("127.0.0.1", Some(0))
    );
    assert_eq!(websocket.config.cookies.token.as_deref(), Some("d"));
    assert_eq!(websocket.config.headers, [("A".to_owned(), "b".to_owned())]);
    assert_eq!(websocket.config.advertise.unwrap().port, 1);
    let options = read(
        "leafnodes { listen: \"127.0.0.1:-1\", no_advertise: true, authorization {user: a, password: b, account: c}, \
         remotes: [ {url: \"nats://u:p@h:1\", account: A, deny_imports: x, deny_exports: [y]} ] }",
    );
    let leaf = options.leaf.unwrap();
    assert_eq!((leaf.port, leaf.config.remotes.len()), (Some(0), 1));
    assert_eq!(
        leaf.authorization.unwrap().users[0].account.as_deref(),
        Some("c")
    );
    assert_eq!(leaf.config.remotes[0].deny_exports, ["y"]);
    assert!(
        read("websocket {}\nleafnodes {}\nws {}")
            .websocket
            .unwrap()
            .port
            .is_none()
    );
    check_refused(&[
        (
            "websocket { port: 1 }",
            "websocket requires TLS configuration",
        ),
        (
            "websocket: 5",
            "c.conf:1:0: Expected websocket to be a map, got a whole number",
        ),
        (
            "websocket {port: 1, allowed_origins: 5}",
            "c.conf:1:20: error parsing allowed origins: unsupported type a whole number",
        ),
        (
            "leafnodes {min_version: \"2.7.0\"}",
            "c.conf:1:11: the minimum version should be at least 2.8.0",
        ),
        (
            "leafnodes {remotes: 5}",
            "c.conf:1:11: Expected remotes field to be an array, got a whole number",
        ),
        (
            "leafnodes {authorization {user: a, users: [{user: b, pass: c}]}}",
            "c.conf:1:11: can not have a single user/pass and a users array",
        ),
        (
            "leafnodes {compression: s2_fast}",
            "c.conf:1:11: compression \"s2_fast\" is not supported: leaf links are not compressed",
        ),
    ]);
}

#[test]
fn certificates_come_with_their_keys() {
    let options = read(
        "allow_non_tls: true\ntls { cert_file: a, key_file: b, ca_file: c, verify: true, timeout: \"5s\", handshake_first: \"300ms\", \
         min_version: \"1.3\", certs: [ {cert_file: d, key_file: e} ] }",
    );
    let tls = options.tls.unwrap();
    assert!(tls.verify && tls.allow_non_tls);
    assert_eq!(
        (tls.certificates.len(), tls.timeout),
        (2, Duration::from_secs(5))
    );
    assert_eq!(
        tls.handshake_first,
        crate::HandshakeFirst::Within(Duration::from_millis(300))
    );
    check_refused(&[
        (
            "tls {cert_file: a}",
            "c.conf:1:0: missing 'key_file' in TLS configuration",
        ),
        (
            "tls {cert_file: a, key_file: b, min_version: \"1.0\"}",
            "c.conf:1:32: error parsing tls config: unsupported TLS version: TLS 1.0",
        ),
        (
            "tls {cert_file: a, key_file: b, handshake_first: maybe}",
            "c.conf:1:32: field \"handshake_first\"'s value \"maybe\" is invalid",
        ),
        (
            "tls {cert_file: a, key_file: b, cipher_suites: []}",
            "c.conf:1:32: error parsing tls config, 'cipher_suites' cannot be empty",
        ),
    ]);
}

#[test]
fn what_is_not_done_here_is_refused_and_what_asks_for_nothing_is_not() {
    read(
        "cluster {}\ngateway {}\nmqtt {}\nocsp: false\nproxies {}\nprof_port: 0\nno_header_support: false\nfeature_flags {a: true}",
    );
    read("cluster { name: x, routes: [] }\nno_fast_producer_stall: true\nconnect_error_reports: 1");
    for text in [
        "cluster { listen: \"127.0.0.1:0\" }",
        "gateway { name: x, port: 1 }",
        "mqtt { port: 1883 }",
        "ocsp: always",
        "prof_port: 1",
        "no_header_support: true",
        "default_js_domain: {A: b}",
        "proxies: {trusted: [{key: a}]}",
        "write_timeout: retry",
    ] {
        let error = load(text).unwrap_err();
        assert!(
            error.starts_with("c.conf:1:0: ") && error.contains("not supported"),
            "{error}"
        );
    }
}

#[test]
fn log_and_files() {
    let options = read(
        "debug: true\ntrace: true\nlogtime: false\nlog_file: \"/l\"\nlogfile_size_limit: 1MB\nlogfile_max_num: 3\n\
         max_traced_msg_len: 10\npid_file: \"/p\"\nports_file_dir: \"/q\"\nserver_tags: [a, b]\nserver_metadata: {k: v}\n\
         http: \"127.0.0.1:8222\"\nhttp_base_path: \"/x\"",
    );
    assert!(options.log.debug && options.log.trace && !options.log.time);
    assert_eq!(
        (options.log.file_bytes_max, options.log.files_max),
        (Some(1 << 20), Some(3))
    );
    assert_eq!(options.server_metadata["k"], "v");
    let http = options.monitoring.http.unwrap();
    assert_eq!(
        (http.host.as_deref(), http.port),
        (Some("127.0.0.1"), Some(8222))
    );
}
