//! Content that is refused, or mended, is so in the same way however it was cut.

use proptest::prelude::*;
use smtp::replies;
use smtp::server::{Config, Event, LineEndings, Server};
use std::sync::Arc;
use std::time::Instant;
use wire::{Endpoint, Step};

/// What was answered after the envelope, and what the application made of the content.
#[derive(Debug, PartialEq)]
struct Ending {
    replies: String,
    /// The content of a message that came to its end.
    content: Option<Vec<u8>>,
}

struct Session {
    server: Server,
    replies: String,
    content: Vec<u8>,
    ended: bool,
}

impl Session {
    fn run<'a>(config: &Config, command: &str, pieces: impl Iterator<Item = &'a [u8]>) -> Ending {
        let server = Server::new(Arc::new(config.clone()));
        let mut session = Session { server, replies: String::new(), content: Vec::new(), ended: false };
        session.hear(b"");
        session.hear(b"EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n");
        session.replies.clear();
        session.hear(command.as_bytes());
        for piece in pieces {
            session.hear(piece);
        }
        Ending { replies: session.replies, content: session.ended.then_some(session.content) }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.server.receive(bytes);
        loop {
            match self.server.step(Instant::now()) {
                Step::Send(bytes) => self.replies.push_str(&String::from_utf8_lossy(&bytes)),
                Step::Event(event) => self.event(event),
                Step::StartTls => panic!("nobody asked for TLS"),
                Step::Wait(_) | Step::Close => return,
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Content(bytes) => self.content.extend_from_slice(&bytes),
            Event::End => {
                self.ended = true;
                self.server.reply(replies::queued(1));
            }
            Event::Hello(_) => self.server.reply(replies::OK.with_text("mx.example")),
            Event::Mail(_) => self.server.reply(replies::SENDER_OK),
            Event::Rcpt(_) => self.server.reply(replies::RECIPIENT_OK),
            _ => {}
        }
    }
}

/// Text with every flaw there is, some of it too long.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\n".to_vec()),
        1 => Just(vec![0]),
        1 => Just(b".".to_vec()),
        12 => "[a-z.]{1,9}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

fn config() -> impl Strategy<Value = Config> {
    let endings = prop_oneof![Just(LineEndings::Strict), Just(LineEndings::Normalise)];
    let line = prop_oneof![Just(None), Just(Some(0)), Just(Some(12)), Just(Some(25))];
    let size = prop_oneof![Just(0u64), 20u64..200];
    (endings, line, size).prop_map(|(line_endings, text_line_max, max_message_size)| Config {
        line_endings,
        text_line_max,
        max_message_size,
        ..Config::new("mx.example")
    })
}

fn cut<'a>(bytes: &'a [u8], cuts: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = bytes;
    let mut cuts = cuts.iter().cycle();
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at((*cuts.next()?).min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn data_is_judged_the_same_however_it_is_cut(
        config in config(),
        text in text(),
        cuts in prop::collection::vec(1usize..20, 1..8),
    ) {
        let sent = [text.as_slice(), b"\r\n.\r\n"].concat();
        let whole = Session::run(&config, "DATA\r\n", std::iter::once(&sent[..]));
        prop_assert_eq!(&Session::run(&config, "DATA\r\n", cut(&sent, &cuts)), &whole);
        if let Some(content) = whole.content {
            assert_fit(&config, &content);
        }
    }

    #[test]
    fn chunks_are_judged_the_same_however_they_are_cut(
        config in config(),
        text in text(),
        cuts in prop::collection::vec(1usize..20, 1..8),
    ) {
        let command = format!("BDAT {} LAST\r\n", text.len());
        let whole = Session::run(&config, &command, std::iter::once(&text[..]));
        prop_assert_eq!(&Session::run(&config, &command, cut(&text, &cuts)), &whole);
        if let Some(content) = whole.content {
            assert_fit(&config, &content);
        }
    }
}

/// Accepted content holds what the settings promise.
fn assert_fit(config: &Config, content: &[u8]) {
    let text = String::from_utf8(content.to_vec()).expect("ASCII");
    assert!(config.max_message_size == 0 || text.len() as u64 <= config.max_message_size);
    assert!(!text.contains('\0'));
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert!(lines.iter().all(|line| !line.contains(['\r', '\n'])), "{text:?}");
    if let Some(max) = config.text_line_max {
        assert!(lines.iter().all(|line| line.len() <= max), "{text:?}");
    }
}
