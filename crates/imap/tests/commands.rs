//! Commands and what they mean; lines that are none; commands in pieces.

#![forbid(unsafe_code)]

use imap::{
    Append, Assembled, Assembler, Behind, Body, Command, Date, EventGroup, FetchItem, FetchModifier, Flag,
    ListReturn, ListSelection, Mailbox, MailboxFilter, Notify, NotifyEvent, Number, Partial, Problem, Range,
    SearchKey, SearchReturn, Section, SectionText, SelectParameter, SequenceSet, StatusItem, StoreKind,
};
use proptest::prelude::*;

/// What a line, without its CRLF and its tag, means.
fn body(line: &str) -> Body {
    let command = Command::parse(format!("a1 {line}\r\n").as_bytes());
    command.unwrap_or_else(|fault| panic!("{line}: {fault}")).body
}

fn number(value: u32) -> Number {
    Number::Is(value.try_into().expect("not 0"))
}

fn one(value: u32) -> SequenceSet {
    SequenceSet::Ranges(vec![Range { first: number(value), last: number(value) }])
}

fn inbox() -> Mailbox {
    Mailbox("INBOX".to_owned())
}

#[test]
fn the_simple_ones() {
    assert_eq!(body("capability"), Body::Capability);
    assert_eq!(
        body("Login joe \"a \\\" b\""),
        Body::Login { user: "joe".to_owned(), password: (&b"a \" b"[..]).into() }
    );
    assert_eq!(
        body("LOGIN {3}\r\njoe {4+}\r\na\r\nb"),
        Body::Login { user: "joe".to_owned(), password: (&b"a\r\nb"[..]).into() }
    );
    let authenticate = |initial: Option<&[u8]>| Body::Authenticate {
        mechanism: "PLAIN".to_owned(),
        initial: initial.map(Into::into),
    };
    assert_eq!(body("AUTHENTICATE plain"), authenticate(None));
    assert_eq!(body("AUTHENTICATE PLAIN ="), authenticate(Some(b"")));
    assert_eq!(body("AUTHENTICATE PLAIN AGEAYg=="), authenticate(Some(b"\0a\0b")));
    assert_eq!(
        body("ENABLE condstore IMAP4rev2"),
        Body::Enable(vec!["CONDSTORE".to_owned(), "IMAP4REV2".to_owned()])
    );
    assert_eq!(body("ID NIL"), Body::Id(None));
    let pairs = vec![("name".to_owned(), Some("x".to_owned())), ("version".to_owned(), None)];
    assert_eq!(body("ID (\"name\" \"x\" \"version\" NIL)"), Body::Id(Some(pairs)));
    assert_eq!(body("RENAME inBox \"a b\""), Body::Rename { from: inbox(), to: Mailbox("a b".to_owned()) });
    assert_eq!(
        body("CREATE a (USE (\\Sent \\Drafts))"),
        Body::Create { mailbox: Mailbox("a".to_owned()), uses: vec!["Sent".to_owned(), "Drafts".to_owned()] }
    );
    assert_eq!(
        body("SETQUOTA \"\" (STORAGE 512)"),
        Body::SetQuota { root: String::new(), limits: vec![("STORAGE".to_owned(), 512)] }
    );
    assert_eq!(body("UID EXPUNGE 3"), Body::UidExpunge(one(3)));
    assert_eq!(body("uid move 3 INBOX"), Body::Move { uid: true, set: one(3), mailbox: inbox() });
}

#[test]
fn lists_of_mailboxes() {
    let Body::List(list) =
        body("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (INBOX \"%\") RETURN (CHILDREN STATUS (MESSAGES SIZE))")
    else {
        panic!("a LIST")
    };
    assert_eq!(list.selection, [ListSelection::Subscribed, ListSelection::RecursiveMatch]);
    assert_eq!(
        (list.reference, list.patterns),
        (Mailbox(String::new()), vec!["INBOX".to_owned(), "%".to_owned()])
    );
    assert_eq!(
        list.returns,
        [ListReturn::Children, ListReturn::Status(vec![StatusItem::Messages, StatusItem::Size])]
    );
    let Body::List(plain) = body("LIST \"\" a/*") else { panic!("a LIST") };
    assert_eq!((plain.patterns, plain.returns), (vec!["a/*".to_owned()], vec![]));
}

