//! The server's side of an exchange.
//!
//! The protocol calls [`Exchange::start`] with what came with the command, then [`Exchange::respond`] with each response. What comes
//! back is a challenge to send, a [`Question`] about a user (answered with [`Exchange::answer`]), or the end. Whoever
//! breaks an exchange off drops it.

mod scram;

use crate::oauth::Bearer;
pub use crate::oauth::OAuthHints;
use crate::{
    DecoyKey, Failure, Iterations, MESSAGE_MAX, Mechanism, NAME_MAX, ScramVerifier, Secret, TlsExporter,
    prepare,
};
use scram::Scram;

/// What an exchange needs to be given.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The server's part of the SCRAM nonce: printable ASCII without commas, random, used once. At least 18 octets.
    pub nonce: String,
    /// The channel's exporter value when SCRAM-SHA-256-PLUS was offered on it; a client that then says that it was not
    /// is refused.
    pub channel_binding: Option<TlsExporter>,
    /// Makes SCRAM look the same for users that do not exist.
    pub decoy: DecoyKey,
    /// What real verifiers are made with, so that the others look like them.
    pub iterations: Iterations,
    /// What a client hears whose token is refused.
    pub hints: OAuthHints,
}

/// One authentication exchange.
#[derive(Debug)]
pub struct Exchange {
    mechanism: Mechanism,
    terms: Terms,
    state: State,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Send this; the client's response goes to [`Exchange::respond`].
    Challenge(String),
    /// Find out, and call [`Exchange::answer`].
    Ask(Question),
    /// The client is who it says it is. Whether it may act as the authorization identity is the application's decision.
    Done(Identity),
    /// It is over.
    Failed(Failure),
}

/// What the application must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Is this the user's password? Both are prepared (see [`prepare`]). PLAIN and LOGIN.
    Password {
        /// Who it says it is.
        user: String,
        /// With what password.
        password: Secret,
    },
    /// What is kept for this user? The name is prepared. SCRAM.
    Verifier {
        /// Who it says it is.
        user: String,
    },
    /// Is this token good, and whose is it? OAUTHBEARER and XOAUTH2.
    Token {
        /// The user that the client names besides.
        user: Option<String>,
        /// The token.
        token: Secret,
    },
    /// Whose is the certificate that the client showed? EXTERNAL.
    External {
        /// The user that the client names; a certificate may be good for several.
        user: Option<String>,
    },
}

/// The answer to a [`Question`].
#[derive(Debug, Clone)]
pub enum Answer {
    /// To a password, a token or a certificate: it is this account's.
    Accepted(String),
    /// To [`Question::Verifier`].
    Verifier(ScramVerifier),
    /// It is not, or there is no such user, or nothing is kept for it.
    Refused,
}

/// Who the client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Whose credentials were shown: what the application accepted, for SCRAM the name that the client gave.
    pub authentication: String,
    /// Who the client wants to act as, if it says so.
    pub authorization: Option<String>,
}

#[derive(Debug)]
enum State {
    /// Waits for the client's first message.
    First,
    /// LOGIN: waits for the password.
    LoginPassword {
        user: String,
    },
    /// Waits for the application; the client wants to act as `authorization`.
    Asked {
        authorization: Option<String>,
    },
    /// SCRAM: waits for the application.
    ScramAsked(Box<Scram>),
    /// SCRAM: waits for the proof.
    ScramProof(Box<Scram>, scram::Offer),
    /// SCRAM: the server has proved itself; waits for the client's empty response.
    ScramConfirm(Identity),
    /// The token was refused and the client told so; waits for its dummy response.
    TokenRefused,
    Over,
}

impl Exchange {
    /// An exchange of this mechanism.
    pub fn new(mechanism: Mechanism, terms: Terms) -> Exchange {
        Exchange { mechanism, terms, state: State::First }
    }

    /// Which mechanism it is.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Whether the next response is the client's proof that it knows the password (SCRAM).
    pub fn awaits_proof(&self) -> bool {
        matches!(self.state, State::ScramProof(..))
    }

    /// Begins, with the initial response if one came with the command (an empty one is `Some(b"")`).
    pub fn start(&mut self, initial: Option<&[u8]>) -> Next {
        match initial {
            Some(initial) => self.respond(initial),
            None if self.mechanism == Mechanism::Login => Next::Challenge(USER_PROMPT.to_owned()),
            None => Next::Challenge(String::new()),
        }
    }

    /// Takes a response of the client, decoded.
    pub fn respond(&mut self, response: &[u8]) -> Next {
        let next = match std::str::from_utf8(response) {
            _ if response.len() > MESSAGE_MAX => Err(Failure::TooLong),
            Ok(response) => self.step(response),
            Err(_) => Err(Failure::Malformed("not UTF-8")),
        };
        self.next(next)
    }

