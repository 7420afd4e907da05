//! Who a client is: passwords, tokens and certificates, checked against the directory.
//!
//! [`Authenticator`] is what all sessions share. A session begins an exchange with it ([`Authenticator::begin`]), has the questions of
//! that exchange answered ([`Authenticator::answer`]), and asks at its end whose account it is
//! ([`Authenticator::account`]), and before it acts on that later, whether it still is ([`Authenticator::holds`]). It speaks no protocol and counts no attempts: `inbound` does the one, `abuse` the other.

pub mod check;
pub mod grant;
pub mod introspection;
pub mod jwt;
pub mod key;
pub mod password;
pub mod pool;
pub mod token;
pub mod tokens;

use crate::settings::{AuthSettings, InClear};
use crate::tls::TlsSession;
use check::Match;
use data_encoding::BASE64;
use grant::{Grant, Remade, Shown};
use password::{Cost, Freshness, SALT};
use pool::{Client, Pool};
use sasl::server::{Answer, Exchange, Identity, OAuthHints, Question, Terms};
use sasl::{DecoyKey, Iterations, Mechanism, ScramVerifier, Secret};
use smtp::Domain;
use std::sync::Arc;
use std::time::Instant;
use store::{AccountName, Credentials, SharedStore, Timestamp};
use token::TokenError;
use tokens::Tokens;

/// Fills octets with randomness.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// Checks who clients are.
pub struct Authenticator {
    settings: AuthSettings,
    store: SharedStore,
    random: Random,
    pool: Arc<Pool>,
    costs: Costs,
    decoy: DecoyKey,
    tokens: Option<Tokens>,
    remade: Arc<Remade>,
    /// The domain of a user name without one.
    domain: Domain,
}

/// What an [`Authenticator`] is made of.
pub struct Options<'a> {
    /// How clients may prove who they are.
    pub settings: &'a AuthSettings,
    /// Where accounts are.
    pub store: SharedStore,
    /// The server's own key ([`key::load`]).
    pub key: [u8; 32],
    /// The domain of a user name without one.
    pub domain: Domain,
    /// What new hashes cost.
    pub costs: Costs,
    /// Salts and nonces.
    pub random: Random,
    /// Who checks passwords.
    pub pool: Pool,
    /// The moment on the clock of deadlines.
    pub now: Instant,
}

/// What guessing at a password costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// With Argon2id.
    pub argon2: Cost,
    /// With SCRAM's verifiers.
    pub scram: Iterations,
}

/// Why nobody can be authenticated.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The server's own key.
    #[error("cannot use the server's key: {0}")]
    Key(#[from] key::KeyError),
    /// The threads that check passwords.
    #[error("cannot start the threads that check passwords: {0}")]
    Pool(std::io::Error),
    /// Tokens.
    #[error("bearer tokens cannot be checked: {0}")]
    Tokens(#[from] tokens::TokensError),
}

/// Who asks, and when.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// The TLS of the connection.
    pub tls: Option<&'a TlsSession>,
    /// Whose turn it takes where passwords are checked.
    pub client: Client,
    /// The clock's time.
    pub time: Timestamp,
    /// The moment on the clock of deadlines.
    pub now: Instant,
}

/// What a question came to.
#[derive(Debug)]
pub struct Answered {
    /// For the exchange.
    pub answer: Answer,
    /// What is shown, if the exchange succeeds.
    pub shown: Shown,
    /// Why it was refused, for the log.
    pub reason: &'static str,
}

/// It cannot be told now; the text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// What is kept of a password.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its hash.
    pub password: store::Secret,
    /// Its SCRAM verifier.
    pub scram: Option<store::Secret>,
}

impl Default for Costs {
    fn default() -> Costs {
        Costs { argon2: Cost::default(), scram: Iterations::RECOMMENDED }
    }
}

impl Authenticator {
    /// Reads what it needs.
    pub fn open(options: Options<'_>) -> Result<Authenticator, AuthError> {
        let Options { settings, store, key, domain, costs, random, pool, now } = options;
        let tokens = settings.oauth.as_ref().map(|oauth| Tokens::new(oauth, now)).transpose()?;
        Ok(Authenticator {
            settings: settings.clone(),
            store,
            pool: Arc::new(pool),
            costs,
            decoy: DecoyKey::new(key),
            random,
            tokens,
            remade: Arc::default(),
            domain,
        })
    }

