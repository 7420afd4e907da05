//! Mail sent and shown by the protocol of the classroom: answers the events of [`classroom::Server`].
//!
//! Nobody logs in there, so it takes mail for mailboxes here only, and shows nothing but what it is allowed to ([`Shown`]). It is a
//! listener like the others over the same mailboxes, and off by default.

use crate::abuse::Party;
use crate::drive::Application;
use crate::inbound::transaction::{Facts, Here, Mending, Received, ReversePaths};
use crate::inbound::{Context, Peer, evaluate, shown};
use crate::policy::Verdict;
use crate::policy::recipient::{self, Onward, Routes};
use crate::settings::{Acceptance, Settings};
use crate::visit::Visit;
use classroom::{Address, Config, Event, Server, Status};
use message::{Date, Summary, View};
use smtp::server::Mail;
use smtp::{ForwardPath, MailParameters, Mailbox, Recipient, ReversePath};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use store::{AccountName, Entry, Error, MailboxId, MailboxName, Origin, Reader, SharedStore, Timestamp, Uid};
use tracing::{debug, info, warn};

/// Whose mail is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// That of everybody whose account came with the mail, in a server that catches it; an account that somebody added is its owner's.
    Caught,
    /// That of these.
    Named(BTreeSet<AccountName>),
}

/// One session.
pub(crate) struct Session {
    visit: Visit,
    message: Option<Box<Message>>,
    showing: Option<Showing>,
}

/// A message under way.
struct Message {
    received: Received,
    sender: Address,
    recipients: Vec<Address>,
    has_header: bool,
}

/// What is being shown.
enum Showing {
    /// The list of a mailbox: what comes after this entry, and how many lines there were.
    List { mailbox: MailboxId, after: Uid, lines: u32 },
    /// A message; `None` when it was shown.
    Text(Option<String>),
}

impl Shown {
    pub(crate) fn new(settings: &Settings) -> Shown {
        match &settings.acceptance {
            Acceptance::Everyone => Shown::Caught,
            Acceptance::Named(names) => Shown::Named(names.clone()),
            Acceptance::Domains { .. } => Shown::Named(settings.classroom.clone()),
        }
    }

    async fn shows(&self, store: &SharedStore, account: &AccountName) -> store::Result<bool> {
        match self {
            Shown::Caught => {
                let account = store.account(account).await?;
                Ok(account.is_none_or(|account| account.origin != Origin::Added))
            }
            Shown::Named(names) => Ok(names.contains(account)),
        }
    }
}

impl Session {
    /// A session with this peer.
    pub(crate) fn new(context: Arc<Context>, peer: Peer) -> Session {
        Session { visit: Visit::new(context, peer), message: None, showing: None }
    }

    /// The endpoint to drive for it.
    pub(crate) fn endpoint(&self) -> Server {
        let config = Config { max_message_size: self.visit.context.message_size, ..Config::default() };
        Server::new(Arc::new(config))
    }

    /// Writes the session's last line.
    pub(crate) fn ended(self, result: std::io::Result<()>) {
        self.visit.ended(result);
    }

    fn mail(&mut self, sender: Address) -> Result<(), Status> {
        let mailbox = mailbox_of(&sender)?;
        let context = &self.visit.context;
        if let Err(error) = context.store.health() {
            warn!(session = %self.visit.id, %error, "MAIL FROM: {sender} put off");
            return Err(Status::ServerError);
        }
        let party = Party { address: self.visit.peer.address.ip(), account: None };
        if let Err(refusal) = context.abuse.message(party, crate::inbound::now()) {
            info!(session = %self.visit.id, "put off: {refusal}");
            return Err(Status::Forbidden);
        }
        info!(session = %self.visit.id, "MAIL FROM: {}", shown(&sender));
        let parameters =
            MailParameters { smtputf8: !sender.as_str().is_ascii(), ..MailParameters::default() };
        let mail = Mail { reverse_path: ReversePath::Mailbox(mailbox), parameters };
        let received = Received::new(mail, Mending::No);
        let message = Message { received, sender, recipients: Vec::new(), has_header: false };
        self.message = Some(Box::new(message));
        Ok(())
    }

