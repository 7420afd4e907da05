//! Accounts, what belongs to them, aliases and domains, promise by promise. Everything is asked again after the store was opened anew.

use super::{Subject, accepted, account, commit, into_mailbox};
use crate::directory::{
    ALIAS_TARGETS_MAX, APPLICATION_PASSWORDS_MAX, LABEL_MAX, LAST_USED_GRAIN, SECRET_MAX,
};
use crate::{
    Account, AccountName, Addressee, ApplicationPassword, Credentials, Destination, Error, IfFull, IfMissing,
    MailboxName, NewAccount, Origin, Quota, Resolution, Result, Secret, SharedStore, Timestamp, Uid, Usage,
};
use smtp::{Domain, Mailbox};

pub(super) async fn run(subject: &dyn Subject) {
    accounts_come_with_what_they_have(subject).await;
    passwords_are_kept(subject).await;
    uses_are_kept_to_the_hour(subject).await;
    what_is_too_long_is_refused(subject.open().await).await;
    aliases_come_and_go(subject).await;
    aliases_lead_nowhere_twice(subject.open().await).await;
    a_name_is_an_account_or_an_alias(subject.open().await).await;
    domains_come_and_go(subject).await;
    addresses_are_resolved(subject.open().await).await;
    quotas_hold(subject).await;
    who_has_no_quota_has_the_default(subject).await;
    one_refusal_refuses_the_whole_message(subject.open().await).await;
    reports_have_a_reserve_of_their_own(subject.open().await).await;
    a_new_account_has_nothing_of_the_old(subject).await;
    a_closed_directory_refuses(subject.open().await).await;
}

/// What a subject kept: the same store opened anew, or the one that stays open.
async fn again(subject: &dyn Subject, store: SharedStore) -> SharedStore {
    subject.reopen(&store).await.unwrap_or(store)
}

async fn accounts_come_with_what_they_have(subject: &dyn Subject) {
    let store = subject.open().await;
    let (ann, bob) = (account("ann@example.org"), account("bob@example.org"));
    let new = NewAccount {
        full_name: Some("Ann Ø.".to_owned()),
        password: Some(Secret::new("hash")),
        scram: Some(Secret::new("verifier")),
        quota: Quota { bytes: Some(1 << 30), messages: None },
        ..NewAccount::bare(ann.clone(), Origin::Added)
    };
    let made = store.create_account_with(new.clone()).await.unwrap();
    assert!(matches!(store.create_account_with(new).await, Err(Error::Exists(_))));
    store.create_account(&bob, Origin::Caught).await.unwrap();
    let raised =
        NewAccount { full_name: Some("Bob".to_owned()), ..NewAccount::bare(bob.clone(), Origin::Added) };
    assert_eq!(store.create_account_with(raised).await.unwrap().origin, Origin::Added);

    let store = again(subject, store).await;
    let standing = store.standing(&ann).await.unwrap().unwrap();
    assert_eq!((standing.account, standing.full_name.as_deref()), (made, Some("Ann Ø.")));
    assert_eq!(standing.quota, Quota { bytes: Some(1 << 30), messages: None });
    assert_eq!(standing.usage, Usage::default());
    let credentials = store.credentials(&ann).await.unwrap();
    assert_eq!(revealed(&credentials), (Some("hash"), Some("verifier")));
    let standing = store.standing(&bob).await.unwrap().unwrap();
    assert_eq!((standing.full_name.as_deref(), standing.quota), (Some("Bob"), Quota::default()));
    assert_eq!(store.credentials(&bob).await.unwrap(), Credentials::default());

    store.set_full_name(&ann, None).await.unwrap();
    store.set_quota(&ann, Quota::default()).await.unwrap();
    let store = again(subject, store).await;
    let standing = store.standing(&ann).await.unwrap().unwrap();
    assert_eq!((standing.full_name, standing.quota), (None, Quota::default()));
    assert_eq!(store.standing(&account("eve@example.org")).await.unwrap(), None);
}

