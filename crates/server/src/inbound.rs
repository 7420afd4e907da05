//! The receiving side of SMTP and LMTP: answers the endpoint's events.
//!
//! A transaction is a value that moves through three stages, `Received` → `Evaluated` → `Accepted`: what the client said, where each
//! recipient's mail goes, and what the store is asked to make durable. `250` is said after that commit and never before.

mod conduct;
mod config;
mod context;
mod login;
mod proxy;
mod receipts;
mod submission;
pub(crate) mod transaction;

use crate::abuse::connections::Permit;
use crate::drive::Application;
use crate::login::{Login, Opened};
use crate::policy::Verdict;
use crate::policy::recipient::{self, Asked, Known, Onward, Relaying, Routes, Rules, Step, Who};
use crate::session::SessionId;
use crate::settings::{ListenerTls, Service};
use crate::tls::{HandshakeError, TlsSession};
pub use context::{Clock, Context, Peer};
use smtp::server::{Abort, Closing, Config, Event, Hello, Mail, Server};
use smtp::{Mailbox, Recipient, Reply, Verb, replies};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use store::{Error, SharedStore};
use tokio::sync::watch;
use tracing::{debug, info, warn};
use transaction::{Fit, Here, Mending, Received, ReversePaths};

/// One session.
pub struct Inbound {
    context: Arc<Context>,
    stopping: watch::Receiver<bool>,
    peer: Peer,
    id: SessionId,
    /// An AUTH under way.
    login: Option<Box<Login>>,
    /// Whose session it is, after an AUTH.
    grant: Option<Opened>,
    transaction: Option<Box<Received>>,
    /// Since the last message that was accepted.
    errors: u32,
    /// The proxy that speaks for the peer by XCLIENT; `peer` is then who it named.
    proxy: Option<IpAddr>,
    /// The place among the connections of who it named.
    place: Option<Permit>,
    /// What the endpoint knows of a stop of the server.
    told: Told,
}

/// What an endpoint was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Nothing.
    Nothing,
    /// That the server stops: a transaction in flight may finish.
    Stop,
    /// That it has waited long enough.
    Cut,
}

impl Inbound {
    /// A session with this peer.
    pub fn new(context: Arc<Context>, peer: Peer) -> Inbound {
        let id = context.sessions.next();
        info!(session = %id, peer = %peer.address.ip(), port = peer.local.port(), "client connected");
        Inbound {
            stopping: context.stop.subscribe(),
            context,
            peer,
            id,
            login: None,
            grant: None,
            transaction: None,
            errors: 0,
            proxy: None,
            place: None,
            told: Told::Nothing,
        }
    }

    /// The endpoint to drive for it.
    pub fn endpoint(&self) -> Server {
        let peer = self.peer.address.ip();
        let mut server = Server::new(self.config());
        if self.context.abuse.is_exempt(peer) {
            server.greet_at_once();
        }
        if self.context.proxies.says_xclient(peer) {
            server.offer_xclient();
        }
        server
    }

    fn config(&self) -> Arc<Config> {
        // Without certificates there is nothing to offer.
        let security = if self.context.tls.is_some() { self.peer.security } else { ListenerTls::None };
        self.context.configs.of(self.peer.service, security, self.peer.address.ip())
    }

