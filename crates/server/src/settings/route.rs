//! `[[route]]`: the ways that an operator gives to mail for other domains.
//!
//! What makes no sense is refused where it is written; what could show a password to a stranger, or pass on mail for everybody, cannot
//! be written at all.

use super::file::Text;
use super::origin::{self, HelloFile, SourceFile};
use super::values::ValueError;
use super::{At, SettingsError};
use crate::deliver::secure::{Begin, Level, Security};
use crate::route::{Credentials, Hop, Origin, Pattern, Place, Route, Routes, SecretFile};
use serde::Deserialize;
use serde::de::{self, SeqAccess, Visitor};
use smtp::{AddressLiteral, Domain, Host, Protocol};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use toml::Spanned;

/// One `[[route]]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteFile {
    /// The destinations.
    pub domain: Spanned<OneOrMore<Text<Pattern>>>,
    /// The way.
    pub via: Spanned<OneOrMore<Text<Via>>>,
    /// Who we are to the next hop.
    pub user: Option<Spanned<String>>,
    /// The file with the password.
    pub password_file: Option<Spanned<PathBuf>>,
    /// The file with a bearer token.
    pub token_file: Option<Spanned<PathBuf>>,
    /// What is asked of TLS.
    pub tls: Option<Spanned<TlsTerms>>,
    /// Who has signed the next hop's certificate.
    pub ca: Option<Spanned<PathBuf>>,
    /// The addresses that connections come from.
    pub source: SourceFile,
    /// The name in EHLO.
    pub hello: HelloFile,
    /// Whether mail for these domains is taken from everybody.
    pub accept: Option<Spanned<bool>>,
}

/// What an operator asks of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsTerms {
    /// None.
    None,
    /// It is used if it can be had.
    Opportunistic,
    /// No mail without it.
    Required,
    /// Nor without proof who the other side is.
    Verified,
}

/// A value, or a list of values.
#[derive(Debug, Clone)]
pub struct OneOrMore<T>(pub Vec<T>);

/// One way, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// `mx`
    Mx,
    /// `discard`
    Discard,
    /// A URL of a hop; whether TLS comes first is part of it.
    Hop(Place, Protocol, Begin),
}

/// What the routes say together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    /// The ways.
    pub(super) routes: Routes,
    /// The domains whose mail is taken from everybody, to be passed on.
    pub(super) accepted: Vec<Domain>,
}

/// What these tables mean. `local` are the domains that have mailboxes here, `general` is how we appear where a table says nothing of it.
pub(super) fn resolve(
    written: &[RouteFile],
    local: &[Domain],
    general: Origin,
    wrong: At<'_>,
) -> Result<Resolved, SettingsError> {
    let mut list: Vec<(Pattern, Route)> = Vec::new();
    let (mut accepted, mut origins) = (Vec::new(), HashMap::new());
    for table in written {
        let route = table.route(wrong)?;
        let own = table.origin(&route, &general, wrong)?;
        let patterns = &table.domain.get_ref().0;
        if patterns.is_empty() {
            return Err(wrong(table.domain.span(), "a route is for one domain at least".to_owned()));
        }
        for Text(pattern) in patterns {
            let refuse = |message: String| Err(wrong(table.domain.span(), message));
            if let Pattern::Domain(domain) = pattern
                && local.contains(domain)
            {
                return refuse(format!(
                    "{pattern} has mailboxes here, and its mail stays here: take it out of `domains`, or out of the routes"
                ));
            }
            if list.iter().any(|(known, _)| known == pattern) {
                return refuse(format!("there are two routes for {pattern}"));
            }
            origins.extend(own.as_ref().map(|own| (pattern.clone(), Arc::clone(own))));
            list.push((pattern.clone(), route.clone()));
        }
        if let Some(accept) = table.accept.as_ref().filter(|accept| *accept.get_ref()) {
            accepted.extend(table.accepted(accept, wrong)?);
        }
    }
    Ok(Resolved { routes: Routes::new(list).with_origins(general, origins), accepted })
}

