//! How many connections there may be, in all and of one address, and how quickly one address may open them.
//!
//! A socket takes its place before anything is read from it, so that what strangers can hold is bounded from the first
//! moment. IPv6 addresses count by their /64 network: whoever has one address there has them all.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hashbrown::HashMap;

use crate::limits::{ADDRESSES_REMEMBERED_MAX, CONNECT_BURST_SECONDS, Limits};
use crate::proto::encode::ProtocolError;

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// Too many connections, in all or of the address.
    TooMany,
    /// The address opens them too quickly.
    TooFast,
}

impl NoPlace {
    /// What the client is told.
    pub(crate) fn error(self) -> ProtocolError<'static> {
        match self {
            Self::TooMany => ProtocolError::ConnectionsExceeded,
            Self::TooFast => ProtocolError::Throttled,
        }
    }
}

/// One connection's place; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    /// `None` while it is not known for whom a trusted proxy connects.
    address: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.leave(self.address);
    }
}

/// All places of a server.
#[derive(Debug)]
pub(crate) struct Places {
    total_max: usize,
    per_address_max: usize,
    rate_max: u32,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    addresses: HashMap<IpAddr, Address>,
}

#[derive(Debug)]
struct Address {
    open: usize,
    /// Connections it may open at this moment, as of `counted`.
    credit: f64,
    counted: Instant,
}

impl Places {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            total_max: limits.connections_max,
            per_address_max: limits.connections_per_address_max,
            rate_max: limits.connect_rate_per_address_max,
            taken: Mutex::default(),
        })
    }

    /// A place for a connection from there.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr, now: Instant) -> Result<Place, NoPlace> {
        let address = network(address);
        let mut taken = self.lock();
        if taken.total >= self.total_max {
            return Err(NoPlace::TooMany);
        }
        self.count(&mut taken, address, now)?;
        taken.total += 1;
        Ok(self.place(Some(address)))
    }

    /// A place for a connection that a trusted proxy makes, for whom is not known yet.
    pub(crate) fn enter_for_proxy(self: &Arc<Self>) -> Result<Place, NoPlace> {
        let mut taken = self.lock();
        if taken.total >= self.total_max {
            return Err(NoPlace::TooMany);
        }
        taken.total += 1;
        Ok(self.place(None))
    }

    fn place(self: &Arc<Self>, address: Option<IpAddr>) -> Place {
        Place {
            places: self.clone(),
            address,
        }
    }

    fn count(&self, taken: &mut Taken, address: IpAddr, now: Instant) -> Result<(), NoPlace> {
        let burst = f64::from(self.rate_max) * f64::from(CONNECT_BURST_SECONDS);
        if taken.addresses.len() >= ADDRESSES_REMEMBERED_MAX {
            // Who has not come for so long that nothing is held against it can be forgotten.
            let rate_max = self.rate_max;
            taken.addresses.retain(|_, address| {
                address.open > 0 || address.credit_at(now, rate_max, burst) < burst
            });
        }
        let entry = taken.addresses.entry(address).or_insert(Address {
            open: 0,
            credit: burst,
            counted: now,
        });
        if entry.open >= self.per_address_max {
            return Err(NoPlace::TooMany);
        }
        entry.credit = entry.credit_at(now, self.rate_max, burst);
        entry.counted = now;
        if entry.credit < 1.0 {
            return Err(NoPlace::TooFast);
        }
        entry.credit -= 1.0;
        entry.open += 1;
        Ok(())
    }

    fn leave(&self, address: Option<IpAddr>) {
        let mut taken = self.lock();
        taken.total = taken.total.saturating_sub(1);
        if let Some(address) = address.and_then(|address| taken.addresses.get_mut(&address)) {
            address.open = address.open.saturating_sub(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The client at the other side of the proxy is this one.
    pub(crate) fn is_for(&mut self, address: IpAddr, now: Instant) -> Result<(), NoPlace> {
        let address = network(address);
        let mut taken = self.places.lock();
        self.places.count(&mut taken, address, now)?;
        if let Some(before) = self.address.replace(address)
            && let Some(before) = taken.addresses.get_mut(&before)
        {
            before.open = before.open.saturating_sub(1);
        }
        Ok(())
    }
}

impl Address {
    fn credit_at(&self, now: Instant, rate_max: u32, burst: f64) -> f64 {
        let elapsed = now.saturating_duration_since(self.counted).as_secs_f64();
        (self.credit + elapsed * f64::from(rate_max)).min(burst)
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn places(per_address: usize, rate: u32) -> Arc<Places> {
        Places::new(&Limits {
            connections_max: 100,
            connections_per_address_max: per_address,
            connect_rate_per_address_max: rate,
            ..Limits::default()
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_address_has_its_share_and_no_more() {
        let places = places(2, 1000);
        let now = Instant::now();
        let first = places.enter(ip("192.0.2.1"), now).expect("room");
        let _second = places.enter(ip("::ffff:192.0.2.1"), now).expect("room");
        let third = places.enter(ip("192.0.2.1"), now);
        assert_eq!(third.err(), Some(NoPlace::TooMany));
        assert!(places.enter(ip("192.0.2.2"), now).is_ok());
        drop(first);
        assert!(places.enter(ip("192.0.2.1"), now).is_ok());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let places = places(1, 1000);
        let now = Instant::now();
        let _first = places.enter(ip("2001:db8::1"), now).expect("room");
        assert!(places.enter(ip("2001:db8::2"), now).is_err());
        assert!(places.enter(ip("2001:db8:0:1::1"), now).is_ok());
    }

    #[test]
    fn a_burst_is_followed_by_the_rate() {
        let places = places(1000, 1);
        let now = Instant::now();
        for _ in 0..CONNECT_BURST_SECONDS {
            drop(
                places
                    .enter(ip("192.0.2.1"), now)
                    .expect("within the burst"),
            );
        }
        let next = places.enter(ip("192.0.2.1"), now);
        assert_eq!(next.err(), Some(NoPlace::TooFast));
        let later = now + Duration::from_secs(1);
        assert!(places.enter(ip("192.0.2.1"), later).is_ok());
        assert!(places.enter(ip("192.0.2.1"), later).is_err());
    }

    #[test]
    fn a_proxied_connection_counts_for_the_client() {
        let places = places(1, 1000);
        let now = Instant::now();
        let mut first = places.enter_for_proxy().expect("room");
        let mut second = places.enter_for_proxy().expect("room");
        assert!(first.is_for(ip("192.0.2.1"), now).is_ok());
        assert!(second.is_for(ip("192.0.2.1"), now).is_err());
        assert!(second.is_for(ip("192.0.2.2"), now).is_ok());
        drop((first, second));
        assert_eq!(places.lock().total, 0);
    }
}
