//! Imports of services: what is asked here is answered there.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::pair::Pair;
use super::responses::{Expectation, Responses};
use crate::account::Account;
use crate::accounts::ResponseType;

/// An import of a service.
#[derive(Debug)]
pub(crate) struct ServiceCrossing {
    pub(crate) exporter: Weak<Account>,
    pub(crate) pair: Pair,
    /// The other account hears who asks.
    pub(crate) share: bool,
    pub(crate) response: ResponseType,
    pub(crate) threshold: Duration,
    /// For the header that says who asks.
    pub(crate) server_name: Arc<str>,
}

/// Where the messages of a route go besides its account's own subscriptions.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// Into the exporting account, on this subject.
    Service(Arc<ServiceCrossing>, Arc<[u8]>),
    /// To whoever waits for an answer under this name.
    Response(Arc<Responses>, Arc<[u8]>),
}

impl ServiceCrossing {
    /// Whether somebody answers in the exporting account what is asked here.
    pub(crate) fn has_interest(&self, subject: &[u8]) -> bool {
        let there = self.pair.to_there(subject);
        let exporter = self.exporter.upgrade();
        exporter
            .zip(there)
            .is_some_and(|(exporter, there)| exporter.has_interest(&there, None))
    }

    pub(crate) fn expectation(&self) -> Expectation {
        Expectation {
            response: self.response,
            threshold: self.threshold,
        }
    }
}
