//! Lists of networks that get rights: no list may amount to everybody.

use super::file::Text;
use super::values::Network;
use super::{At, SettingsError};
use crate::resolve::is_private;
use std::net::IpAddr;
use toml::Spanned;

/// The networks of a list whose members may do what strangers may not. It is refused, in the words of `explain`, under whatever name it
/// stands for everybody: when its public networks are larger, alone or together, than any one organisation's.
pub(super) fn not_everybody(
    written: &[Spanned<Text<Network>>],
    wrong: At<'_>,
    explain: impl Fn(Network) -> String,
) -> Result<Vec<Network>, SettingsError> {
    let mut shares = [0u64; 2];
    for network in written {
        let value = network.get_ref().0;
        if is_private_network(&value) {
            continue;
        }
        // Shares of what may be, in millionths, so that small networks count together.
        let (family, shortest) = match value.address() {
            IpAddr::V4(_) => (0, 12),
            IpAddr::V6(_) => (1, 20),
        };
        shares[family] += match value.prefix().checked_sub(shortest) {
            None => WHOLE + 1,
            Some(longer) => WHOLE >> u32::from(longer).min(63),
        };
        if shares[family] > WHOLE {
            return Err(wrong(network.span(), explain(value)));
        }
    }
    Ok(written.iter().map(|network| network.get_ref().0).collect())
}

/// One network as large as may be.
const WHOLE: u64 = 1_000_000;

/// Whether a network lies in private space as a whole.
fn is_private_network(network: &Network) -> bool {
    let least = match network.address() {
        // The shortest prefixes of RFC 1918, RFC 5735 and RFC 4193 that `is_private` knows.
        IpAddr::V4(v4) if v4.octets()[0] == 172 => 12,
        IpAddr::V4(v4) if matches!(v4.octets()[0], 169 | 192) => 16,
        IpAddr::V4(v4) if v4.octets()[0] == 100 => 10,
        IpAddr::V4(_) => 8,
        IpAddr::V6(v6) if v6.is_loopback() => 128,
        IpAddr::V6(v6) if v6.is_unique_local() => 7,
        IpAddr::V6(_) => 10,
    };
    is_private(network.address()) && network.prefix() >= least
}
