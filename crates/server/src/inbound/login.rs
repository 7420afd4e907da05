//! AUTH (RFC 4954) in SMTP: what a session makes of a login.
//!
//! Every refusal is the same 535 to the client; what cannot be told now is 454. The exchange itself is in [`crate::login`].

use super::{Inbound, now, shown};
use crate::abuse::Scope;
use crate::login::{Desk, Login, Outcome};
use smtp::server::{Auth, Server};
use smtp::{Reply, replies};
use tracing::{info, warn};

impl Inbound {
    /// AUTH: begins an exchange.
    pub(super) async fn auth(&mut self, endpoint: &mut Server, auth: Auth) {
        let initial = auth.initial.as_ref().map(|message| message.as_bytes());
        let Some((login, outcome)) = Login::begin(&self.desk(), &auth.mechanism, initial).await else {
            // Nothing is offered then.
            return endpoint.reply(replies::AUTH_UNAVAILABLE);
        };
        self.go_on(endpoint, login, outcome).await;
    }

    /// The client's answer to a challenge.
    pub(super) async fn auth_response(&mut self, endpoint: &mut Server, response: &[u8]) {
        let Some(mut login) = self.login.take() else {
            return endpoint.reply(replies::AUTH_UNAVAILABLE);
        };
        let outcome = login.respond(&self.desk(), response).await;
        self.go_on(endpoint, login, outcome).await;
    }

    /// The exchange ended without a decision. That is an error of the client's, if a small one: it could go on like that for ever.
    pub(super) fn auth_cancelled(&mut self, reply: &Reply) {
        let login = self.login.take();
        let user = login.as_ref().and_then(|login| login.user()).unwrap_or("-");
        info!(session = %self.id, user = shown(&user), "AUTH given up: {reply}");
        self.errors = self.errors.saturating_add(1);
        if let Some(refusal) = self.context.abuse.error(self.peer.address.ip(), now()) {
            warn!(session = %self.id, "{refusal}");
        }
    }

    async fn go_on(&mut self, endpoint: &mut Server, login: Box<Login>, outcome: Outcome) {
        let said = match outcome {
            Outcome::Challenge(challenge) => {
                endpoint.challenge(challenge.as_bytes());
                self.login = Some(login);
                return;
            }
            Outcome::Granted(grant) => {
                self.grant = Some(grant);
                replies::AUTH_SUCCEEDED
            }
            Outcome::Refused => self.judged(replies::AUTH_FAILED).await,
            Outcome::Banned(refusal) => refusal.closing(),
            // Whoever goes on knocking at an account that is guessed at is likely to be one of those.
            Outcome::PutOff(refusal) if refusal.scope == Scope::Account => {
                self.judged_as_error(refusal.login()).await
            }
            Outcome::PutOff(refusal) => refusal.login(),
            Outcome::Crowded(why) => replies::LOGIN_LATER.with_text(format!("Error: {why}")),
            Outcome::Unavailable => replies::AUTH_UNAVAILABLE,
        };
        endpoint.reply(said);
    }

    pub(super) fn desk(&self) -> Desk<'_> {
        Desk { context: &self.context, peer: &self.peer, id: self.id }
    }
}
