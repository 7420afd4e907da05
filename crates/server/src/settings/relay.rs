//! `[relay]` and `[queue]`: for whom mail is sent on, how its way is found, and how long that is tried. How connections are used is in
//! [`super::site`].

use super::file::Text;
use super::origin::{self, HelloFile, SourceFile};
use super::route::{self, Resolved};
use super::site::{self, SiteFile};
use super::values::{AddressAndPort, HostAddress, Network, RateText, Span};
use super::{At, SettingsError, share};
use crate::abuse::Rate;
use crate::confine::Switch;
use crate::queue::Bounds;
use crate::resolve::Dnssec;
use crate::route::Routes;
use crate::schedule::Schedule;
use crate::tls_reports;
use serde::Deserialize;
use smtp::Domain;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use store::FateLimits;
use toml::Spanned;

/// Sending mail on to other hosts, resolved and typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// Whose mail is sent on without a password: these networks'.
    pub networks: Vec<Network>,
    /// The name servers; the system's when empty.
    pub resolvers: Vec<SocketAddr>,
    /// Who validates what DNS says.
    pub dnssec: Dnssec,
    /// Whether the MTA-STS policies of other domains are looked for.
    pub mta_sts: Switch,
    /// In whose name reports on TLS are sent to other domains; `None` when none are.
    pub tls_reports: Option<tls_reports::Terms>,
    /// The domain of the reverse-paths of forwarded mail; `None` for that of the alias.
    pub srs_domain: Option<Domain>,
    /// Addresses that lead to this server, beside those that it knows itself.
    pub own_addresses: Vec<IpAddr>,
    /// The port of MX hosts: 25, but in a laboratory.
    pub mx_port: u16,
    /// Private networks in which hosts that DNS names may be.
    pub private_networks: Vec<Network>,
    /// When what failed is tried again.
    pub schedule: Schedule,
    /// Whether the postmaster hears of failures, too.
    pub postmaster_copies: Switch,
    /// How many reports an address elsewhere gets; any number when `None`.
    pub reports_per_sender: Option<Rate>,
    /// How much is done at the same time.
    pub bounds: Bounds,
    /// Ways of one's own.
    pub routes: Routes,
    /// Domains without mailboxes here whose mail is taken from everybody, to be passed on.
    pub accepted: Vec<Domain>,
    /// How much is remembered of what became of deliveries.
    pub fates: FateLimits,
}

impl Default for Relay {
    fn default() -> Relay {
        Relay {
            networks: Vec::new(),
            resolvers: Vec::new(),
            dnssec: Dnssec::default(),
            mta_sts: Switch::On,
            tls_reports: None,
            srs_domain: None,
            own_addresses: Vec::new(),
            mx_port: 25,
            private_networks: Vec::new(),
            schedule: Schedule::default(),
            postmaster_copies: Switch::Off,
            reports_per_sender: Some(Rate { amount: 1000, window: Duration::from_secs(3600) }),
            bounds: Bounds::default(),
            routes: Routes::default(),
            accepted: Vec::new(),
            fates: FateLimits::default(),
        }
    }
}

/// `[relay]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelayFile {
    /// Whose mail is sent on without a password.
    pub networks: Vec<Spanned<Text<Network>>>,
    /// The name servers.
    pub resolvers: Vec<Text<AddressAndPort>>,
    /// Who validates what DNS says.
    pub dnssec: Dnssec,
    /// Whether the MTA-STS policies of other domains are looked for.
    pub mta_sts: Switch,
    /// In whose name reports on TLS are sent.
    pub tls_reports: Option<TlsReportsFile>,
    /// The domain of the reverse-paths of forwarded mail.
    pub srs_domain: Option<Spanned<Text<Domain>>>,
    /// Addresses that lead to this server.
    pub own_addresses: Vec<Text<HostAddress>>,
    /// The addresses that connections come from.
    pub source: SourceFile,
    /// The name in EHLO.
    pub hello: HelloFile,
    /// The port of MX hosts.
    pub mx_port: Option<Spanned<u16>>,
    /// Private networks in which hosts that DNS names may be.
    pub private_networks: Vec<Text<Network>>,
}

/// `[relay.tls_reports]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsReportsFile {
    /// The organisation's name.
    pub organization: Spanned<String>,
    /// Whom the readers may ask.
    pub contact: Text<smtp::Mailbox>,
}

