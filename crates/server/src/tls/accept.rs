//! The server's side of a handshake.

use super::acme::Answers;
use super::certificates::{self, Certificates};
use super::client_certificate::{AuthoritiesFile, ClientAuthorities};
use super::handshake::Side;
use super::stream::Opening;
use super::{HandshakeError, TlsError, TlsSession, VERSIONS, directory, provider, session};
use crate::settings::{Service, Settings};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{NoClientAuth, NoServerSessionStorage};
use rustls::{ServerConfig, server};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use store::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio_rustls::{LazyConfigAcceptor, TlsStream};

/// What a running server has for TLS.
pub struct Tls {
    pub(super) certificates: Arc<Certificates>,
    transfer: Arc<Acceptor>,
    submission: Arc<Acceptor>,
    /// Who signs the certificates of clients, if they are asked for them.
    authorities: Option<Mutex<AuthoritiesFile>>,
    answers: Arc<Answers>,
    /// Asks for the files to be read again now.
    pub(super) reload: Notify,
}

/// Takes handshakes.
pub struct Acceptor {
    current: RwLock<Arc<Current>>,
    /// For authorities that check our names here (RFC 8737); `None` when they are not told to.
    answers: Option<Arc<Answers>>,
}

/// What handshakes that begin now go by.
struct Current {
    config: Arc<ServerConfig>,
    authorities: Option<Arc<ClientAuthorities>>,
}

impl Tls {
    /// Loads the certificates of the settings, and makes one where there is none; `None` when no listener needs any. Reads and
    /// writes files, so it blocks.
    pub fn open(settings: &Settings, now: Timestamp) -> Result<Option<Tls>, TlsError> {
        if !settings.uses_tls() {
            return Ok(None);
        }
        let sources = certificates::sources(settings, &directory(&settings.data), now)?;
        let certificates = Arc::new(Certificates::load(sources, now)?);
        let (file, authorities) =
            settings.tls.client_ca.as_deref().map(AuthoritiesFile::open).transpose()?.unzip();
        let answers = Arc::new(Answers::default());
        let checked_here = settings.tls.acme.as_ref().is_some_and(|acme| !acme.tls_alpn.is_empty());
        let checks = checked_here.then(|| Arc::clone(&answers));
        let transfer = Acceptor { answers: checks.clone(), ..Acceptor::for_transfer(&certificates)? };
        let submission = Acceptor::for_submission(&certificates, authorities.map(Arc::new))?;
        Ok(Some(Tls {
            transfer: Arc::new(transfer),
            submission: Arc::new(Acceptor { answers: checks, ..submission }),
            authorities: file.map(Mutex::new),
            answers,
            certificates,
            reload: Notify::new(),
        }))
    }

    /// How the handshakes of a service are taken.
    pub fn acceptor(&self, service: Service) -> Arc<Acceptor> {
        Arc::clone(match service {
            Service::Smtp | Service::Lmtp | Service::Classroom => &self.transfer,
            Service::Submission | Service::Pop3 | Service::Imap => &self.submission,
        })
    }

    /// The certificates.
    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// What authorities are answered that check our names.
    pub(super) fn answers(&self) -> &Arc<Answers> {
        &self.answers
    }

    /// Reads files that have changed: certificates, and the authorities of clients. Blocks.
    pub(super) fn refresh(&self, now: Timestamp) {
        self.certificates.refresh(now);
        let Some(file) = &self.authorities else { return };
        let Some(authorities) = file.lock().unwrap_or_else(PoisonError::into_inner).changed() else { return };
        if let Err(error) = self.submission.trust(&self.certificates, authorities) {
            tracing::error!(%error, "changed authorities not taken, those before stay in force");
        }
    }

    /// Has changed certificates read now, and not only within a minute.
    pub fn reload(&self) {
        self.reload.notify_one();
    }
}

