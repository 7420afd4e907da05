//! The endpoint without a server behind it: what a client hears, however its octets are cut, and that all of it is IMAP by the judgement of
//! `imap-codec`.

#![forbid(unsafe_code)]

use bytes::Bytes;
use imap::answer::{
    Address, Attribute, BodyFields, BodyStructure, Code, Disposition, Envelope, Extension, FetchData, Found,
    FoundModSeqs, LeafKind, ListEntry, LiteralName, MailboxData, NewKeywords, QuotaResource, Status,
    StatusValue, Untagged,
};
use imap::server::{Closing, Config, Event, Request, Selection, Server};
use imap::{FetchItem, Flag, Numbers, Section, View};
use imap_codec::ResponseCodec;
use imap_codec::decode::Decoder;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::sasl::InClear;
use wire::{Endpoint, Step};

/// An endpoint with a mailbox of five messages that says yes to everything.
struct Session {
    server: Server,
    now: Instant,
    heard: Vec<u8>,
    events: Vec<Event>,
    /// The text of every message.
    text: Bytes,
}

impl Session {
    fn new() -> Session {
        let config = Config {
            mechanisms: vec!["PLAIN".to_owned()],
            in_clear: InClear::Allow,
            append_limit: 1000,
            ..Config::new("mx.example")
        };
        Session {
            server: Server::new(Arc::new(config)),
            now: Instant::now(),
            heard: Vec::new(),
            events: Vec::new(),
            text: Bytes::from("Subject: x\r\n\r\n".to_owned() + &"text\r\n".repeat(1000)),
        }
    }

    /// A session that is logged in and has the mailbox selected; what it heard until then is forgotten.
    fn selected() -> Session {
        let mut session = Session::new();
        session.say("l LOGIN bob secret\r\ns SELECT INBOX\r\n");
        session.heard.clear();
        session.events.clear();
        session
    }

    /// Hands over octets, and takes every step until the endpoint waits or closes.
    fn say(&mut self, text: &str) -> String {
        self.server.receive(text.as_bytes());
        self.run();
        String::from_utf8(std::mem::take(&mut self.heard)).expect("UTF-8")
    }

    fn run(&mut self) -> Step<Event> {
        for _ in 0..10_000 {
            match self.server.step(self.now) {
                Step::Send(octets) => self.heard.extend_from_slice(&octets),
                Step::Event(event) => {
                    self.answer(&event);
                    self.events.push(event);
                }
                step => return step,
            }
        }
        panic!("it never waits");
    }

    fn answer(&mut self, event: &Event) {
        let server = &mut self.server;
        match event {
            Event::Auth(_) => server.grant(),
            Event::Append(_) => server.accept(),
            Event::AppendEnd => server.finish(Status::ok("Appended")),
            Event::Look => server.looked(),
            Event::More => server.finish(Status::ok("Done")),
            Event::Request(request) => match &**request {
                Request::Idle => server.looked(),
                Request::Select { mailbox, .. } if mailbox == "Broken" => {
                    server.select(selection());
                    server.finish(Status::no("It cannot be read to its end"));
                }
                Request::Select { .. } => {
                    server.select(selection());
                    server.finish(Status::ok("Selected").with(Code::ReadWrite));
                }
                Request::Fetch(fetch) => {
                    for uid in fetch.uids.iter() {
                        assert!(server.begin_message(uid));
                        for item in &fetch.items {
                            match item {
                                FetchItem::Rfc822 => {
                                    server.begin_literal(LiteralName::Rfc822, self.text.len() as u64);
                                    server.literal(self.text.clone());
                                }
                                FetchItem::Uid => server.item_uid(uid),
                                _ => server.item(&FetchData::Rfc822Size(7)),
                            }
                        }
                        server.end_message();
                    }
                    server.finish(Status::ok("Fetched"));
                }
                Request::Search(_) => {
                    server.found(&Found { uids: vec![20, 30], mod_seqs: None });
                    server.finish(Status::ok("Searched"));
                }
                _ => server.finish(Status::ok("Done")),
            },
            _ => {}
        }
    }
}

fn selection() -> Selection {
    Selection {
        name: "INBOX".to_owned(),
        attributes: vec![Attribute::HasNoChildren],
        mailbox_id: "F1".to_owned(),
        view: [10, 20, 30, 40, 50].into_iter().collect::<View>(),
        flags: vec![Flag::Seen, Flag::Deleted, Flag::Keyword("$Junk".to_owned())],
        new_keywords: NewKeywords::MayBeMade,
        uid_validity: 7,
        uid_next: 51,
        highest_mod_seq: 99,
        first_unseen: Some(20),
    }
}

