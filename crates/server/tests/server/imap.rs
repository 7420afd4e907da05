//! IMAP over TCP: mail that comes by SMTP is listed, read, marked and removed; what others do is told when it may be.

use crate::common::{PASSWORD, Running, Talk, name, start};
use posthaste_server::auth::{self, WithScram};
use posthaste_server::settings::{Acceptance, InClear, Listener, ListenerTls, Proxied, Service, Settings};
use sasl::Secret;
use std::net::SocketAddr;
use std::time::Duration;
use store::SharedStore;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// An IMAP client.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    number: u32,
}

impl Client {
    /// Connects and hears the greeting.
    pub(crate) async fn to(address: SocketAddr) -> Client {
        let stream = BufReader::new(TcpStream::connect(address).await.expect("a connection"));
        let mut client = Client { stream, number: 0 };
        let greeting = client.line().await;
        assert!(greeting.starts_with("* OK [CAPABILITY IMAP4rev1 IMAP4rev2 "), "{greeting}");
        client
    }

    /// The same, logged in as bob.
    pub(crate) async fn bob(address: SocketAddr) -> Client {
        let mut client = Client::to(address).await;
        let said = client.ok(&format!("LOGIN bob@b.example \"{PASSWORD}\"")).await;
        assert!(said.is_empty(), "{said:?}");
        client
    }

    /// The same with INBOX selected.
    pub(crate) async fn inbox(address: SocketAddr) -> Client {
        let mut client = Client::bob(address).await;
        client.ok("SELECT INBOX").await;
        client
    }

    /// Says a command; returns what was told, and the status without the tag.
    pub(crate) async fn say(&mut self, command: &str) -> (Vec<String>, String) {
        self.number += 1;
        let tag = format!("t{}", self.number);
        self.send(&format!("{tag} {command}\r\n")).await;
        self.until(&tag).await
    }

    /// The same; the status is BYE when the server ends the session instead.
    pub(crate) async fn say_until_bye(&mut self, command: &str) -> (Vec<String>, String) {
        self.number += 1;
        let tag = format!("t{}", self.number);
        self.send(&format!("{tag} {command}\r\n")).await;
        self.until_bye(&tag).await
    }

    /// Ends IDLE, which has the tag `idle`, in the same way.
    pub(crate) async fn end_idle(&mut self) -> (Vec<String>, String) {
        self.send("DONE\r\n").await;
        self.until_bye("idle").await
    }

    async fn until_bye(&mut self, tag: &str) -> (Vec<String>, String) {
        let mut told = Vec::new();
        loop {
            let line = self.line().await;
            if let Some(status) = line.strip_prefix(&format!("{tag} ")) {
                return (told, status.to_owned());
            }
            if line.starts_with("* BYE") {
                return (told, line[2..].to_owned());
            }
            told.push(line);
        }
    }

    /// Lines up to the one with this tag. A literal is a part of its line.
    pub(crate) async fn until(&mut self, tag: &str) -> (Vec<String>, String) {
        let mut told = Vec::new();
        loop {
            let line = self.line().await;
            if let Some(status) = line.strip_prefix(&format!("{tag} ")) {
                return (told, status.to_owned());
            }
            told.push(line);
        }
    }

    /// The same for what shall be done.
    pub(crate) async fn ok(&mut self, command: &str) -> Vec<String> {
        let (told, status) = self.say(command).await;
        assert!(status.starts_with("OK "), "{command}: {status}");
        told
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("the server reads");
    }

    /// A line with its literals.
    pub(crate) async fn line(&mut self) -> String {
        let mut whole = String::new();
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read_line(&mut line));
            read.await.expect("the server answers in time").expect("the server answers");
            let literal = line.strip_suffix("}\r\n").and_then(|line| line.rsplit_once('{'));
            let length: Option<usize> = literal.and_then(|(_, length)| length.parse().ok());
            whole.push_str(&line);
            let Some(length) = length else { return whole.trim_end_matches("\r\n").to_owned() };
            let mut octets = vec![0; length];
            self.stream.read_exact(&mut octets).await.expect("the literal");
            whole.push_str(&String::from_utf8(octets).expect("UTF-8"));
        }
    }
}

/// A server where mail comes by SMTP and is read by IMAP; returns where the latter is.
pub(crate) async fn start_imap() -> (Running, SocketAddr) {
    let running = start(read_by_imap).await;
    bob_has_a_password(&running.store).await;
    let address = running.server.listeners()[1].address;
    (running, address)
}

