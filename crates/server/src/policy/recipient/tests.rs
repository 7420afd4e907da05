use super::*;
use std::collections::BTreeSet;

/// Facts and rules in, verdict out: one line a case.
struct Case {
    acceptance: &'static str,
    accounts: &'static [(&'static str, Origin)],
    recipient: &'static str,
    verdict: &'static str,
}

const ADDED: Origin = Origin::Added;
const CAUGHT: Origin = Origin::Caught;
const DECLARED: Origin = Origin::Declared;

fn name(text: &str) -> AccountName {
    AccountName::of(&text.parse().expect(text))
}

fn rules(acceptance: &str) -> Rules {
    let acceptance = match acceptance.split_once(' ').unwrap_or((acceptance, "")) {
        ("everyone", _) => Acceptance::Everyone,
        ("named", list) => Acceptance::Named(list.split(' ').map(name).collect::<BTreeSet<_>>()),
        ("domains", list) => {
            let (domains, postmaster) = list.split_once(" postmaster=").unwrap_or((list, ""));
            Acceptance::Domains {
                domains: domains.split(' ').map(|text| Domain::parse(text).expect(text)).collect(),
                postmaster: (!postmaster.is_empty()).then(|| name(postmaster)),
            }
        }
        (other, _) => panic!("{other}"),
    };
    let onwards = Some(Onwards {
        networks: vec!["198.51.100.0/24".parse().expect("a network")],
        domains: vec![Domain::parse("behind.example").expect("a domain")],
        srs: None,
    });
    Rules { acceptance, host_name: Domain::parse("mx.example").expect("a domain"), onwards }
}

/// What a store says of an address.
struct Kept {
    accounts: Vec<KeptAccount>,
    aliases: Vec<Alias>,
    domains: Vec<Domain>,
}

/// An account: its name, its origin, how many bytes it may hold and how many it holds.
type KeptAccount = (AccountName, Origin, Option<(u64, u64)>);

impl Kept {
    fn of(acceptance: &Acceptance, accounts: &[(&str, Origin)]) -> Kept {
        let domains = match acceptance {
            Acceptance::Domains { domains, .. } => domains.clone(),
            _ => Vec::new(),
        };
        let accounts = accounts.iter().map(|(account, origin)| (name(account), *origin, None)).collect();
        Kept { accounts, aliases: Vec::new(), domains }
    }

    fn alias(&self, name: &AccountName) -> Option<Alias> {
        self.aliases.iter().find(|alias| alias.name == *name).cloned()
    }

    fn addressee(&self, name: &AccountName) -> Option<Addressee> {
        let account =
            self.accounts.iter().find(|(account, ..)| account == name).map(|(account, origin, quota)| {
                let (bytes, used) = quota.map_or((None, 0), |(bytes, used)| (Some(bytes), used));
                let (id, created) = (store::AccountId(1), store::Timestamp(0));
                Addressee::Account(Box::new(Standing {
                    account: store::Account { id, name: account.clone(), origin: *origin, created },
                    full_name: None,
                    quota: store::Quota { bytes, messages: None },
                    default_quota: None,
                    usage: Usage { bytes: used, messages: 1 },
                }))
            });
        account.or_else(|| self.alias(name).map(Addressee::Alias))
    }

    fn resolve(&self, address: &Mailbox) -> Resolution {
        Resolution {
            domain: address.domain().filter(|domain| self.domains.contains(domain)).map(|_| Origin::Added),
            exact: self.addressee(&AccountName::of(address)),
            untagged: AccountName::untagged(address).and_then(|name| self.addressee(&name)),
            catch_all: address.domain().and_then(|domain| self.alias(&AccountName::catch_all(domain))),
        }
    }
}

/// Asks until there is a verdict.
fn ask(rules: &Rules, kept: &Kept, recipient: &str, size: Option<u64>) -> Verdict<Routes> {
    let path = match recipient {
        "Postmaster" => ForwardPath::Postmaster,
        text => ForwardPath::Mailbox(text.parse().expect(text)),
    };
    decide_on(rules, kept, &asked(rules, &path, Some("192.0.2.1".parse().expect("an address")), size))
}

fn decide_on(rules: &Rules, kept: &Kept, asked: &Asked) -> Verdict<Routes> {
    let mut known = Known::new();
    loop {
        match super::recipient(rules, asked, &known) {
            Step::Verdict(verdict) => return verdict,
            Step::LookUp(addresses) => {
                assert!(!addresses.is_empty());
                for address in addresses {
                    let resolution = kept.resolve(&address);
                    assert!(known.insert(address, resolution).is_none(), "nothing is asked twice");
                }
            }
        }
    }
}

