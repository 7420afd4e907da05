//! What a server with these settings needs of the machine before it can start and send: files, directories, the user.
//!
//! The program asks before it gives up its rights, and `serve --check` without starting anything. Whether a port is free and what DNS says
//! is not asked: that changes from one minute to the next.

use crate::confine::user_exists;
use crate::settings::{Acceptance, Service, Settings, TokenSource};
use crate::tls::{self, Authorities};
use std::path::Path;

/// What is missing or wrong, with the settings that ask for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// With these a server does not start.
    pub at_start: Vec<String>,
    /// These it meets later, and other mail goes on meanwhile.
    pub later: Vec<String>,
}

impl Faults {
    /// All of them.
    pub fn all(self) -> Vec<String> {
        [self.at_start, self.later].concat()
    }
}

/// What stands in the way of these settings. Reads files, so it blocks.
pub fn faults(settings: &Settings) -> Faults {
    Faults { at_start: of_the_start(settings), later: of_later(settings) }
}

fn of_the_start(settings: &Settings) -> Vec<String> {
    let mut faults = Vec::new();
    if settings.uses_tls() {
        certificates(&mut faults, settings);
    }
    let mut check = |setting: &str, outcome| note(&mut faults, setting, outcome);
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
        if let Some(file) = &hop.authorities {
            check(&format!("`ca` in [[route]] to {hop}"), authorities(file));
        }
    }
    if let Some(user) = &settings.hardening.user {
        check("`user` in [hardening]", existing_user(user));
    }
    faults
}

fn of_later(settings: &Settings) -> Vec<String> {
    let mut faults = Vec::new();
    if !settings.uses_tls() {
        certificates(&mut faults, settings);
    }
    for hop in settings.relay.iter().flat_map(|relay| relay.routes.hops()) {
        if let Some(credentials) = &hop.credentials {
            note(&mut faults, &format!("[[route]] to {hop}"), secret(credentials.secret.path()));
        }
    }
    if let Some(directory) = settings.hardening.backups.as_deref().filter(|directory| !directory.is_dir()) {
        let fault = format!(
            "{} is no directory: make it and start the server again, backups go below one that is there then",
            directory.display()
        );
        note(&mut faults, "`backups` in [hardening]", Err(fault));
    }
    faults
}

fn certificates(faults: &mut Vec<String>, settings: &Settings) {
    for files in &settings.tls.certificates {
        note(faults, "[[tls.certificate]]", tls::usable(files).map_err(|error| error.to_string()));
    }
    if let Some(file) = &settings.tls.client_ca {
        note(faults, "`client_ca` in [tls]", authorities(file));
    }
}

fn note(faults: &mut Vec<String>, setting: &str, outcome: Result<(), String>) {
    faults.extend(outcome.err().map(|fault| format!("{setting}: {fault}")));
}

fn authorities(file: &Path) -> Result<(), String> {
    Authorities::file(file).map(drop).map_err(|error| error.to_string())
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
