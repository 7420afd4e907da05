//! Mail that is sent on for an address here.

use super::lab::{FORWARDED, Lab, SENDER, Say};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn forwarded_mail_goes_under_its_own_reverse_path_with_its_own_fields() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.until_empty(lab.forward("<carol@example.net>", &["a@example.com", "b@example.com"])).await;
    let taken = lab.taken();
    assert_eq!(taken.len(), 1, "one transaction for both");
    assert_eq!((taken[0].from.as_str(), taken[0].to.len()), (FORWARDED, 2));
    assert_eq!(
        taken[0].content,
        "Delivered-To: out@example.org\r\nReceived: by lab\r\nSubject: hello\r\n\r\n.dots\r\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_forwarded_mail_is_told_to_who_sent_it() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.domain("example.net", &[(10, "mx", 2)]);
    lab.says(1, "RCPT", &[Say::Reply("550 5.1.1 no such user")]);
    lab.until_empty(lab.forward("<carol@example.net>", &["a@example.com"])).await;
    let taken = lab.taken();
    assert_eq!((taken.len(), taken[0].hop, taken[0].from.as_str()), (1, 2, "<>"));
    assert_eq!(taken[0].to, ["<carol@example.net>"], "not the path that was made for it");
    assert!(taken[0].content.contains("Final-Recipient: rfc822; a@example.com\r\nAction: failed\r\n"));
}

#[tokio::test(start_paused = true)]
async fn a_report_follows_an_alias_to_elsewhere() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.domain("example.net", &[(10, "mx", 2)]);
    lab.says(1, "RCPT", &[Say::Reply("550 5.1.1 no such user")]);
    let sent = async {
        lab.send_later(SENDER, &["x@null.example"]).await;
        lab.alias("moved@example.org", "carol@example.net").await;
        lab.send("<moved@example.org>", &["a@example.com"]).await;
    };
    let took = lab.until_empty(sent).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    let taken = lab.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(
        (taken[0].from.as_str(), taken[0].to.as_slice()),
        ("<>", &["<carol@example.net>".to_owned()][..])
    );
    assert!(taken[0].content.starts_with("Delivered-To: moved@example.org\r\n"), "{}", taken[0].content);
}
