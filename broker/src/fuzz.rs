//! What fuzzing reaches of the readers behind the network: whatever arrives is read or refused, and what was read keeps its
//! promises. `tests/fuzz` runs these for long, the test below for a moment.

mod connections;

use std::time::SystemTime;

use std::io;
use std::path::Path;

pub use connections::{connect, greeting, websocket};

use crate::auth::{ConnectRequest, ConnectionKind};
use crate::config_file::{Document, Options, Surroundings};
use crate::jetstream::api::decode::{decode, decode_json};
use crate::jetstream::backup::archive::records;
use crate::jetstream::config::check::Checks;
use crate::jetstream::config::consumer_check::Caps;
use crate::jetstream::consumer::ack::{Kind, ReplySubject, parse_subject};
use crate::jetstream::consumer::request::PullRequest;
use crate::jetstream::publish::headers::PublishHeaders;
use crate::jetstream::publish::schedule::expression::Expression;
use crate::jetstream::{ConsumerConfig, ConsumerLimits, JetStreamLimits, StreamConfig};
use crate::jwt::claims::{AccountClaims, UserClaims};
use crate::jwt::{self, Claims, Grant, KeyKind, KeyPair, PublicKey};
use crate::leaf::proto::op::{LeafMessage, LeafOp};
use crate::leaf::proto::parse::{LeafProgress, parse as parse_leaf};
use crate::leaf::proto::reply::split as split_reply;
use crate::proto::headers::{BlockEdit, Headers, raw_value, strip_reserved, without_status};
use crate::proto::op::Op;
use crate::proto::parse::{ParseLimits, Progress, parse};
use crate::subject::Subject;
use crate::transform::Transform;

const LIMITS: ParseLimits = ParseLimits {
    control_line_bytes_max: 128,
    payload_bytes_max: 512,
};

/// A client's bytes: read in pieces they are the same operations as in one piece. The first byte says how large pieces are.
pub fn protocol(bytes: &[u8]) {
    let Some((piece, stream)) = bytes.split_first() else {
        return;
    };
    let mut whole = Vec::new();
    let is_refused = operations(stream, stream.len().max(1), |op| whole.push(op));
    let mut expected = whole.into_iter();
    let again = operations(stream, usize::from(*piece % 16) + 1, |op| {
        assert_eq!(Some(op), expected.next());
    });
    assert_eq!(expected.next(), None);
    // Which of several mistakes is seen first may depend on how much has come; that there is one does not.
    assert_eq!(again, is_refused);
}

/// Reads every operation of a stream that comes in pieces. True: an error ended it.
fn operations<'a>(stream: &'a [u8], piece: usize, mut found: impl FnMut(Op<'a>)) -> bool {
    let (mut start, mut end) = (0, 0);
    while end < stream.len() {
        end = stream.len().min(end + piece);
        loop {
            let unread = &stream[start..end];
            match parse(unread, &LIMITS) {
                Ok(Progress::Op(op, len)) => {
                    found(op);
                    start += len;
                }
                Ok(Progress::More(needed)) => {
                    assert!(needed > unread.len(), "what is there was not enough");
                    break;
                }
                Err(_) => return true,
            }
        }
    }
    false
}

/// Another server's bytes on a leaf link: as [`protocol`], and a reply subject comes apart without losing anything.
pub fn leaf(bytes: &[u8]) {
    let Some((piece, stream)) = bytes.split_first() else {
        return;
    };
    let whole = leaf_operations(stream, stream.len().max(1));
    assert_eq!(leaf_operations(stream, usize::from(*piece % 16) + 1), whole);
}

/// Every operation of a link's stream, and the error that ends it.
fn leaf_operations(stream: &[u8], piece: usize) -> Vec<String> {
    let mut seen = Vec::new();
    let mut buffer = Vec::new();
    for bytes in stream.chunks(piece) {
        buffer.extend_from_slice(bytes);
        loop {
            match parse_leaf(&buffer, &LIMITS) {
                Ok(LeafProgress::Op(op, len)) => {
                    if let LeafOp::Message(message) = &op {
                        check_leaf_message(message);
                    }
                    seen.push(format!("{op:?}"));
                    buffer.drain(..len);
                }
                Ok(LeafProgress::More(needed)) => {
                    assert!(needed > buffer.len(), "what is there was not enough");
                    break;
                }
                // Which of several mistakes is seen first may depend on how much has come.
                Err(_) => {
                    seen.push("closed".to_owned());
                    return seen;
                }
            }
        }
    }
    seen
}

