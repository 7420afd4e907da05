//! A server in the foreground: what `up` and `serve` share. Opens the store, starts, announces, waits for a signal, stops in order.

use crate::exit::Exit;
use crate::logs::Log;
use crate::output;
use crate::output::Format;
use crate::supervisor;
use anyhow::bail;
use serde::Serialize;
use server::confine::confine;
use server::open::Open;
use server::settings::{Listener, Settings, Span};
use server::tls::CertificateView;
use server::{Server, Sockets, Stopped};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use store::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs a server until SIGTERM or SIGINT; a second one ends it at once. SIGHUP has changed certificates read. `announcement` makes the text for people who started it.
pub(crate) fn run(
    settings: Settings,
    log: Log,
    format: Format,
    announcement: impl FnOnce(&Server) -> Option<String>,
) -> anyhow::Result<Exit> {
    let faults = server::ready::faults(&settings);
    if let Some(fault) = faults.at_start.first() {
        bail!("the server cannot start with these settings: {fault}");
    }
    for fault in faults.later {
        tracing::error!("the settings ask for what is not there: {fault}");
    }
    server::host::raise_descriptor_limit();
    // Threads inherit what is done to the process here, so this comes before there are any.
    let sockets = Sockets::open(&settings, supervisor::passed_sockets()?)?;
    let in_force = confine(&settings.hardening, &settings.data, &settings.needs())?;
    tracing::info!("confined: {in_force}");
    let _writing = log.in_background()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // before anything else, so that a signal during the start is not the default one
        let mut stop = StopSignals::new()?;
        let mut reload = signal(SignalKind::hangup())?;
        let fates = settings.relay.as_ref().map(|relay| relay.fates).unwrap_or_default();
        let open = Open::for_server(&settings.data, settings.limits.disk_reserve, fates).await?;
        let server = Server::start_on(&settings, sockets, open.access(), Arc::new(now)).await?;
        match format {
            Format::Json => output::json(&Ready::new(&server, &settings.data))?,
            Format::Text => announcement(&server).map_or(Ok(()), |text| output::text(&text))?,
        }
        supervisor::ready();
        let reassuring = supervisor::reassure();
        tokio::pin!(reassuring);
        loop {
            tokio::select! {
                () = stop.next() => break,
                _ = reload.recv() => server.reload(),
                () = &mut reassuring => {}
            }
        }
        supervisor::stopping();
        let within = Span(settings.limits.stop);
        tracing::info!(
            connections = server.connections(),
            "stopping; transactions in flight may finish within {within}; told again, it waits no longer"
        );
        tokio::select! {
            stopped = server.stop() => match stopped {
                Stopped::Clean => {}
                Stopped::Cut(left) => tracing::warn!(connections = left, "connections cut at the deadline"),
            },
            () = stop.next() => tracing::warn!("told to stop again; not waiting any longer"),
        }
        open.close().await?;
        tracing::info!("stopped");
        Ok(Exit::Done)
    })
}

/// The system's clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> std::io::Result<StopSignals> {
        Ok(StopSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What a program that started the server learns.
#[derive(Serialize)]
struct Ready<'a> {
    pid: u32,
    data: &'a Path,
    listeners: Vec<ReadyListener>,
    certificates: Vec<ReadyCertificate>,
}

#[derive(Serialize)]
struct ReadyListener {
    protocol: &'static str,
    address: String,
    tls: &'static str,
}

#[derive(Serialize)]
struct ReadyCertificate {
    names: Vec<String>,
    sha256: String,
    origin: String,
    file: PathBuf,
}

impl Ready<'_> {
    fn new<'a>(server: &Server, data: &'a Path) -> Ready<'a> {
        let listener = |listener: &Listener| ReadyListener {
            protocol: listener.service.name(),
            address: listener.address.to_string(),
            tls: listener.tls.name(),
        };
        let certificate = |certificate: CertificateView| ReadyCertificate {
            sha256: certificate.fingerprint.to_string(),
            origin: certificate.origin.to_string(),
            names: certificate.names,
            file: certificate.file,
        };
        Ready {
            pid: std::process::id(),
            data,
            listeners: server.listeners().iter().map(listener).collect(),
            certificates: server.certificates().into_iter().map(certificate).collect(),
        }
    }
}
