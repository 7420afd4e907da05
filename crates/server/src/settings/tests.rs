use super::*;

fn parse(text: &str) -> Result<Settings, String> {
    let host_name = Domain::parse("host.example").expect("a domain");
    Settings::parse(Path::new("posthaste.toml"), text, host_name, PathBuf::from("/data"))
        .map_err(|error| error.to_string())
}

#[test]
fn the_sample_is_valid_as_it_stands() {
    let settings = parse(SAMPLE).expect("the sample parses");
    assert_eq!(settings.limits, Limits::default(), "the sample shows the defaults");
    assert_eq!(settings.abuse, Policy::default(), "the sample shows the defaults");
    assert_eq!(settings.auth, AuthSettings::default(), "the sample shows the defaults");
    assert_eq!(settings.submission, sender::Rules::default(), "the sample shows the defaults");
    assert_eq!(settings.relay, Some(Relay::default()), "the sample shows the defaults");
    assert_eq!(settings.listeners.len(), 6);
    assert_eq!(settings.tls, Tls::default());
}

#[test]
fn the_sample_is_valid_with_every_comment_removed() {
    let text: String = SAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') && !key.is_empty() => key,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n");
    let settings = parse(&text).expect(&text);
    assert_eq!(settings.host_name.as_str(), "mail.example.org");
    assert_eq!(settings.data, Path::new("/var/lib/posthaste"));
    assert_eq!(settings.limits, Limits::default(), "the values shown are the defaults");
    assert_eq!(settings.abuse, Policy::default(), "the values shown are the defaults");
    assert_eq!(
        settings.auth.mechanisms,
        AuthSettings::default().mechanisms,
        "the values shown are the defaults"
    );
    assert_eq!(settings.auth.in_clear, InClear::Never, "the values shown are the defaults");
    assert_eq!(settings.auth.certificates.len(), 1);
    assert_eq!(settings.auth.oauth.expect("it is shown").rules.account_claim, "email");
    assert_eq!(settings.submission, sender::Rules::default(), "the values shown are the defaults");
    let hardening = Hardening {
        user: Some("posthaste".to_owned()),
        backups: Some("/srv/backup".into()),
        ..Hardening::default()
    };
    assert_eq!(
        settings.hardening, hardening,
        "the values shown are the defaults, but for the user and the backups"
    );
    let relay = settings.relay.expect("a server with domains can relay");
    let default = Relay::default();
    assert_eq!(
        (relay.schedule, &relay.bounds.site, relay.bounds.idle, relay.bounds.age, relay.mx_port),
        (default.schedule, &default.bounds.site, default.bounds.idle, default.bounds.age, default.mx_port)
    );
    assert_eq!(relay.bounds.own.len(), 1);
    assert_eq!((relay.networks.len(), relay.resolvers.len(), relay.private_networks.len()), (2, 1, 1));
    assert_eq!(settings.accounts.len(), 3);
    assert_eq!(settings.classroom.len(), 1);
    let standard = parse(SAMPLE).expect("the sample parses").listeners;
    assert_eq!(settings.listeners[..6], standard);
    let others: Vec<Service> = settings.listeners[6..].iter().map(|listener| listener.service).collect();
    assert_eq!(others, [Service::Imap, Service::Pop3, Service::Lmtp]);
    let acme = settings.tls.acme.expect("the sample has it");
    let minimal = parse("domains = [\"example.org\"]\nhostname = \"mail.example.org\"\n[acme]");
    let minimal = minimal.expect("a short file").tls.acme.expect("it has it");
    assert_eq!((&acme.domains, &acme.directory), (&minimal.domains, &minimal.directory));
    assert_eq!((&acme.challenges, &acme.http), (&minimal.challenges, &minimal.http));
}

/// Each text is refused: the message begins with the place, holds the part that helps, and marks the place.
fn assert_refused(cases: &[(&str, &str, &str)]) {
    for (text, start, part) in cases {
        let error = parse(text).expect_err(text);
        assert!(error.starts_with(start), "{error}\nshould start with {start}");
        assert!(error.contains(part), "{error}\nshould contain {part}");
        assert!(error.contains('^'), "{error}");
    }
}