    /// Writes the session's last line.
    pub fn ended(self, result: io::Result<()>) {
        match result {
            Ok(()) => info!(session = %self.id, "client disconnected"),
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<HandshakeError>()) => {
                info!(session = %self.id, peer = %self.peer.address.ip(), "TLS failed: {error}");
            }
            Err(error) => info!(session = %self.id, %error, "connection lost"),
        }
    }

    fn hello(&self, hello: &Hello) -> Reply {
        info!(session = %self.id, "{} received from {}", hello.verb, hello.name);
        replies::hello(self.context.rules.host_name.as_str(), &hello.name, self.peer.address.ip())
    }

    fn mail(&mut self, mail: Mail) -> Reply {
        let path = shown(&mail.reverse_path);
        if *self.stopping.borrow() {
            info!(session = %self.id, "MAIL FROM:{path} put off: the server stops");
            return replies::SHUTTING_DOWN;
        }
        if let Err(error) = self.context.store.health() {
            let reply = storage_reply(&error);
            warn!(session = %self.id, %error, "MAIL FROM:{path} put off: {reply}");
            return reply;
        }
        if let Some(reply) = self.too_many_messages() {
            return reply;
        }
        info!(session = %self.id, "MAIL FROM:{path}");
        let mending = if self.is_submission() { Mending::Yes } else { Mending::No };
        self.transaction = Some(Box::new(Received::new(mail, mending)));
        replies::SENDER_OK
    }

    async fn rcpt(&mut self, wanted: Recipient) -> Reply {
        if let Some(reply) = self.too_many_recipients() {
            return reply;
        }
        let path = shown(&wanted.forward_path);
        let size = self.transaction.as_ref().and_then(|transaction| transaction.declared_size());
        let rules = &self.context.rules;
        let asked = recipient::asked(rules, &wanted.forward_path, Some(self.peer.local.ip()), size);
        // Only reports come back: whoever has seen a rewritten reverse-path must not be able to write to the sender behind it.
        let is_report = self.transaction.as_ref().is_some_and(|transaction| transaction.sender().is_none());
        let now = (self.context.clock)();
        let returned = is_report.then(|| recipient::returned(rules, &wanted.forward_path, now)).flatten();
        let asked = Asked { relaying: self.relaying(), returned, ..asked };
        let address = asked.address.clone();
        let verdict = match evaluate(&self.context.store, rules, asked).await {
            Ok(verdict) => verdict,
            Err(error) => {
                warn!(session = %self.id, %error, "cannot look up the recipient {path}");
                Verdict::Defer(storage_reply(&error))
            }
        };
        let Some(transaction) = &mut self.transaction else {
            // The endpoint lets no RCPT through before MAIL was answered with success.
            return replies::NEED_MAIL;
        };
        match verdict {
            Verdict::Accept(Routes { onward: Onward::Relayed, .. }) => {
                info!(session = %self.id, "RCPT TO:{path} to be relayed");
                transaction.relay(wanted);
                replies::RECIPIENT_OK
            }
            Verdict::Accept(Routes { routes, forwards, nowhere, onward: Onward::No }) => {
                let accounts: Vec<&str> = routes.iter().map(|route| route.account.as_str()).collect();
                info!(session = %self.id, account = accounts.join(" "), "RCPT TO:{path}");
                for target in &forwards {
                    info!(session = %self.id, "{path} is forwarded to {}", shown(target));
                }
                for target in nowhere {
                    warn!(session = %self.id, "{path} leads to {}, and there is no such mailbox", shown(&target));
                }
                transaction.add(wanted, Here { address, routes, forwards });
                replies::RECIPIENT_OK
            }
            Verdict::Reject(reply) if reply == replies::RELAY_DENIED && self.is_submission() => {
                info!(session = %self.id, "RCPT TO:{path} refused: there is nobody to relay it");
                replies::NOT_DELIVERED_ELSEWHERE
            }
            Verdict::Defer(reply) | Verdict::Reject(reply) => {
                info!(session = %self.id, "RCPT TO:{path} refused: {reply}");
                reply
            }
        }
    }

    /// Whether this peer's mail is sent on. LMTP is for mailboxes here alone (RFC 2033 §3).
    fn relaying(&self) -> Relaying {
        let who = match &self.grant {
            Some(_) => Who::Account,
            None => Who::Host(self.peer.address.ip()),
        };
        match self.peer.service {
            Service::Smtp | Service::Submission => recipient::relaying(&self.context.rules, who),
            Service::Lmtp | Service::Pop3 | Service::Imap | Service::Classroom => Relaying::Denied,
        }
    }

    async fn content(&mut self, bytes: bytes::Bytes) {
        self.count_content(bytes.len());
        if let Some(transaction) = &mut self.transaction {
            transaction.content(&self.context.store, bytes).await;
        }
    }

    /// One reply in SMTP, one for each accepted recipient in LMTP.
    async fn end(&mut self, endpoint: &Server) -> Vec<Reply> {
        let Some(mut received) = self.transaction.take() else {
            return vec![replies::NEED_MAIL];
        };
        let recipients = received.recipients();
        if received.is_looping(self.context.hops) {
            warn!(session = %self.id, "message refused: it has been through too many hosts");
            let count = if self.peer.service == Service::Lmtp { recipients } else { 1 };
            return vec![replies::TOO_MANY_HOPS; count];
        }
        let fits = match self.peer.service {
            // One reply stands for all: but for loops, the commit decides.
            Service::Smtp | Service::Submission | Service::Pop3 | Service::Imap | Service::Classroom => {
                vec![received.leave_out_looping()]
            }
            Service::Lmtp => match received.leave_out_unfit(&self.context.store).await {
                Ok(fits) => fits,
                Err(error) => return vec![self.not_stored(&error); recipients],
            },
        };
        let said = match fits.contains(&Fit::Fits) {
            true => self.commit(*received, endpoint).await,
            false => replies::MAILBOX_FULL,
        };
        let each = |fit| match fit {
            Fit::Fits => said.clone(),
            Fit::Full => replies::MAILBOX_FULL,
            Fit::Looping => {
                warn!(session = %self.id, "message refused: it was forwarded from here before");
                replies::FORWARDING_LOOP
            }
        };
        fits.into_iter().map(each).collect()
    }

    /// Makes the message durable, and says so.
    async fn commit(&mut self, mut received: Received, endpoint: &Server) -> Reply {
        let now = (self.context.clock)();
        let additions = match self.additions(&mut received, now).await {
            Ok(additions) => additions,
            Err(reply) => {
                info!(session = %self.id, "message refused: {reply}");
                return reply;
            }
        };
        let forwarded = received.sender().filter(|_| received.is_forwarded()).cloned();
        let reverse_paths = match reverse_paths(&self.context, forwarded).await {
            Ok(reverse_paths) => reverse_paths,
            Err(error) => return self.not_stored(&error),
        };
        let facts = transaction::Facts {
            reverse_paths,
            peer: self.peer.clone(),
            hello: endpoint.hello_name().unwrap_or_default().to_owned(),
            esmtp: endpoint.is_esmtp(),
            tls: endpoint.is_secured(),
            authenticated: endpoint.is_authenticated(),
            host_name: self.context.rules.host_name.as_str(),
            additions,
            now,
        };
        let recipients = received.recipients();
        match received.commit(&self.context.store, facts).await {
            Ok(committed) => {
                info!(
                    session = %self.id, id = %committed.id, size = committed.size, recipients,
                    "DATA received, message stored"
                );
                if committed.queued {
                    self.context.queued.notify_one();
                }
                if let Some(owed) = committed.owed {
                    let message = receipts::Message { session: self.id, id: committed.id, now };
                    if let Err(error) = receipts::report(&self.context, message, &owed).await {
                        return self.not_stored(&error);
                    }
                }
                self.forgive_errors();
                replies::queued(committed.id)
            }
            Err(error) => self.not_stored(&error),
        }
    }

    fn not_stored(&self, error: &Error) -> Reply {
        let reply = storage_reply(error);
        warn!(session = %self.id, %error, "message not stored: {reply}");
        reply
    }

    fn abort(&mut self, abort: &Abort) {
        self.transaction = None;
        match abort {
            Abort::Refused(reply) => info!(session = %self.id, "message refused: {reply}"),
            other => debug!(session = %self.id, reason = ?other, "transaction ended without a message"),
        }
    }
}