    async fn rcpt(&mut self, recipient: Address) -> Result<(), Status> {
        let path = ForwardPath::Mailbox(mailbox_of(&recipient)?);
        let context = &self.visit.context;
        let party = Party { address: self.visit.peer.address.ip(), account: None };
        if let Err(refusal) = context.abuse.recipient(party, crate::inbound::now()) {
            info!(session = %self.visit.id, "put off: {refusal}");
            return Err(Status::Forbidden);
        }
        let asked = recipient::asked(&context.rules, &path, Some(self.visit.peer.local.ip()), None);
        let address = asked.address.clone();
        let verdict = evaluate(&context.store, &context.rules, asked).await.map_err(|error| {
            warn!(session = %self.visit.id, %error, "cannot look up the recipient {}", shown(&recipient));
            Status::ServerError
        })?;
        let name = shown(&recipient);
        let message = self.message.as_mut().ok_or(Status::Forbidden)?;
        match verdict {
            // Strangers send nothing elsewhere by this protocol, whatever an alias says.
            Verdict::Accept(Routes { routes, forwards, onward: Onward::No, .. }) if forwards.is_empty() => {
                info!(session = %self.visit.id, "RCPT TO: {name}");
                message.received.add(Recipient::new(path), Here { address, routes, forwards });
                message.recipients.push(recipient);
                Ok(())
            }
            Verdict::Accept(_) | Verdict::Reject(_) => {
                info!(session = %self.visit.id, "RCPT TO: {name} refused: no such mailbox here");
                Err(Status::NotFound)
            }
            Verdict::Defer(reply) => {
                info!(session = %self.visit.id, "RCPT TO: {name} refused: {reply}");
                Err(Status::ServerError)
            }
        }
    }

    async fn content(&mut self, bytes: bytes::Bytes) {
        let context = &self.visit.context;
        let Some(message) = &mut self.message else { return };
        let party = Party { address: self.visit.peer.address.ip(), account: None };
        context.abuse.content(party, bytes.len() as u64, crate::inbound::now());
        if !message.has_header {
            message.has_header = true;
            let header = header(message, (context.clock)());
            message.received.content(&context.store, header.into()).await;
        }
        message.received.content(&context.store, bytes).await;
    }

    async fn end(&mut self, domain: &str) -> Result<(), Status> {
        // A text of no lines is a message as well.
        self.content(bytes::Bytes::new()).await;
        let message = self.message.take().ok_or(Status::Forbidden)?;
        let context = &self.visit.context;
        let facts = Facts {
            peer: self.visit.peer.clone(),
            hello: domain.to_owned(),
            esmtp: false,
            tls: false,
            authenticated: false,
            host_name: context.rules.host_name.as_str(),
            additions: Vec::new(),
            reverse_paths: ReversePaths::Kept,
            now: (context.clock)(),
        };
        match message.received.commit(&context.store, facts).await {
            Ok(committed) => {
                info!(session = %self.visit.id, id = %committed.id, size = committed.size, "DATA received, message stored");
                Ok(())
            }
            Err(error) => {
                warn!(session = %self.visit.id, %error, "message not stored");
                Err(Status::ServerError)
            }
        }
    }

    async fn list(&mut self, address: &Address) -> Result<(), Status> {
        let mailbox = open(&self.visit, address).await?;
        info!(session = %self.visit.id, "LIST {}", shown(address));
        self.showing = Some(Showing::List { mailbox, after: Uid(0), lines: 0 });
        Ok(())
    }

    async fn message(&mut self, address: &Address, number: u32) -> Result<(), Status> {
        let mailbox = open(&self.visit, address).await?;
        let store = &self.visit.context.store;
        let unreadable = |error: Error| unreadable(&self.visit, &error);
        let mut left = number.checked_sub(1).ok_or(Status::NotFound)? as usize;
        let mut after = Uid(0);
        let uid = loop {
            let page = store.entries(mailbox, after, PAGE).await.map_err(unreadable)?;
            match (page.get(left), page.last()) {
                (Some(entry), _) => break entry.uid,
                (None, Some(last)) if page.len() == PAGE => (left, after) = (left - page.len(), last.uid),
                _ => return Err(Status::NotFound),
            }
        };
        let (entry, reader) = store.fetch(mailbox, uid).await.map_err(unreadable)?;
        let front = front(reader, MESSAGE_MAX).await.map_err(unreadable)?;
        info!(session = %self.visit.id, "GET_MAIL {} {number}", shown(address));
        let mut text = format!("From: {}\r\nDate: {}\r\n", sender(&front), day(entry.received));
        let body = View::of(&front).text;
        for line in message::terminal::lines(&body).lines() {
            text.push_str(line);
            text.push_str("\r\n");
        }
        self.showing = Some(Showing::Text(Some(text)));
        Ok(())
    }

    /// The next text to be shown; nothing when that was all.
    async fn more(&mut self) -> Option<String> {
        match self.showing.as_mut()? {
            Showing::Text(text) => text.take(),
            Showing::List { mailbox, after, lines } => {
                let store = &self.visit.context.store;
                let page = store.entries(*mailbox, *after, LIST_PAGE).await.ok()?;
                *after = page.last()?.uid;
                let mut text = String::new();
                for Entry { uid, received, .. } in page {
                    *lines += 1;
                    let from = match store.fetch(*mailbox, uid).await {
                        Ok((_, reader)) => sender(&front(reader, SUMMARY_BYTES).await.unwrap_or_default()),
                        // Removed a moment ago; its number is not given to another in this list.
                        Err(_) => "nobody".to_owned(),
                    };
                    write!(text, "{lines}: Email from {from} ({})\r\n", day(received))
                        .expect("a String takes everything");
                }
                Some(text)
            }
        }
    }

