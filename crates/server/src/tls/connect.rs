//! The client's side of a handshake: for `send`, and for whatever else speaks to another server.

use super::files::{certificates, read};
use super::handshake::Side;
use super::next_hop::{Authorities, Demand, Finding, Judge};
use super::stream::Opening;
use super::{HandshakeError, TlsError, TlsSession, VERSIONS, provider, session};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, TlsStream};

/// Which certificate a client accepts of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// One for the server's name, signed by an authority that the system trusts.
    System,
    /// One for the server's name, signed by an authority in this PEM file, or itself in it.
    File(PathBuf),
    /// Any. This keeps listeners out, not somebody in the middle (RFC 7435).
    Anything,
}

/// Does handshakes with one server.
#[derive(Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    /// What the verifier of the next hop's certificate found in the latest handshake.
    finding: Option<Finding>,
}

impl Connector {
    /// For the server of this name or IP address. Reads the files of the authorities, so it blocks.
    pub fn new(host: &str, trust: &Trust) -> Result<Connector, TlsError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .map_err(|error| TlsError::Internal(error.to_string()))?;
        let builder = match trust {
            Trust::System => builder.with_root_certificates(system()?),
            Trust::File(file) => builder.with_root_certificates(authorities(file)?),
            Trust::Anything => {
                let verifier = Arc::new(AnyCertificate(provider()));
                builder.dangerous().with_custom_certificate_verifier(verifier)
            }
        };
        Ok(Connector { config: Arc::new(builder.with_no_client_auth()), name, finding: None })
    }

    /// For one connection to a next hop. Where its name can be in no certificate, none is asked for (no SNI), and only its address can be verified.
    pub fn to_next_hop(host: &str, address: IpAddr, demand: &Demand, authorities: &Authorities) -> Connector {
        let name = ServerName::try_from(host.to_owned()).unwrap_or_else(|_| ServerName::from(address));
        let judge = Judge::new(demand.clone(), authorities);
        let finding = Some(judge.finding());
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .expect("the provider has cipher suites for both versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(judge))
            .with_no_client_auth();
        // A resumed session shows no certificate, so nothing would be known of it; and some hosts fail at tickets (golang/go#70232).
        config.resumption = Resumption::disabled();
        Connector { config: Arc::new(config), name, finding }
    }

    /// Does the handshake.
    pub(super) async fn connect<S>(
        &self,
        stream: Opening<S>,
    ) -> Result<(TlsStream<Opening<S>>, TlsSession), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        match connector.connect(self.name.clone(), stream).into_fallible().await {
            Ok(stream) => {
                let mut session = session::of(stream.get_ref().1);
                let found = self
                    .finding
                    .as_ref()
                    .and_then(|finding| finding.lock().expect("no holder of this lock panics").take());
                session.flaw = found.as_ref().and_then(|found| found.flaw);
                session.server = found.map(|found| found.identity);
                Ok((TlsStream::Client(stream), session))
            }
            Err((error, stream)) => Err(stream.failed(Side::Client, &error)),
        }
    }
}

pub(super) fn system() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "an authority of this system cannot be read");
    }
    let mut roots = RootCertStore::empty();
    // Some systems keep a few that nobody can use.
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 { Err(TlsError::NoAuthorities) } else { Ok(roots) }
}

/// All authorities in a PEM file.
pub(super) fn authorities(file: &std::path::Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, &read(file)?)? {
        roots.add(certificate).map_err(|error| TlsError::Malformed {
            file: file.to_owned(),
            reason: format!("a certificate in it cannot be read: {error}"),
        })?;
    }
    Ok(roots)
}

/// Takes any certificate, but only from somebody who has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