/// `[queue]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueFile {
    /// The wait after the first attempt.
    pub first_retry: Option<Spanned<Text<Span>>>,
    /// No wait is longer.
    pub longest_retry: Option<Spanned<Text<Span>>>,
    /// How old a message may become.
    pub give_up: Option<Spanned<Text<Span>>>,
    /// The same for reports.
    pub give_up_bounce: Option<Spanned<Text<Span>>>,
    /// After what time a sender is told of a delay.
    pub delay_notice: Option<Spanned<Text<Span>>>,
    /// Whether the postmaster hears of failures.
    pub postmaster_copies: Option<Switch>,
    /// How many reports an address elsewhere gets.
    pub reports_per_sender: Option<Text<RateText>>,
    /// Connections in all.
    pub connections: Option<Spanned<u32>>,
    /// Connections to one site.
    pub connections_per_site: Option<Spanned<u32>>,
    /// Messages over one connection.
    pub messages_per_connection: Option<Spanned<u32>>,
    /// How old a connection may become.
    pub connection_age: Option<Text<Span>>,
    /// How long one may be idle.
    pub connection_idle: Option<Text<Span>>,
    /// How many may be idle.
    pub idle_connections: Option<u32>,
    /// How long a site is left alone when it has no time.
    pub site_pause: Option<Text<Span>>,
    /// How many finished deliveries are remembered.
    pub remembered: Option<Spanned<u32>>,
    /// For how long.
    pub remembered_for: Option<Text<Span>>,
}

impl Relay {
    /// What these tables mean.
    pub(super) fn resolve(
        (relay, domains): (&RelayFile, &[Domain]),
        (queue, sites): (&QueueFile, &[Spanned<SiteFile>]),
        Resolved { routes, accepted }: Resolved,
        wrong: At<'_>,
    ) -> Result<Relay, SettingsError> {
        let default = Relay::default();
        let mx_port = match &relay.mx_port {
            Some(port) if *port.get_ref() == 0 => {
                return Err(wrong(port.span(), "no host has port 0".to_owned()));
            }
            Some(port) => *port.get_ref(),
            None => default.mx_port,
        };
        Ok(Relay {
            networks: share::not_everybody(&relay.networks, wrong, |value| {
                format!(
                    "with {value} too much of the world could send mail through this server: an open relay. Name your own networks"
                )
            })?,
            resolvers: relay.resolvers.iter().map(|address| address.0.0).collect(),
            dnssec: relay.dnssec,
            mta_sts: relay.mta_sts,
            srs_domain: relay
                .srs_domain
                .as_ref()
                .map(|domain| srs_domain(domain, domains, wrong))
                .transpose()?,
            tls_reports: relay.tls_reports.as_ref().map(|written| tls_reports(written, wrong)).transpose()?,
            own_addresses: relay.own_addresses.iter().map(|address| address.0.0).collect(),
            mx_port,
            private_networks: relay.private_networks.iter().map(|network| network.0).collect(),
            schedule: schedule(queue, wrong)?,
            postmaster_copies: queue.postmaster_copies.unwrap_or(default.postmaster_copies),
            reports_per_sender: match &queue.reports_per_sender {
                Some(Text(RateText(rate))) => *rate,
                None => default.reports_per_sender,
            },
            bounds: site::bounds(queue, sites, wrong)?,
            routes,
            accepted,
            fates: FateLimits {
                number: number(&queue.remembered, default.fates.number as usize, wrong)? as u64,
                time: queue.remembered_for.as_ref().map_or(default.fates.time, |time| time.0.0),
            },
        })
    }
}

/// Reports of other hosts come to this domain, so it must be one of ours.
fn srs_domain(
    written: &Spanned<Text<Domain>>,
    domains: &[Domain],
    wrong: At<'_>,
) -> Result<Domain, SettingsError> {
    let domain = &written.get_ref().0;
    match domains.contains(domain) {
        true => Ok(domain.clone()),
        false => {
            let message =
                format!("{domain} is none of the `domains`: what comes back to it would be refused");
            Err(wrong(written.span(), message))
        }
    }
}

fn tls_reports(written: &TlsReportsFile, wrong: At<'_>) -> Result<tls_reports::Terms, SettingsError> {
    let organization = written.organization.get_ref();
    if organization.trim().is_empty() || organization.len() > 200 || organization.contains(char::is_control) {
        let message = "a name, on one line, of at most 200 octets".to_owned();
        return Err(wrong(written.organization.span(), message));
    }
    Ok(tls_reports::Terms { organization: organization.clone(), contact: written.contact.0.clone() })
}

