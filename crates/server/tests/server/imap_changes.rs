//! IMAP: what two sessions change in one mailbox, and what each of them may conclude from what it was told (RFC 7162).

use crate::common::Running;
use crate::imap::{Client, deliver, start_imap};
use std::net::SocketAddr;
use store::Error;

/// A server with so many messages in bob's INBOX.
async fn start_with(messages: u32) -> (Running, SocketAddr) {
    let (running, address) = start_imap().await;
    for subject in 1..=messages {
        deliver(&running, &format!("Subject: {subject}\r\n\r\ntext")).await;
    }
    (running, address)
}

/// A session that has enabled QRESYNC and selected INBOX.
async fn resynchronising(address: SocketAddr) -> Client {
    let mut client = Client::bob(address).await;
    client.ok("ENABLE QRESYNC").await;
    client.ok("SELECT INBOX").await;
    client
}

/// The number behind a word.
fn number_after(word: &str, text: &str) -> u64 {
    let rest = text.split_once(word).unwrap_or_else(|| panic!("{word} in {text}")).1;
    let digits = rest.trim_start_matches([' ', '(']);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().expect("a number")
}

#[tokio::test]
async fn what_somebody_else_marked_is_told_even_by_a_silent_store() {
    let (_running, address) = start_with(2).await;
    let (mut one, mut other) = (Client::inbox(address).await, Client::inbox(address).await);
    other.ok("STORE 1 +FLAGS.SILENT (\\Flagged)").await;
    let told = one.ok("STORE 1:2 +FLAGS.SILENT (\\Seen)").await;
    assert_eq!(told, ["* 1 FETCH (FLAGS (\\Flagged \\Seen))"]);
    assert!(one.ok("STORE 1 +FLAGS.SILENT (\\Draft)").await.is_empty(), "nobody else did anything");
    assert!(one.ok("NOOP").await.is_empty(), "it knows what it did itself");
    let told = other.ok("NOOP").await;
    assert_eq!(told, ["* 1 FETCH (FLAGS (\\Flagged \\Seen \\Draft))", "* 2 FETCH (FLAGS (\\Seen))"]);
}

/// OK to NOOP would say that there is nothing new. What changes something is done all the same: who hears NO would do it again.
#[tokio::test]
async fn who_asks_what_is_new_hears_that_nobody_can_say() {
    let (running, address) = start_with(1).await;
    let mut client = Client::inbox(address).await;
    deliver(&running, "Subject: new\r\n\r\ntext").await;
    running
        .memory
        .set_changes(Err(Error::Io { what: "the index".to_owned(), cause: "a bad sector".to_owned() }));
    for command in ["NOOP", "CHECK"] {
        let (told, status) = client.say(command).await;
        assert!(told.is_empty() && status.starts_with("NO "), "{command}: {told:?} {status}");
    }
    client.ok("STORE 1 +FLAGS.SILENT (\\Seen)").await;
    running.memory.set_changes(Ok(()));
    assert_eq!(client.ok("NOOP").await, ["* 2 EXISTS"]);
}

#[tokio::test]
async fn a_store_tells_keywords_that_somebody_else_gave() {
    let (_running, address) = start_with(1).await;
    let (mut one, mut other) = (Client::inbox(address).await, Client::inbox(address).await);
    for (keyword, store, flags) in [
        ("new", "+FLAGS (\\Seen)", "\\Seen new"),
        ("newer", "+FLAGS.SILENT (\\Draft)", "\\Seen \\Draft new newer"),
        ("newest", "+FLAGS (\\Draft)", "\\Seen \\Draft new newer newest"),
    ] {
        other.ok(&format!("STORE 1 +FLAGS.SILENT ({keyword})")).await;
        let told = one.ok(&format!("STORE 1 {store}")).await;
        assert!(told[0].starts_with("* FLAGS (") && told[0].ends_with(&format!(" {keyword})")), "{told:?}");
        assert_eq!(told.last(), Some(&format!("* 1 FETCH (FLAGS ({flags}))")), "{store}");
        assert!(one.ok("NOOP").await.is_empty(), "{store}: it knows all");
    }
}

#[tokio::test]
async fn a_store_says_when_messages_are_gone() {
    let (_running, address) = start_with(2).await;
    let (mut one, mut other) = (Client::inbox(address).await, Client::inbox(address).await);
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    other.ok("EXPUNGE").await;
    let (told, status) = one.say("STORE 1:2 +FLAGS (\\Seen)").await;
    assert_eq!(told, ["* 2 FETCH (FLAGS (\\Seen))"]);
    assert_eq!(status, "OK [EXPUNGEISSUED] Some of the messages are gone");
}

