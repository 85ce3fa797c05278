//! The rules for mirrors and sources.

use std::collections::VecDeque;

use hashbrown::HashSet;

use super::check::{Checks, invalid, is_name, require};
use super::source::SourceConsumer;
use super::{External, StreamConfig, StreamSource, SubjectTransform};
use crate::jetstream::error_code::{self as code, ApiError, ErrorCode};
use crate::subject::{self, Subject, SubjectFilter};
use crate::transform::Transform;

/// What the API's subjects begin with.
const API: &str = "$JS.API";

impl StreamConfig {
    pub(super) fn check_origins(&mut self, checks: &Checks<'_>) -> Result<(), ApiError> {
        if let Some(mirror) = self.mirror.clone() {
            self.check_mirror(&mirror)?;
            self.inherit_direct(&mirror, checks)?;
        }
        self.check_sources()?;
        self.check_sizes(checks)?;
        self.check_prefixes(checks)?;
        self.check_cycles(checks)?;
        self.check_filters()
    }

    fn check_filters(&self) -> Result<(), ApiError> {
        let mirror = self.mirror.iter();
        let mirror = mirror.map(|mirror| (mirror, "for the mirror invalid subject"));
        let sources = self.sources.iter();
        let sources = sources.map(|source| (source, "for the source: invalid subject"));
        for (origin, reason) in mirror.chain(sources) {
            let filter = &origin.filter_subject;
            require(
                filter.is_empty() || SubjectFilter::parse(filter).is_ok(),
                || code::STREAM_CREATE.with(format_args!("subject filter '{filter}' {reason}")),
            )?;
        }
        Ok(())
    }

    fn check_mirror(&self, mirror: &StreamSource) -> Result<(), ApiError> {
        let excluded: [(bool, ErrorCode); 7] = [
            (self.first_seq > 0, code::MIRROR_WITH_FIRST_SEQ),
            (!self.subjects.is_empty(), code::MIRROR_WITH_SUBJECTS),
            (!self.sources.is_empty(), code::MIRROR_WITH_SOURCES),
            (self.allow_msg_counter, code::MIRROR_WITH_COUNTERS),
            (self.allow_atomic, code::MIRROR_WITH_ATOMIC_PUBLISH),
            (self.allow_batched, code::MIRROR_WITH_BATCH_PUBLISH),
            (self.allow_msg_schedules, code::MIRROR_WITH_MSG_SCHEDULES),
        ];
        if let Some((_, error)) = excluded.iter().find(|(is_set, _)| *is_set) {
            return Err((*error).into());
        }
        require(has_valid_consumer(mirror), || {
            code::MIRROR_DURABLE_CONSUMER_CFG_INVALID.into()
        })?;
        require(has_one_kind_of_filter(mirror), || {
            code::MIRROR_MULTIPLE_FILTERS_NOT_ALLOWED.into()
        })?;
        require(self.subject_delete_marker_ttl.is_zero(), || {
            invalid("subject delete markers forbidden on mirrors")
        })?;
        let transforms = &mirror.subject_transforms;
        for (index, transform) in transforms.iter().enumerate() {
            check_transform(
                transform,
                code::MIRROR_INVALID_SUBJECT_FILTER,
                code::MIRROR_INVALID_TRANSFORM_DESTINATION,
            )?;
            let overlaps = |(other, theirs): (usize, &SubjectTransform)| {
                other != index && subject::overlap(transform.src.as_bytes(), theirs.src.as_bytes())
            };
            require(!transforms.iter().enumerate().any(overlaps), || {
                code::MIRROR_OVERLAPPING_SUBJECT_FILTERS.into()
            })?;
        }
        require(mirror.external.is_some() || is_name(&mirror.name), || {
            code::MIRROR_INVALID_STREAM_NAME.into()
        })
    }

