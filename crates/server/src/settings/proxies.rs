//! `[proxies]`: who may say for whom it speaks.

use super::file::Text;
use super::values::Network;
use super::{At, SettingsError, share};
use serde::Deserialize;
use std::fmt;
use std::net::IpAddr;
use toml::Spanned;

/// Networks of one's own proxies; none unless they are named.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxies {
    /// Those whose connections begin with a PROXY header, on the listeners that say so.
    pub header: Vec<Network>,
    /// Those that may say XCLIENT.
    pub xclient: Vec<Network>,
}

/// Whether connections to a listener come through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Proxied {
    /// They do not.
    #[default]
    No,
    /// Those from [`Proxies::header`] do, and begin with a PROXY header.
    Yes,
}

/// `[proxies]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// Who sends PROXY headers.
    proxy_protocol: Vec<Spanned<Text<Network>>>,
    /// Who says XCLIENT.
    xclient: Vec<Spanned<Text<Network>>>,
}

impl File {
    /// Whoever may say where a connection comes from can have the rights of any network: to relay, or to be exempt from limits.
    pub(super) fn resolve(&self, wrong: At<'_>) -> Result<Proxies, SettingsError> {
        let networks = |written| {
            share::not_everybody(written, wrong, |value| {
                format!(
                    "with {value} too much of the world could claim any address, and with it the rights of your own networks: an open relay. Name your proxies"
                )
            })
        };
        Ok(Proxies { header: networks(&self.proxy_protocol)?, xclient: networks(&self.xclient)? })
    }
}

impl Proxies {
    /// Whether a connection from `peer` begins with a PROXY header, on a listener that is proxied.
    pub(crate) fn sends_header(&self, peer: IpAddr) -> bool {
        self.header.iter().any(|network| network.contains(peer))
    }

    /// Whether `peer` may say XCLIENT.
    pub(crate) fn says_xclient(&self, peer: IpAddr) -> bool {
        self.xclient.iter().any(|network| network.contains(peer))
    }
}

/// The proxies as a person reads them; nothing when there are none.
pub(super) fn show(proxies: &Proxies, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (title, networks) in [("PROXY headers from", &proxies.header), ("XCLIENT from", &proxies.xclient)] {
        if !networks.is_empty() {
            let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
            writeln!(f, "{title:<24} {}", networks.join(", "))?;
        }
    }
    Ok(())
}
