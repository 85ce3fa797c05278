//! From what was granted to who the connection is: the one place where claims become an identity.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use tokio_util::sync::CancellationToken;

use super::claims::{TimeRange, UserClaims, UserLimits};
use super::envelope::Claims;
use crate::auth::{
    AuthError, ConnectRequest, ConnectionKind, ConnectionLimits, Identity, JwtOrigin, Permissions,
};

/// Why somebody is not let in; for the log.
pub type Refusal = AuthError;

/// What somebody is granted, before it is held against the connection that asks.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The user's name.
    pub user: String,
    /// The account.
    pub account: String,
    /// Tags, such as roles.
    pub tags: Vec<String>,
    /// What the connection may do.
    pub permissions: Permissions,
    /// Its limits.
    pub limits: ConnectionLimits,
    /// When it ends.
    pub expires_at: Option<SystemTime>,
    /// Cancelled when it is taken back.
    pub revoked: Option<CancellationToken>,
    /// Networks the client may come from; empty is everywhere.
    pub networks: Vec<String>,
    /// Times of the day; empty is always.
    pub times: Vec<TimeRange>,
    /// Time zone of `times`; empty is the server's.
    pub times_zone: String,
    /// Kinds of connections, `STANDARD` and so on; empty is all.
    pub connection_types: Vec<String>,
    /// Only through a trusted proxy.
    pub proxy_required: bool,
    /// The user JWT itself, in operator mode.
    pub(super) origin: Option<JwtOrigin>,
}

impl Grant {
    /// Everything in one account, without end.
    #[must_use]
    pub fn new(user: impl Into<String>, account: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            account: account.into(),
            tags: Vec::new(),
            permissions: Permissions::default(),
            limits: ConnectionLimits::default(),
            expires_at: None,
            revoked: None,
            networks: Vec::new(),
            times: Vec::new(),
            times_zone: String::new(),
            connection_types: Vec::new(),
            proxy_required: false,
            origin: None,
        }
    }

    /// What a user JWT grants, under these limits: its own, or those of its scope.
    pub(super) fn of_user(
        user: &Claims<UserClaims>,
        account: impl Into<String>,
        limits: &UserLimits,
    ) -> Self {
        let name = if user.name.is_empty() {
            user.sub.to_string()
        } else {
            user.name.clone()
        };
        Self {
            tags: user.nats.tags.clone(),
            permissions: limits.permissions.to_permissions(),
            expires_at: user.expires_at(),
            networks: limits.src.clone(),
            times: limits.times.clone(),
            times_zone: limits.times_location.clone(),
            connection_types: limits.allowed_connection_types.clone(),
            proxy_required: limits.proxy_required,
            ..Self::new(name, account)
        }
    }

    /// Holds the grant against the connection: time, place and kind. What is left is who it is from now on.
    ///
    /// # Errors
    /// It is not for this connection, or not now.
    pub fn admit(self, request: &ConnectRequest, now: SystemTime) -> Result<Identity, Refusal> {
        let refuse = |reason: &'static str| Err(Refusal::new(reason));
        if self.expires_at.is_some_and(|end| end <= now) {
            return refuse("claims have expired");
        }
        if !self.networks.is_empty() && !is_inside(request.peer.ip(), &self.networks) {
            return refuse("the client's address is not among the allowed networks");
        }
        if !allows_kind(&self.connection_types, request.kind) {
            return refuse("this kind of connection is not allowed");
        }
        if self.proxy_required && request.proxy.is_none() {
            return refuse("a trusted proxy is required");
        }
        let window = match window_end(&self.times, &self.times_zone, now) {
            Window::Always => None,
            Window::Until(end) => Some(end),
            Window::Closed => return refuse("not at this time of the day"),
            Window::Unreadable => return refuse("the times of the day cannot be read"),
        };
        Ok(Identity {
            tags: self.tags,
            permissions: self.permissions,
            limits: self.limits,
            expires_at: self.expires_at.into_iter().chain(window).min(),
            revoked: self.revoked,
            origin: self.origin.map(Arc::new),
            ..Identity::new(self.user, self.account)
        })
    }
}

