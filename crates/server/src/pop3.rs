//! Mail fetched by POP3: answers the events of [`pop3::server::Server`].
//!
//! The maildrop is the account's INBOX as it was at the login, for this session alone ([`Maildrops`]). Texts are streamed from the store.
//! What is marked as deleted is removed at QUIT, durably, before that is answered.

mod config;
mod lock;

pub(crate) use config::Configs;
pub(crate) use lock::Maildrops;

use crate::abuse::Scope;
use crate::drive::Application;
use crate::inbound::{Context, Peer};
use crate::login::{Login, Opened, Outcome};
use crate::reading::{Ahead, Wanted};
use crate::tls::TlsSession;
use crate::visit::{LOGIN_REVOKED, LoginState, Visit};
use lock::{Lock, Shut};
use pop3::server::{Auth, Event, Message, Server};
use pop3::{Reply, replies};
use std::sync::Arc;
use store::{Error, Flags, MailboxId, MailboxName, Reader, Uid};
use tracing::{debug, info, warn};

/// One session.
pub(crate) struct Session {
    visit: Visit,
    /// A login under way.
    login: Option<Box<Login>>,
    maildrop: Option<Maildrop>,
    /// The text that is being sent.
    reader: Option<Reader>,
    reading: Box<Reading>,
}

/// What is read ahead for a client that fetches one message after the other.
#[derive(Default)]
struct Reading {
    /// The message that it would ask for next.
    expected: Option<u64>,
    ahead: Ahead,
}

/// The maildrop of a session.
struct Maildrop {
    grant: Opened,
    mailbox: MailboxId,
    _lock: Lock,
}

impl Session {
    /// A session with this peer.
    pub(crate) fn new(context: Arc<Context>, peer: Peer) -> Session {
        Session {
            visit: Visit::new(context, peer),
            login: None,
            maildrop: None,
            reader: None,
            reading: Box::default(),
        }
    }

    /// The endpoint to drive for it.
    pub(crate) fn endpoint(&self) -> Server {
        Server::new(self.visit.context.pop3.of(&self.visit))
    }

    /// Writes the session's last line.
    pub(crate) fn ended(self, result: std::io::Result<()>) {
        self.visit.ended(result);
    }

    async fn auth(&mut self, endpoint: &mut Server, auth: Auth) {
        if let Some(refusal) = self.visit.too_many_commands() {
            return endpoint.dismiss(replies::NOT_NOW.with_text(refusal.in_words()));
        }
        let initial = auth.initial.as_ref().map(|message| message.as_bytes());
        match Login::begin(&self.visit.desk(), &auth.mechanism, initial).await {
            Some((login, outcome)) => self.go_on(endpoint, login, outcome).await,
            // Nothing is offered then.
            None => endpoint.reply(replies::AUTH_UNAVAILABLE),
        }
    }

    async fn auth_response(&mut self, endpoint: &mut Server, response: &[u8]) {
        let Some(mut login) = self.login.take() else {
            return endpoint.reply(replies::AUTH_UNAVAILABLE);
        };
        let outcome = login.respond(&self.visit.desk(), response).await;
        self.go_on(endpoint, login, outcome).await;
    }

    async fn go_on(&mut self, endpoint: &mut Server, login: Box<Login>, outcome: Outcome) {
        match outcome {
            Outcome::Challenge(challenge) => {
                endpoint.challenge(challenge.as_bytes());
                self.login = Some(login);
            }
            Outcome::Granted(grant) => match self.open(grant).await {
                Ok(messages) => endpoint.open(messages),
                Err(reply) => endpoint.reply(reply),
            },
            Outcome::Refused => self.refuse(endpoint, replies::AUTH_FAILED).await,
            Outcome::Banned(refusal) => endpoint.dismiss(replies::NOT_NOW.with_text(refusal.in_words())),
            // What others in its network did is no error of this client.
            Outcome::PutOff(refusal) if refusal.scope != Scope::Account => {
                endpoint.reply(replies::AUTH_UNAVAILABLE.with_text(refusal.in_words()));
            }
            Outcome::PutOff(refusal) => {
                self.refuse(endpoint, replies::AUTH_UNAVAILABLE.with_text(refusal.in_words())).await;
            }
            Outcome::Crowded(why) => endpoint.reply(replies::AUTH_UNAVAILABLE.with_text(why)),
            Outcome::Unavailable => endpoint.reply(replies::AUTH_UNAVAILABLE),
        }
    }