    /// The mechanisms that every client is offered.
    pub fn mechanisms(settings: &AuthSettings) -> Vec<Mechanism> {
        let offered = |mechanism: &Mechanism| match mechanism {
            // These depend on the connection.
            Mechanism::External | Mechanism::ScramSha256Plus => false,
            Mechanism::OAuthBearer | Mechanism::XOAuth2 => settings.oauth.is_some(),
            Mechanism::ScramSha256 | Mechanism::Plain | Mechanism::Login => true,
        };
        settings.mechanisms.iter().copied().filter(offered).collect()
    }

    /// The mechanisms that a client is offered because of its TLS: EXTERNAL with a certificate, PLUS with a channel that can be bound.
    pub fn mechanisms_over(&self, tls: &TlsSession) -> Vec<Mechanism> {
        let offered = |mechanism: &Mechanism| match mechanism {
            Mechanism::External => tls.client_certificate.is_some(),
            Mechanism::ScramSha256Plus => tls.exporter.is_some(),
            _ => false,
        };
        self.settings.mechanisms.iter().copied().filter(offered).collect()
    }

    /// Who may log in without TLS.
    pub fn in_clear(&self) -> InClear {
        self.settings.in_clear
    }

    /// Begins an exchange.
    pub fn begin(&self, mechanism: Mechanism, tls: Option<&TlsSession>) -> Exchange {
        let mut nonce = [0; 18];
        (self.random)(&mut nonce);
        let offers_plus = self.settings.mechanisms.contains(&Mechanism::ScramSha256Plus);
        let hints =
            self.settings.oauth.as_ref().map_or_else(OAuthHints::default, |oauth| oauth.hints.clone());
        Exchange::new(
            mechanism,
            Terms {
                nonce: BASE64.encode(&nonce),
                channel_binding: tls.and_then(|tls| tls.exporter).filter(|_| offers_plus),
                decoy: self.decoy.clone(),
                iterations: self.costs.scram,
                hints,
            },
        )
    }

    /// The account that a user name means: an address, or what stands before the `@` in the main domain.
    pub fn account_name(&self, user: &str) -> Option<AccountName> {
        match user.contains('@') {
            true => AccountName::parse(user).ok(),
            false => AccountName::parse(&format!("{user}@{}", self.domain.ascii())).ok(),
        }
    }

    /// Answers a question of an exchange.
    pub async fn answer(&self, question: Question, asking: Asking<'_>) -> Result<Answered, Unavailable> {
        match question {
            Question::Password { user, password } => self.password(&user, password, asking.client).await,
            Question::Verifier { user } => self.verifier(&user).await,
            Question::Token { token, .. } => self.token(&token, asking.time, asking.now).await,
            Question::External { user } => self.certificate(user.as_deref(), asking.tls).await,
        }
    }

    /// The account of a client that has proved who it is. An account acts for itself alone.
    pub fn account(&self, identity: &Identity) -> Option<AccountName> {
        let account = self.account_name(&identity.authentication)?;
        match &identity.authorization {
            Some(other) if self.account_name(other).as_ref() != Some(&account) => None,
            _ => Some(account),
        }
    }

    /// What a session may do that has proved to be this account's by what was shown; `None` when the account is gone meanwhile.
    pub async fn grant(&self, account: &AccountName, shown: Shown) -> Result<Option<Grant>, Unavailable> {
        let account = self.store.account(account).await.map_err(|error| Unavailable(error.to_string()))?;
        Ok(account.map(|account| Grant::new(account, shown)))
    }

    /// Whether the account is still there, and what was shown for it still kept.
    pub async fn holds(&self, grant: &Grant) -> Result<bool, Unavailable> {
        let account = self.store.account(grant.account()).await;
        let Some(account) = account.map_err(|error| Unavailable(error.to_string()))? else {
            return Ok(false);
        };
        let credentials = self.credentials(Some(&account.name)).await?;
        Ok(credentials.is_some_and(|credentials| grant.holds(&account, &credentials, &self.remade)))
    }

    /// Keeps that an application password was used; the store writes it at most once an hour.
    pub async fn note_use(&self, account: &AccountName, application: &str, time: Timestamp) {
        if let Err(error) = self.store.note_use(account, application, time).await {
            tracing::warn!(%account, %error, "the use of an application password is not kept");
        }
    }

