//! What the settings say of TLS: certificates from files, from an authority by ACME, and who may show a client certificate.

use super::file::{Acme as FileAcme, Tls as FileTls};
use super::{At, SettingsError};
use serde::Deserialize;
use smtp::{Domain, Mailbox};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where certificates come from. With neither files nor ACME the server makes one for itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Certificates in files; the first is for clients that name no server, or one that none of them is for.
    pub certificates: Vec<CertificateFiles>,
    /// The authorities whose client certificates count, as PEM; clients are not asked for one when `None`.
    pub client_ca: Option<PathBuf>,
    /// Certificates from an authority.
    pub acme: Option<Acme>,
}

/// A certificate and its key, as PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The server's certificate, then those of the authorities in between.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Certificates from an authority by ACME (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// The names in the certificate; never empty.
    pub domains: Vec<Domain>,
    /// Whom the authority may write to.
    pub contact: Vec<Mailbox>,
    /// The authority's directory.
    pub directory: String,
    /// The authority that has signed the directory's own certificate, as PEM; those that the system trusts when `None`.
    pub directory_ca: Option<PathBuf>,
    /// How the authority may check that the names are ours, in the order of preference; never empty.
    pub challenges: Vec<Challenge>,
    /// Where the answers to HTTP-01 are given.
    pub http: Vec<SocketAddr>,
    /// Where the answers to TLS-ALPN-01 are given.
    pub tls_alpn: Vec<SocketAddr>,
}

/// How an authority checks that a name is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum Challenge {
    /// A file over HTTP at port 80 (RFC 8555 §8.3).
    #[serde(rename = "http-01")]
    Http01,
    /// A certificate over TLS at port 443 (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Challenge::Http01 => "http-01",
            Challenge::TlsAlpn01 => "tls-alpn-01",
        })
    }
}

/// The directory of Let's Encrypt.
pub const DEFAULT_DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// What `[tls]` and `[acme]` mean. A server whose file names no domain for ACME asks for a certificate for its own name.
pub(super) fn resolve(
    tls: FileTls,
    acme: Option<FileAcme>,
    host_name: &Domain,
    wrong: At<'_>,
) -> Result<Tls, SettingsError> {
    let acme = acme.map(|written| resolve_acme(written, host_name, wrong)).transpose()?;
    Ok(Tls { certificates: tls.certificate, client_ca: tls.client_ca, acme })
}

fn resolve_acme(written: FileAcme, host_name: &Domain, wrong: At<'_>) -> Result<Acme, SettingsError> {
    if let Some(directory) = &written.directory
        && !directory.get_ref().starts_with("https://")
    {
        let message = "the address of an ACME directory begins with https:// (RFC 8555 §6.1)";
        return Err(wrong(directory.span(), message.to_owned()));
    }
    if let Some(challenges) = &written.challenges
        && challenges.get_ref().is_empty()
    {
        let message = "name one at least: \"http-01\" or \"tls-alpn-01\"";
        return Err(wrong(challenges.span(), message.to_owned()));
    }
    let everywhere = |port| vec![SocketAddr::from(([0, 0, 0, 0], port)), SocketAddr::from(([0u16; 8], port))];
    let addresses =
        |written: Option<Vec<super::file::Text<super::values::AddressAndPort>>>, port| match written {
            Some(addresses) => addresses.into_iter().map(|address| address.0.0).collect(),
            None => everywhere(port),
        };
    let domains: Vec<Domain> = written.domains.into_iter().map(|domain| domain.0).collect();
    let challenges = written.challenges.map_or(vec![Challenge::Http01], toml::Spanned::into_inner);
    let used = |challenge| challenges.contains(&challenge);
    Ok(Acme {
        domains: if domains.is_empty() { vec![host_name.clone()] } else { domains },
        contact: written.contact.into_iter().map(|mailbox| mailbox.0).collect(),
        directory: written.directory.map_or(DEFAULT_DIRECTORY.to_owned(), toml::Spanned::into_inner),
        directory_ca: written.directory_ca,
        http: if used(Challenge::Http01) { addresses(written.http, 80) } else { Vec::new() },
        tls_alpn: if used(Challenge::TlsAlpn01) { addresses(written.tls_alpn, 443) } else { Vec::new() },
        challenges,
    })
}
