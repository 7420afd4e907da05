//! Framing does not depend on how the input is cut: each property compares pieces with the whole, or with a
//! naive model.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use wire::dot::{Decoder, Encoder, Piece};
use wire::{Flaw, FlawFinder, Line, LineBuffer, Normaliser};

const MAX: usize = 12;

fn lines(pieces: &[&[u8]]) -> Vec<Line> {
    let mut buffer = LineBuffer::new();
    let mut found = Vec::new();
    for piece in pieces {
        buffer.receive(piece);
        while let Some(line) = buffer.next_line(MAX) {
            found.push(line);
        }
        assert!(buffer.len() < MAX, "{} bytes held", buffer.len());
    }
    found
}

/// Decodes; returns content, what was left after the end (if it came), and the flaw.
fn decode(pieces: &[&[u8]]) -> (Vec<u8>, Option<Vec<u8>>, Option<Flaw>) {
    let mut decoder = Decoder::new();
    let mut input = BytesMut::new();
    let mut content = Vec::new();
    let mut ended = false;
    for piece in pieces {
        input.extend_from_slice(piece);
        while !ended {
            match decoder.decode(&mut input) {
                Some(Piece::Content(bytes)) => {
                    assert!(!bytes.is_empty());
                    content.extend_from_slice(&bytes);
                }
                Some(Piece::End) => ended = true,
                None => break,
            }
        }
        assert!(ended || input.len() <= 2, "{} bytes held", input.len());
    }
    assert_eq!(decoder.size(), content.len() as u64);
    (content, ended.then(|| input.to_vec()), decoder.flaw())
}

fn each(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.chunks(1).collect()
}

fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    for cut in cuts {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// Bytes in which everything that matters is common.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(
        prop_oneof![
            3 => Just(b"\r\n".to_vec()),
            2 => Just(b".".to_vec()),
            2 => Just(b"\r".to_vec()),
            2 => Just(b"\n".to_vec()),
            1 => Just(vec![0]),
            3 => Just(b"ab".to_vec()),
            1 => Just(b"\r\n.\r\n".to_vec()),
        ],
        0..24,
    )
    .prop_map(|parts| parts.concat())
}

fn complete(line: &'static str) -> Line {
    Line::Complete(Bytes::from_static(line.as_bytes()))
}

#[test]
fn only_crlf_ends_a_line() {
    assert_eq!(lines(&[b"NOOP\r\n\r\nQUIT\r\nrest"]), [complete("NOOP"), complete(""), complete("QUIT")]);
    assert_eq!(
        lines(&[b"a\nb\r\nc\r\n"]),
        [Line::BareEnding(Bytes::from_static(b"a")), complete("c")],
        "a bare LF spoils its line and does not end it"
    );
    assert_eq!(lines(&[b"a\r\r\nc\r\n"]), [Line::BareEnding(Bytes::from_static(b"a")), complete("c")]);
}

#[test]
fn a_bare_lf_is_reported_without_waiting_for_the_crlf() {
    assert_eq!(lines(&[b"EHLO x\n"]), [Line::BareEnding(Bytes::from_static(b"EHLO x"))]);
}

#[test]
fn a_line_may_have_the_whole_limit_and_no_more() {
    assert_eq!(lines(&[b"0123456789\r\n"]), [complete("0123456789")]);
    assert_eq!(
        lines(&[b"0123456789a\r\nNOOP\r\n"]),
        [Line::TooLong(Bytes::from_static(b"0123456789a")), complete("NOOP")]
    );
    let long = [b"x".repeat(100_000), b"\r\nNOOP\r\n".to_vec()].concat();
    assert_eq!(lines(&[&long]), [Line::TooLong(Bytes::from_static(b"xxxxxxxxxxxx")), complete("NOOP")]);
}

#[test]
fn nothing_but_crlf_dot_crlf_ends_content() {
    for (text, flaw) in [
        ("a\n.\nb", Flaw::BareLf),
        ("a\n.\r\nb", Flaw::BareLf),
        ("a\r\n.\nb", Flaw::BareLf),
        ("a\r.\rb", Flaw::BareCr),
        ("a\r\n.\rb", Flaw::BareCr),
        ("a\r.\r\nb", Flaw::BareCr),
        ("a\r\r\n.\rb", Flaw::BareCr),
        ("a\r\n\x00.\r\nb", Flaw::Nul),
        ("a\r\n.\x00\r\nb", Flaw::Nul),
        ("a\n\r.\r\nb", Flaw::BareLf),
    ] {
        let (_, rest, found) = decode(&[text.as_bytes()]);
        assert_eq!((rest, found), (None, Some(flaw)), "{text:?}");
        let whole = format!("{text}\r\n.\r\nQUIT\r\n");
        let (_, rest, found) = decode(&[whole.as_bytes()]);
        assert_eq!((rest, found), (Some(b"QUIT\r\n".to_vec()), Some(flaw)), "{whole:?}");
    }
}

#[test]
fn a_dot_on_the_first_line_ends_an_empty_message() {
    assert_eq!(decode(&[b".\r\nQUIT"]), (vec![], Some(b"QUIT".to_vec()), None));
    assert_eq!(decode(&[b"..\r\n.\r\n"]), (b".\r\n".to_vec(), Some(vec![]), None));
}

#[test]
fn content_is_not_copied() {
    let mut input = BytesMut::from(&b"one\r\ntwo\r\n.\r\n"[..]);
    let start = input.as_ptr();
    let Some(Piece::Content(content)) = Decoder::new().decode(&mut input) else { panic!("content comes") };
    assert_eq!(content.as_ptr(), start);
    let piece = Bytes::from_static(b"one\r\ntwo.\r\n");
    let encoded = Encoder::new().encode(piece.clone()).expect("there is no flaw");
    assert_eq!(encoded.as_ptr(), piece.as_ptr());
}