fn schedule(written: &QueueFile, wrong: At<'_>) -> Result<Schedule, SettingsError> {
    let default = Schedule::default();
    let span = |value: &Option<Spanned<Text<Span>>>, least: u64, default: Duration| match value {
        Some(value) if value.get_ref().0.0 < Duration::from_secs(least) => {
            let least = Span(Duration::from_secs(least));
            Err(wrong(value.span(), format!("too short: at least \"{least}\"")))
        }
        Some(value) => Ok(value.get_ref().0.0),
        None => Ok(default),
    };
    let schedule = Schedule {
        first_retry: span(&written.first_retry, 1, default.first_retry)?,
        longest_retry: span(&written.longest_retry, 1, default.longest_retry)?,
        give_up: span(&written.give_up, 1, default.give_up)?,
        give_up_bounce: span(&written.give_up_bounce, 1, default.give_up_bounce)?,
        delay_notice: span(&written.delay_notice, 0, default.delay_notice)?,
    };
    let Schedule { first_retry, longest_retry, .. } = schedule;
    if first_retry <= longest_retry {
        return Ok(schedule);
    }
    let (first, longest) = (Span(first_retry), Span(longest_retry));
    Err(match (&written.first_retry, &written.longest_retry) {
        (Some(first), _) => {
            wrong(first.span(), format!("longer than `longest_retry`, which is \"{longest}\""))
        }
        (None, written) => {
            let place = written.as_ref().map_or(0..0, Spanned::span);
            wrong(place, format!("shorter than `first_retry`, which is \"{first}\""))
        }
    })
}

pub(super) fn number(
    value: &Option<Spanned<u32>>,
    default: usize,
    wrong: At<'_>,
) -> Result<usize, SettingsError> {
    match value {
        Some(value) if *value.get_ref() == 0 => {
            Err(wrong(value.span(), "0 is too few: at least 1".to_owned()))
        }
        Some(value) => Ok(*value.get_ref() as usize),
        None => Ok(default),
    }
}

/// What `serve --check` prints. `submitters` are those who log in to submit mail, if there is a port for it.
pub(super) fn show(relay: &Relay, submitters: Option<&str>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let list = |networks: &[Network]| networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let senders = match (submitters, relay.networks.as_slice()) {
        (None, []) => "nobody".to_owned(),
        (Some(accounts), []) => accounts.to_owned(),
        (None, networks) => list(networks),
        (Some(accounts), networks) => format!("{accounts}, {}", list(networks)),
    };
    writeln!(f, "sends mail on for        {senders}")?;
    if !relay.private_networks.is_empty() {
        writeln!(f, "  also to hosts in       {}", list(&relay.private_networks))?;
    }
    route::show(&relay.routes, &relay.accepted, f)?;
    origin::show(relay.routes.general_origin(), f)?;
    for resolver in &relay.resolvers {
        writeln!(f, "asks the name server     {resolver}")?;
    }
    let dnssec = match relay.dnssec {
        Dnssec::Resolver => "by name servers on this machine",
        Dnssec::Validate => "by this server",
        Dnssec::Off => "by nobody",
    };
    writeln!(f, "DNSSEC validated         {dnssec}")?;
    if relay.mta_sts == Switch::Off {
        writeln!(f, "MTA-STS                  not looked for")?;
    }
    if let Some(tls_reports::Terms { organization, contact }) = &relay.tls_reports {
        writeln!(f, "reports on TLS           to who wants them, for {organization}, from {contact}")?;
    }
    if let Some(domain) = &relay.srs_domain {
        writeln!(f, "forwards mail from       addresses in {domain}")?;
    }
    if !relay.own_addresses.is_empty() {
        let list: Vec<String> = relay.own_addresses.iter().map(ToString::to_string).collect();
        writeln!(f, "is also reached at       {}", list.join(", "))?;
    }
    if relay.mx_port != 25 {
        writeln!(f, "port of MX hosts         {}", relay.mx_port)?;
    }
    let schedule = &relay.schedule;
    writeln!(
        f,
        "tries again after        {}, up to {}",
        Span(schedule.first_retry),
        Span(schedule.longest_retry)
    )?;
    writeln!(
        f,
        "gives up after           {} ({} for reports)",
        Span(schedule.give_up),
        Span(schedule.give_up_bounce)
    )?;
    writeln!(f, "tells of a delay after   {}", Span(schedule.delay_notice))?;
    if relay.postmaster_copies == Switch::On {
        writeln!(f, "tells of failures        the sender and the postmaster")?;
    }
    writeln!(f, "  reports to one sender  {}, elsewhere", RateText(relay.reports_per_sender))?;
    site::show(&relay.bounds, f)?;
    writeln!(
        f,
        "remembers                {} finished deliveries, for {}",
        relay.fates.number,
        Span(relay.fates.time)
    )
}

