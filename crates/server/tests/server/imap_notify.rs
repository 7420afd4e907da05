//! IMAP: what a client hears that has asked for it with NOTIFY, without saying anything more (RFC 5465).

use crate::common::{Running, name};
use crate::imap::{Client, deliver, start_imap};
use std::net::SocketAddr;
use store::MailboxName;

/// A server with these mailboxes beside bob's INBOX.
async fn start_with(mailboxes: &[&str]) -> (Running, SocketAddr) {
    let (running, address) = start_imap().await;
    for mailbox in mailboxes {
        let mailbox = MailboxName::new(mailbox).expect("a name");
        running.store.create_mailbox(&name("bob@b.example"), &mailbox, None).await.expect("bob has room");
    }
    (running, address)
}

/// What a STATUS says, without UIDVALIDITY, which is the store's to choose.
fn status(line: &str) -> String {
    let (before, rest) = line.split_once("UIDVALIDITY ").unwrap_or_else(|| panic!("UIDVALIDITY in {line}"));
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    match rest.strip_prefix(' ') {
        Some(rest) => format!("{before}{rest}"),
        None => format!("{}{rest}", before.trim_end()),
    }
}

#[tokio::test]
async fn mail_for_another_mailbox_is_told_at_once() {
    let (running, address) = start_with(&["Box"]).await;
    let mut client = Client::bob(address).await;
    client.ok("SELECT Box").await;
    assert!(client.ok("NOTIFY SET (inboxes (MessageNew MessageExpunge FlagChange))").await.is_empty());
    deliver(&running, "Subject: 1\r\n\r\ntext").await;
    assert_eq!(status(&client.line().await), "* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UNSEEN 1)");
    let mut other = Client::inbox(address).await;
    other.ok("STORE 1 +FLAGS (\\Seen)").await;
    assert_eq!(status(&client.line().await), "* STATUS INBOX (UNSEEN 0)");
    client.ok("ENABLE CONDSTORE").await;
    other.ok("STORE 1 +FLAGS (\\Deleted)").await;
    let line = client.line().await;
    assert!(line.starts_with("* STATUS INBOX (UIDVALIDITY ") && line.contains(" HIGHESTMODSEQ "), "{line}");
    other.ok("EXPUNGE").await;
    assert!(status(&client.line().await).starts_with("* STATUS INBOX (MESSAGES 0 UIDNEXT 2 HIGHESTMODSEQ "));
    // IDLE tells the same.
    client.send("i IDLE\r\n").await;
    assert_eq!(client.line().await, "+ idling");
    deliver(&running, "Subject: 2\r\n\r\ntext").await;
    assert!(status(&client.line().await).starts_with("* STATUS INBOX (MESSAGES 1 UIDNEXT 3 HIGHESTMODSEQ "));
    client.send("DONE\r\n").await;
    assert_eq!(client.until("i").await.1, "OK Idle completed");
    // Another mailbox of the same name has another UIDVALIDITY.
    client.ok("NOTIFY SET (mailboxes Other (MessageNew MessageExpunge FlagChange))").await;
    other.ok("CREATE Other").await;
    let first = client.line().await;
    assert!(first.starts_with("* STATUS Other (UIDVALIDITY "), "{first}");
    other.ok("DELETE Other").await;
    other.ok("CREATE Other").await;
    let second = client.line().await;
    assert!(second.starts_with("* STATUS Other (UIDVALIDITY ") && second != first, "{first} {second}");
    assert!(client.ok("NOTIFY NONE").await.is_empty());
    deliver(&running, "Subject: 3\r\n\r\ntext").await;
    assert!(client.ok("NOOP").await.is_empty());
}

