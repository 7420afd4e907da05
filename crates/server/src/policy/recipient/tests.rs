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
    Rules { acceptance, host_name: Domain::parse("mx.example").expect("a domain") }
}

fn decide(case: &Case) -> String {
    let rules = rules(case.acceptance);
    let path = match case.recipient {
        "Postmaster" => ForwardPath::Postmaster,
        text => ForwardPath::Mailbox(text.parse().expect(text)),
    };
    let names = names(&rules, &path, "192.0.2.1".parse().expect("an address"));
    let origin = |wanted: &AccountName| {
        case.accounts.iter().find(|(account, _)| name(account) == *wanted).map(|(_, origin)| *origin)
    };
    let known = Known { exact: origin(&names.exact), untagged: names.untagged.as_ref().and_then(origin) };
    match recipient(&rules, &names, known) {
        Verdict::Accept(route) => route.account.to_string(),
        Verdict::Defer(reply) | Verdict::Reject(reply) => reply.to_string()[..9].to_owned(),
    }
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
