//! Settings: what an operator wrote ([`File`]), and what it means ([`Settings`]).
//!
//! A server can also be set up without a file: [`Settings::catcher`] is what `posthaste up` runs with.

mod abuse;
mod auth;
mod error;
mod file;
mod hardening;
mod listener;
mod origin;
mod proxies;
mod relay;
mod route;
mod share;
mod show;
mod site;
mod submission;
mod tls;
pub mod users;
mod values;

pub use auth::{AuthSettings, InClear, OAuth, TokenSource};
pub use error::{SettingsError, Wrong};
pub use file::File;
pub use listener::{Listener, ListenerTls, Service};
pub use proxies::{Proxied, Proxies};
pub use relay::Relay;
pub use tls::{Acme, CertificateFiles, Challenge, DEFAULT_DIRECTORY, Tls};
pub use values::{Network, RateText, Size, Span, ValueError};

use crate::abuse::Policy;
use crate::confine::Hardening;
use crate::policy::sender;
use crate::route::Origin;
use file::{Limits as FileLimits, Listen, Text};
use serde::Deserialize;
use smtp::{Domain, Mailbox};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::AccountName;
use toml::Spanned;

/// A commented settings file with every key.
pub const SAMPLE: &str = include_str!("sample.toml");

/// Everything that a server must know, resolved and typed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name that the server gives itself.
    pub host_name: Domain,
    /// The directory that holds everything.
    pub data: PathBuf,
    /// Whose mail is taken.
    pub acceptance: Acceptance,
    /// Accounts that shall exist when the server has started.
    pub accounts: Vec<AccountName>,
    /// Where to listen; never empty.
    pub listeners: Vec<Listener>,
    /// Certificates.
    pub tls: Tls,
    /// Bounds.
    pub limits: Limits,
    /// How much is too much. Its exempt networks are those of the limits.
    pub abuse: Policy,
    /// Whose mail the listeners of the classroom show.
    pub classroom: BTreeSet<AccountName>,
    /// How clients prove who they are when they submit mail.
    pub auth: AuthSettings,
    /// Which sender addresses they may use then.
    pub submission: sender::Rules,
    /// Who may say for whom it speaks.
    pub proxies: Proxies,
    /// What the server takes from itself when it starts.
    pub hardening: Hardening,
    /// Sending mail on to other hosts; `None` for a server that never does.
    pub relay: Option<Relay>,
    /// Whether the greeting shows the version: for a server in a laboratory, not for one in the world.
    pub banner: Banner,
}

/// Whose mail a server takes for mailboxes of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// Everybody's: an account is made for each address that gets mail.
    Everyone,
    /// That of these accounts and of those added by command.
    Named(BTreeSet<AccountName>),
    /// That of the accounts in these domains.
    Domains {
        /// The domains that the settings name; those that were added by command are in the store. A server that starts has one at
        /// least; the first stands for the others where one is needed.
        domains: Vec<Domain>,
        /// Who gets the mail for postmaster.
        postmaster: Option<AccountName>,
    },
}

/// What the greeting says of the software.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Banner {
    /// Only the host's name.
    Plain,
    /// Name and version.
    Version,
}

/// Bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest message in bytes; 0 is none.
    pub message_size: u64,
    /// The most recipients of one message; RFC 5321 §4.5.3.1.8 asks for at least 100.
    pub recipients: usize,
    /// The most hosts that a message may have been through; RFC 5321 §6.3 asks for at least 100.
    pub hops: usize,
    /// Errors after which a session is ended.
    pub errors: u32,
    /// How long a session may be silent; RFC 5321 §4.5.3.2.7 asks for at least 5 minutes.
    pub idle: Duration,
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address.
    pub connections_per_address: usize,
    /// Sessions at the same time that have logged in to one account, in all protocols.
    pub sessions_per_account: usize,
    /// How long must be between two logins to an account by POP3 (LOGIN-DELAY, RFC 2449 §6.5); none when it is zero.
    pub login_delay: Duration,
    /// Networks to which the bound for one address and the limits on abuse do not apply.
    pub exempt: Vec<Network>,
    /// How much mail in bytes an account may hold for which nothing is set; `None` is no bound.
    pub quota: Option<u64>,
    /// Free disk space in bytes below which no more mail is accepted.
    pub disk_reserve: u64,
    /// How long a stop waits for transactions in flight.
    pub stop: Duration,
}

