//! How many connections there may be at the same time: in all, from one host, and from one network.

use super::source::{self, NETWORK_FACTOR};
use crate::settings::Network;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use store::AccountName;

/// Counts open connections; a [`Permit`] is one of them.
#[derive(Debug)]
pub(crate) struct Connections {
    bounds: Bounds,
    open: Mutex<Open>,
}

/// The bounds that an operator set.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// In all.
    pub(crate) total: usize,
    /// From one host (an IPv6 host is its /64); a network may have eight times as many.
    pub(crate) per_address: usize,
    /// Logged in to one account.
    pub(crate) per_account: usize,
    /// Networks that `per_address` does not apply to.
    pub(crate) exempt: Vec<Network>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    /// Only hosts and networks that the bound applies to and that have a connection: at most twice `Bounds::total` of them.
    by_source: HashMap<Network, usize>,
    /// Only accounts with a session.
    by_account: HashMap<AccountName, usize>,
}

/// Why a connection is one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// The server has enough.
    Total,
    /// This host or its network has enough.
    Address,
}

/// One open connection; dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Permit {
    connections: Arc<Connections>,
    /// Of the total; none where another permit has the connection's.
    places: usize,
    counted: Option<[Network; 2]>,
}

/// One session of an account; dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Seat {
    connections: Arc<Connections>,
    account: AccountName,
}

impl Connections {
    pub(crate) fn new(bounds: Bounds) -> Arc<Connections> {
        Arc::new(Connections { bounds, open: Mutex::default() })
    }

    /// Counts a connection from `peer`, or says which bound it would break.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Permit, Excess> {
        self.take(peer, 1)
    }

    /// Counts for this client a connection that a proxy has made, and that has its place in the total already.
    pub(crate) fn admit_client(self: &Arc<Self>, client: IpAddr) -> Result<Permit, Excess> {
        self.take(client, 0)
    }

    fn take(self: &Arc<Self>, peer: IpAddr, places: usize) -> Result<Permit, Excess> {
        let is_exempt = self.bounds.exempt.iter().any(|network| network.contains(peer));
        let counted = (!is_exempt).then(|| [source::host(peer), source::network(peer)]);
        let mut open = self.open();
        if open.total + places > self.bounds.total {
            return Err(Excess::Total);
        }
        if let Some([host, network]) = counted {
            let here = |source| open.by_source.get(&source).copied().unwrap_or(0);
            let per_network = self.bounds.per_address.saturating_mul(NETWORK_FACTOR as usize);
            if here(host) >= self.bounds.per_address || here(network) >= per_network {
                return Err(Excess::Address);
            }
            for source in [host, network] {
                *open.by_source.entry(source).or_default() += 1;
            }
        }
        open.total += places;
        Ok(Permit { connections: Arc::clone(self), places, counted })
    }

    /// Counts a connection from a proxy, until it is known for whom it speaks: the bound for one address is not the proxy's.
    pub(crate) fn admit_proxy(self: &Arc<Self>) -> Result<Permit, Excess> {
        let mut open = self.open();
        if open.total >= self.bounds.total {
            return Err(Excess::Total);
        }
        open.total += 1;
        Ok(Permit { connections: Arc::clone(self), places: 1, counted: None })
    }

    /// Counts a session that has logged in to this account; `None` when it has enough of them.
    pub(crate) fn seat(self: &Arc<Self>, account: &AccountName) -> Option<Seat> {
        let mut open = self.open();
        let seats = open.by_account.get(account).copied().unwrap_or(0);
        if seats >= self.bounds.per_account {
            return None;
        }
        open.by_account.insert(account.clone(), seats + 1);
        Some(Seat { connections: Arc::clone(self), account: account.clone() })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.open().total
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.total -= self.places;
        for source in self.counted.into_iter().flatten() {
            if let Some(here) = open.by_source.get_mut(&source) {
                *here -= 1;
                if *here == 0 {
                    open.by_source.remove(&source);
                }
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        if let Some(seats) = open.by_account.get_mut(&self.account) {
            *seats -= 1;
            if *seats == 0 {
                open.by_account.remove(&self.account);
            }
        }
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Excess::Total => "the server has as many connections as it may",
            Excess::Address => "its host or network has as many connections as it may",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(total: usize, per_address: usize, exempt: &[&str]) -> Arc<Connections> {
        let exempt = exempt.iter().map(|text| text.parse().expect("a network")).collect();
        Connections::new(Bounds { total, per_address, per_account: 2, exempt })
    }

    #[test]
    fn an_address_has_its_own_bound_and_gets_room_back() {
        let connections = connections(10, 2, &[]);
        let peer: IpAddr = "192.0.2.1".parse().expect("an address");
        let first = connections.admit(peer).expect("room");
        let _second = connections.admit(peer).expect("room");
        assert_eq!(connections.admit(peer).err(), Some(Excess::Address));
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().expect("an address");
        assert_eq!(
            connections.admit(mapped).err(),
            Some(Excess::Address),
            "a mapped address is the same host"
        );
        assert!(connections.admit("192.0.2.2".parse().expect("an address")).is_ok());
        drop(first);
        assert!(connections.admit(peer).is_ok());
        assert_eq!(connections.count(), 1);
    }

    #[test]
    fn an_ipv6_host_counts_by_its_64() {
        let connections = connections(10, 1, &[]);
        let _one = connections.admit("2001:db8:0:1::1".parse().expect("an address")).expect("room");
        assert_eq!(
            connections.admit("2001:db8:0:1::2".parse().expect("an address")).err(),
            Some(Excess::Address)
        );
        assert!(connections.admit("2001:db8:0:2::1".parse().expect("an address")).is_ok());
    }

    #[test]
    fn a_network_has_eight_times_the_bound_of_a_host() {
        let connections = connections(100, 1, &[]);
        let peer = |host: u8| IpAddr::from([192, 0, 2, host]);
        let _held: Vec<_> = (0..8).map(|host| connections.admit(peer(host)).expect("room")).collect();
        assert_eq!(connections.admit(peer(99)).err(), Some(Excess::Address));
        assert!(connections.admit("192.0.3.1".parse().expect("an address")).is_ok());
    }

    #[test]
    fn an_account_has_so_many_seats_and_gets_them_back() {
        let connections = connections(10, 10, &[]);
        let [bob, ann] = ["bob@b.example", "ann@b.example"].map(|name| AccountName::parse(name).expect("it"));
        let first = connections.seat(&bob).expect("room");
        let _second = connections.seat(&bob).expect("room");
        assert!(connections.seat(&bob).is_none());
        assert!(connections.seat(&ann).is_some(), "others have their own");
        drop(first);
        assert!(connections.seat(&bob).is_some());
        assert_eq!(connections.count(), 0, "they are no connections");
    }

    #[test]
    fn exempt_networks_know_only_the_total() {
        let connections = connections(3, 1, &["127.0.0.0/8"]);
        let peer: IpAddr = "127.0.0.1".parse().expect("an address");
        let held: Vec<_> = (0..3).map(|_| connections.admit(peer).expect("room")).collect();
        assert_eq!(connections.admit(peer).err(), Some(Excess::Total));
        drop(held);
        assert_eq!(connections.count(), 0);
    }
}