fn shown(verdict: Verdict<Routes>) -> String {
    match verdict {
        Verdict::Accept(Routes { onward: Onward::Relayed, .. }) => "relayed".to_owned(),
        Verdict::Accept(Routes { routes, forwards, nowhere, .. }) => {
            let accounts = routes.iter().map(|route| route.account.to_string());
            let accounts = accounts.chain(forwards.iter().map(|target| format!(">{target}")));
            accounts.chain(nowhere.iter().map(|target| format!("-{target}"))).collect::<Vec<_>>().join(" ")
        }
        Verdict::Defer(reply) | Verdict::Reject(reply) => reply.to_string()[..9].to_owned(),
    }
}

fn decide(case: &Case) -> String {
    let rules = rules(case.acceptance);
    shown(ask(&rules, &Kept::of(&rules.acceptance, case.accounts), case.recipient, None))
}

#[test]
fn verdicts() {
    let none: &[(&str, Origin)] = &[];
    let alice: &[(&str, Origin)] = &[("alice@a.example", ADDED)];
    let cases = [
        // A catcher takes everything, into one mailbox for each address.
        ("everyone", none, "Bob@Foo.example", "bob@foo.example"),
        ("everyone", none, "bob+tag@foo.example", "bob@foo.example"),
        ("everyone", &[("bob+tag@foo.example", CAUGHT)], "bob+tag@foo.example", "bob+tag@foo.example"),
        ("everyone", none, "+tag@foo.example", "+tag@foo.example"),
        ("everyone", none, "Postmaster", "postmaster@mx.example"),
        ("everyone", none, "bob@[192.0.2.1]", "bob@mx.example"),
        ("everyone", none, "bob@[192.0.2.2]", "bob@[192.0.2.2]"),
        // With a list only those on it, and those added by command.
        ("named bob@foo.example", none, "BOB@foo.example", "bob@foo.example"),
        ("named bob@foo.example", none, "bob+x@foo.example", "bob@foo.example"),
        ("named bob@foo.example", alice, "alice@a.example", "alice@a.example"),
        ("named bob@foo.example", &[("eve@foo.example", CAUGHT)], "eve@foo.example", "550 5.1.1"),
        ("named bob@foo.example", &[("eve@foo.example", DECLARED)], "eve@foo.example", "550 5.1.1"),
        ("named bob@foo.example", none, "bob@bar.example", "550 5.1.1"),
        ("named bob@foo.example", none, "postmaster@foo.example", "postmaster@foo.example"),
        ("named bob@foo.example", none, "postmaster@elsewhere.example", "550 5.1.1"),
        ("named bob@foo.example", none, "Postmaster", "postmaster@mx.example"),
        // A server with domains of its own never relays.
        ("domains a.example b.example", alice, "alice@a.example", "alice@a.example"),
        ("domains a.example b.example", alice, "alice@A.EXAMPLE", "alice@a.example"),
        ("domains a.example b.example", alice, "alice+list@a.example", "alice@a.example"),
        ("domains a.example b.example", alice, "alice@b.example", "550 5.1.1"),
        ("domains a.example b.example", alice, "alice@c.example", "550 5.7.1"),
        ("domains a.example b.example", alice, "alice%c.example@a.example", "550 5.1.1"),
        ("domains a.example b.example", alice, "c.example!alice@a.example", "550 5.1.1"),
        ("domains a.example b.example", alice, "\"alice@c.example\"@a.example", "550 5.1.1"),
        ("domains a.example b.example", alice, "alice@[192.0.2.1]", "alice@a.example"),
        ("domains a.example b.example", alice, "alice@[192.0.2.2]", "550 5.7.1"),
        // There is always a postmaster.
        ("domains a.example b.example", none, "Postmaster", "postmaster@a.example"),
        ("domains a.example b.example", none, "POSTMASTER@b.example", "postmaster@b.example"),
        ("domains a.example b.example", none, "postmaster@c.example", "550 5.7.1"),
        // Reports come from our own name, and can be answered.
        ("domains a.example b.example", none, "PostMaster@MX.example", "postmaster@a.example"),
        ("domains a.example postmaster=alice@a.example", alice, "postmaster@mx.example", "alice@a.example"),
        ("domains mx.example", none, "postmaster@mx.example", "postmaster@mx.example"),
        ("domains a.example", none, "bob@mx.example", "550 5.7.1"),
        ("domains a.example postmaster=alice@a.example", alice, "postmaster@a.example", "alice@a.example"),
        (
            "domains a.example postmaster=alice@a.example",
            &[("alice@a.example", ADDED), ("postmaster@a.example", ADDED)],
            "postmaster@a.example",
            "postmaster@a.example",
        ),
    ];
    for (acceptance, accounts, recipient, verdict) in cases {
        let case = Case { acceptance, accounts, recipient, verdict };
        assert_eq!(decide(&case), case.verdict, "{recipient} under {acceptance}");
    }
}