async fn passwords_are_kept(subject: &dyn Subject) {
    let store = subject.open().await;
    let (ann, eve) = (account("ann@example.org"), account("eve@example.org"));
    store.create_account(&ann, Origin::Added).await.unwrap();
    store.add_application_password(&ann, application("phone", "p-hash")).await.unwrap();
    store.add_application_password(&ann, application("laptop", "l-hash")).await.unwrap();
    let again_phone = store.add_application_password(&ann, application("phone", "other")).await;
    assert!(matches!(again_phone, Err(Error::Exists(_))));
    store.set_password(&ann, Secret::new("one"), Some(Secret::new("scram"))).await.unwrap();
    store.set_password(&ann, Secret::new("two"), None).await.unwrap();
    replaced_in_time_only(&store, &ann).await;

    let store = again(subject, store).await;
    let credentials = store.credentials(&ann).await.unwrap();
    assert_eq!(revealed(&credentials), (Some("two"), None), "the verifier of another password is gone");
    assert_eq!(
        credentials.application_passwords,
        [application("laptop", "l-hash"), application("phone", "p-hash")],
        "by name"
    );
    store.remove_application_password(&ann, "phone").await.unwrap();
    let again_phone = store.remove_application_password(&ann, "phone").await;
    assert!(matches!(again_phone, Err(Error::NoSuchPassword(_))));

    let store = again(subject, store).await;
    let credentials = store.credentials(&ann).await.unwrap();
    assert_eq!(credentials.application_passwords, [application("laptop", "l-hash")]);
    assert!(!format!("{credentials:?}").contains("two"), "nothing secret is shown");
    assert!(!format!("{credentials:?}").contains("l-hash"), "nothing secret is shown");
    for error in [
        store.credentials(&eve).await.map(drop),
        store.set_password(&eve, Secret::new("x"), None).await,
        store.replace_password(&eve, Secret::new("x"), Secret::new("y"), None).await,
        store.add_application_password(&eve, application("phone", "x")).await,
        store.remove_application_password(&eve, "phone").await,
        store.note_use(&eve, "phone", Timestamp(1)).await,
        store.set_quota(&eve, Quota::default()).await,
        store.set_full_name(&eve, None).await,
    ] {
        assert!(matches!(error, Err(Error::NoSuchAccount(_))), "{error:?}");
    }
}

/// Of changes at the same time that are made for the same hash one is taken. Ends with "two" kept, as it begins.
async fn replaced_in_time_only(store: &SharedStore, ann: &AccountName) {
    let replace = |before: &str, new: &str| {
        store.replace_password(ann, Secret::new(before), Secret::new(new), Some(Secret::new("scram")))
    };
    assert!(matches!(replace("one", "lost").await, Err(Error::Changed(_))), "that was before");
    let (one, other) = tokio::join!(replace("two", "three"), replace("two", "four"));
    let kept = store.credentials(ann).await.unwrap();
    match (one, other) {
        (Ok(()), Err(Error::Changed(_))) => assert_eq!(revealed(&kept), (Some("three"), Some("scram"))),
        (Err(Error::Changed(_)), Ok(())) => assert_eq!(revealed(&kept), (Some("four"), Some("scram"))),
        both => panic!("{both:?}"),
    }
    let set = store.set_password(ann, Secret::new("two"), None);
    let (set, replaced) = tokio::join!(set, replace("three", "late"));
    set.unwrap();
    assert!(matches!(replaced, Ok(()) | Err(Error::Changed(_))), "{replaced:?}");
    store.set_password(ann, Secret::new("two"), None).await.unwrap();
    let bare = account("bare@example.org");
    store.create_account(&bare, Origin::Added).await.unwrap();
    let none = store.replace_password(&bare, Secret::new("x"), Secret::new("y"), None).await;
    assert!(matches!(none, Err(Error::Changed(_))), "it has none");
    store.remove_account(&bare).await.unwrap();
}

