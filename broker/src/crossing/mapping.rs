//! Subject mappings: what is published on one subject is taken as published on another.

use std::sync::Arc;

use bytes::Bytes;

use crate::accounts::{AccountsError, Mapping};
use crate::subject;
use crate::transform::Transform;

/// All mappings of an account.
#[derive(Debug)]
pub(crate) struct Mappings {
    /// Those of a literal subject first: they are the closest.
    rules: Vec<Arc<Rule>>,
}

/// The mapping of one pattern.
#[derive(Debug)]
pub(crate) struct Rule {
    source: Box<str>,
    /// With the sum of the weights so far. What is left of a hundred stays as it is.
    destinations: Vec<(u32, Transform)>,
}

impl Mappings {
    /// Checks mappings and takes them apart; `None` where there are none.
    pub(crate) fn new(mappings: &[Mapping]) -> Result<Option<Arc<Self>>, AccountsError> {
        let mut rules = Vec::new();
        for mapping in mappings {
            rules.push(Arc::new(Rule::new(mapping)?));
        }
        rules.sort_by_key(|rule| subject::has_wildcard(rule.source.as_bytes()));
        Ok((!rules.is_empty()).then(|| Arc::new(Self { rules })))
    }

    /// The mapping that a subject falls under.
    pub(crate) fn rule(&self, subject: &[u8]) -> Option<&Arc<Rule>> {
        self.rules
            .iter()
            .find(|rule| subject::matches(rule.source.as_bytes(), subject))
    }
}

impl Rule {
    fn new(mapping: &Mapping) -> Result<Self, AccountsError> {
        let wrong = |reason: String| AccountsError::Mapping {
            from: mapping.source.clone(),
            reason,
        };
        if !subject::is_filter(mapping.source.as_bytes()) {
            return Err(wrong("invalid subject".to_owned()));
        }
        let mut sum = 0;
        let mut destinations = Vec::new();
        // Those of a cluster are for its servers: one server alone is in none.
        let here = mapping.destinations.iter();
        for destination in here.filter(|destination| destination.cluster.is_none()) {
            let transform = Transform::parse(&mapping.source, &destination.subject);
            let transform = transform.map_err(|error| wrong(error.to_string()))?;
            sum += u32::from(destination.weight_percent);
            destinations.push((sum, transform));
        }
        if sum > 100 {
            return Err(wrong("total weight needs to be <= 100".to_owned()));
        }
        Ok(Self {
            source: mapping.source.as_str().into(),
            destinations,
        })
    }

    /// Where one message goes; `random` is below a hundred. `None`: it stays.
    pub(crate) fn pick(&self, subject: &[u8], random: u32) -> Option<Bytes> {
        let mut all = self.destinations.iter();
        let (_, transform) = all.find(|(sum, _)| random < *sum)?;
        transform.apply(subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::MappedDestination;

    fn mapping(source: &str, destinations: &[(&str, u8)]) -> Mapping {
        let destinations = destinations
            .iter()
            .map(|(subject, weight)| MappedDestination {
                weight_percent: *weight,
                ..MappedDestination::new(*subject)
            });
        Mapping {
            source: source.to_owned(),
            destinations: destinations.collect(),
        }
    }

    fn pick(mappings: &[Mapping], subject: &str, random: u32) -> Option<String> {
        let mappings = Mappings::new(mappings).expect("mappings")?;
        let rule = mappings.rule(subject.as_bytes())?;
        let picked = rule.pick(subject.as_bytes(), random)?;
        Some(String::from_utf8_lossy(&picked).into_owned())
    }

    #[test]
    fn weights_share_out_a_hundred() {
        let all = [mapping("a", &[("b", 30), ("c", 50)])];
        for (random, expected) in [(0, Some("b")), (29, Some("b")), (30, Some("c")), (80, None)] {
            assert_eq!(pick(&all, "a", random).as_deref(), expected, "{random}");
        }
    }

    #[test]
    fn the_closest_mapping_holds() {
        let all = [
            mapping("a.*", &[("w.$1", 100)]),
            mapping("a.b", &[("l", 100)]),
        ];
        assert_eq!(pick(&all, "a.b", 0).as_deref(), Some("l"));
        assert_eq!(pick(&all, "a.c", 99).as_deref(), Some("w.c"));
        assert_eq!(pick(&all, "b", 0), None);
    }

    #[test]
    fn mistakes_are_refused() {
        for wrong in [
            mapping("a", &[("b", 60), ("c", 60)]),
            mapping("a.*", &[("b.$2", 100)]),
            mapping("a..b", &[("b", 100)]),
        ] {
            assert!(Mappings::new(&[wrong]).is_err());
        }
    }
}
