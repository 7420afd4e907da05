//! Every transcript of `tests/classroom`, held against the endpoint of the classroom's protocol: whole, octet by octet, and in random
//! pieces.
//!
//! `config:` lines: `max-size OCTETS`, `trouble` (nothing can be kept), `hidden` (no mailbox may be shown). Mailboxes are those of
//! john, david and mary in test.com; the date is 15-08-2025.

#![forbid(unsafe_code)]

use classroom::{Address, Config, Event, Server, Status};
use sim::chat::Pace;
use sim::chat::script::{Script, Subject};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const SEEDS: u64 = 25;

/// A server with mailboxes: for each the senders and texts.
struct Room {
    server: Server,
    mailboxes: BTreeMap<String, Vec<(Address, String)>>,
    sender: Option<Address>,
    recipients: Vec<Address>,
    text: String,
    showing: Option<String>,
    trouble: bool,
    hidden: bool,
}

impl Room {
    fn new(script: &Script) -> Room {
        let mut config = Config::default();
        let (mut trouble, mut hidden) = (false, false);
        for setting in script.settings() {
            match setting.split_once(' ') {
                Some(("max-size", octets)) => config.max_message_size = octets.parse().expect("a number"),
                None if setting == "trouble" => trouble = true,
                None if setting == "hidden" => hidden = true,
                _ => panic!("there is no setting `{setting}`"),
            }
        }
        let mailboxes = ["john", "david", "mary"].map(|name| (format!("{name}@test.com"), Vec::new())).into();
        Room {
            server: Server::new(Arc::new(config)),
            mailboxes,
            sender: None,
            recipients: Vec::new(),
            text: String::new(),
            showing: None,
            trouble,
            hidden,
        }
    }

    /// The texts of a mailbox, if they may be shown.
    fn open(&self, address: &Address) -> Result<&[(Address, String)], Status> {
        match self.mailboxes.get(address.as_str()) {
            _ if self.hidden => Err(Status::Forbidden),
            Some(texts) => Ok(texts),
            None => Err(Status::NotFound),
        }
    }

    fn list(&self, address: &Address) -> Result<String, Status> {
        let texts = self.open(address)?.iter().zip(1..);
        Ok(texts.map(|((from, _), n)| format!("{n}: Email from {from} (15-08-2025)\r\n")).collect())
    }

    fn text(&self, address: &Address, number: u32) -> Result<String, Status> {
        let index = number.checked_sub(1).ok_or(Status::NotFound)?;
        let (from, text) = self.open(address)?.get(index as usize).ok_or(Status::NotFound)?;
        Ok(format!("From: {from}\r\nDate: 15-08-2025\r\n{text}"))
    }

    fn show(&mut self, what: Result<String, Status>) {
        match what {
            Ok(text) => {
                self.showing = Some(text);
                self.server.reply(Status::Ok);
            }
            Err(status) => self.server.reply(status),
        }
    }

    fn keep(&mut self) {
        let text = std::mem::take(&mut self.text);
        if self.trouble {
            return self.server.reply(Status::ServerError);
        }
        let sender = self.sender.take().expect("a sender");
        for recipient in self.recipients.drain(..) {
            let mailbox = self.mailboxes.get_mut(recipient.as_str()).expect("it was accepted");
            mailbox.push((sender.clone(), text.clone()));
        }
        self.server.reply(Status::Ok);
    }
}

impl Subject for Room {
    type Endpoint = Server;

    fn endpoint(&mut self) -> &mut Server {
        &mut self.server
    }

    fn event(&mut self, event: Event) -> Option<String> {
        let note = match &event {
            Event::Closing(closing) => format!("closing {closing:?}"),
            Event::Content(_) => "content".to_owned(),
            Event::Abort => "abort".to_owned(),
            other => format!("{other:?}"),
        };
        match event {
            Event::Mail(sender) => {
                (self.sender, self.text) = (Some(sender), String::new());
                self.recipients.clear();
                self.server.reply(Status::Ok);
            }
            Event::Rcpt(recipient) if self.mailboxes.contains_key(recipient.as_str()) => {
                self.recipients.push(recipient);
                self.server.reply(Status::Ok);
            }
            Event::Rcpt(_) => self.server.reply(Status::NotFound),
            Event::Content(bytes) => self.text += std::str::from_utf8(&bytes).expect("ASCII"),
            Event::End => self.keep(),
            Event::Abort => self.text.clear(),
            Event::List(address) => self.show(self.list(&address)),
            Event::GetMail(address, number) => self.show(self.text(&address, number)),
            Event::More => match self.showing.take() {
                Some(text) => self.server.show(text.as_bytes()),
                None => self.server.shown(),
            },
            Event::Helo(_) | Event::Refused { .. } | Event::Closing(_) => {}
        }
        Some(note)
    }

    fn shut_down(&mut self) {
        self.server.shut_down();
    }
}

#[test]
fn every_chat_holds_in_every_pace() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/classroom");
    let scripts = Script::read_all(&directory).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(scripts.len() >= 8, "only {} transcripts were found", scripts.len());
    let paces: Vec<Pace> =
        [Pace::Whole, Pace::Octets].into_iter().chain((0..SEEDS).map(Pace::Random)).collect();
    for script in &scripts {
        for pace in &paces {
            let run = script.run(&mut Room::new(script), *pace);
            run.unwrap_or_else(|failure| panic!("{failure}\n({pace})"));
        }
    }
}