impl RouteFile {
    fn route(&self, wrong: At<'_>) -> Result<Route, SettingsError> {
        let ways = &self.via.get_ref().0;
        let refuse = |message: &str| Err(wrong(self.via.span(), message.to_owned()));
        if let [Text(via @ (Via::Mx | Via::Discard))] = ways.as_slice() {
            self.nothing_for_a_hop(wrong)?;
            return Ok(if *via == Via::Mx { Route::Mx } else { Route::Discard });
        }
        let mut hops = Vec::new();
        for Text(via) in ways {
            let Via::Hop(place, protocol, begin) = via else {
                return refuse(
                    "\"mx\" and \"discard\" stand alone; after hosts of your own, write mx://DOMAIN",
                );
            };
            let security = self.security(place, *begin, wrong)?;
            let hop = Hop {
                place: place.clone(),
                protocol: *protocol,
                security,
                authorities: self.ca.as_ref().map(|ca| ca.get_ref().clone()),
                credentials: self.credentials(wrong)?,
            };
            self.check_secrecy(&hop, wrong)?;
            hops.push(Arc::new(hop));
        }
        match hops.as_slice() {
            [] => refuse("a route leads somewhere: name a host, \"mx\" or \"discard\""),
            [first, rest @ ..] if rest.iter().any(|hop| hop.protocol != first.protocol) => {
                refuse("LMTP hands mail over to mailboxes, SMTP passes it on: one route cannot do both")
            }
            _ => Ok(Route::Hops(hops)),
        }
    }

    /// How we appear on this route; `None` when it says nothing of it.
    fn origin(
        &self,
        route: &Route,
        general: &Origin,
        wrong: At<'_>,
    ) -> Result<Option<Arc<Origin>>, SettingsError> {
        let spans = [self.source.as_ref().map(Spanned::span), self.hello.as_ref().map(Spanned::span)];
        let Some(first) = spans.into_iter().flatten().next() else { return Ok(None) };
        let is_socket = |hop: &Arc<Hop>| matches!(hop.place, Place::Socket(_));
        match (route, &self.source) {
            (Route::Discard, _) => {
                Err(wrong(first, "this is for a host, and what is thrown away goes to none".to_owned()))
            }
            (Route::Hops(hops), Some(source)) if hops.iter().any(is_socket) => {
                let message = "a socket in the file system is no address, and nothing goes there from one";
                Err(wrong(source.span(), message.to_owned()))
            }
            _ => Ok(Some(Arc::new(origin::resolve(&self.source, &self.hello, general, wrong)?))),
        }
    }

    /// Refuses what says something of a hop where there is none.
    fn nothing_for_a_hop(&self, wrong: At<'_>) -> Result<(), SettingsError> {
        let spans = [
            self.user.as_ref().map(Spanned::span),
            self.password_file.as_ref().map(Spanned::span),
            self.token_file.as_ref().map(Spanned::span),
            self.tls.as_ref().map(Spanned::span),
            self.ca.as_ref().map(Spanned::span),
        ];
        match spans.into_iter().flatten().next() {
            Some(span) => {
                Err(wrong(span, "this is for a host of your own, and the route names none".to_owned()))
            }
            None => Ok(()),
        }
    }

    fn security(&self, place: &Place, begin: Begin, wrong: At<'_>) -> Result<Security, SettingsError> {
        let terms = match (&self.tls, place, begin) {
            (Some(terms), ..) => *terms.get_ref(),
            (None, Place::Socket(_), _) => TlsTerms::None,
            (None, _, Begin::AtOnce) => TlsTerms::Verified,
            // A password is shown to nobody who has not proved who they are.
            (None, ..) if self.user.is_some() && !is_here(place) => TlsTerms::Verified,
            (None, ..) => TlsTerms::Opportunistic,
        };
        let refuse = |message: &str| {
            let span = self.tls.as_ref().map_or(self.via.span(), Spanned::span);
            Err(wrong(span, message.to_owned()))
        };
        let level = match (begin, terms, place) {
            (_, TlsTerms::None, Place::Socket(_)) => Level::Clear,
            (_, _, Place::Socket(_)) => return refuse("a socket in the file system needs no TLS"),
            (Begin::AtOnce, TlsTerms::None | TlsTerms::Opportunistic, _) => {
                return refuse(
                    "smtps:// begins with TLS: \"required\" or \"verified\"; for the other two write smtp://",
                );
            }
            (_, TlsTerms::Verified, Place::Exchanges { .. }) => {
                // The names come from DNS, and whoever forges them has certificates for them.
                return refuse(
                    "the hosts of mx:// are named by DNS, which proves nothing: name the host itself",
                );
            }
            (_, TlsTerms::None, _) => Level::Clear,
            (_, TlsTerms::Opportunistic, _) => Level::Opportunistic,
            (_, TlsTerms::Required, _) => Level::Encrypted,
            (_, TlsTerms::Verified, _) => Level::Verified,
        };
        Ok(Security { level, begin })
    }

