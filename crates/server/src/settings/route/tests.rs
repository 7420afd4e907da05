//! What can be written about ways, and what cannot.

use super::security;
use crate::deliver::secure::{Begin, Level, Security};
use crate::route::{Place, Route, SecretFile};
use crate::settings::Settings;
use smtp::{Domain, Host, Protocol};
use std::path::{Path, PathBuf};

fn parse(rest: &str) -> Result<Settings, String> {
    let host_name = Domain::parse("host.example").expect("a domain");
    let text = format!("domains = [\"a.example\"]\n{rest}");
    Settings::parse(Path::new("posthaste.toml"), &text, host_name, PathBuf::from("/data"))
        .map_err(|error| error.to_string())
}

fn route(rest: &str) -> Route {
    let relay = parse(&format!("[[route]]\n{rest}")).expect(rest).relay.expect("it relays");
    relay.routes.of(&Host::parse("b.example").expect("a domain"))
}

#[test]
fn ways_are_read() {
    for (via, expected) in [
        ("\"mx\"", "mx"),
        ("\"discard\"", "discard"),
        ("\"smtp://relay.example\"", "smtp://relay.example:25 TLS if it can be had"),
        ("\"smtp://192.0.2.1:2525\"", "smtp://192.0.2.1:2525 TLS if it can be had"),
        ("\"smtp://[2001:db8::1]\"", "smtp://[2001:db8::1]:25 TLS if it can be had"),
        ("\"smtp://[192.0.2.1]\"", "smtp://192.0.2.1:25 TLS if it can be had"),
        ("\"smtps://relay.example\"", "smtps://relay.example:465 verified TLS"),
        ("\"lmtp://[::1]:2424\"", "lmtp://[::1]:2424 TLS if it can be had"),
        ("\"lmtp+unix:/run/dovecot/lmtp\"", "lmtp+unix:/run/dovecot/lmtp in clear"),
        ("\"mx://provider.example\"", "mx://provider.example TLS if it can be had"),
        ("\"smtp://relay.example\"\ntls = \"required\"", "smtp://relay.example:25 TLS with whomever"),
        ("\"smtp://relay.example\"\ntls = \"none\"", "smtp://relay.example:25 in clear"),
        ("\"smtps://relay.example\"\ntls = \"required\"", "smtps://relay.example:465 TLS with whomever"),
        (
            "[\"smtp://one.example:587\", \"smtps://two.example\"]\nuser = \"u\"\npassword_file = \"/p\"",
            "smtp://one.example:587 verified TLS smtps://two.example:465 verified TLS",
        ),
        (
            "\"smtp://127.0.0.1\"\nuser = \"u\"\npassword_file = \"/p\"",
            "smtp://127.0.0.1:25 TLS if it can be had",
        ),
    ] {
        let route = route(&format!("domain = \"*\"\nvia = {via}"));
        let shown = match &route {
            Route::Hops(hops) => {
                let each = hops.iter().map(|hop| format!("{hop} {}", security(&hop.security)));
                each.collect::<Vec<_>>().join(" ")
            }
            other => other.to_string(),
        };
        assert_eq!(shown, expected, "{via}");
    }
}

#[test]
fn a_smart_host_takes_five_lines() {
    let Route::Hops(hops) = route(
        "domain = \"*\"\nvia = \"smtp://smtp.provider.example:587\"\nuser = \"me@provider.example\"\n\
         password_file = \"/etc/posthaste/provider.password\"",
    ) else {
        panic!("a hop");
    };
    let hop = &hops[0];
    assert_eq!(
        hop.place,
        Place::Host { host: Host::parse("smtp.provider.example").expect("a host"), port: 587 }
    );
    let verified = Security { level: Level::Verified, begin: Begin::StartTls };
    assert_eq!((hop.protocol, &hop.security), (Protocol::Smtp, &verified));
    let credentials = hop.credentials.as_ref().expect("there are some");
    assert_eq!(credentials.user, "me@provider.example");
    assert_eq!(credentials.secret, SecretFile::Password("/etc/posthaste/provider.password".into()));
}

