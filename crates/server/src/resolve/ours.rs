//! At which addresses a connection would come back to this server: hosts there are no way on (RFC 5321 §5.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The addresses of this server.
#[derive(Debug, Clone)]
pub struct Ours {
    /// Those that lead here from outside, whatever the port: what a router with one public address passes on.
    pub addresses: Vec<IpAddr>,
    /// Where this server listens.
    pub listeners: Vec<SocketAddr>,
    /// Whether an address is of this machine: a listener may be for all of them.
    pub is_local: fn(IpAddr) -> bool,
}

impl Default for Ours {
    /// None.
    fn default() -> Ours {
        Ours { addresses: Vec::new(), listeners: Vec::new(), is_local: |_| false }
    }
}

impl Ours {
    /// Whether the operator has called this an address of this server.
    pub(super) fn is_named(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.addresses.iter().any(|own| own.to_canonical() == address)
    }

    /// Whether this server listens there.
    pub(crate) fn is_listener(&self, there: SocketAddr) -> bool {
        let address = there.ip().to_canonical();
        let mut at_port = self.listeners.iter().filter(|listener| listener.port() == there.port());
        at_port.any(|listener| match listener.ip().to_canonical() {
            everywhere if everywhere.is_unspecified() => (self.is_local)(address),
            one => one == address,
        })
    }
}

/// Whether an address is of this machine, as the system sees it: what is sent there would be sent from there. Sends nothing.
pub fn is_local(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        // RFC 863: nothing is ever sent, so the port is of no account.
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    // Without a way there it is not here.
    from.is_ok_and(|from| from.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(listeners: &[&str]) -> Ours {
        Ours {
            addresses: vec!["203.0.113.5".parse().expect("an address")],
            listeners: listeners.iter().map(|one| one.parse().expect("an address")).collect(),
            is_local: |address| address == IpAddr::from([192, 0, 2, 1]),
        }
    }

    #[test]
    fn a_listener_is_for_its_address_or_for_all_of_the_machine() {
        for (listener, there, expected) in [
            ("192.0.2.1:25", "192.0.2.1:25", true),
            ("192.0.2.1:25", "192.0.2.1:587", false),
            ("192.0.2.2:25", "192.0.2.1:25", false),
            ("0.0.0.0:25", "192.0.2.1:25", true),
            ("[::]:25", "192.0.2.1:25", true),
            ("[::]:25", "[::ffff:192.0.2.1]:25", true),
            ("0.0.0.0:25", "192.0.2.2:25", false),
        ] {
            let there = there.parse().expect("an address");
            assert_eq!(ours(&[listener]).is_listener(there), expected, "{listener} {there}");
        }
    }

    #[test]
    fn what_is_named_is_ours_in_either_spelling() {
        for (address, expected) in
            [("203.0.113.5", true), ("::ffff:203.0.113.5", true), ("203.0.113.6", false)]
        {
            assert_eq!(ours(&[]).is_named(address.parse().expect("an address")), expected, "{address}");
        }
    }

    #[test]
    fn the_system_knows_its_own_addresses() {
        assert!(is_local(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_local(IpAddr::from([192, 0, 2, 1])), "of no machine (RFC 5737)");
    }
}