#[tokio::test]
async fn who_expunges_and_resynchronises_learns_the_new_mod_sequence() {
    let (_running, address) = start_with(5).await;
    let mut client = resynchronising(address).await;
    client.ok("CREATE Box").await;
    client.ok("STORE 1:2 +FLAGS.SILENT (\\Deleted)").await;
    for (command, gone) in [("UID EXPUNGE 1", 1), ("EXPUNGE", 2), ("MOVE 1 Box", 3)] {
        let (told, status) = client.say(command).await;
        assert_eq!(told.last(), Some(&format!("* VANISHED {gone}")), "{command}");
        let highest = client.ok("STATUS INBOX (HIGHESTMODSEQ)").await;
        let highest = number_after("HIGHESTMODSEQ", &highest[0]);
        assert!(status.starts_with(&format!("OK [HIGHESTMODSEQ {highest}] ")), "{command}: {status}");
    }
    assert_eq!(client.say("EXPUNGE").await.1, "OK Expunge completed");
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    assert_eq!(client.say("CLOSE").await.1, "OK Closed");
    let mut plain = Client::inbox(address).await;
    plain.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    assert_eq!(
        plain.say("EXPUNGE").await,
        (vec!["* 1 EXPUNGE".to_owned()], "OK Expunge completed".to_owned())
    );
}

#[tokio::test]
async fn what_the_client_still_has_did_not_go_earlier() {
    let (_running, address) = start_with(3).await;
    let (mut one, mut other) = (resynchronising(address).await, Client::inbox(address).await);
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    other.ok("EXPUNGE").await;
    let (told, _) = one.say("UID FETCH 1:* (UID) (CHANGEDSINCE 1 VANISHED)").await;
    assert!(!told.iter().any(|line| line.contains("EARLIER")), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("* VANISHED 1"));
    let told = one.ok("UID FETCH 1:* (UID) (CHANGEDSINCE 1 VANISHED)").await;
    assert_eq!(told[0], "* VANISHED (EARLIER) 1");
}

#[tokio::test]
async fn mod_sequences_begin_with_the_one_that_all_was_told_of() {
    let (_running, address) = start_with(2).await;
    let mut client = Client::inbox(address).await;
    let highest = Client::bob(address).await.ok("STATUS INBOX (HIGHESTMODSEQ)").await;
    let highest = format!("* OK [HIGHESTMODSEQ {}] Highest", number_after("HIGHESTMODSEQ", &highest[0]));
    assert_eq!(client.ok("ENABLE CONDSTORE").await, ["* ENABLED CONDSTORE", &highest]);
    assert_eq!(client.ok("ENABLE QRESYNC").await, ["* ENABLED QRESYNC"], "it has them already");
    let mut client = Client::inbox(address).await;
    let told = client.ok("FETCH 1 (MODSEQ)").await;
    assert!(told.len() == 2 && told[0] == highest, "{told:?}");
    // Of a message that is gone, and of which this client may not hear while it names messages by number, it is not told.
    let (mut client, mut other) = (Client::inbox(address).await, Client::inbox(address).await);
    other.ok("STORE 1 +FLAGS (\\Deleted)").await;
    other.ok("EXPUNGE").await;
    client.say("FETCH 2 (UID)").await;
    let told = client.ok("FETCH 2 (MODSEQ)").await;
    assert_eq!(told[0], highest);
}

#[tokio::test]
async fn a_search_for_changes_tells_the_mod_sequence_of_what_it_returns() {
    let (_running, address) = start_with(3).await;
    let mut client = Client::inbox(address).await;
    client.ok("STORE 2 +FLAGS.SILENT (\\Seen)").await;
    client.ok("STORE 1 +FLAGS.SILENT (\\Seen)").await;
    client.ok("ENABLE CONDSTORE").await;
    let told = client.ok("FETCH 1:3 (MODSEQ)").await;
    let mod_seqs: Vec<u64> = told.iter().map(|line| number_after("MODSEQ", line)).collect();
    client.ok("STORE 2 +FLAGS.SILENT (\\Draft)").await;
    let second = number_after("MODSEQ", &client.ok("FETCH 2 (MODSEQ)").await[0]);
    for (returns, expected) in [
        ("MIN", mod_seqs[0]),
        ("MAX", mod_seqs[2]),
        ("MIN MAX", mod_seqs[0].max(mod_seqs[2])),
        ("COUNT", second),
        ("MIN ALL", second),
    ] {
        let told = client.ok(&format!("SEARCH RETURN ({returns}) MODSEQ 1")).await;
        assert_eq!(number_after("MODSEQ", &told[0]), expected, "{returns}: {told:?}");
    }
    let told = client.ok("SORT (REVERSE ARRIVAL) UTF-8 MODSEQ 1").await;
    assert!(told[0].ends_with(&format!(" (MODSEQ {second})")), "{told:?}");
}

