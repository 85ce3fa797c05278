//! Messages on their way into other accounts, and those whose subject is mapped: what the common path does not look at.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::{Denied, Router, along};
use crate::account::Account;
use crate::crossing::request_info::with_request_info;
use crate::crossing::responses::Expectation;
use crate::crossing::service::{ServiceCrossing, Way};
use crate::delivery::{InFlight, Outgoing};
use crate::interest::subscription::{Sink, Subscription};
use crate::limits::CROSSINGS_MAX;

/// The ways among the subscriptions that match a subject.
pub(super) fn of(plain: &[Arc<Subscription>], subject: &[u8]) -> Option<Arc<[Way]>> {
    let ways: Vec<Way> = plain
        .iter()
        .filter_map(|one| match &one.sink {
            Sink::Service(service) => {
                let there = service.pair.to_there(subject)?;
                Some(Way::Service(service.clone(), there.as_ref().into()))
            }
            Sink::Responses(responses) => Some(Way::Response(responses.clone(), subject.into())),
            _ => None,
        })
        .collect();
    (!ways.is_empty()).then(|| ways.into())
}

/// Whether somebody is at the end of one of the ways.
pub(super) fn leads_anywhere(ways: &[Way]) -> bool {
    ways.iter().any(|way| match way {
        Way::Service(service, there) => service
            .exporter
            .upgrade()
            .is_some_and(|exporter| exporter.has_interest(there, None)),
        Way::Response(responses, subject) => responses.waits(subject, Instant::now()),
    })
}

/// The key of a route that is not the published subject's own: no subject on the wire has a line end in it.
fn key(account: &Arc<Account>, subject: &[u8]) -> Vec<u8> {
    let address = Arc::as_ptr(account).addr();
    [b"\r\n", &address.to_ne_bytes()[..], subject].concat()
}

impl Router {
    /// Where the message goes that was admitted last, if its subject is mapped.
    #[inline]
    pub(crate) fn take_mapped(&mut self) -> Option<Bytes> {
        self.mapped.take()
    }

    /// A subject that the lists do not allow: it is mapped to one that they do allow, or an answer that is owed.
    #[cold]
    pub(super) fn admit_by_exception(
        &mut self,
        index: usize,
        subject: &[u8],
    ) -> Result<usize, Denied> {
        let Some(rule) = self.cache.route(index).mapping.clone() else {
            return if self.take_grant(subject) {
                Ok(index)
            } else {
                Err(Denied::Subject)
            };
        };
        let picked = rule.pick(subject, rand::random_range(..100));
        let to = picked.unwrap_or_else(|| Bytes::copy_from_slice(subject));
        let account = self.account.clone();
        let index = self.find_in(&account, &to);
        let is_allowed = self.cache.route(index).is_allowed || self.take_grant(&to);
        self.mapped = Some(to);
        if is_allowed {
            Ok(index)
        } else {
            Err(Denied::Subject)
        }
    }

    /// The route of a subject in an account, whatever the account maps.
    fn find_in(&mut self, account: &Arc<Account>, subject: &[u8]) -> usize {
        let key = key(account, subject);
        match self.cache.find(&key, account.generation()) {
            Some(index) => index,
            None => {
                let route = self.route_in(account, subject);
                self.cache.insert(&key, route)
            }
        }
    }

    /// Sends a message that is in `account` along ways that lead out of it. False: nobody took it.
    #[cold]
    pub(super) fn go(
        &mut self,
        account: &Arc<Account>,
        ways: &[Way],
        message: &Outgoing<'_>,
    ) -> bool {
        if self.crossed >= CROSSINGS_MAX {
            return false;
        }
        self.crossed += 1;
        let mut is_delivered = false;
        for way in ways {
            is_delivered |= match way {
                Way::Service(service, there) => self.ask(account, service, there, message),
                Way::Response(responses, subject) => {
                    let is_empty = message.body.len() == message.header_len;
                    let taken = responses.take(subject, is_empty, Instant::now());
                    taken.is_some_and(|requester| {
                        let expectation = requester.expectation;
                        let reply = back(&requester.account, account, message.reply, expectation);
                        let answer = Outgoing {
                            subject: &requester.reply,
                            reply: &reply,
                            ..*message
                        };
                        self.deliver_in(&requester.account, &answer)
                    })
                }
            };
        }
        self.crossed -= 1;
        is_delivered
    }

    /// Asks in the exporting account.
    fn ask(
        &mut self,
        account: &Arc<Account>,
        service: &ServiceCrossing,
        there: &[u8],
        message: &Outgoing<'_>,
    ) -> bool {
        let Some(exporter) = service.exporter.upgrade() else {
            return false;
        };
        let (block, payload) = message.body.split_at(message.header_len);
        // Told once, where the message leaves its sender's account.
        let block = match &self.own {
            Some((connection, Some(profile))) if self.crossed == 1 => {
                let server = service.share.then_some(&*service.server_name);
                Some(with_request_info(block, connection, profile, server))
            }
            _ => None,
        };
        let reply = back(&exporter, account, message.reply, service.expectation());
        let body = block.as_ref().map(|block| [block, payload].concat());
        let mut request = Outgoing {
            subject: there,
            shown: None,
            reply: &reply,
            verbatim: &[],
            ..*message
        };
        if let (Some(block), Some(body)) = (&block, &body) {
            request.header_len = block.len();
            request.body = body;
            request.shared = None;
        }
        let is_delivered = self.deliver_in(&exporter, &request);
        if !is_delivered && !reply.is_empty() {
            exporter.responses().forget(&reply);
        }
        is_delivered
    }

    /// Delivers to whoever wants the message in an account.
    fn deliver_in(&mut self, account: &Arc<Account>, message: &Outgoing<'_>) -> bool {
        let index = self.find_in(account, message.subject);
        let message = Outgoing {
            // What was received stands behind another subject there.
            verbatim: &[],
            ..*message
        };
        let ways = self.cache.route(index).ways.clone();
        let Self {
            own,
            cache,
            receivers,
            dirty,
            captured,
            requests,
            mail,
            is_full,
            ..
        } = self;
        let mut delivery = InFlight {
            account,
            publisher: own.as_ref().and_then(|(_, profile)| profile.as_ref()),
            connection: own.as_ref().map(|(connection, _)| connection),
            receivers,
            dirty,
            captured,
            requests,
            mail,
            is_full,
            message: &message,
            local: None,
        };
        let is_delivered = along(cache.route(index), &mut delivery);
        match ways {
            Some(ways) => self.go(account, &ways, &message) || is_delivered,
            None => is_delivered,
        }
    }
}

/// The reply subject that a message has in the account it crosses into: one that leads back.
fn back(
    into: &Arc<Account>,
    from: &Arc<Account>,
    reply: &[u8],
    expectation: Expectation,
) -> Arc<[u8]> {
    if reply.is_empty() {
        return Arc::default();
    }
    into.responses()
        .expect(from, reply, expectation, Instant::now())
}
