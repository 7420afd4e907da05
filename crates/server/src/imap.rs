//! Mail read by IMAP: answers the events of [`imap::server::Server`].
//!
//! The endpoint knows the protocol and which message has which number; here is what it is about: the login, the account's mailboxes, their
//! messages. Texts are streamed from the store, answers are told as far as there is room. What other sessions change is learnt from the store's
//! one history of changes: before each command ends, and in IDLE when the store says that something happened in the account.

mod append;
mod config;
mod envelope;
mod envelopes;
mod fetch;
mod list;
mod mailboxes;
mod marks;
mod news;
mod notify;
pub mod outside;
mod search;
mod select;
mod sort;
mod structure;
mod text;
mod thread;

pub(crate) use config::Configs;
pub(crate) use envelopes::Envelopes;
pub(crate) use search::{gist, searchable};

use crate::abuse::Scope;
use crate::drive::Application;
use crate::inbound::{Context, Peer, shown};
use crate::login::{Login, Opened, Outcome};
use crate::tls::TlsSession;
use crate::visit::{LOGIN_REVOKED, LoginState, Visit};
use append::Appending;
use fetch::Fetching;
use imap::answer::{Code, Status};
use imap::server::{Auth, Event, Originals, Request, Server, replies};
use news::{Answering, End, Own};
use notify::Notification;
use select::Open;
use std::sync::Arc;
use store::{AccountName, Error, Events};
use tracing::{debug, info, warn};

/// One session.
pub(crate) struct Session {
    visit: Visit,
    /// A login under way.
    login: Option<Box<Login>>,
    /// Who is logged in.
    grant: Option<Opened>,
    /// The mailbox that is selected.
    open: Option<Box<Open>>,
    /// A FETCH under way.
    fetching: Option<Box<Fetching>>,
    /// What is told page by page.
    answering: Option<Box<Answering>>,
    /// An APPEND under way.
    appending: Option<Box<Appending>>,
    /// In IDLE and after NOTIFY SET: what tells that something happened.
    news: Option<Events>,
    /// Of what is told when nobody has asked.
    notification: Notification,
    /// What the session was interrupted by.
    interruption: Interruption,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interruption {
    Stop,
    News,
}

impl Session {
    /// A session with this peer.
    pub(crate) fn new(context: Arc<Context>, peer: Peer) -> Session {
        Session {
            visit: Visit::new(context, peer),
            login: None,
            grant: None,
            open: None,
            fetching: None,
            answering: None,
            appending: None,
            news: None,
            notification: Notification::default(),
            interruption: Interruption::Stop,
        }
    }

    /// The endpoint to drive for it.
    pub(crate) fn endpoint(&self) -> Server {
        Server::new(self.visit.context.imap.of(&self.visit))
    }

    /// Writes the session's last line.
    pub(crate) fn ended(self, result: std::io::Result<()>) {
        self.visit.ended(result);
    }

    async fn auth(&mut self, endpoint: &mut Server, auth: Auth) {
        if let Some(refusal) = self.visit.too_many_commands() {
            return endpoint.dismiss(&replies::NOT_NOW.saying(refusal.in_words()));
        }
        let initial = auth.initial.as_ref().map(|message| message.as_bytes());
        match Login::begin(&self.visit.desk(), &auth.mechanism, initial).await {
            Some((login, outcome)) => self.go_on(endpoint, login, outcome).await,
            // Nothing is offered then.
            None => endpoint.finish(replies::auth_unavailable()),
        }
    }

    async fn auth_response(&mut self, endpoint: &mut Server, response: &[u8]) {
        let Some(mut login) = self.login.take() else {
            return endpoint.finish(replies::auth_unavailable());
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
            Outcome::Granted(grant) => {
                self.grant = Some(grant);
                endpoint.grant();
            }
            Outcome::Refused => self.refuse(endpoint, replies::auth_failed()).await,
            Outcome::Banned(refusal) => endpoint.dismiss(&replies::NOT_NOW.saying(refusal.in_words())),
            // What others in its network did is no error of this client.
            Outcome::PutOff(refusal) if refusal.scope != Scope::Account => {
                endpoint.finish(replies::auth_unavailable().saying(refusal.in_words()));
            }
            Outcome::PutOff(refusal) => {
                self.refuse(endpoint, replies::auth_unavailable().saying(refusal.in_words())).await;
            }
            Outcome::Crowded(why) => endpoint.finish(replies::auth_unavailable().saying(why)),
            Outcome::Unavailable => endpoint.finish(replies::auth_unavailable()),
        }
    }