#[tokio::test]
async fn what_happens_in_the_selected_mailbox_is_told_at_once() {
    let (running, address) = start_with(&[]).await;
    let (mut client, mut other) = (Client::inbox(address).await, Client::inbox(address).await);
    let new = "MessageNew (UID BODY[HEADER.FIELDS (SUBJECT)])";
    client.ok(&format!("NOTIFY SET (selected ({new} MessageExpunge FlagChange))")).await;
    deliver(&running, "Subject: 1\r\n\r\ntext").await;
    assert_eq!(client.line().await, "* 1 EXISTS");
    let told = "* 1 FETCH (UID 1 BODY[HEADER.FIELDS (SUBJECT)] {14}\r\nSubject: 1\r\n\r\n)";
    assert_eq!(client.line().await, told, "and it is not seen by that");
    other.ok("NOOP").await;
    other.ok("STORE 1 +FLAGS (\\Flagged)").await;
    assert_eq!(client.line().await, "* 1 FETCH (UID 1 FLAGS (\\Flagged))");
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    assert_eq!(client.line().await, "* 1 FETCH (UID 1 FLAGS (\\Flagged \\Deleted))");
    other.ok("EXPUNGE").await;
    assert_eq!(client.line().await, "* 1 EXPUNGE");
    // What the client puts there itself it need not be told.
    let (told, _) = client.say("APPEND INBOX {14+}\r\nSubject: 2\r\n\r\n").await;
    assert_eq!(told, ["* 1 EXISTS"]);
    // Who has not asked for flags hears of messages alone, and of flags when it asks for them.
    client.ok("NOTIFY SET (selected (MessageNew MessageExpunge))").await;
    other.ok("NOOP").await;
    other.ok("STORE 1 +FLAGS.SILENT (\\Seen)").await;
    deliver(&running, "Subject: 3\r\n\r\ntext").await;
    assert_eq!(client.line().await, "* 2 EXISTS");
    let told = client.ok("NOTIFY SET (selected (MessageNew MessageExpunge FlagChange))").await;
    assert!(told.contains(&"* 1 FETCH (UID 2 FLAGS (\\Seen))".to_owned()), "{told:?}");
}

#[tokio::test]
async fn numbers_of_who_needs_them_shift_in_commands_alone() {
    let (running, address) = start_with(&[]).await;
    deliver(&running, "Subject: 1\r\n\r\ntext").await;
    let (mut client, mut other) = (Client::inbox(address).await, Client::inbox(address).await);
    client.ok("NOTIFY SET (selected-delayed (MessageNew MessageExpunge))").await;
    other.ok("STORE 1 +FLAGS (\\Deleted)").await;
    other.ok("EXPUNGE").await;
    deliver(&running, "Subject: 2\r\n\r\ntext").await;
    assert_eq!(client.line().await, "* 2 EXISTS");
    assert_eq!(client.ok("FETCH 2 (UID)").await, ["* 2 FETCH (UID 2)"]);
    assert_eq!(client.ok("NOOP").await, ["* 1 EXPUNGE"]);
}

#[tokio::test]
async fn who_wants_to_hear_nothing_hears_nothing_until_it_asks() {
    let (running, address) = start_with(&[]).await;
    deliver(&running, "Subject: 1\r\n\r\ntext").await;
    let (mut client, mut other) = (Client::inbox(address).await, Client::inbox(address).await);
    client.ok("NOTIFY NONE").await;
    other.ok("STORE 1 +FLAGS (\\Seen)").await;
    deliver(&running, "Subject: 2\r\n\r\ntext").await;
    assert!(client.ok("NOOP").await.is_empty());
    client.send("i IDLE\r\n").await;
    assert_eq!(client.line().await, "+ idling");
    deliver(&running, "Subject: 3\r\n\r\ntext").await;
    client.send("DONE\r\n").await;
    assert!(client.until("i").await.0.is_empty());
    // What it does itself has its answers.
    assert_eq!(client.ok("STORE 1 +FLAGS (\\Deleted)").await, ["* 1 FETCH (FLAGS (\\Deleted \\Seen))"]);
    assert!(client.ok("EXPUNGE").await.contains(&"* 1 EXPUNGE".to_owned()));
    other.ok("NOOP").await;
    other.ok("STORE 1 +FLAGS (\\Flagged)").await;
    let told = client.ok("NOTIFY SET (selected (MessageNew MessageExpunge FlagChange))").await;
    assert!(told.contains(&"* 1 FETCH (UID 2 FLAGS (\\Flagged))".to_owned()), "{told:?}");
}

