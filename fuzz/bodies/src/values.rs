//! Values and framing: what is read can be written and read again, in any cut.

use crate::Random;
use bytes::{Bytes, BytesMut};
use smtp::{
    Command, Domain, EnvelopeId, Extension, ForwardPath, Host, LocalPart, Mailbox, OriginalRecipient, Reply,
    ReplyError, ReplyParser, ReversePath,
};
use std::fmt::Display;
use std::str::FromStr;
use wire::dot::{Decoder, Encoder, Piece};
use wire::{Flaw, FlawFinder};

/// Reads each line as every kind of address.
pub fn address(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for line in text.split('\n') {
        round_trip::<Mailbox>(line);
        round_trip::<LocalPart>(line);
        round_trip::<Host>(line);
        round_trip::<ReversePath>(line);
        round_trip::<ForwardPath>(line);
        round_trip::<EnvelopeId>(line);
        round_trip::<OriginalRecipient>(line);
        if let Ok(domain) = Domain::parse(line) {
            assert_eq!(Domain::parse(domain.ascii()), Ok(domain), "a domain is not its A-labels");
        }
    }
}

fn round_trip<T: FromStr + Display + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        assert!(written.parse::<T>().is_ok_and(|again| again == value), "{text:?} -> {written:?}");
    }
}

/// Reads each line as a command, and as an extension.
pub fn command(input: &[u8]) {
    for line in input.split(|octet| *octet == b'\n') {
        if let Ok(command) = Command::parse(line) {
            let written = command.to_string();
            assert_eq!(Command::parse(written.as_bytes()), Ok(command), "{written}");
        }
        if let Ok(text) = std::str::from_utf8(line) {
            let extension = Extension::parse(text);
            assert_eq!(Extension::parse(&extension.to_string()), extension);
        }
    }
}

/// Reads replies whole and in pieces; writes them and reads them again. The first octet chooses the cuts.
pub fn reply(input: &[u8]) {
    let [seed, octets @ ..] = input else { return };
    let whole = replies([octets].into_iter());
    assert_eq!(replies(Random::new(u64::from(*seed)).cut(octets).into_iter()), whole);
    for reply in &whole.0 {
        let mut out = BytesMut::new();
        reply.encode(&mut out);
        assert!(out.is_ascii());
        let (again, error) = replies([&out[..]].into_iter());
        // What began as text may look like a status when it is written again, and long lines are wrapped.
        assert_eq!((again.len(), error), (1, None), "{reply:?}");
        assert_eq!(again[0].code(), reply.code());
    }
}

fn replies<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Reply>, Option<ReplyError>) {
    let mut parser = ReplyParser::new();
    let mut found = Vec::new();
    for piece in pieces {
        parser.receive(piece);
        loop {
            match parser.next_reply() {
                Ok(Some(reply)) => found.push(reply),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

/// Reads dot-stuffed content whole and in pieces; writes it and reads it again. The first octet chooses the
/// cuts.
pub fn dot(input: &[u8]) {
    let [seed, octets @ ..] = input else { return };
    let mut random = Random::new(u64::from(*seed));
    let whole = decode([octets].into_iter());
    assert_eq!(decode(random.cut(octets).into_iter()), whole);
    let (content, ended, flaw) = whole;
    let mut finder = FlawFinder::new();
    for piece in random.cut(&content) {
        finder.read(piece);
    }
    let mut encoder = Encoder::new();
    let mut encoded = Vec::new();
    for piece in random.cut(&content) {
        match encoder.encode(Bytes::copy_from_slice(piece)) {
            Ok(piece) => encoded.extend_from_slice(&piece),
            Err(_) => {
                assert!(finder.finish().is_some(), "the encoder refuses what has no flaw");
                return;
            }
        }
    }
    match encoder.finish() {
        Err(_) => assert!(finder.finish().is_some(), "the encoder refuses what has no flaw"),
        Ok(end) => {
            assert_eq!(finder.finish(), None, "the encoder takes what has a flaw");
            encoded.extend_from_slice(end);
            let (mut again, ended_again, _) = decode([&encoded[..]].into_iter());
            if !content.is_empty() && !content.ends_with(b"\r\n") {
                again.truncate(again.len() - 2);
            }
            assert_eq!((again, ended_again), (content, true));
            assert!(!ended || flaw.is_none(), "the flaw of whole content is in it");
        }
    }
}

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, bool, Option<Flaw>) {
    let mut decoder = Decoder::new();
    let mut input = BytesMut::new();
    let mut content = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Some(Piece::Content(bytes)) => content.extend_from_slice(&bytes),
                Some(Piece::End) => return (content, true, decoder.flaw()),
                None => break,
            }
        }
        assert!(input.len() <= 2, "too much is held");
    }
    (content, false, decoder.flaw())
}
