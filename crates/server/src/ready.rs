//! What a server with these settings needs of the machine before it can start and send: files, directories, the user.
//!
//! The program asks before it gives up its rights, and `serve --check` without starting anything. Whether a port is free and what DNS says
//! is not asked: that changes from one minute to the next.

use crate::confine::user_exists;
use crate::settings::{Acceptance, Service, Settings, TokenSource};
use crate::tls::{self, Authorities, TlsError};
use std::path::Path;

/// What stands in the way, with the setting that asks for it; none when the server can start. Reads files, so it blocks.
pub fn faults(settings: &Settings) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |setting: &str, outcome: Result<(), String>| {
        faults.extend(outcome.err().map(|fault| format!("{setting}: {fault}")));
    };
    let in_words = |error: TlsError| error.to_string();
    for files in &settings.tls.certificates {
        check("[[tls.certificate]]", tls::usable(files).map_err(in_words));
    }
    let authorities = |file: &Path| Authorities::file(file).map(drop).map_err(in_words);
    if let Some(file) = &settings.tls.client_ca {
        check("`client_ca` in [tls]", authorities(file));
    }
    if let Some(file) = settings.tls.acme.as_ref().and_then(|acme| acme.directory_ca.as_ref()) {
        check("`directory_ca` in [acme]", authorities(file));
    }
    match settings.auth.oauth.as_ref().map(|oauth| &oauth.source) {
        Some(TokenSource::Keys(file)) => check("`keys` in [auth.oauth]", readable(file)),
        Some(TokenSource::Introspection { client: Some((_, file)), .. }) => {
            check("the client's secret in [auth.oauth]", secret(file));
        }
        Some(TokenSource::Introspection { client: None, .. }) | None => {}
    }
    for hop in settings.relay.iter().flat_map(|relay| relay.routes.hops()) {
        if let Some(credentials) = &hop.credentials {
            check(&format!("[[route]] to {hop}"), secret(credentials.secret.path()));
        }
        if let Some(file) = &hop.authorities {
            check(&format!("`ca` in [[route]] to {hop}"), authorities(file));
        }
    }
    if let Some(directory) = settings.hardening.backups.as_deref().filter(|directory| !directory.is_dir()) {
        let fault =
            format!("{} is no directory: make it, backups go below one that is there", directory.display());
        check("`backups` in [hardening]", Err(fault));
    }
    if let Some(user) = &settings.hardening.user {
        check("`user` in [hardening]", existing_user(user));
    }
    faults
}

/// What may be meant so, and mostly is not.
pub fn doubts(settings: &Settings) -> Vec<String> {
    let mut doubts = Vec::new();
    let host = settings.host_name.ascii();
    if !host.contains('.') {
        doubts.push(format!(
            "the host name {host} has no dot: other servers refuse mail from a host whose name is not in DNS; name it with `hostname`"
        ));
    }
    if let Acceptance::Domains { domains, .. } = &settings.acceptance
        && domains.is_empty()
    {
        doubts.push(
            "`domains` names none: the server starts only where one was added with `posthaste domain add`"
                .to_owned(),
        );
    }
    doubts
}

/// Whether accounts submit mail here, that it sends on.
pub(crate) fn takes_submissions(settings: &Settings) -> bool {
    settings.listeners.iter().any(|listener| listener.service == Service::Submission)
}

fn readable(file: &Path) -> Result<(), String> {
    std::fs::read(file).map(drop).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

fn secret(file: &Path) -> Result<(), String> {
    match std::fs::read(file) {
        Ok(text) if text.iter().all(|octet| matches!(octet, b'\r' | b'\n')) => {
            Err(format!("{} is empty", file.display()))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(format!("cannot read {}: {error}", file.display())),
    }
}

fn existing_user(name: &str) -> Result<(), String> {
    match user_exists(name) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("there is no user {name} on this machine")),
        Err(error) => Err(format!("the user {name} cannot be looked up: {error}")),
    }
}
