//! Proving to a next hop who we are (RFC 4954): the application's side of AUTH for [`crate::deliver::relay`].
//!
//! Which mechanisms may be used is the endpoint's decision, what is said the exchange's of `sasl`; here the secret is read from its file, for
//! each connection anew, so that one that was renewed is found.

use crate::route::{Credentials, SecretFile};
use crate::tls::TlsSession;
use data_encoding::BASE64;
use sasl::client::{self, Exchange, choose};
use sasl::{Mechanism, Secret, TlsExporter};
use smtp::SaslMessage;
use smtp::client::Client;
use std::io;
use std::sync::Arc;

/// What a login takes.
#[derive(Clone)]
pub struct Login {
    /// Who we are.
    pub credentials: Credentials,
    /// The next hop as we call it, and its port: bearer tokens are meant for it.
    pub host: Arc<str>,
    /// The port.
    pub port: u16,
    /// Makes nonces.
    pub random: crate::auth::Random,
}

/// A login under way.
pub(super) struct Attempt {
    login: Login,
    exporter: Option<TlsExporter>,
    exchange: Option<Exchange>,
    /// What was wrong, in our own words.
    trouble: Option<String>,
}

impl Attempt {
    pub(super) fn new(login: Login) -> Attempt {
        Attempt { login, exporter: None, exchange: None, trouble: None }
    }

    /// TLS is on: its exporter binds the exchange to this connection.
    pub(super) fn secured(&mut self, session: &TlsSession) {
        self.exporter = session.exporter;
    }

    /// Begins with one of the mechanisms that the next hop offers.
    pub(super) async fn begin(&mut self, client: &mut Client, offered: &[String]) {
        let mechanisms: Vec<Mechanism> = offered.iter().filter_map(|name| Mechanism::parse(name)).collect();
        let credentials = match self.login.read().await {
            Ok(credentials) => credentials,
            Err(error) => {
                let path = self.login.credentials.secret.path().display();
                return self.give_up(client, format!("{path} cannot be read: {error}"));
            }
        };
        let Some((mechanism, binding)) = choose(&mechanisms, &credentials, self.exporter) else {
            return self.give_up(client, format!("of {} none fits what we have", offered.join(" ")));
        };
        let mut nonce = [0; NONCE];
        (self.login.random)(&mut nonce);
        match Exchange::new(mechanism, credentials, &BASE64.encode(&nonce), binding) {
            Ok(mut exchange) => {
                let initial = exchange.initial().map(|secret| SaslMessage::from(secret.expose().as_bytes()));
                self.exchange = Some(exchange);
                client.authenticate(mechanism.as_str(), initial);
            }
            Err(failure) => self.give_up(client, failure.to_string()),
        }
    }

    /// Answers a challenge.
    pub(super) fn challenged(&mut self, client: &mut Client, challenge: &SaslMessage) {
        match self.exchange.as_mut().map(|exchange| exchange.respond(challenge.as_bytes())) {
            Some(Ok(response)) => client.respond(response.expose().as_bytes()),
            Some(Err(failure)) => {
                self.trouble = Some(failure.to_string());
                client.cancel();
            }
            None => client.abandon(),
        }
    }

    /// The next hop says that it believes us. `Err` when that cannot be believed.
    pub(super) fn succeeded(&mut self) -> Result<(), String> {
        match self.exchange.as_ref().map(Exchange::succeeded) {
            Some(Ok(())) => Ok(()),
            Some(Err(failure)) => Err(failure.to_string()),
            None => Err("nobody was asked who we are".to_owned()),
        }
    }

    /// What was wrong on our side, or with the server's part in the exchange.
    pub(super) fn trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }

    fn give_up(&mut self, client: &mut Client, why: String) {
        self.trouble = Some(why);
        client.abandon();
    }
}

impl Login {
    async fn read(&self) -> io::Result<client::Credentials> {
        let Credentials { user, secret } = &self.credentials;
        let user = user.clone();
        let path = secret.path().to_owned();
        let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path).map(Secret::new));
        let text = read.await.map_err(io::Error::other)??;
        // Editors end a file with a line end.
        let text = Secret::new(text.expose().trim_end_matches(['\r', '\n']));
        if text.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty"));
        }
        Ok(match secret {
            SecretFile::Password(_) => {
                client::Credentials::Password { user, password: text, authorization: None }
            }
            SecretFile::Token(_) => {
                let host = self.host.to_string();
                client::Credentials::Token { user, token: text, host, port: self.port }
            }
        })
    }
}

/// Octets of randomness in a nonce: 18 characters at least are asked for (RFC 5802 §5.1 names none), and 24 come of it.
const NONCE: usize = 18;