async fn uses_are_kept_to_the_hour(subject: &dyn Subject) {
    let mut store = subject.open().await;
    let ann = account("ann@example.org");
    store.create_account(&ann, Origin::Added).await.unwrap();
    store.add_application_password(&ann, application("phone", "hash")).await.unwrap();
    let start = 1_700_000_000_000;
    for (at, kept) in [
        (start, start),
        (start + 1, start),
        (start + LAST_USED_GRAIN - 1, start),
        (start + LAST_USED_GRAIN, start + LAST_USED_GRAIN),
        (start, start + LAST_USED_GRAIN),
    ] {
        store.note_use(&ann, "phone", Timestamp(at)).await.unwrap();
        store = again(subject, store).await;
        let credentials = store.credentials(&ann).await.unwrap();
        let last_used = credentials.application_password("phone").and_then(|known| known.last_used);
        assert_eq!(last_used, Some(Timestamp(kept)));
    }
    assert!(matches!(store.note_use(&ann, "tablet", Timestamp(start)).await, Err(Error::NoSuchPassword(_))));
}

async fn what_is_too_long_is_refused(store: SharedStore) {
    let ann = account("ann@example.org");
    store.create_account(&ann, Origin::Added).await.unwrap();
    let long = || Secret::new("x".repeat(SECRET_MAX + 1));
    let label = "x".repeat(LABEL_MAX + 1);
    let target: Mailbox = "ann@example.org".parse().unwrap();
    let bob = || NewAccount::bare(account("bob@example.org"), Origin::Added);
    for error in [
        store.set_password(&ann, long(), None).await,
        store.set_password(&ann, Secret::new(""), None).await,
        store.replace_password(&ann, Secret::new("x"), Secret::new(""), None).await,
        store.set_password(&ann, Secret::new("x"), Some(long())).await,
        store.add_application_password(&ann, application(&label, "x")).await,
        store.add_application_password(&ann, application("a\nb", "x")).await,
        store.add_application_password(&ann, application(" ", "x")).await,
        store.set_full_name(&ann, Some(label.clone())).await,
        store.set_full_name(&ann, Some("Ann\r\nBcc: eve".to_owned())).await,
        store.create_account_with(NewAccount { full_name: Some(label.clone()), ..bob() }).await.map(drop),
        store.create_account_with(NewAccount { password: Some(long()), ..bob() }).await.map(drop),
        store.set_alias(&account("all@example.org"), &[], Origin::Added).await,
        store
            .set_alias(&account("all@example.org"), &vec![target; ALIAS_TARGETS_MAX + 1], Origin::Added)
            .await,
    ] {
        assert!(matches!(error, Err(Error::Invalid(_))), "{error:?}");
    }
    for number in 0..APPLICATION_PASSWORDS_MAX {
        store.add_application_password(&ann, application(&format!("{number}"), "x")).await.unwrap();
    }
    let one_more = store.add_application_password(&ann, application("one more", "x")).await;
    assert!(matches!(one_more, Err(Error::Invalid(_))), "{one_more:?}");
    assert_eq!(store.accounts().await.unwrap().len(), 1, "nothing refused was made");
    assert_eq!(store.aliases().await.unwrap(), []);
}

async fn aliases_come_and_go(subject: &dyn Subject) {
    let store = subject.open().await;
    store.create_account(&account("ann@example.org"), Origin::Added).await.unwrap();
    set_alias(&store, "Team@Example.org", &["ann@example.org", "\"b b\"@example.net"]).await.unwrap();
    set_alias(&store, "*@example.org", &["ann@example.org"]).await.unwrap();
    set_alias(&store, "team@example.org", &["bob+team@example.org"]).await.unwrap();
    let store = again(subject, store).await;
    let all: Vec<(String, Vec<String>)> = store.aliases().await.unwrap().iter().map(shown).collect();
    assert_eq!(
        all,
        [
            ("*@example.org".to_owned(), vec!["ann@example.org".to_owned()]),
            ("team@example.org".to_owned(), vec!["bob+team@example.org".to_owned()]),
        ]
    );
    store.remove_alias(&account("team@example.org")).await.unwrap();
    let store = again(subject, store).await;
    assert!(matches!(store.remove_alias(&account("team@example.org")).await, Err(Error::NoSuchAlias(_))));
    assert_eq!(store.aliases().await.unwrap().len(), 1);
}