/// Names of connection kinds in JWTs, in upper case. Unknown ones are passed over; if none is known, none is allowed.
fn allows_kind(types: &[String], kind: ConnectionKind) -> bool {
    let name = match kind {
        ConnectionKind::Tcp => "STANDARD",
        ConnectionKind::WebSocket => "WEBSOCKET",
        ConnectionKind::Leafnode => "LEAFNODE",
        ConnectionKind::LeafnodeWebSocket => "LEAFNODE_WS",
    };
    types.is_empty()
        || types
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(name))
}

fn is_inside(address: IpAddr, networks: &[String]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| {
        let Some((base, bits)) = network.split_once('/') else {
            return false;
        };
        let (Ok(base), Ok(bits)) = (base.parse::<IpAddr>(), bits.parse::<u32>()) else {
            return false;
        };
        match (address, base) {
            (IpAddr::V4(address), IpAddr::V4(base)) if bits <= 32 => {
                let shift = |ip: std::net::Ipv4Addr| ip.to_bits().checked_shr(32 - bits);
                shift(address) == shift(base)
            }
            (IpAddr::V6(address), IpAddr::V6(base)) if bits <= 128 => {
                let shift = |ip: std::net::Ipv6Addr| ip.to_bits().checked_shr(128 - bits);
                shift(address) == shift(base)
            }
            _ => false,
        }
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Window {
    /// No times are given.
    Always,
    /// Inside one, which ends then.
    Until(SystemTime),
    /// Outside all.
    Closed,
    /// Not times, or no time zone.
    Unreadable,
}

fn window_end(ranges: &[TimeRange], zone: &str, now: SystemTime) -> Window {
    if ranges.is_empty() {
        return Window::Always;
    }
    let zone = if zone.is_empty() || zone == "Local" {
        Ok(TimeZone::system())
    } else {
        TimeZone::get(zone)
    };
    let (Ok(zone), Ok(timestamp)) = (zone, Timestamp::try_from(now)) else {
        return Window::Unreadable;
    };
    let now = timestamp.to_zoned(zone);
    for range in ranges {
        let (Some(start), Some(end)) = (clock_time(&range.start), clock_time(&range.end)) else {
            return Window::Unreadable;
        };
        if let Some(end) = end_of(&now, start, end) {
            return Window::Until(end);
        }
    }
    Window::Closed
}

fn clock_time(text: &str) -> Option<Time> {
    Time::strptime("%H:%M:%S", text).ok()
}

/// When the window that `now` lies in ends. A window over midnight began today or yesterday.
fn end_of(now: &Zoned, start: Time, end: Time) -> Option<SystemTime> {
    let time = now.time();
    let is_over_midnight = end <= start;
    let ends_tomorrow = is_over_midnight && time >= start;
    let is_inside = if is_over_midnight {
        time >= start || time < end
    } else {
        time >= start && time < end
    };
    if !is_inside {
        return None;
    }
    let date = if ends_tomorrow {
        now.date().tomorrow().ok()?
    } else {
        now.date()
    };
    let end = date
        .to_datetime(end)
        .to_zoned(now.time_zone().clone())
        .ok()?;
    Some(SystemTime::from(end.timestamp()))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn request(peer: &str, kind: ConnectionKind) -> ConnectRequest {
        ConnectRequest::new(1, peer.parse().unwrap(), kind)
    }

    #[track_caller]
    fn check_network(peer: &str, networks: &[&str], expected: bool) {
        let mut grant = Grant::new("bob", "A");
        grant.networks = networks.iter().map(ToString::to_string).collect();
        let admitted = grant.admit(&request(peer, ConnectionKind::Tcp), SystemTime::now());
        assert_eq!(admitted.is_ok(), expected, "{peer} in {networks:?}");
    }

    #[test]
    fn networks_hold() {
        check_network("10.1.2.3:1", &["10.0.0.0/8"], true);
        check_network("11.1.2.3:1", &["10.0.0.0/8"], false);
        check_network("11.1.2.3:1", &["10.0.0.0/8", "11.1.2.3/32"], true);
        check_network("11.1.2.3:1", &["0.0.0.0/0"], true);
        check_network("[::ffff:10.1.2.3]:1", &["10.0.0.0/8"], true);
        check_network("[2001:db8::1]:1", &["2001:db8::/32"], true);
        check_network("[2001:db9::1]:1", &["2001:db8::/32", "0.0.0.0/0"], false);
        for nonsense in ["", "10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/-1"] {
            check_network("10.0.0.0:1", &[nonsense], false);
        }
    }

    #[test]
    fn kinds_hold() {
        let allows = |types: &[&str], kind| {
            let mut grant = Grant::new("bob", "A");
            grant.connection_types = types.iter().map(ToString::to_string).collect();
            grant
                .admit(&request("10.0.0.1:1", kind), SystemTime::now())
                .is_ok()
        };
        assert!(allows(&[], ConnectionKind::Tcp));
        assert!(allows(&["standard"], ConnectionKind::Tcp));
        assert!(!allows(&["STANDARD", "x"], ConnectionKind::WebSocket));
        assert!(!allows(&["x"], ConnectionKind::WebSocket));
    }

    #[track_caller]
    fn check_window(now: &str, start: &str, end: &str, zone: &str, expected: Option<&str>) {
        let at = |text: &str| SystemTime::from(text.parse::<Timestamp>().unwrap());
        let range = TimeRange {
            start: start.to_owned(),
            end: end.to_owned(),
        };
        let expected = expected.map_or(Window::Closed, |end| Window::Until(at(end)));
        assert_eq!(window_end(&[range], zone, at(now)), expected);
    }

    #[test]
    fn times_of_the_day_hold_in_their_zone() {
        let (start, end) = ("08:00:00", "18:00:00");
        check_window(
            "2026-03-02T12:00:00Z",
            start,
            end,
            "UTC",
            Some("2026-03-02T18:00:00Z"),
        );
        check_window("2026-03-02T18:00:00Z", start, end, "UTC", None);
        check_window("2026-03-02T07:59:59Z", start, end, "UTC", None);
        let zone = "Europe/Berlin";
        check_window(
            "2026-03-02T07:00:00Z",
            start,
            end,
            zone,
            Some("2026-03-02T17:00:00Z"),
        );
        check_window("2026-03-02T17:00:00Z", start, end, zone, None);
    }

    #[test]
    fn a_window_over_midnight_is_one_window() {
        let (start, end) = ("22:00:00", "06:00:00");
        check_window(
            "2026-03-02T23:00:00Z",
            start,
            end,
            "UTC",
            Some("2026-03-03T06:00:00Z"),
        );
        check_window(
            "2026-03-03T01:00:00Z",
            start,
            end,
            "UTC",
            Some("2026-03-03T06:00:00Z"),
        );
        check_window("2026-03-03T12:00:00Z", start, end, "UTC", None);
    }

    #[test]
    fn what_cannot_be_read_lets_nobody_in() {
        let range = |start: &str| TimeRange {
            start: start.to_owned(),
            end: "18:00:00".to_owned(),
        };
        let now = UNIX_EPOCH;
        assert_eq!(window_end(&[range("8")], "UTC", now), Window::Unreadable);
        let unknown = window_end(&[range("08:00:00")], "Mars/Olympus", now);
        assert_eq!(unknown, Window::Unreadable);
    }

    #[test]
    fn the_earlier_end_counts() {
        let now = UNIX_EPOCH + Duration::from_secs(12 * 3600);
        let mut grant = Grant::new("bob", "A");
        grant.expires_at = Some(now + Duration::from_secs(8 * 3600));
        grant.times = vec![TimeRange {
            start: "08:00:00".to_owned(),
            end: "18:00:00".to_owned(),
        }];
        "UTC".clone_into(&mut grant.times_zone);
        let request = request("10.0.0.1:1", ConnectionKind::Tcp);
        let admitted = grant.clone().admit(&request, now).unwrap();
        assert_eq!(
            admitted.expires_at,
            Some(now + Duration::from_secs(6 * 3600))
        );
        grant.expires_at = Some(now);
        assert!(grant.admit(&request, now).is_err());
    }
}
