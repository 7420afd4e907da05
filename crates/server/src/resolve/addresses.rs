//! Which addresses mail may be sent to, and in which order the families come.

use crate::settings::Network;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which private addresses may be used. Whoever writes a domain's DNS could otherwise let this server speak with hosts that only
/// it can reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Private {
    /// The networks that may.
    pub allowed: Vec<Network>,
}

impl Private {
    /// Whether this address may be used.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        !is_private(address) || self.allowed.iter().any(|network| network.contains(address))
    }
}

/// Whether an address is of no use in public DNS: of this host, this link, a private network, or no host's at all (RFC 6890).
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            a == 0
                || a >= 240
                || v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || (a == 100 && (64..128).contains(&b))
                // Benchmarks (RFC 2544) and protocol assignments (RFC 6890).
                || (a == 198 && b & 0xfe == 18)
                || v4.octets()[..3] == [192, 0, 0]
        }
        IpAddr::V6(v6) => is_private_v6(v6),
    }
}

fn is_private_v6(v6: Ipv6Addr) -> bool {
    let segments = v6.segments();
    let v4 = |high: usize| {
        IpAddr::V4(Ipv4Addr::from((u32::from(segments[high]) << 16) | u32::from(segments[high + 1])))
    };
    v6.is_unspecified()
        || v6.is_loopback()
        || v6.is_multicast()
        || v6.is_unique_local()
        || v6.is_unicast_link_local()
        // Translated addresses (RFC 6052) reach what the IPv4 address inside reaches.
        || (segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] && is_private(v4(6)))
        // Translation within a site (RFC 8215), 6to4 (RFC 3056), and what was site-local (RFC 3879).
        || segments[..3] == [0x64, 0xff9b, 1]
        || (segments[0] == 0x2002 && is_private(v4(1)))
        || segments[0] & 0xffc0 == 0xfec0
}

/// The addresses with the families in turn, IPv6 first as RFC 6724 has it, so that neither starves the other.
pub(super) fn take_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (six, four): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut turns = Vec::new();
    loop {
        let pair = [six.next(), four.next()];
        if pair == [None, None] {
            return turns;
        }
        turns.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known() {
        for (address, private) in [
            ("192.0.32.7", false),
            ("0.0.0.0", true),
            ("198.18.0.1", true),
            ("192.0.0.8", true),
            ("2002:7f00:1::1", true),
            ("2002:c000:2007::1", false),
            ("64:ff9b:1::1", true),
            ("fec0::1", true),
            ("10.1.2.3", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("169.254.169.254", true),
            ("172.16.0.1", true),
            ("172.32.0.1", false),
            ("192.168.1.1", true),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("224.0.0.1", true),
            ("255.255.255.255", true),
            ("::", true),
            ("::1", true),
            ("::ffff:10.0.0.1", true),
            ("::ffff:192.0.32.7", false),
            ("64:ff9b::a00:1", true),
            ("64:ff9b::c000:2007", false),
            ("fe80::1", true),
            ("fd00::1", true),
            ("ff02::1", true),
            ("2001:4860::1", false),
        ] {
            assert_eq!(is_private(address.parse().expect(address)), private, "{address}");
        }
    }

    #[test]
    fn families_take_turns() {
        let parse = |list: &[&str]| -> Vec<IpAddr> {
            list.iter().map(|one| one.parse().expect("an address")).collect()
        };
        let turns = take_turns(parse(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"]));
        assert_eq!(turns, parse(&["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3"]));
        assert!(take_turns(Vec::new()).is_empty());
    }
}
