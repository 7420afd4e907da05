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
