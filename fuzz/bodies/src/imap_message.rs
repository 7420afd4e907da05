//! What a message makes of the server's answers by IMAP: its structure, its sections, what it is sorted, threaded and searched by.

use crate::imap_answer::{Value, items};
use bytes::Bytes;
use imap::answer::{NewKeywords, Status};
use imap::server::{Config, Event, Request, Selection, Server};
use imap::{Date, SearchKey, SortKey, ThreadAlgorithm};
use server::imap::outside::{gist, means, searchable, sorted_by, tell, threads};
use std::sync::Arc;
use std::time::Instant;
use wire::sasl::InClear;
use wire::{Endpoint, Step};

/// The input is a message.
///
/// Holds: no panic; all that is told of it is one well-formed answer, whichever strings the client knows; the sections are what they should
/// be; everything has its place in the threads once; a gist is bounded and never says otherwise than the text; what a search finds is in what
/// the store is told to be searchable.
pub fn imap_message(input: &[u8]) {
    for enable in ["", "x ENABLE IMAP4rev2 UTF8=ACCEPT\r\n"] {
        told(input, &items(&answer(input, enable)));
    }
    let headers: Vec<&[u8]> = input.split(|octet| *octet == 0).take(8).collect();
    for algorithm in [ThreadAlgorithm::OrderedSubject, ThreadAlgorithm::References] {
        threaded(&headers, algorithm);
    }
    for key in [SortKey::Date, SortKey::Subject, SortKey::From, SortKey::To, SortKey::DisplayFrom] {
        assert!(sorted_by(key, input).len() < 100_000);
    }
    let subject = String::from_utf8_lossy(&input[..input.len().min(2000)]);
    let base = message::subject::base(&subject);
    assert_eq!(message::subject::base(&base.text).text, base.text, "the base of a base");
    searched(input);
}

/// All items of the message, as a client gets them.
fn answer(text: &[u8], enable: &str) -> Vec<u8> {
    let mechanisms = vec!["PLAIN".to_owned()];
    let config = Config { in_clear: InClear::Allow, mechanisms, ..Config::new("mx.example") };
    let mut server = Server::new(Arc::new(config));
    let text = Bytes::copy_from_slice(text);
    let said = format!("a LOGIN a b\r\n{enable}c SELECT INBOX\r\nd FETCH 1 ({})\r\n", wanted());
    server.receive(said.as_bytes());
    let (mut said, now) = (Vec::new(), Instant::now());
    loop {
        match server.step(now) {
            Step::Send(octets) => said.extend_from_slice(&octets),
            Step::Event(Event::Auth(_)) => server.grant(),
            Step::Event(Event::Request(request)) => {
                match *request {
                    Request::Select { .. } => server.select(selection()),
                    Request::Fetch(fetch) => {
                        assert!(server.begin_message(1), "it is there");
                        tell(&mut server, &text, &fetch.items);
                        server.end_message();
                    }
                    _ => {}
                }
                server.finish(Status::ok("done"));
            }
            Step::Event(Event::Refused { line, .. }) => panic!("{}", String::from_utf8_lossy(&line)),
            Step::Event(_) => {}
            Step::Wait(_) => return said,
            Step::StartTls | Step::Close => panic!("nobody asked for that"),
        }
    }
}

/// Every item of FETCH, and every kind of section of some parts.
fn wanted() -> String {
    let mut items = "UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE PREVIEW RFC822.HEADER \
        BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[]<3.20> BODY.PEEK[HEADER.FIELDS (Subject From)] \
        BODY.PEEK[HEADER.FIELDS.NOT (Subject X)]"
        .to_owned();
    for part in ["1", "2", "1.1", "1.2", "2.1", "1.1.1"] {
        for text in ["", ".MIME", ".HEADER", ".TEXT", ".HEADER.FIELDS (To)", ".HEADER.FIELDS.NOT (To)"] {
            items += &format!(" BODY.PEEK[{part}{text}]<0.300>");
        }
        items += &format!(" BINARY.PEEK[{part}]<1.300> BINARY.SIZE[{part}]");
    }
    items
}

fn selection() -> Selection {
    Selection {
        name: "INBOX".to_owned(),
        attributes: Vec::new(),
        mailbox_id: "F1".to_owned(),
        view: [1].into_iter().collect(),
        flags: Vec::new(),
        new_keywords: NewKeywords::MayBeMade,
        uid_validity: 7,
        uid_next: 2,
        highest_mod_seq: 1,
        first_unseen: None,
    }
}

fn told(input: &[u8], items: &[(Vec<u8>, Value)]) {
    let find = |wanted: &[u8]| items.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let value = |name: &str| find(name.as_bytes()).unwrap_or_else(|| panic!("{name} is not told"));
    value("ENVELOPE").check_envelope();
    value("BODY").check_body(false);
    value("BODYSTRUCTURE").check_body(true);
    assert_eq!(value("BODY[]").text(), input);
    let [header, text] = ["BODY[HEADER]", "BODY[TEXT]"].map(|name| value(name).text());
    assert_eq!([header, text].concat(), input, "header and text are the message");
    assert_eq!(value("RFC822.HEADER").text(), header);
    let end = input.len().min(23);
    assert_eq!(value("BODY[]<3>").text(), &input[end.min(3)..end]);
    assert!(value("PREVIEW").is_nil() || value("PREVIEW").text().len() <= 4 * message::PREVIEW_CHARS);
}

fn threaded(headers: &[&[u8]], algorithm: ThreadAlgorithm) {
    let told = threads(headers, algorithm);
    let mut uids: Vec<u32> = told.iter().filter_map(|one| one.uid).collect();
    uids.sort_unstable();
    assert!(uids.iter().copied().eq(1..=headers.len() as u32), "{uids:?}: each once");
    let mut depth = None;
    for one in &told {
        assert!(one.depth <= depth.map_or(0, |depth| depth + 1), "{told:?}");
        assert!(one.uid.is_some() || one.depth == 0, "{told:?}");
        depth = Some(one.depth);
    }
}

fn searched(input: &[u8]) {
    let fields = input.iter().filter(|octet| **octet == b'\n').count() + 1;
    // What of a field is not kept says so in 3 octets.
    assert!(gist(input).len() <= store::GIST_MAX + 3 * fields);
    let mut pieces = String::new();
    searchable(input, &mut |piece| pieces += &format!("\0{}", piece.to_lowercase()));
    let day = Date { year: 2026, month: 1, day: 6 };
    for at in (0..4).map(|quarter| quarter * input.len() / 4) {
        let wanted = input[at..].iter().take(5).copied().collect::<Vec<u8>>();
        // No criterion has a NUL (RFC 9051 §9).
        if wanted.contains(&0) {
            continue;
        }
        let all = [
            SearchKey::Subject(wanted.clone()),
            SearchKey::From(wanted.clone()),
            SearchKey::To(wanted.clone()),
            SearchKey::Header("Message-ID".to_owned(), wanted.clone()),
            SearchKey::Not(Box::new(SearchKey::Cc(wanted.clone()))),
            SearchKey::SentSince(day),
            SearchKey::Body(wanted.clone()),
            SearchKey::Text(wanted.clone()),
        ];
        for key in all {
            let (by_gist, by_text) = means(&key, input);
            assert!(by_gist.is_none_or(|by_gist| by_gist == by_text), "{key:?}: the gist says otherwise");
            if by_text && matches!(key, SearchKey::Text(_) | SearchKey::Body(_)) {
                let lower = String::from_utf8_lossy(&wanted).to_lowercase();
                assert!(pieces.contains(&lower), "{key:?} would not be found");
            }
        }
    }
}