#[cfg(test)]
mod tests {
    use crate::settings::Settings;
    use smtp::Domain;
    use std::path::{Path, PathBuf};

    fn parse(rest: &str) -> Result<Settings, String> {
        let host_name = Domain::parse("host.example").expect("a domain");
        let text = format!("domains = [\"a.example\"]\n{rest}");
        Settings::parse(Path::new("posthaste.toml"), &text, host_name, PathBuf::from("/data"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_open_relay_is_refused_under_any_name() {
        for networks in [
            "\"0.0.0.0/0\"",
            "\"::/0\"",
            "\"0.0.0.0/1\"",
            "\"128.0.0.0/1\"",
            "\"10.0.0.0/7\"",
            "\"8.0.0.0/11\"",
            "\"8.0.0.0/12\", \"9.0.0.0/12\"",
            "\"8.0.0.0/13\", \"9.0.0.0/13\", \"11.0.0.0/24\"",
            "\"2000::/3\"",
            "\"2001:d000::/20\", \"2003::/32\"",
            "\"192.0.0.0/8\"",
            "\"127.0.0.0/1\"",
            "\"172.16.0.0/8\"",
            "\"fd00::/3\"",
        ] {
            let error = parse(&format!("[relay]\nnetworks = [{networks}]")).expect_err(networks);
            assert!(error.contains("open relay") && error.contains("posthaste.toml:3:"), "{error}");
        }
    }

    #[test]
    fn networks_of_ones_own_are_taken() {
        for networks in [
            "\"127.0.0.0/8\", \"::1\"",
            "\"10.0.0.0/8\", \"172.16.0.0/12\", \"192.168.0.0/16\", \"fd00::/8\", \"100.64.0.0/10\", \"169.254.0.0/16\"",
            "\"198.51.100.0/24\", \"2001:db8::/32\"",
            "\"8.0.0.0/13\", \"9.0.0.0/13\"",
        ] {
            parse(&format!("[relay]\nnetworks = [{networks}]")).expect(networks);
        }
    }

    #[test]
    fn who_may_claim_any_address_is_no_network_of_everybody_either() {
        for list in ["xclient", "proxy_protocol"] {
            for networks in ["\"0.0.0.0/0\"", "\"::/0\"", "\"8.0.0.0/12\", \"9.0.0.0/12\"", "\"2000::/3\""] {
                let error = parse(&format!("[proxies]\n{list} = [{networks}]")).expect_err(networks);
                assert!(error.contains("open relay") && error.contains("posthaste.toml:3:"), "{error}");
            }
            let networks = "\"127.0.0.0/8\", \"10.0.0.0/8\", \"198.51.100.7\", \"2001:db8::/64\"";
            parse(&format!("[proxies]\n{list} = [{networks}]")).expect(list);
        }
    }

    #[test]
    fn waits_and_numbers_make_sense() {
        for (text, part) in [
            ("[queue]\nfirst_retry = \"0s\"", "at least \"1s\""),
            ("[queue]\nconnections = 0", "at least 1"),
            ("[relay]\nmx_port = 0", "no host has port 0"),
            ("[relay]\nresolvers = [\"localhost\"]", "localhost"),
            ("[relay]\nown_addresses = [\"203.0.113.5\", \"mail.a.example\"]", "posthaste.toml:3:"),
            (
                "[relay]\nown_addresses = [\"mail.a.example\"]",
                "\"mail.a.example\" is no IP address; write it like",
            ),
            ("[relay]\nown_addresses = [\"203.0.113.5:25\"]", "is no IP address"),
            ("[relay]\nown_addresses = [\"0.0.0.0\"]", "no host has the address 0.0.0.0"),
            ("[relay]\nown_addresses = [\"::ffff:203.0.113.5\"]", "write it like \"203.0.113.5\""),
            ("[relay]\nsrs_domain = \"b.example\"", "none of the `domains`"),
            ("[relay.tls_reports]\norganization = \"\"\ncontact = \"a@a.example\"", "a name"),
            ("[relay.tls_reports]\norganization = \"x\"", "contact"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
    }
}
