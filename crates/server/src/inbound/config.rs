//! How each service speaks: what the endpoint of a connection is made with.

use crate::settings::{Banner, ListenerTls, Service, Settings};
use smtp::server::{Config, MailNeeds, StartTls};
use std::sync::Arc;

/// A configuration for each service, with and without STARTTLS.
pub(super) struct Configs {
    smtp: Offers,
    submission: Offers,
    lmtp: Offers,
}

struct Offers {
    starttls: Arc<Config>,
    nothing: Arc<Config>,
}

impl Configs {
    pub(super) fn new(settings: &Settings) -> Configs {
        Configs {
            smtp: Offers::new(base(settings, Service::Smtp)),
            submission: Offers::new(Config {
                mail_needs: MailNeeds::Authentication,
                ..base(settings, Service::Submission)
            }),
            lmtp: Offers::new(base(settings, Service::Lmtp)),
        }
    }

    /// That of a listener. Where TLS comes first there is no STARTTLS (RFC 8314 §3).
    pub(super) fn of(&self, service: Service, tls: ListenerTls) -> Arc<Config> {
        let offers = match service {
            Service::Smtp => &self.smtp,
            Service::Submission => &self.submission,
            Service::Lmtp => &self.lmtp,
        };
        Arc::clone(match tls {
            ListenerTls::StartTls => &offers.starttls,
            ListenerTls::Implicit | ListenerTls::None => &offers.nothing,
        })
    }
}

impl Offers {
    fn new(config: Config) -> Offers {
        Offers {
            starttls: Arc::new(Config { starttls: StartTls::Offered, ..config.clone() }),
            nothing: Arc::new(config),
        }
    }
}

fn base(settings: &Settings, service: Service) -> Config {
    let limits = &settings.limits;
    Config {
        protocol: service.protocol(),
        banner: match settings.banner {
            Banner::Plain => None,
            Banner::Version => Some(format!("Posthaste {}", env!("CARGO_PKG_VERSION"))),
        },
        max_message_size: limits.message_size,
        max_recipients: limits.recipients,
        max_errors: limits.errors,
        idle_timeout: limits.idle,
        ..Config::new(settings.host_name.as_str())
    }
}
