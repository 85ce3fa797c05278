//! The little language of the scripts: what is sent, and how many answers are waited for.
//!
//! A script begins with `# title`, or `# differs: title` where the two servers do not say the same; a line that begins with `//` is a comment. Every other line is a step:
//!
//! ```text
//! api STREAM.INFO.S {"offset":0}        request to $JS.API, one answer
//! api* 3 DIRECT.GET.S {"batch":2}       the same with three answers
//! api [Header: value] INFO              the same with headers
//! until STREAM.INFO.S "messages":2       asks again until the answer contains the text
//! silent BOGUS                          an API request that nobody may answer
//! pub s.a [Nats-Msg-Id: 1; A: b] text   publish and wait for the acknowledgement
//! send s.a [..] text                    publish without a reply subject
//! to 2 any.subject [..] text            request with two answers
//! next S.C 3 {"batch":3}                pull request to consumer C of S, three frames
//! ack 0 -NAK                            answers the first delivered message
//! ack! 0 +ACK                           the same as a request, one answer
//! ack* 2 0 +NXT 2                       the same as a request, two answers
//! sub d.x                               subscribes; sub d.x workers: in a queue group
//! unsub d.x
//! more 2                                two more frames of pull requests
//! more 2 d.x                            two more frames of this subscription
//! reply d.x                             an empty message to the reply of its last frame, or to Nats-Consumer-Stalled
//! repeat 10 s.a text-{n}                ten publishes without reply
//! fence                                 everything that came and was not waited for
//! ```
//!
//! In every line `{x*300}` stands for 300 times x, `{+2s}` for the time two seconds after the script began.

/// One line of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// As it is written.
    pub(crate) line: String,
    /// What it does.
    pub(crate) verb: String,
    /// How many answers are waited for.
    pub(crate) count: usize,
    /// Subject, consumer or number of a message.
    pub(crate) target: String,
    /// Header lines with their ends.
    pub(crate) headers: String,
    /// The rest of the line.
    pub(crate) payload: String,
}

/// A titled list of steps that starts from an empty server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// What it shows.
    pub(crate) title: String,
    /// In order.
    pub(crate) steps: Vec<Step>,
}

/// Reads a file of scripts.
pub(crate) fn parse(text: &str) -> Vec<Script> {
    let mut scripts: Vec<Script> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(title) = line.strip_prefix("# ") {
            scripts.push(Script {
                title: title.to_owned(),
                steps: Vec::new(),
            });
        } else if !line.is_empty() && !line.starts_with("//") {
            let script = scripts.last_mut().expect("a title comes first");
            script.steps.push(step(line));
        }
    }
    scripts
}

fn step(line: &str) -> Step {
    let (verb, mut rest) = word(line);
    let mut count = usize::from(!matches!(
        verb,
        "silent" | "until" | "send" | "ack" | "sub" | "unsub" | "reply" | "fence"
    ));
    let counted_first = matches!(verb, "api*" | "to" | "more" | "repeat" | "ack*");
    if counted_first {
        let (number, after) = word(rest);
        count = number.parse().unwrap_or_else(|_| panic!("a count: {line}"));
        rest = after;
    }
    let mut headers = bracket(&mut rest);
    let (target, mut rest) = word(rest);
    if headers.is_empty() {
        headers = bracket(&mut rest);
    }
    if verb == "next" {
        let (number, after) = word(rest);
        count = number.parse().unwrap_or_else(|_| panic!("a count: {line}"));
        rest = after;
    }
    Step {
        line: line.to_owned(),
        verb: verb.to_owned(),
        count,
        target: target.to_owned(),
        headers,
        payload: rest.to_owned(),
    }
}

fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_once(' ').unwrap_or((text, ""))
}

/// Header lines in brackets at the start of `rest`, which moves past them.
fn bracket(rest: &mut &str) -> String {
    let trimmed = rest.trim_start();
    let Some((inside, after)) = trimmed
        .strip_prefix('[')
        .and_then(|text| text.split_once(']'))
    else {
        return String::new();
    };
    // JSON lists are payloads, not headers.
    if !inside.contains(':') || inside.starts_with(['"', '{']) {
        return String::new();
    }
    *rest = after.strip_prefix(' ').unwrap_or(after);
    inside
        .split("; ")
        .map(|header| format!("{header}\r\n"))
        .collect()
}