async fn aliases_lead_nowhere_twice(store: SharedStore) {
    let ann = account("ann@example.org");
    store.create_account(&ann, Origin::Added).await.unwrap();
    set_alias(&store, "a@example.org", &["ann@example.org", "b@example.org"]).await.unwrap();
    set_alias(&store, "b@example.org", &["c+x@example.org", "gone@example.org"]).await.unwrap();
    for (name, target) in [
        ("c@example.org", "a@example.org"),
        ("c+x@example.org", "A+y@example.org"),
        ("gone@example.org", "a@example.org"),
        ("self@example.org", "self@example.org"),
        ("self@example.org", "self+tag@example.org"),
        ("*@example.org", "a@example.org"),
        ("*@example.org", "whoever@example.org"),
    ] {
        let error = set_alias(&store, name, &["x@example.net", target]).await.unwrap_err();
        assert!(matches!(&error, Error::Invalid(text) if text.contains(" → ")), "{name}: {error}");
    }
    // An account ends every way, whatever there is behind it.
    set_alias(&store, "*@example.org", &["ann+unknown@example.org"]).await.unwrap();
    // Two ways to the same place are no loop.
    set_alias(&store, "d@example.org", &["b@example.net", "ann@example.org", "ann+d@example.org"])
        .await
        .unwrap();
    set_alias(&store, "e@example.org", &["d@example.org", "ann@example.org"]).await.unwrap();
    assert_eq!(store.aliases().await.unwrap().len(), 5);
}

async fn a_name_is_an_account_or_an_alias(store: SharedStore) {
    let (ann, team) = (account("ann@example.org"), account("team@example.org"));
    store.create_account(&ann, Origin::Added).await.unwrap();
    set_alias(&store, "team@example.org", &["ann@example.org"]).await.unwrap();
    assert!(matches!(set_alias(&store, "ann@example.org", &["x@example.org"]).await, Err(Error::Exists(_))));
    assert!(matches!(store.create_account(&team, Origin::Added).await, Err(Error::Exists(_))));
    let by_mail = deliver(&store, &team, 10).await;
    assert!(matches!(by_mail, Err(Error::Exists(_))), "{by_mail:?}");
    assert_eq!(store.account(&team).await.unwrap(), None);
    store.remove_alias(&team).await.unwrap();
    deliver(&store, &team, 10).await.unwrap();
    assert!(store.account(&team).await.unwrap().is_some());
}

async fn domains_come_and_go(subject: &dyn Subject) {
    let store = subject.open().await;
    let domain = |text: &str| Domain::parse(text).unwrap();
    store.create_domain(&domain("Example.ORG"), Origin::Declared).await.unwrap();
    store.create_domain(&domain("bücher.example"), Origin::Added).await.unwrap();
    let exists = store.create_domain(&domain("example.org"), Origin::Declared).await;
    assert!(matches!(exists, Err(Error::Exists(_))));
    store.create_domain(&domain("example.org"), Origin::Added).await.unwrap();
    let exists = store.create_domain(&domain("xn--bcher-kva.example"), Origin::Added).await;
    assert!(matches!(exists, Err(Error::Exists(_))));
    let store = again(subject, store).await;
    let all: Vec<(String, Origin)> = store
        .domains()
        .await
        .unwrap()
        .iter()
        .map(|known| (known.name.ascii().to_owned(), known.origin))
        .collect();
    assert_eq!(
        all,
        [("example.org".to_owned(), Origin::Added), ("xn--bcher-kva.example".to_owned(), Origin::Added)]
    );
    store.create_account(&account("ann@example.org"), Origin::Added).await.unwrap();
    store.remove_domain(&domain("example.org")).await.unwrap();
    let store = again(subject, store).await;
    assert!(matches!(store.remove_domain(&domain("example.org")).await, Err(Error::NoSuchDomain(_))));
    assert_eq!(store.domains().await.unwrap().len(), 1);
    assert!(store.account(&account("ann@example.org")).await.unwrap().is_some(), "accounts stay");
}

