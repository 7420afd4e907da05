//! Every transcript of `tests/chat`, held against the server endpoint: whole, octet by octet, in random
//! pieces, and pipelined.

#![forbid(unsafe_code)]

use sim::chat::{Chat, Pace};
use std::path::Path;

const SEEDS: u64 = 25;

fn chats() -> Vec<Chat> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chat");
    Chat::read_all(&directory).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn every_chat_holds_in_every_pace() {
    let paces = [Pace::Whole, Pace::Octets, Pace::Pipelined].into_iter().chain((0..SEEDS).map(Pace::Random));
    let paces: Vec<Pace> = paces.collect();
    let mut failures = Vec::new();
    for chat in chats() {
        // The first pace that fails says enough about a chat.
        if let Some((pace, failure)) =
            paces.iter().find_map(|pace| chat.run(*pace).err().map(|failure| (pace, failure)))
        {
            failures.push(format!("{failure}\n({pace})\n"));
        }
    }
    assert!(failures.is_empty(), "\n\n{}", failures.join("\n"));
}

#[test]
fn a_chat_that_does_not_hold_says_where() {
    for (text, line, what) in [
        ("S: 220 mx.example ESMTP\nC: NOOP\nS: 250 2.0.0 Okay", 3, "expected  250 2.0.0 Okay"),
        ("S: 220 ...\nC: NOOP", 2, "expected  nothing more"),
        ("S: 220 ...\nC: NOOP\nS: 250 2.0.0 Ok\nS: 250 2.0.0 Ok", 4, "not all came"),
        ("S: 220 ...\nC: EHLO x\nS: ...\n! mail <>\nC: QUIT\nS: 221 ...", 4, "the event did not come"),
        ("S: 220 ...\nC: QUIT\nS: 221 ...\nC: NOOP\nS: 250 ...", 4, "the connection is closed"),
        ("S: 220 ...\nC: NOOP\nS: 250 ...\n! close", 2, "still open"),
    ] {
        let chat = Chat::parse(Path::new("test.chat"), text).expect("it can be read");
        let failure = chat.run(Pace::Whole).expect_err("it does not hold");
        assert_eq!((failure.line, failure.what.contains(what)), (line, true), "{failure}");
    }
}

#[test]
fn a_chat_that_cannot_be_read_says_where() {
    for (text, line) in [("", 1), ("S: 220\nX", 2), ("! nonsense", 1), ("config: nonsense", 1), ("C: \\q", 1)]
    {
        let failure = Chat::parse(Path::new("test.chat"), text).expect_err("it cannot be read");
        assert_eq!(failure.line, line, "{failure}");
    }
}