/// Mail for bob@b.example is read by IMAP, at the second listener.
pub(crate) fn read_by_imap(settings: &mut Settings) {
    settings.listeners.push(Listener {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        service: Service::Imap,
        tls: ListenerTls::None,
        proxied: Proxied::No,
    });
    settings.auth.in_clear = InClear::Loopback;
    settings.acceptance = Acceptance::Domains {
        domains: vec![smtp::Domain::parse("b.example").expect("a domain")],
        postmaster: None,
    };
    settings.accounts = vec![name("bob@b.example")];
}

pub(crate) async fn bob_has_a_password(store: &SharedStore) {
    let kept =
        auth::keep(&Secret::new(PASSWORD), auth::Costs::default(), WithScram::Yes, &auth::system_random());
    let set = store.set_password(&name("bob@b.example"), kept.password, kept.scram).await;
    set.expect("bob has an account");
}

/// Mail for bob.
pub(crate) async fn deliver(running: &Running, content: &str) {
    let mut talk = Talk::hello(running.address).await;
    assert!(talk.say("MAIL FROM:<a@a.example>").await.starts_with("250 "));
    assert!(talk.say("RCPT TO:<bob@b.example>").await.starts_with("250 "));
    assert!(talk.say("DATA").await.starts_with("354 "));
    assert!(talk.say(&format!("{content}\r\n.")).await.starts_with("250 "));
}

const LETTER: &str = "From: Ann <ann@a.example>\r\nTo: Bob <bob@b.example>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
Date: Fri, 2 Jan 2026 03:00:00 +0100\r\nMessage-ID: <1@a.example>\r\n\r\nHello Bob\r\n";

#[tokio::test]
async fn an_envelope_is_told_again_as_before_and_otherwise_where_utf8_is_enabled() {
    let (running, address) = start_imap().await;
    deliver(&running, "Subject: one\r\n\r\n1").await;
    deliver(&running, "Subject: gr\u{fc}n\r\n\r\n2").await;
    let mut client = Client::inbox(address).await;
    let envelopes = client.ok("FETCH 1:* (UID ENVELOPE)").await;
    assert!(envelopes[0].contains("\"one\"") && envelopes[1].contains("{5}\r\ngr\u{fc}n"), "{envelopes:?}");
    assert_eq!(client.ok("FETCH 1:* (UID ENVELOPE)").await, envelopes);
    assert_eq!(client.ok("FETCH 1:* (UID ENVELOPE RFC822.HEADER)").await.len(), 2);

    let mut other = Client::bob(address).await;
    other.ok("ENABLE IMAP4rev2").await;
    other.ok("SELECT INBOX").await;
    let told = other.ok("FETCH 1:* (UID ENVELOPE)").await;
    assert_eq!(told[0], envelopes[0]);
    assert!(told[1].contains("\"gr\u{fc}n\""), "{told:?}");
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    other.ok("EXPUNGE").await;
    deliver(&running, "Subject: three\r\n\r\n3").await;
    other.ok("NOOP").await;
    let told = other.ok("FETCH 1:* (UID ENVELOPE)").await;
    assert!(told.len() == 2 && told[1].starts_with("* 2 FETCH (UID 3 ENVELOPE (NIL \"three\" "), "{told:?}");
}