async fn addresses_are_resolved(store: SharedStore) {
    store.create_domain(&Domain::parse("example.org").unwrap(), Origin::Declared).await.unwrap();
    store.create_account(&account("ann@example.org"), Origin::Added).await.unwrap();
    store.create_account(&account("ann+work@example.org"), Origin::Added).await.unwrap();
    store.create_account(&account("bob@example.net"), Origin::Caught).await.unwrap();
    set_alias(&store, "team@example.org", &["ann@example.org"]).await.unwrap();
    set_alias(&store, "*@example.org", &["bob@example.net"]).await.unwrap();
    for (address, expected) in [
        ("Ann@EXAMPLE.org", "declared ann@example.org - *"),
        ("ann+work@example.org", "declared ann+work@example.org ann@example.org *"),
        ("ann+x@example.org", "declared - ann@example.org *"),
        ("team@example.org", "declared alias:ann@example.org - *"),
        ("team+x@example.org", "declared - alias:ann@example.org *"),
        ("nobody@example.org", "declared - - *"),
        ("bob@example.net", "elsewhere bob@example.net - -"),
        ("bob@[192.0.2.1]", "elsewhere - - -"),
        ("+x@example.org", "declared - - *"),
    ] {
        let resolution = store.resolve(&address.parse().unwrap()).await.unwrap();
        assert_eq!(described(&resolution), expected, "{address}");
    }
}

async fn quotas_hold(subject: &dyn Subject) {
    let store = subject.open().await;
    let ann = account("ann@example.org");
    store.create_account(&ann, Origin::Added).await.unwrap();
    // One such message takes 31 + 29 + 940 bytes.
    deliver(&store, &ann, 940).await.unwrap();
    let usage = Usage { bytes: 1000, messages: 1 };
    assert_eq!(used(&store, &ann).await, usage);
    store.set_quota(&ann, Quota { bytes: Some(2999), messages: None }).await.unwrap();
    deliver(&store, &ann, 940).await.unwrap();
    for size in [940, 1_200_000] {
        let refused = deliver(&store, &ann, size).await;
        assert!(matches!(refused, Err(Error::OverQuota(_))), "{refused:?}");
    }
    deliver(&store, &ann, 939).await.unwrap();
    assert_eq!(used(&store, &ann).await, Usage { bytes: 2999, messages: 3 });

    let store = again(subject, store).await;
    assert_eq!(used(&store, &ann).await, Usage { bytes: 2999, messages: 3 });
    assert!(matches!(deliver(&store, &ann, 0).await, Err(Error::OverQuota(_))));
    let inbox = store.mailbox(&ann, &MailboxName::inbox()).await.unwrap().id;
    assert_eq!(store.expunge(inbox, &[Uid(1), Uid(1), Uid(9)]).await.unwrap(), 1);
    assert_eq!(used(&store, &ann).await, Usage { bytes: 1999, messages: 2 });
    deliver(&store, &ann, 900).await.unwrap();

    store.set_quota(&ann, Quota { bytes: None, messages: Some(3) }).await.unwrap();
    assert!(matches!(deliver(&store, &ann, 0).await, Err(Error::OverQuota(_))));
    store.set_quota(&ann, Quota { bytes: Some(1), messages: None }).await.unwrap();
    assert_eq!(used(&store, &ann).await.messages, 3, "what is there stays");
    assert!(matches!(deliver(&store, &ann, 0).await, Err(Error::OverQuota(_))));
    store.set_quota(&ann, Quota::default()).await.unwrap();
    deliver(&store, &ann, 1_200_000).await.unwrap();
    let store = again(subject, store).await;
    assert_eq!(used(&store, &ann).await, Usage { bytes: 1999 + 960 + 1_200_060, messages: 4 });
}

