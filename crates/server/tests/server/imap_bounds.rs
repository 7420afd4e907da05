//! IMAP: what one client asks for is bounded, and does not keep the others waiting.

use crate::common::name;
use crate::imap::{Client, start_imap};
use store::Quota;

/// Two of these have no room beside each other.
const LARGE: usize = 33 << 20;

#[tokio::test]
async fn large_messages_are_told_one_after_the_other() {
    let (_running, address) = start_imap().await;
    let mut client = Client::inbox(address).await;
    let line = format!("{}\r\n", "x".repeat(1022));
    let text = format!("Subject: large\r\n\r\n{}", line.repeat(LARGE / line.len()));
    for _ in 0..2 {
        client.ok(&format!("APPEND INBOX {{{}+}}\r\n{text}", text.len())).await;
    }
    assert_eq!(client.ok("FETCH 1:2 BODYSTRUCTURE").await.len(), 2);
    let told = client.ok("FETCH 1:2 (BODY.PEEK[TEXT] BODY.PEEK[1]<0.4096> BODYSTRUCTURE)").await;
    assert!(told.len() == 2 && told.iter().all(|line| line.len() > LARGE));
}

#[tokio::test]
async fn what_does_not_fit_into_the_quota_is_refused_before_it_comes() {
    let (running, address) = start_imap().await;
    let quota = Quota { bytes: Some(20), messages: None };
    running.store.set_quota(&name("bob@b.example"), quota).await.expect("bob has an account");
    let mut client = Client::bob(address).await;
    let refusal = "NO [OVERQUOTA] That does not fit into the quota";
    // No octet of it was sent.
    assert_eq!(client.say("APPEND INBOX {21}").await.1, refusal);
    client.send("m APPEND INBOX {12}\r\n").await;
    assert!(client.line().await.starts_with("+ "));
    client.send("Subject: a\r\n {12}\r\n").await;
    assert_eq!(client.until("m").await, (Vec::new(), refusal.to_owned()));
    client.ok("APPEND INBOX {12+}\r\nSubject: a\r\n").await;
}

#[tokio::test]
async fn what_an_account_may_hold_is_told() {
    let (running, address) = start_imap().await;
    let (bob, mut client) = (name("bob@b.example"), Client::bob(address).await);
    let text = "x".repeat(1500);
    client.ok(&format!("APPEND INBOX (\\Deleted) {{1500+}}\r\n{text}")).await;
    client.ok(&format!("APPEND INBOX {{1500+}}\r\n{text}")).await;
    assert_eq!(client.ok("GETQUOTA Account").await, ["* QUOTA Account ()"], "nothing is set");
    // What everybody may hold counts where nothing else is set.
    running.store.set_default_quota(Quota { bytes: Some(1 << 20), messages: Some(100) });
    let told = client.ok("GETQUOTAROOT INBOX").await;
    assert_eq!(told, ["* QUOTAROOT INBOX Account", "* QUOTA Account (STORAGE 3 1024 MESSAGE 2 100)"]);
    let quota = Quota { bytes: Some(Quota::NO_BOUND), messages: Some(7) };
    running.store.set_quota(&bob, quota).await.expect("bob has an account");
    assert_eq!(client.ok("GETQUOTA Account").await, ["* QUOTA Account (MESSAGE 2 7)"]);
    assert_eq!(client.say("GETQUOTA other").await.1.split(']').next(), Some("NO [NONEXISTENT"));
    assert_eq!(
        client.ok("STATUS INBOX (DELETED DELETED-STORAGE)").await,
        ["* STATUS INBOX (DELETED 1 DELETED-STORAGE 2)"]
    );
    client.ok("SELECT INBOX").await;
    client.ok("EXPUNGE").await;
    assert_eq!(client.ok("STATUS INBOX (DELETED-STORAGE)").await, ["* STATUS INBOX (DELETED-STORAGE 0)"]);
}
