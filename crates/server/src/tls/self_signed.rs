//! The certificate that a server makes for itself when it is given none: kept over restarts, so that a client can pin it.

use super::TlsError;
use super::files::{Pair, private_directory, write_private};
use crate::settings::CertificateFiles;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use smtp::Domain;
use std::path::Path;
use store::Timestamp;

/// Where it is, below the directory for TLS.
pub(super) fn files(directory: &Path) -> CertificateFiles {
    CertificateFiles { chain: directory.join("self-signed.crt"), key: directory.join("self-signed.key") }
}

/// Makes one when there is none for this host that still counts. One that cannot be read is an error: a client may have pinned it.
pub(super) fn ensure(directory: &Path, host_name: &Domain, now: Timestamp) -> Result<(), TlsError> {
    let files = files(directory);
    if files.chain.exists() && files.key.exists() {
        let facts = Pair::read(&files)?.load(&files)?.facts;
        let why = if !facts.is_for(host_name.ascii()) {
            format!("it is for {}, and this is {}", facts.names.join(", "), host_name.ascii())
        } else if facts.not_after <= now.0 / 1000 {
            "it has expired".to_owned()
        } else {
            return Ok(());
        };
        tracing::warn!(
            "the self-signed certificate is made anew: {why}; clients that had pinned it must be told"
        );
    }
    private_directory(directory)?;
    let (certificate, key) = make(host_name, now)?;
    // The key first: a certificate without its key would be an error at the next start, a key alone is made anew.
    write_private(&files.key, key.as_bytes())?;
    write_private(&files.chain, certificate.as_bytes())
}

/// A certificate for the host's name and for the loopback addresses, and its key, as PEM.
fn make(host_name: &Domain, now: Timestamp) -> Result<(String, String), TlsError> {
    let failed = |error: rcgen::Error| TlsError::Internal(error.to_string());
    let own = host_name.ascii().to_owned();
    let local = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let names: Vec<String> = local.into_iter().filter(|name| *name != own).collect();
    let names = [vec![own], names].concat();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let mut parameters = CertificateParams::new(names).map_err(failed)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, host_name.ascii());
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let (year, month, day) = date(now);
    // A day back for clocks that are behind. It is trusted by its fingerprint or not at all, so its end matters little.
    parameters.not_before = date_time_ymd(year, month, day) - std::time::Duration::from_secs(86_400);
    parameters.not_after = date_time_ymd(year + YEARS, month, 1);
    let certificate = parameters.self_signed(&key).map_err(failed)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

const YEARS: i32 = 10;

fn date(now: Timestamp) -> (i32, u8, u8) {
    let date = jiff::Timestamp::from_millisecond(now.0).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
    (i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
}
