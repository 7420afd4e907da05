//! Held against `imap-codec`, which somebody else wrote: where both know a command, both take it or both refuse it.

#![forbid(unsafe_code)]

use imap::Command;
use imap_codec::CommandCodec;
use imap_codec::decode::{CommandDecodeError, Decoder};
use proptest::prelude::*;

/// What both know, one a line, without tag and CRLF.
const LINES: &[&str] = &[
    "CAPABILITY",
    "NOOP",
    "LOGOUT",
    "STARTTLS",
    "AUTHENTICATE PLAIN",
    "AUTHENTICATE PLAIN =",
    "AUTHENTICATE PLAIN AGEAYg==",
    "LOGIN joe password",
    "LOGIN \"joe\" \"pass \\\"word\"",
    "ENABLE CONDSTORE",
    "SELECT INBOX",
    "SELECT inbox (CONDSTORE)",
    "SELECT INBOX (QRESYNC (67890007 90060115194045000 41:211,214:541))",
    "EXAMINE \"a b\"",
    "CREATE folder/sub",
    "DELETE folder",
    "RENAME a b",
    "SUBSCRIBE a",
    "UNSUBSCRIBE a",
    "LIST \"\" *",
    "LIST \"\" \"%\"",
    "LIST ref/ a/%",
    "LSUB \"\" *",
    "NAMESPACE",
    "STATUS INBOX (MESSAGES UNSEEN UIDNEXT UIDVALIDITY)",
    "IDLE",
    "ID NIL",
    "ID (\"name\" \"x\")",
    "CHECK",
    "CLOSE",
    "UNSELECT",
    "EXPUNGE",
    "UID EXPUNGE 1:5",
    "SEARCH ALL",
    "SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"",
    "SEARCH CHARSET UTF-8 TEXT x",
    "SEARCH OR SEEN (DELETED UID 1:*)",
    "SEARCH HEADER Message-ID <a@b>",
    "SEARCH LARGER 10 SMALLER 20 KEYWORD $Junk 2,4:7,9,12:*",
    "UID SEARCH UNSEEN",
    "SORT (REVERSE DATE SUBJECT) UTF-8 ALL",
    "THREAD REFERENCES UTF-8 ALL",
    "FETCH 1:* FAST",
    "FETCH 1 ALL",
    "FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE ENVELOPE UID)",
    "FETCH 1 BODY[]",
    "FETCH 1 BODY.PEEK[HEADER.FIELDS (From To)]<0.100>",
    "FETCH 1 (BODY[1.2.MIME] BODYSTRUCTURE BODY)",
    "UID FETCH 1:5,7 (FLAGS) (CHANGEDSINCE 12345)",
    "STORE 1 +FLAGS (\\Seen \\Deleted)",
    "STORE 1:3 -FLAGS.SILENT (\\Flagged)",
    "STORE 1 FLAGS ()",
    "UID STORE 1 (UNCHANGEDSINCE 3) FLAGS.SILENT (\\Seen)",
    "COPY 1:2 INBOX",
    "UID COPY 1 a",
    "MOVE 1 a",
    "UID MOVE 1:2 a",
    "COMPRESS DEFLATE",
    "GETQUOTA \"\"",
    "GETQUOTAROOT INBOX",
    "SETQUOTA \"\" (STORAGE 512)",
];

fn ours(line: &str) -> bool {
    Command::parse(format!("a1 {line}\r\n").as_bytes()).is_ok()
}

/// Whether the other takes it; `None` where it waits for the octets of a literal.
fn theirs(line: &str) -> Option<bool> {
    match CommandCodec::default().decode(format!("a1 {line}\r\n").as_bytes()) {
        Ok((rest, _)) => Some(rest.is_empty()),
        Err(CommandDecodeError::Failed) => Some(false),
        Err(_) => None,
    }
}

#[test]
fn both_take_what_both_know() {
    for line in LINES {
        assert!(ours(line), "{line}");
        assert_eq!(theirs(line), Some(true), "{line}");
    }
}

/// Lines in which we differ, and why that is right.
fn is_known_difference(line: &str) -> bool {
    let upper = line.to_ascii_uppercase();
    [
        // It has no return options.
        "RETURN",
        // Which algorithms there are is for the session to say; of THREAD's we know two.
        "COMPRESS",
        "THREAD ",
        // An empty initial response is written `=` (RFC 4959 §3).
        "AUTHENTICATE",
    ]
    .iter()
    .any(|word| upper.contains(word))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]
    #[test]
    fn both_refuse_what_is_broken(
        line in prop::sample::select(LINES),
        at in any::<prop::sample::Index>(),
        change in prop_oneof![Just(""), Just(" "), Just("("), Just(")"), Just("1"), Just("0"), Just("*"), Just(":"), Just("\""), Just("x"), Just("."), Just("\\")],
        removed in 0usize..2,
    ) {
        let at = at.index(line.len() + 1);
        let changed = format!("{}{change}{}", &line[..at], &line[(at + removed).min(line.len())..]);
        if let Some(theirs) = theirs(&changed)
            && !is_known_difference(&changed)
        {
            prop_assert_eq!(ours(&changed), theirs, "{}", changed);
        }
    }
}