    /// A mirror answers direct gets for its origin if that one does.
    fn inherit_direct(
        &mut self,
        mirror: &StreamSource,
        checks: &Checks<'_>,
    ) -> Result<(), ApiError> {
        if mirror.external.is_some() {
            return Ok(());
        }
        let Some(origin) = (checks.find)(&mirror.name) else {
            return Ok(());
        };
        require(
            !checks.pedantic || self.mirror_direct == origin.allow_direct,
            || code::PEDANTIC.with("origin stream has direct get set, mirror has it disabled"),
        )?;
        self.mirror_direct = origin.allow_direct;
        Ok(())
    }

    fn check_sources(&self) -> Result<(), ApiError> {
        require(self.sources.is_empty() || !self.allow_msg_schedules, || {
            code::SOURCE_WITH_MSG_SCHEDULES.into()
        })?;
        let mut seen = HashSet::new();
        let mut consumers = HashSet::new();
        for source in &self.sources {
            require(is_name(&source.name), || {
                code::SOURCE_INVALID_STREAM_NAME.into()
            })?;
            let api = source.external.as_ref().map(|external| &external.api);
            let transforms: Vec<_> = source
                .subject_transforms
                .iter()
                .map(|transform| (&transform.src, &transform.dest))
                .collect();
            let identity = (&source.name, api, &source.filter_subject, transforms);
            require(seen.insert(identity), || {
                code::SOURCE_DUPLICATE_DETECTED.into()
            })?;
            check_source(source)?;
            if let Some(consumer) = &source.consumer {
                require(
                    consumers.insert((&source.name, api, &consumer.name)),
                    || code::SOURCE_DURABLE_CONSUMER_DUPLICATE_DETECTED.into(),
                )?;
            }
        }
        Ok(())
    }

    /// What the origin takes must fit here.
    fn check_sizes(&self, checks: &Checks<'_>) -> Result<(), ApiError> {
        let mirror = self.mirror.iter().map(|mirror| {
            let is_named = mirror.external.is_none();
            (is_named, mirror, code::MIRROR_MAX_MESSAGE_SIZE_TOO_BIG)
        });
        let sources = self.sources.iter().map(|source| {
            let is_named = source.external.is_none();
            (is_named, source, code::SOURCE_MAX_MESSAGE_SIZE_TOO_BIG)
        });
        for (is_named, origin, error) in mirror.chain(sources) {
            let theirs = is_named
                .then(|| (checks.find)(&origin.name))
                .flatten()
                .map_or(-1, |origin| origin.max_msg_size);
            let is_small = self.max_msg_size > 0 && theirs > 0 && self.max_msg_size < theirs;
            require(!is_small, || error.into())?;
        }
        Ok(())
    }

    fn origins(&self) -> impl Iterator<Item = &StreamSource> {
        self.mirror.iter().chain(&self.sources)
    }

    /// Prefixes of other accounts and domains must not lead back here.
    fn check_prefixes(&self, checks: &Checks<'_>) -> Result<(), ApiError> {
        let near = self.origins().filter(|origin| origin.external.is_none());
        let subjects: Vec<String> = near
            .filter_map(|origin| (checks.find)(&origin.name))
            .flat_map(|origin| origin.subjects.clone())
            .collect();
        let externals = || self.origins().filter_map(|origin| origin.external.as_ref());
        for External { deliver, .. } in externals().filter(|external| !external.deliver.is_empty())
        {
            require(Subject::parse(deliver).is_ok(), || {
                code::STREAM_INVALID_EXTERNAL_DELIVERY_SUBJ.with(deliver)
            })?;
            for subject in &subjects {
                let prefixed = format!("{deliver}.{subject}");
                require(
                    !subject::overlap(subject.as_bytes(), prefixed.as_bytes()),
                    || {
                        ApiError {
                        description: format!(
                            "stream external delivery prefix {deliver} overlaps with stream subject {subject}"
                        )
                        .into(),
                        ..code::STREAM_EXTERNAL_DEL_PREFIX_OVERLAPS.into()
                    }
                    },
                )?;
            }
        }
        for External { api, .. } in externals().filter(|external| !external.api.is_empty()) {
            require(Subject::parse(api).is_ok(), || {
                invalid(format_args!(
                    "stream external api prefix {api:?} must be a valid subject without wildcards"
                ))
            })?;
            require(!subject::overlap(api.as_bytes(), API.as_bytes()), || {
                ApiError {
                    description: format!(
                        "stream external api prefix {api} must not overlap with {API}"
                    )
                    .into(),
                    ..code::STREAM_EXTERNAL_API_OVERLAP.into()
                }
            })?;
        }
        Ok(())
    }