#[test]
fn the_encoder_refuses_what_could_be_misread() {
    for text in ["a\nb", "\n", "a\rb", "a\r\r\n", "a\0b"] {
        assert!(Encoder::new().encode(Bytes::from(text)).is_err(), "{text:?}");
    }
    let mut encoder = Encoder::new();
    encoder.encode(Bytes::from_static(b"a\r")).expect("an LF may follow");
    assert_eq!(encoder.finish(), Err(Flaw::BareCr));
}

proptest! {
    #[test]
    fn lines_do_not_depend_on_cuts(input in hostile(), cuts in prop::collection::vec(0usize..8, 0..20)) {
        let whole = lines(&[&input]);
        prop_assert_eq!(&lines(&each(&input)), &whole);
        prop_assert_eq!(&lines(&cut(&input, &cuts)), &whole);
    }

    #[test]
    fn decoding_does_not_depend_on_cuts(input in hostile(), cuts in prop::collection::vec(0usize..8, 0..20)) {
        let whole = decode(&[&input]);
        prop_assert_eq!(&decode(&each(&input)), &whole);
        prop_assert_eq!(&decode(&cut(&input, &cuts)), &whole);
    }

    #[test]
    fn the_end_is_where_a_search_finds_it(input in hostile()) {
        let line_start = [b"\r\n".to_vec(), input.clone()].concat();
        let end = line_start.windows(5).position(|window| window == b"\r\n.\r\n");
        let (content, rest, _) = decode(&[&input]);
        match end {
            None => prop_assert_eq!(rest, None),
            Some(at) => {
                prop_assert_eq!(rest.as_deref(), Some(&line_start[at + 5..]));
                let stuffed = &input[..at];
                let mut model = Vec::new();
                for (n, octet) in stuffed.iter().enumerate() {
                    if *octet != b'.' || !(n == 0 || stuffed[..n].ends_with(b"\r\n")) {
                        model.push(*octet);
                    }
                }
                prop_assert_eq!(content, model);
            }
        }
    }

    #[test]
    fn flaws_are_the_same_with_and_without_dots(input in hostile(), cuts in prop::collection::vec(0usize..8, 0..20)) {
        let mut finder = FlawFinder::new();
        for piece in cut(&input, &cuts) {
            finder.read(piece);
        }
        let naive = (0..input.len()).find_map(|n| match input[n] {
            b'\r' if input.get(n + 1) != Some(&b'\n') => Some(Flaw::BareCr),
            b'\n' if n == 0 || input[n - 1] != b'\r' => Some(Flaw::BareLf),
            0 => Some(Flaw::Nul),
            _ => None,
        });
        prop_assert_eq!(finder.finish(), naive);
    }

    #[test]
    fn a_flaw_is_found_in_the_same_place_however_the_content_is_cut(
        input in hostile(),
        cuts in prop::collection::vec(0usize..8, 0..20),
    ) {
        // Without dots nothing is removed, so that the decoder counts the same octets.
        let input: Vec<u8> = input.into_iter().map(|octet| if octet == b'.' { b'x' } else { octet }).collect();
        let whole = FlawFinder::new().read_at(&input).map(|(flaw, at)| (flaw, at as u64));
        let (mut finder, mut decoder) = (FlawFinder::new(), Decoder::new());
        let (mut before, mut found) = (0, None);
        let mut buffer = BytesMut::new();
        for piece in cut(&input, &cuts) {
            found = found.or(finder.read_at(piece).map(|(flaw, at)| (flaw, (before + at) as u64)));
            before += piece.len();
            buffer.extend_from_slice(piece);
            while decoder.decode(&mut buffer).is_some() {}
        }
        prop_assert_eq!(found, whole);
        prop_assert_eq!(decoder.flaw_at(), whole);
    }

    #[test]
    fn bare_line_endings_are_mended(input in hostile(), cuts in prop::collection::vec(0usize..8, 0..20)) {
        let mut normaliser = Normaliser::new();
        let pieces = cut(&input, &cuts).into_iter().map(Bytes::copy_from_slice);
        let mut mended = pieces.map(|piece| normaliser.normalise(piece)).collect::<Vec<_>>().concat();
        mended.extend_from_slice(normaliser.finish());
        // As a text editor does it: all three endings are one.
        let naive = String::from_utf8(input).expect("ASCII").replace("\r\n", "\n").replace('\r', "\n");
        prop_assert_eq!(String::from_utf8(mended).expect("ASCII"), naive.replace('\n', "\r\n"));
    }

    #[test]
    fn what_is_encoded_is_decoded(
        lines in prop::collection::vec("[.]{0,2}[a-z.]{0,5}", 0..12),
        cuts in prop::collection::vec(0usize..8, 0..20),
        other_cuts in prop::collection::vec(0usize..8, 0..20),
    ) {
        let content: String = lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect();
        let mut encoder = Encoder::new();
        let mut sent = Vec::new();
        for piece in cut(content.as_bytes(), &cuts) {
            sent.extend_from_slice(&encoder.encode(Bytes::copy_from_slice(piece)).expect("there is no flaw"));
        }
        sent.extend_from_slice(encoder.finish().expect("there is no flaw"));
        sent.extend_from_slice(b"QUIT\r\n");
        let (received, rest, flaw) = decode(&cut(&sent, &other_cuts));
        prop_assert_eq!(received, content.into_bytes());
        prop_assert_eq!(rest.as_deref(), Some(&b"QUIT\r\n"[..]));
        prop_assert_eq!(flaw, None);
    }
}
