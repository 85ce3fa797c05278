//! `exports` and `imports` of an account.

use super::report::{Pair, Report, each};
use crate::accounts::{
    Export, Import, Latency, ResponseType, ServiceExport, ServiceImport, StreamExport, StreamImport,
};
use crate::config_file::value::{Node, Value};

/// `exports: [ … ]`.
pub(super) fn exports(pair: Pair<'_>, report: &mut Report) -> Vec<Export> {
    entries(pair, "Exports", report)
        .iter()
        .filter_map(|item| export(item, report))
        .collect()
}

/// `imports: [ … ]`.
pub(super) fn imports(pair: Pair<'_>, report: &mut Report) -> Vec<Import> {
    entries(pair, "Imports", report)
        .iter()
        .filter_map(|item| import(item, report))
        .collect()
}

fn entries<'a>(pair: Pair<'a>, what: &str, report: &mut Report) -> &'a [Node] {
    match &pair.node.value {
        Value::Array(items) => items,
        other => {
            let kind = other.kind();
            pair.error(report, format!("{what} should be an array, got {kind}"));
            &[]
        }
    }
}

/// What either kind of export may say, until it is known which one it is.
#[derive(Default)]
struct RawExport {
    stream: Option<String>,
    service: Option<String>,
    accounts: Option<Vec<String>>,
    response: Option<ResponseType>,
    threshold: Option<std::time::Duration>,
    latency: Option<Latency>,
    position: Option<usize>,
    allow_trace: bool,
}

fn export(item: &Node, report: &mut Report) -> Option<Export> {
    let Value::Map(map) = &item.value else {
        let kind = item.value.kind();
        report.error(
            &item.position,
            format!("Export Items should be a map with type entry, got {kind}"),
        );
        return None;
    };
    let mut raw = RawExport::default();
    let mut for_service = Vec::new();
    each(map, report, |name, pair, report| {
        match name {
            "stream" => {
                raw.stream = pair.text(report);
                if let (Some(stream), true) = (&raw.stream, raw.service.is_some()) {
                    pair.error(
                        report,
                        format!("Detected stream {stream:?} but already saw a service"),
                    );
                }
            }
            "service" => {
                raw.service = pair.text(report);
                if let (Some(service), true) = (&raw.service, raw.stream.is_some()) {
                    pair.error(
                        report,
                        format!("Detected service {service:?} but already saw a stream"),
                    );
                }
            }
            "response" | "response_type" => {
                for_service.push(("response", pair.position().clone()));
                raw.response = response_type(pair, report);
            }
            "threshold" | "response_threshold" | "response_max_time" | "response_time" => {
                for_service.push(("threshold", pair.position().clone()));
                raw.threshold = threshold(pair, report);
            }
            "latency" => {
                for_service.push(("latency", pair.position().clone()));
                raw.latency = latency(pair, report);
            }
            "accounts" => {
                if pair.array(report).is_some() {
                    raw.accounts = pair.texts(report);
                }
            }
            "account_token_position" => {
                let position = pair.integer(report).map(usize::try_from);
                raw.position = position
                    .and_then(Result::ok)
                    .filter(|position| *position > 0);
            }
            "allow_trace" => {
                for_service.push(("allow_trace", pair.position().clone()));
                raw.allow_trace = pair.boolean(report).unwrap_or_default();
            }
            _ => return false,
        }
        true
    });
    match (raw.stream, raw.service) {
        (Some(subject), None) => {
            for (directive, position) in for_service {
                report.error(
                    &position,
                    format!("Detected {directive} directive on non-service"),
                );
            }
            Some(Export::Stream(StreamExport {
                subject,
                accounts: raw.accounts,
                account_token_position: raw.position,
            }))
        }
        (None, Some(subject)) => Some(Export::Service(ServiceExport {
            subject,
            accounts: raw.accounts,
            response: raw.response.unwrap_or_default(),
            threshold: raw.threshold.unwrap_or(ServiceExport::THRESHOLD),
            account_token_position: raw.position,
            latency: raw.latency,
            allow_trace: raw.allow_trace,
        })),
        (None, None) => {
            report.error(&item.position, "an export needs a stream or a service");
            None
        }
        (Some(_), Some(_)) => None,
    }
}

fn response_type(pair: Pair<'_>, report: &mut Report) -> Option<ResponseType> {
    let text = pair.text(report)?;
    match text.to_lowercase().as_str() {
        "single" | "singleton" => Some(ResponseType::Single),
        "stream" => Some(ResponseType::Stream),
        "chunk" | "chunked" => Some(ResponseType::Chunked),
        _ => {
            pair.error(report, format!("Unknown response type: {text:?}"));
            None
        }
    }
}