    /// Refuses a login with `status`, unless this was one error too many.
    async fn refuse(&mut self, endpoint: &mut Server, status: Status) {
        match self.visit.error().await {
            Some(refusal) => endpoint.dismiss(&replies::NOT_NOW.saying(refusal.in_words())),
            None => endpoint.finish(status),
        }
    }

    /// Counts an error; ends the session after one too many.
    async fn count_error(&mut self, endpoint: &mut Server) {
        if let Some(refusal) = self.visit.error().await {
            endpoint.shut_down(replies::NOT_NOW.saying(refusal.in_words()));
        }
    }

    /// Ends the session if it has outlived what it logged in with, and does nothing for it while nobody can tell; that is the answer to the
    /// event in hand then.
    async fn is_turned_away(&mut self, endpoint: &mut Server) -> bool {
        match self.visit.login_state(self.grant.as_ref()).await {
            LoginState::Good => return false,
            LoginState::Revoked => endpoint.dismiss(&replies::NOT_NOW.saying(LOGIN_REVOKED.to_owned())),
            LoginState::Unknown => endpoint.put_off(replies::unavailable()),
        }
        true
    }

    async fn request(&mut self, endpoint: &mut Server, request: Request) {
        if self.is_turned_away(endpoint).await {
            return;
        }
        let result = match request {
            Request::Idle => {
                if let (None, Some(grant)) = (&self.news, &self.grant) {
                    self.news = Some(self.visit.context.store.follow(grant.account_id()));
                }
                return self.look(endpoint).await;
            }
            Request::Fetch(fetch) => match self.begin_fetch(endpoint, fetch).await {
                Ok(()) => return self.go_on_fetching(endpoint).await,
                Err(error) => Err(error),
            },
            Request::Look => {
                let end = End::Finish(Status::ok("Done"));
                return self.answer_with_news(endpoint, Some(Own::News), end).await;
            }
            Request::Done => {
                self.news.take_if(|_| !self.notification.is_watching());
                Ok(Status::ok("Idle completed"))
            }
            Request::Select { mailbox, access, qresync } => {
                return match self.select(endpoint, &mailbox, access, qresync).await {
                    Ok(answering) => self.answer(endpoint, answering).await,
                    Err(error) => endpoint.finish(self.said(&error)),
                };
            }
            Request::List(list) => self.list(endpoint, list).await,
            Request::Lsub { reference, pattern } => self.lsub(endpoint, &reference, &pattern).await,
            Request::Status { mailbox, items } => self.status(endpoint, &mailbox, &items).await,
            Request::Close => self.close_mailbox().await,
            Request::Expunge(uids) => {
                let result = self.expunge(uids.as_ref()).await;
                return self.finish_expunge(endpoint, result).await;
            }
            Request::Search(key) => self.search(endpoint, key).await,
            Request::Store(store) => return self.store(endpoint, store).await,
            Request::Create { mailbox, uses } => self.create(&mailbox, &uses).await,
            Request::Delete(mailbox) => self.delete(endpoint, &mailbox).await,
            Request::Rename { from, to } => self.rename(&from, &to).await,
            Request::Subscribe(mailbox) => self.subscribe(&mailbox).await,
            Request::Unsubscribe(mailbox) => self.unsubscribe(&mailbox).await,
            Request::GetQuota { root } => self.quota(endpoint, &root).await,
            Request::GetQuotaRoot(mailbox) => self.quota_root(endpoint, &mailbox).await,
            Request::SetQuota { .. } => Ok(Status::no("Quotas are the operator's").with(Code::NoPerm)),
            Request::Copy { uids, mailbox, originals } => {
                let result = self.copy(endpoint, &uids, &mailbox, originals).await;
                return match originals {
                    Originals::Stay => self.finish(endpoint, result).await,
                    Originals::Go => self.finish_expunge(endpoint, result).await,
                };
            }
            Request::Notify(watch) => self.notify(endpoint, watch).await,
            Request::Thread { algorithm, key } => self.thread(endpoint, algorithm, key).await,
            Request::Sort { criteria, key } => self.sort(endpoint, &criteria, key).await,
        };
        self.finish(endpoint, result).await;
    }

    /// Answers IDLE, and whoever wants to hear at any time: what is new?
    async fn look(&mut self, endpoint: &mut Server) {
        let selected = self.open.as_ref().map(|open| open.id);
        if let Some(news) = &mut self.news {
            // What is looked at now need not wake the session again.
            while let Some(event) = news.ready() {
                self.notification.note(event, selected);
            }
        }
        if self.is_turned_away(endpoint).await {
            return;
        }
        self.tell_watched(endpoint).await;
        self.answer_with_news(endpoint, None, End::Looked).await;
    }

