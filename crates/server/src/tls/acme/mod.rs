//! Certificates from an authority (ACME, RFC 8555): got at the first start, renewed in time, for as long as the server runs.
//!
//! Whatever goes wrong here is told in the log and tried again later, ever more rarely; mail goes on with the certificate that there is.

mod answers;
mod order;
mod schedule;

pub(super) use answers::Answers;

use super::{Tls, TlsError, acme_files, directory, files};
use crate::inbound::Clock;
use crate::settings::{Acme as Settings, Settings as All};
use aws_lc_rs::rand;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Gets and renews the certificate of a server.
pub(crate) struct Acme {
    settings: Settings,
    directory: PathBuf,
    tls: Arc<Tls>,
    clock: Clock,
    http: Vec<TcpListener>,
    tls_alpn: Vec<TcpListener>,
}

impl Acme {
    /// Where an authority asks, in the order that [`Acme::new`] takes the listeners.
    pub(crate) fn addresses(settings: &Settings) -> impl Iterator<Item = SocketAddr> {
        settings.http.iter().chain(&settings.tls_alpn).copied()
    }

    /// `listeners` are those of [`Acme::addresses`].
    pub(crate) fn new(
        all: &All,
        settings: &Settings,
        (tls, clock): (Arc<Tls>, Clock),
        mut listeners: Vec<TcpListener>,
    ) -> Acme {
        let tls_alpn = listeners.split_off(settings.http.len().min(listeners.len()));
        let directory = directory(&all.data);
        Acme { settings: settings.clone(), directory, tls, clock, http: listeners, tls_alpn }
    }

    /// Until `stopped` comes.
    pub(crate) async fn run(mut self, stopped: impl Future<Output = ()>) {
        // Ended when this is dropped.
        let mut listening = JoinSet::new();
        for listener in self.http.drain(..) {
            listening.spawn(answers::serve_http(listener, Arc::clone(self.tls.answers())));
        }
        for listener in self.tls_alpn.drain(..) {
            listening.spawn(answers::serve_tls(listener, Arc::clone(self.tls.answers())));
        }
        tokio::select! {
            () = stopped => {}
            () = pin!(self.renew_for_ever()) => {}
        }
    }

    async fn renew_for_ever(&self) {
        let mut failures = 0;
        loop {
            self.until_due().await;
            match self.renew().await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    let pause = schedule::pause(failures, chance());
                    tracing::error!(
                        "ACME: no certificate: {error}; trying again in {} minutes",
                        pause.as_secs().div_ceil(60)
                    );
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Waits until the certificate that there is has to be renewed; not at all when there is none for these names.
    async fn until_due(&self) {
        let Some(facts) = self.facts() else { return };
        let missing = self.settings.domains.iter().find(|domain| !facts.is_for(domain.ascii()));
        if let Some(missing) = missing {
            tracing::info!("ACME: the certificate is not for {}", missing.ascii());
            return;
        }
        let due = schedule::renewal(facts.not_before, facts.not_after, chance());
        loop {
            let left = due - (self.clock)().0.div_euclid(1000);
            let Ok(left @ 1..) = u64::try_from(left) else { return };
            // The clock may be set meanwhile.
            tokio::time::sleep(Duration::from_secs(left).min(LOOK)).await;
        }
    }

    /// What the certificate that there is says.
    fn facts(&self) -> Option<files::Facts> {
        let files = acme_files(&self.directory);
        files::Pair::read(&files).and_then(|pair| pair.load(&files)).ok().map(|loaded| loaded.facts)
    }

    async fn renew(&self) -> Result<(), order::OrderError> {
        let names: Vec<&str> = self.settings.domains.iter().map(|domain| domain.ascii()).collect();
        tracing::info!("ACME: asking {} for a certificate for {}", self.settings.directory, names.join(", "));
        files::private_directory(&self.directory)?;
        let account = self.directory.join("acme-account.json");
        let ordered = order::order(&self.settings, &account, self.tls.answers()).await;
        self.tls.answers().clear();
        let pem = ordered?;
        // Key and chain in one file, so that no crash can leave two that do not belong together.
        let files = acme_files(&self.directory);
        let pair = files::Pair { chain: pem.clone().into_bytes(), key: pem.into_bytes() };
        pair.load(&files)?;
        files::write_private(&files.chain, &pair.chain)?;
        let (certificates, now) = (Arc::clone(self.tls.certificates()), (self.clock)());
        let read = tokio::task::spawn_blocking(move || certificates.refresh(now)).await;
        read.map_err(|error| TlsError::Internal(error.to_string()))?;
        Ok(())
    }
}

/// Any number.
fn chance() -> u16 {
    let mut bytes = [0; 2];
    // Without randomness there is no TLS either; here it only spreads the load of an authority.
    match rand::fill(&mut bytes) {
        Ok(()) => u16::from_be_bytes(bytes),
        Err(_) => 0,
    }
}

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(3600);
