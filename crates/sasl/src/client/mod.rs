//! The client's side of an exchange.
//!
//! [`choose`] picks a mechanism among those that a server offers. [`Exchange::initial`] is what goes with the command (or, where
//! it does not fit there, as the response to the empty challenge), [`Exchange::respond`] answers challenges, and
//! [`Exchange::succeeded`] says after the server's success whether the server proved itself, where the mechanism asks for that.

mod scram;

use crate::oauth::{self, Bearer};
use crate::{Failure, MESSAGE_MAX, Mechanism, Secret, TlsExporter};
use scram::Scram;

/// What a client shows.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A password: PLAIN, LOGIN and SCRAM.
    Password {
        /// The user.
        user: String,
        /// Its password.
        password: Secret,
        /// Who to act as, if not the user itself.
        authorization: Option<String>,
    },
    /// A bearer token: OAUTHBEARER and XOAUTH2.
    Token {
        /// The user.
        user: String,
        /// The token.
        token: Secret,
        /// The server's name, as the client called it.
        host: String,
        /// The port it connected to.
        port: u16,
    },
    /// The TLS client certificate that the channel was opened with: EXTERNAL.
    Certificate {
        /// Who to act as; the server decides when it is not given.
        authorization: Option<String>,
    },
}

/// What the client knows of channel binding (RFC 5802 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelBinding {
    /// There is no TLS, or no exporter value, or PLUS is not wanted.
    Unsupported,
    /// There is one, but the server did not offer PLUS. A server that did notices the downgrade.
    NotOffered,
    /// The channel's exporter value, for PLUS.
    TlsExporter(TlsExporter),
}

/// One authentication exchange.
#[derive(Debug)]
pub struct Exchange {
    mechanism: Mechanism,
    credentials: Credentials,
    state: State,
}

#[derive(Debug)]
enum State {
    First(Box<Option<Scram>>),
    /// LOGIN: the name is sent.
    LoginPassword,
    Scram(Box<Scram>),
    /// All is said; `Err` if that cannot be a success.
    Finished(Result<(), Failure>),
}

/// The mechanism to use with these credentials among those that are offered: the first of [`Mechanism::ALL`] that fits, and what
/// to say of channel binding. `exporter` is the channel's value, if there is one.
pub fn choose(
    offered: &[Mechanism],
    credentials: &Credentials,
    exporter: Option<TlsExporter>,
) -> Option<(Mechanism, ChannelBinding)> {
    let has_plus = offered.contains(&Mechanism::ScramSha256Plus);
    let fits = |mechanism: &Mechanism| {
        offered.contains(mechanism)
            && credentials.fit(*mechanism)
            && (*mechanism != Mechanism::ScramSha256Plus || exporter.is_some())
    };
    let mechanism = Mechanism::ALL.into_iter().find(fits)?;
    let binding = match exporter {
        Some(exporter) if mechanism == Mechanism::ScramSha256Plus => ChannelBinding::TlsExporter(exporter),
        Some(_) if !has_plus => ChannelBinding::NotOffered,
        _ => ChannelBinding::Unsupported,
    };
    Some((mechanism, binding))
}

impl Credentials {
    /// Refuses what would end a field before its end.
    fn check(&self) -> Result<(), Failure> {
        let (texts, token) = match self {
            Credentials::Password { user, password, authorization } => {
                ([Some(user.as_str()), Some(password.expose()), authorization.as_deref()], None)
            }
            Credentials::Token { user, token, host, .. } => {
                ([Some(user.as_str()), Some(host), None], Some(token))
            }
            Credentials::Certificate { authorization } => ([authorization.as_deref(), None, None], None),
        };
        let is_token = token.is_none_or(|token| oauth::is_token(token.expose()));
        match texts.into_iter().flatten().all(|text| !text.contains(['\0', '\u{1}'])) && is_token {
            true => Ok(()),
            false => Err(Failure::Unfit),
        }
    }

    /// Whether the mechanism can show them.
    pub fn fit(&self, mechanism: Mechanism) -> bool {
        use Mechanism::{External, Login, OAuthBearer, Plain, ScramSha256, ScramSha256Plus, XOAuth2};
        match self {
            // LOGIN cannot say who to act as.
            Credentials::Password { authorization, .. } if mechanism == Login => authorization.is_none(),
            Credentials::Password { .. } => matches!(mechanism, Plain | ScramSha256 | ScramSha256Plus),
            Credentials::Token { .. } => matches!(mechanism, OAuthBearer | XOAuth2),
            Credentials::Certificate { .. } => mechanism == External,
        }
    }
}