    /// What is said of an error of the store.
    fn said(&self, error: &Error) -> Status {
        match error {
            Error::NoSuchMailbox(_) => Status::no("There is no such mailbox").with(Code::NonExistent),
            Error::NoSuchMessage(_) => Status::no("That message is gone").with(Code::ExpungeIssued),
            Error::Exists(_) => Status::no("There is one already").with(Code::AlreadyExists),
            Error::OverQuota(_) => Status::no("That does not fit into the quota").with(Code::OverQuota),
            Error::Limit(why) => Status::no("").saying(format!("Too many: {why}")).with(Code::Limit),
            Error::Invalid(why) => Status::no("").saying(why.clone()).with(Code::Cannot),
            error => {
                warn!(session = %self.visit.id, %error, "a command failed");
                replies::unavailable()
            }
        }
    }

    /// Who is logged in.
    fn account(&self) -> Result<&AccountName, Error> {
        let grant = self.grant.as_ref();
        grant.map(Opened::account).ok_or_else(|| Error::Invalid("nobody is logged in".to_owned()))
    }
}

impl Application<Server> for Session {
    async fn event(&mut self, endpoint: &mut Server, event: Event) {
        match event {
            // Boxed, so that an idle connection does not carry the room that these need.
            Event::Auth(auth) => Box::pin(self.auth(endpoint, auth)).await,
            Event::AuthResponse(response) => Box::pin(self.auth_response(endpoint, &response)).await,
            Event::AuthCancelled(status) => {
                self.login = None;
                info!(session = %self.visit.id, "AUTHENTICATE given up: {status}");
                Box::pin(self.count_error(endpoint)).await;
            }
            Event::Client(pairs) => {
                let words: Vec<String> = pairs
                    .into_iter()
                    .map(|(name, value)| format!("{}={}", shown(&name), shown(&value.unwrap_or_default())))
                    .collect();
                info!(session = %self.visit.id, "client: {}", words.join(" "));
            }
            Event::Request(request) => Box::pin(self.request(endpoint, *request)).await,
            Event::More if self.fetching.is_some() => Box::pin(self.go_on_fetching(endpoint)).await,
            Event::More => Box::pin(self.go_on_answering(endpoint)).await,
            Event::Look => Box::pin(self.look(endpoint)).await,
            Event::Append(append) => Box::pin(self.append(endpoint, append)).await,
            Event::Content(octets) => Box::pin(self.append_content(octets)).await,
            Event::AppendEnd => Box::pin(self.end_append(endpoint)).await,
            Event::AppendAborted => self.appending = None,
            Event::Unselected => self.open = None,
            // Told with more in `secured`.
            Event::Secured => {}
            Event::Refused { line, status } => {
                info!(session = %self.visit.id, "{:?} refused: {status}", String::from_utf8_lossy(&line));
                Box::pin(self.count_error(endpoint)).await;
            }
            Event::Closing(closing) => {
                self.open = None;
                self.fetching = None;
                self.answering = None;
                self.appending = None;
                self.news = None;
                debug!(session = %self.visit.id, reason = ?closing, "closing");
            }
        }
    }

    async fn interruption(&mut self) {
        let Session { visit, news, notification, open, interruption, .. } = self;
        let selected = open.as_ref().map(|open| open.id);
        let happened = async {
            let Some(events) = news.as_mut() else { return std::future::pending().await };
            loop {
                match events.next().await {
                    Some(event) if notification.note(event, selected) => return,
                    Some(_) => {}
                    // The account is gone, or the store is closing: that is to be looked at, and nothing more will be told.
                    None => break,
                }
            }
            *news = None;
        };
        tokio::select! {
            biased;
            () = visit.stopped() => *interruption = Interruption::Stop,
            () = happened => *interruption = Interruption::News,
        }
    }

    fn interrupted(&mut self, endpoint: &mut Server) {
        match self.interruption {
            Interruption::News => endpoint.wake(),
            Interruption::Stop => {
                self.visit.told();
                endpoint.shut_down(replies::SHUTTING_DOWN);
            }
        }
    }

    fn secured(&mut self, endpoint: &mut Server, session: TlsSession) {
        self.login = None;
        for mechanism in self.visit.secured(session) {
            endpoint.offer_mechanism(mechanism);
        }
    }
}

/// As many octets of a text count when messages are put in an order, or to what they answer: as many as a line may have (RFC 5322 §2.1.1).
const COMPARED_MAX: usize = 998;

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(COMPARED_MAX)]
}

/// What somebody hears who is turned away; said in SMTP it would be this.
pub(crate) fn not_now(reply: &smtp::Reply) -> Vec<u8> {
    let text = reply.text();
    let status = replies::NOT_NOW.saying(text.strip_prefix("Error: ").unwrap_or(text).to_owned());
    format!("* {status}\r\n").into_bytes()
}
