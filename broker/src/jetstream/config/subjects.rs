//! The rules for what a stream captures, and for what becomes of subjects in it.

use super::StreamConfig;
use super::check::{invalid, require};
use super::origins::check_mapping;
use crate::jetstream::error_code::{self as code, ApiError};
use crate::subject::{self, SubjectFilter};

/// Subjects of JetStream itself.
const JETSTREAM: [&str; 3] = ["$JS.>", "$JSC.>", "$NRG.>"];

impl StreamConfig {
    pub(super) fn check_subjects(&mut self) -> Result<(), ApiError> {
        if self.subjects.is_empty() && !self.has_origin() {
            // A name that is no subject was refused before.
            self.subjects.push(self.name.clone());
            return Ok(());
        }
        for (index, subject) in self.subjects.iter().enumerate() {
            require(SubjectFilter::parse(subject).is_ok(), || {
                invalid("invalid subject")
            })?;
            self.check_reach(subject)?;
            let overlaps = |other: &&String| subject::overlap(other.as_bytes(), subject.as_bytes());
            if let Some(other) = self.subjects[index + 1..].iter().find(overlaps) {
                return Err(invalid(format_args!(
                    "subject {subject:?} overlaps with {other:?}"
                )));
            }
        }
        Ok(())
    }

    /// Whoever captures the API's own messages must not answer them.
    fn check_reach(&self, subject: &str) -> Result<(), ApiError> {
        if self.no_ack {
            return require(subject != ">" || self.num_replicas == 1, || {
                invalid("capturing all subjects requires replicas of 1")
            });
        }
        require(subject != ">", || {
            invalid("capturing all subjects requires no-ack to be true")
        })?;
        let reaches = |space: &str| subject::overlap(subject.as_bytes(), space.as_bytes());
        let is_within = |space: &str| subject::is_subset(subject.as_bytes(), space.as_bytes());
        require(
            !JETSTREAM.into_iter().any(reaches) || is_within("$JS.EVENT.>"),
            || invalid("subjects that overlap with jetstream api require no-ack to be true"),
        )?;
        require(!reaches("$SYS.>") || is_within("$SYS.ACCOUNT.>"), || {
            invalid("subjects that overlap with system api require no-ack to be true")
        })
    }

    pub(super) fn check_transforms(&mut self, pedantic: bool) -> Result<(), ApiError> {
        if let Some(transform) = &self.subject_transform {
            let src = &transform.src;
            require(src.is_empty() || SubjectFilter::parse(src).is_ok(), || {
                code::STREAM_TRANSFORM_INVALID_SOURCE.with(format_args!("invalid subject {src}"))
            })?;
            check_mapping(src, &transform.dest)
                .map_err(|error| code::STREAM_TRANSFORM_INVALID_DESTINATION.with(error))?;
        }
        self.check_republish(pedantic)
    }

    fn check_republish(&mut self, pedantic: bool) -> Result<(), ApiError> {
        let Some(mut republish) = self.republish.take() else {
            return Ok(());
        };
        if republish.src.is_empty() {
            require(!pedantic, || {
                code::PEDANTIC.with("republish source can not be empty")
            })?;
            republish.src = ">".to_owned();
        }
        // Everything to everything means: what the stream's own transform makes of it.
        if republish.src == ">"
            && republish.dest == ">"
            && let Some(transform) = &self.subject_transform
            && self.subjects == [transform.src.as_str()]
        {
            require(!pedantic, || {
                code::PEDANTIC.with("implicit republish based on subject transform")
            })?;
            republish.src.clone_from(&transform.dest);
            republish.dest.clone_from(&transform.dest);
        }
        let dest = republish.dest.as_bytes();
        let comes_back = |subject: &String| subject::overlap(dest, subject.as_bytes());
        require(!self.subjects.iter().any(comes_back), || {
            invalid("stream configuration for republish destination forms a cycle")
        })?;
        require(
            check_mapping(&republish.src, &republish.dest).is_ok(),
            || {
                invalid(format_args!(
                    "stream configuration for republish with transform from '{}' to '{}' not valid",
                    republish.src, republish.dest
                ))
            },
        )?;
        self.republish = Some(republish);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::jetstream::config::check::tests::{check_refused, checked};

    #[track_caller]
    fn check(subjects: &str, text: &str) {
        let json = format!(r#"{{"name":"S","subjects":{subjects}}}"#);
        match text {
            "" => drop(checked(&json, &[], false).expect("accepted")),
            text => check_refused(&json, 10052, text),
        }
    }

    #[test]
    fn subjects_are_valid_and_do_not_overlap() {
        check(r#"["a.*","b.>"]"#, "");
        for invalid in [r#"["a..b"]"#, r#"[""]"#, r#"["a b"]"#, r#"["a.>.b"]"#] {
            check(invalid, "invalid subject");
        }
        check(r#"["a","a"]"#, r#"subject "a" overlaps with "a""#);
        check(
            r#"["a.*","a.b.>","*.b.*"]"#,
            r#"subject "a.b.>" overlaps with "*.b.*""#,
        );
        check(r#"["a.*","a.b"]"#, r#"subject "a.*" overlaps with "a.b""#);
    }

    #[test]
    fn who_captures_the_api_must_not_answer_it() {
        let api = "subjects that overlap with jetstream api require no-ack to be true";
        check(
            r#"[">"]"#,
            "capturing all subjects requires no-ack to be true",
        );
        check(r#"["$JS.>"]"#, api);
        check(r#"["$JS.API.STREAM.>"]"#, api);
        check(r#"["$JS.EVENT.>"]"#, "");
        check(
            r#"["$SYS.>"]"#,
            "subjects that overlap with system api require no-ack to be true",
        );
        check(r#"["$SYS.ACCOUNT.>"]"#, "");
        checked(r#"{"name":"S","subjects":[">"],"no_ack":true}"#, &[], false).expect("accepted");
    }

    #[test]
    fn transforms_must_be_possible() {
        check_refused(
            r#"{"name":"S","subject_transform":{"src":"a..b","dest":"b"}}"#,
            10155,
            "stream transform source: invalid subject a..b",
        );
        check_refused(
            r#"{"name":"S","subject_transform":{"src":"a","dest":"b..c"}}"#,
            10156,
            "stream transform: invalid mapping destination: invalid transform",
        );
        checked(
            r#"{"name":"S","subject_transform":{"src":"a","dest":""}}"#,
            &[],
            false,
        )
        .expect("accepted");
    }

    #[test]
    fn republished_messages_must_not_come_back() {
        check_refused(
            r#"{"name":"S","subjects":["b.>"],"republish":{"src":">","dest":"b.>"}}"#,
            10052,
            "stream configuration for republish destination forms a cycle",
        );
        check_refused(
            r#"{"name":"S","subjects":["b.>"],"republish":{"src":"b.*","dest":"c.{{wildcard(3)}}"}}"#,
            10052,
            "stream configuration for republish with transform from 'b.*' to 'c.{{wildcard(3)}}' not valid",
        );
        let json = r#"{"name":"S","subjects":["a.>"],"republish":{"src":">","dest":">"},
            "subject_transform":{"src":"a.>","dest":"b.>"}}"#;
        let republish = checked(json, &[], false).expect("accepted").republish;
        assert_eq!(republish.expect("there").dest, "b.>");
    }
}