/// What `posthaste up` can be told.
#[derive(Debug, Clone, Default)]
pub struct Catcher {
    /// Where to listen; port 2525 of the loopback address when empty.
    pub listen: Vec<SocketAddr>,
    /// Where mail is fetched by POP3, by those who have a password; nowhere when empty.
    pub pop3: Vec<SocketAddr>,
    /// Where mail is read by IMAP, by those who have a password; nowhere when empty.
    pub imap: Vec<SocketAddr>,
    /// Where the protocol of the classroom is spoken; nowhere when empty.
    pub classroom: Vec<SocketAddr>,
    /// How TLS comes to the connections.
    pub tls: ListenerTls,
    /// The directory that holds everything.
    pub data: PathBuf,
    /// The only addresses that get mail; everybody does when `None`.
    pub users: Option<Vec<Mailbox>>,
    /// Where backups may be written while it runs.
    pub backups: Option<PathBuf>,
}

impl Default for Limits {
    fn default() -> Limits {
        let loopback = ["127.0.0.0/8", "::1/128"];
        Limits {
            message_size: 64 << 20,
            recipients: 1000,
            hops: 100,
            errors: 20,
            idle: Duration::from_secs(300),
            connections: 10_000,
            connections_per_address: 50,
            sessions_per_account: 100,
            login_delay: Duration::ZERO,
            exempt: loopback.map(|text| text.parse().expect("a network")).to_vec(),
            quota: None,
            disk_reserve: 256 << 20,
            stop: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// A server that needs no configuration: it catches mail, for everybody or for some, and never relays.
    pub fn catcher(catcher: Catcher, host_name: Domain) -> Settings {
        let listen = match catcher.listen {
            list if list.is_empty() => vec![SocketAddr::from(([127, 0, 0, 1], 2525))],
            list => list,
        };
        let accounts: BTreeSet<AccountName> = catcher.users.iter().flatten().map(AccountName::of).collect();
        Settings {
            host_name,
            data: catcher.data,
            accounts: accounts.iter().cloned().collect(),
            acceptance: match catcher.users {
                Some(_) => Acceptance::Named(accounts),
                None => Acceptance::Everyone,
            },
            listeners: (listen.into_iter().map(|address| (address, Service::Smtp)))
                .chain(catcher.pop3.into_iter().map(|address| (address, Service::Pop3)))
                .chain(catcher.imap.into_iter().map(|address| (address, Service::Imap)))
                .map(|(address, service)| Listener {
                    address,
                    service,
                    tls: catcher.tls,
                    proxied: Proxied::No,
                })
                .chain(catcher.classroom.into_iter().map(classroom))
                .collect(),
            tls: Tls::default(),
            limits: Limits::default(),
            abuse: Policy::default(),
            classroom: BTreeSet::new(),
            // What is tried out on one's own machine needs no TLS.
            auth: AuthSettings { in_clear: InClear::Loopback, ..AuthSettings::default() },
            submission: sender::Rules::default(),
            proxies: Proxies::default(),
            hardening: Hardening { backups: catcher.backups, ..Hardening::default() },
            relay: None,
            banner: Banner::Version,
        }
    }

    /// Reads a settings file. `host_name` is used when the file names none, `data` likewise.
    pub fn load(file: &Path, host_name: Domain, data: PathBuf) -> Result<Settings, SettingsError> {
        Settings::parse(file, &read(file)?, host_name, data)
    }

    /// The same of a text; `file` is what errors call it.
    pub fn parse(
        file: &Path,
        text: &str,
        host_name: Domain,
        data: PathBuf,
    ) -> Result<Settings, SettingsError> {
        let wrong = |span, message| Wrong::at(file, text, span, message);
        let written: File = toml::from_str(text)
            .map_err(|error| wrong(error.span().unwrap_or(0..0), error.message().replace('\n', ", ")))?;
        let domains: Vec<Domain> = written.domains.iter().map(|domain| domain.get_ref().0.clone()).collect();
        let ours = |address: &Spanned<Text<Mailbox>>| {
            let mailbox = &address.get_ref().0;
            if mailbox.domain().is_some_and(|domain| domains.contains(domain)) {
                return Ok(AccountName::of(mailbox));
            }
            Err(wrong(address.span(), format!("{mailbox} is in none of the `domains`; add its domain there")))
        };
        let accounts = written.accounts.iter().map(ours).collect::<Result<Vec<_>, _>>()?;
        let postmaster = written.postmaster.as_ref().map(ours).transpose()?;
        let host_name = written.hostname.map_or(host_name, |name| name.into_inner().0);
        let shown = written.classroom.shows.iter().map(ours).collect::<Result<_, _>>()?;
        let auth = written.auth.resolve(written.tls.client_ca.as_deref(), &wrong)?;
        let proxies = written.proxies.resolve(&wrong)?;
        let general =
            origin::resolve(&written.relay.source, &written.relay.hello, &Origin::default(), &wrong)?;
        let routes = route::resolve(&written.route, &domains, general, &wrong)?;
        let relay =
            Relay::resolve((&written.relay, &domains), (&written.queue, &written.site), routes, &wrong)?;
        Ok(Settings {
            tls: tls::resolve(written.tls, written.acme, &host_name, &wrong)?,
            host_name,
            data: written.data.unwrap_or(data),
            accounts: accounts.into_iter().chain(postmaster.clone()).collect(),
            acceptance: Acceptance::Domains { domains, postmaster },
            listeners: listeners(&written.listen, auth.in_clear, &proxies, &wrong)?,
            limits: limits(&written.limits, &wrong)?,
            abuse: written.abuse.resolve(&wrong)?,
            classroom: shown,
            auth,
            submission: written.submission.resolve(),
            proxies,
            hardening: written.hardening.resolve(),
            relay: Some(relay),
            banner: Banner::Plain,
        })
    }
}

/// The data directory that a settings file names, if it names one. What else it says may be wrong: whoever looks after the mail need not wait until it is right.
pub fn data_directory(file: &Path) -> Result<Option<PathBuf>, SettingsError> {
    /// The one key.
    #[derive(Deserialize)]
    struct Named {
        data: Option<PathBuf>,
    }
    let text = read(file)?;
    let wrong = |error: toml::de::Error| {
        Wrong::at(file, &text, error.span().unwrap_or(0..0), error.message().replace('\n', ", "))
    };
    Ok(toml::from_str::<Named>(&text).map_err(wrong)?.data)
}

fn read(file: &Path) -> Result<String, SettingsError> {
    std::fs::read_to_string(file).map_err(|cause| SettingsError::Unreadable { file: file.to_owned(), cause })
}

fn classroom(address: SocketAddr) -> Listener {
    Listener::usual(address, Some(Service::Classroom), None)
}

type At<'a> = &'a dyn Fn(std::ops::Range<usize>, String) -> SettingsError;

fn listeners(
    written: &[Listen],
    in_clear: InClear,
    proxies: &Proxies,
    wrong: At<'_>,
) -> Result<Vec<Listener>, SettingsError> {
    let mut listeners = Vec::<Listener>::new();
    for listen in written {
        let address = listen.address.get_ref().0.0;
        if address.port() != 0 && listeners.iter().any(|known| known.address == address) {
            return Err(wrong(listen.address.span(), format!("{address} is named twice; a listener each")));
        }
        let proxied = match &listen.proxied {
            Some(proxied) if *proxied.get_ref() && proxies.header.is_empty() => {
                let message =
                    "there is no `proxy_protocol` in [proxies]: name the networks of the proxies there";
                return Err(wrong(proxied.span(), message.to_owned()));
            }
            Some(proxied) if *proxied.get_ref() => Proxied::Yes,
            _ => Proxied::No,
        };
        let listener = Listener::usual(address, listen.protocol, listen.tls);
        if listener.service.is_for_accounts()
            && listener.tls == ListenerTls::None
            && (in_clear == InClear::Never || !address.ip().is_loopback())
        {
            let message = "nobody could log in here: submission and POP3 need `tls`, or a loopback address and \
                           `in_clear = \"loopback\"` in [auth]";
            return Err(wrong(listen.address.span(), message.to_owned()));
        }
        if listener.service == Service::Classroom && listener.tls != ListenerTls::None {
            let message = "there is no TLS in the protocol of the classroom; leave `tls` out".to_owned();
            return Err(wrong(listen.address.span(), message));
        }
        listeners.push(Listener { proxied, ..listener });
    }
    if listeners.is_empty() {
        // What a mail server that says nothing else is for.
        listeners = [25, 465, 587]
            .into_iter()
            .flat_map(|port| [SocketAddr::from(([0, 0, 0, 0], port)), SocketAddr::from(([0; 16], port))])
            .map(|address| Listener::usual(address, None, None))
            .collect();
    }
    Ok(listeners)
}

fn limits(written: &FileLimits, wrong: At<'_>) -> Result<Limits, SettingsError> {
    let default = Limits::default();
    let number = |value: &Option<Spanned<u32>>, least: u32, default: usize, why: &str| match value {
        Some(value) if *value.get_ref() < least => {
            Err(wrong(value.span(), format!("{} is too few: at least {least}{why}", value.get_ref())))
        }
        Some(value) => Ok(*value.get_ref() as usize),
        None => Ok(default),
    };
    let span = |value: &Option<Spanned<Text<Span>>>, default| {
        value.as_ref().map_or(default, |value| value.get_ref().0.0)
    };
    let size = |value: &Option<Spanned<Text<Size>>>, default| {
        value.as_ref().map_or(default, |value| value.get_ref().0.0)
    };
    if let Some(value) = &written.message_size
        && (1..64 * 1024).contains(&value.get_ref().0.0)
    {
        let message = "too small: at least \"64 KiB\" (RFC 5321 §4.5.3.1.7), or \"0\" for no limit";
        return Err(wrong(value.span(), message.to_owned()));
    }
    if let Some(value) = &written.idle
        && value.get_ref().0.0 < Duration::from_secs(10)
    {
        let message = "too short: at least \"10s\"; RFC 5321 §4.5.3.2.7 asks for \"5m\"";
        return Err(wrong(value.span(), message.to_owned()));
    }
    Ok(Limits {
        message_size: size(&written.message_size, default.message_size),
        recipients: number(&written.recipients, 100, default.recipients, " (RFC 5321 §4.5.3.1.8)")?,
        hops: number(&written.hops, 25, default.hops, ", or mail that is on its way would be lost")?,
        errors: number(&written.errors, 1, default.errors as usize, "")? as u32,
        idle: span(&written.idle, default.idle),
        connections: number(&written.connections, 1, default.connections, "")?,
        connections_per_address: number(
            &written.connections_per_address,
            1,
            default.connections_per_address,
            "",
        )?,
        sessions_per_account: number(&written.sessions_per_account, 1, default.sessions_per_account, "")?,
        login_delay: span(&written.login_delay, default.login_delay),
        exempt: match &written.exempt {
            Some(networks) => networks.iter().map(|network| network.0).collect(),
            None => default.exempt,
        },
        quota: written.quota.as_ref().map_or(default.quota, |quota| quota.0.0),
        disk_reserve: size(&written.disk_reserve, default.disk_reserve),
        stop: span(&written.stop, default.stop),
    })
}

/// What these `[[route]]` tables mean, for tests of what is done with them.
#[cfg(test)]
pub(crate) fn routes(tables: &str) -> crate::route::Routes {
    let host_name = Domain::parse("host.example").expect("a domain");
    let settings = Settings::parse(Path::new("routes"), tables, host_name, PathBuf::new());
    let relay = settings.unwrap_or_else(|error| panic!("{error}")).relay;
    relay.expect("a settings file relays").routes
}

#[cfg(test)]
mod tests;
