//! AUTH (RFC 4954): an exchange between the client and the authenticator, and what becomes of the session.
//!
//! Every refusal is the same 535 to the client; what was wrong is in the log. What cannot be told now is 454. Secrets pass through the
//! exchange and are in neither.

use super::{Inbound, now, shown};
use crate::auth::{Answered, Unavailable};
use sasl::server::{Exchange, Identity, Next, Question};
use sasl::{Failure, Mechanism};
use smtp::server::{Auth, Server};
use smtp::{Reply, replies};
use store::AccountName;
use tracing::{info, warn};

/// An exchange under way.
pub(super) struct Login {
    exchange: Exchange,
    /// Who the client says it is, once it has.
    user: Option<String>,
    /// What the last question came to.
    application: Option<String>,
    reason: &'static str,
}

/// What comes of a step.
enum Outcome {
    /// The client must say more.
    Challenge(String),
    /// It is this account's.
    Granted(AccountName),
    /// It is nobody's; why is for the log.
    Refused(String),
    /// The attempt is not looked at; the client hears the reply.
    PutOff(Reply),
}

impl Inbound {
    /// AUTH: begins an exchange.
    pub(super) async fn auth(&mut self, endpoint: &mut Server, auth: Auth) {
        let mechanism = Mechanism::parse(&auth.mechanism);
        let (Some(authenticator), Some(mechanism)) = (&self.context.authenticator, mechanism) else {
            // Nothing is offered then.
            return endpoint.reply(replies::AUTH_UNAVAILABLE);
        };
        let mut exchange = authenticator.begin(mechanism, self.peer.tls.as_deref());
        let next = exchange.start(auth.initial.as_ref().map(|message| message.as_bytes()));
        let login = Login { exchange, user: None, application: None, reason: "" };
        self.go_on(endpoint, Box::new(login), next).await;
    }

    /// The client's answer to a challenge.
    pub(super) async fn auth_response(&mut self, endpoint: &mut Server, response: &[u8]) {
        let Some(mut login) = self.login.take() else {
            return endpoint.reply(replies::AUTH_UNAVAILABLE);
        };
        let next = login.exchange.respond(response);
        self.go_on(endpoint, login, next).await;
    }

    /// The exchange ended without a decision.
    pub(super) fn auth_cancelled(&mut self, reply: &Reply) {
        let login = self.login.take();
        let user = login.as_ref().and_then(|login| login.user.as_deref()).unwrap_or("-");
        info!(session = %self.id, user = shown(&user), "AUTH given up: {reply}");
    }

    async fn go_on(&mut self, endpoint: &mut Server, mut login: Box<Login>, next: Next) {
        let mechanism = login.exchange.mechanism();
        match self.outcome(&mut login, next).await {
            Outcome::Challenge(challenge) => {
                endpoint.challenge(challenge.as_bytes());
                self.login = Some(login);
            }
            Outcome::Granted(account) => {
                self.granted(&login, &account).await;
                self.account = Some(account);
                endpoint.reply(replies::AUTH_SUCCEEDED);
            }
            Outcome::Refused(reason) => {
                let user = login.user.as_deref().unwrap_or("-");
                info!(session = %self.id, %mechanism, user = shown(&user), reason, "AUTH refused");
                let said = self.login_failed(login.user.as_deref()).await;
                endpoint.reply(said);
            }
            Outcome::PutOff(reply) => endpoint.reply(reply),
        }
    }

    /// Answers the exchange's questions until the client must say something, or it is over.
    async fn outcome(&mut self, login: &mut Login, mut next: Next) -> Outcome {
        loop {
            next = match next {
                Next::Challenge(challenge) => return Outcome::Challenge(challenge),
                Next::Done(identity) => return self.authorised(&identity),
                Next::Failed(Failure::Refused) => return Outcome::Refused(login.reason.to_owned()),
                Next::Failed(failure) => return Outcome::Refused(failure.to_string()),
                Next::Ask(question) => {
                    login.user = user_of(&question);
                    if let Some(reply) = self.may_not_log_in(login) {
                        return Outcome::PutOff(reply);
                    }
                    match self.answer(question).await {
                        Ok(Answered { answer, application, reason }) => {
                            (login.application, login.reason) = (application, reason);
                            login.exchange.answer(answer)
                        }
                        Err(unavailable) => {
                            warn!(session = %self.id, "AUTH put off: {unavailable}");
                            return Outcome::PutOff(replies::AUTH_UNAVAILABLE);
                        }
                    }
                }
            };
        }
    }

    async fn answer(&mut self, question: Question) -> Result<Answered, Unavailable> {
        let Some(authenticator) = &self.context.authenticator else {
            return Err(Unavailable("nobody can log in here".to_owned()));
        };
        let times = ((self.context.clock)(), now());
        authenticator.answer(question, self.peer.tls.as_deref(), times).await
    }

    fn authorised(&self, identity: &Identity) -> Outcome {
        match self.context.authenticator.as_ref().and_then(|authenticator| authenticator.account(identity)) {
            Some(account) => Outcome::Granted(account),
            None => {
                let wanted = identity.authorization.as_deref().unwrap_or("-");
                Outcome::Refused(format!("it may not act as {}", shown(&wanted)))
            }
        }
    }

    async fn granted(&mut self, login: &Login, account: &AccountName) {
        let mechanism = login.exchange.mechanism();
        let application = login.application.as_deref().unwrap_or("-");
        info!(session = %self.id, %mechanism, %account, application, "AUTH succeeded");
        self.context.abuse.logged_in(self.peer.address.ip(), account.as_str(), now());
        if let (Some(authenticator), Some(application)) = (&self.context.authenticator, &login.application) {
            authenticator.note_use(account, application, (self.context.clock)()).await;
        }
    }

    /// A reply when the limits on failed logins are reached, for this account or for strangers to it.
    fn may_not_log_in(&self, login: &Login) -> Option<Reply> {
        let account = self.counted_as(login.user.as_deref()?);
        let refusal = self.context.abuse.may_log_in(self.peer.address.ip(), &account, now()).err()?;
        info!(session = %self.id, user = account, "AUTH put off: {refusal}");
        Some(refusal.login())
    }

    /// Counts a failure; what the client is to be told, after a delay if there were many.
    async fn login_failed(&mut self, user: Option<&str>) -> Reply {
        let account = user.map(|user| self.counted_as(user)).unwrap_or_default();
        if let Some(refusal) = self.context.abuse.failed_login(self.peer.address.ip(), &account, now()) {
            warn!(session = %self.id, "{refusal}");
            return refusal.closing();
        }
        self.judged(replies::AUTH_FAILED).await
    }

    /// The name under which attempts at a user are counted: the account's, however it is spelt.
    fn counted_as(&self, user: &str) -> String {
        let account =
            self.context.authenticator.as_ref().and_then(|authenticator| authenticator.account_name(user));
        account.map_or_else(|| shown(&user), |account| account.to_string())
    }
}

/// Who a client says it is.
fn user_of(question: &Question) -> Option<String> {
    match question {
        Question::Password { user, .. } | Question::Verifier { user } => Some(user.clone()),
        Question::Token { user, .. } | Question::External { user } => user.clone(),
    }
}
