//! `[hardening]`: what a server takes from itself when it starts.

use super::{CertificateFiles, Settings, TokenSource};
use crate::confine::{Hardening, Needs, Switch};
use crate::route::Place;
use serde::Deserialize;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// `[hardening]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// The user to run as.
    user: Option<String>,
    /// Landlock.
    files: Switch,
    /// seccomp.
    system_calls: Switch,
    /// Where backups may be written.
    backups: Option<PathBuf>,
}

impl File {
    pub(super) fn resolve(&self) -> Hardening {
        Hardening {
            user: self.user.clone(),
            files: self.files,
            calls: self.system_calls,
            backups: self.backups.clone(),
        }
    }
}

impl Settings {
    /// What a server with these settings needs beyond its data directory.
    pub fn needs(&self) -> Needs {
        let mut needs = Needs { connect: vec![NAME_SERVERS], ..Needs::default() };
        for CertificateFiles { chain, key } in &self.tls.certificates {
            needs.files.extend([chain.clone(), key.clone()]);
        }
        needs.directories.extend(self.hardening.backups.clone());
        needs.files.extend(self.tls.client_ca.clone());
        if let Some(acme) = &self.tls.acme {
            needs.files.extend(acme.directory_ca.clone());
            needs.listen.extend(acme.http.iter().chain(&acme.tls_alpn).map(|address| address.port()));
            // The directory names the addresses that follow; they are on the same port, or on that of the web.
            needs.connect.extend([port(&acme.directory), HTTPS]);
        }
        match self.auth.oauth.as_ref().map(|oauth| &oauth.source) {
            Some(TokenSource::Keys(file)) => needs.files.push(file.clone()),
            Some(TokenSource::Introspection { url, client }) => {
                needs.connect.push(port(url));
                needs.files.extend(client.as_ref().map(|(_, file)| file.clone()));
            }
            None => {}
        }
        if let Some(relay) = &self.relay {
            needs.connect.push(relay.mx_port);
            if relay.mta_sts == Switch::On || relay.tls_reports.is_some() {
                needs.connect.push(HTTPS);
            }
            needs.connect.extend(relay.resolvers.iter().map(SocketAddr::port));
            if relay.routes.have_sources() {
                // A connection from a chosen address begins with a bind to any free port.
                needs.listen.push(0);
            }
            for hop in relay.routes.hops() {
                match &hop.place {
                    Place::Host { port, .. } | Place::Exchanges { port: Some(port), .. } => {
                        needs.connect.push(*port)
                    }
                    Place::Exchanges { port: None, .. } | Place::Socket(_) => {}
                }
                needs
                    .files
                    .extend(hop.credentials.iter().map(|credentials| credentials.secret.path().to_owned()));
                needs.files.extend(hop.authorities.clone());
            }
        }
        needs
    }
}

/// Answers that are too long for UDP come over TCP (RFC 7766).
const NAME_SERVERS: u16 = 53;
const HTTPS: u16 = 443;

/// The port of a URL. One that cannot be read is refused where it is used.
fn port(url: &str) -> u16 {
    let Ok(url) = url.parse::<hyper::Uri>() else { return HTTPS };
    let usual = if url.scheme_str() == Some("http") { 80 } else { HTTPS };
    url.port_u16().unwrap_or(usual)
}

/// The hardening as a person reads it.
pub(super) fn show(hardening: &Hardening, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let restricted = |switch| match switch {
        Switch::On => "restricted",
        Switch::Off => "not restricted",
    };
    writeln!(f, "runs as                  {}", hardening.user.as_deref().unwrap_or("whoever starts it"))?;
    writeln!(f, "  files and ports        {}", restricted(hardening.files))?;
    writeln!(f, "  system calls           {}", restricted(hardening.calls))?;
    match hardening.backups.as_deref().map(Path::display) {
        Some(directory) => writeln!(f, "  backups                in {directory}"),
        None => Ok(()),
    }
}