    /// Answers with `reply`, unless this was one error too many.
    async fn refuse(&mut self, endpoint: &mut Server, reply: Reply) {
        match self.visit.error().await {
            Some(refusal) => endpoint.dismiss(replies::NOT_NOW.with_text(refusal.in_words())),
            None => endpoint.reply(reply),
        }
    }

    /// Opens the account's INBOX for this session alone.
    async fn open(&mut self, grant: Opened) -> Result<Vec<Message>, Reply> {
        let account = grant.account();
        let store = Arc::clone(&self.visit.context.store);
        let unavailable = |error: Error| {
            warn!(session = %self.visit.id, %account, %error, "the maildrop cannot be opened");
            replies::UNAVAILABLE
        };
        let inbox = store.mailbox(account, &MailboxName::inbox()).await.map_err(unavailable)?;
        let now = (self.visit.context.clock)();
        let lock = Maildrops::lock(&self.visit.context.maildrops, inbox.id, now).map_err(|shut| {
            info!(session = %self.visit.id, %account, ?shut, "the maildrop is not opened");
            match shut {
                Shut::InUse => replies::IN_USE,
                Shut::TooSoon => replies::LOGIN_TOO_SOON,
            }
        })?;
        let mut messages = Vec::new();
        let mut last = Uid(0);
        while messages.len() < MESSAGES_MAX {
            let entries = store.entries(inbox.id, last, PAGE).await.map_err(unavailable)?;
            let Some(entry) = entries.last() else { break };
            last = entry.uid;
            let unique = |uid: Uid| u64::from(inbox.uid_validity.0) << 32 | u64::from(uid.0);
            messages.extend(
                entries.iter().map(|entry| Message { octets: entry.size, unique: unique(entry.uid) }),
            );
        }
        info!(session = %self.visit.id, %account, messages = messages.len(), "maildrop opened");
        self.maildrop = Some(Maildrop { grant, mailbox: inbox.id, _lock: lock });
        Ok(messages)
    }

    async fn retrieve(&mut self, endpoint: &mut Server, unique: u64) {
        // Not counted as commands are: it is an account's own mail, and a client cut off in the middle of a large maildrop would begin
        // from the front for ever.
        let Some(maildrop) = &self.maildrop else { return endpoint.reply(replies::LOGIN_FIRST) };
        match self.visit.login_state(Some(&maildrop.grant)).await {
            LoginState::Good => {}
            LoginState::Revoked => {
                return endpoint.dismiss(replies::NOT_NOW.with_text(LOGIN_REVOKED.to_owned()));
            }
            LoginState::Unknown => return endpoint.reply(replies::UNAVAILABLE),
        }
        let wanted = |message: Message| Wanted { uid: uid(message.unique), size: message.octets };
        let octets = endpoint.wanted().map_or(0, |message| message.octets);
        let this = Wanted { uid: uid(unique), size: octets };
        let is_next = self.reading.expected == Some(unique);
        let following = endpoint.following().take_while(|_| is_next).map(wanted);
        let wanted = std::iter::once(this).chain(following);
        let context = &self.visit.context;
        let Reading { expected, ahead } = &mut *self.reading;
        let Some(plan) = ahead.plan(&context.reading, wanted) else { return endpoint.reply(replies::GONE) };
        let text = ahead.text(&context.store, maildrop.mailbox, plan).await;
        *expected = endpoint.following().next().map(|message| message.unique);
        match text {
            Ok(Some(reader)) => {
                self.reader = Some(reader);
                endpoint.begin();
            }
            Ok(None) | Err(Error::NoSuchMailbox(_)) => endpoint.reply(replies::GONE),
            Err(error) => {
                warn!(session = %self.visit.id, %error, "a message cannot be read");
                endpoint.reply(replies::UNAVAILABLE);
            }
        }
    }

    async fn more(&mut self, endpoint: &mut Server) {
        let Some(reader) = &mut self.reader else { return endpoint.content_lost() };
        match reader.content.next().await {
            Ok(Some(piece)) => endpoint.content(piece),
            Ok(None) => endpoint.end_of_content(),
            Err(error) => {
                warn!(session = %self.visit.id, %error, "a message broke off: the connection ends");
                endpoint.content_lost();
            }
        }
    }