/// Every answer in what was heard is one for the other.
fn is_imap(heard: &[u8]) {
    let mut rest = heard;
    while !rest.is_empty() {
        match ResponseCodec::default().decode(rest) {
            Ok((after, _)) => rest = after,
            Err(error) => panic!("{error:?} in {:?}", String::from_utf8_lossy(rest)),
        }
    }
}

#[test]
fn what_a_selected_mailbox_is_told_as() {
    let mut session = Session::new();
    session.say("l LOGIN bob secret\r\n");
    let heard = session.say("s SELECT INBOX\r\n");
    assert_eq!(
        heard,
        "* FLAGS (\\Seen \\Deleted $Junk)\r\n* OK [PERMANENTFLAGS (\\Seen \\Deleted $Junk \\*)] Flags permitted\r\n\
         * 5 EXISTS\r\n* 0 RECENT\r\n* OK [UNSEEN 2] First unseen\r\n* OK [UIDVALIDITY 7] UIDs valid\r\n\
         * OK [UIDNEXT 51] Predicted next UID\r\n* OK [HIGHESTMODSEQ 99] Highest\r\n\
         * OK [MAILBOXID (F1)] The mailbox's identifier\r\ns OK [READ-WRITE] Selected\r\n"
    );
    assert!(session.say("e ENABLE IMAP4rev2\r\n").starts_with("* ENABLED IMAP4rev2\r\n"));
    let heard = session.say("s EXAMINE INBOX\r\n");
    assert!(heard.starts_with("* OK [CLOSED] "), "{heard}");
    assert!(heard.contains("\r\n* LIST (\\HasNoChildren) \"/\" INBOX\r\n"), "{heard}");
    assert!(heard.contains("* OK [PERMANENTFLAGS ()] ") && !heard.contains("RECENT"), "{heard}");
    session.say("s SELECT INBOX\r\n");
    session.server.tell_flags(&[Flag::Seen, Flag::Keyword("$Last".to_owned())], NewKeywords::MayNotBeMade);
    let heard = session.say("n NOOP\r\n");
    assert!(heard.contains("* OK [PERMANENTFLAGS (\\Seen $Last)] "), "{heard}");
}

/// RFC 9051 §6.3.2.
#[test]
fn a_select_that_fails_leaves_none_selected() {
    let mut session = Session::selected();
    let heard = session.say("a SELECT Broken\r\nb FETCH 1 UID\r\n");
    assert!(heard.contains("\r\na NO It cannot be read to its end\r\nb BAD "), "{heard}");
    let left = session.events.iter().filter(|event| matches!(event, Event::Unselected)).count();
    assert_eq!(left, 2, "the one before, and this one");
}

#[test]
fn expunges_wait_for_a_command_without_numbers() {
    let mut session = Session::selected();
    session.server.changed(&[60], &Numbers::of_ranges([(20, 20), (40, 40)]));
    assert_eq!(session.say("a FETCH 4 UID\r\n"), "* 6 EXISTS\r\n* 4 FETCH (UID 40)\r\na OK Fetched\r\n");
    assert_eq!(session.say("b NOOP\r\n"), "* 4 EXPUNGE\r\n* 2 EXPUNGE\r\nb OK Done\r\n");
    assert_eq!(session.say("c FETCH 4 UID\r\n"), "* 4 FETCH (UID 60)\r\nc OK Fetched\r\n");
    session.say("e ENABLE QRESYNC\r\n");
    session.server.changed(&[], &Numbers::range(30, 30));
    assert_eq!(
        session.say("d UID FETCH 50 UID\r\n"),
        "* 3 FETCH (UID 50)\r\n* VANISHED 30\r\nd OK Fetched\r\n"
    );
}

#[test]
fn many_expunges_are_told_in_little_memory() {
    let mut session = Session::selected();
    let came: Vec<u32> = (100..100_100).collect();
    session.server.changed(&came, &Numbers::new());
    session.server.changed(&[], &came.iter().copied().step_by(2).collect());
    session.server.receive(b"a NOOP\r\nb NOOP\r\n");
    let mut most = 0;
    loop {
        match session.server.step(session.now) {
            Step::Send(octets) => session.heard.extend_from_slice(&octets),
            Step::Event(event) => session.answer(&event),
            _ => break,
        }
        most = most.max(session.server.buffered());
    }
    assert!(most < imap::server::ROOM + 100, "{most} octets");
    let heard = String::from_utf8(session.heard).expect("ASCII");
    let mut expected = "* 100005 EXISTS\r\n".to_owned();
    for number in (6..=100_004).rev().step_by(2) {
        expected += &format!("* {number} EXPUNGE\r\n");
    }
    assert!(heard == expected + "a OK Done\r\nb OK Done\r\n");
}