fn threshold(pair: Pair<'_>, report: &mut Report) -> Option<std::time::Duration> {
    let text = pair.text(report)?;
    super::units::duration(&text)
        .map_err(|_| {
            let reason = format!(
                "Expected response threshold to be a parseable time duration, got {text:?}"
            );
            pair.error(report, reason);
        })
        .ok()
}

/// `latency: subject` or `latency: {sampling: 50%, subject: x}`.
fn latency(pair: Pair<'_>, report: &mut Report) -> Option<Latency> {
    let Value::Map(map) = &pair.node.value else {
        let subject = pair.text(report)?;
        return Some(Latency {
            sampling_percent: 100,
            subject,
        });
    };
    let mut latency = Latency {
        sampling_percent: 100,
        subject: String::new(),
    };
    each(map, report, |name, pair, report| {
        match name {
            "sampling" => {
                let percent = match &pair.node.value {
                    Value::String(text) if text.eq_ignore_ascii_case("headers") => Some(0),
                    _ => percent(pair.node),
                };
                match percent {
                    Some(percent) => latency.sampling_percent = percent,
                    None => pair.error(report, "latency sampling is from 1 to 100, or \"headers\""),
                }
            }
            "subject" => latency.subject = pair.text(report).unwrap_or_default(),
            _ => return false,
        }
        true
    });
    Some(latency)
}

/// `50`, `"50"` or `"50%"`, from 1 to 100.
pub(super) fn percent(node: &Node) -> Option<u8> {
    let number = match &node.value {
        Value::Integer(number) => *number,
        Value::String(text) => text.trim_end_matches('%').trim().parse().ok()?,
        _ => return None,
    };
    u8::try_from(number)
        .ok()
        .filter(|percent| (1..=100).contains(percent))
}

fn import(item: &Node, report: &mut Report) -> Option<Import> {
    let Value::Map(map) = &item.value else {
        let kind = item.value.kind();
        report.error(
            &item.position,
            format!("Import Items should be a map with type entry, got {kind}"),
        );
        return None;
    };
    let (mut stream, mut service, mut prefix, mut to) = (None, None, None, None);
    let (mut share, mut trace) = (false, None);
    each(map, report, |name, pair, report| {
        match name {
            "stream" => stream = source(pair, "Stream", report),
            "service" => service = source(pair, "Service", report),
            "prefix" => prefix = pair.text(report),
            "to" => to = pair.text(report),
            "share" => share = pair.boolean(report).unwrap_or_default(),
            "allow_trace" => {
                trace = pair
                    .boolean(report)
                    .map(|allowed| (allowed, pair.position().clone()));
            }
            _ => return false,
        }
        true
    });
    match (stream, service) {
        (Some((account, subject)), None) => {
            if prefix.is_some() && to.is_some() {
                report.error(
                    &item.position,
                    "Stream import can not have a 'prefix' and a 'to' property",
                );
            }
            Some(Import::Stream(StreamImport {
                account,
                subject,
                to,
                prefix,
                allow_trace: trace.is_some_and(|(allowed, _)| allowed),
            }))
        }
        (None, Some((account, subject))) => {
            if let Some((true, position)) = trace {
                report.error(&position, "Detected allow_trace directive on a non-stream");
            }
            // What has a prefix is asked under the prefix, in front of the subject there.
            let to = to.or_else(|| {
                prefix.map(|prefix| format!("{}.{subject}", prefix.trim_end_matches('.')))
            });
            Some(Import::Service(ServiceImport {
                account,
                subject,
                to,
                share,
            }))
        }
        (Some(_), Some(_)) => {
            report.error(
                &item.position,
                "an import is of a stream or of a service, not of both",
            );
            None
        }
        (None, None) => {
            // What is wrong with a stream or service was said already.
            if map.get("stream").or_else(|| map.get("service")).is_none() {
                report.error(&item.position, "an import needs a stream or a service");
            }
            None
        }
    }
}

/// `{account: A, subject: x}`.
fn source(pair: Pair<'_>, what: &str, report: &mut Report) -> Option<(String, String)> {
    let Value::Map(map) = &pair.node.value else {
        let kind = pair.node.value.kind();
        pair.error(
            report,
            format!("{what} entry should be an account map, got {kind}"),
        );
        return None;
    };
    let (mut account, mut subject) = (None, None);
    each(map, report, |name, pair, report| {
        match name {
            "account" => account = pair.text(report),
            "subject" => subject = pair.text(report),
            _ => return false,
        }
        true
    });
    let both = account.zip(subject);
    if both.is_none() {
        pair.error(report, "Expect an account name and a subject");
    }
    both
}
