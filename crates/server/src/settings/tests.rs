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
    assert_eq!(settings.listeners.len(), 2);
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
    assert_eq!(settings.accounts.len(), 3);
    assert_eq!(settings.listeners[2].service, Service::Lmtp);
}

#[test]
fn errors_name_the_place_and_what_would_be_right() {
    for (text, start, part) in [
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
        ("domains = [\"a.example\"]\n[abuse]\nerrors = \"many\"", "posthaste.toml:3:10: ", "\"20/h\""),
        ("domains = [\"a.example\"]\n[abuse]\nban = \"2d\"", "posthaste.toml:3:7: ", "`ban_max`"),
        ("domains = [\"a.example\"]\n[abuse]\ntarpit = \"5m\"", "posthaste.toml:3:10: ", "at most \"1m\""),
        ("domains = [\"a.example\"]\n[auth]\nmechanisms = [\"CRAM-MD5\"]", "posthaste.toml:3:14: ", "SCRAM"),
        ("domains = [\"a.example\"]\n[auth]\nin_clear = \"always\"", "posthaste.toml:3:12: ", "loopback"),
        ("domains = [\"a.example\"]\n[auth.oauth]\nissuer = \"x\"", "posthaste.toml:2:1: ", "how is a token"),
        ("domains = [\"a.example\"]\n[auth.oauth]\nkeys = \"x\"", "posthaste.toml:2:1: ", "`audience`"),
        ("domains = [\"a.example\"]\n[submission]\nsenders = \"all\"", "posthaste.toml:3:11: ", "own"),
        ("domains = [\"a.example\"", "posthaste.toml:1:", "]"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.starts_with(start), "{error}\nshould start with {start}");
        assert!(error.contains(part), "{error}\nshould contain {part}");
        assert!(error.contains('^'), "{error}");
    }
}

#[test]
fn the_place_is_marked() {
    let error = parse("domains = [\"a.example\"]\nhostname = \"-\"\n").expect_err("no name");
    let lines: Vec<&str> = error.lines().skip(1).collect();
    assert_eq!(lines, ["  |", "2 | hostname = \"-\"", "  |            ^^^"]);
}

#[test]
fn a_catcher_listens_on_loopback_only() {
    let host_name = Domain::parse("host.example").expect("a domain");
    let settings = Settings::catcher(Catcher { data: "/data".into(), ..Catcher::default() }, host_name);
    assert!(settings.listeners.iter().all(|listener| listener.address.ip().is_loopback()));
    assert_eq!(settings.acceptance, Acceptance::Everyone);
}