    /// Takes the answer to the question in hand.
    pub fn answer(&mut self, answer: Answer) -> Next {
        let next = match (std::mem::replace(&mut self.state, State::Over), answer) {
            (State::Asked { authorization }, Answer::Accepted(authentication)) => {
                Ok(Next::Done(Identity { authentication, authorization }))
            }
            (State::Asked { .. }, Answer::Refused) => self.refuse(),
            (State::ScramAsked(scram), Answer::Verifier(verifier)) => {
                Ok(self.offer(scram, |scram| scram.offer(verifier)))
            }
            (State::ScramAsked(scram), Answer::Refused) => {
                let decoy = self.terms.decoy.verifier(scram.user(), self.terms.iterations);
                Ok(self.offer(scram, |scram| scram.decoy(decoy)))
            }
            _ => Err(Failure::OutOfOrder),
        };
        self.next(next)
    }

    /// After the end nothing more is taken.
    fn next(&mut self, next: Result<Next, Failure>) -> Next {
        let next = next.unwrap_or_else(Next::Failed);
        if let Next::Done(_) | Next::Failed(_) = next {
            self.state = State::Over;
        }
        next
    }

    fn step(&mut self, response: &str) -> Result<Next, Failure> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::First => self.first(response),
            State::LoginPassword { user } => self.ask_password(user, response, None),
            State::ScramProof(scram, offer) => {
                let (challenge, identity) = scram.proof(offer, response)?;
                self.state = State::ScramConfirm(identity);
                Ok(Next::Challenge(challenge))
            }
            State::ScramConfirm(identity) if response.is_empty() => Ok(Next::Done(identity)),
            State::ScramConfirm(_) => Err(Failure::Malformed("something after the end")),
            State::TokenRefused => Err(Failure::Refused),
            State::Asked { .. } | State::ScramAsked(_) | State::Over => Err(Failure::OutOfOrder),
        }
    }

    fn first(&mut self, response: &str) -> Result<Next, Failure> {
        match self.mechanism {
            Mechanism::Plain => {
                let mut fields = response.split('\0');
                let fields = [fields.next(), fields.next(), fields.next(), fields.next()];
                let [Some(authorization), Some(user), Some(password), None] = fields else {
                    return Err(Failure::Malformed("not three fields"));
                };
                let authorization = Some(name(authorization)?).filter(|name| !name.is_empty());
                self.ask_password(user.to_owned(), password, authorization)
            }
            Mechanism::Login => {
                self.state = State::LoginPassword { user: name(response)? };
                Ok(Next::Challenge(PASSWORD_PROMPT.to_owned()))
            }
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => {
                let scram = Scram::first(self.mechanism, &self.terms, response)?;
                let question = Question::Verifier { user: scram.user().to_owned() };
                self.state = State::ScramAsked(Box::new(scram));
                Ok(Next::Ask(question))
            }
            Mechanism::OAuthBearer => self.ask_token(Bearer::parse(response)?),
            Mechanism::XOAuth2 => self.ask_token(Bearer::parse_xoauth2(response)?),
            Mechanism::External => {
                let user = Some(name(response)?).filter(|name| !name.is_empty());
                self.state = State::Asked { authorization: user.clone() };
                Ok(Next::Ask(Question::External { user }))
            }
        }
    }

    fn ask_password(
        &mut self,
        user: String,
        password: &str,
        acts_as: Option<String>,
    ) -> Result<Next, Failure> {
        if password.len() > NAME_MAX {
            return Err(Failure::TooLong);
        }
        let password = Secret::new(prepare(password));
        let user = name(&user)?;
        if user.is_empty() || password.is_empty() {
            return Err(Failure::Malformed("empty user name or password"));
        }
        self.state = State::Asked { authorization: acts_as };
        Ok(Next::Ask(Question::Password { user, password }))
    }

    fn ask_token(&mut self, Bearer { user, token }: Bearer) -> Result<Next, Failure> {
        if token.is_empty() {
            return self.refuse();
        }
        self.state = State::Asked { authorization: user.clone() };
        Ok(Next::Ask(Question::Token { user, token }))
    }

    fn offer(&mut self, mut scram: Box<Scram>, make: impl FnOnce(&mut Scram) -> scram::Offer) -> Next {
        let offer = make(&mut scram);
        let challenge = offer.message().to_owned();
        self.state = State::ScramProof(scram, offer);
        Next::Challenge(challenge)
    }

    /// The end for credentials that are not good: at once, but for tokens after the client was told why (RFC 7628 §3.2.2).
    fn refuse(&mut self) -> Result<Next, Failure> {
        let challenge = match self.mechanism {
            Mechanism::OAuthBearer => self.terms.hints.refusal(),
            Mechanism::XOAuth2 => self.terms.hints.xoauth2_refusal(),
            _ => return Err(Failure::Refused),
        };
        self.state = State::TokenRefused;
        Ok(Next::Challenge(challenge))
    }
}

/// A name within its bounds, prepared.
fn name(text: &str) -> Result<String, Failure> {
    match text {
        _ if text.len() > NAME_MAX => Err(Failure::TooLong),
        _ if text.contains('\0') => Err(Failure::Malformed("a NUL")),
        _ => Ok(prepare(text).into_owned()),
    }
}

/// The prompts of LOGIN, which clients know by heart; there is no standard.
const USER_PROMPT: &str = "Username:";
const PASSWORD_PROMPT: &str = "Password:";
