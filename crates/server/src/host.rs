//! What the host gives to a server that asks when it starts: its name, and room for connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smtp::Domain;

/// The host's name, or `localhost` when it has none that can stand in a mail address.
pub fn name() -> Domain {
    let name = rustix::system::uname();
    let name = name.nodename().to_str().ok().and_then(|name| Domain::parse(name).ok());
    name.unwrap_or_else(|| Domain::parse("localhost").expect("localhost is a domain"))
}

/// Lets the process open as many files as the system allows it: each connection is one. Returns how many that is; the limit stays as
/// it was when the system refuses.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let in_force = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of open files");
            limit.current
        }
    };
    in_force.unwrap_or(u64::MAX)
}