#[test]
fn many_that_were_found_are_told_in_little_memory() {
    let mut session = Session::selected();
    let came: Vec<u32> = (100..100_100).collect();
    session.server.changed(&came, &Numbers::new());
    session.server.receive(b"a SEARCH ALL\r\n");
    let mut most = 0;
    loop {
        match session.server.step(session.now) {
            Step::Send(octets) => session.heard.extend_from_slice(&octets),
            Step::Event(Event::Request(_)) => {
                let mod_seqs = FoundModSeqs::of([7]);
                session.server.found(&Found { uids: came.clone(), mod_seqs });
                assert!(!session.server.has_room());
                session.server.more();
            }
            Step::Event(Event::More) => session.server.finish(Status::ok("Searched")),
            Step::Event(_) => {}
            _ => break,
        }
        most = most.max(session.server.buffered());
    }
    assert!(most < imap::server::ROOM + 100, "{most} octets");
    let heard = String::from_utf8(session.heard).expect("ASCII");
    let numbers: Vec<String> = (6..=100_005).map(|number: u32| number.to_string()).collect();
    let expected = format!("* SEARCH {} (MODSEQ 7)\r\na OK Searched\r\n", numbers.join(" "));
    assert!(heard == format!("* 100005 EXISTS\r\n{expected}"));
}

#[test]
fn saved_results_are_messages_until_they_are_gone() {
    let mut session = Session::selected();
    assert_eq!(session.say("a SEARCH RETURN (SAVE) ALL\r\n"), "a OK Searched\r\n");
    assert_eq!(
        session.say("b FETCH $ UID\r\n"),
        "* 2 FETCH (UID 20)\r\n* 3 FETCH (UID 30)\r\nb OK Fetched\r\n"
    );
    session.server.changed(&[], &Numbers::range(20, 20));
    session.say("c NOOP\r\n");
    assert_eq!(session.say("d FETCH $ UID\r\n"), "* 2 FETCH (UID 30)\r\nd OK Fetched\r\n");
    let heard = session.say("e SEARCH RETURN (MIN MAX COUNT ALL) ALL\r\n");
    assert_eq!(heard, "* ESEARCH (TAG \"e\") MIN 2 MAX 2 COUNT 1 ALL 2\r\ne OK Searched\r\n");
}

#[test]
fn idle_says_something_now_and_then_and_ends_with_done() {
    let mut session = Session::selected();
    assert_eq!(session.say("a IDLE\r\n"), "+ idling\r\n");
    session.now += Duration::from_secs(121);
    assert_eq!(session.say(""), "* OK Still here\r\n");
    session.server.changed(&[60], &Numbers::new());
    session.server.wake();
    assert_eq!(session.say(""), "* 6 EXISTS\r\n");
    assert_eq!(session.say("done\r\nb NOOP\r\n"), "a OK Done\r\nb OK Done\r\n");
    session.say("c IDLE\r\n");
    session.now += Duration::from_secs(1861);
    let heard = session.say("");
    assert!(heard.ends_with("* BYE Disconnected for inactivity\r\n"), "{heard}");
    assert_eq!(session.events.last(), Some(&Event::Closing(Closing::TimedOut)));
}

#[test]
fn messages_are_appended_in_pieces() {
    let mut session = Session::selected();
    assert_eq!(session.say("a APPEND x (\\Seen) {5}\r\n"), "+ Ready for the message\r\n");
    session.say("12");
    assert_eq!(session.say("345"), "");
    assert_eq!(session.say(" {3+}\r\nabc\r\nb NOOP\r\n"), "a OK Appended\r\nb OK Done\r\n");
    let content: Vec<u8> = session
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Content(octets) => Some(octets.to_vec()),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(content, b"12345abc");
    // RFC 6855 §4, as Python's imaplib has it.
    assert_eq!(session.say("u APPEND x UTF8 (~{3}\r\n"), "+ Ready for the message\r\n");
    assert_eq!(session.say("abc) UTF8 (~{1+}\r\nd)\r\nv NOOP\r\n"), "u OK Appended\r\nv OK Done\r\n");
    assert!(session.say("u APPEND x UTF8 (~{3+}\r\nabc\r\n").starts_with("u BAD "));
    assert!(session.say("u APPEND x {3+}\r\nabc)\r\n").starts_with("u BAD "));
    let heard = session.say("c APPEND x {2000+}\r\n");
    assert!(heard.starts_with("c NO [TOOBIG] "), "{heard}");
    // Its octets are none of ours, whatever they look like.
    assert_eq!(session.say(&"d NOOP\r\n".repeat(250)), "");
    assert_eq!(session.say("\r\ne NOOP\r\n"), "e OK Done\r\n");
    let heard = session.say("f APPEND x {2000}\r\n");
    assert!(heard.starts_with("f NO [TOOBIG] "), "{heard}");
    assert_eq!(session.say("g NOOP\r\n"), "g OK Done\r\n");
}

