use super::*;
use proptest::prelude::*;

fn mailbox() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,10}@[a-z]{1,10}\\.example",
        "[A-Z]{1,5}\\+[a-z]{1,5}@xn--bcher-kva\\.example",
        "\"[ a-z@.]{1,10}\"@\\[192\\.0\\.2\\.[1-9]\\]",
        "[a-zäöü]{1,6}@bücher\\.example",
        Just("x@[IPv6:2001:db8::1]".to_owned()),
    ]
}

fn recipient() -> impl Strategy<Value = smtp::Recipient> {
    let path = prop_oneof![
        mailbox().prop_map(|mailbox| smtp::ForwardPath::Mailbox(mailbox.parse().expect("a valid mailbox"))),
        Just(smtp::ForwardPath::Postmaster),
    ];
    let on = |(success, failure, delay)| smtp::Notify::On { success, failure, delay };
    let notify = prop_oneof![Just(smtp::Notify::Never), any::<(bool, bool, bool)>().prop_map(on)];
    let original = ("[a-zA-Z0-9-]{1,8}", "[!-~ ]{1,30}")
        .prop_filter_map("not an original recipient", |(kind, address)| {
            smtp::OriginalRecipient::new(&kind, &address)
        });
    // As Postfix writes an address beyond ASCII.
    let postfix = "rfc822;j+C3+BCrgen@example.net".parse().expect("an original recipient");
    let original = prop_oneof![original, Just::<smtp::OriginalRecipient>(postfix)];
    (path, prop::option::of(notify), prop::option::of(original))
        .prop_map(|(forward_path, notify, original)| smtp::Recipient { forward_path, notify, original })
}

fn envelope() -> impl Strategy<Value = smtp::Envelope> {
    let reverse_path = prop_oneof![
        mailbox().prop_map(|mailbox| smtp::ReversePath::Mailbox(mailbox.parse().expect("a valid mailbox"))),
        Just(smtp::ReversePath::Null),
    ];
    let body =
        prop::sample::select(vec![smtp::Body::SevenBit, smtp::Body::EightBitMime, smtp::Body::BinaryMime]);
    let ret = prop::option::of(prop::sample::select(vec![smtp::Return::Full, smtp::Return::Headers]));
    let id = prop::option::of("[!-~]{1,30}".prop_filter_map("not an id", |id| smtp::EnvelopeId::new(&id)));
    (reverse_path, prop::collection::vec(recipient(), 1..5), body, any::<[bool; 2]>(), ret, id).prop_map(
        |(reverse_path, recipients, body, [smtputf8, require_tls], ret, envelope_id)| smtp::Envelope {
            reverse_path,
            recipients,
            body,
            smtputf8,
            require_tls,
            ret,
            envelope_id,
        },
    )
}

fn accepted() -> impl Strategy<Value = store::Accepted> {
    let trace = || prop::collection::vec(any::<u8>(), 0..50).prop_map(Bytes::from);
    let destination = prop_oneof![
        any::<i64>().prop_map(|due| store::Destination::Queue { due: Timestamp(due) }),
        (any::<i64>(), trace()).prop_map(|(due, trace)| store::Destination::Forward {
            due: Timestamp(due),
            forward: store::Forward { reverse_path: "<a@example.net>".parse().expect("a path"), trace },
        }),
        trace().prop_map(|trace| store::Destination::Mailbox {
            account: AccountName::parse("alice@example.org").expect("a valid name"),
            mailbox: MailboxName::inbox(),
            if_missing: store::IfMissing::Create,
            if_full: store::IfFull::Fail,
            trace,
        }),
    ];
    let delivery = (any::<u32>(), destination)
        .prop_map(|(recipient, destination)| store::NewDelivery { recipient, destination });
    (envelope(), any::<i64>(), trace(), prop::collection::vec(delivery, 0..5)).prop_map(
        |(envelope, received, trace, deliveries)| store::Accepted {
            received: Timestamp(received),
            envelope,
            trace,
            deliveries,
        },
    )
}

proptest! {
    #[test]
    fn acceptances_read_back(accepted in accepted(), spool: u64, length: u64, places: [(u64, u32, u64); 5]) {
        let stored = Accepted::of(spool, length, &accepted);
        let place = |&(mailbox, uid, modseq)| Place { mailbox: MailboxId(mailbox), uid: Uid(uid), modseq: ModSeq(modseq) };
        let entries = stored.own_traces().count();
        let placed = Placed(places[..entries].iter().map(place).collect());
        let mut body = encode(&stored);
        body.extend(encode(&placed));
        prop_assert_eq!(Accepted::decode(&body).unwrap(), (stored.clone(), placed));
        prop_assert_eq!(stored.envelope.value().unwrap(), accepted.envelope.clone());
        prop_assert_eq!(stored.envelope.reverse_path().unwrap(), accepted.envelope.reverse_path);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        // Reading must end, without a panic and without asking for absurd memory; what it says matters only for the checks below.
        let refused = [
            Accepted::decode(&bytes).is_err(),
            decode::<Opening>(&bytes).is_err(),
            decode::<MailboxChange>(&bytes).is_err(),
            decode::<AccountChange>(&bytes).is_err(),
            decode::<Settlement>(&bytes).is_err(),
            decode::<DirectoryChange>(&bytes).is_err(),
        ];
        prop_assert!(refused.contains(&true), "no bytes are all of these at once");
    }

    #[test]
    fn longer_or_shorter_bodies_are_refused(spool: u64, recipient: u32, extra: u8) {
        let mut body = encode(&Settlement::Done { spool, recipient });
        body.push(extra);
        prop_assert!(decode::<Settlement>(&body).is_err());
        body.truncate(body.len() - 2);
        prop_assert!(decode::<Settlement>(&body).is_err());
    }
}

