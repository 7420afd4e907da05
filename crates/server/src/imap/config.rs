//! How IMAP is spoken: what the endpoint of a connection is made with.

use crate::auth::Authenticator;
use crate::settings::{InClear, ListenerTls, Settings};
use crate::visit::Visit;
use imap::server::{Config, StartTls};
use std::sync::Arc;
use std::time::Duration;

/// A configuration with and without STARTTLS, for clients on this machine and for others.
pub(crate) struct Configs {
    here: [Arc<Config>; 2],
    elsewhere: [Arc<Config>; 2],
}

impl Configs {
    pub(crate) fn new(settings: &Settings) -> Configs {
        let mechanisms = Authenticator::mechanisms(&settings.auth);
        let plain = Config::new(settings.host_name.as_str());
        let base = Config {
            mechanisms: mechanisms.into_iter().map(|mechanism| mechanism.as_str().to_owned()).collect(),
            append_limit: append_limit(settings.limits.message_size),
            max_errors: settings.limits.errors,
            login_timeout: settings.limits.idle,
            idle_timeout: settings.limits.idle.max(IDLE_MIN),
            id: vec![
                ("name".to_owned(), "Posthaste".to_owned()),
                ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ],
            ..plain
        };
        let both = |in_clear| {
            let with = |start_tls| Arc::new(Config { start_tls, in_clear, ..base.clone() });
            [with(StartTls::NotOffered), with(StartTls::Offered)]
        };
        let here = match settings.auth.in_clear {
            InClear::Never => smtp::InClear::Refuse,
            InClear::Loopback => smtp::InClear::Allow,
        };
        Configs { here: both(here), elsewhere: both(smtp::InClear::Refuse) }
    }

    /// That of a connection. Where TLS comes first, or there is none, there is no STARTTLS.
    pub(super) fn of(&self, visit: &Visit) -> Arc<Config> {
        let is_here = visit.peer.address.ip().to_canonical().is_loopback();
        let offered = visit.peer.security == ListenerTls::StartTls && visit.context.tls.is_some();
        let configs = if is_here { &self.here } else { &self.elsewhere };
        Arc::clone(&configs[usize::from(offered)])
    }
}

/// The largest message that APPEND takes, where mail may have this size; 0 is no limit there.
pub(super) fn append_limit(message_size: u64) -> u64 {
    if message_size == 0 { u64::from(u32::MAX) } else { message_size }
}

/// RFC 9051 §5.4 gives a client 30 minutes at least, and IDLE is begun anew after 29 (RFC 2177 §3).
const IDLE_MIN: Duration = Duration::from_secs(1860);
