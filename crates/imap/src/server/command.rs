//! Commands: read, obeyed or refused, by the state of the connection (RFC 9051 §6).

use super::{Access, Asked, Closing, Event, Expunges, Kind, List, Question, Request, Server, State, replies};
use crate::answer::data::{write_id, write_names};
use crate::answer::{Namespaces, Status, Untagged};
use crate::{Assembled, Body, Command, ListOptions, Mailbox, SelectParameter, StatusItem};
use bytes::Bytes;
use std::time::Instant;

impl Server {
    /// Reads a command and acts on it; says whether there was any.
    pub(super) fn command(&mut self, now: Instant) -> bool {
        let Some(found) = self.input.next_command() else {
            return self.ask_for_news() || self.starve(now);
        };
        self.deadline = None;
        match found {
            Assembled::Continue => self.continuation("Ready for the literal"),
            Assembled::Append(octets) => self.append(&octets),
            Assembled::TooLong(octets) => {
                self.refused(&octets, Command::tag_of(&octets), replies::TOO_LONG);
            }
            Assembled::Command(octets) => match Command::parse(&octets) {
                Ok(Command { tag, body }) => {
                    if let Err(status) = self.obey(tag.clone(), body) {
                        self.refused(&octets, Some(tag), status);
                    }
                }
                Err(fault) => {
                    let tag = Command::tag_of(&octets);
                    let status = match tag {
                        Some(_) => Status::bad("").saying(sentence(&fault.to_string())),
                        None => replies::NO_TAG,
                    };
                    self.refused(&octets, tag, status);
                }
            },
        }
        true
    }

    fn refused(&mut self, octets: &Bytes, tag: Option<String>, status: Status) {
        match tag {
            Some(tag) => self.tagged(&tag, &status),
            None => self.untagged_status(&status),
        }
        let line = self.loggable(octets);
        self.events.push_back(Event::Refused { line, status });
        self.count_error();
    }

    fn obey(&mut self, tag: String, body: Body) -> Result<(), Status> {
        match body {
            Body::Capability => {
                let names = self.capabilities();
                write_names(&mut self.output, "CAPABILITY", names.iter().map(String::as_str));
                self.done(&tag, "Capability completed")
            }
            Body::Noop if !self.is_selected() => self.done(&tag, "Nothing done"),
            Body::Noop => self.request(Request::Look, Asked::told(tag)),
            Body::Logout => {
                self.untagged_status(&replies::BYE);
                self.tagged(&tag, &Status::ok("Goodbye"));
                self.close(Closing::Logout);
                Ok(())
            }
            Body::Id(pairs) => {
                self.events.push_back(Event::Client(pairs.unwrap_or_default()));
                let id = self.config.clone();
                write_id(&mut self.output, &id.id);
                self.done(&tag, "Pleased to meet you")
            }
            Body::StartTls => self.start_tls(&tag),
            Body::Login { user, password } => self.login(tag, &user, &password),
            Body::Authenticate { mechanism, initial } => self.authenticate(tag, mechanism, initial),
            other if !self.is_logged_in() => {
                drop(other);
                Err(replies::LOGIN_FIRST)
            }
            Body::Compress { algorithm } => self.compress(&tag, &algorithm),
            other => self.authenticated(tag, other),
        }
    }

    /// What is possible after a login (RFC 9051 §6.3).
    fn authenticated(&mut self, tag: String, body: Body) -> Result<(), Status> {
        let asked = Asked::told(tag);
        match body {
            Body::Enable(names) => self.enable(&asked.tag, &names),
            Body::Select { mailbox, parameters } => self.open(asked, mailbox, parameters, Access::ReadWrite),
            Body::Examine { mailbox, parameters } => self.open(asked, mailbox, parameters, Access::ReadOnly),
            Body::Create { mailbox, uses } => {
                let mailbox = self.name(mailbox.0)?;
                self.request(Request::Create { mailbox, uses }, asked)
            }
            Body::Delete(mailbox) => {
                let mailbox = self.name(mailbox.0)?;
                self.request(Request::Delete(mailbox), asked)
            }
            Body::Rename { from, to } => {
                let (from, to) = (self.name(from.0)?, self.name(to.0)?);
                self.request(Request::Rename { from, to }, asked)
            }
            Body::Subscribe(mailbox) => {
                let mailbox = self.name(mailbox.0)?;
                self.request(Request::Subscribe(mailbox), asked)
            }
            Body::Unsubscribe(mailbox) => {
                let mailbox = self.name(mailbox.0)?;
                self.request(Request::Unsubscribe(mailbox), asked)
            }
            Body::List(options) => self.list(asked, options),
            Body::Lsub { reference, pattern } => {
                let (reference, pattern) = (self.pattern(reference.0), self.pattern(pattern));
                self.request(Request::Lsub { reference, pattern }, asked)
            }
            Body::Namespace => {
                self.tell(&Untagged::Namespace(Namespaces { prefix: String::new() }));
                self.done(&asked.tag, "Namespace completed")
            }
            Body::Status { mailbox, items } => {
                let mailbox = self.name(mailbox.0)?;
                if items.contains(&StatusItem::HighestModSeq) {
                    self.want_mod_seqs();
                }
                self.request(Request::Status { mailbox, items }, asked)
            }
            Body::Idle => {
                self.continuation("idling");
                self.woken = false;
                self.ask(Event::Request(Box::new(Request::Idle)), Question::Idle(asked.tag));
                Ok(())
            }
            Body::Notify(notify) => self.notify(asked, notify),
            Body::GetQuota { root } => self.request(Request::GetQuota { root }, asked),
            Body::GetQuotaRoot(mailbox) => {
                let mailbox = self.name(mailbox.0)?;
                self.request(Request::GetQuotaRoot(mailbox), asked)
            }
            Body::SetQuota { root, .. } => self.request(Request::SetQuota { root }, asked),
            other if !self.is_selected() => {
                drop(other);
                Err(replies::SELECT_FIRST)
            }
            other => self.selected(asked.tag, other),
        }
    }

