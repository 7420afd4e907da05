//! The certificates of a running server: which one a client gets, and how changed files come into force.
//!
//! [`Certificates`] is what rustls asks during each handshake. Files are read again when their bytes have changed; a pair that cannot be
//! used leaves the one before it in force. Nothing here ever interrupts a session.

use super::files::{Facts, Loaded, Pair, is_open_to_all};
use super::{Fingerprint, TlsError, self_signed};
use crate::settings::CertificateFiles;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use store::Timestamp;

/// The certificates of a running server.
pub struct Certificates {
    sources: Mutex<Vec<Source>>,
    /// What is in force, the most wanted first.
    current: RwLock<Arc<Vec<Loaded>>>,
}

/// A pair of files, and what came of it.
struct Source {
    files: CertificateFiles,
    origin: Origin,
    /// What was read last, good or bad.
    digest: Option<Fingerprint>,
    loaded: Option<Loaded>,
    /// Why the files cannot be used, as it was last said.
    fault: Option<String>,
    /// On which day since 1970 it was last said that it expires.
    warned: i64,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Files of the settings.
    Files,
    /// An authority, by ACME.
    Acme,
    /// The server itself.
    SelfSigned,
}

/// A certificate in force, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateView {
    /// Its names.
    pub names: Vec<String>,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// When it expires.
    pub expires: Timestamp,
    /// Where it comes from.
    pub origin: Origin,
    /// Its file.
    pub file: PathBuf,
}

impl Certificates {
    /// Loads what there is. Files of the settings must be in order; one of ACME may still have to come.
    pub(super) fn load(
        sources: Vec<(CertificateFiles, Origin)>,
        now: Timestamp,
    ) -> Result<Certificates, TlsError> {
        let mut loaded = Vec::new();
        for (files, origin) in sources {
            let mut source = Source::new(files, origin);
            match origin {
                // It may still have to come, and if it is damaged another one will.
                Origin::Acme => source.refresh(now),
                Origin::Files | Origin::SelfSigned => source.read(now)?,
            }
            loaded.push(source);
        }
        let current = in_force(&loaded);
        Ok(Certificates { sources: Mutex::new(loaded), current: RwLock::new(Arc::new(current)) })
    }

    /// Reads files that have changed. One that cannot be used leaves what was in force, and is told once. Reads files, so it blocks.
    pub fn refresh(&self, now: Timestamp) {
        let mut sources = self.sources();
        for source in sources.iter_mut() {
            source.refresh(now);
            source.warn_of_expiry(now);
        }
        let current = Arc::new(in_force(&sources));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
    }

    /// What is in force, the default first.
    pub fn list(&self) -> Vec<CertificateView> {
        let sources = self.sources();
        let current = self.current();
        let of = |loaded: &Loaded| {
            let is_it = |source: &&Source| {
                source.loaded.as_ref().is_some_and(|own| own.facts.fingerprint == loaded.facts.fingerprint)
            };
            sources.iter().find(is_it).map(|source| CertificateView {
                names: loaded.facts.names.clone(),
                fingerprint: loaded.facts.fingerprint,
                expires: Timestamp(loaded.facts.not_after.saturating_mul(1000)),
                origin: source.origin,
                file: source.files.chain.clone(),
            })
        };
        current.iter().filter_map(of).collect()
    }

    fn sources(&self) -> MutexGuard<'_, Vec<Source>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> Arc<Vec<Loaded>> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.current().iter().map(|loaded| &loaded.facts)).finish()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        choose(&self.current(), hello.server_name(), hello.signature_schemes())
    }
}

/// The certificate for a client: the first of those for the name that it asked for whose key it can verify. Mail is not lost for want of
/// a matching name, so a client that names none, or one that nobody here has, gets the default.
fn choose(
    certificates: &[Loaded],
    name: Option<&str>,
    schemes: &[SignatureScheme],
) -> Option<Arc<CertifiedKey>> {
    let fits = |loaded: &&Loaded| loaded.key.key.choose_scheme(schemes).is_some();
    let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
    let named =
        name.and_then(|name| certificates.iter().filter(|loaded| loaded.facts.is_for(&name)).find(fits));
    let chosen = named.or_else(|| certificates.iter().find(fits)).or_else(|| certificates.first());
    chosen.map(|loaded| Arc::clone(&loaded.key))
}

