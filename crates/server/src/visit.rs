//! A connection of somebody who reads mail: who it is, how it behaves, when it has to end.
//!
//! What the sessions of POP3 and its like have in common; [`crate::inbound`] has the same for SMTP, where there is more to it.

use crate::abuse::{Party, Refusal};
use crate::inbound::{Context, Peer, now};
use crate::login::{Desk, Opened};
use crate::session::SessionId;
use crate::tls::{HandshakeError, TlsSession};
use std::io;
use std::sync::Arc;
use tokio::sync::watch;
use tracing::{info, warn};

/// A connection and its peer.
pub(crate) struct Visit {
    pub(crate) context: Arc<Context>,
    pub(crate) peer: Peer,
    pub(crate) id: SessionId,
    stopping: watch::Receiver<bool>,
    errors: u32,
    /// Whether the endpoint knows that the server stops.
    told: bool,
}

/// How what a session has logged in with stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginState {
    /// It is good.
    Good,
    /// It was changed or removed since: the session must end.
    Revoked,
    /// Nobody can tell now: nothing may be done for the session.
    Unknown,
}

/// What a session is told that has outlived what it logged in with.
pub(crate) const LOGIN_REVOKED: &str =
    "what this session has logged in with was changed or removed, log in again";

impl Visit {
    /// A connection with this peer.
    pub(crate) fn new(context: Arc<Context>, peer: Peer) -> Visit {
        let id = context.sessions.next();
        let service = peer.service.name();
        info!(session = %id, peer = %peer.address.ip(), port = peer.local.port(), service, "client connected");
        Visit { stopping: context.stop.subscribe(), context, peer, id, errors: 0, told: false }
    }

    /// Where it logs in.
    pub(crate) fn desk(&self) -> Desk<'_> {
        Desk { context: &self.context, peer: &self.peer, id: self.id }
    }

    /// TLS is on. Returns the names of the mechanisms that come with it.
    pub(crate) fn secured(&mut self, session: TlsSession) -> Vec<&'static str> {
        let TlsSession { version, cipher, server_name, client_certificate, .. } = &session;
        let name = server_name.as_deref().unwrap_or("-");
        let certificate = client_certificate.as_ref().map_or("-", |certificate| &certificate.subject);
        info!(session = %self.id, name, certificate, "{version} with {cipher}");
        let authenticator = self.context.authenticator.as_ref();
        let mechanisms = authenticator.map_or_else(Vec::new, |known| known.mechanisms_over(&session));
        self.peer.tls = Some(Arc::new(session));
        mechanisms.into_iter().map(|mechanism| mechanism.as_str()).collect()
    }

    /// Counts one more command; why the session ends if there were too many or the peer is banned.
    pub(crate) fn too_many_commands(&self) -> Option<Refusal> {
        // Logins are counted here, and what is said in the classroom: those are nobody's.
        let party = Party { address: self.peer.address.ip(), account: None };
        let refusal = self.context.abuse.command(party, now()).err()?;
        info!(session = %self.id, "sent away: {refusal}");
        Some(refusal)
    }

    /// How what it has logged in with stands; who has not logged in has nothing that could be taken back.
    pub(crate) async fn login_state(&self, grant: Option<&Opened>) -> LoginState {
        let Some(grant) = grant else { return LoginState::Good };
        match self.desk().holds(grant).await {
            Ok(true) => LoginState::Good,
            Ok(false) => LoginState::Revoked,
            Err(unavailable) => {
                warn!(session = %self.id, "cannot tell whether the login is still good: {unavailable}");
                LoginState::Unknown
            }
        }
    }

    /// Counts an error and waits a while if it is one of many; why the session ends if it was one too many.
    pub(crate) async fn error(&mut self) -> Option<Refusal> {
        self.errors = self.errors.saturating_add(1);
        let peer = self.peer.address.ip();
        if let Some(refusal) = self.context.abuse.error(peer, now()) {
            warn!(session = %self.id, "{refusal}");
            return Some(refusal);
        }
        self.context.hold_up(peer, self.errors, &mut self.stopping).await;
        None
    }

    /// Comes when the server stops and the endpoint does not know it yet.
    pub(crate) async fn stopped(&mut self) {
        // The stop may have come while the session was busy, or before it began: what counts is whether it was told.
        if self.told || self.stopping.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The endpoint knows that the server stops.
    pub(crate) fn told(&mut self) {
        self.told = true;
    }

    /// Writes the session's last line.
    pub(crate) fn ended(self, result: io::Result<()>) {
        match result {
            Ok(()) => info!(session = %self.id, "client disconnected"),
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<HandshakeError>()) => {
                info!(session = %self.id, peer = %self.peer.address.ip(), "TLS failed: {error}");
            }
            Err(error) => info!(session = %self.id, %error, "connection lost"),
        }
    }
}