#[test]
fn what_a_client_wants_to_be_notified_of() {
    let name = |name: &str| Mailbox(name.to_owned());
    assert_eq!(body("NOTIFY none"), Body::Notify(Notify::None));
    let line = "notify Set Status (selected-delayed (MessageNew (uid flags UID) messageExpunge FlagChange)) \
        (subtree (inbox \"a b\") (MailboxName SubscriptionChange)) (Mailboxes x NONE) (personal (MessageNew (annotationchange)))";
    assert!(Command::parse(format!("a {line}\r\n").as_bytes()).is_err(), "no data item has that name");
    let line = "notify Set Status (selected-delayed (MessageNew (uid flags UID) messageExpunge FlagChange)) \
        (subtree (inbox \"a b\") (MailboxName SubscriptionChange)) (Mailboxes x NONE) (personal (MessageNew AnnotationChange))";
    let groups = vec![
        EventGroup {
            filter: MailboxFilter::SelectedDelayed,
            events: vec![
                NotifyEvent::MessageNew(vec![FetchItem::Uid, FetchItem::Flags]),
                NotifyEvent::MessageExpunge,
                NotifyEvent::FlagChange,
            ],
        },
        EventGroup {
            filter: MailboxFilter::Subtree(vec![inbox(), name("a b")]),
            events: vec![NotifyEvent::MailboxName, NotifyEvent::SubscriptionChange],
        },
        EventGroup { filter: MailboxFilter::Mailboxes(vec![name("x")]), events: Vec::new() },
        EventGroup {
            filter: MailboxFilter::Personal,
            events: vec![
                NotifyEvent::MessageNew(Vec::new()),
                NotifyEvent::Other("AnnotationChange".to_owned()),
            ],
        },
    ];
    assert_eq!(body(line), Body::Notify(Notify::Set { status: true, groups }));
    for wrong in [
        "NOTIFY",
        "NOTIFY SET",
        "NOTIFY SET STATUS",
        "NOTIFY SET (selected)",
        "NOTIFY SET (selected ())",
        "NOTIFY SET (nowhere NONE)",
        "NOTIFY SET (subtree NONE)",
        "NOTIFY SET (personal MessageNew)",
        "NOTIFY SET (personal NONE) ",
        "NOTIFY NONE (personal NONE)",
    ] {
        assert!(Command::parse(format!("a {wrong}\r\n").as_bytes()).is_err(), "{wrong}");
    }
    let many = format!("a NOTIFY SET{}\r\n", " (inboxes NONE)".repeat(101));
    assert!(
        matches!(Command::parse(many.as_bytes()), Err(fault) if matches!(fault.problem, Problem::TooMany(_)))
    );
}

#[test]
fn select_with_what_a_client_knows() {
    let Body::Select { parameters, .. } =
        body("SELECT INBOX (QRESYNC (67890007 20050715194045000 41:211,* (1,3 50,60)) CONDSTORE)")
    else {
        panic!("a SELECT")
    };
    let [SelectParameter::QResync(known), SelectParameter::CondStore] = &parameters[..] else {
        panic!("{parameters:?}")
    };
    assert_eq!((known.uid_validity, known.mod_seq), (67_890_007, 20_050_715_194_045_000));
    assert!(
        known
            .known
            .as_ref()
            .is_some_and(|set| set.contains(211, 999) && set.contains(999, 999) && !set.contains(212, 999))
    );
    assert!(known.matches.is_some());
}

