//! Who may send as whom: tables of addresses, accounts and aliases.

use super::*;
use message::submission::Mender;
use smtp::Domain;
use store::{Account, AccountId, Alias, Origin, Quota, Standing, Timestamp, Usage};

fn decide(rules: Rules, path: &str, ownership: Ownership, hello: &str) -> String {
    let path = match path {
        "" => ReversePath::Null,
        path => ReversePath::Mailbox(path.parse().expect("an address")),
    };
    let account = AccountName::parse("bob@b.example").expect("a name");
    match reverse_path(&rules, &path, ownership, &account, hello) {
        Verdict::Accept(()) => "accept".to_owned(),
        Verdict::Defer(reply) | Verdict::Reject(reply) => reply.to_string(),
    }
}

#[test]
fn an_account_uses_its_own_addresses_unless_it_is_let() {
    use Ownership::{Foreign, Ours, Own};
    use Senders::{Any, Domains};
    for (senders, ownership, accepted) in [
        (Senders::Own, Own, true),
        (Senders::Own, Ours, false),
        (Senders::Own, Foreign, false),
        (Domains, Own, true),
        (Domains, Ours, true),
        (Domains, Foreign, false),
        (Any, Own, true),
        (Any, Ours, true),
        (Any, Foreign, true),
    ] {
        let rules = Rules { senders, ..Rules::default() };
        let said = decide(rules, "alice@b.example", ownership, "laptop");
        match accepted {
            true => assert_eq!(said, "accept", "{senders:?} {ownership:?}"),
            false => assert_eq!(
                said, "550 5.7.1 Sender refused: alice@b.example is not an address of bob@b.example",
                "{senders:?} {ownership:?}"
            ),
        }
    }
}

#[test]
fn the_null_reverse_path_is_everybodys() {
    let strict = Rules { hello: HelloName::SendersDomain, ..Rules::default() };
    assert_eq!(decide(strict, "", Ownership::Foreign, "laptop"), "accept");
}

#[test]
fn hello_may_have_to_name_the_senders_domain() {
    let strict = Rules { hello: HelloName::SendersDomain, ..Rules::default() };
    let refused = "550 5.7.1 Sender refused: say HELO or EHLO with the sender's domain, b.example";
    for (path, hello, said) in [
        ("bob@b.example", "b.example", "accept"),
        ("bob@b.example", "B.Example", "accept"),
        ("bob@b.example", "mail.b.example", refused),
        ("bob@b.example", "laptop", refused),
        ("bob@b.example", "", refused),
        ("bob@b.example", "not a name", refused),
        ("bob@[192.0.2.1]", "[192.0.2.1]", "accept"),
    ] {
        assert_eq!(decide(strict, path, Ownership::Own, hello), said, "{hello}");
    }
    assert_eq!(decide(Rules::default(), "bob@b.example", Ownership::Own, "laptop"), "accept");
}

/// Accounts ann and bob and some aliases, in b.example.
fn resolve(address: &Mailbox) -> Resolution {
    let account = |name: &AccountName| {
        Addressee::Account(Box::new(Standing {
            account: Account {
                id: AccountId(1),
                name: name.clone(),
                origin: Origin::Added,
                created: Timestamp(0),
            },
            full_name: None,
            quota: Quota::default(),
            default_quota: None,
            // Full or not, whoever has an account can send.
            usage: Usage { bytes: 0, messages: 0 },
        }))
    };
    let alias = |name: &str| {
        let targets = match name {
            "team@b.example" => "ann@b.example bob+team@b.example",
            "all@b.example" => "team@b.example eve@elsewhere.example",
            "round@b.example" => "turn@b.example",
            "turn@b.example" => "round@b.example",
            "*@c.example" => "bob@b.example",
            _ => return None,
        };
        Some(Alias {
            name: AccountName::parse(name).expect(name),
            targets: targets.split(' ').map(|target| target.parse().expect(target)).collect(),
            origin: Origin::Added,
            created: Timestamp(0),
        })
    };
    let addressee = |name: &AccountName| match name.as_str() {
        "ann@b.example" | "bob@b.example" => Some(account(name)),
        other => alias(other).map(Addressee::Alias),
    };
    let ours = address.domain().is_some_and(|domain| ["b.example", "c.example"].contains(&domain.ascii()));
    Resolution {
        domain: ours.then_some(Origin::Added),
        exact: addressee(&AccountName::of(address)),
        untagged: AccountName::untagged(address).and_then(|name| addressee(&name)),
        catch_all: address.domain().and_then(|domain| alias(AccountName::catch_all(domain).as_str())),
    }
}