/// The server's own certificate is for a server that has no other.
fn in_force(sources: &[Source]) -> Vec<Loaded> {
    let of = |wanted: fn(Origin) -> bool| {
        sources
            .iter()
            .filter(|source| wanted(source.origin))
            .filter_map(|source| source.loaded.clone())
            .collect()
    };
    let others: Vec<Loaded> = of(|origin| origin != Origin::SelfSigned);
    if others.is_empty() { of(|origin| origin == Origin::SelfSigned) } else { others }
}

impl Source {
    fn new(files: CertificateFiles, origin: Origin) -> Source {
        Source { files, origin, digest: None, loaded: None, fault: None, warned: 0 }
    }

    /// Reads the files for the first time.
    fn read(&mut self, now: Timestamp) -> Result<(), TlsError> {
        let pair = Pair::read(&self.files)?;
        let loaded = pair.load(&self.files)?;
        self.digest = Some(pair.digest());
        self.enforce(loaded);
        self.warn_of_expiry(now);
        Ok(())
    }

    fn refresh(&mut self, now: Timestamp) {
        let result = Pair::read(&self.files).and_then(|pair| {
            let digest = Some(pair.digest());
            if digest == self.digest {
                return Ok(None);
            }
            // Also when it cannot be used: it is read again when it changes again.
            self.digest = digest;
            pair.load(&self.files).map(Some)
        });
        match result {
            Ok(None) => {}
            Ok(Some(loaded)) => {
                self.fault = None;
                self.warned = 0;
                self.enforce(loaded);
                self.warn_of_expiry(now);
            }
            // It has still to come.
            Err(TlsError::Unreadable { cause, .. })
                if self.origin == Origin::Acme
                    && self.loaded.is_none()
                    && cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => self.complain(error.to_string()),
        }
    }

    fn enforce(&mut self, loaded: Loaded) {
        let Facts { names, fingerprint, .. } = &loaded.facts;
        let origin = self.origin;
        tracing::info!("certificate for {} in force ({origin}), SHA-256 {fingerprint}", names.join(", "));
        if is_open_to_all(&self.files.key) {
            tracing::warn!("every user of this computer can read the key {}", self.files.key.display());
        }
        self.loaded = Some(loaded);
    }

    fn complain(&mut self, fault: String) {
        if self.fault.as_ref() == Some(&fault) {
            return;
        }
        match &self.loaded {
            Some(_) => {
                tracing::error!("changed certificate not taken, the one before stays in force: {fault}")
            }
            None => tracing::error!("certificate not taken: {fault}"),
        }
        self.fault = Some(fault);
    }

    /// Says once a day that a certificate will soon be of no use. Clients, not we, refuse one that has expired.
    fn warn_of_expiry(&mut self, now: Timestamp) {
        let Some(Loaded { facts, .. }) = &self.loaded else { return };
        let seconds = now.0.div_euclid(1000);
        let day = seconds.div_euclid(DAY);
        let soon = ((facts.not_after - facts.not_before) / 6).min(14 * DAY);
        let left = facts.not_after - seconds;
        if day == self.warned || (left > soon && facts.not_before <= seconds) {
            return;
        }
        self.warned = day;
        let (names, file) = (facts.names.join(", "), self.files.chain.display());
        if facts.not_before > seconds {
            tracing::warn!("the certificate for {names} in {file} does not count yet; is the clock right?");
        } else if left <= 0 {
            tracing::warn!(
                "the certificate for {names} in {file} has expired: clients that check it go away"
            );
        } else {
            tracing::warn!("the certificate for {names} in {file} expires in {}", days(left));
        }
    }
}

const DAY: i64 = 86_400;

fn days(seconds: i64) -> String {
    match seconds / DAY {
        0 => "less than a day".to_owned(),
        1 => "a day".to_owned(),
        days => format!("{days} days"),
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Files => "from files",
            Origin::Acme => "by ACME",
            Origin::SelfSigned => "self-signed",
        })
    }
}

/// The sources of these settings, with the server's own certificate made if it is needed.
pub(super) fn sources(
    settings: &crate::settings::Settings,
    directory: &Path,
    now: Timestamp,
) -> Result<Vec<(CertificateFiles, Origin)>, TlsError> {
    let mut sources: Vec<_> =
        settings.tls.certificates.iter().map(|files| (files.clone(), Origin::Files)).collect();
    if settings.tls.acme.is_some() {
        sources.push((super::acme_files(directory), Origin::Acme));
    }
    if settings.tls.certificates.is_empty() {
        self_signed::ensure(directory, &settings.host_name, now)?;
        sources.push((self_signed::files(directory), Origin::SelfSigned));
    }
    Ok(sources)
}

#[cfg(test)]
mod tests;