    fn credentials(&self, wrong: At<'_>) -> Result<Option<Credentials>, SettingsError> {
        let (user, secret) = match (&self.user, &self.password_file, &self.token_file) {
            (None, None, None) => return Ok(None),
            (Some(user), Some(file), None) => (user, SecretFile::Password(file.get_ref().clone())),
            (Some(user), None, Some(file)) => (user, SecretFile::Token(file.get_ref().clone())),
            (Some(_), Some(_), Some(file)) => {
                return Err(wrong(file.span(), "`password_file` or `token_file`, not both".to_owned()));
            }
            (Some(user), None, None) => {
                return Err(wrong(
                    user.span(),
                    "a user needs a `password_file` or a `token_file`".to_owned(),
                ));
            }
            (None, Some(file), _) | (None, None, Some(file)) => {
                return Err(wrong(file.span(), "whose is it? `user` is missing".to_owned()));
            }
        };
        Ok(Some(Credentials { user: user.get_ref().clone(), secret }))
    }

    /// A password goes over the net only to a host that has proved who it is.
    fn check_secrecy(&self, hop: &Hop, wrong: At<'_>) -> Result<(), SettingsError> {
        let verified = hop.security.level == Level::Verified;
        match &self.user {
            Some(user) if !verified && !is_here(&hop.place) => {
                let message = format!(
                    "the secret would be shown to whoever sits between here and {hop}: it goes over the net with tls = \"verified\" only \
                     (and `ca` for an authority of your own)"
                );
                let span = self.tls.as_ref().map_or(user.span(), Spanned::span);
                Err(wrong(span, message))
            }
            _ => Ok(()),
        }
    }

    /// The domains of a route that takes mail from everybody: named one by one, so that nobody opens more than they meant to.
    fn accepted(&self, accept: &Spanned<bool>, wrong: At<'_>) -> Result<Vec<Domain>, SettingsError> {
        let named = |Text(pattern): &Text<Pattern>| match pattern {
            Pattern::Domain(domain) => Ok(domain.clone()),
            Pattern::Any | Pattern::Below(_) => Err(wrong(
                accept.span(),
                format!(
                    "with {pattern} strangers could send mail through this server to domains that nobody has named: \
                     an open relay. List each domain whose mail this server takes"
                ),
            )),
        };
        self.domain.get_ref().0.iter().map(named).collect()
    }
}

/// Whether nobody sits between us and this place.
fn is_here(place: &Place) -> bool {
    match place {
        Place::Socket(_) => true,
        Place::Host { host: Host::Literal(AddressLiteral::V4(address)), .. } => address.is_loopback(),
        Place::Host { host: Host::Literal(AddressLiteral::V6(address)), .. } => address.is_loopback(),
        Place::Host { .. } | Place::Exchanges { .. } => false,
    }
}