#[tokio::test]
async fn a_letter_is_listed_and_read() {
    let (running, address) = start_imap().await;
    deliver(&running, LETTER.trim_end()).await;
    let mut client = Client::bob(address).await;
    assert_eq!(client.ok("LIST \"\" *").await, ["* LIST (\\HasNoChildren) \"/\" INBOX"]);
    assert_eq!(client.ok("STATUS INBOX (MESSAGES UNSEEN)").await, ["* STATUS INBOX (MESSAGES 1 UNSEEN 1)"]);
    let told = client.ok("SELECT INBOX").await;
    assert!(told.contains(&"* 1 EXISTS".to_owned()), "{told:?}");
    assert!(told.contains(&"* OK [UNSEEN 1] First unseen".to_owned()), "{told:?}");
    assert_eq!(
        client.ok("FETCH 1 (FLAGS ENVELOPE)").await,
        ["* 1 FETCH (FLAGS () ENVELOPE (\"Fri, 2 Jan 2026 03:00:00 +0100\" \"=?utf-8?q?Gr=C3=BC=C3=9Fe?=\" \
          ((\"Ann\" NIL \"ann\" \"a.example\")) ((\"Ann\" NIL \"ann\" \"a.example\")) ((\"Ann\" NIL \"ann\" \"a.example\")) \
          ((\"Bob\" NIL \"bob\" \"b.example\")) NIL NIL NIL \"<1@a.example>\"))"]
    );
    assert_eq!(
        client.ok("FETCH 1 (BODY BODY.PEEK[TEXT] BODY.PEEK[HEADER.FIELDS (subject)]<0.9>)").await,
        [
            "* 1 FETCH (BODY (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 11 1) BODY[TEXT] {11}\r\nHello Bob\r\n \
          BODY[HEADER.FIELDS (subject)]<0> {9}\r\nSubject: )"
        ]
    );
    let told = client.ok("UID FETCH 1:* BODY[]").await;
    assert!(
        told[0].starts_with("* 1 FETCH (UID 1 BODY[] {") && told[0].ends_with("Hello Bob\r\n)"),
        "{told:?}"
    );
    assert_eq!(told[1..], ["* 1 FETCH (UID 1 FLAGS (\\Seen))"]);
    assert_eq!(client.ok("SEARCH TEXT \"grüße\" FROM ann SEEN").await, ["* SEARCH 1"]);
    assert_eq!(client.ok("SEARCH NOT BODY hello").await, ["* SEARCH"]);
    assert_eq!(
        client.ok("UID SEARCH RETURN (COUNT ALL) SENTON 2-Jan-2026").await,
        ["* ESEARCH (TAG \"t10\") UID COUNT 1 ALL 1"]
    );
}

#[tokio::test]
async fn removed_messages_keep_their_numbers_until_the_client_may_hear_of_it() {
    let (running, address) = start_imap().await;
    for subject in 1..=3 {
        deliver(&running, &format!("Subject: {subject}\r\n\r\ntext")).await;
    }
    let (mut one, mut other) = (Client::inbox(address).await, Client::inbox(address).await);
    assert_eq!(one.ok("STORE 1 +FLAGS (\\Deleted)").await, ["* 1 FETCH (FLAGS (\\Deleted))"]);
    assert_eq!(one.ok("EXPUNGE").await, ["* 1 EXPUNGE"]);
    let (told, status) = other.say("FETCH 1:3 RFC822.SIZE").await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("* 2 FETCH ") && told[1].starts_with("* 3 FETCH "), "{told:?}");
    assert!(status.starts_with("OK [EXPUNGEISSUED] "), "{status}");
    assert_eq!(other.ok("NOOP").await, ["* 1 EXPUNGE"]);
    let told = other.ok("FETCH 1:2 (UID)").await;
    assert_eq!(told, ["* 1 FETCH (UID 2)", "* 2 FETCH (UID 3)"]);
    assert_eq!(other.say("FETCH 3 (UID)").await.1, "BAD There is no message 3");
    assert_eq!(other.ok("UID FETCH 1:* (FLAGS)").await.len(), 2);
}

#[tokio::test]
async fn idle_hears_of_mail_and_of_flags() {
    let (running, address) = start_imap().await;
    deliver(&running, "Subject: 1\r\n\r\ntext").await;
    let (mut idle, mut other) = (Client::inbox(address).await, Client::inbox(address).await);
    idle.send("i IDLE\r\n").await;
    assert_eq!(idle.line().await, "+ idling");
    deliver(&running, "Subject: 2\r\n\r\ntext").await;
    assert_eq!(idle.line().await, "* 2 EXISTS");
    assert_eq!(other.ok("NOOP").await, ["* 2 EXISTS"]);
    other.ok("UID STORE 1:2 +FLAGS.SILENT (\\Flagged \\Deleted)").await;
    let mut told = vec![idle.line().await, idle.line().await];
    told.sort();
    assert_eq!(told, ["* 1 FETCH (FLAGS (\\Flagged \\Deleted))", "* 2 FETCH (FLAGS (\\Flagged \\Deleted))"]);
    other.ok("UID EXPUNGE 1").await;
    assert_eq!(idle.line().await, "* 1 EXPUNGE");
    idle.send("DONE\r\n").await;
    assert_eq!(idle.until("i").await, (Vec::new(), "OK Idle completed".to_owned()));
}