/// Accounts ann, bob and full (at its quota), and these aliases, in a.example.
fn with_aliases(aliases: &[(&str, &str)]) -> Kept {
    let alias = |(alias, targets): &(&str, &str)| Alias {
        name: name(alias),
        targets: targets.split(' ').map(|target| target.parse().expect(target)).collect(),
        origin: ADDED,
        created: store::Timestamp(0),
    };
    Kept {
        accounts: vec![
            (name("ann@a.example"), ADDED, None),
            (name("bob@a.example"), ADDED, Some((10_000, 5_000))),
            (name("full@a.example"), ADDED, Some((10_000, 10_000))),
        ],
        aliases: aliases.iter().map(alias).collect(),
        domains: ["a.example", "b.example"].map(|text| Domain::parse(text).expect(text)).to_vec(),
    }
}

#[test]
fn aliases_are_followed_to_their_accounts() {
    let kept = with_aliases(&[
        ("team@a.example", "ann@a.example bob+team@a.example"),
        ("all@a.example", "team@a.example ANN@a.example ann+x@a.example"),
        ("same@b.example", "ann@a.example"),
        ("out@a.example", "ann@a.example eve@elsewhere.example"),
        ("deep@a.example", "out@a.example"),
        ("dead@a.example", "gone@a.example"),
        ("half@a.example", "gone@a.example ann@a.example"),
        ("one@a.example", "two@a.example"),
        ("two@a.example", "one@a.example bob@a.example"),
        ("ring@a.example", "gnir@a.example"),
        ("gnir@a.example", "ring@a.example"),
        ("some@a.example", "ann@a.example full@a.example"),
        ("abuse@a.example", "postmaster@a.example"),
        ("*@b.example", "bob@a.example"),
    ]);
    let rules = rules("domains a.example b.example");
    for (recipient, verdict) in [
        ("team@a.example", "ann@a.example bob@a.example"),
        ("Team+tag@a.example", "ann@a.example bob@a.example"),
        ("all@a.example", "ann@a.example bob@a.example"),
        ("same@b.example", "ann@a.example"),
        // Nothing is forwarded, and half of a list is not the list.
        ("out@a.example", "550 5.7.1"),
        ("deep@a.example", "550 5.7.1"),
        ("dead@a.example", "550 5.1.1"),
        ("half@a.example", "ann@a.example -gone@a.example"),
        ("one@a.example", "bob@a.example"),
        ("ring@a.example", "550 5.1.1"),
        ("abuse@a.example", "postmaster@a.example"),
        // The catch-all comes last, after the postmaster.
        ("whoever@b.example", "bob@a.example"),
        ("whoever+tag@b.example", "bob@a.example"),
        ("*@b.example", "bob@a.example"),
        ("postmaster@b.example", "postmaster@b.example"),
        ("whoever@a.example", "550 5.1.1"),
        ("whoever@c.example", "550 5.7.1"),
        // One full mailbox puts off the whole recipient: nobody gets it twice, and nobody goes without.
        ("full@a.example", "452 4.2.2"),
        ("some@a.example", "452 4.2.2"),
    ] {
        assert_eq!(shown(ask(&rules, &kept, recipient, None)), verdict, "{recipient}");
    }
}

#[test]
fn aliases_count_for_a_catcher_too() {
    let kept = with_aliases(&[
        ("team@foo.example", "ann@a.example new@foo.example"),
        ("*@bar.example", "ann@a.example"),
    ]);
    for (acceptance, recipient, verdict) in [
        ("everyone", "team@foo.example", "ann@a.example new@foo.example"),
        ("everyone", "any@bar.example", "ann@a.example"),
        ("everyone", "any@foo.example", "any@foo.example"),
        ("named bob@a.example", "any@bar.example", "ann@a.example"),
        ("named bob@a.example", "team@foo.example", "ann@a.example -new@foo.example"),
    ] {
        assert_eq!(
            shown(ask(&rules(acceptance), &kept, recipient, None)),
            verdict,
            "{recipient} under {acceptance}"
        );
    }
}