fn owned(address: &str, account: &str) -> Ownership {
    let rules = recipient::Rules {
        acceptance: Acceptance::Domains {
            domains: vec![Domain::parse("b.example").expect("a domain")],
            postmaster: Some(AccountName::parse("ann@b.example").expect("a name")),
        },
        host_name: Domain::parse("mx.example").expect("a domain"),
        onwards: None,
    };
    let account = AccountName::parse(account).expect("a name");
    let address = address.parse().expect(address);
    let mut known = Known::new();
    loop {
        match ownership(&rules, &account, &address, &known) {
            Step::Ownership(ownership) => return ownership,
            Step::LookUp(addresses) => {
                assert!(!addresses.is_empty());
                for address in addresses {
                    let resolution = resolve(&address);
                    assert!(known.insert(address, resolution).is_none(), "nothing is asked twice");
                }
            }
        }
    }
}

#[test]
fn an_address_is_owned_by_whom_its_mail_reaches() {
    use Ownership::{Foreign, Ours, Own};
    for (address, bobs, anns) in [
        ("bob@b.example", Own, Ours),
        ("BOB@B.example", Own, Ours),
        ("bob+tag@b.example", Own, Ours),
        ("ann@b.example", Ours, Own),
        ("team@b.example", Own, Own),
        ("all@b.example", Own, Own),
        ("team+x@b.example", Own, Own),
        ("round@b.example", Ours, Ours),
        ("nobody@b.example", Ours, Ours),
        ("anything@c.example", Own, Ours),
        ("postmaster@b.example", Ours, Own),
        ("Postmaster@c.example", Ours, Own),
        ("postmaster@elsewhere.example", Foreign, Foreign),
        ("bob@elsewhere.example", Foreign, Foreign),
        ("bob@[192.0.2.1]", Foreign, Foreign),
    ] {
        assert_eq!(owned(address, "bob@b.example"), bobs, "{address} and bob");
        assert_eq!(owned(address, "ann@b.example"), anns, "{address} and ann");
    }
}

/// What is decided on a From field as it stands in a message of bob's.
fn decide_from(rules: Rules, fields: &str) -> String {
    let mut mender = Mender::default();
    mender.pass(bytes::Bytes::from(format!("{fields}\r\n\r\n")));
    let (_, findings) = mender.finish();
    let authors = match authors(&rules, &findings) {
        Ok(authors) => authors,
        Err(reply) => return reply.to_string(),
    };
    let bob = AccountName::parse("bob@b.example").expect("a name");
    let judged: Vec<(Mailbox, Ownership)> = authors
        .into_iter()
        .map(|author| (author.clone(), owned(&author.to_string(), bob.as_str())))
        .collect();
    match header_from(&rules, &judged, &bob) {
        Verdict::Accept(authorship) => format!("{authorship:?}"),
        Verdict::Defer(reply) | Verdict::Reject(reply) => reply.to_string(),
    }
}

#[test]
fn the_from_field_is_held_to_the_same() {
    let checked = Rules::default();
    let domains = Rules { senders: Senders::Domains, ..checked };
    let unchecked = Rules { from: HeaderFrom::Unchecked, ..checked };
    let unclear = "550 5.6.0 Refused: the message must have one From field that can be read";
    let ann = "550 5.7.1 Refused: From names ann@b.example, which is not an address of bob@b.example";
    for (rules, fields, said) in [
        (checked, "From: Bob <bob@b.example>", "Clear"),
        (checked, "From: bob+x@b.example, team@b.example", "Clear"),
        (checked, "Subject: x", "Clear"),
        (checked, "From: bob@b.example, Ann <ann@b.example>", ann),
        (checked, "From: \"bob@b.example\" <ann@b.example>", ann),
        (checked, "From: bob@b.example\r\nFrom: ann@b.example", unclear),
        (checked, "From:", unclear),
        (checked, "From: undisclosed", unclear),
        (domains, "From: ann@b.example", "OnBehalf"),
        (domains, "From: bob@b.example", "Clear"),
        (unchecked, "From: ann@b.example", "OnBehalf"),
        (unchecked, "From: eve@elsewhere.example, bob@b.example", "OnBehalf"),
        (unchecked, "From: undisclosed", "Clear"),
        (unchecked, "From: bob@b.example\r\nFrom: ann@b.example", "Clear"),
    ] {
        assert_eq!(decide_from(rules, fields), said, "{fields}");
    }
}