#[test]
fn what_an_envelope_asks_for_reads_as_it_was_once_written() {
    let envelope = |smtputf8, require_tls| {
        let mut envelope = smtp::Envelope::new(smtp::ReversePath::Null, Vec::new());
        (envelope.smtputf8, envelope.require_tls) = (smtputf8, require_tls);
        envelope
    };
    for smtputf8 in [false, true] {
        assert_eq!(encode(&smtputf8), [Envelope::of(&envelope(smtputf8, false)).marks], "a bool stood there");
        for require_tls in [false, true] {
            let stored = Envelope::of(&envelope(smtputf8, require_tls));
            assert_eq!(stored.value().expect("it reads"), envelope(smtputf8, require_tls));
        }
    }
    let unknown = Envelope { marks: 4, ..Envelope::of(&envelope(false, false)) };
    assert!(unknown.value().is_err(), "what a later program asks for must not be passed over");
}

#[test]
fn an_acceptance_places_each_of_its_entries() {
    let accepted = Accepted {
        spool: 1,
        received: Timestamp(2),
        length: 3,
        trace: Bytes::new(),
        envelope: Envelope {
            reverse_path: "<>".to_owned(),
            recipients: vec![],
            body: Body::SevenBit,
            marks: 0,
            ret: None,
            envelope_id: None,
        },
        deliveries: vec![Delivery {
            recipient: 0,
            destination: Destination::Mailbox { trace: Bytes::new() },
        }],
    };
    let mut body = encode(&accepted);
    body.extend(encode(&Placed::default()));
    assert!(matches!(Accepted::decode(&body), Err(Error::Damaged(_))));
}

#[test]
fn changes_of_the_directory_read_back_and_show_no_secret() {
    let (account, created) = (AccountId(7), Timestamp(8));
    let target: smtp::Mailbox = "\"b b\"@bücher.example".parse().expect("an address");
    let alias = store::Alias {
        name: AccountName::parse("team@example.org").expect("a name"),
        targets: vec![target],
        origin: Origin::Added,
        created,
    };
    let domain = store::DomainRecord {
        name: smtp::Domain::parse("bücher.example").expect("a domain"),
        origin: Origin::Declared,
        created,
    };
    let secret = store::Secret::new("$argon2id$hunter2");
    let changes = [
        DirectoryChange::alias(&alias),
        DirectoryChange::domain(&domain),
        DirectoryChange::Password { account, password: Some(secret.clone()), scram: Some(secret.clone()) },
        DirectoryChange::ApplicationPassword {
            account,
            name: "phone".to_owned(),
            password: secret.clone(),
            scram: None,
            created,
        },
    ];
    for change in &changes {
        assert_eq!(decode::<DirectoryChange>(&encode(change)).expect("it reads back"), *change);
        assert!(!format!("{change:?}").contains("hunter2"));
    }
    assert_eq!(changes[0].as_alias().expect("readable"), Some(alias));
    assert_eq!(changes[1].as_domain().expect("readable"), Some(domain));
    assert_eq!(changes[2].as_domain().expect("another change"), None);
}

#[test]
fn only_the_last_word_on_a_thing_shows() {
    let account = AccountId(1);
    let secret = |text: &str| store::Secret::new(text);
    let application = |name: &str, hash: &str| DirectoryChange::ApplicationPassword {
        account,
        name: name.to_owned(),
        password: secret(hash),
        scram: None,
        created: Timestamp(1),
    };
    let used = |at| DirectoryChange::ApplicationPasswordUsed {
        account,
        name: "phone".to_owned(),
        at: Timestamp(at),
    };
    let removed = |name: &str| DirectoryChange::ApplicationPasswordRemoved { account, name: name.to_owned() };
    let quota = |bytes| DirectoryChange::Quota { account, bytes, messages: None };
    // Each change, and whether it still says something at the end.
    let history = [
        (quota(Some(5)), false),
        (quota(None), true),
        (application("phone", "one"), false),
        (used(3), false),
        (removed("phone"), false),
        (application("phone", "two"), true),
        (used(4), false),
        (used(5), true),
        (application("tablet", "x"), false),
        (removed("tablet"), true),
    ];
    let mut belongings = Belongings::default();
    history.iter().for_each(|(change, _)| belongings.apply(change));
    for (change, shows) in &history {
        assert_eq!(belongings.shows(change), *shows, "{change:?}");
    }
    let mut again = Belongings::default();
    history.iter().filter(|(_, shows)| *shows).for_each(|(change, _)| again.apply(change));
    assert_eq!(again, belongings, "the others can be dropped");
}

#[test]
fn an_attempt_from_before_tls_was_used_still_reads() {
    let address = "192.0.2.1:25".parse().ok();
    let attempt = settlement::AttemptBeforeTls {
        at: Timestamp(1),
        took: 2,
        host: Some("mx.example.com".to_owned()),
        address,
        reply: "451 later".to_owned(),
    };
    let (spool, recipient, due, attempts) = (3, 4, Timestamp(5), 6);
    let old = SettlementRecord::DeferredBeforeTls { spool, recipient, due, attempts, attempt };
    let attempt = Box::new(Attempt {
        at: Timestamp(1),
        took: 2,
        host: Some("mx.example.com".to_owned()),
        address,
        reply: "451 later".to_owned(),
        ..Attempt::default()
    });
    let read: Settlement = decode(&encode(&old)).expect("it reads");
    assert_eq!(read, Settlement::Deferred { spool, recipient, due, attempts, attempt });
}