#[test]
fn a_text_that_is_cut_short_ends_the_connection() {
    let mut session = Session::selected();
    session.server.receive(b"a FETCH 1 RFC822\r\n");
    let Step::Event(Event::Request(_)) = session.server.step(session.now) else { panic!("a request") };
    assert!(session.server.begin_message(10));
    session.server.begin_literal(LiteralName::Rfc822, 10);
    session.server.literal(Bytes::from_static(b"12345"));
    session.server.end_message();
    session.run();
    assert!(session.heard.ends_with(b"{10}\r\n12345"), "{:?}", String::from_utf8_lossy(&session.heard));
    assert_eq!(session.events.last(), Some(&Event::Closing(Closing::ContentLost)));
}

#[test]
fn no_text_is_more_than_one_string() {
    let nasty = "\"a\\b\"\r\n* BYE x {3}\r\n\0é";
    let mut session = Session::selected();
    session.server.receive(b"a FETCH 1 ENVELOPE\r\n");
    let Step::Event(Event::Request(_)) = session.server.step(session.now) else { panic!("a request") };
    let text = || Some(nasty.as_bytes().into());
    let address = Address { name: text(), route: text(), mailbox: text(), host: text() };
    let envelope = Envelope {
        date: text(),
        subject: text(),
        from: vec![address.clone(), Address::default()],
        to: vec![address],
        message_id: text(),
        ..Envelope::default()
    };
    let leaf = BodyStructure::Leaf {
        kind: nasty.into(),
        subtype: nasty.into(),
        fields: BodyFields {
            parameters: vec![(nasty.into(), nasty.into())],
            id: text(),
            description: text(),
            encoding: nasty.into(),
            size: 3,
        },
        special: LeafKind::Basic,
        md5: text(),
        extension: Extension {
            disposition: Some(Disposition {
                kind: nasty.into(),
                parameters: vec![(nasty.into(), "".into())],
            }),
            language: vec![nasty.as_bytes().into(), b"de".as_slice().into()],
            location: text(),
        },
    };
    let message = BodyStructure::Leaf {
        kind: "message".into(),
        subtype: "rfc822".into(),
        fields: BodyFields { encoding: "7bit".into(), ..BodyFields::default() },
        special: LeafKind::Message {
            envelope: Box::new(envelope.clone()),
            body: Box::new(leaf.clone()),
            lines: 2,
        },
        md5: None,
        extension: Extension::default(),
    };
    let mixed = BodyStructure::Multipart {
        parts: vec![leaf, message],
        subtype: "mixed".into(),
        parameters: Vec::new(),
        extension: Extension::default(),
    };
    let server = &mut session.server;
    assert!(server.begin_message(10));
    server.item(&FetchData::Envelope(&envelope));
    server.item(&FetchData::Body(&mixed));
    server.item(&FetchData::BodyStructure(&mixed));
    server.item(&FetchData::Flags(&[Flag::Keyword("a) b\r\n".to_owned()), Flag::Seen]));
    server.item(&FetchData::InternalDate(-1));
    server.item(&FetchData::ModSeq(5));
    server.item(&FetchData::Nil(LiteralName::Section(&Section::default(), Some(3))));
    server.end_message();
    server.tell(&Untagged::List(ListEntry {
        name: nasty.to_owned(),
        attributes: vec![Attribute::Use("Sent".to_owned()), Attribute::HasChildren],
        has_subscribed_children: false,
    }));
    server.tell(&Untagged::Status(MailboxData {
        name: nasty.to_owned(),
        values: vec![StatusValue::Messages(1), StatusValue::UidNext(2), StatusValue::Size(3)],
    }));
    server.tell(&Untagged::QuotaRoot { mailbox: nasty.to_owned(), roots: vec![nasty.to_owned()] });
    let resources = vec![QuotaResource { name: "STORAGE", usage: 1, limit: 2 }];
    server.tell(&Untagged::Quota { root: nasty.to_owned(), resources });
    server.tell_flags(&[Flag::Answered, Flag::Keyword("$x".to_owned())], NewKeywords::MayBeMade);
    server.finish(Status::no("").saying(nasty).with(Code::TryCreate));
    session.run();
    assert!(!session.heard.contains(&0));
    is_imap(&session.heard);
}