impl Acceptor {
    /// For other servers, which come seldom and with large gaps. They get no session tickets: resumption would save next to nothing, and
    /// large senders are known to fail over it (golang/go#70232).
    fn for_transfer(certificates: &Arc<Certificates>) -> Result<Acceptor, TlsError> {
        let mut config = config(certificates, Arc::new(NoClientAuth))?;
        config.send_tls13_tickets = 0;
        Ok(Acceptor::new(config, None))
    }

    fn new(config: ServerConfig, authorities: Option<Arc<ClientAuthorities>>) -> Acceptor {
        let current = Current { config: Arc::new(config), authorities };
        Acceptor { current: RwLock::new(Arc::new(current)), answers: None }
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Believes these authorities from now on. What a ticket says of its session is looked at again, so tickets stay good.
    fn trust(
        &self,
        certificates: &Arc<Certificates>,
        authorities: ClientAuthorities,
    ) -> Result<(), TlsError> {
        let authorities = Arc::new(authorities);
        let mut config = config(certificates, Arc::clone(&authorities) as _)?;
        config.ticketer = Arc::clone(&self.current().config.ticketer);
        let current = Current { config: Arc::new(config), authorities: Some(authorities) };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
        Ok(())
    }

    /// For people's programs, which come often. Tickets are encrypted with keys that live in memory only and are changed every six hours;
    /// a ticket is good for twelve at most (RFC 8446 §4.6.1 allows a week). Resumption always does a new key exchange, and there is no
    /// early data, so a stolen ticket key uncovers nothing that was said before.
    fn for_submission(
        certificates: &Arc<Certificates>,
        authorities: Option<Arc<ClientAuthorities>>,
    ) -> Result<Acceptor, TlsError> {
        let verifier: Arc<dyn server::danger::ClientCertVerifier> = match &authorities {
            Some(authorities) => Arc::clone(authorities) as _,
            None => Arc::new(NoClientAuth),
        };
        let mut config = config(certificates, verifier)?;
        config.ticketer = Ticketer::new().map_err(|error| TlsError::Internal(error.to_string()))?;
        Ok(Acceptor::new(config, authorities))
    }

    /// Does the handshake.
    pub(super) async fn accept<S>(
        &self,
        stream: Opening<S>,
    ) -> Result<(TlsStream<Opening<S>>, TlsSession), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut acceptor = LazyConfigAcceptor::new(server::Acceptor::default(), stream);
        let start = match (&mut acceptor).await {
            Ok(start) => start,
            Err(error) => {
                return Err(match acceptor.take_io() {
                    Some(stream) => stream.failed(Side::Server, &error),
                    None => HandshakeError::new(Side::Server, &error, &[]),
                });
            }
        };
        if let Some(answers) = self.answers.as_ref().filter(|_| Answers::is_check(&start.client_hello())) {
            return Err(match answers.check(start).await {
                Ok(()) => HandshakeError::check(),
                Err(error) => HandshakeError::new(Side::Server, &error, &[]),
            });
        }
        let current = self.current();
        let accept = start.into_stream(Arc::clone(&current.config)).into_fallible();
        match accept.await {
            Ok(stream) => {
                let (_, connection) = stream.get_ref();
                let certificate = current.authorities.as_ref().zip(connection.peer_certificates());
                let session = TlsSession {
                    server_name: connection.server_name().map(str::to_owned),
                    client_certificate: certificate.and_then(|(authorities, chain)| authorities.vouch(chain)),
                    ..session::of(connection)
                };
                Ok((TlsStream::Server(stream), session))
            }
            Err((error, stream)) => Err(stream.failed(Side::Server, &error)),
        }
    }
}

fn config(
    certificates: &Arc<Certificates>,
    verifier: Arc<dyn server::danger::ClientCertVerifier>,
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .map_err(|error| TlsError::Internal(error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(certificates) as _);
    // Nothing about sessions is kept here.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ignore_client_order = true;
    Ok(config)
}
