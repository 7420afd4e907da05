//! How POP3 is spoken: what the endpoint of a connection is made with.

use crate::auth::Authenticator;
use crate::settings::{InClear, ListenerTls, Settings};
use crate::visit::Visit;
use pop3::server::{Config, Stls};
use std::sync::Arc;
use std::time::Duration;

/// A configuration with and without STLS, for clients on this machine and for others.
pub(crate) struct Configs {
    here: [Arc<Config>; 2],
    elsewhere: [Arc<Config>; 2],
}

impl Configs {
    pub(crate) fn new(settings: &Settings) -> Configs {
        let mechanisms = Authenticator::mechanisms(&settings.auth);
        let base = Config {
            mechanisms: mechanisms.into_iter().map(|mechanism| mechanism.as_str().to_owned()).collect(),
            max_errors: settings.limits.errors,
            login_delay: settings.limits.login_delay,
            idle_timeout: settings.limits.idle.max(IDLE_MIN),
            ..Config::new(settings.host_name.as_str())
        };
        let both = |in_clear| {
            let with = |stls| Arc::new(Config { stls, in_clear, ..base.clone() });
            [with(Stls::NotOffered), with(Stls::Offered)]
        };
        let here = match settings.auth.in_clear {
            InClear::Never => smtp::InClear::Refuse,
            InClear::Loopback => smtp::InClear::Allow,
        };
        Configs { here: both(here), elsewhere: both(smtp::InClear::Refuse) }
    }

    /// That of a connection. Where TLS comes first, or there is none, there is no STLS.
    pub(super) fn of(&self, visit: &Visit) -> Arc<Config> {
        let is_here = visit.peer.address.ip().to_canonical().is_loopback();
        let offered = visit.peer.security == ListenerTls::StartTls && visit.context.tls.is_some();
        let configs = if is_here { &self.here } else { &self.elsewhere };
        Arc::clone(&configs[usize::from(offered)])
    }
}

/// RFC 1939 §3 gives a client 10 minutes at least.
const IDLE_MIN: Duration = Duration::from_secs(600);