#[test]
fn what_fetch_asks_for() {
    let fetch = |items: &str| match body(&format!("FETCH 2:* {items}")) {
        Body::Fetch { items, modifiers, uid: false, .. } => (items, modifiers),
        other => panic!("{other:?}"),
    };
    assert_eq!(fetch("FAST").0, [FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size]);
    let fields = vec!["From".to_owned(), "to".to_owned()];
    assert_eq!(
        fetch("(UID BODY.PEEK[1.2.HEADER.FIELDS (From to)]<0.99> BODY BODY[])").0,
        [
            FetchItem::Uid,
            FetchItem::BodySection {
                section: Section { part: vec![1, 2], text: Some(SectionText::HeaderFields(fields)) },
                partial: Some(Partial { first: 0, count: 99 }),
                peek: true,
            },
            FetchItem::Body,
            FetchItem::BodySection { section: Section::default(), partial: None, peek: false },
        ]
    );
    assert_eq!(fetch("BINARY.SIZE[2]").0, [FetchItem::BinarySize(vec![2])]);
    assert_eq!(fetch("PREVIEW (LAZY)").0, [FetchItem::Preview { lazy: true }]);
    let (items, modifiers) = fetch("(FLAGS PREVIEW) (CHANGEDSINCE 12345 VANISHED)");
    assert_eq!(items, [FetchItem::Flags, FetchItem::Preview { lazy: false }]);
    assert_eq!(modifiers, [FetchModifier::ChangedSince(12345), FetchModifier::Vanished]);
}