impl FromStr for Via {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Via, ValueError> {
        let wrong = |why: &str| {
            ValueError::new(format!(
                "{why}; write smtp://HOST:PORT, smtps://HOST:PORT, lmtp://HOST:PORT, lmtp+unix:/PATH, mx://DOMAIN, mx or discard"
            ))
        };
        if let Some(path) = text.strip_prefix("lmtp+unix:") {
            if !path.starts_with('/') {
                return Err(wrong("the path of a socket begins with /"));
            }
            return Ok(Via::Hop(Place::Socket(path.into()), Protocol::Lmtp, Begin::StartTls));
        }
        let (scheme, rest) = match text.split_once("://") {
            Some(parts) => parts,
            None if text == "mx" => return Ok(Via::Mx),
            None if text == "discard" => return Ok(Via::Discard),
            None => return Err(wrong("this is no way that mail could go")),
        };
        if rest.contains(['@', '/', '?', '#']) {
            return Err(wrong("only a host and a port belong here; the user has a key of its own"));
        }
        let (host, port) = host_and_port(rest).map_err(wrong)?;
        let hop = |usual: u16, protocol, begin| {
            let place = Place::Host { host: host.clone(), port: port.unwrap_or(usual) };
            Ok(Via::Hop(place, protocol, begin))
        };
        match (scheme, &host) {
            ("smtp", _) => hop(25, Protocol::Smtp, Begin::StartTls),
            ("smtps", _) => hop(465, Protocol::Smtp, Begin::AtOnce),
            ("lmtp", _) => hop(24, Protocol::Lmtp, Begin::StartTls),
            ("mx", Host::Domain(domain)) => {
                let place = Place::Exchanges { domain: domain.clone(), port };
                Ok(Via::Hop(place, Protocol::Smtp, Begin::StartTls))
            }
            ("mx", Host::Literal(_)) => Err(wrong("an address has no MX")),
            _ => Err(wrong("this scheme is not known")),
        }
    }
}

/// `HOST`, `HOST:PORT`, `192.0.2.1:PORT` or `[2001:db8::1]:PORT`.
fn host_and_port(text: &str) -> Result<(Host, Option<u16>), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or("the bracket is not closed")?;
            let address = address.strip_prefix("IPv6:").unwrap_or(address);
            let host = match address.parse::<IpAddr>() {
                Ok(IpAddr::V4(address)) => AddressLiteral::V4(address),
                Ok(IpAddr::V6(address)) => AddressLiteral::V6(address),
                Err(_) => return Err("only an address stands in brackets"),
            };
            (Host::Literal(host), (!after.is_empty()).then_some(after))
        }
        None => {
            let (name, port) = match text.find(':') {
                Some(colon) => (&text[..colon], Some(&text[colon..])),
                None => (text, None),
            };
            let host = match name.parse() {
                Ok(address) => Host::Literal(AddressLiteral::V4(address)),
                Err(_) => Host::Domain(Domain::parse(name).map_err(|_| "this is no host's name")?),
            };
            (host, port)
        }
    };
    let port = match port.map(|port| port.strip_prefix(':').and_then(|port| port.parse::<u16>().ok())) {
        None => None,
        Some(Some(port)) if port > 0 => Some(port),
        Some(_) => return Err("this is no port"),
    };
    Ok((host, port))
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<OneOrMore<T>, D::Error> {
        deserializer.deserialize_any(Values(PhantomData))
    }
}

struct Values<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Values<T> {
    type Value = OneOrMore<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMore<T>, E> {
        T::deserialize(de::value::StrDeserializer::new(text)).map(|one| OneOrMore(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(OneOrMore(values))
    }
}

/// The lines of `serve --check`.
pub(super) fn show(routes: &Routes, accepted: &[Domain], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (pattern, route) in routes.iter() {
        writeln!(f, "mail for {:<15} goes to {route}", pattern.to_string())?;
        if let Pattern::Domain(domain) = pattern
            && accepted.contains(domain)
        {
            writeln!(f, "  taken from             everybody")?;
        }
        if let Some(own) = routes.own_origin(pattern) {
            writeln!(f, "  from                   {}", origin::shown(own))?;
        }
        let Route::Hops(hops) = route else { continue };
        for hop in hops.iter() {
            writeln!(f, "  {:<22} {}", hop.to_string(), security(&hop.security))?;
        }
        if let Some(credentials) = hops.first().and_then(|hop| hop.credentials.as_ref()) {
            writeln!(f, "  as                     {}", credentials.user)?;
        }
    }
    Ok(())
}

fn security(security: &Security) -> &'static str {
    match security.level {
        Level::Clear => "in clear",
        Level::Opportunistic => "TLS if it can be had",
        Level::Encrypted => "TLS with whomever",
        // No setting asks for DANE: it is the destination's to ask.
        Level::Verified | Level::Dane(_) => "verified TLS",
    }
}

#[cfg(test)]
mod tests;
