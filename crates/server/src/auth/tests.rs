//! Whose a client certificate is.

use super::*;
use crate::tls::{ClientCertificate, Fingerprint};
use std::collections::BTreeMap;
use store::memory::Memory;
use store::{Directory, Origin};

const FINGERPRINT: [u8; 32] = [0xAB; 32];

/// The TLS of a client with a certificate for these addresses.
fn tls(addresses: &[&str], fingerprint: [u8; 32]) -> TlsSession {
    TlsSession {
        version: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256".to_owned(),
        server_name: None,
        exporter: None,
        client_certificate: Some(ClientCertificate {
            addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
            subject: "CN=scanner".to_owned(),
            fingerprint: Fingerprint(fingerprint),
        }),
        server: None,
        flaw: None,
    }
}

/// For ann and bob of b.example, with certificates mapped to them and to one who is not there.
async fn authenticator() -> Authenticator {
    let name = |text: &str| AccountName::parse(text).expect("a name");
    let memory = Memory::new(|| Timestamp(0));
    for account in ["ann@b.example", "bob@b.example"] {
        memory.create_account(&name(account), Origin::Added).await.expect("the name is free");
    }
    let settings = AuthSettings {
        certificates: BTreeMap::from([
            (Fingerprint(FINGERPRINT).to_string().to_lowercase(), name("bob@b.example")),
            ("scanner@devices.example".to_owned(), name("ann@b.example")),
            ("old@devices.example".to_owned(), name("gone@b.example")),
        ]),
        ..AuthSettings::default()
    };
    let options = Options {
        settings: &settings,
        store: Arc::new(memory),
        key: [7; 32],
        domain: Domain::parse("b.example").expect("a domain"),
        costs: Costs::default(),
        random: system_random(),
        pool: Pool::new(1, 1).expect("a thread"),
        now: Instant::now(),
    };
    Authenticator::open(options).expect("it opens")
}

#[tokio::test]
async fn a_certificate_is_an_accounts_by_its_fingerprint_or_by_an_address() {
    let authenticator = authenticator().await;
    let other = [0xCD; 32];
    for (addresses, fingerprint, user, account) in [
        (&["nobody@elsewhere.example"][..], FINGERPRINT, None, Some("bob@b.example")),
        (&["ann@b.example"], FINGERPRINT, None, Some("bob@b.example")),
        (&["ann@b.example"], FINGERPRINT, Some("ann@b.example"), None),
        (&["ann@b.example"], FINGERPRINT, Some("bob"), Some("bob@b.example")),
        (&["ann@b.example"], other, None, Some("ann@b.example")),
        (&["ANN@B.example"], other, Some("Ann@b.example"), Some("ann@b.example")),
        (&["Scanner@Devices.example"], other, None, Some("ann@b.example")),
        (&["scanner@devices.example"], other, Some("scanner@devices.example"), None),
        (&["ann@b.example"], other, Some("bob@b.example"), None),
        (&["ann@b.example", "bob@b.example"], other, Some("bob@b.example"), Some("bob@b.example")),
        (&["old@devices.example"], other, None, None),
        (&["old@devices.example", "bob@b.example"], other, None, Some("bob@b.example")),
        (&["ann@elsewhere.example", "not an address"], other, None, None),
        (&[], other, Some("ann@b.example"), None),
    ] {
        let tls = tls(addresses, fingerprint);
        assert_eq!(
            told(&authenticator, Some(&tls), user).await.as_deref(),
            account,
            "{addresses:?} {user:?}"
        );
    }
    let without = TlsSession { client_certificate: None, ..tls(&["ann@b.example"], other) };
    for tls in [Some(&without), None] {
        assert_eq!(told(&authenticator, tls, Some("ann@b.example")).await, None, "there is no certificate");
    }
}

#[tokio::test]
async fn the_log_tells_an_account_without_a_password_from_a_wrong_one() {
    let authenticator = authenticator().await;
    let kept = keep(&Secret::new("its own"), Costs::default(), WithScram::No, &system_random());
    let bob = AccountName::parse("bob@b.example").expect("a name");
    authenticator.store.set_password(&bob, kept.password, None).await.expect("the account is there");
    for (user, reason) in [
        ("ann@b.example", "no password is set"),
        ("bob@b.example", "wrong password"),
        ("eve@b.example", "no such account"),
    ] {
        let network = "192.0.2.1/32".parse().expect("a network");
        let client = Client { network, standing: crate::abuse::Standing::Stranger };
        let asked = authenticator.password(user, Secret::new("a guess"), client).await;
        assert_eq!(asked.expect("the store answers").reason, reason);
    }
}

/// Whose a client is that says EXTERNAL.
async fn told(authenticator: &Authenticator, tls: Option<&TlsSession>, user: Option<&str>) -> Option<String> {
    let network = "192.0.2.1/32".parse().expect("a network");
    let asking = Asking {
        tls,
        client: Client { network, standing: crate::abuse::Standing::Stranger },
        time: Timestamp(0),
        now: Instant::now(),
    };
    let question = Question::External { user: user.map(str::to_owned) };
    match authenticator.answer(question, asking).await.expect("the store answers").answer {
        Answer::Accepted(account) => Some(account),
        _ => None,
    }
}
