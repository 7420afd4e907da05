//! How many connections there may be, in all and from one address.

use crate::settings::Network;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

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
    /// From one address (an IPv6 address counts as its /64).
    pub(crate) per_address: usize,
    /// Networks that `per_address` does not apply to.
    pub(crate) exempt: Vec<Network>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    /// Only addresses that the bound applies to and that have a connection: at most `Bounds::total` of them.
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection is one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// The server has enough.
    Total,
    /// This address has enough.
    Address,
}

/// One open connection; dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Permit {
    connections: Arc<Connections>,
    counted: Option<IpAddr>,
}

impl Connections {
    pub(crate) fn new(bounds: Bounds) -> Arc<Connections> {
        Arc::new(Connections { bounds, open: Mutex::default() })
    }

    /// Counts a connection from `peer`, or says which bound it would break.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Permit, Excess> {
        let peer = peer.to_canonical();
        let counted =
            (!self.bounds.exempt.iter().any(|network| network.contains(peer))).then(|| counted_as(peer));
        let mut open = self.open();
        if open.total >= self.bounds.total {
            return Err(Excess::Total);
        }
        if let Some(address) = counted {
            let here = open.by_address.entry(address).or_default();
            if *here >= self.bounds.per_address {
                return Err(Excess::Address);
            }
            *here += 1;
        }
        open.total += 1;
        Ok(Permit { connections: Arc::clone(self), counted })
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
        open.total -= 1;
        if let Some(address) = self.counted
            && let Some(here) = open.by_address.get_mut(&address)
        {
            *here -= 1;
            if *here == 0 {
                open.by_address.remove(&address);
            }
        }
    }
}

/// A host that has IPv6 usually has a whole /64: it counts as one.
fn counted_as(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !(u128::MAX >> 64)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(total: usize, per_address: usize, exempt: &[&str]) -> Arc<Connections> {
        let exempt = exempt.iter().map(|text| text.parse().expect("a network")).collect();
        Connections::new(Bounds { total, per_address, exempt })
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
    fn exempt_networks_know_only_the_total() {
        let connections = connections(3, 1, &["127.0.0.0/8"]);
        let peer: IpAddr = "127.0.0.1".parse().expect("an address");
        let held: Vec<_> = (0..3).map(|_| connections.admit(peer).expect("room")).collect();
        assert_eq!(connections.admit(peer).err(), Some(Excess::Total));
        drop(held);
        assert_eq!(connections.count(), 0);
    }
}
