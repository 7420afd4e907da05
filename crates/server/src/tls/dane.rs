//! Whether a next hop's certificate is the one that DNS names: DANE for SMTP (RFC 6698, RFC 7671, RFC 7672 §3).
//!
//! Whether the records may be believed is decided where they are looked up ([`crate::resolve`]); here they are taken for true.

use super::provider;
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{Error, RootCertStore};
use std::fmt;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A TLSA record (RFC 6698 §2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tlsa {
    /// Which certificate of the chain is meant, and what else must hold: 2 an authority's (DANE-TA), 3 the host's own (DANE-EE).
    pub usage: u8,
    /// What of it: 0 the whole, 1 its public key.
    pub selector: u8,
    /// How `data` names that: 0 as it is, 1 by its SHA-256, 2 by its SHA-512.
    pub matching: u8,
    /// That.
    pub data: Vec<u8>,
}

/// What a host must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dane {
    /// Any of these, all of which are usable; at least one.
    pub records: Vec<Tlsa>,
    /// With DANE-TA, a certificate for any of these names: the host's first, which it is also asked for.
    pub names: Vec<String>,
}

impl Tlsa {
    /// Whether it can be met in SMTP. Usages 0 and 1 cannot (RFC 7672 §3.1.3).
    pub fn is_usable(&self) -> bool {
        let data_fits = match self.matching {
            0 => !self.data.is_empty(),
            1 => self.data.len() == 32,
            2 => self.data.len() == 64,
            _ => false,
        };
        matches!(self.usage, DANE_TA | DANE_EE) && self.selector <= 1 && data_fits
    }

    fn matches(&self, certificate: &CertificateDer<'_>) -> bool {
        let selected = match self.selector {
            0 => Some(certificate.to_vec()),
            _ => public_key(certificate),
        };
        selected.is_some_and(|selected| match self.matching {
            0 => selected == self.data,
            1 => digest(&SHA256, &selected).as_ref() == self.data,
            _ => digest(&SHA512, &selected).as_ref() == self.data,
        })
    }
}

impl fmt::Display for Tlsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.usage, self.selector, self.matching)
    }
}

impl Dane {
    /// Whether a chain, the host's own certificate first, is what the records say; if it is, by which.
    pub(super) fn verify(&self, chain: &[&CertificateDer<'_>], now: UnixTime) -> Result<String, Error> {
        let [own, others @ ..] = chain else { return Err(Error::NoCertificatesPresented) };
        // RFC 7672 §3.1.1: neither the name nor the time in it matters.
        if let Some(record) = self.of(DANE_EE).find(|record| record.matches(own)) {
            return Ok(format!("DANE ({record})"));
        }
        let mut why = None;
        for record in self.of(DANE_TA) {
            for anchor in record.anchors(others) {
                match self.verify_under(&anchor, own, others, now) {
                    Ok(()) => return Ok(format!("DANE ({record})")),
                    Err(error) => why = Some(error),
                }
            }
        }
        Err(why.unwrap_or_else(|| {
            Error::General(
                "the certificate of the server is not the one that DNS names (TLSA, RFC 7672)".to_owned(),
            )
        }))
    }

    fn of(&self, usage: u8) -> impl Iterator<Item = &Tlsa> {
        self.records.iter().filter(move |record| record.usage == usage)
    }

    /// RFC 7672 §3.1.2: the chain ends at the anchor, and the certificate is for one of the names.
    fn verify_under(
        &self,
        anchor: &CertificateDer<'_>,
        own: &CertificateDer<'_>,
        others: &[&CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add(anchor.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        let others: Vec<CertificateDer<'_>> =
            others.iter().map(|certificate| (*certificate).clone()).collect();
        let mut why = Error::General("there is no name that it could be for".to_owned());
        for name in &self.names {
            let Ok(name) = ServerName::try_from(name.as_str()) else { continue };
            match verifier.verify_server_cert(own, &others, &name, &[], now) {
                Ok(_) => return Ok(()),
                Err(error) => why = error,
            }
        }
        Err(why)
    }
}

impl Tlsa {
    /// The certificates that this record of DANE-TA can mean: those of the chain that it matches, and one that stands in it whole.
    fn anchors<'a>(&'a self, others: &'a [&CertificateDer<'a>]) -> impl Iterator<Item = CertificateDer<'a>> {
        let whole =
            (self.selector == 0 && self.matching == 0).then(|| CertificateDer::from(self.data.as_slice()));
        let sent = others
            .iter()
            .filter(|certificate| self.matches(certificate))
            .map(|certificate| (*certificate).clone());
        whole.into_iter().chain(sent)
    }
}

/// The SubjectPublicKeyInfo of a certificate, in DER.
pub(super) fn public_key(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed.tbs_certificate.subject_pki.raw.to_vec())
}

const DANE_TA: u8 = 2;
const DANE_EE: u8 = 3;

#[cfg(test)]
mod tests;
