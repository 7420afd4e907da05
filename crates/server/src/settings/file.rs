//! What an operator wrote: the TOML file, key by key, each value with its place for error messages.

use super::listener::{ListenerTls, Service};
use super::tls::{CertificateFiles, Challenge};
use super::values::{AddressAndPort, Network, QuotaText, Size, Span};
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use toml::Spanned;

/// `posthaste.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// The name that the server gives itself: in its greeting, in Received fields.
    pub hostname: Option<Spanned<Text<smtp::Domain>>>,
    /// The directory that holds everything.
    pub data: Option<PathBuf>,
    /// The domains that have mailboxes here.
    pub domains: Vec<Spanned<Text<smtp::Domain>>>,
    /// Accounts that shall exist; more can be added with `posthaste user add`.
    pub accounts: Vec<Spanned<Text<smtp::Mailbox>>>,
    /// The account that gets the mail for postmaster in every domain without one of its own.
    pub postmaster: Option<Spanned<Text<smtp::Mailbox>>>,
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// Certificates.
    pub tls: Tls,
    /// Certificates from an authority.
    pub acme: Option<Acme>,
    /// Bounds.
    pub limits: Limits,
    /// How much is too much.
    pub abuse: super::abuse::File,
    /// What the listeners of the classroom show.
    pub classroom: Classroom,
    /// How clients prove who they are when they submit mail.
    pub auth: super::auth::File,
    /// Which sender addresses they may use then.
    pub submission: super::submission::File,
    /// Who may say for whom it speaks.
    pub proxies: super::proxies::File,
    /// What the server takes from itself.
    pub hardening: super::hardening::File,
    /// For whom mail is sent on, and how its way is found.
    pub relay: super::relay::RelayFile,
    /// Ways of one's own for mail to other domains.
    pub route: Vec<super::route::RouteFile>,
    /// How long that is tried.
    pub queue: super::relay::QueueFile,
    /// What is to be known of hosts that mail goes to.
    pub site: Vec<Spanned<super::site::SiteFile>>,
}

/// One `[[listen]]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Address and port.
    pub address: Spanned<Text<AddressAndPort>>,
    /// Who is served there; the port says it when it is not written.
    pub protocol: Option<Service>,
    /// How TLS comes to a connection; the port says it when it is not written.
    pub tls: Option<ListenerTls>,
    /// Whether connections come through a proxy.
    pub proxied: Option<Spanned<bool>>,
}

/// `[tls]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Certificates in files.
    pub certificate: Vec<CertificateFiles>,
    /// The authorities whose client certificates count.
    pub client_ca: Option<PathBuf>,
}

/// `[acme]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Acme {
    /// The names in the certificate.
    pub domains: Vec<Text<smtp::Domain>>,
    /// Whom the authority may write to.
    pub contact: Vec<Text<smtp::Mailbox>>,
    /// The authority's directory.
    pub directory: Option<Spanned<String>>,
    /// Who has signed the directory's own certificate.
    pub directory_ca: Option<PathBuf>,
    /// How the authority may check the names.
    pub challenges: Option<Spanned<Vec<Challenge>>>,
    /// Where HTTP-01 is answered.
    pub http: Option<Vec<Text<AddressAndPort>>>,
    /// Where TLS-ALPN-01 is answered.
    pub tls_alpn: Option<Vec<Text<AddressAndPort>>>,
}

/// `[classroom]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Classroom {
    /// Whose mail is shown.
    pub shows: Vec<Spanned<Text<smtp::Mailbox>>>,
}

/// `[limits]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The largest message.
    pub message_size: Option<Spanned<Text<Size>>>,
    /// The most recipients of one message.
    pub recipients: Option<Spanned<u32>>,
    /// The most hosts that a message may have been through.
    pub hops: Option<Spanned<u32>>,
    /// Errors after which a session is ended.
    pub errors: Option<Spanned<u32>>,
    /// How long a session may be silent.
    pub idle: Option<Spanned<Text<Span>>>,
    /// Connections in all.
    pub connections: Option<Spanned<u32>>,
    /// Connections from one address.
    pub connections_per_address: Option<Spanned<u32>>,
    /// Sessions of one account at the same time.
    pub sessions_per_account: Option<Spanned<u32>>,
    /// How long must be between two logins to an account by POP3.
    pub login_delay: Option<Spanned<Text<Span>>>,
    /// Networks to which the bound for one address does not apply.
    pub exempt: Option<Vec<Text<Network>>>,
    /// How much mail an account may hold for which nothing is set.
    pub quota: Option<Text<QuotaText>>,
    /// Free disk space below which no more mail is accepted.
    pub disk_reserve: Option<Spanned<Text<Size>>>,
    /// How long a stop waits for transactions in flight.
    pub stop: Option<Spanned<Text<Span>>>,
}

/// A value that is written as a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<T>(pub T);

/// What is written in quotes.
struct InQuotes;

impl serde::de::Visitor<'_> for InQuotes {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("something in quotes, like \"example.org\", \"25 MiB\" or \"5m\"")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

impl<'de, T> Deserialize<'de> for Text<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Text<T>, D::Error> {
        let text = deserializer.deserialize_str(InQuotes)?;
        text.parse().map(Text).map_err(|error: T::Err| {
            let (written, error) = (format!("{text:?}"), error.to_string());
            // Some begin with it themselves.
            serde::de::Error::custom(match error.starts_with(&written) {
                true => error,
                false => format!("{written}: {error}"),
            })
        })
    }
}