fn check_leaf_message(message: &LeafMessage<'_>) {
    assert!(message.header_len <= message.body.len());
    assert!(
        message
            .queues
            .iter()
            .all(|name| message.queues.contains(name))
    );
    let (reply, shown) = split_reply(message.reply);
    let shown_len = shown.map_or(0, |shown| shown.len() + 1);
    assert!(message.reply.starts_with(reply));
    // An `@` with nothing behind it is dropped.
    let rest = message.reply.len() - reply.len() - shown_len;
    assert!(rest <= 1 && (rest == 0 || message.reply.ends_with(b"@")));
}

/// A header block: no name that only the broker may set survives, and what is written reads back.
pub fn headers(block: &[u8]) {
    if let Some(stripped) = strip_reserved(block) {
        assert_eq!(strip_reserved(&stripped), None, "a reserved name is left");
    }
    let headers = Headers::parse(block);
    let written = headers.to_block();
    let again = Headers::parse(&written);
    assert_eq!(again.to_block(), written);
    assert_eq!(again.status(), headers.status());
    let _ = without_status(block);
    let _ = raw_value(block, "Nats-Msg-Id");
    let _ = PublishHeaders::read(block);
    let edited = BlockEdit::without(block, |name| name == b"Nats-TTL")
        .with("Nats-TTL", "1s")
        .finish();
    assert_eq!(PublishHeaders::read(&edited).life_time, Some(&b"1s"[..]));
}

/// The body of an API request: strict reading takes no more than lenient reading, and a configuration that was accepted is
/// the same when it is written, read and checked again, as happens at every start.
pub fn request(body: &[u8]) {
    let _ = decode_json::<ConsumerLimits>(body, true);
    let lenient = decode::<StreamConfig>(body, false);
    if decode::<StreamConfig>(body, true).is_ok() {
        assert!(lenient.is_ok());
    }
    let limits = JetStreamLimits::default();
    let checks = |pedantic| Checks {
        limits: &limits,
        pedantic,
        find: &|_| None,
    };
    let Ok(config) = lenient.and_then(|config| config.checked(&checks(false))) else {
        return;
    };
    let written = serde_json::to_vec(&config).expect("a configuration is plain values");
    let again = decode::<StreamConfig>(&written, true).expect("what was written is read");
    let again = again
        .checked(&checks(true))
        .expect("it was put right before");
    assert_eq!(again, config);
    let stored = config.to_storage(String::new());
    assert_eq!(stored.validate().err().map(|error| error.to_string()), None);
}

/// The body of a request about a consumer, and of a pull.
pub fn consumer_request(body: &[u8]) {
    if let Ok(pull) = PullRequest::parse(body) {
        assert!(pull.batch > 0);
    }
    let Ok(config) = decode::<ConsumerConfig>(body, false) else {
        return;
    };
    let stream = StreamConfig::with_name("S");
    let caps = Caps {
        ack_pending_max: None,
        request_batch_max: None,
    };
    if config.check(&stream, caps).is_err() {
        return;
    }
    let config = config.normalise(&stream);
    let written = serde_json::to_vec(&config).expect("a configuration is plain values");
    let again = decode::<ConsumerConfig>(&written, true).expect("what was written is read");
    assert_eq!(again.normalise(&stream), config);
    let _ = config.rules();
}

/// A subject that an acknowledgement came on, a line end, and its payload.
pub fn acknowledgement(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (subject, payload) = bytes.split_at(end.unwrap_or(bytes.len()));
    let _ = Kind::parse(payload.get(1..).unwrap_or_default());
    if let Some(place) = parse_subject(subject) {
        let mut reply = ReplySubject::new("S", "C");
        assert_eq!(parse_subject(reply.write(place, 0, 0)), Some(place));
    }
}

/// Two lines: a schedule and its time zone, as headers carry them. A time that is given has not gone by.
pub fn schedule(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let text = lines.next().unwrap_or_default();
    let Ok(schedule) = Expression::parse(text, lines.next()) else {
        return;
    };
    const NOW: u64 = 1_700_000_000_000_000_000;
    let next = schedule.next(NOW - 1, NOW);
    assert!(
        schedule.is_once() || next.is_none_or(|next| next > NOW),
        "{next:?}"
    );
}

/// A stream's backup: read in pieces it holds the same as in one piece. The first byte says how large pieces are.
pub fn backup(bytes: &[u8]) {
    if let Some((piece, archive)) = bytes.split_first() {
        let whole = records(archive, archive.len().max(1));
        assert_eq!(records(archive, usize::from(*piece % 16) + 1), whole);
    }
}