#[tokio::test]
async fn commands_sent_at_once_are_answered_in_order() {
    let (running, address) = start_imap().await;
    deliver(&running, "Subject: 1\r\n\r\ntext").await;
    let mut client = Client::to(address).await;
    client
        .send(&format!(
            "a LOGIN bob@b.example {{{}+}}\r\n{PASSWORD}\r\nb SELECT INBOX\r\nc FETCH 1 UID\r\nd LOGOUT\r\n",
            PASSWORD.len()
        ))
        .await;
    assert!(client.until("a").await.1.starts_with("OK [CAPABILITY "));
    assert!(client.until("b").await.1.starts_with("OK [READ-WRITE] "));
    assert_eq!(
        client.until("c").await,
        (vec!["* 1 FETCH (UID 1)".to_owned()], "OK Fetch completed".to_owned())
    );
    assert_eq!(client.until("d").await, (vec!["* BYE Logging out".to_owned()], "OK Goodbye".to_owned()));
}

#[tokio::test]
async fn who_is_not_logged_in_or_has_no_mailbox_is_told_so() {
    let (_running, address) = start_imap().await;
    let mut client = Client::to(address).await;
    assert_eq!(client.say("SELECT INBOX").await.1, "BAD Please log in first");
    assert_eq!(
        client.say("LOGIN bob@b.example wrong").await.1,
        "NO [AUTHENTICATIONFAILED] Authentication failed"
    );
    client.ok(&format!("LOGIN bob@b.example \"{PASSWORD}\"")).await;
    assert_eq!(client.say("FETCH 1 UID").await.1, "BAD No mailbox is selected");
    assert_eq!(client.say("SELECT nowhere").await.1, "NO [NONEXISTENT] There is no such mailbox");
    assert_eq!(client.say("XYZZY").await.1, "BAD There is no such command at octet 3");
}

#[tokio::test]
async fn a_stop_tells_idle_sessions() {
    let (running, address) = start_imap().await;
    let mut client = Client::inbox(address).await;
    client.send("i IDLE\r\n").await;
    assert_eq!(client.line().await, "+ idling");
    let stop = tokio::spawn(running.server.stop());
    assert_eq!(client.line().await, "* BYE The server stops; please come again in a while");
    stop.await.expect("it stops");
}