async fn reports_have_a_reserve_of_their_own(store: SharedStore) {
    let ann = account("ann@example.org");
    store.create_account(&ann, Origin::Added).await.unwrap();
    store.set_quota(&ann, Quota { bytes: Some(100), messages: Some(1) }).await.unwrap();
    let report = |size: usize| {
        let mut delivery = into_mailbox(&ann, "INBOX", IfMissing::Fail);
        if let Destination::Mailbox { if_full, .. } = &mut delivery.destination {
            *if_full = IfFull::UseReserve;
        }
        let store = store.clone();
        async move { commit(&store, &vec![b'x'; size], accepted(&["a@example.org"], vec![delivery])).await }
    };
    assert!(matches!(deliver(&store, &ann, 940).await, Err(Error::OverQuota(_))));
    report(940).await.unwrap();
    report(9 * 1024 * 1024).await.unwrap();
    let refused = report(2 * 1024 * 1024).await;
    assert!(matches!(refused, Err(Error::OverQuota(_))), "the reserve has an end: {refused:?}");
    assert!(matches!(deliver(&store, &ann, 0).await, Err(Error::OverQuota(_))), "and is for nothing else");
}

async fn who_has_no_quota_has_the_default(subject: &dyn Subject) {
    let store = subject.open().await;
    let (ann, bob) = (account("ann@example.org"), account("bob@example.org"));
    for name in [&ann, &bob] {
        store.create_account(name, Origin::Added).await.unwrap();
    }
    assert_eq!(store.standing(&ann).await.unwrap().unwrap().default_quota, None);
    deliver(&store, &ann, 940).await.unwrap();
    let default = Quota { bytes: Some(1500), messages: None };
    store.set_default_quota(default);
    let standing = store.standing(&ann).await.unwrap().unwrap();
    assert_eq!((standing.quota, standing.allowance()), (Quota::default(), default));
    assert!(matches!(deliver(&store, &ann, 940).await, Err(Error::OverQuota(_))));
    // What is set for an account counts more, also when that is no bound at all.
    for bytes in [5000, Quota::NO_BOUND] {
        store.set_quota(&bob, Quota { bytes: Some(bytes), messages: None }).await.unwrap();
        deliver(&store, &bob, 940).await.unwrap();
        deliver(&store, &bob, 940).await.unwrap();
    }
    let store = again(subject, store).await;
    let standing = store.standing(&bob).await.unwrap().unwrap();
    assert_eq!(standing.quota.bytes, Some(Quota::NO_BOUND));
    store.set_default_quota(Quota::default());
    deliver(&store, &ann, 940).await.unwrap();
}

async fn one_refusal_refuses_the_whole_message(store: SharedStore) {
    let (ann, bob) = (account("ann@example.org"), account("bob@example.org"));
    for name in [&ann, &bob] {
        store.create_account(name, Origin::Added).await.unwrap();
    }
    store.set_quota(&bob, Quota { bytes: None, messages: Some(1) }).await.unwrap();
    let to = |name: &AccountName, mailbox| into_mailbox(name, mailbox, IfMissing::Create);
    let new = account("new@example.org");
    for deliveries in [
        vec![to(&ann, "INBOX"), to(&new, "INBOX"), to(&bob, "INBOX"), to(&bob, "Archive")],
        vec![to(&bob, "INBOX"), to(&bob, "INBOX"), to(&ann, "INBOX")],
    ] {
        let refused = commit(&store, b"x", accepted(&["a@example.org"], deliveries)).await;
        assert!(matches!(refused, Err(Error::OverQuota(_))), "{refused:?}");
    }
    assert_eq!(used(&store, &ann).await, Usage::default());
    assert_eq!(store.mailboxes(&bob).await.unwrap().len(), 1);
    assert_eq!(store.account(&new).await.unwrap(), None);
    deliver(&store, &bob, 1).await.unwrap();
}