    /// SELECT and EXAMINE.
    fn open(
        &mut self,
        asked: Asked,
        mailbox: Mailbox,
        parameters: Vec<SelectParameter>,
        access: Access,
    ) -> Result<(), Status> {
        let mailbox = self.name(mailbox.0)?;
        let mut qresync = None;
        for parameter in parameters {
            match parameter {
                // The mailbox's own HIGHESTMODSEQ will be told.
                SelectParameter::CondStore => self.enabled.condstore = true,
                SelectParameter::QResync(_) if !self.enabled.qresync => {
                    return Err(Status::bad("QRESYNC must be enabled first"));
                }
                SelectParameter::QResync(known) => qresync = Some(known),
            }
        }
        self.leave_mailbox();
        let asked = Asked { kind: Kind::Select(access), ..asked };
        self.request(Request::Select { mailbox, access, qresync }, asked)
    }

    fn list(&mut self, asked: Asked, options: ListOptions) -> Result<(), Status> {
        let ListOptions { selection, reference, patterns, returns } = options;
        let reference = self.pattern(reference.0);
        let patterns = patterns.into_iter().map(|pattern| self.pattern(pattern)).collect();
        self.request(Request::List(List { selection, reference, patterns, returns }), asked)
    }

    /// A pattern of names: what is no modified UTF-7 matches nothing but itself.
    fn pattern(&self, pattern: String) -> String {
        self.name(pattern.clone()).unwrap_or(pattern)
    }

    /// ENABLE (RFC 5161): what is not known is passed over.
    fn enable(&mut self, tag: &str, names: &[String]) -> Result<(), Status> {
        let (mut enabled, mut wants_mod_seqs) = (Vec::new(), false);
        for name in names {
            match name.as_str() {
                "IMAP4REV2" => {
                    self.enabled.rev2 = true;
                    enabled.push("IMAP4rev2");
                }
                "UTF8=ACCEPT" => {
                    self.enabled.utf8 = true;
                    enabled.push("UTF8=ACCEPT");
                }
                "CONDSTORE" => {
                    wants_mod_seqs = true;
                    enabled.push("CONDSTORE");
                }
                "QRESYNC" => {
                    (wants_mod_seqs, self.enabled.qresync) = (true, true);
                    enabled.push("QRESYNC");
                }
                _ => {}
            }
        }
        write_names(&mut self.output, "ENABLED", enabled);
        if wants_mod_seqs {
            self.want_mod_seqs();
        }
        self.done(tag, "Enabled")
    }

    pub(super) fn ask_done(&mut self, tag: String) {
        self.ask(Event::Request(Box::new(Request::Done)), Question::Command(Asked::told(tag)));
    }

    pub(super) fn request(&mut self, request: Request, asked: Asked) -> Result<(), Status> {
        self.ask(Event::Request(Box::new(request)), Question::Command(asked));
        Ok(())
    }

    /// Says that a command is done that asked nobody.
    pub(super) fn done(&mut self, tag: &str, text: &'static str) -> Result<(), Status> {
        self.errors = 0;
        self.tagged(tag, &Status::ok(text));
        Ok(())
    }

    pub(super) fn is_selected(&self) -> bool {
        matches!(self.state, State::Selected(_))
    }
}

impl Asked {
    /// A command that is done when the application says so, and before whose end EXPUNGE may be told.
    pub(super) fn told(tag: String) -> Asked {
        Asked { tag, kind: Kind::Plain, uid: false, expunges: Expunges::Told }
    }
}

/// With a capital letter in front.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
