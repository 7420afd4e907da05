//! What an address stands for: the host that it belongs to, and the network around it.
//!
//! An IPv4 host is its address, its network the /24. A host that has IPv6 usually has a whole /64, so the /64 is the host; the network
//! is the /48, which one customer gets for the asking.

use crate::settings::Network;
use std::net::IpAddr;

/// How many times more a network may do than a host of it. Less would let one host use up what its neighbours may do: a ban that grows
/// from 10 minutes lets a host reach its own limit a few times in an hour.
pub(super) const NETWORK_FACTOR: u64 = 8;

/// The host that `address` belongs to.
pub(super) fn host(address: IpAddr) -> Network {
    let address = address.to_canonical();
    Network::around(address, if address.is_ipv4() { 32 } else { 64 })
}

/// The network around `address`.
pub(super) fn network(address: IpAddr) -> Network {
    let address = address.to_canonical();
    Network::around(address, if address.is_ipv4() { 24 } else { 48 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_networks() {
        for (address, its_host, its_network) in [
            ("192.0.2.9", "192.0.2.9/32", "192.0.2.0/24"),
            ("::ffff:192.0.2.9", "192.0.2.9/32", "192.0.2.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ] {
            let address = address.parse().expect(address);
            assert_eq!(
                (host(address).to_string(), network(address).to_string()),
                (its_host.into(), its_network.into())
            );
        }
    }
}