async fn a_new_account_has_nothing_of_the_old(subject: &dyn Subject) {
    let store = subject.open().await;
    let ann = account("ann@example.org");
    let new = NewAccount {
        full_name: Some("Ann".to_owned()),
        password: Some(Secret::new("hash")),
        quota: Quota { bytes: Some(9), messages: None },
        ..NewAccount::bare(ann.clone(), Origin::Added)
    };
    store.create_account_with(NewAccount { quota: Quota::default(), ..new.clone() }).await.unwrap();
    deliver(&store, &ann, 10).await.unwrap();
    store.set_quota(&ann, new.quota).await.unwrap();
    store.add_application_password(&ann, application("phone", "hash")).await.unwrap();
    store.remove_account(&ann).await.unwrap();
    assert!(matches!(store.credentials(&ann).await, Err(Error::NoSuchAccount(_))));
    deliver(&store, &ann, 10).await.unwrap();
    let store = again(subject, store).await;
    assert_eq!(store.credentials(&ann).await.unwrap(), Credentials::default());
    let standing = store.standing(&ann).await.unwrap().unwrap();
    let Account { origin, .. } = standing.account;
    assert_eq!((origin, standing.full_name, standing.quota), (Origin::Caught, None, Quota::default()));
    assert_eq!(standing.usage.messages, 1);
}

async fn a_closed_directory_refuses(store: SharedStore) {
    let ann = account("ann@example.org");
    store.create_account(&ann, Origin::Added).await.unwrap();
    store.close().await.unwrap();
    for error in [
        store.set_quota(&ann, Quota::default()).await,
        store.set_password(&ann, Secret::new("x"), None).await,
        set_alias(&store, "team@example.org", &["ann@example.org"]).await,
        store.create_domain(&Domain::parse("example.org").unwrap(), Origin::Added).await,
    ] {
        assert!(matches!(error, Err(Error::Closed)), "{error:?}");
    }
}

/// Delivers a message with this many bytes of content into an account's INBOX.
async fn deliver(store: &SharedStore, name: &AccountName, size: usize) -> Result<()> {
    let deliveries = vec![into_mailbox(name, "INBOX", IfMissing::Create)];
    commit(store, &vec![b'x'; size], accepted(&["a@example.org"], deliveries)).await.map(drop)
}

async fn used(store: &SharedStore, name: &AccountName) -> Usage {
    store.standing(name).await.unwrap().expect("the account is there").usage
}

async fn set_alias(store: &SharedStore, name: &str, targets: &[&str]) -> Result<()> {
    let targets: Vec<Mailbox> = targets.iter().map(|target| target.parse().expect("an address")).collect();
    store.set_alias(&account(name), &targets, Origin::Added).await
}

fn application(name: &str, hash: &str) -> ApplicationPassword {
    ApplicationPassword {
        name: name.to_owned(),
        password: Secret::new(hash),
        scram: Some(Secret::new("verifier")),
        created: Timestamp(7),
        last_used: None,
    }
}

fn revealed(credentials: &Credentials) -> (Option<&str>, Option<&str>) {
    (credentials.password.as_ref().map(Secret::reveal), credentials.scram.as_ref().map(Secret::reveal))
}

fn shown(alias: &crate::Alias) -> (String, Vec<String>) {
    (alias.name.to_string(), alias.targets.iter().map(ToString::to_string).collect())
}

fn described(resolution: &Resolution) -> String {
    let addressee = |found: &Option<Addressee>| match found {
        None => "-".to_owned(),
        Some(Addressee::Account(standing)) => standing.account.name.to_string(),
        Some(Addressee::Alias(alias)) => format!("alias:{}", shown(alias).1.join(",")),
    };
    let domain = match resolution.domain {
        None => "elsewhere",
        Some(Origin::Declared) => "declared",
        Some(_) => "of another origin",
    };
    let catch_all = if resolution.catch_all.is_some() { "*" } else { "-" };
    format!("{domain} {} {} {catch_all}", addressee(&resolution.exact), addressee(&resolution.untagged))
}