impl Exchange {
    /// An exchange of this mechanism. `nonce` is the client's SCRAM nonce: printable ASCII without commas, random, used once, at
    /// least 18 octets.
    pub fn new(
        mechanism: Mechanism,
        credentials: Credentials,
        nonce: &str,
        binding: ChannelBinding,
    ) -> Result<Exchange, Failure> {
        if !credentials.fit(mechanism) {
            return Err(Failure::Unfit);
        }
        credentials.check()?;
        let scram = match (mechanism, &credentials) {
            (
                Mechanism::ScramSha256 | Mechanism::ScramSha256Plus,
                Credentials::Password { user, authorization, .. },
            ) => Some(Scram::new(mechanism, user, authorization.as_deref(), nonce, binding)?),
            _ => None,
        };
        Ok(Exchange { mechanism, credentials, state: State::First(Box::new(scram)) })
    }

    /// The mechanism.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// The first message; `None` when the server speaks first, and after the first call.
    pub fn initial(&mut self) -> Option<Secret> {
        if !self.mechanism.is_client_first() || !matches!(self.state, State::First(_)) {
            return None;
        }
        let State::First(scram) = std::mem::replace(&mut self.state, State::Finished(Ok(()))) else {
            return None;
        };
        if let Some(scram) = *scram {
            let first = scram.first();
            self.state = State::Scram(Box::new(scram));
            return Some(Secret::new(first));
        }
        Some(match &self.credentials {
            Credentials::Password { user, password, authorization } => {
                let authorization = authorization.as_deref().unwrap_or_default();
                Secret::new(format!("{authorization}\0{user}\0{}", password.expose()))
            }
            Credentials::Token { user, token, host, port } => {
                let bearer = Bearer { user: Some(user.clone()), token: token.clone() };
                match self.mechanism {
                    Mechanism::XOAuth2 => bearer.write_xoauth2(),
                    _ => bearer.write(host, *port),
                }
            }
            Credentials::Certificate { authorization } => {
                Secret::new(authorization.clone().unwrap_or_default())
            }
        })
    }

    /// The response to a challenge. After an error the exchange is to be cancelled.
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Secret, Failure> {
        if challenge.len() > MESSAGE_MAX {
            return Err(Failure::TooLong);
        }
        let challenge = String::from_utf8_lossy(challenge);
        match std::mem::replace(&mut self.state, State::Finished(Err(Failure::OutOfOrder))) {
            // The prompts differ between servers; their order does not.
            State::First(_) if self.mechanism == Mechanism::Login => {
                self.state = State::LoginPassword;
                let Credentials::Password { user, .. } = &self.credentials else {
                    return Err(Failure::Unfit);
                };
                Ok(Secret::new(user.clone()))
            }
            State::LoginPassword => {
                self.state = State::Finished(Ok(()));
                let Credentials::Password { password, .. } = &self.credentials else {
                    return Err(Failure::Unfit);
                };
                Ok(password.clone())
            }
            State::Scram(mut scram) => {
                let Credentials::Password { password, .. } = &self.credentials else {
                    return Err(Failure::Unfit);
                };
                let response = scram.respond(&challenge, password)?;
                self.state = State::Scram(scram);
                Ok(Secret::new(response))
            }
            State::Finished(Ok(())) if matches!(self.credentials, Credentials::Token { .. }) => {
                self.state = State::Finished(Err(Failure::Token(printable(&challenge))));
                // RFC 7628 §3.2.3; XOAUTH2 wants an empty one.
                Ok(Secret::new(if self.mechanism == Mechanism::XOAuth2 { "" } else { oauth::DUMMY }))
            }
            State::First(_) | State::Finished(_) => Err(Failure::OutOfOrder),
        }
    }

    /// Whether the server's success can be believed: SCRAM's proof that the server knows the password must have come.
    pub fn succeeded(&self) -> Result<(), Failure> {
        match &self.state {
            State::Finished(result) => result.clone(),
            State::Scram(scram) if scram.is_verified() => Ok(()),
            State::Scram(_) => Err(Failure::Server),
            State::First(_) | State::LoginPassword => Err(Failure::OutOfOrder),
        }
    }
}

/// What a server says, as it may be shown.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| if matches!(character, ' '..='~') { character } else { '?' })
        .take(512)
        .collect()
}
