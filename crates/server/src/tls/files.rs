//! Certificates and keys on disk: read and checked, written so that nobody else can read them and a crash leaves the old or the new.

use super::{Fingerprint, TlsError};
use crate::settings::CertificateFiles;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A certificate that can be served, and what there is to know of it.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) facts: Facts,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// Host names and addresses in lower case; the common name when there are none.
    pub(super) names: Vec<String>,
    /// From when it counts, in seconds since 1970.
    pub(super) not_before: i64,
    /// Until when, likewise.
    pub(super) not_after: i64,
    pub(super) fingerprint: Fingerprint,
}

/// The bytes of a pair of files.
pub(super) struct Pair {
    pub(super) chain: Vec<u8>,
    pub(super) key: Vec<u8>,
}

impl Pair {
    pub(super) fn read(files: &CertificateFiles) -> Result<Pair, TlsError> {
        Ok(Pair { chain: read(&files.chain)?, key: read(&files.key)? })
    }

    /// Changes when either file does.
    pub(super) fn digest(&self) -> Fingerprint {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        context.update(&(self.chain.len() as u64).to_be_bytes());
        context.update(&self.chain);
        context.update(&self.key);
        Fingerprint(context.finish().as_ref().try_into().expect("a SHA-256 has 32 bytes"))
    }

    /// Checks that there is a certificate, a key, and that they belong together.
    pub(super) fn load(&self, files: &CertificateFiles) -> Result<Loaded, TlsError> {
        let chain = certificates(&files.chain, &self.chain)?;
        let key = private_key(&files.key, &self.key)?;
        let facts = Facts::of(&chain[0]).map_err(|reason| malformed(&files.chain, reason))?;
        match CertifiedKey::from_der(chain, key, &super::provider()) {
            Ok(key) => Ok(Loaded { key: Arc::new(key), facts }),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(TlsError::Mismatch { chain: files.chain.clone(), key: files.key.clone() })
            }
            Err(error) => Err(malformed(&files.key, format!("this key cannot be used: {error}"))),
        }
    }
}

impl Facts {
    /// Reads a certificate.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Facts, String> {
        let broken = |error: &dyn std::fmt::Display| format!("the first certificate cannot be read: {error}");
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| broken(&error))?;
        let mut names: Vec<String> =
            match parsed.subject_alternative_name().map_err(|error| broken(&error))? {
                Some(names) => names.value.general_names.iter().filter_map(host).collect(),
                None => Vec::new(),
            };
        if names.is_empty() {
            let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
            names.extend(common.map(str::to_ascii_lowercase));
        }
        let validity = parsed.validity();
        Ok(Facts {
            names,
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
            fingerprint: fingerprint(certificate),
        })
    }

    /// Whether it is for this name, itself in lower case. A wildcard stands for one whole label (RFC 9525 §6.3).
    pub(super) fn is_for(&self, name: &str) -> bool {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.names
            .iter()
            .any(|own| own == name || own.strip_prefix("*.").is_some_and(|own| Some(own) == parent))
    }
}

/// The certificates of a PEM file, never none.
pub(super) fn certificates(file: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| malformed(file, format!("not PEM: {}", plain(&error))))?;
    if !certificates.is_empty() {
        return Ok(certificates);
    }
    let reason = match holds(bytes, "PRIVATE KEY-----") {
        true => "a private key, but no certificate: are the two files swapped?",
        false => "no certificate in it; it must begin with -----BEGIN CERTIFICATE-----",
    };
    Err(malformed(file, reason.to_owned()))
}

fn private_key(file: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    if holds(bytes, "ENCRYPTED PRIVATE KEY") || holds(bytes, "Proc-Type: 4,ENCRYPTED") {
        let reason = "the key is protected by a password; `openssl pkey -in OLD -out NEW` removes it";
        return Err(malformed(file, reason.to_owned()));
    }
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| {
        let reason = match error {
            pem::Error::NoItemsFound if holds(bytes, "BEGIN CERTIFICATE-----") => {
                "a certificate, but no private key: are the two files swapped?".to_owned()
            }
            pem::Error::NoItemsFound => {
                "no private key in it; it must begin with -----BEGIN PRIVATE KEY-----".to_owned()
            }
            error => format!("not PEM: {}", plain(&error)),
        };
        malformed(file, reason)
    })
}

/// The SHA-256 of a certificate.
pub(super) fn fingerprint(certificate: &[u8]) -> Fingerprint {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    Fingerprint(digest.as_ref().try_into().expect("a SHA-256 has 32 bytes"))
}

/// Whether everybody on the host may read the key.
pub(super) fn is_open_to_all(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|metadata| metadata.mode() & 0o004 != 0)
}

/// Makes a directory that only its owner can look into.
pub(super) fn private_directory(directory: &Path) -> Result<(), TlsError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|cause| TlsError::Unwritable { file: directory.to_owned(), cause })
}

/// Writes a file that only its owner can read; after a crash it holds the old or the new, whole.
pub(super) fn write_private(file: &Path, bytes: &[u8]) -> Result<(), TlsError> {
    replace(file, bytes).map_err(|cause| TlsError::Unwritable { file: file.to_owned(), cause })
}

fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = file.with_file_name(name);
    // What an earlier crash left may have another mode.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&new, file)?;
    File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |cause| TlsError::Unreadable { file: file.to_owned(), cause };
    let size = fs::metadata(file).map_err(unreadable)?.len();
    if size > FILE_MAX {
        return Err(malformed(file, format!("{size} bytes are too many for certificates or a key")));
    }
    fs::read(file).map_err(unreadable)
}

/// More than any chain, and than a system's file of authorities.
const FILE_MAX: u64 = 4 << 20;

fn malformed(file: &Path, reason: String) -> TlsError {
    TlsError::Malformed { file: file.to_owned(), reason }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    }
}

fn plain(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end; was the file cut off?".to_owned(),
        pem::Error::Base64Decode(_) => "what is between BEGIN and END is not Base64".to_owned(),
        other => other.to_string(),
    }
}