    async fn refused(&mut self, endpoint: &mut Server) {
        if Box::pin(self.visit.error()).await.is_some() {
            endpoint.shut_down();
        }
    }
}

impl Application<Server> for Session {
    async fn event(&mut self, endpoint: &mut Server, event: Event) {
        let is_command =
            matches!(event, Event::Mail(_) | Event::Rcpt(_) | Event::List(_) | Event::GetMail(..));
        if is_command && self.visit.too_many_commands().is_some() {
            endpoint.reply(Status::Forbidden);
            return endpoint.shut_down();
        }
        let result = match event {
            // Boxed, so that an idle connection does not carry the room that these need.
            Event::Mail(sender) => self.mail(sender),
            Event::Rcpt(recipient) => Box::pin(self.rcpt(recipient)).await,
            Event::End => {
                let domain = endpoint.domain().unwrap_or_default().to_owned();
                Box::pin(self.end(&domain)).await
            }
            Event::List(address) => Box::pin(self.list(&address)).await,
            Event::GetMail(address, number) => Box::pin(self.message(&address, number)).await,
            Event::More => {
                return match Box::pin(self.more()).await {
                    Some(text) => endpoint.show(text.as_bytes()),
                    None => {
                        self.showing = None;
                        endpoint.shown();
                    }
                };
            }
            Event::Helo(domain) => {
                return info!(session = %self.visit.id, "HELO received from {}", shown(&domain));
            }
            Event::Content(bytes) => return Box::pin(self.content(bytes)).await,
            Event::Abort => return self.message = None,
            Event::Refused { line, status } => {
                info!(session = %self.visit.id, "{:?} refused: {status}", String::from_utf8_lossy(&line));
                return self.refused(endpoint).await;
            }
            Event::Closing(closing) => {
                return debug!(session = %self.visit.id, reason = ?closing, "closing");
            }
        };
        match result {
            Ok(()) => endpoint.reply(Status::Ok),
            Err(status) => {
                endpoint.reply(status);
                // A list of addresses must not be tried in one session.
                self.refused(endpoint).await;
            }
        }
    }

    async fn interruption(&mut self) {
        self.visit.stopped().await;
    }

    fn interrupted(&mut self, endpoint: &mut Server) {
        self.visit.told();
        endpoint.shut_down();
    }
}

/// The mailbox of an address, if it may be shown.
async fn open(visit: &Visit, address: &Address) -> Result<MailboxId, Status> {
    let account = AccountName::of(&mailbox_of(address)?);
    let context = &visit.context;
    let shows = context.shown.shows(&context.store, &account).await;
    if !shows.map_err(|error| unreadable(visit, &error))? {
        info!(session = %visit.id, %account, "its mail is not shown here");
        return Err(Status::Forbidden);
    }
    let inbox = context.store.mailbox(&account, &MailboxName::inbox()).await;
    inbox.map(|inbox| inbox.id).map_err(|error| unreadable(visit, &error))
}

fn unreadable(visit: &Visit, error: &Error) -> Status {
    match error {
        Error::NoSuchAccount(_) | Error::NoSuchMailbox(_) | Error::NoSuchMessage(_) => Status::NotFound,
        error => {
            warn!(session = %visit.id, %error, "a mailbox cannot be read");
            Status::ServerError
        }
    }
}

fn mailbox_of(address: &Address) -> Result<Mailbox, Status> {
    address.as_str().parse().map_err(|_| Status::Syntax)
}

/// What makes a text a message that every other reader understands.
fn header(message: &Message, now: Timestamp) -> Vec<u8> {
    let recipients: Vec<&str> = message.recipients.iter().map(Address::as_str).collect();
    format!(
        "Date: {}\r\nFrom: {}\r\nTo: {}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n",
        Date::utc(now.0),
        message.sender,
        recipients.join(",\r\n ")
    )
    .into_bytes()
}

/// The address in From, in one line.
fn sender(front: &[u8]) -> String {
    let summary = Summary::of(front);
    summary.from.first().map_or_else(|| "nobody".to_owned(), |from| shown(&from.address))
}

fn day(received: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(received.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.to_zoned(jiff::tz::TimeZone::UTC).strftime("%d-%m-%Y").to_string()
}

/// The first octets of a text.
async fn front(mut reader: Reader, max: usize) -> store::Result<Vec<u8>> {
    let mut front = Vec::new();
    while front.len() < max {
        let Some(chunk) = reader.content.next().await? else { break };
        front.extend_from_slice(&chunk[..chunk.len().min(max - front.len())]);
    }
    Ok(front)
}

/// How much of a message is shown.
const MESSAGE_MAX: usize = 1 << 20;
/// As much of a message as its sender is found in.
const SUMMARY_BYTES: usize = 16 * 1024;
/// How many entries are asked for at once.
const PAGE: usize = 1024;
/// How many lines of a list are made at once.
const LIST_PAGE: usize = 32;