impl Application<Server> for Inbound {
    async fn event(&mut self, endpoint: &mut Server, event: Event) {
        let is_counted = match event {
            // A proxy says it in each of its connections, before it has named the client.
            Event::Hello(_) => self.proxy.is_some() || !self.is_proxy(),
            Event::Mail(_) | Event::Rcpt(_) | Event::Auth(_) => true,
            _ => false,
        };
        if is_counted && let Some(reply) = self.too_many_commands() {
            return endpoint.reply(reply);
        }
        match event {
            Event::Hello(hello) => endpoint.reply(self.hello(&hello)),
            Event::Mail(mail) if self.is_submission() => {
                let reply = Box::pin(self.submit(mail, endpoint)).await;
                endpoint.reply(reply);
            }
            Event::Mail(mail) => endpoint.reply(self.mail(mail)),
            Event::Rcpt(recipient) => {
                let reply = Box::pin(async {
                    let reply = self.rcpt(recipient).await;
                    self.judged(reply).await
                });
                let reply = reply.await;
                endpoint.reply(reply);
            }
            // Boxed, so that an idle connection does not carry the room that these need.
            Event::Content(bytes) => Box::pin(self.content(bytes)).await,
            Event::End => {
                let replies = Box::pin(self.end(endpoint)).await;
                endpoint.reply_each(replies);
            }
            Event::Auth(auth) => Box::pin(self.auth(endpoint, auth)).await,
            Event::AuthResponse(response) => Box::pin(self.auth_response(endpoint, &response)).await,
            Event::XClient(attributes) => self.xclient(endpoint, &attributes),
            Event::AuthCancelled(reply) => self.auth_cancelled(&reply),
            // Told with more in `secured`.
            Event::Secured => {}
            Event::Abort(abort) => self.abort(&abort),
            Event::Refused { line, reply } => {
                info!(session = %self.id, "{:?} refused: {reply}", String::from_utf8_lossy(&line));
                let said = Box::pin(self.judged(reply)).await;
                if said.code().number() == 421 {
                    endpoint.shut_down(said);
                } else if self.is_proxy() && is_xclient(&line) {
                    endpoint.shut_down(replies::UNKNOWN_CLIENT);
                }
            }
            Event::Closing(closing) => self.closing(&closing),
        }
    }