#[test]
fn store_and_append() {
    assert_eq!(
        body("UID STORE 4 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\\seen $Junk)"),
        Body::Store {
            uid: true,
            set: one(4),
            unchanged_since: Some(0),
            kind: StoreKind::Add,
            silent: true,
            flags: vec![Flag::Seen, Flag::Keyword("$Junk".to_owned())],
        }
    );
    let text = b"a1 APPEND {5+}\r\nINBOX (\\Seen) \"17-Jul-1996 02:44:25 -0700\" {310}\r\n";
    let Ok(Command { body: Body::Append(append), .. }) = Command::parse(text) else { panic!("an APPEND") };
    assert_eq!(
        (append.mailbox, append.flags, append.date),
        (Some(inbox()), vec![Flag::Seen], Some(837_596_665_000))
    );
    assert_eq!((append.literal.length, append.literal.waits, append.literal.binary), (310, true, false));
    let next = Append::parse_next(b" \" 1-Jan-1970 00:00:00 +0000\" ~{7+}\r\n").expect("another message");
    assert_eq!((next.date, next.literal.binary, next.literal.waits), (Some(0), true, false));
    let next = Append::parse_next(b" (\\Seen) utf8 (~{7+}\r\n").expect("another message");
    assert_eq!(
        (next.literal.length, next.literal.binary, next.literal.behind),
        (7, true, Behind::Parenthesis)
    );
    for wrong in ["UTF8 ~{7}", "UTF8 ({7}", "UTF8(~{7}", "UTF9 (~{7}"] {
        assert!(Append::parse_next(format!(" {wrong}\r\n").as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn recursivematch_needs_something_that_it_says_more_of() {
    let wrong = ["(RECURSIVEMATCH)", "(REMOTE RECURSIVEMATCH)", "(RECURSIVEMATCH REMOTE)"];
    for (selection, is_taken) in wrong.map(|wrong| (wrong, false)).into_iter().chain([
        ("(RECURSIVEMATCH SUBSCRIBED)", true),
        ("(REMOTE)", true),
        ("()", true),
    ]) {
        let parsed = Command::parse(format!("a LIST {selection} \"\" *\r\n").as_bytes());
        assert_eq!(parsed.is_ok(), is_taken, "{selection}");
    }
}

#[test]
fn searches() {
    let search = |text: &str| match body(&format!("SEARCH {text}")) {
        Body::Search { returns, charset, key, uid: false } => (returns, charset, key),
        other => panic!("{other:?}"),
    };
    let day = Date { year: 1994, month: 2, day: 1 };
    assert_eq!(
        search("CHARSET UTF-8 FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\""),
        (
            None,
            Some("UTF-8".to_owned()),
            SearchKey::And(vec![
                SearchKey::Flagged,
                SearchKey::Since(day),
                SearchKey::Not(Box::new(SearchKey::From(b"Smith".to_vec()))),
            ])
        )
    );
    let (returns, _, key) = search("RETURN (MIN COUNT SAVE) (OR $ (UID 3 LARGER 10)) TEXT {2}\r\n\u{e4}");
    assert_eq!(returns, Some(vec![SearchReturn::Min, SearchReturn::Count, SearchReturn::Save]));
    assert!(matches!(key, SearchKey::And(keys) if keys.len() == 2));
    assert_eq!(search("RETURN () ALL").0, Some(vec![]));
    let deep = format!("{}ALL", "NOT ".repeat(40));
    let fault = Command::parse(format!("a1 SEARCH {deep}\r\n").as_bytes()).expect_err("too deep");
    assert_eq!(fault.problem, Problem::Depth);
    for patterns in [format!("({}x)", "x ".repeat(100)), format!("\"{}\"", "%".repeat(1025))] {
        let fault = Command::parse(format!("a LIST \"\" {patterns}\r\n").as_bytes()).expect_err("too much");
        assert_eq!(fault.problem, Problem::Patterns);
    }
    assert!(matches!(body("THREAD REFERENCES UTF-8 ALL"), Body::Thread { .. }));
    assert!(matches!(body("UID SORT (REVERSE DATE SUBJECT) UTF-8 UNSEEN"), Body::Sort { uid: true, .. }));
}

#[test]
fn what_is_no_command_says_where() {
    for (line, at) in [
        ("", 0),
        ("a1", 2),
        ("a+ NOOP", 1),
        ("a1 NONSENSE", 3),
        ("a1 NOOP now", 7),
        ("a1 LOGIN joe", 12),
        ("a1 SELECT", 9),
        ("a1 FETCH 0 FLAGS", 9),
        ("a1 FETCH 1 (FLAGS", 17),
        ("a1 FETCH 1 BODY[MIME]", 16),
        ("a1 FETCH 1 BODY[]<0.0>", 20),
        ("a1 STORE 1 FLAGS (\\Seen", 23),
        ("a1 SEARCH SINCE 32-Jan-2026", 16),
        ("a1 LIST \"\"", 10),
        ("a1 UID NOOP", 7),
    ] {
        let fault = Command::parse(format!("{line}\r\n").as_bytes()).expect_err(line);
        assert_eq!(fault.at, at, "{line}: {fault}");
    }
    assert_eq!(Command::tag_of(b"a1 NONSENSE\r\n"), Some("a1".to_owned()));
}

/// All that is found in these pieces; what follows an APPEND is taken as its literal of 5 octets.
fn assembled<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Assembled> {
    let mut assembler = Assembler::new();
    let (mut found, mut text) = (Vec::new(), 0);
    for piece in pieces {
        assembler.receive(piece);
        loop {
            let now = text.min(assembler.len());
            drop(assembler.raw().split_to(now));
            text -= now;
            if text > 0 {
                break;
            }
            let Some(one) = assembler.next_command() else { break };
            if let Assembled::Append(_) = one {
                text = 5;
            }
            found.push(one);
        }
        assert!(assembler.len() <= imap::LINE_MAX + imap::LITERALS_MAX + 64 * 1024);
    }
    found
}

#[test]
fn commands_come_whole_however_they_are_cut() {
    let long = "x".repeat(200_000);
    let input = format!(
        "a NOOP\r\nb LOGIN {{3}}\r\njoe {{2+}}\r\n\r\n\r\nc APPEND INBOX {{5+}}\r\nab\r\nc\r\nd APPEND {{5+}}\r\nINBOX {{5}}\r\n12345\r\n\
         e LOGIN {{100000+}}\r\n{} {{6+}}\r\nf NOOP\r\ng LOGIN {long} {{6+}}\r\nh NOOP\r\ni NOOP\r\n",
        "y".repeat(100_000)
    );
    let whole = assembled(input.as_bytes().chunks(64 * 1024));
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(20)]).into_owned();
    let shown: Vec<String> = whole
        .iter()
        .map(|one| match one {
            Assembled::Command(bytes) => format!("C {}", text(bytes)),
            Assembled::Append(bytes) => format!("A {}", text(bytes)),
            Assembled::Continue => "+".to_owned(),
            Assembled::TooLong(bytes) => format!("L {}", text(bytes)),
        })
        .collect();
    assert_eq!(
        shown,
        [
            "C a NOOP\r\n",
            "+",
            "C b LOGIN {3}\r\njoe {2+",
            "A c APPEND INBOX {5+}\r",
            "C \r\n",
            "A d APPEND {5+}\r\nINBOX",
            "C \r\n",
            "L e LOGIN {100000+}\r\n",
            "L g LOGIN xxxxxxxxxxxx",
            "C i NOOP\r\n",
        ],
        "none of what was refused is taken for a command"
    );
    assert_eq!(assembled(input.as_bytes().chunks(1)), whole);
    assert_eq!(assembled(input.as_bytes().chunks(37)), whole);
}

proptest! {
    #[test]
    fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(fault) = Command::parse(&octets) {
            prop_assert!(fault.at <= octets.len());
        }
        let whole = assembled(std::iter::once(&octets[..]));
        prop_assert_eq!(assembled(octets.chunks(1)), whole);
    }

    #[test]
    fn names_in_utf7_come_back(name in "\\PC{0,20}") {
        let written = imap::utf7::encode(&name);
        prop_assert!(written.is_ascii());
        prop_assert_eq!(imap::utf7::decode(&written), Some(name));
    }
}

#[test]
fn names_in_utf7() {
    assert_eq!(imap::utf7::encode("~peter/mail/台北/日本語"), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
    assert_eq!(imap::utf7::decode("Entw&APw-rfe & more"), None, "a lone &");
    assert_eq!(imap::utf7::decode("Entw&APw-rfe &- more"), Some("Entwürfe & more".to_owned()));
    assert_eq!(imap::utf7::decode("&AGE-"), None, "what needs no shift has none");
}

#[test]
fn items_are_told_once_and_bounded() {
    let Body::Fetch { items, .. } = body("FETCH 1 (UID BINARY.PEEK[1] UID BINARY.PEEK[1] BINARY.PEEK[2])")
    else {
        panic!("it is a FETCH");
    };
    let binary = |part: u32| FetchItem::Binary { part: vec![part], partial: None, peek: true };
    assert_eq!(items, [FetchItem::Uid, binary(1), binary(2)]);
    let parts =
        |count: u32| (1..=count).map(|part| format!("BINARY.PEEK[{part}]")).collect::<Vec<_>>().join(" ");
    body(&format!("FETCH 1 ({})", parts(64)));
    let fault = Command::parse(format!("a1 FETCH 1 ({})\r\n", parts(65)).as_bytes()).expect_err("too many");
    assert_eq!(fault.problem, Problem::TooMany("data items"));
}

#[test]
fn criteria_are_bounded_on_all_levels_together() {
    let keys = |count: usize| vec!["BODY a"; count].join(" ");
    body(&format!("SEARCH {}", keys(256)));
    for line in [format!("SEARCH {}", keys(257)), format!("SEARCH OR ({0}) NOT ({0})", keys(129))] {
        let fault = Command::parse(format!("a1 {line}\r\n").as_bytes()).expect_err("too many");
        assert_eq!(fault.problem, Problem::TooMany("criteria"));
    }
}