    async fn password(&self, user: &str, password: Secret, client: Client) -> Result<Answered, Unavailable> {
        let name = self.account_name(user);
        let credentials = self.credentials(name.as_ref()).await?;
        let (argon2, shown, kept) = (self.costs.argon2, password.clone(), credentials.clone());
        let checked =
            self.pool.run(client, move |scratch| check::check(kept.as_ref(), &shown, argon2, scratch)).await;
        let matched = checked.map_err(|busy| Unavailable(busy.to_string()))?;
        let (Some(name), Some(credentials)) = (name, credentials) else {
            return Ok(Answered::refused("no such account"));
        };
        let has_none = credentials.password.is_none() && credentials.application_passwords.is_empty();
        let application = match &matched {
            Match::None if has_none => return Ok(Answered::refused("no password is set")),
            Match::None => return Ok(Answered::refused("wrong password")),
            Match::Application(application) => Some(application.as_str()),
            Match::Main(_) => None,
        };
        let Some(shown) = Shown::of(&credentials, application) else {
            return Ok(Answered::refused("it is not kept any more"));
        };
        if let Match::Main(freshness) = matched {
            self.refresh(&name, credentials, (password, freshness), client);
        }
        Ok(Answered { answer: Answer::Accepted(name.to_string()), shown, reason: "" })
    }

    async fn verifier(&self, user: &str) -> Result<Answered, Unavailable> {
        let name = self.account_name(user);
        let credentials = self.credentials(name.as_ref()).await?;
        // One is made up whoever is asked for, and one is read from its record: neither an account nor the lack of one takes longer. It is made
        // of the account's name: however that is spelt its salt is the same, as a real one's is.
        let made_up = self.decoy.verifier(name.as_ref().map_or(user, AccountName::as_str), self.costs.scram);
        let decoy = made_up.record();
        let found = credentials.as_ref().and_then(|credentials| {
            let (verifier, application) = check::verifier(credentials)?;
            Some((verifier, Shown::of(credentials, application)?))
        });
        Ok(match found {
            Some((verifier, shown)) => {
                Answered { answer: Answer::Verifier(verifier), shown, reason: "wrong password" }
            }
            None => Answered {
                answer: Answer::Verifier(ScramVerifier::parse(decoy.expose()).unwrap_or(made_up)),
                shown: Shown::Elsewhere,
                reason: "no such account, or no SCRAM verifier for it",
            },
        })
    }

    async fn token(&self, token: &Secret, time: Timestamp, now: Instant) -> Result<Answered, Unavailable> {
        let Some(tokens) = &self.tokens else { return Ok(Answered::refused("tokens are not taken")) };
        match tokens.account(token, time.0.div_euclid(1000), now).await {
            Ok(account) => self.existing(self.account_name(&account)).await,
            Err(TokenError::Refused(why)) => Ok(Answered::refused(why)),
            Err(error @ TokenError::Unavailable(_)) => Err(Unavailable(error.to_string())),
        }
    }

    async fn certificate(
        &self,
        user: Option<&str>,
        tls: Option<&TlsSession>,
    ) -> Result<Answered, Unavailable> {
        let Some(certificate) = tls.and_then(|tls| tls.client_certificate.as_ref()) else {
            return Ok(Answered::refused("there is no certificate"));
        };
        let fingerprint = certificate.fingerprint.to_string().to_lowercase();
        let mapped = |key: &str| self.settings.certificates.get(&key.to_lowercase()).cloned();
        // Whoever is mapped by hand is only that.
        let mut accounts: Vec<AccountName> = mapped(&fingerprint).into_iter().collect();
        if accounts.is_empty() {
            let of_address = |address: &String| mapped(address).or_else(|| AccountName::parse(address).ok());
            accounts = certificate.addresses.iter().filter_map(of_address).collect();
        }
        let wanted = user.map(|user| self.account_name(user));
        for account in accounts {
            if wanted.as_ref().is_none_or(|wanted| wanted.as_ref() == Some(&account)) {
                let answered = self.existing(Some(account)).await?;
                if let Answer::Accepted(_) = answered.answer {
                    return Ok(answered);
                }
            }
        }
        Ok(Answered::refused("the certificate is no account's"))
    }

    /// Accepts an account that was proved, if there is one of that name.
    async fn existing(&self, name: Option<AccountName>) -> Result<Answered, Unavailable> {
        Ok(match (self.credentials(name.as_ref()).await?, name) {
            (Some(_), Some(name)) => {
                Answered { answer: Answer::Accepted(name.to_string()), shown: Shown::Elsewhere, reason: "" }
            }
            _ => Answered::refused("no such account"),
        })
    }

