//! Messages that cross from one account into another, and those that are taken as published on another subject.
//!
//! - `stream` An import of messages makes a shadow of every subscription it concerns in the exporting account. A message
//!   finds it there as it finds any other subscription; queue groups of both accounts are one.
//! - `service` An import of a service is a subscription of the importing account. What it gets is published in the
//!   exporting account, with a reply subject that leads back: `responses`.
//! - `mapping` Where a published message goes instead.
//! - `pair` The two subjects of an import, each from the other. `setup` makes all this from a configuration.
//!
//! Routes hold what was found: who uses none of it pays nothing per message.

pub(crate) mod mapping;
pub(crate) mod pair;
pub(crate) mod request_info;
pub(crate) mod responses;
pub(crate) mod service;
pub(crate) mod setup;
pub(crate) mod stream;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use self::mapping::Mappings;
use self::responses::Responses;
use self::stream::StreamCrossing;
use crate::interest::subscription::Subscription;

/// What one account has to do with others.
#[derive(Debug, Default)]
pub(crate) struct Crossings {
    imports: RwLock<Vec<Arc<StreamCrossing>>>,
    has_imports: AtomicBool,
    /// The subscriptions that service imports are.
    services: Mutex<Vec<Arc<Subscription>>>,
    responses: OnceLock<Arc<Responses>>,
    mappings: RwLock<Option<Arc<Mappings>>>,
}

impl Crossings {
    /// Streams that are imported. Empty without a lock where there are none.
    pub(crate) fn imports(&self) -> Vec<Arc<StreamCrossing>> {
        if !self.has_imports.load(Ordering::Acquire) {
            return Vec::new();
        }
        let imports = self.imports.read().unwrap_or_else(PoisonError::into_inner);
        imports.clone()
    }

    pub(crate) fn set_imports(&self, new: Vec<Arc<StreamCrossing>>) {
        let mut imports = self.imports.write().unwrap_or_else(PoisonError::into_inner);
        self.has_imports.store(!new.is_empty(), Ordering::Release);
        *imports = new;
    }

    /// Puts new service imports in the place of the old ones, which are returned.
    pub(crate) fn set_services(&self, new: Vec<Arc<Subscription>>) -> Vec<Arc<Subscription>> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut services, new)
    }

    /// Requests from other accounts that wait for answers; made when the first one comes.
    pub(crate) fn responses(&self, make: impl FnOnce() -> Arc<Responses>) -> &Arc<Responses> {
        self.responses.get_or_init(make)
    }

    pub(crate) fn mappings(&self) -> Option<Arc<Mappings>> {
        let mappings = self.mappings.read().unwrap_or_else(PoisonError::into_inner);
        mappings.clone()
    }

    pub(crate) fn set_mappings(&self, new: Option<Arc<Mappings>>) {
        *self
            .mappings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = new;
    }
}