#[tokio::test]
async fn what_happens_to_mailboxes_is_told_by_list() {
    let (_running, address) = start_with(&[]).await;
    let (mut client, mut other) = (Client::bob(address).await, Client::bob(address).await);
    client.ok("NOTIFY SET (personal (MailboxName)) (subtree work (SubscriptionChange))").await;
    other.ok("CREATE work/new").await;
    assert_eq!(client.line().await, "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" work");
    assert_eq!(client.line().await, "* LIST (\\HasNoChildren) \"/\" work/new");
    other.ok("CREATE work/new/below").await;
    assert_eq!(client.line().await, "* LIST (\\HasChildren) \"/\" work/new");
    assert_eq!(client.line().await, "* LIST (\\HasNoChildren) \"/\" work/new/below");
    other.ok("RENAME work/new done").await;
    assert_eq!(client.line().await, "* LIST (\\HasChildren) \"/\" done (\"OLDNAME\" (work/new))");
    other.ok("SUBSCRIBE done").await;
    other.ok("SUBSCRIBE work/x").await;
    assert_eq!(
        client.line().await,
        "* LIST (\\NonExistent \\Noselect \\HasNoChildren \\Subscribed) \"/\" work/x"
    );
    other.ok("UNSUBSCRIBE work/x").await;
    assert_eq!(client.line().await, "* LIST (\\NonExistent \\Noselect \\HasNoChildren) \"/\" work/x");
    other.ok("DELETE done/below").await;
    assert_eq!(client.line().await, "* LIST (\\HasNoChildren \\Subscribed) \"/\" done");
    assert_eq!(client.line().await, "* LIST (\\NonExistent \\Noselect \\HasNoChildren) \"/\" done/below");
    // What the client does itself it knows.
    client.ok("CREATE mine").await;
    other.ok("CREATE other").await;
    assert_eq!(client.line().await, "* LIST (\\HasNoChildren) \"/\" other");
}

#[tokio::test]
async fn who_hears_of_some_mailboxes_hears_what_becomes_of_their_names() {
    let (_running, address) = start_with(&["a", "a/b", "c", "d"]).await;
    let (mut client, mut other) = (Client::bob(address).await, Client::bob(address).await);
    other.ok("SUBSCRIBE c").await;
    other.ok("SUBSCRIBE d").await;
    client.ok("NOTIFY SET (subscribed (MailboxName))").await;
    let gone = |rest: &str| format!("* LIST (\\NonExistent \\Noselect \\HasNoChildren{rest}");
    other.ok("DELETE c").await;
    assert_eq!(client.line().await, gone(" \\Subscribed) \"/\" c"));
    other.ok("RENAME d e").await;
    assert_eq!(client.line().await, gone(" \\Subscribed) \"/\" d"));
    // Of a mailbox whose name changed with that of one above it, of which the client does not hear.
    client.ok("NOTIFY SET (mailboxes (a/b x/b) (MailboxName))").await;
    other.ok("RENAME a x").await;
    assert_eq!(client.line().await, "* LIST (\\HasNoChildren) \"/\" x/b (\"OLDNAME\" (a/b))");
    other.ok("RENAME x y").await;
    assert_eq!(client.line().await, gone(") \"/\" x/b"));
    // Those below are told with the one above; what the client does itself is not told.
    client.ok("NOTIFY SET (subtree (y v) (MailboxName))").await;
    other.ok("RENAME y z").await;
    assert_eq!(client.line().await, gone(") \"/\" y"));
    client.ok("NOTIFY SET (mailboxes (z/b w/b new) (MailboxName))").await;
    client.ok("RENAME z w").await;
    other.ok("CREATE new").await;
    assert_eq!(client.line().await, "* LIST (\\HasNoChildren) \"/\" new");
}

#[tokio::test]
async fn subscriptions_that_others_change_are_told() {
    let (_running, address) = start_with(&[]).await;
    let (mut client, mut other) = (Client::bob(address).await, Client::bob(address).await);
    client.ok("NOTIFY SET (personal (SubscriptionChange))").await;
    let told =
        |subscribed: &str| format!("* LIST (\\NonExistent \\Noselect \\HasNoChildren{subscribed}) \"/\" x");
    other.ok("SUBSCRIBE x").await;
    assert_eq!(client.line().await, told(" \\Subscribed"));
    // That changes nothing.
    client.ok("SUBSCRIBE x").await;
    other.ok("UNSUBSCRIBE x").await;
    assert_eq!(client.line().await, told(""));
    client.ok("SUBSCRIBE x").await;
    other.ok("UNSUBSCRIBE x").await;
    assert_eq!(client.line().await, told(""), "its own it knows");
}

#[tokio::test]
async fn who_asks_for_it_is_told_how_mailboxes_are() {
    let (_running, address) = start_with(&["a", "a/b", "c"]).await;
    let mut client = Client::bob(address).await;
    client.ok("SUBSCRIBE c").await;
    client.ok("SELECT a/b").await;
    let events = "(MessageNew MessageExpunge)";
    let told = client.ok(&format!("NOTIFY SET STATUS (subtree a {events}) (subscribed (MailboxName))")).await;
    assert_eq!(
        told.iter().map(|line| status(line)).collect::<Vec<_>>(),
        ["* STATUS a (MESSAGES 0 UIDNEXT 1)"]
    );
    let told = client.ok("NOTIFY SET STATUS (subscribed (MessageNew MessageExpunge FlagChange))").await;
    assert!(
        told.len() == 1 && told[0].starts_with("* STATUS c (MESSAGES 0 UIDNEXT 1 UIDVALIDITY "),
        "{told:?}"
    );
    assert!(told[0].contains(" HIGHESTMODSEQ "), "{told:?}");
    let told = client.ok(&format!("NOTIFY SET (mailboxes (c nowhere) {events})")).await;
    assert!(told.is_empty(), "{told:?}");
}

#[tokio::test]
async fn what_cannot_be_had_is_refused() {
    let (running, address) = start_with(&["Box"]).await;
    let mut client = Client::bob(address).await;
    for (events, refusal) in [
        (
            "(personal (MessageNew MessageExpunge AnnotationChange))",
            "NO [BADEVENT (MessageNew MessageExpunge ",
        ),
        ("(personal (ServerMetadataChange))", "NO [BADEVENT ("),
        ("(personal (MessageNew))", "BAD "),
        ("(personal (FlagChange))", "BAD "),
        ("(personal (MessageNew (UID) MessageExpunge))", "BAD "),
        ("(selected (MailboxName))", "BAD "),
        ("(selected NONE) (selected-delayed NONE)", "BAD "),
    ] {
        let (_, status) = client.say(&format!("NOTIFY SET {events}")).await;
        assert!(status.starts_with(refusal), "{events}: {status}");
    }
    // More mailboxes than are watched: those who listen are told that they no longer can.
    client.ok("NOTIFY SET (mailboxes Box (MessageNew MessageExpunge))").await;
    for number in 0..2000 {
        let mailbox = MailboxName::new(&format!("m{number}")).expect("a name");
        running.store.create_mailbox(&name("bob@b.example"), &mailbox, None).await.expect("bob has room");
    }
    assert!(client.line().await.starts_with("* OK [NOTIFICATIONOVERFLOW] "));
    let (_, status) = client.say("NOTIFY SET (mailboxes Box (MessageNew MessageExpunge))").await;
    assert!(status.starts_with("NO [NOTIFICATIONOVERFLOW] "), "{status}");
}

/// More happens than the stream of changes keeps for a session that is busy: nothing of it is lost.
#[tokio::test]
async fn who_is_slow_hears_of_everything_in_the_end() {
    const BOXES: usize = 40;
    let names: Vec<String> = (0..BOXES).map(|number| format!("m{number:02}")).collect();
    let (_running, address) = start_with(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (mut client, mut other) = (Client::inbox(address).await, Client::bob(address).await);
    let text = format!("Subject: large\r\n\r\n{}", "x\r\n".repeat(5 << 20));
    other.ok(&format!("APPEND INBOX {{{}+}}\r\n{text}", text.len())).await;
    client.ok("NOTIFY SET (personal (MessageNew MessageExpunge))").await;
    client.ok("SELECT INBOX").await;
    // As long as the client does not read that, the session does nothing else.
    client.send("f FETCH 1 BODY.PEEK[]\r\n").await;
    for name in &names {
        other.ok(&format!("APPEND {name} {{14+}}\r\nSubject: 1\r\n\r\n")).await;
        other.ok(&format!("APPEND {name} {{14+}}\r\nSubject: 2\r\n\r\n")).await;
    }
    let (told, _) = client.until("f").await;
    assert!(told[0].len() > text.len());
    let mut last: Vec<String> = Vec::new();
    while last.len() < BOXES {
        let line = status(&client.line().await);
        if line.ends_with("(MESSAGES 2 UIDNEXT 3)") {
            last.push(line.split(' ').nth(2).expect("a name").to_owned());
        }
    }
    last.sort();
    assert_eq!(last, names);
}
