//! How a host is spoken with: the terms of a connection, and what may be done without when one fails.

use crate::deliver::login::Login;
use crate::deliver::relay::{Obstacle, Terms, Wear};
use crate::deliver::secure::{Begin, Level, Security};
use crate::resolve::Target;
use smtp::InClear;
use smtp::client::{Config, Hello};
use std::fmt;
use std::sync::Arc;

/// How a host is spoken with.
pub(super) struct Manner {
    pub(super) hello: Hello,
    pub(super) security: Security,
}

impl Manner {
    pub(super) fn terms(&self, outbound: &super::Outbound, target: &Target, wear: Wear) -> Terms {
        let hop = target.hop.as_deref();
        let name = target.origin.hello.as_ref().unwrap_or(&outbound.host_name);
        let mut config = Config { hello: self.hello, ..Config::new(name.ascii()) };
        if let Some(hop) = hop {
            config.protocol = hop.protocol;
        }
        // The settings allow credentials without TLS on this machine alone.
        if hop.is_some_and(|hop| hop.credentials.is_some() && hop.security.level != Level::Verified) {
            config.in_clear = InClear::Allow;
        }
        let own = hop.and_then(|hop| outbound.own_authorities.get(hop.authorities.as_ref()?));
        let connector = self.security.connector(target, own.unwrap_or(&outbound.authorities));
        let login = hop.and_then(|hop| hop.credentials.clone()).map(|credentials| Login {
            credentials,
            host: Arc::clone(&target.host),
            port: target.address.ip().map_or(0, |address| address.port()),
            random: Arc::clone(&outbound.secrets),
        });
        Terms { config, security: self.security.clone(), connector, login, wear }
    }

    /// A manner that does without what stood in the way; `None` when there is none that is allowed.
    pub(super) fn without(&self, obstacle: &Obstacle) -> Option<Manner> {
        if !self.security.allows_clear() {
            return None;
        }
        let in_clear = Security { level: Level::Clear, begin: Begin::StartTls };
        match obstacle {
            Obstacle::Tls(_) if self.security.level == Level::Opportunistic => {
                Some(Manner { hello: self.hello, security: in_clear })
            }
            // Without extensions there is no STARTTLS.
            Obstacle::Extensions if self.hello == Hello::Extended => {
                Some(Manner { hello: Hello::Basic, security: self.security.clone() })
            }
            Obstacle::Tls(_) | Obstacle::Extensions | Obstacle::Stale | Obstacle::Busy => None,
        }
    }
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hello {
            Hello::Extended => f.write_str("in clear"),
            Hello::Basic => f.write_str("with HELO"),
        }
    }
}
