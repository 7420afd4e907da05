//! A login, whatever protocol carries it: an exchange between a client and the authenticator.
//!
//! The session of a protocol ([`crate::inbound`], [`crate::pop3`]) hands over what the client says and makes a reply of the outcome. What
//! was wrong is in the log, and never in a reply. Secrets pass through the exchange and are in neither. Before anything is checked
//! [`crate::abuse`] is asked, and it is told of a failure when that is known: a client need not hear the exchange to its end for that.

use crate::abuse::connections::Seat;
use crate::abuse::{Attempt, NotNow, Refusal, Scope};
use crate::auth::grant::{Grant, Shown};
use crate::auth::pool::Client;
use crate::auth::{Answered, Asking, Authenticator, Unavailable};
use crate::inbound::{Context, Peer, now, shown};
use crate::session::SessionId;
use sasl::server::{Answer, Exchange, Identity, Next, Question};
use sasl::{Failure, Mechanism};
use std::pin::pin;
use store::{AccountId, AccountName};
use tracing::{info, warn};

/// Where somebody logs in: whose session it is, and who looks at it.
#[derive(Clone, Copy)]
pub(crate) struct Desk<'a> {
    pub(crate) context: &'a Context,
    pub(crate) peer: &'a Peer,
    pub(crate) id: SessionId,
}

/// An exchange under way.
pub(crate) struct Login {
    exchange: Exchange,
    /// Who the client says it is, once it has.
    user: Option<String>,
    /// What the last question came to.
    shown: Shown,
    reason: &'static str,
    /// While credentials are checked.
    attempt: Option<Attempt>,
    failure: Failed,
}

/// What a session has after a login.
pub(crate) struct Opened {
    grant: Grant,
    _seat: Seat,
}

/// Said to who would be one session too many.
const CROWDED: &str = "this account has too many sessions, try again later";

/// Whether the failure of an exchange was counted.
#[derive(Debug, Clone, Copy)]
enum Failed {
    /// It did not fail until now.
    NotYet,
    /// It was; perhaps that led to a ban.
    Counted(Option<Refusal>),
}

/// What comes of a step. All but the first end the exchange.
pub(crate) enum Outcome {
    /// The client must say more.
    Challenge(String),
    /// The session is an account's.
    Granted(Opened),
    /// The account has as many sessions as it may, now or in a length of time; in words for the client.
    Crowded(String),
    /// It is nobody's.
    Refused,
    /// It is nobody's, and it was the one that was too many.
    Banned(Refusal),
    /// The attempt is not looked at: there were too many.
    PutOff(Refusal),
    /// It cannot be looked at now.
    Unavailable,
}

impl Opened {
    /// Whose the session is.
    pub(crate) fn account(&self) -> &AccountName {
        self.grant.account()
    }

    /// The account's identifier.
    pub(crate) fn account_id(&self) -> AccountId {
        self.grant.account_id()
    }
}

impl Desk<'_> {
    /// Whether what this session was opened with is still good.
    pub(crate) async fn holds(&self, opened: &Opened) -> Result<bool, Unavailable> {
        let grant = &opened.grant;
        let Some(authenticator) = &self.context.authenticator else { return Ok(false) };
        let holds = authenticator.holds(grant).await?;
        if !holds {
            let account = grant.account();
            info!(session = %self.id, %account, "sent away: what it has logged in with is no good any more");
        }
        Ok(holds)
    }
}

impl Login {
    /// Begins an exchange; `None` where nobody can log in like that.
    pub(crate) async fn begin(
        desk: &Desk<'_>,
        mechanism: &str,
        initial: Option<&[u8]>,
    ) -> Option<(Box<Login>, Outcome)> {
        let authenticator = desk.context.authenticator.as_ref()?;
        let mut exchange = authenticator.begin(Mechanism::parse(mechanism)?, desk.peer.tls.as_deref());
        let next = exchange.start(initial);
        let mut login = Box::new(Login {
            exchange,
            user: None,
            shown: Shown::Elsewhere,
            reason: "",
            attempt: None,
            failure: Failed::NotYet,
        });
        let outcome = login.go_on(desk, authenticator, next).await;
        Some((login, outcome))
    }