    fn secured(&mut self, endpoint: &mut Server, session: TlsSession) {
        let TlsSession { version, cipher, server_name, client_certificate, .. } = &session;
        let name = server_name.as_deref().unwrap_or("-");
        let certificate = client_certificate.as_ref().map_or("-", |certificate| &certificate.subject);
        info!(session = %self.id, name, certificate, "{version} with {cipher}");
        self.offer_mechanisms(endpoint, &session);
        self.peer.tls = Some(Arc::new(session));
    }

    async fn interruption(&mut self) {
        // The stop may have come while the session was busy, or before it began: what counts is whether it was told.
        match self.told {
            Told::Nothing => {
                if self.stopping.wait_for(|stop| *stop).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            Told::Stop => self.context.cut().await,
            Told::Cut => std::future::pending().await,
        }
    }

    fn interrupted(&mut self, endpoint: &mut Server) {
        match self.told {
            Told::Nothing => {
                self.told = Told::Stop;
                endpoint.shut_down(replies::SHUTTING_DOWN);
            }
            Told::Stop | Told::Cut => {
                self.told = Told::Cut;
                endpoint.cut(replies::SHUTTING_DOWN);
            }
        }
    }
}

impl Inbound {
    fn closing(&self, closing: &Closing) {
        match closing {
            Closing::Quit | Closing::Disconnected => {}
            Closing::TimedOut => info!(session = %self.id, "client was silent for too long"),
            Closing::EarlyTalker => info!(session = %self.id, "client spoke before the greeting"),
            Closing::TooManyErrors => info!(session = %self.id, "client made too many errors"),
            Closing::ShutDown | Closing::Refused => info!(session = %self.id, "client sent away"),
        }
    }
}

fn is_xclient(line: &[u8]) -> bool {
    let verb = Verb::XClient.as_str().as_bytes();
    line.get(..verb.len()).is_some_and(|word| word.eq_ignore_ascii_case(verb))
}

/// The moment, on the clock that deadlines and limits run by: it never goes back, and tests can move it.
pub(crate) fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

/// Asks policy about a recipient, and looks up what it must know.
pub(crate) async fn evaluate(
    store: &SharedStore,
    rules: &Rules,
    asked: Asked,
) -> store::Result<Verdict<Routes>> {
    let mut known = Known::new();
    loop {
        // Ends: it asks for nothing twice, and follows so many addresses only.
        match recipient::recipient(rules, &asked, &known) {
            Step::Verdict(verdict) => return Ok(verdict),
            Step::LookUp(addresses) => {
                for address in addresses {
                    let resolution = store.resolve(&address).await?;
                    known.insert(address, resolution);
                }
            }
        }
    }
}

/// Under which reverse-path mail is sent on that comes for an address here: for senders of our own nothing needs to be changed.
async fn reverse_paths(context: &Context, sender: Option<Mailbox>) -> store::Result<ReversePaths> {
    let (Some(sender), Some(srs)) = (sender, recipient::srs(&context.rules)) else {
        return Ok(ReversePaths::Kept);
    };
    Ok(match context.store.resolve(&sender).await?.domain {
        Some(_) => ReversePaths::Kept,
        None => ReversePaths::Rewritten(Arc::clone(srs)),
    })
}

/// A path as a log may show it: an address beyond ASCII can hold characters that change how a terminal shows the line.
pub(crate) fn shown(path: &impl std::fmt::Display) -> String {
    message::terminal::one_line(&path.to_string()).into_owned()
}

/// What a peer is told when the store says no: always "later", because nothing of it is the message's fault.
fn storage_reply(error: &Error) -> Reply {
    match error {
        Error::Full(_) => replies::STORAGE_FULL,
        Error::OverQuota(_) => replies::MAILBOX_FULL,
        Error::Closed => replies::SHUTTING_DOWN,
        _ => replies::STORAGE_FAILED,
    }
}
