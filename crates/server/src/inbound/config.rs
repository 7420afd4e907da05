//! How each service speaks: what the endpoint of a connection is made with.

use crate::auth::Authenticator;
use crate::settings::{Banner, InClear, ListenerTls, Service, Settings};
use smtp::Protocol;
use smtp::server::{AuthOffer, Config, LineEndings, MailNeeds, RequireTls, StartTls};
use std::net::IpAddr;
use std::sync::Arc;

/// A configuration for each service, with and without STARTTLS.
pub(super) struct Configs {
    smtp: Offers,
    submission: Offers,
    /// For clients on this machine.
    submission_here: Offers,
    lmtp: Offers,
}

struct Offers {
    starttls: Arc<Config>,
    nothing: Arc<Config>,
}

impl Configs {
    pub(super) fn new(settings: &Settings) -> Configs {
        Configs {
            // Only strangers are made to wait: programs that pretend to speak SMTP come to the port for other servers.
            smtp: Offers::new(Config { greeting_delay: settings.abuse.greeting_delay, ..base(settings) }),
            submission: Offers::new(submission(settings, smtp::InClear::Refuse)),
            submission_here: Offers::new(submission(
                settings,
                match settings.auth.in_clear {
                    InClear::Never => smtp::InClear::Refuse,
                    InClear::Loopback => smtp::InClear::Allow,
                },
            )),
            lmtp: Offers::new(Config {
                protocol: Protocol::Lmtp,
                require_tls: RequireTls::NotOffered,
                ..base(settings)
            }),
        }
    }

    /// That of a listener. Where TLS comes first there is no STARTTLS (RFC 8314 §3).
    pub(super) fn of(&self, service: Service, tls: ListenerTls, peer: IpAddr) -> Arc<Config> {
        let offers = match service {
            Service::Smtp => &self.smtp,
            Service::Submission if peer.to_canonical().is_loopback() => &self.submission_here,
            Service::Submission => &self.submission,
            Service::Lmtp => &self.lmtp,
            // They have endpoints of their own.
            Service::Pop3 | Service::Imap | Service::Classroom => &self.smtp,
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

/// RFC 6409: AUTH first, and programs that end lines in their own way are mended instead of refused.
fn submission(settings: &Settings, in_clear: smtp::InClear) -> Config {
    let mechanisms = Authenticator::mechanisms(&settings.auth);
    let mechanisms = mechanisms.into_iter().map(|mechanism| mechanism.as_str().to_owned()).collect();
    Config {
        auth: AuthOffer { mechanisms, in_clear },
        mail_needs: MailNeeds::Authentication,
        line_endings: LineEndings::Normalise,
        text_line_max: Some(LINE_MAX),
        ..base(settings)
    }
}

/// RFC 5321 §4.5.3.1.6: 1000 octets with CRLF.
const LINE_MAX: usize = 998;

fn base(settings: &Settings) -> Config {
    let limits = &settings.limits;
    Config {
        banner: match settings.banner {
            Banner::Plain => None,
            Banner::Version => Some(format!("Posthaste {}", env!("CARGO_PKG_VERSION"))),
        },
        require_tls: RequireTls::UnderTls,
        max_message_size: limits.message_size,
        max_recipients: limits.recipients,
        max_errors: limits.errors,
        idle_timeout: limits.idle,
        ..Config::new(settings.host_name.as_str())
    }
}