    /// The UPDATE state: what is said after it is true after a power cut as well.
    async fn update(&mut self, deleted: &[u64], read: &[u64]) -> Reply {
        // Free again before the client hears the reply: it may come back at once.
        let Some(maildrop) = self.maildrop.take() else { return replies::BYE };
        let store = &self.visit.context.store;
        let id = self.visit.id;
        match self.visit.login_state(Some(&maildrop.grant)).await {
            LoginState::Good => {}
            LoginState::Revoked => return replies::NOT_REMOVED.with_text(LOGIN_REVOKED.to_owned()),
            LoginState::Unknown => return replies::NOT_REMOVED,
        }
        let uids = |all: &[u64]| all.iter().copied().map(uid).collect::<Vec<Uid>>();
        if !read.is_empty() {
            // That it was read is worth something, and nothing that POP3 promises.
            let read = store.update_flags(maildrop.mailbox, &uids(read), Flags::SEEN, Flags::default()).await;
            if let Err(error) = read {
                warn!(session = %id, %error, "what was read is not marked as such");
            }
        }
        if deleted.is_empty() {
            return replies::BYE;
        }
        match store.expunge(maildrop.mailbox, &uids(deleted)).await {
            Ok(count) => {
                info!(session = %id, account = %maildrop.grant.account(), count, "messages removed");
                replies::BYE_REMOVED
            }
            Err(error) => {
                warn!(session = %id, account = %maildrop.grant.account(), %error, "messages not removed");
                replies::NOT_REMOVED
            }
        }
    }
}

impl Application<Server> for Session {
    async fn event(&mut self, endpoint: &mut Server, event: Event) {
        match event {
            // Boxed, so that an idle connection does not carry the room that these need.
            Event::Auth(auth) => Box::pin(self.auth(endpoint, auth)).await,
            Event::AuthResponse(response) => Box::pin(self.auth_response(endpoint, &response)).await,
            Event::AuthCancelled(reply) => {
                self.login = None;
                info!(session = %self.visit.id, "AUTH given up: {reply}");
                if let Some(refusal) = Box::pin(self.visit.error()).await {
                    endpoint.shut_down(replies::NOT_NOW.with_text(refusal.in_words()));
                }
            }
            Event::Retrieve(unique) => Box::pin(self.retrieve(endpoint, unique)).await,
            Event::More => self.more(endpoint).await,
            Event::Retrieved => self.reader = None,
            Event::Update { deleted, read } => {
                let reply = Box::pin(self.update(&deleted, &read)).await;
                endpoint.reply(reply);
            }
            // Told with more in `secured`.
            Event::Secured => {}
            Event::Refused { line, reply } => {
                info!(session = %self.visit.id, "{:?} refused: {reply}", String::from_utf8_lossy(&line));
                if let Some(refusal) = Box::pin(self.visit.error()).await {
                    endpoint.shut_down(replies::NOT_NOW.with_text(refusal.in_words()));
                }
            }
            Event::Closing(closing) => {
                self.maildrop = None;
                debug!(session = %self.visit.id, reason = ?closing, "closing");
            }
        }
    }

    async fn interruption(&mut self) {
        self.visit.stopped().await;
    }

    fn interrupted(&mut self, endpoint: &mut Server) {
        self.visit.told();
        endpoint.shut_down(replies::SHUTTING_DOWN);
    }

    fn secured(&mut self, endpoint: &mut Server, session: TlsSession) {
        self.login = None;
        for mechanism in self.visit.secured(session) {
            endpoint.offer_mechanism(mechanism);
        }
    }
}

/// What somebody hears who is turned away; said in SMTP it would be this.
pub(crate) fn not_now(reply: &smtp::Reply) -> Reply {
    let text = reply.text();
    replies::NOT_NOW.with_text(text.strip_prefix("Error: ").unwrap_or(text))
}

/// The UID in a unique id, whose other half is the mailbox's UIDVALIDITY: together they are never given again.
fn uid(unique: u64) -> Uid {
    Uid(unique as u32)
}

/// The most messages in a session; older ones come first, and those beyond are there when some of these are gone. 17 octets each.
const MESSAGES_MAX: usize = 1 << 20;
/// How many entries are asked for at once.
const PAGE: usize = 4096;
