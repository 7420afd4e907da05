//! Certificates for hops of the laboratory, and their side of the handshake.

use crate::deliver::dial::Stream;
use crate::tls::Authorities;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// What a hop shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Certificate {
    /// One for this name, signed by the authority that is trusted.
    Signed(&'static str),
    /// One for this name, signed by itself.
    SelfSigned(&'static str),
    /// One for this name, signed by the authority, that has expired.
    Expired(&'static str),
    /// None: where TLS should begin it says something else.
    Broken,
}

/// A hop's side of the handshake.
#[derive(Clone)]
pub(super) enum HopTls {
    /// With the SHA-256 of the certificate.
    Works(TlsAcceptor, Vec<u8>),
    Broken,
}

impl HopTls {
    pub(super) async fn accept(self, mut stream: Box<dyn Stream>) -> io::Result<Box<dyn Stream>> {
        match self {
            HopTls::Works(acceptor, _) => Ok(Box::new(acceptor.accept(stream).await?)),
            HopTls::Broken => {
                tokio::io::AsyncReadExt::read_u8(&mut stream).await?;
                tokio::io::AsyncWriteExt::write_all(&mut stream, b"454 4.7.0 no key\r\n").await?;
                Err(io::ErrorKind::InvalidData.into())
            }
        }
    }
}

/// An authority that the laboratory trusts.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    pub(super) fn new() -> Authority {
        let key = KeyPair::generate().expect("randomness");
        let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "the laboratory's authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).expect("a certificate");
        Authority { issuer: Issuer::new(parameters, key), certificate }
    }

    pub(super) fn trusted(&self) -> Authorities {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), self.certificate.pem()).expect("written");
        Authorities::file(file.path()).expect("a good file")
    }

    pub(super) fn hop(&self, certificate: Certificate) -> HopTls {
        let name = match certificate {
            Certificate::Broken => return HopTls::Broken,
            Certificate::Signed(name) | Certificate::SelfSigned(name) | Certificate::Expired(name) => name,
        };
        let key = KeyPair::generate().expect("randomness");
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        if let Certificate::Expired(_) = certificate {
            parameters.not_after = date_time_ymd(2020, 1, 1);
        }
        let made = match certificate {
            Certificate::SelfSigned(_) => parameters.self_signed(&key),
            _ => parameters.signed_by(&key, &self.issuer),
        };
        let made = made.expect("a certificate").der().clone();
        let fingerprint = sha256(&made);
        HopTls::Works(acceptor(vec![made], &key), fingerprint)
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, bytes).as_ref().to_vec()
}

fn acceptor(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> TlsAcceptor {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a key that belongs to the certificate");
    TlsAcceptor::from(Arc::new(config))
}