#[test]
fn a_message_that_is_known_not_to_fit_is_put_off_at_once() {
    let (kept, rules) = (with_aliases(&[]), rules("domains a.example"));
    for (size, verdict) in [
        (None, "bob@a.example"),
        (Some(5_000 - TRACE_SIZE), "bob@a.example"),
        (Some(5_001 - TRACE_SIZE), "452 4.2.2"),
        (Some(u64::MAX), "452 4.2.2"),
    ] {
        assert_eq!(shown(ask(&rules, &kept, "bob@a.example", size)), verdict, "{size:?}");
    }
}

#[test]
fn what_is_followed_is_bounded() {
    let chain: Vec<(String, String)> =
        (0..300).map(|n| (format!("c{n}@a.example"), format!("c{}@a.example", n + 1))).collect();
    let chain: Vec<(&str, &str)> = chain.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    let mut kept = with_aliases(&chain);
    kept.accounts.push((name("c300@a.example"), ADDED, None));
    let rules = rules("domains a.example");
    assert_eq!(shown(ask(&rules, &kept, "c0@a.example", None)), "550 5.4.6");
    assert_eq!(shown(ask(&rules, &kept, "c45@a.example", None)), "c300@a.example", "the 256th address");
    assert_eq!(shown(ask(&rules, &kept, "c44@a.example", None)), "550 5.4.6");
}

#[test]
fn those_who_may_relay_reach_other_domains_and_no_more_than_others_here() {
    let kept = with_aliases(&[("out@a.example", "eve@elsewhere.example")]);
    for (acceptance, recipient, verdict) in [
        ("domains a.example", "bob@c.example", "relayed"),
        ("domains a.example", "postmaster@c.example", "relayed"),
        ("domains a.example", "bob@[192.0.2.2]", "relayed"),
        ("domains a.example", "ann@a.example", "ann@a.example"),
        ("domains a.example", "nobody@a.example", "550 5.1.1"),
        ("domains a.example", "out@a.example", "550 5.7.1"),
        ("domains a.example", "postmaster@a.example", "postmaster@a.example"),
        ("domains a.example", "postmaster@mx.example", "postmaster@a.example"),
        ("everyone", "bob@c.example", "bob@c.example"),
        ("named bob@a.example", "bob@c.example", "550 5.1.1"),
    ] {
        let rules = rules(acceptance);
        let path = ForwardPath::Mailbox(recipient.parse().expect(recipient));
        let asked = Asked { relaying: Relaying::Allowed, ..asked(&rules, &path, None, None) };
        assert_eq!(shown(decide_on(&rules, &kept, &asked)), verdict, "{recipient} under {acceptance}");
    }
}

#[test]
fn everybody_reaches_the_listed_domains_and_no_others() {
    let kept = with_aliases(&[("in@a.example", "eve@behind.example")]);
    for (recipient, listed, denied) in [
        ("bob@behind.example", "relayed", "550 5.7.1"),
        ("bob@BEHIND.example", "relayed", "550 5.7.1"),
        ("postmaster@behind.example", "relayed", "550 5.7.1"),
        ("bob@sub.behind.example", "550 5.7.1", "550 5.7.1"),
        ("bob@notbehind.example", "550 5.7.1", "550 5.7.1"),
        ("bob@example", "550 5.7.1", "550 5.7.1"),
        ("bob%c.example@behind.example", "550 5.7.1", "550 5.7.1"),
        ("c.example!bob@behind.example", "550 5.7.1", "550 5.7.1"),
        ("\"bob@c.example\"@behind.example", "550 5.7.1", "550 5.7.1"),
        ("\"@c.example:bob\"@behind.example", "550 5.7.1", "550 5.7.1"),
        ("bob@[192.0.2.2]", "550 5.7.1", "550 5.7.1"),
        ("ann@a.example", "ann@a.example", "ann@a.example"),
        ("in@a.example", "550 5.7.1", "550 5.7.1"),
    ] {
        let rules = rules("domains a.example");
        let never = Rules { onwards: None, ..rules.clone() };
        let path = ForwardPath::Mailbox(recipient.parse().expect(recipient));
        for (rules, relaying, verdict) in [
            (&rules, Relaying::Listed, listed),
            (&rules, Relaying::Denied, denied),
            (&never, Relaying::Listed, denied),
        ] {
            let asked = Asked { relaying, ..asked(rules, &path, None, None) };
            assert_eq!(shown(decide_on(rules, &kept, &asked)), verdict, "{recipient} {relaying:?}");
        }
    }
}

