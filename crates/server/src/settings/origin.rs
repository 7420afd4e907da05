//! `source` and `hello`: how this server appears to the hosts that it connects with, in general (`[relay]`) and on one's own routes (`[[route]]`).

use super::file::Text;
use super::route::OneOrMore;
use super::values::HostAddress;
use super::{At, SettingsError};
use crate::route::Origin;
use smtp::Domain;
use std::fmt;
use std::net::IpAddr;
use toml::Spanned;

/// `source`, as it is written.
pub(super) type SourceFile = Option<Spanned<OneOrMore<Text<HostAddress>>>>;
/// `hello`, as it is written.
pub(super) type HelloFile = Option<Spanned<Text<Domain>>>;

/// What these two keys mean; what they do not say is as in `general`.
pub(super) fn resolve(
    source: &SourceFile,
    hello: &HelloFile,
    general: &Origin,
    wrong: At<'_>,
) -> Result<Origin, SettingsError> {
    let mut own = Origin::default();
    if let Some(written) = source {
        let refuse = |message: String| Err(wrong(written.span(), message));
        let list = &written.get_ref().0;
        if list.is_empty() {
            return refuse("name an address, or leave `source` out".to_owned());
        }
        for Text(HostAddress(address)) in list {
            let twice = match address {
                IpAddr::V4(four) => own.v4.replace(*four).is_some(),
                IpAddr::V6(six) => own.v6.replace(*six).is_some(),
            };
            if twice {
                let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
                return refuse(format!("a connection comes from one address, and these are two of {family}"));
            }
        }
    }
    let hello = hello.as_ref().map(|name| name.get_ref().0.clone());
    Ok(Origin {
        v4: own.v4.or(general.v4),
        v6: own.v6.or(general.v6),
        hello: hello.or_else(|| general.hello.clone()),
    })
}

/// The same in words; empty where nothing is said.
pub(super) fn shown(origin: &Origin) -> String {
    let Origin { v4, v6, hello } = origin;
    let addresses = v4.iter().map(ToString::to_string).chain(v6.iter().map(ToString::to_string));
    let mut parts: Vec<String> = addresses.collect();
    parts.extend(hello.as_ref().map(|name| format!("by the name of {}", name.as_str())));
    parts.join(", ")
}

/// The line of `serve --check` for what holds in general.
pub(super) fn show(origin: &Origin, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match *origin == Origin::default() {
        true => Ok(()),
        false => writeln!(f, "connects from            {}", shown(origin)),
    }
}

#[cfg(test)]
mod tests {
    use crate::route::Origin;
    use crate::settings::Settings;
    use smtp::{Domain, Host};
    use std::path::{Path, PathBuf};

    fn parse(rest: &str) -> Result<Settings, String> {
        let host_name = Domain::parse("host.example").expect("a domain");
        let text = format!("domains = [\"a.example\"]\n{rest}");
        Settings::parse(Path::new("posthaste.toml"), &text, host_name, PathBuf::from("/data"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_route_says_what_is_different_there() {
        let settings = parse(
            "[relay]\nsource = [\"203.0.113.5\", \"2001:db8::5\"]\nhello = \"out.a.example\"\n\
             [[route]]\ndomain = \"one.example\"\nvia = \"mx\"\nsource = \"203.0.113.6\"\n\
             [[route]]\ndomain = \"two.example\"\nvia = \"smtp://smart.example\"\nhello = \"second.a.example\"\n\
             [[route]]\ndomain = \"x.one.example\"\nvia = \"mx\"",
        );
        let routes = settings.expect("it makes sense").relay.expect("it relays").routes;
        for (destination, v4, hello) in [
            ("b.example", "203.0.113.5", "out.a.example"),
            ("one.example", "203.0.113.6", "out.a.example"),
            ("x.one.example", "203.0.113.5", "out.a.example"),
            ("two.example", "203.0.113.5", "second.a.example"),
        ] {
            let expected = Origin {
                v4: v4.parse().ok(),
                v6: "2001:db8::5".parse().ok(),
                hello: Domain::parse(hello).ok(),
            };
            let destination = Host::parse(destination).expect("a domain");
            assert_eq!(*routes.origin(&destination), expected, "{destination}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_where_it_stands() {
        for (text, part) in [
            ("[relay]\nsource = []", "posthaste.toml:3:10: name an address"),
            (
                "[relay]\nsource = [\"203.0.113.5\", \"203.0.113.6\"]",
                "posthaste.toml:3:10: a connection comes from one",
            ),
            ("[relay]\nsource = \"eth0\"", "is no IP address"),
            ("[relay]\nsource = \"0.0.0.0\"", "no host has the address"),
            ("[relay]\nhello = \"no name\"", "posthaste.toml:3:"),
            (
                "[[route]]\ndomain = \"b.example\"\nvia = \"discard\"\nsource = \"203.0.113.5\"",
                "posthaste.toml:5:10: this is for a host",
            ),
            (
                "[[route]]\ndomain = \"b.example\"\nvia = \"lmtp+unix:/run/lmtp\"\nsource = \"203.0.113.5\"",
                "posthaste.toml:5:10: a socket in the file system",
            ),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
    }
}