    /// The client's answer to a challenge.
    pub(crate) async fn respond(&mut self, desk: &Desk<'_>, response: &[u8]) -> Outcome {
        let Some(authenticator) = &desk.context.authenticator else { return Outcome::Unavailable };
        // A proof of SCRAM is a guess like a password; it is checked in no time.
        if self.exchange.awaits_proof()
            && let Err(outcome) = self.attempt(desk, authenticator).await
        {
            return outcome;
        }
        let next = self.exchange.respond(response);
        self.go_on(desk, authenticator, next).await
    }

    /// Who the client says it is, once it has.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    async fn go_on(&mut self, desk: &Desk<'_>, authenticator: &Authenticator, next: Next) -> Outcome {
        match self.conclude(desk, authenticator, next).await {
            Ok(outcome) => outcome,
            Err(reason) => {
                let (mechanism, user) = (self.exchange.mechanism(), self.user().unwrap_or("-"));
                info!(session = %desk.id, %mechanism, user = shown(&user), reason, "AUTH refused");
                match self.count_failure(desk, authenticator) {
                    Some(refusal) => {
                        warn!(session = %desk.id, "{refusal}");
                        Outcome::Banned(refusal)
                    }
                    None => Outcome::Refused,
                }
            }
        }
    }

    /// Answers the exchange's questions until the client must say something, or it is over; an error says why it is nobody's.
    async fn conclude(
        &mut self,
        desk: &Desk<'_>,
        authenticator: &Authenticator,
        mut next: Next,
    ) -> Result<Outcome, String> {
        loop {
            next = match next {
                Next::Challenge(challenge) => {
                    self.attempt = None;
                    return Ok(Outcome::Challenge(challenge));
                }
                Next::Done(identity) => {
                    let account = authorised(authenticator, &identity)?;
                    return match authenticator.grant(&account, self.shown.clone()).await {
                        Ok(Some(grant)) => {
                            let seat = match seat(desk, &account) {
                                Ok(seat) => seat,
                                Err(why) => return Ok(Outcome::Crowded(why)),
                            };
                            self.granted(desk, authenticator, &account).await;
                            Ok(Outcome::Granted(Opened { grant, _seat: seat }))
                        }
                        Ok(None) => Err("the account is gone".to_owned()),
                        Err(unavailable) => Ok(put_off(desk, &unavailable)),
                    };
                }
                Next::Failed(Failure::Refused) => return Err(self.reason.to_owned()),
                Next::Failed(failure) => return Err(failure.to_string()),
                Next::Ask(question) => {
                    self.user = user_of(&question);
                    let client = match self.attempt(desk, authenticator).await {
                        Ok(client) => client,
                        Err(outcome) => return Ok(outcome),
                    };
                    match answer(desk, authenticator, question, client).await {
                        Ok(Answered { answer, shown, reason }) => {
                            (self.shown, self.reason) = (shown, reason);
                            if let Answer::Refused = answer
                                && self.count_failure(desk, authenticator).is_some()
                            {
                                // Nothing more is said to who is banned, not even why a token is no good.
                                return Err(reason.to_owned());
                            }
                            self.exchange.answer(answer)
                        }
                        Err(unavailable) => return Ok(put_off(desk, &unavailable)),
                    }
                }
            };
        }
    }

    async fn granted(&self, desk: &Desk<'_>, authenticator: &Authenticator, account: &AccountName) {
        let mechanism = self.exchange.mechanism();
        let application = self.shown.application().unwrap_or("-");
        info!(session = %desk.id, %mechanism, %account, application, "AUTH succeeded");
        desk.context.abuse.logged_in(desk.peer.address.ip(), account.as_str(), now());
        if let Some(application) = self.shown.application() {
            authenticator.note_use(account, application, (desk.context.clock)()).await;
        }
    }

    /// Begins an attempt, if the limits on failed logins leave room for it; waits for those under way as long as that depends on them.
    async fn attempt(&mut self, desk: &Desk<'_>, authenticator: &Authenticator) -> Result<Client, Outcome> {
        let (abuse, peer) = (&desk.context.abuse, desk.peer.address.ip());
        let account = self.user().map(|user| counted_as(authenticator, user));
        let refusal = loop {
            let mut ended = pin!(abuse.attempt_ended());
            // From here on none that ends is missed.
            ended.as_mut().enable();
            match abuse.attempt(peer, account.as_deref(), now()) {
                Ok(attempt) => {
                    let client = Client { network: attempt.network(), standing: attempt.standing() };
                    self.attempt = Some(attempt);
                    return Ok(client);
                }
                Err(NotNow::UnderWay) => ended.await,
                Err(NotNow::Refused(refusal)) => break refusal,
            }
        };
        info!(session = %desk.id, user = account.as_deref().unwrap_or("-"), "AUTH put off: {refusal}");
        if refusal.scope == Scope::Account
            && let Some(ban) = abuse.knocked(peer, now())
        {
            warn!(session = %desk.id, "{ban}");
            return Err(Outcome::Banned(ban));
        }
        Err(Outcome::PutOff(refusal))
    }

    /// Counts a failure, once for an exchange. Returns the ban that it led to, if it did.
    fn count_failure(&mut self, desk: &Desk<'_>, authenticator: &Authenticator) -> Option<Refusal> {
        if let Failed::Counted(ban) = self.failure {
            return ban;
        }
        let account = self.user().map(|user| counted_as(authenticator, user)).unwrap_or_default();
        let ban = desk.context.abuse.failed_login(desk.peer.address.ip(), &account, now());
        self.failure = Failed::Counted(ban);
        self.attempt = None;
        ban
    }
}