#[test]
fn aliases_lead_elsewhere_where_mail_can_be_sent_on() {
    let kept = with_aliases(&[
        ("out@a.example", "eve@elsewhere.example"),
        ("both@a.example", "eve@elsewhere.example ann@a.example fay@elsewhere.example"),
        ("twice@a.example", "out@a.example both@a.example"),
        ("literal@a.example", "eve@[192.0.2.7]"),
    ]);
    for (recipient, verdict) in [
        ("out@a.example", ">eve@elsewhere.example"),
        ("both@a.example", "ann@a.example >eve@elsewhere.example >fay@elsewhere.example"),
        ("twice@a.example", "ann@a.example >eve@elsewhere.example >fay@elsewhere.example"),
        ("literal@a.example", ">eve@[192.0.2.7]"),
        ("eve@elsewhere.example", "550 5.7.1"),
    ] {
        let rules = forwarding();
        let path = ForwardPath::Mailbox(recipient.parse().expect(recipient));
        let asked = Asked { relaying: Relaying::Listed, ..asked(&rules, &path, None, None) };
        assert_eq!(shown(decide_on(&rules, &kept, &asked)), verdict, "{recipient}");
    }
}

fn forwarding() -> Rules {
    let mut rules = rules("domains a.example");
    rules.onwards.as_mut().expect("it relays").srs = Some(Arc::new(Srs::new(&[7; 32])));
    rules
}

#[test]
fn a_return_path_of_ours_leads_to_the_sender_and_a_forged_one_nowhere() {
    let now = Timestamp(1_767_323_045_000);
    let rules = forwarding();
    let (sender, ours) =
        ("ann@world.example".parse().expect("an address"), Domain::parse("a.example").expect("a domain"));
    let good = srs(&rules).expect("it forwards").forward(&sender, &ours, now).expect("it fits").to_string();
    let forged = good.replace("ann", "eve");
    let with_catch_all = with_aliases(&[("*@a.example", "ann@a.example")]);
    for (recipient, relaying, kept, verdict) in [
        (&good, Relaying::Listed, with_aliases(&[]), ">ann@world.example"),
        (&good, Relaying::Denied, with_aliases(&[]), ">ann@world.example"),
        (&good.to_lowercase(), Relaying::Listed, with_aliases(&[]), ">ann@world.example"),
        (&good, Relaying::Listed, with_catch_all, ">ann@world.example"),
        (&forged, Relaying::Listed, with_aliases(&[]), "550 5.1.1"),
        (&forged, Relaying::Allowed, with_aliases(&[]), "550 5.1.1"),
        (&good.replace("a.example", "c.example"), Relaying::Listed, with_aliases(&[]), "550 5.7.1"),
    ] {
        let path = ForwardPath::Mailbox(recipient.parse().expect(recipient));
        let returned = returned(&rules, &path, now);
        let asked = Asked { relaying, returned, ..asked(&rules, &path, None, None) };
        assert_eq!(shown(decide_on(&rules, &kept, &asked)), verdict, "{recipient} {relaying:?}");
    }
}

#[test]
fn only_accounts_and_listed_networks_may_relay() {
    let rules = rules("domains a.example");
    let never = Rules { onwards: None, ..rules.clone() };
    assert_eq!(relaying(&rules, Who::Account), Relaying::Allowed);
    assert_eq!(relaying(&never, Who::Account), Relaying::Denied, "a server that relays nothing");
    for (peer, expected) in [
        ("198.51.100.7", Relaying::Allowed),
        ("::ffff:198.51.100.7", Relaying::Allowed),
        ("198.51.101.7", Relaying::Listed),
        ("::1", Relaying::Listed),
    ] {
        let who = Who::Host(peer.parse().expect(peer));
        assert_eq!(relaying(&rules, who), expected, "{peer}");
        assert_eq!(relaying(&never, who), Relaying::Denied);
    }
}