#[tokio::test]
async fn mailboxes_are_made_renamed_subscribed_to_and_removed() {
    let (_running, address) = start_imap().await;
    let mut client = Client::bob(address).await;
    assert!(client.say("CREATE Work/2026/").await.1.starts_with("OK [MAILBOXID (F"));
    client.ok("CREATE Sent (USE (\\Sent))").await;
    assert_eq!(client.say("CREATE inbox").await.1, "NO [ALREADYEXISTS] There is one already");
    assert_eq!(client.say("CREATE a//b").await.1.split(']').next(), Some("NO [CANNOT"));
    assert_eq!(client.say("CREATE x (USE (\\Nothing))").await.1.split(']').next(), Some("NO [USEATTR"));
    client.ok("CREATE &AOk-t&AOk-").await;
    client.ok("SUBSCRIBE Work/2026").await;
    assert_eq!(
        client.ok("LIST \"\" *").await,
        [
            "* LIST (\\HasNoChildren) \"/\" INBOX",
            "* LIST (\\HasNoChildren \\Sent) \"/\" Sent",
            "* LIST (\\HasNoChildren) \"/\" Work/2026",
            "* LIST (\\HasNoChildren) \"/\" &AOk-t&AOk-",
        ]
    );
    let told = client.ok("LIST \"\" % RETURN (CHILDREN STATUS (MESSAGES))").await;
    assert!(told.contains(&"* STATUS Sent (MESSAGES 0)".to_owned()), "{told:?}");
    assert!(
        told.contains(&"* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" Work".to_owned()),
        "{told:?}"
    );
    assert_eq!(
        client.ok("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" %").await,
        ["* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" Work (\"CHILDINFO\" (\"SUBSCRIBED\"))"]
    );
    assert_eq!(client.ok("LSUB \"\" *").await, ["* LSUB () \"/\" Work/2026"]);
    assert_eq!(client.ok("LSUB \"\" %").await, ["* LSUB (\\Noselect) \"/\" Work"]);
    assert_eq!(client.ok("LIST (SPECIAL-USE) \"\" *").await, ["* LIST (\\HasNoChildren \\Sent) \"/\" Sent"]);
    client.ok("RENAME Work Play").await;
    client.ok("SELECT Play/2026").await;
    client.ok("DELETE Play/2026").await;
    assert_eq!(client.say("FETCH 1 UID").await.1, "BAD No mailbox is selected");
    assert!(client.say("DELETE INBOX").await.1.starts_with("NO [CANNOT] "));
    client.ok("ENABLE IMAP4rev2").await;
    assert!(client.ok("LIST \"\" *").await.iter().any(|line| line.ends_with("\"/\" \"été\"")));
}

#[tokio::test]
async fn messages_are_appended_copied_and_moved() {
    let (_running, address) = start_imap().await;
    let mut client = Client::bob(address).await;
    client.ok("CREATE Box").await;
    let (told, status) =
        client.say("APPEND Box (\\Seen $Work) \"17-Jul-1996 02:44:25 -0700\" {12+}\r\nSubject: a\r\n {12+}\r\nSubject: b\n\n").await;
    assert!(told.is_empty() && status.starts_with("OK [APPENDUID ") && status.contains(" 1:2] "), "{status}");
    assert!(client.say("APPEND Nowhere {1+}\r\nx").await.1.starts_with("NO [TRYCREATE] "));
    let selected = client.ok("SELECT Box").await;
    assert!(selected[0].starts_with("* FLAGS (") && selected[0].ends_with(" $Work)"), "{selected:?}");
    assert_eq!(
        client.ok("FETCH 1:2 (FLAGS INTERNALDATE RFC822)").await[0],
        "* 1 FETCH (FLAGS (\\Seen $Work) INTERNALDATE \"17-Jul-1996 09:44:25 +0000\" RFC822 {12}\r\nSubject: a\r\n)"
    );
    // A bare LF is made a line end.
    assert_eq!(client.ok("FETCH 2 RFC822.SIZE").await, ["* 2 FETCH (RFC822.SIZE 14)"]);
    let (told, status) = client.say("UID COPY 1:2 INBOX").await;
    assert!(
        told.is_empty() && status.starts_with("OK [COPYUID ") && status.contains(" 1:2 1:2] "),
        "{status}"
    );
    assert!(client.say("COPY 1 Nowhere").await.1.starts_with("NO [TRYCREATE] "));
    let (told, status) = client.say("MOVE 1 INBOX").await;
    assert!(told[0].starts_with("* OK [COPYUID ") && told[0].contains(" 1 3] "), "{told:?}");
    assert_eq!((told[1].as_str(), status.as_str()), ("* 1 EXPUNGE", "OK Move completed"));
    assert_eq!(client.ok("STATUS INBOX (MESSAGES)").await, ["* STATUS INBOX (MESSAGES 3)"]);
    client.ok("SELECT INBOX").await;
    assert_eq!(client.ok("SEARCH KEYWORD $work").await, ["* SEARCH 1 3"]);
    assert_eq!(client.ok("SORT (REVERSE SUBJECT) UTF-8 ALL").await, ["* SORT 2 1 3"]);
}

#[tokio::test]
async fn changes_are_told_to_who_comes_back() {
    let (running, address) = start_imap().await;
    for subject in 1..=4 {
        deliver(&running, &format!("Subject: {subject}\r\n\r\ntext")).await;
    }
    let mut client = Client::bob(address).await;
    assert!(client.say("SELECT INBOX (QRESYNC (1 1))").await.1.starts_with("BAD "));
    client.ok("ENABLE QRESYNC").await;
    let selected = client.ok("SELECT INBOX").await;
    let number = |name: &str| {
        let line = selected.iter().find(|line| line.contains(name)).expect(name);
        let digits = line.split(name).nth(1).expect("a number").trim().split(']').next().expect("a number");
        digits.parse::<u64>().expect("a number")
    };
    let (uid_validity, seen) = (number("UIDVALIDITY "), number("HIGHESTMODSEQ "));
    let mut other = Client::inbox(address).await;
    other.ok("STORE 2 +FLAGS.SILENT (\\Flagged)").await;
    other.ok("STORE 1,3 +FLAGS.SILENT (\\Deleted)").await;
    other.ok("EXPUNGE").await;
    let told = client.ok("NOOP").await;
    assert!(told[0].starts_with("* 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ ("), "{told:?}");
    assert_eq!(told[1..], ["* VANISHED 1,3"]);
    let (_, status) = client.say(&format!("STORE 1 (UNCHANGEDSINCE {seen}) +FLAGS (\\Seen)")).await;
    assert_eq!(status, "OK [MODIFIED 1] Some were changed meanwhile");
    let told = client.ok(&format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {seen} VANISHED)")).await;
    assert_eq!(told[0], "* VANISHED (EARLIER) 1,3");
    assert!(
        told[1].starts_with("* 1 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (") && told.len() == 2,
        "{told:?}"
    );
    let told = client.ok(&format!("SELECT INBOX (QRESYNC ({uid_validity} {seen} 1:4))")).await;
    assert!(told.contains(&"* VANISHED (EARLIER) 1,3".to_owned()), "{told:?}");
    assert!(
        told.last().is_some_and(|line| line.starts_with("* 1 FETCH (UID 2 FLAGS (\\Flagged)")),
        "{told:?}"
    );
    assert_eq!(client.ok(&format!("SEARCH MODSEQ {}", seen + 1)).await.len(), 1);
}

/// More messages go than the store remembers: a session that had them is told nevertheless, and is not told that what came is gone.
#[tokio::test]
async fn everything_that_went_is_told_however_much_it_was() {
    let (running, address) = start_imap().await;
    deliver(&running, LETTER.trim_end()).await;
    let mut other = Client::inbox(address).await;
    let mut messages = 1;
    while messages < store::VANISHED_MAX + 10 {
        other.ok("COPY 1:* INBOX").await;
        messages *= 2;
    }
    let mut client = Client::bob(address).await;
    client.ok("ENABLE QRESYNC").await;
    let selected = client.ok("SELECT INBOX").await;
    assert!(selected.contains(&format!("* {messages} EXISTS")), "{selected:?}");
    other.ok("STORE 3:* +FLAGS.SILENT (\\Deleted)").await;
    other.ok("EXPUNGE").await;
    other.ok("COPY 1 INBOX").await;
    let came = messages + 1;
    let (told, _) = client.say("UID FETCH 1:* (UID) (CHANGEDSINCE 1 VANISHED)").await;
    assert!(!told.iter().any(|line| line.contains("(EARLIER)")), "{told:?}");
    assert!(told.contains(&format!("* VANISHED 3:{messages}")), "{told:?}");
    assert_eq!(client.ok("UID SEARCH ALL").await, [format!("* SEARCH 1 2 {came}")]);
    let told = client.ok("UID FETCH 1:* (UID) (CHANGEDSINCE 1 VANISHED)").await;
    assert_eq!(told[0], format!("* VANISHED (EARLIER) 3:{messages}"));
}

#[tokio::test]
async fn answers_are_put_to_what_they_answer() {
    let (running, address) = start_imap().await;
    let letters = [
        ("1", "", "Lunch"),
        ("2", "<1@x>", "Re: Lunch"),
        ("3", "<1@x> <2@x>", "Re: Lunch"),
        ("4", "<1@x>", "Re: Lunch"),
        ("5", "", "Other"),
        ("6", "<gone@x>", "Re: Lost"),
        ("7", "<gone@x>", "Re: Lost"),
    ];
    for (id, references, subject) in letters {
        let references =
            if references.is_empty() { String::new() } else { format!("References: {references}\r\n") };
        let date = format!("Date: Fri, 2 Jan 2026 0{id}:00:00 +0000\r\n");
        deliver(
            &running,
            &format!("Subject: {subject}\r\nMessage-ID: <{id}@x>\r\n{date}{references}\r\ntext"),
        )
        .await;
    }
    let mut client = Client::inbox(address).await;
    assert_eq!(client.ok("THREAD REFERENCES UTF-8 ALL").await, ["* THREAD (1 (2 3)(4))(5)((6)(7))"]);
    assert_eq!(client.ok("UID THREAD ORDEREDSUBJECT UTF-8 ALL").await, ["* THREAD (1 (2)(3)(4))(5)(6 7)"]);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_hides_no_other() {
    let (running, address) = start_imap().await;
    for subject in ["one", "two", "three"] {
        deliver(&running, &format!("Subject: {subject}\r\n\r\ntext")).await;
    }
    running.memory.set_damaged(Some(store::Uid(2)));
    let mut client = Client::inbox(address).await;
    let (told, status) = client.say("UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])").await;
    let told = told.join("\n");
    assert!(told.contains("one") && told.contains("three") && !told.contains("two"), "{told}");
    assert!(status.starts_with("NO ") && status.contains("UID 2"), "{status}");
    client.ok("UID FETCH 1,3 (BODY.PEEK[])").await;
}
