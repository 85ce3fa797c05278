//! Which messages of an origin are copied, and under which subject.

use bytes::Bytes;
use storage::stream::SubjectPattern;

use crate::jetstream::config::StreamSource;
use crate::transform::{Transform, TransformError};

/// The filters of one origin, with what becomes of the subjects that they match.
#[derive(Debug, Clone)]
pub(crate) struct Selection(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    filter: String,
    /// `None`: the subject stays.
    transform: Option<Transform>,
}

impl Selection {
    /// Reads what is configured.
    ///
    /// # Errors
    /// A transform is none.
    pub(crate) fn new(source: &StreamSource) -> Result<Self, TransformError> {
        if source.subject_transforms.is_empty() {
            return Ok(Self(vec![Rule {
                filter: source.filter_subject.clone(),
                transform: None,
            }]));
        }
        let rule = |one: &crate::jetstream::config::SubjectTransform| {
            let transform = match one.dest.as_str() {
                "" => None,
                dest => Some(Transform::parse(&one.src, dest)?),
            };
            Ok(Rule {
                filter: one.src.clone(),
                transform,
            })
        };
        let rules = source.subject_transforms.iter().map(rule);
        Ok(Self(rules.collect::<Result<_, TransformError>>()?))
    }

    /// Which subjects are copied; empty: all.
    pub(crate) fn filters(&self) -> Vec<String> {
        if self.0.iter().any(|rule| is_everything(&rule.filter)) {
            return Vec::new();
        }
        self.0.iter().map(|rule| rule.filter.clone()).collect()
    }

    /// What a reader of the origin has to look for; empty: everything.
    pub(crate) fn patterns(&self) -> Vec<SubjectPattern> {
        let filters = self.filters();
        let patterns = filters.iter();
        patterns.filter_map(SubjectPattern::parse).collect()
    }

    /// The subject under which a message is stored; `None`: it is not copied.
    pub(crate) fn apply(&self, subject: &Bytes) -> Option<Bytes> {
        let rule = self.0.iter().find(|rule| {
            is_everything(&rule.filter) || crate::subject::matches(rule.filter.as_bytes(), subject)
        })?;
        match &rule.transform {
            Some(transform) => transform.apply(subject),
            None => Some(subject.clone()),
        }
    }
}

fn is_everything(filter: &str) -> bool {
    matches!(filter, "" | ">")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::config::SubjectTransform;

    fn selection(filter: &str, transforms: &[(&str, &str)]) -> Selection {
        let transform = |(src, dest): &(&str, &str)| SubjectTransform {
            src: (*src).to_owned(),
            dest: (*dest).to_owned(),
        };
        let source = StreamSource {
            filter_subject: filter.to_owned(),
            subject_transforms: transforms.iter().map(transform).collect(),
            ..StreamSource::default()
        };
        Selection::new(&source).expect("valid")
    }

    #[track_caller]
    fn check(selection: &Selection, subject: &'static str, stored: Option<&str>) {
        let applied = selection.apply(&Bytes::from_static(subject.as_bytes()));
        assert_eq!(applied.as_deref(), stored.map(str::as_bytes), "{subject}");
    }

    #[test]
    fn without_a_filter_everything_is_copied_as_it_is() {
        let all = selection("", &[]);
        assert!(all.patterns().is_empty());
        check(&all, "a.b", Some("a.b"));
    }

    #[test]
    fn a_filter_lets_through_what_it_matches() {
        let filtered = selection("a.*", &[]);
        assert_eq!(filtered.patterns().len(), 1);
        check(&filtered, "a.b", Some("a.b"));
        check(&filtered, "a.b.c", None);
    }

    #[test]
    fn the_first_transform_that_matches_is_taken() {
        let transformed = selection("", &[("a.*", "x.$1"), ("b.>", ""), ("c.1", "one")]);
        assert_eq!(transformed.patterns().len(), 3);
        check(&transformed, "a.k", Some("x.k"));
        check(&transformed, "b.k", Some("b.k"));
        check(&transformed, "c.1", Some("one"));
        check(&transformed, "c.2", None);
        let moved = selection("", &[("", "p.>")]);
        assert!(moved.patterns().is_empty());
        check(&moved, "a.b", Some("p.a.b"));
    }

    #[test]
    fn what_is_no_transform_is_refused() {
        let source = StreamSource {
            subject_transforms: vec![SubjectTransform {
                src: "a.*".to_owned(),
                dest: "b.$2".to_owned(),
            }],
            ..StreamSource::default()
        };
        assert!(Selection::new(&source).is_err());
    }
}
