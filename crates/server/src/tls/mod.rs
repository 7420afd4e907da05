//! TLS as the server and the client know it. rustls does the work; nothing outside this module names it.
//!
//! [`Tls`] is what a running server has: its [`Certificates`] and how each service takes a handshake. [`Connector`] is the client's side.
//! [`Stream`] is a connection that begins in clear and may become encrypted: what [`crate::drive`] runs on. A [`TlsSession`] says what
//! came of a handshake, a [`HandshakeError`] in plain words why none came. Only TLS 1.2 and 1.3, only with aws-lc-rs.

mod accept;
pub(crate) mod acme;
mod certificates;
mod client_certificate;
mod connect;
mod dane;
mod error;
mod files;
mod handshake;
mod next_hop;
mod self_signed;
mod session;
mod stream;
pub(crate) mod watch;

pub use accept::{Acceptor, Tls};
pub use certificates::{CertificateView, Certificates, Origin};
pub use connect::{Connector, Trust};
pub use dane::{Dane, Tlsa};
pub use error::TlsError;
pub use handshake::{Flaw, HandshakeError};
pub use next_hop::{Authorities, Demand};
pub use session::{ClientCertificate, Fingerprint, TlsSession};
pub use stream::{Stream, Transport};

use crate::settings::CertificateFiles;
use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The one provider of cryptography.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// RFC 8996 ends TLS 1.0 and 1.1; rustls never had them.
const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// What somebody says of themselves with these octets, if they are a certificate, and its SubjectPublicKeyInfo in DER. Nobody has vouched for it:
/// `fuzz/bodies` feeds it any octets.
pub fn unverified(certificate: &[u8]) -> Option<(ClientCertificate, Vec<u8>)> {
    let certificate = rustls::pki_types::CertificateDer::from(certificate);
    Some((client_certificate::says(&certificate)?, dane::public_key(&certificate)?))
}

/// Where certificates that the server got or made are, below its data directory.
fn directory(data: &Path) -> PathBuf {
    data.join("tls")
}

/// Whether a server can serve this certificate: both files can be read, and hold what belongs together. Reads files, so it blocks.
pub(crate) fn usable(files: &CertificateFiles) -> Result<(), TlsError> {
    files::Pair::read(files)?.load(files).map(drop)
}

/// One file for both: no crash can leave a key and a certificate that do not belong together.
fn acme_files(directory: &Path) -> CertificateFiles {
    let file = directory.join("acme.pem");
    CertificateFiles { chain: file.clone(), key: file }
}

#[cfg(test)]
mod tests;