#[test]
fn what_makes_no_sense_is_refused_where_it_is_written() {
    for (table, place, part) in [
        ("domain = \"b.example\"\nvia = \"http://x\"", "4:7: ", "scheme is not known"),
        ("domain = \"b.example\"\nvia = \"relay.example\"", "4:7: ", "no way that mail could go"),
        ("domain = \"b.example\"\nvia = \"smtp://u:p@relay.example\"", "4:7: ", "a key of its own"),
        ("domain = \"b.example\"\nvia = \"smtp://relay.example:0\"", "4:7: ", "no port"),
        ("domain = \"b.example\"\nvia = \"smtp://[relay.example]\"", "4:7: ", "only an address"),
        ("domain = \"b.example\"\nvia = \"lmtp+unix:lmtp\"", "4:7: ", "begins with /"),
        ("domain = \"b.example\"\nvia = \"mx://192.0.2.1\"", "4:7: ", "an address has no MX"),
        ("domain = \"b.example\"\nvia = []", "4:7: ", "leads somewhere"),
        ("domain = []\nvia = \"mx\"", "3:10: ", "one domain at least"),
        ("domain = \"b.example\"\nvia = [\"smtp://x\", \"mx\"]", "4:7: ", "stand alone"),
        ("domain = \"b.example\"\nvia = [\"smtp://x\", \"lmtp://x\"]", "4:7: ", "cannot do both"),
        ("domain = \"A.example\"\nvia = \"mx\"", "3:10: ", "has mailboxes here"),
        ("domain = [\"b.example\", \"b.EXAMPLE\"]\nvia = \"mx\"", "3:10: ", "two routes for b.EXAMPLE"),
        ("domain = \"b.example\"\nvia = \"mx\"\nuser = \"u\"", "5:8: ", "names none"),
        ("domain = \"b.example\"\nvia = \"discard\"\ntls = \"none\"", "5:7: ", "names none"),
        (
            "domain = \"b.example\"\nvia = \"smtp://x\"\nuser = \"u\"",
            "5:8: ",
            "`password_file` or a `token_file`",
        ),
        ("domain = \"b.example\"\nvia = \"smtp://x\"\npassword_file = \"/p\"", "5:17: ", "`user` is missing"),
        ("domain = \"b.example\"\nvia = \"smtp://x\"\ntls = \"always\"", "5:7: ", "opportunistic"),
        ("domain = \"b.example\"\nvia = \"smtps://x\"\ntls = \"none\"", "5:7: ", "begins with TLS"),
        ("domain = \"b.example\"\nvia = \"mx://x\"\ntls = \"verified\"", "5:7: ", "proves nothing"),
        ("domain = \"b.example\"\nvia = \"lmtp+unix:/x\"\ntls = \"required\"", "5:7: ", "needs no TLS"),
        ("domain = \"b.example\"\nvia = \"mx\"\nkind = 1", "5:1: ", "kind"),
        ("domain = \"*@b.example\"\nvia = \"mx\"", "3:10: ", "not allowed"),
    ] {
        let error = parse(&format!("[[route]]\n{table}")).expect_err(table);
        assert!(error.starts_with(&format!("posthaste.toml:{place}")), "{error}\nshould be at {place}");
        assert!(error.contains(part), "{error}\nshould contain {part}");
    }
}

#[test]
fn a_password_is_shown_to_nobody_who_has_not_proved_who_they_are() {
    for (via, tls) in [
        ("smtp://relay.example:587", "none"),
        ("smtp://relay.example:587", "opportunistic"),
        ("smtp://relay.example:587", "required"),
        ("smtps://relay.example", "required"),
        ("smtp://localhost", "opportunistic"),
        ("smtp://10.0.0.1", "none"),
    ] {
        let table = format!(
            "[[route]]\ndomain = \"*\"\nvia = \"{via}\"\nuser = \"u\"\npassword_file = \"/p\"\ntls = \"{tls}\""
        );
        let error = parse(&table).expect_err(&table);
        assert!(error.starts_with("posthaste.toml:7:7: the secret would be shown"), "{error}");
    }
    for (via, tls) in
        [("smtp://127.0.0.1", "none"), ("smtp://[::1]", "opportunistic"), ("lmtp+unix:/x", "none")]
    {
        let table = format!(
            "[[route]]\ndomain = \"*\"\nvia = \"{via}\"\nuser = \"u\"\npassword_file = \"/p\"\ntls = \"{tls}\""
        );
        parse(&table).expect("it stays on this machine");
    }
}

#[test]
fn only_domains_that_are_named_are_open_to_everybody() {
    for domain in ["\"*\"", "\".example\"", "[\"b.example\", \".c.example\"]"] {
        let table = format!("[[route]]\ndomain = {domain}\nvia = \"smtp://inside.example\"\naccept = true");
        let error = parse(&table).expect_err(domain);
        assert!(error.contains("posthaste.toml:5:10: ") && error.contains("an open relay"), "{error}");
    }
    let table = "[[route]]\ndomain = [\"b.example\", \"c.example\"]\nvia = \"mx\"\naccept = true\n\
                 [[route]]\ndomain = \"*\"\nvia = \"smtp://smart.example\"\naccept = false";
    let accepted = parse(table).expect("valid").relay.expect("it relays").accepted;
    assert_eq!(accepted.iter().map(Domain::as_str).collect::<Vec<_>>(), ["b.example", "c.example"]);
}