const DIALOGUE: &str = "a NOOP\r\nb LOGIN {3+}\r\nbob \"secret\"\r\nc SELECT INBOX\r\nd FETCH 1:* (UID RFC822)\r\n\
e APPEND x {4+}\r\nabcd\r\nf SEARCH ALL\r\ng IDLE\r\nDONE\r\nh XYZZY\r\ni LIST \"\" *\r\nj LOGOUT\r\n";

#[test]
fn everything_said_is_imap() {
    let mut session = Session::new();
    let heard = session.say(DIALOGUE);
    is_imap(heard.split_once("\r\n").expect("a greeting").1.replace("+ idling\r\n", "").as_bytes());
    assert!(heard.ends_with("* BYE Logging out\r\nj OK Goodbye\r\n"), "{heard}");
}

proptest! {
    #[test]
    fn cuts_do_not_matter(cuts in proptest::collection::vec(0..DIALOGUE.len(), 0..40)) {
        let whole = Session::new().say(DIALOGUE);
        let mut cuts = cuts;
        cuts.sort_unstable();
        cuts.push(DIALOGUE.len());
        let (mut session, mut heard, mut from) = (Session::new(), String::new(), 0);
        for to in cuts {
            heard.push_str(&session.say(&DIALOGUE[from..to]));
            from = to;
        }
        prop_assert_eq!(heard, whole);
    }

    #[test]
    fn any_octets_are_survived_in_bounded_memory(pieces in proptest::collection::vec(prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..20),
        prop::sample::select(vec!["a ", "LOGIN ", "x y\r\n", "SELECT INBOX\r\n", "FETCH 1 UID\r\n", "{3}\r\n", "{5+}\r\n", "APPEND x ",
            "IDLE\r\n", "DONE\r\n", "(", ")", "\"", "\r\n", " ", "SEARCH ", "UID ", "NOT ", "1:*", "*", "$"]).prop_map(|text| text.as_bytes().to_vec()),
    ], 0..60)) {
        let mut session = Session::new();
        for piece in pieces {
            session.server.receive(&piece);
            session.run();
            prop_assert!(session.server.buffered() <= imap::LINE_MAX + imap::LITERALS_MAX + 1000);
        }
    }
}

#[test]
fn a_connection_is_compressed_after_the_ok() {
    use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
    let mut session = Session::selected();
    assert_eq!(session.say("a COMPRESS GZIP\r\n"), "a BAD DEFLATE is the only algorithm\r\n");
    assert_eq!(session.say("b COMPRESS DEFLATE\r\n"), "b OK DEFLATE active\r\n");
    let mut deflate = Compress::new(Compression::fast(), false);
    let mut packed = Vec::with_capacity(4096);
    let commands = "c COMPRESS DEFLATE\r\nd FETCH 1:* (UID RFC822)\r\n";
    deflate.compress_vec(commands.as_bytes(), &mut packed, FlushCompress::Sync).expect("it takes everything");
    for octet in packed {
        session.server.receive(&[octet]);
        session.run();
    }
    let mut heard = Vec::with_capacity(100_000);
    let mut inflate = Decompress::new(false);
    inflate.decompress_vec(&session.heard, &mut heard, FlushDecompress::Sync).expect("it is compressed");
    let told = String::from_utf8_lossy(&heard);
    assert!(told.starts_with("c NO [COMPRESSIONACTIVE] "), "{told}");
    assert!(told.ends_with(")\r\nd OK Fetched\r\n"), "{told}");
    assert!(session.heard.len() < heard.len() / 10);
    // Octets that inflate to more than is inflated at once are read to their end, without any more that come.
    let append = format!("e APPEND x {{20000+}}\r\n{}\r\nf NOOP\r\n", "x".repeat(20_000));
    packed = Vec::with_capacity(4096);
    deflate.compress_vec(append.as_bytes(), &mut packed, FlushCompress::Sync).expect("it takes everything");
    session.heard.clear();
    session.server.receive(&packed);
    session.run();
    heard.clear();
    inflate.decompress_vec(&session.heard, &mut heard, FlushDecompress::Sync).expect("it is compressed");
    let told = String::from_utf8_lossy(&heard);
    assert!(told.starts_with("e NO [TOOBIG] ") && told.ends_with("f OK Done\r\n"), "{told}");
    // What is not compressed ends the connection.
    session.server.receive(&[0xff; 100]);
    session.run();
    assert_eq!(session.events.last(), Some(&Event::Closing(Closing::Disconnected)));
}