/// A place for one more session of the account, or why there is none.
fn seat(desk: &Desk<'_>, account: &AccountName) -> Result<Seat, String> {
    let Some(seat) = desk.context.connections.seat(account) else {
        info!(session = %desk.id, %account, "AUTH put off: it has as many sessions as it may");
        return Err(CROWDED.to_owned());
    };
    match desk.context.abuse.account_session(account.as_str(), now()) {
        Ok(()) => Ok(seat),
        Err(refusal) => {
            info!(session = %desk.id, %account, "AUTH put off: {refusal}");
            Err(refusal.in_words())
        }
    }
}

fn put_off(desk: &Desk<'_>, unavailable: &Unavailable) -> Outcome {
    warn!(session = %desk.id, "AUTH put off: {unavailable}");
    Outcome::Unavailable
}

async fn answer(
    desk: &Desk<'_>,
    authenticator: &Authenticator,
    question: Question,
    client: Client,
) -> Result<Answered, Unavailable> {
    let tls = desk.peer.tls.as_deref();
    let asking = Asking { tls, client, time: (desk.context.clock)(), now: now() };
    authenticator.answer(question, asking).await
}

fn authorised(authenticator: &Authenticator, identity: &Identity) -> Result<AccountName, String> {
    authenticator.account(identity).ok_or_else(|| {
        let wanted = identity.authorization.as_deref().unwrap_or("-");
        format!("it may not act as {}", shown(&wanted))
    })
}

/// The name under which attempts at a user are counted: the account's, however it is spelt.
fn counted_as(authenticator: &Authenticator, user: &str) -> String {
    let account = authenticator.account_name(user);
    account.map_or_else(|| shown(&user), |account| account.to_string())
}

/// Who a client says it is.
fn user_of(question: &Question) -> Option<String> {
    match question {
        Question::Password { user, .. } | Question::Verifier { user } => Some(user.clone()),
        Question::Token { user, .. } | Question::External { user } => user.clone(),
    }
}