/// More changes than are looked at at once.
#[tokio::test]
async fn many_changes_are_told_page_by_page() {
    const MESSAGES: u32 = 4096;
    let (_running, address) = start_with(1).await;
    let mut other = Client::inbox(address).await;
    for _ in 0..MESSAGES.ilog2() {
        other.ok("COPY 1:* INBOX").await;
    }
    let (mut one, mut back) = (Client::inbox(address).await, Client::bob(address).await);
    back.ok("ENABLE QRESYNC").await;
    let expected: Vec<String> = (1..=MESSAGES).map(|n| format!("* {n} FETCH (FLAGS (\\Flagged))")).collect();
    assert_eq!(other.ok("STORE 1:* +FLAGS (\\Flagged)").await, expected);
    assert_eq!(one.ok("NOOP").await, expected);
    let selected = back.ok("SELECT INBOX (QRESYNC (1 1))").await;
    let validity = selected.iter().find(|line| line.contains("UIDVALIDITY")).expect("it is told");
    let validity = number_after("UIDVALIDITY", validity);
    let selected = back.ok(&format!("SELECT INBOX (QRESYNC ({validity} 1))")).await;
    assert_eq!(selected.iter().filter(|line| line.contains(" FETCH ")).count(), MESSAGES as usize);

    other.ok("STORE 2:* +FLAGS.SILENT (\\Deleted)").await;
    other.ok("EXPUNGE").await;
    other.ok("COPY 1 INBOX").await;
    let told = one.ok("NOOP").await;
    assert_eq!(told[0], format!("* {} EXISTS", MESSAGES + 1));
    let gone: Vec<String> = (2..=MESSAGES).rev().map(|n| format!("* {n} EXPUNGE")).collect();
    assert_eq!(told[1..], gone);
}

#[tokio::test]
async fn a_mailbox_with_all_keywords_takes_no_more() {
    let (_running, address) = start_with(1).await;
    let mut client = Client::inbox(address).await;
    let names: Vec<String> = (1..store::KEYWORDS_MAX).map(|n| format!("k{n}")).collect();
    let told = client.ok(&format!("STORE 1 +FLAGS.SILENT ({})", names.join(" "))).await;
    let more = |lines: &[String]| {
        let line = lines.iter().find(|line| line.starts_with("* OK [PERMANENTFLAGS")).expect("it is told");
        line.contains("\\*")
    };
    assert!(more(&told));
    assert!(!more(&client.ok("STORE 1 +FLAGS.SILENT (last)").await));
    assert!(!more(&client.ok("SELECT INBOX").await));
    assert!(client.say("STORE 1 +FLAGS (another)").await.1.starts_with("NO [LIMIT] "));
}

#[tokio::test]
async fn a_session_ends_with_the_mailbox_that_it_reads() {
    let (_running, address) = start_with(0).await;
    let mut other = Client::bob(address).await;
    other.ok("CREATE Box").await;
    let (mut idle, mut busy) = (Client::bob(address).await, Client::bob(address).await);
    idle.ok("SELECT Box").await;
    busy.ok("SELECT Box").await;
    idle.send("i IDLE\r\n").await;
    assert_eq!(idle.line().await, "+ idling");
    other.ok("SELECT Box").await;
    assert_eq!(other.ok("DELETE Box").await, ["* OK [CLOSED] The previous mailbox is closed"]);
    assert_eq!(idle.line().await, "* BYE The selected mailbox was removed");
    busy.send("b NOOP\r\n").await;
    assert_eq!(busy.line().await, "b OK Done");
    assert_eq!(busy.line().await, "* BYE The selected mailbox was removed");
    // Its own session goes on.
    other.ok("SELECT INBOX").await;
}
