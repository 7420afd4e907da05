//! What is asked of the certificate of a next hop, and what was found.
//!
//! Mail goes to hosts that mostly nobody can vouch for, so a relay takes what it gets (RFC 7435) unless a policy of the destination asks for more.
//! Either way it is noted whether the host could prove who it is. [`crate::deliver::secure`] chooses what is asked.

use super::connect::{authorities, system};
use super::{Dane, Flaw, TlsError, provider};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use store::Identity;

/// Which certificate a next hop must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demand {
    /// Any.
    Any,
    /// One for its name, signed by one of the [`Authorities`].
    Authority,
    /// One that DNS names.
    Dane(Arc<Dane>),
}

/// Who may sign the certificates of next hops.
#[derive(Clone, Default)]
pub struct Authorities(Option<Arc<WebPkiServerVerifier>>);

/// What was found, for whoever did the handshake.
pub(super) type Finding = Arc<Mutex<Option<Found>>>;

/// Whether the host proved who it is, and if not, what was wrong.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) identity: Identity,
    pub(super) flaw: Option<Flaw>,
}

impl Authorities {
    /// Those that the system trusts. Reads files, so it blocks. Without any, no host can prove by an authority who it is, and a line in the log says so.
    pub fn system() -> Authorities {
        match system().and_then(Authorities::of) {
            Ok(authorities) => authorities,
            Err(error) => {
                tracing::warn!(%error, "certificates of other hosts cannot be verified");
                Authorities::default()
            }
        }
    }

    /// Those in this PEM file. Reads it, so it blocks.
    pub fn file(file: &Path) -> Result<Authorities, TlsError> {
        authorities(file).and_then(Authorities::of)
    }

    fn of(roots: RootCertStore) -> Result<Authorities, TlsError> {
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map(|verifier| Authorities(Some(verifier)))
            .map_err(|error| TlsError::Internal(error.to_string()))
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Authorities" } else { "Authorities(none)" })
    }
}

/// Judges the certificate of one handshake.
#[derive(Debug)]
pub(super) struct Judge {
    provider: Arc<CryptoProvider>,
    demand: Demand,
    authorities: Authorities,
    finding: Finding,
}

impl Judge {
    pub(super) fn new(demand: Demand, authorities: &Authorities) -> Judge {
        Judge { provider: provider(), demand, authorities: authorities.clone(), finding: Finding::default() }
    }

    /// Where it will say what it found.
    pub(super) fn finding(&self) -> Finding {
        Arc::clone(&self.finding)
    }

    fn note(&self, identity: Identity, flaw: Option<Flaw>) {
        *self.finding.lock().expect("no holder of this lock panics") = Some(Found { identity, flaw });
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Demand::Dane(dane) = &self.demand {
            let chain: Vec<_> = std::iter::once(certificate).chain(intermediates).collect();
            self.note(Identity::Proven(dane.verify(&chain, now)?), None);
            return Ok(ServerCertVerified::assertion());
        }
        let verified = match &self.authorities.0 {
            Some(verifier) => verifier.verify_server_cert(certificate, intermediates, name, ocsp, now),
            None => Err(Error::General("no authority is known here".to_owned())),
        };
        match (verified, &self.demand) {
            (Ok(_), _) => self.note(Identity::Proven("an authority".to_owned()), None),
            (Err(error), Demand::Authority | Demand::Dane(_)) => return Err(error),
            (Err(error), Demand::Any) => {
                let identity = Identity::Unproven(super::handshake::certificate_flaw(&error));
                self.note(identity, Some(Flaw::of(&error)));
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
