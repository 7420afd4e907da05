//! Client certificates: asked for, never demanded, and counted only when an authority of the settings has signed them.
//!
//! Whoever shows another certificate, as many mail servers do to whoever asks, is not sent away: it is served as somebody without one.

use super::files::{certificates, fingerprint, read};
use super::{ClientCertificate, TlsError, provider};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Asks for certificates of these authorities.
#[derive(Debug)]
pub(super) struct ClientAuthorities {
    verifier: Arc<dyn ClientCertVerifier>,
}

/// The file that names the authorities, and what was last found in it.
#[derive(Debug)]
pub(super) struct AuthoritiesFile {
    file: PathBuf,
    bytes: Vec<u8>,
    /// What was said of it last; told once.
    fault: Option<String>,
}

impl AuthoritiesFile {
    /// Reads it for the first time.
    pub(super) fn open(file: &Path) -> Result<(AuthoritiesFile, ClientAuthorities), TlsError> {
        let bytes = read(file)?;
        let authorities = ClientAuthorities::of(file, &bytes)?;
        Ok((AuthoritiesFile { file: file.to_owned(), bytes, fault: None }, authorities))
    }

    /// The authorities, if the file has changed. One that cannot be used leaves those in force, and is told once.
    pub(super) fn changed(&mut self) -> Option<ClientAuthorities> {
        let authorities = read(&self.file).and_then(|bytes| {
            if bytes == self.bytes {
                return Ok(None);
            }
            self.bytes = bytes;
            ClientAuthorities::of(&self.file, &self.bytes).map(Some)
        });
        match authorities {
            Ok(None) => None,
            Ok(Some(authorities)) => {
                self.fault = None;
                tracing::info!("authorities for client certificates in force, from {}", self.file.display());
                Some(authorities)
            }
            Err(error) => {
                let fault = error.to_string();
                if self.fault.as_ref() != Some(&fault) {
                    tracing::error!("changed authorities not taken, those before stay in force: {fault}");
                    self.fault = Some(fault);
                }
                None
            }
        }
    }
}

impl ClientAuthorities {
    /// Those in the bytes of a PEM file.
    fn of(file: &Path, bytes: &[u8]) -> Result<ClientAuthorities, TlsError> {
        let malformed = |reason: String| TlsError::Malformed { file: file.to_owned(), reason };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(file, bytes)? {
            roots
                .add(certificate)
                .map_err(|error| malformed(format!("not the certificate of an authority: {error}")))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .allow_unauthenticated()
            .build()
            .map_err(|error| malformed(error.to_string()))?;
        Ok(ClientAuthorities { verifier })
    }

    /// What the certificate that a client has shown, and whose key it has proven to have, says; `None` when no authority vouches for it.
    pub(super) fn vouch(&self, chain: &[CertificateDer<'_>]) -> Option<ClientCertificate> {
        let (first, others) = chain.split_first()?;
        self.verifier.verify_client_cert(first, others, UnixTime::now()).ok()?;
        says(first)
    }
}

/// What is in a certificate, whoever vouches for it; `None` when it is none.
pub(super) fn says(certificate: &CertificateDer<'_>) -> Option<ClientCertificate> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let mut addresses = Vec::new();
    if let Ok(Some(names)) = parsed.subject_alternative_name() {
        addresses.extend(names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::RFC822Name(address) => Some((*address).to_owned()),
            _ => None,
        }));
    }
    Some(ClientCertificate {
        addresses,
        subject: parsed.subject().to_string(),
        fingerprint: fingerprint(certificate),
    })
}

impl ClientCertVerifier for ClientAuthorities {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    /// Takes any, for now: the handshake shall not fail for it. [`ClientAuthorities::vouch`] decides what it counts for.
    fn verify_client_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
