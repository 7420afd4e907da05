//! Values as people write them: sizes, lengths of time, networks.

use crate::abuse::Rate;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes, written `"25 MiB"`, `"500 kB"` or as a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A length of time, written `"5m"`, `"90 s"`, `"1h30m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// An IP network, written `"192.0.2.0/24"`, `"2001:db8::/32"` or as one address. Bits of the address beyond the prefix are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// How much within how long, written `"20/h"`, `"10 GiB/h"` or `"100/5m"`; `"none"` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateText(pub Option<Rate>);

/// How much an account may hold, written as a size; `"none"` is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaText(pub Option<u64>);

/// A value that is not written as it must be; the text says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

impl ValueError {
    /// With what would be right.
    pub(super) fn new(text: String) -> ValueError {
        ValueError(text)
    }
}

const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

const SPANS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];

impl FromStr for Size {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Size, ValueError> {
        let wrong = || ValueError(format!("{text:?} is not a size; write it like \"25 MiB\" or \"500 kB\""));
        let digits = text.trim().find(|c: char| !c.is_ascii_digit()).unwrap_or(text.trim().len());
        let (number, unit) = text.trim().split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let unit = unit.trim();
        let factor = if unit.is_empty() {
            1
        } else {
            SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1
        };
        number.checked_mul(factor).map(Size).ok_or_else(wrong)
    }
}

impl FromStr for QuotaText {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<QuotaText, ValueError> {
        if text == "none" {
            return Ok(QuotaText(None));
        }
        let size = text.parse().map_err(|error| ValueError(format!("{error}, or \"none\"")));
        size.map(|Size(bytes)| QuotaText(Some(bytes)))
    }
}

impl fmt::Display for QuotaText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => Size(bytes).fmt(f),
            None => f.write_str("none"),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = SIZES.iter().rev().find(|(name, factor)| {
            (name.ends_with("iB") || *name == "B") && self.0 >= *factor && self.0.is_multiple_of(*factor)
        });
        match unit {
            Some((name, factor)) => write!(f, "{} {name}", self.0 / factor),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl FromStr for Span {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Span, ValueError> {
        let wrong = || {
            ValueError(format!(
                "{text:?} is not a length of time; write it like \"5m\", \"90s\" or \"1h30m\""
            ))
        };
        let mut rest = text.trim();
        let mut seconds = 0u64;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = rest[digits..].trim_start();
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let factor = SPANS.iter().find(|(name, _)| *name == &rest[..letters]).ok_or_else(wrong)?.1;
            seconds = number.checked_mul(factor).and_then(|s| s.checked_add(seconds)).ok_or_else(wrong)?;
            rest = rest[letters..].trim_start();
        }
        // A year is longer than anything here may wait, and far from the limits of the clock.
        if seconds > 366 * 86_400 {
            return Err(ValueError(format!("{text:?} is more than a year")));
        }
        Ok(Span(Duration::from_secs(seconds)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_secs();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (name, factor) in SPANS.iter().rev() {
            if rest >= *factor {
                write!(f, "{}{name}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

impl FromStr for RateText {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<RateText, ValueError> {
        let wrong = || {
            ValueError(format!(
                "{text:?} is not a rate; write it like \"20/h\", \"100/5m\" or \"10 GiB/h\", or \"none\" for no limit"
            ))
        };
        if text.trim() == "none" {
            return Ok(RateText(None));
        }
        let (amount, window) = text.split_once('/').ok_or_else(wrong)?;
        let amount = amount.parse::<Size>().map_err(|_| wrong())?.0;
        let window = match window.trim() {
            unit if unit.starts_with(|c: char| c.is_ascii_alphabetic()) => format!("1{unit}").parse::<Span>(),
            window => window.parse::<Span>(),
        };
        let window = window.map_err(|_| wrong())?.0;
        if amount == 0 || window.is_zero() {
            Err(wrong())
        } else {
            Ok(RateText(Some(Rate { amount, window })))
        }
    }
}

impl fmt::Display for RateText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Rate { amount, window }) = self.0 else { return f.write_str("none") };
        // Numbers of things are said as such, numbers of bytes as sizes: nobody counts things in multiples of 1 MiB.
        match amount {
            amount if amount.is_multiple_of(1 << 20) => write!(f, "{}", Size(amount))?,
            amount => write!(f, "{amount}")?,
        }
        let window = Span(window).to_string();
        write!(f, "/{}", window.strip_prefix('1').filter(|unit| unit.len() == 1).unwrap_or(&window))
    }
}

impl Network {
    /// The address that it was written with.
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// The network of `prefix` bits around an address; a prefix that is too long is the whole address.
    pub fn around(address: IpAddr, prefix: u8) -> Network {
        match address {
            IpAddr::V4(address) => {
                let prefix = prefix.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                Network { address: IpAddr::V4((u32::from(address) & mask).into()), prefix }
            }
            IpAddr::V6(address) => {
                let prefix = prefix.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                Network { address: IpAddr::V6((u128::from(address) & mask).into()), prefix }
            }
        }
    }

    /// How many bits of an address name the network.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether all of `other` is in the network.
    pub fn covers(&self, other: Network) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    /// Whether the address is in the network. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (u32::from(network) ^ u32::from(address))
                    .checked_shr(32 - u32::from(self.prefix))
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (u128::from(network) ^ u128::from(address))
                    .checked_shr(128 - u32::from(self.prefix))
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Network, ValueError> {
        let wrong = || {
            ValueError(format!(
                "{text:?} is not a network; write it like \"192.0.2.0/24\" or \"2001:db8::/32\""
            ))
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        if let IpAddr::V6(mapped) = address
            && let Some(address) = mapped.to_ipv4_mapped()
        {
            // Clients that come as such count as IPv4: this would never meet one.
            return Err(ValueError(format!("{text:?} is IPv4 written as IPv6; write it like \"{address}\"")));
        }
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), |prefix| prefix.parse().map_err(|_| wrong()))?;
        if prefix > longest { Err(wrong()) } else { Ok(Network::around(address, prefix)) }
    }
}

/// The address of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostAddress(pub IpAddr);

impl FromStr for HostAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<HostAddress, ValueError> {
        let address: IpAddr = text.parse().map_err(|_| {
            ValueError(format!("{text:?} is no IP address; write it like \"203.0.113.5\" or \"2001:db8::5\""))
        })?;
        if address.is_unspecified() || address.is_multicast() {
            return Err(ValueError(format!("no host has the address {address}")));
        }
        match address {
            IpAddr::V6(six) if six.to_ipv4_mapped().is_some() => {
                let four = address.to_canonical();
                Err(ValueError(format!("{text:?} is IPv4 written as IPv6; write it like \"{four}\"")))
            }
            address => Ok(HostAddress(address)),
        }
    }
}

/// Where something listens: an address and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressAndPort(pub SocketAddr);

impl FromStr for AddressAndPort {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<AddressAndPort, ValueError> {
        text.parse().map(AddressAndPort).map_err(|_| {
            ValueError(format!(
                "{text:?} is no address with a port; write it like \"127.0.0.1:25\" or \"[::1]:25\""
            ))
        })
    }
}

impl serde::Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Network, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print() {
        for (text, bytes, printed) in [
            ("25 MiB", 25 << 20, "25 MiB"),
            ("500kB", 500_000, "500000 B"),
            ("1024", 1024, "1 KiB"),
            ("0", 0, "0 B"),
            (" 3 GiB ", 3 << 30, "3 GiB"),
        ] {
            let size: Size = text.parse().expect(text);
            assert_eq!((size.0, size.to_string().as_str()), (bytes, printed));
        }
        for text in ["", "MiB", "1.5 MiB", "-1", "5 mib", "99999999999999999999", "18446744073709551615 KiB"]
        {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn spans_read_and_print() {
        for (text, seconds, printed) in [
            ("5m", 300, "5m"),
            ("90s", 90, "1m30s"),
            ("1h30m", 5400, "1h30m"),
            ("1 d 1 s", 86_401, "1d1s"),
            ("0s", 0, "0s"),
        ] {
            let span: Span = text.parse().expect(text);
            assert_eq!((span.0.as_secs(), span.to_string().as_str()), (seconds, printed));
        }
        for text in ["", "5", "m", "5 minutes", "-5m", "5m5", "400d", "99999999999999999999s"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn rates_read_and_print() {
        for (text, amount, seconds, printed) in [
            ("20/h", 20, 3600, "20/h"),
            ("100 / 5m", 100, 300, "100/5m"),
            ("10 GiB/d", 10 << 30, 86_400, "10 GiB/d"),
            ("1/1s", 1, 1, "1/s"),
            ("7/10s", 7, 10, "7/10s"),
        ] {
            let rate: RateText = text.parse().expect(text);
            assert_eq!(rate.0, Some(Rate { amount, window: Duration::from_secs(seconds) }));
            assert_eq!(rate.to_string(), printed);
        }
        assert_eq!("none".parse(), Ok(RateText(None)));
        for text in ["", "20", "/h", "0/h", "20/0s", "20/hour", "x/h", "20 h"] {
            assert!(text.parse::<RateText>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_network_holds_no_bits_beyond_its_prefix() {
        for (text, printed) in [
            ("192.0.2.77/24", "192.0.2.0/24"),
            ("192.0.2.77/0", "0.0.0.0/0"),
            ("2001:db8:1:2::5/64", "2001:db8:1:2::/64"),
            ("2001:db8::5/0", "::/0"),
        ] {
            assert_eq!(text.parse::<Network>().expect(text).to_string(), printed);
        }
    }

    #[test]
    fn networks_contain_their_addresses() {
        for (network, address, inside) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
        ] {
            let network: Network = network.parse().expect(network);
            assert_eq!(network.contains(address.parse().expect(address)), inside, "{network} {address}");
        }
        for text in ["", "192.0.2.0/33", "::/129", "localhost", "1.2.3.4/x"] {
            assert!(text.parse::<Network>().is_err(), "{text:?}");
        }
    }
}
