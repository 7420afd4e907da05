//! What RETR and TOP send, for any text in any pieces: undone, it is the text again.

#![forbid(unsafe_code)]

use pop3::server::{Auth, Config, Event, Message, Server};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Instant;
use wire::sasl::InClear;
use wire::{Endpoint, Step};

/// Everything that the server says to `command`, where the only message comes in these pieces.
fn said(command: &str, pieces: &[Vec<u8>]) -> Vec<u8> {
    let config = Config {
        mechanisms: vec!["PLAIN".to_owned()],
        in_clear: InClear::Allow,
        ..Config::new("mx.example")
    };
    let mut server = Server::new(Arc::new(config));
    server.receive(format!("USER a\r\nPASS b\r\n{command}\r\n").as_bytes());
    let mut pieces = pieces.iter();
    let mut out = Vec::new();
    loop {
        match server.step(Instant::now()) {
            Step::Send(bytes) => out.extend_from_slice(&bytes),
            Step::Event(Event::Auth(Auth { .. })) => server.open(vec![Message { octets: 1, unique: 1 }]),
            Step::Event(Event::Retrieve(1)) => server.begin(),
            Step::Event(Event::More) => match pieces.next() {
                Some(piece) => server.content(piece.clone().into()),
                None => server.end_of_content(),
            },
            Step::Event(Event::Retrieved) => {}
            Step::Wait(_) => break,
            other => panic!("{other:?}"),
        }
    }
    let reply = b"(1 octets)\r\n";
    let at = memchr::memmem::find(&out, reply).expect("the login went well") + reply.len();
    let line = memchr::memchr(b'\n', &out[at..]).expect("a reply") + 1;
    out.split_off(at + line)
}

/// The text with whole line ends, also at its end.
fn normalised(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, octet) in text.iter().enumerate() {
        let after_cr = n > 0 && text[n - 1] == b'\r';
        match octet {
            b'\n' if after_cr => {}
            b'\n' | b'\r' => out.extend_from_slice(b"\r\n"),
            octet => out.push(*octet),
        }
    }
    if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The first lines: the header section, the empty line, and so many.
fn top(text: &[u8], lines: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut left = None;
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        if left == Some(0) {
            break;
        }
        out.extend_from_slice(line);
        match left {
            Some(lines) => left = Some(lines - 1),
            None if line == b"\r\n" => left = Some(lines),
            None => {}
        }
    }
    out
}

/// Undoes the dots; what comes after the final one is a fault.
fn undone(said: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut lines = said.split_inclusive(|octet| *octet == b'\n');
    for line in &mut lines {
        assert!(line.ends_with(b"\r\n"), "a line has a whole end");
        match line {
            b".\r\n" => break,
            [b'.', rest @ ..] => out.extend_from_slice(rest),
            line => out.extend_from_slice(line),
        }
    }
    assert_eq!(lines.next(), None, "nothing follows the end");
    assert!(said.ends_with(b".\r\n"));
    out
}

fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let octet = prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a'), any::<u8>()];
    prop::collection::vec(prop::collection::vec(octet, 0..12), 0..12)
}

proptest! {
    #[test]
    fn retr_sends_the_text(pieces in pieces()) {
        let text = normalised(&pieces.concat());
        prop_assert_eq!(undone(&said("RETR 1", &pieces)), text);
    }

    #[test]
    fn top_sends_its_top(pieces in pieces(), lines in 0usize..5) {
        let text = top(&normalised(&pieces.concat()), lines);
        prop_assert_eq!(undone(&said(&format!("TOP 1 {lines}"), &pieces)), text);
    }
}