    /// What is kept for an account; `None` when there is no such account.
    async fn credentials(&self, name: Option<&AccountName>) -> Result<Option<Credentials>, Unavailable> {
        let Some(name) = name else { return Ok(None) };
        match self.store.credentials(name).await {
            Ok(credentials) => Ok(Some(credentials)),
            Err(store::Error::NoSuchAccount(_)) => Ok(None),
            Err(error) => Err(Unavailable(error.to_string())),
        }
    }

    /// Makes anew what is kept of a main password that was shown just now, when new ones are kept otherwise. The login does not wait
    /// for it, and if it fails the next one tries again.
    fn refresh(
        &self,
        name: &AccountName,
        before: Credentials,
        (password, freshness): (Secret, Freshness),
        client: Client,
    ) {
        let wanted = WithScram::wanted(&self.settings);
        let scram = before.scram.as_ref().and_then(|record| ScramVerifier::parse(record.reveal()).ok());
        let is_wanted = match (wanted, scram) {
            (WithScram::Yes, kept) => kept.is_some_and(|kept| kept.iterations() == self.costs.scram),
            // Nobody can use it, and whoever steals the store can guess at it.
            (WithScram::No, kept) => kept.is_none(),
        };
        if freshness == Freshness::Current && is_wanted {
            return;
        }
        let Some(before) = before.password else { return };
        let (store, pool, name) = (Arc::clone(&self.store), Arc::clone(&self.pool), name.clone());
        let (made, remade) = (self.making(password, wanted), Arc::clone(&self.remade));
        tokio::spawn(async move {
            let Ok(kept) = pool.run(client, |_| made()).await else { return };
            // Before it is put in place: no session shall see the new one without knowing where it comes from.
            remade.note(before.clone(), kept.password.clone());
            // A password that was changed meanwhile must not come back.
            match store.replace_password(&name, before, kept.password, kept.scram).await {
                Ok(()) => tracing::info!(account = %name, "what is kept of the password was made anew"),
                Err(store::Error::Changed(_)) => {}
                Err(error) => tracing::warn!(account = %name, %error, "the password's hash stays as it was"),
            }
        });
    }

    fn making(&self, password: Secret, scram: WithScram) -> impl FnOnce() -> Kept + Send + 'static {
        let (costs, random) = (self.costs, Arc::clone(&self.random));
        move || keep(&password, costs, scram, &random)
    }
}

/// Whether a SCRAM verifier is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithScram {
    /// It is.
    Yes,
    /// It is not: nobody could use it.
    No,
}

impl WithScram {
    /// What the mechanisms of these settings need.
    pub fn wanted(settings: &AuthSettings) -> WithScram {
        let is_scram = |one: &Mechanism| matches!(one, Mechanism::ScramSha256 | Mechanism::ScramSha256Plus);
        if settings.mechanisms.iter().any(is_scram) { WithScram::Yes } else { WithScram::No }
    }
}

/// What is to be kept of a new main password. Takes a good part of a second of computing.
pub fn keep(password: &Secret, costs: Costs, scram: WithScram, random: &Random) -> Kept {
    let hash = password::hash(password.expose(), &salt(random), costs.argon2);
    Kept {
        password: stored(&hash),
        scram: (scram == WithScram::Yes).then(|| verifier_of(password, costs, random)),
    }
}

/// A new application password as its owner is to type it, and what is to be kept of it.
pub fn new_application_password(costs: Costs, scram: WithScram, random: &Random) -> (Secret, Kept) {
    let mut octets = [0; password::APPLICATION_PASSWORD];
    random(&mut octets);
    let shown = password::application_password(&octets);
    let hash = password::hash_application_password(shown.expose(), &salt(random));
    let scram = (scram == WithScram::Yes).then(|| verifier_of(&shown, costs, random));
    (shown, Kept { password: stored(&hash), scram })
}

/// The system's randomness.
pub fn system_random() -> Random {
    Arc::new(|octets: &mut [u8]| aws_lc_rs::rand::fill(octets).expect("the system has randomness"))
}

impl Answered {
    fn refused(reason: &'static str) -> Answered {
        Answered { answer: Answer::Refused, shown: Shown::Elsewhere, reason }
    }
}

fn verifier_of(password: &Secret, costs: Costs, random: &Random) -> store::Secret {
    stored(&ScramVerifier::derive(password.expose(), &salt(random), costs.scram).record())
}

fn salt(random: &Random) -> [u8; SALT] {
    let mut salt = [0; SALT];
    random(&mut salt);
    salt
}

fn stored(secret: &Secret) -> store::Secret {
    store::Secret::new(secret.expose())
}

#[cfg(test)]
mod tests;
