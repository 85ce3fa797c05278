//! What a publisher may ask of a schedule.

use bytes::Bytes;
use storage::stream::{Append, Rollup};

use super::expression::Expression;
use crate::jetstream::error_code::{self as code, ApiError};
use crate::jetstream::publish::headers::PublishHeaders;
use crate::jetstream::publish::life_time::parse_life_time;
use crate::jetstream::publish::rules::Rules;
use crate::proto::headers::BlockEdit;
use crate::subject;

/// What a message does to the schedules of its stream once it is stored.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// It is a schedule, in place of the one its subject may have had.
    Set(Expression),
    /// It is none: its subject has no schedule any more.
    Clear,
    /// It ends the schedule of another subject.
    End(Bytes),
}

/// Reads what `headers` ask for. The message will be stored under `subject`.
///
/// # Errors
/// The stream has no schedules, or something about this one is wrong.
pub(crate) fn change(
    rules: &Rules,
    headers: &PublishHeaders<'_>,
    own_subject: &[u8],
) -> Result<Change, ApiError> {
    let Some(text) = headers.schedule else {
        return end(rules, headers);
    };
    if !rules.allow_schedules {
        return Err(code::MESSAGE_SCHEDULES_DISABLED.into());
    }
    let expression = Expression::parse(text, headers.schedule_time_zone)?;
    if let Some(life_time) = headers.schedule_life_time {
        parse_life_time(life_time).ok_or(code::MESSAGE_SCHEDULES_TTL_INVALID)?;
        if !rules.allow_life_time {
            return Err(code::MESSAGE_TTL_DISABLED.into());
        }
    }
    let target = headers.schedule_target.unwrap_or_default();
    if target == own_subject || !is_taken(rules, target) {
        return Err(code::MESSAGE_SCHEDULES_TARGET_INVALID.into());
    }
    if let Some(source) = headers.schedule_source
        && (source == target || source == own_subject || !is_taken(rules, source))
    {
        return Err(code::MESSAGE_SCHEDULES_SOURCE_INVALID.into());
    }
    let is_sub = |value: Option<&[u8]>| value.is_none_or(|value| value == b"sub");
    if !is_sub(headers.schedule_rollup) || !is_sub(headers.rollup) {
        return Err(code::MESSAGE_SCHEDULES_ROLLUP_INVALID.into());
    }
    Ok(Change::Set(expression))
}

/// A schedule replaces the one that its subject has, whether its publisher says so or not.
pub(crate) fn store_as_schedule(append: &mut Append) {
    if append.rollup.is_none() {
        append.rollup = Some(Rollup::Subject);
        append.headers = BlockEdit::without(&append.headers, |_| false)
            .with("Nats-Rollup", "sub")
            .finish();
    }
}

/// What a schedule made carries two headers, and a publisher may send them to end one.
fn end(rules: &Rules, headers: &PublishHeaders<'_>) -> Result<Change, ApiError> {
    if !rules.allow_schedules {
        return Ok(Change::Clear);
    }
    match (headers.scheduler, headers.schedule_next) {
        (None, None) => Ok(Change::Clear),
        (Some(scheduler), Some(b"purge")) if subject::is_literal(scheduler) => {
            Ok(Change::End(Bytes::copy_from_slice(scheduler)))
        }
        _ => Err(code::MESSAGE_SCHEDULES_SCHEDULER_INVALID.into()),
    }
}

/// Whether the stream takes a literal subject.
fn is_taken(rules: &Rules, name: &[u8]) -> bool {
    let mut filters = rules.subjects.iter();
    subject::is_literal(name) && filters.any(|filter| subject::matches(filter.as_bytes(), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules {
            subjects: vec!["s.>".to_owned(), "t.>".to_owned()],
            allow_schedules: true,
            allow_life_time: true,
            ..Rules::new("S", None)
        }
    }

    #[track_caller]
    fn check(lines: &str, expected: Result<(), u16>) {
        let block = format!("NATS/1.0\r\n{lines}\r\n\r\n");
        let headers = PublishHeaders::read(block.as_bytes());
        let change = change(&rules(), &headers, b"s.a");
        let outcome = change.map(|_| ()).map_err(|error| error.err_code);
        assert_eq!(outcome, expected, "{lines}");
    }

    fn hourly(lines: &str) -> String {
        format!("Nats-Schedule: @hourly\r\nNats-Schedule-Target: t.x\r\n{lines}")
    }

    #[test]
    fn targets_and_sources_are_other_subjects_of_the_stream() {
        check("Nats-Schedule: @hourly", Err(10190));
        for target in ["s.a", "t.*", "zzz", "t..x"] {
            let lines = format!("Nats-Schedule: @hourly\r\nNats-Schedule-Target: {target}");
            check(&lines, Err(10190));
        }
        check(&hourly(""), Ok(()));
        check(&hourly("Nats-Schedule-Source: t.y"), Ok(()));
        for source in ["t.x", "s.a", "zzz", "t.*"] {
            check(
                &hourly(&format!("Nats-Schedule-Source: {source}")),
                Err(10203),
            );
        }
    }

    #[test]
    fn life_time_and_rollup_are_checked() {
        check(&hourly("Nats-Schedule-TTL: 5m"), Ok(()));
        check(&hourly("Nats-Schedule-TTL: 500ms"), Err(10191));
        check(&hourly("Nats-Schedule-Rollup: sub"), Ok(()));
        check(&hourly("Nats-Schedule-Rollup: all"), Err(10192));
        check(&hourly("Nats-Rollup: all"), Err(10192));
    }

    #[test]
    fn only_the_end_of_a_schedule_can_be_forged() {
        check("Nats-Scheduler: s.q", Err(10212));
        check("Nats-Schedule-Next: purge", Err(10212));
        check(
            "Nats-Scheduler: s.*\r\nNats-Schedule-Next: purge",
            Err(10212),
        );
        check("Nats-Scheduler: s.q\r\nNats-Schedule-Next: x", Err(10212));
        check("Nats-Scheduler: s.q\r\nNats-Schedule-Next: purge", Ok(()));
    }

    #[test]
    fn a_stream_without_schedules_refuses_them() {
        let headers = PublishHeaders {
            schedule: Some(b"@hourly"),
            ..PublishHeaders::default()
        };
        let refused = change(&Rules::new("S", None), &headers, b"s").expect_err("refused");
        assert_eq!(refused.err_code, 10188);
    }
}