    /// A message must not come back to a stream that it has left.
    fn check_cycles(&self, checks: &Checks<'_>) -> Result<(), ApiError> {
        let cycle = || invalid("detected cycle");
        let mut visited = HashSet::new();
        let mut ahead = VecDeque::from([std::sync::Arc::new(self.clone())]);
        while let Some(config) = ahead.pop_front() {
            visited.insert(config.name.clone());
            for source in &config.sources {
                if source.external.is_some() {
                    continue;
                }
                if visited.contains(&source.name) {
                    require(!takes(&config.subjects, &source.filter_subject), cycle)?;
                } else {
                    ahead.extend((checks.find)(&source.name));
                }
            }
            let near = config.mirror.as_ref();
            if let Some(mirror) = near.filter(|mirror| mirror.external.is_none()) {
                require(!visited.contains(&mirror.name), cycle)?;
                ahead.extend((checks.find)(&mirror.name));
            }
        }
        Ok(())
    }
}

fn check_source(source: &StreamSource) -> Result<(), ApiError> {
    require(has_one_kind_of_filter(source), || {
        code::SOURCE_MULTIPLE_FILTERS_NOT_ALLOWED.into()
    })?;
    let transforms = &source.subject_transforms;
    for transform in transforms {
        check_transform(
            transform,
            code::SOURCE_INVALID_SUBJECT_FILTER,
            code::SOURCE_INVALID_TRANSFORM_DESTINATION,
        )?;
    }
    for (index, transform) in transforms.iter().enumerate() {
        let is_within = |(other, theirs): (usize, &SubjectTransform)| {
            other != index && subject::is_subset(transform.src.as_bytes(), theirs.src.as_bytes())
        };
        require(!transforms.iter().enumerate().any(is_within), || {
            code::SOURCE_OVERLAPPING_SUBJECT_FILTERS.into()
        })?;
    }
    require(has_valid_consumer(source), || {
        code::SOURCE_DURABLE_CONSUMER_CFG_INVALID.into()
    })
}

fn has_one_kind_of_filter(origin: &StreamSource) -> bool {
    origin.filter_subject.is_empty() || origin.subject_transforms.is_empty()
}

/// A consumer that exists already has its own start and filter.
fn has_valid_consumer(origin: &StreamSource) -> bool {
    let Some(SourceConsumer {
        name,
        deliver_subject,
    }) = &origin.consumer
    else {
        return true;
    };
    is_name(name)
        && Subject::parse(deliver_subject).is_ok()
        && origin.opt_start_seq == 0
        && origin.opt_start_time.is_none()
        && origin.filter_subject.is_empty()
}

fn check_transform(
    transform: &SubjectTransform,
    source_error: ErrorCode,
    destination_error: ErrorCode,
) -> Result<(), ApiError> {
    let SubjectTransform { src, dest } = transform;
    require(src.is_empty() || SubjectFilter::parse(src).is_ok(), || {
        source_error.with(format_args!("invalid subject {src}"))
    })?;
    check_mapping(src, dest).map_err(|error| destination_error.with(error))
}

/// Whether a subject can be transformed so; without a destination it stays as it is.
pub(super) fn check_mapping(src: &str, dest: &str) -> Result<(), crate::transform::TransformError> {
    if dest.is_empty() {
        return Ok(());
    }
    Transform::parse(src, dest).map(drop)
}

fn takes(subjects: &[String], filter: &str) -> bool {
    filter.is_empty()
        || subjects
            .iter()
            .any(|subject| subject::overlap(subject.as_bytes(), filter.as_bytes()))
}

#[cfg(test)]
#[path = "origins_tests.rs"]
mod tests;