/// A configuration file: it is read or refused, and what it means is found out, without a panic and within limits.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let read = || Document::parse("fuzz.conf", text, &Alone);
    let Ok(document) = read() else {
        return;
    };
    assert_eq!(
        read().map(|again| again.digest).ok(),
        Some(document.digest.clone())
    );
    if let Ok(loaded) = Options::read(&document, &Alone) {
        let _ = loaded.options.to_config();
    }
}

/// A machine on which a file includes itself and variables name one another.
struct Alone;

impl Surroundings for Alone {
    fn read(&self, path: &Path) -> io::Result<String> {
        match path.to_str() {
            Some("a") => Ok("include a".to_owned()),
            Some("b") => Ok("X: 1".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        let text = match name {
            "A" => "$B",
            "B" => "[$A]",
            "C" => "{x: 1}",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// Three lines: source and destination of a transform, and a subject. What comes out is one again.
pub fn transform(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (source, destination, subject) = (line(), line(), line());
    let (Ok(transform), Ok(subject)) = (
        Transform::parse(source, destination),
        Subject::parse(subject),
    ) else {
        return;
    };
    if let Some(moved) = transform.apply(subject.as_bytes()) {
        let is_token = |token: &[u8]| {
            !matches!(token, b"" | b"*" | b">") && !token.iter().any(u8::is_ascii_whitespace)
        };
        let mut tokens = moved.split(|byte| *byte == b'.');
        assert!(tokens.all(is_token), "{moved:?}");
    }
}

/// Keys and JWTs. The first line is taken for a key, a seed and a JWT; the rest for the claims of one that is signed.
pub fn jwt(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let text = String::from_utf8_lossy(parts.next().unwrap_or_default());
    if let Ok(key) = PublicKey::parse(&text) {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(pair) = KeyPair::from_seed(&text) {
        assert_eq!(pair.seed(), text);
    }
    // Nothing that is not signed is read as claims.
    assert!(Claims::<UserClaims>::decode(&text).is_err());
    assert!(Claims::<AccountClaims>::decode(&text).is_err());
    let json = parts.next().unwrap_or_default();
    if let Ok(user) = serde_json::from_slice::<UserClaims>(json) {
        let mut grant = Grant::new("a", "A");
        grant.networks = user.limits.src.clone();
        grant.times = user.limits.times.clone();
        grant.times_zone.clone_from(&user.limits.times_location);
        let peer = ([127, 0, 0, 1], 1).into();
        let request = ConnectRequest::new(1, peer, ConnectionKind::Tcp);
        let _ = grant.admit(&request, SystemTime::now());
        let _ = user.limits.permissions.to_permissions();
    }
    if let Ok(account) = serde_json::from_slice::<AccountClaims>(json) {
        let key = KeyPair::generate(KeyKind::Account).public();
        jwt::exercise(Claims::new(key, account));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn anything_may_arrive(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            super::protocol(&bytes);
            super::leaf(&bytes);
            super::headers(&bytes);
            super::request(&bytes);
            super::consumer_request(&bytes);
            super::acknowledgement(&bytes);
            super::schedule(&bytes);
            super::backup(&bytes);
            super::transform(&bytes);
            super::jwt(&bytes);
            super::websocket(&bytes);
            super::greeting(&bytes);
            super::connect(&bytes);
            super::configuration(&bytes);
        }

        #[test]
        fn almost_right_configurations(
            text in "((port|listen|authorization|accounts|mappings|tls|jetstream|leafnodes|websocket|include|A|users|user|exports|x) ?[:= \n] ?([0-9]{1,20}[kmgib]{0,2}|\"[a-z.:%$ \\\\]{0,6}\"|'[^']{0,3}'|\\$[ABCX]|[a-z]{1,4}|[{]|\\[|\\[[{]|\\(\n)[,;\n }\\]]{0,3}){0,12}",
        ) {
            super::configuration(text.as_bytes());
        }

        #[test]
        fn almost_right_claims(
            user in "\\{\"type\":\"user\",\"version\":2(,\"(src|times|pub|sub|subs|tags|resp)\":(null|-1|\\[\"[0-9./]{0,6}\"\\]|\\{\"allow\":\\[\"[a-b.>*]{0,3}\"\\]\\}|\\[\\{\"start\":\"[0-9]{2}:00:00\"\\}\\]|\\{\"max\":-?[0-9]{1,19}\\})){0,4}\\}",
            account in "\\{\"type\":\"account\",\"version\":2(,\"(imports|exports|mappings|limits|revocations)\":(null|\\[\\{\"subject\":\"[a-b.>*]{0,3}\",\"type\":\"(stream|service|x)\"\\}\\]|\\{\"a\":\\[\\{\"subject\":\"b\",\"weight\":[0-9]{1,2}\\}\\]\\}|\\{\"conn\":-?[0-9]{1,19}\\})){0,3}\\}",
        ) {
            super::jwt(format!("\n{user}").as_bytes());
            super::jwt(format!("\n{account}").as_bytes());
        }

        #[test]
        fn almost_right_first_bytes(
            header in "PROXY (TCP4|TCP6|UNKNOWN)( [0-9a-f:.]{1,9}){0,4}(\r\n)?",
            request in "(GET|POST) /[a-z]{0,9} HTTP/1\\.[01]\r\n((Host|Upgrade|Connection|Origin|Cookie|X-Forwarded-For|Sec-WebSocket-Key|Sec-WebSocket-Version|Sec-WebSocket-Extensions): (websocket|Upgrade|13|YWFhYWFhYWFhYWFhYWFhYQ==|https?://[a-z:1]{0,5}|token=[a-z;\"]{0,4}|[0-9.,: ]{0,9}|permessage-deflate)\r\n){0,9}(\r\n)?",
            json in "[{](\"(user|pass|auth_token|jwt|protocol|verbose|echo)\":(\"[a-z\\\\u0-9]{0,30}\"|null|true|-?[0-9]{1,20}|[{]{1,9}),?){0,5}[}]?",
        ) {
            super::greeting(header.as_bytes());
            super::greeting(request.as_bytes());
            super::connect(json.as_bytes());
        }

        #[test]
        fn almost_right_frames(
            mode in any::<u8>(),
            frames in prop::collection::vec(
                (prop::sample::select(vec![0x81_u8, 0x82, 0x02, 0x00, 0x80, 0xc2, 0x42, 0x88, 0x89, 0x8a, 0x83]), 0_u8..20, any::<[u8; 4]>()),
                0..8,
            ),
        ) {
            let mut bytes = vec![mode];
            for (first, len, mask) in frames {
                bytes.extend([first, 0x80 | len]);
                bytes.extend(mask);
                bytes.extend(vec![len; usize::from(len)]);
            }
            super::websocket(&bytes);
        }

        #[test]
        fn almost_right_is_the_hardest(
            block in "(NATS/1.0( [0-9]{1,4}[ a-z]{0,3})?\r\n)?((Nats-TTL|nats-user|Nats-Request-Info|[ \ta-zé:]{1,5}):? ?[a-z ]{0,3}(\r\n|\n|\r)){0,5}(\r\n)?",
            json in "[{]?(\"(name|subjects|max_age|sources|mirror|discard)\":(1|\"a\"|\\[\"a\"\\]|null|[{]\"name\":\"b\"[}]|-1),?){0,4}[}]?",
            lines in "([ab*>.]{0,5}|\\{\\{(wildcard|partition|split|left)\\(1,?[0-9-]{0,2}\\)\\}\\}\\.?){0,2}\n[ab*>.]{0,6}\n[ab.]{0,6}",
        ) {
            super::headers(block.as_bytes());
            super::request(json.as_bytes());
            super::transform(lines.as_bytes());
        }

        #[test]
        fn almost_right_on_a_link(
            stream in "[\\x00-\\xff]((LS[+-] [a.*>]{1,4}( q( [0-9]{1,3})?)?|PING|-ERR '[a-z]{0,3}'|LMSG a( [|+])?( \\$JS\\.ACK\\.a\\.b\\.1\\.1\\.1\\.1\\.0@[a-z.]{0,3}| r)?( q)? 2\r\nhi|HMSG a r [0-3] 3\r\nHhi)\r\n){0,6}",
        ) {
            super::leaf(stream.as_bytes());
        }

        #[test]
        fn almost_right_about_consumers(
            json in "[{]\"(durable_name\":\"C|ack_policy\":\"(all|none|explicit))\"(,\"(max_deliver|ack_wait|backoff|max_ack_pending|batch|expires|idle_heartbeat|inactive_threshold)\":(-?[0-9]{1,19}|\\[[0-9]{1,3}\\])){0,4}[}]",
            ack in "\\$JS\\.ACK(\\.([0-9]{1,20}|[a-z])){0,9}\n(\\+ACK|\\+NXT [0-9]{1,3}|-NAK ([{]\"delay\":-?[0-9]{1,20}[}]|[0-9]{1,4}(ms|s|h)))?",
            schedule in "(@every [0-9]{1,12}(ms|s|h)?|@at 20[0-9]{2}-0[0-9]-1[0-9]T00:00:00Z|@[a-z]{1,8}|([*0-9,/L-]{1,4} ?){4,7})(\n(Europe/Berlin|UTC|x))?",
        ) {
            super::consumer_request(json.as_bytes());
            super::acknowledgement(ack.as_bytes());
            super::schedule(schedule.as_bytes());
        }
    }
}