#[test]
fn errors_name_the_place_and_what_would_be_right() {
    assert_refused(&[
        ("domain = [\"a.example\"]", "posthaste.toml:1:1: ", "`domains`"),
        ("domains = [\"a.example\"]\n[limits]\n  idle = \"5 minutes\"", "posthaste.toml:3:10: ", "\"90s\""),
        (
            "domains = [\"a.example\"]\naccounts = [\"a@b.example\"]",
            "posthaste.toml:2:13: ",
            "in none of the `domains`",
        ),
        ("domains = [\"a..example\"]", "posthaste.toml:1:11: ", "a..example"),
        ("domains = [\"a.example\"]\n[limits]\nrecipients = 10", "posthaste.toml:3:14: ", "at least 100"),
        ("domains = [\"a.example\"]\n[limits]\nmessage_size = \"1 KiB\"", "posthaste.toml:3:16: ", "64 KiB"),
        ("domains = [\"a.example\"]\n[abuse]\nerrors = \"many\"", "posthaste.toml:3:10: ", "\"20/h\""),
        ("domains = [\"a.example\"]\n[abuse]\nban = \"2d\"", "posthaste.toml:3:7: ", "`ban_max`"),
        ("domains = [\"a.example\"]\n[abuse]\ntarpit = \"5m\"", "posthaste.toml:3:10: ", "at most \"1m\""),
        (
            "domains = [\"a.example\"]\n[limits]\nexempt = [\"::ffff:192.0.2.0/120\"]",
            "posthaste.toml:3:10: ",
            "write it like \"192.0.2.0\"",
        ),
        ("[[listen]]\naddress = \"127.0.0.1\"", "posthaste.toml:2:11: ", "\"127.0.0.1:25\""),
        ("[limits]\nmessage_size = 5", "posthaste.toml:2:16: ", "in quotes, like"),
        ("[queue]\nfirst_retry = \"5h\"", "posthaste.toml:2:15: ", "longer than `longest_retry`"),
        ("[queue]\nlongest_retry = \"1m\"", "posthaste.toml:2:17: ", "shorter than `first_retry`"),
        ("domains = [\"a.example\"", "posthaste.toml:1:", "]"),
    ]);
}

#[test]
fn what_is_wrong_is_quoted_once() {
    for text in ["[limits]\nmessage_size = \"big\"", "[abuse]\nerrors = \"big\""] {
        let error = parse(text).expect_err(text);
        let message = error.lines().next().unwrap_or_default();
        assert_eq!(message.matches("\"big\"").count(), 1, "{error}");
    }
}

#[test]
fn errors_about_logins_name_the_place_and_what_would_be_right() {
    assert_refused(&[
        ("domains = [\"a.example\"]\n[auth]\nmechanisms = [\"CRAM-MD5\"]", "posthaste.toml:3:14: ", "SCRAM"),
        ("domains = [\"a.example\"]\n[auth]\nin_clear = \"always\"", "posthaste.toml:3:12: ", "loopback"),
        ("domains = [\"a.example\"]\n[auth.oauth]\nissuer = \"x\"", "posthaste.toml:2:1: ", "how is a token"),
        ("domains = [\"a.example\"]\n[auth.oauth]\nkeys = \"x\"", "posthaste.toml:2:1: ", "`audience`"),
        ("domains = [\"a.example\"]\n[submission]\nsenders = \"all\"", "posthaste.toml:3:11: ", "own"),
        (
            "[[listen]]\naddress = \"[::1]:587\"\ntls = \"none\"",
            "posthaste.toml:2:11: ",
            "nobody could log in",
        ),
        (
            "[auth]\nin_clear = \"loopback\"\n[[listen]]\naddress = \"192.0.2.1:587\"\ntls = \"none\"",
            "posthaste.toml:4:11: ",
            "nobody could log in",
        ),
        (
            "domains = [\"a.example\"]\n[auth.certificates]\n\"ab:cd\" = \"x@a.example\"",
            "posthaste.toml:3:11: ",
            "neither an address nor a SHA-256 fingerprint",
        ),
        (
            "domains = [\"a.example\"]\n[auth.certificates]\n\"x@a.example\" = \"x@a.example\"",
            "posthaste.toml:3:17: ",
            "`client_ca` in [tls]",
        ),
        (
            "domains = [\"a.example\"]\n[auth]\nmechanisms = [\"PLAIN\", \"EXTERNAL\"]",
            "posthaste.toml:3:24: ",
            "nobody could use EXTERNAL without",
        ),
        (
            "domains = [\"a.example\"]\n[auth]\nmechanisms = [\"XOAUTH2\"]",
            "posthaste.toml:3:15: ",
            "[auth.oauth]",
        ),
        (
            "domains = [\"a.example\"]\n[auth]\nmechanisms = []",
            "posthaste.toml:3:14: ",
            "nobody could log in",
        ),
        (
            "domains = [\"a.example\"]\n[auth.oauth]\nkeys = \"k\"\nissuer = \"i\"\naudience = \"a\"\nclient_id = \"c\"",
            "posthaste.toml:2:1: ",
            "are for `introspection`",
        ),
    ]);
}

