//! AUTH (RFC 4954): an exchange between the client and the authenticator, and what becomes of the session.
//!
//! Every refusal is the same 535 to the client; what was wrong is in the log. What cannot be told now is 454. Secrets pass through the
//! exchange and are in neither. Before anything is checked [`crate::abuse`] is asked, and it is told of a failure when that is known: a
//! client need not hear the exchange to its end for that.

use super::{Inbound, now, shown};
use crate::abuse::{Attempt, Refusal, Scope};
use crate::auth::pool::Client;
use crate::auth::{Answered, Asking, Unavailable};
use sasl::server::{Answer, Exchange, Identity, Next, Question};
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
    /// While credentials are checked.
    attempt: Option<Attempt>,
    failure: Failed,
}

/// Whether the failure of an exchange was counted.
#[derive(Debug, Clone, Copy)]
enum Failed {
    /// It did not fail until now.
    NotYet,
    /// It was; perhaps that led to a ban.
    Counted(Option<Refusal>),
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
        let login = Login {
            exchange,
            user: None,
            application: None,
            reason: "",
            attempt: None,
            failure: Failed::NotYet,
        };
        self.go_on(endpoint, Box::new(login), next).await;
    }

    /// The client's answer to a challenge.
    pub(super) async fn auth_response(&mut self, endpoint: &mut Server, response: &[u8]) {
        let Some(mut login) = self.login.take() else {
            return endpoint.reply(replies::AUTH_UNAVAILABLE);
        };
        // A proof of SCRAM is a guess like a password; it is checked in no time.
        if login.exchange.awaits_proof()
            && let Err(reply) = self.attempt(&mut login).await
        {
            return endpoint.reply(reply);
        }
        let next = login.exchange.respond(response);
        self.go_on(endpoint, login, next).await;
    }

    /// The exchange ended without a decision. That is an error of the client's, if a small one: it could go on like that for ever.
    pub(super) fn auth_cancelled(&mut self, reply: &Reply) {
        let login = self.login.take();
        let user = login.as_ref().and_then(|login| login.user.as_deref()).unwrap_or("-");
        info!(session = %self.id, user = shown(&user), "AUTH given up: {reply}");
        self.errors = self.errors.saturating_add(1);
        if let Some(refusal) = self.context.abuse.error(self.peer.address.ip(), now()) {
            warn!(session = %self.id, "{refusal}");
        }
    }

    async fn go_on(&mut self, endpoint: &mut Server, mut login: Box<Login>, next: Next) {
        let mechanism = login.exchange.mechanism();
        match self.outcome(&mut login, next).await {
            Outcome::Challenge(challenge) => {
                login.attempt = None;
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
                let said = self.login_failed(&mut login).await;
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
                    let client = match self.attempt(login).await {
                        Ok(client) => client,
                        Err(reply) => return Outcome::PutOff(reply),
                    };
                    match self.answer(question, client).await {
                        Ok(Answered { answer, application, reason }) => {
                            (login.application, login.reason) = (application, reason);
                            if let Answer::Refused = answer
                                && self.count_failure(login).is_some()
                            {
                                // Nothing more is said to who is banned, not even why a token is no good.
                                return Outcome::Refused(reason.to_owned());
                            }
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

    async fn answer(&mut self, question: Question, client: Client) -> Result<Answered, Unavailable> {
        let Some(authenticator) = &self.context.authenticator else {
            return Err(Unavailable("nobody can log in here".to_owned()));
        };
        let asking =
            Asking { tls: self.peer.tls.as_deref(), client, time: (self.context.clock)(), now: now() };
        authenticator.answer(question, asking).await
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

    /// Begins an attempt; a reply when the limits on failed logins leave no room for it.
    async fn attempt(&mut self, login: &mut Login) -> Result<Client, Reply> {
        let (peer, user) = (self.peer.address.ip(), login.user.as_deref());
        let account = user.map(|user| self.counted_as(user));
        let refusal = match self.context.abuse.attempt(peer, account.as_deref(), now()) {
            Ok(attempt) => {
                let client = Client { network: attempt.network(), standing: attempt.standing() };
                login.attempt = Some(attempt);
                return Ok(client);
            }
            Err(refusal) => refusal,
        };
        info!(session = %self.id, user = account.as_deref().unwrap_or("-"), "AUTH put off: {refusal}");
        if refusal.scope == Scope::Account {
            // Whoever goes on knocking at an account that is guessed at is likely to be one of those.
            return Err(self.judged_as_error(refusal.login()).await);
        }
        Err(refusal.login())
    }

    /// Counts a failure, once for an exchange. Returns the ban that it led to, if it did.
    fn count_failure(&self, login: &mut Login) -> Option<Refusal> {
        if let Failed::Counted(ban) = login.failure {
            return ban;
        }
        let account = login.user.as_deref().map(|user| self.counted_as(user)).unwrap_or_default();
        let ban = self.context.abuse.failed_login(self.peer.address.ip(), &account, now());
        login.failure = Failed::Counted(ban);
        login.attempt = None;
        ban
    }

    /// What the client is to be told whose login failed, after a delay if there were many.
    async fn login_failed(&mut self, login: &mut Login) -> Reply {
        if let Some(refusal) = self.count_failure(login) {
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
