//! IMAP: what the extensions of LIST, SORT and APPEND ask for in their corners.

use crate::imap::{Client, start_imap};

#[tokio::test]
async fn inbox_is_found_in_any_case_and_parents_that_are_none_are_said_to_be_none() {
    let (_running, address) = start_imap().await;
    let mut client = Client::bob(address).await;
    client.ok("CREATE Work/2026").await;
    for pattern in ["inb*", "%box", "Inbox"] {
        assert_eq!(
            client.ok(&format!("LIST \"\" {pattern}")).await,
            ["* LIST (\\HasNoChildren) \"/\" INBOX"]
        );
    }
    assert_eq!(client.ok("LIST \"\" w%").await, Vec::<String>::new());
    assert_eq!(
        client.ok("LIST \"\" W%").await,
        ["* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" Work"]
    );
    assert!(client.say("LIST (RECURSIVEMATCH) \"\" *").await.1.starts_with("BAD "));
}

#[tokio::test]
async fn a_sort_can_return_what_a_search_can() {
    let (_running, address) = start_imap().await;
    let mut client = Client::bob(address).await;
    let capabilities = client.ok("CAPABILITY").await;
    assert!(capabilities[0].split(' ').any(|name| name == "ESORT"), "{capabilities:?}");
    client.ok("APPEND INBOX {14+}\r\nSubject: b\r\n\r\n {14+}\r\nSubject: a\r\n\r\n {14+}\r\nSubject: c\r\n\r\n").await;
    client.ok("SELECT INBOX").await;
    let (told, _) = client.say("SORT RETURN (MIN MAX COUNT ALL) (SUBJECT) UTF-8 ALL").await;
    assert_eq!(told, ["* ESEARCH (TAG \"t5\") MIN 2 MAX 3 COUNT 3 ALL 2,1,3"]);
    // What is kept of the first and the last in that order is those two (RFC 5182 §2.4, RFC 5267 §3.1).
    assert_eq!(client.ok("SORT RETURN (SAVE MIN) (SUBJECT) UTF-8 1:2").await.len(), 1);
    assert_eq!(client.ok("FETCH $ UID").await, ["* 2 FETCH (UID 2)"]);
}

#[tokio::test]
async fn a_message_may_come_as_utf8_and_not_with_nuls() {
    let (_running, address) = start_imap().await;
    let mut client = Client::bob(address).await;
    client.ok("ENABLE UTF8=ACCEPT").await;
    let text = "Subject: Gr\u{fc}\u{df}e\r\n\r\n";
    client.ok(&format!("APPEND INBOX (\\Seen) UTF8 (~{{{}+}}\r\n{text})", text.len())).await;
    let (told, status) = client.say("APPEND INBOX ~{4+}\r\na\0\r\n").await;
    assert!(told.is_empty() && status.starts_with("NO [UNKNOWN-CTE] "), "{status}");
    client.ok("SELECT INBOX").await;
    let told = client.ok("FETCH 1:* (FLAGS BODY.PEEK[])").await;
    assert_eq!(told, [format!("* 1 FETCH (FLAGS (\\Seen) BODY[] {{{}}}\r\n{text})", text.len())]);
}