#[test]
fn errors_about_listeners_and_certificates_name_the_place() {
    assert_refused(&[
        (
            "domains = [\"a.example\"]\n[[listen]]\naddress = \"localhost\"",
            "posthaste.toml:3:11: ",
            "address",
        ),
        (
            "domains = [\"a.example\"]\n[[listen]]\naddress = \"[::1]:25\"\n[[listen]]\naddress = \"[::1]:25\"",
            "posthaste.toml:5:11: ",
            "twice",
        ),
        (
            "domains = [\"a.example\"]\n[acme]\ndirectory = \"http://ca.example\"",
            "posthaste.toml:3:13: ",
            "https://",
        ),
        ("domains = [\"a.example\"]\n[acme]\nchallenges = []", "posthaste.toml:3:14: ", "http-01"),
        (
            "domains = [\"a.example\"]\n[acme]\nchallenges = [\"dns-01\"]",
            "posthaste.toml:3:15: ",
            "tls-alpn-01",
        ),
        ("domains = [\"a.example\"]\n[[tls.certificate]]\nchain = \"c.pem\"", "posthaste.toml:2:1: ", "key"),
        (
            "domains = [\"a.example\"]\n[[listen]]\naddress = \"[::1]:25\"\ntls = \"always\"",
            "posthaste.toml:4:7: ",
            "implicit",
        ),
    ]);
}

#[test]
fn the_place_is_marked() {
    let error = parse("domains = [\"a.example\"]\nhostname = \"-\"\n").expect_err("no name");
    let lines: Vec<&str> = error.lines().skip(1).collect();
    assert_eq!(lines, ["  |", "2 | hostname = \"-\"", "  |            ^^^"]);
}

#[test]
fn the_port_says_what_is_usual() {
    for (written, service, tls) in [
        ("address = \"[::1]:25\"", Service::Smtp, ListenerTls::StartTls),
        ("address = \"[::1]:465\"", Service::Submission, ListenerTls::Implicit),
        ("address = \"[::1]:587\"", Service::Submission, ListenerTls::StartTls),
        ("address = \"[::1]:110\"", Service::Pop3, ListenerTls::StartTls),
        ("address = \"[::1]:995\"", Service::Pop3, ListenerTls::Implicit),
        ("address = \"[::1]:143\"", Service::Imap, ListenerTls::StartTls),
        ("address = \"[::1]:993\"", Service::Imap, ListenerTls::Implicit),
        ("address = \"[::1]:465\"\ntls = \"none\"", Service::Submission, ListenerTls::None),
        ("address = \"[::1]:2525\"\nprotocol = \"submission\"", Service::Submission, ListenerTls::StartTls),
        (
            "address = \"[::1]:24\"\nprotocol = \"lmtp\"\ntls = \"implicit\"",
            Service::Lmtp,
            ListenerTls::Implicit,
        ),
    ] {
        let text = format!("[auth]\nin_clear = \"loopback\"\n[[listen]]\n{written}\n");
        let listeners = parse(&text).expect(&text).listeners;
        assert_eq!((listeners[0].service, listeners[0].tls), (service, tls), "{written}");
    }
}

#[test]
fn acme_asks_for_the_servers_own_name() {
    let settings = parse("domains = [\"a.example\"]\n[acme]\nchallenges = [\"tls-alpn-01\"]").expect("valid");
    let acme = settings.tls.acme.expect("it is there");
    assert_eq!(acme.domains, [Domain::parse("host.example").expect("a domain")]);
    assert_eq!(acme.directory, DEFAULT_DIRECTORY);
    assert_eq!((acme.http.len(), acme.tls_alpn.len()), (0, 2), "nothing listens for what is not used");
}

#[test]
fn a_catcher_listens_on_loopback_only() {
    let host_name = Domain::parse("host.example").expect("a domain");
    let settings = Settings::catcher(Catcher { data: "/data".into(), ..Catcher::default() }, host_name);
    assert!(settings.listeners.iter().all(|listener| listener.address.ip().is_loopback()));
    assert_eq!(settings.acceptance, Acceptance::Everyone);
}
