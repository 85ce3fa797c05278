//! `/subsz`: what is subscribed, and how much work finding it is.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::connz::SubDetail;
use super::text::NotPossible;
use super::{page, page_bounds};
use crate::account::Account;
use crate::interest::counts::Counted;
use crate::interest::subscription::Subscription;
use crate::jetstream::Timestamp;
use crate::server::Shared;
use crate::subject;

/// What may be asked of `/subsz`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubszOptions {
    /// First entry of the page; less than 0 is 0.
    pub offset: i64,
    /// Entries of the page; 0 and less is 1024.
    pub limit: i64,
    /// Lists the subscriptions.
    pub subscriptions: bool,
    /// Only this account's.
    pub account: Option<String>,
    /// Only those that would get a message on this subject.
    pub test: Option<String>,
}

/// The answer of `/subsz`.
#[derive(Debug, Clone, Serialize)]
pub struct Subsz {
    server_id: String,
    now: Timestamp,
    #[serde(flatten)]
    stats: SublistStats,
    total: usize,
    offset: usize,
    limit: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list: Vec<SubDetail>,
}

/// Figures of one account's subscriptions, or of several together.
///
/// Results are remembered by publishers and not beside the trie. A hit is a message that needed no look-up, so the rate is
/// reckoned from the messages that came in; nats-server counts look-ups of its shared cache only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct SublistStats {
    num_subscriptions: usize,
    num_cache: u64,
    num_inserts: u64,
    num_removes: u64,
    num_matches: u64,
    cache_hit_rate: f64,
    max_fanout: u64,
    avg_fanout: f64,
}

impl SublistStats {
    /// `messages` came in to these accounts.
    pub(super) fn of<'a>(
        accounts: impl IntoIterator<Item = &'a Arc<Account>>,
        messages: u64,
    ) -> Self {
        let mut sum = Counted::default();
        let mut len = 0;
        for account in accounts {
            sum.add(&account.counts.read());
            len += account.subscriptions_len();
        }
        let share = |part: u64, whole: u64| match whole {
            0 => 0.0,
            _ => part as f64 / whole as f64,
        };
        Self {
            num_subscriptions: len,
            num_cache: sum.cached,
            num_inserts: sum.inserts,
            num_removes: sum.removes,
            num_matches: sum.matches,
            cache_hit_rate: share(messages.saturating_sub(sum.matches), messages),
            max_fanout: sum.fanout_max,
            avg_fanout: share(sum.fanout, sum.matches),
        }
    }
}

impl Subsz {
    /// # Errors
    /// The subject to test with is not one that can be published to.
    pub(crate) fn of(server: &Shared, options: &SubszOptions) -> Result<Self, NotPossible> {
        let is_literal = |text: &&String| subject::is_literal(text.as_bytes());
        if let Some(test) = &options.test
            && !is_literal(&test)
        {
            let text = format!("invalid test subject, must be valid publish subject: {test}");
            return Err(NotPossible(text));
        }
        let accounts = match &options.account {
            None => server.accounts(),
            Some(name) => server.known_account(name).into_iter().collect(),
        };
        let messages = match &options.account {
            None => server.counters.in_messages.load(Ordering::Relaxed),
            Some(_) => accounts
                .iter()
                .map(|one| server.traffic(one).received.0)
                .sum(),
        };
        let (offset, limit) = page_bounds(options.offset, options.limit);
        let mut answer = Self {
            server_id: server.server_id.clone(),
            now: Timestamp::now(),
            stats: SublistStats::of(&accounts, messages),
            total: 0,
            offset,
            limit,
            subscriptions_list: Vec::new(),
        };
        if options.subscriptions {
            let wanted = |one: &Subscription| {
                let test = options.test.as_deref().map(str::as_bytes);
                test.is_none_or(|test| subject::matches(&one.filter, test))
            };
            let mut all = Vec::new();
            for account in &accounts {
                let found = account.subscriptions().into_iter();
                let found = found.filter(|one| wanted(one));
                all.extend(found.map(|one| (account, one)));
            }
            answer.total = all.len();
            answer.subscriptions_list = page(&all, offset, limit)
                .iter()
                .map(|(account, one)| SubDetail::of(one).with_account(&account.name))
                .collect();
        }
        Ok(answer)
    }
}
