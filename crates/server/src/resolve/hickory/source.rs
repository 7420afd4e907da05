//! Which name servers are asked: those of the settings, or the system's, whose file may come or change while the server runs.
//!
//! A laptop's or a container's network is often there only after its services, and then moves. [`super::Resolver`] asks for the resolver of
//! the moment before each question; the file is looked at now and then for that.

use super::super::Dnssec;
use super::super::provider::{Belief, Provider};
use super::{name_server, tune};
use hickory_resolver::config::{ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::system_conf::parse_resolv_conf;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// What asks and remembers.
pub(super) type Inner = hickory_resolver::Resolver<Provider>;

/// Knows the resolver of the moment.
pub(super) struct Source {
    dnssec: Dnssec,
    anchors: Arc<TrustAnchors>,
    /// The system's file; `None` where the settings name the servers.
    file: Option<PathBuf>,
    current: Mutex<Current>,
}

struct Current {
    /// Or why there is none.
    built: Result<Arc<Inner>, String>,
    /// What the file said when this was built.
    text: Vec<u8>,
    /// When the file was looked at last.
    looked: Instant,
}

impl Source {
    /// One for these servers.
    pub(super) fn fixed(servers: &[SocketAddr], dnssec: Dnssec, anchors: TrustAnchors) -> Source {
        let anchors = Arc::new(anchors);
        let servers = servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let built = build(config, ResolverOpts::default(), dnssec, &anchors);
        let built = built.map_err(|error| error.to_string());
        let current = Current { built, text: Vec::new(), looked: Instant::now() };
        Source { dnssec, anchors, file: None, current: Mutex::new(current) }
    }

    /// One for those that a file of the form of `resolv.conf(5)` names.
    pub(super) fn system(file: &Path, dnssec: Dnssec, anchors: TrustAnchors) -> Source {
        let anchors = Arc::new(anchors);
        let (text, built) = match std::fs::read(file) {
            Ok(text) => (text.clone(), of_system(&text, dnssec, &anchors)),
            Err(error) => (Vec::new(), Err(unreadable(file, &error))),
        };
        let current = Current { built, text, looked: Instant::now() };
        Source { dnssec, anchors, file: Some(file.to_owned()), current: Mutex::new(current) }
    }

    /// The resolver of the moment, or why there is none.
    pub(super) fn current(&self) -> Result<Arc<Inner>, String> {
        let mut current = self.current.lock().expect("no holder of this lock panics");
        if let Some(file) = &self.file
            && current.looked.elapsed() >= LOOK_AGAIN
        {
            current.looked = Instant::now();
            self.look(file, &mut current);
        }
        current.built.clone()
    }

    /// Looks whether the file says something else by now. As long as it says nothing that can be used, what it said before counts.
    fn look(&self, file: &Path, current: &mut Current) {
        let built = match std::fs::read(file) {
            Ok(text) if text == current.text && current.built.is_ok() => return,
            Ok(text) => {
                let built = of_system(&text, self.dnssec, &self.anchors);
                current.text = text;
                built
            }
            Err(error) => Err(unreadable(file, &error)),
        };
        match (&built, &current.built) {
            (Ok(_), _) => {
                tracing::info!(file = %file.display(), "the system names other name servers");
                current.built = built;
            }
            (Err(_), Err(_)) => current.built = built,
            (Err(error), Ok(_)) => tracing::debug!("the name servers of before are asked: {error}"),
        }
    }
}

fn of_system(text: &[u8], dnssec: Dnssec, anchors: &Arc<TrustAnchors>) -> Result<Arc<Inner>, String> {
    let built = parse_resolv_conf(text).and_then(|(config, options)| build(config, options, dnssec, anchors));
    built.map_err(|error| error.to_string())
}

fn unreadable(file: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", file.display())
}

fn build(
    config: ResolverConfig,
    options: ResolverOpts,
    dnssec: Dnssec,
    anchors: &Arc<TrustAnchors>,
) -> Result<Arc<Inner>, NetError> {
    let provider = Provider::new(match dnssec {
        Dnssec::Resolver => Belief::Local,
        Dnssec::Validate | Dnssec::Off => Belief::Nobody,
    });
    let mut builder = Inner::builder_with_config(config, provider);
    *builder.options_mut() = options;
    tune(builder.options_mut());
    if dnssec == Dnssec::Validate {
        builder = builder.with_trust_anchor(Arc::clone(anchors));
    }
    builder.build().map(Arc::new)
}

/// Where systems keep the addresses of their name servers.
pub(super) const SYSTEM_FILE: &str = "/etc/resolv.conf";
/// The file is looked at no more often.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn name_servers_may_come_and_change_while_the_server_runs() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("resolv.conf");
        let source = Source::system(&file, Dnssec::Off, TrustAnchors::empty());
        let same = |a: &Arc<Inner>, b: &Arc<Inner>| Arc::ptr_eq(a, b);
        let Err(why) = source.current() else { panic!("there is none yet") };
        assert!(why.contains("resolv.conf: "), "{why}");
        std::fs::write(&file, "nameserver 192.0.2.1\n").expect("it is written");
        assert!(source.current().is_err(), "the file is not read for each question");
        tokio::time::advance(LOOK_AGAIN).await;
        let first = source.current().expect("there is one");
        tokio::time::advance(LOOK_AGAIN).await;
        assert!(same(&first, &source.current().expect("it stays")), "with what it remembers");
        std::fs::write(&file, "nameserver 192.0.2.2\n").expect("it is written");
        tokio::time::advance(LOOK_AGAIN).await;
        let second = source.current().expect("there is one");
        assert!(!same(&first, &second), "others are asked");
        std::fs::remove_file(&file).expect("it was there");
        tokio::time::advance(LOOK_AGAIN).await;
        assert!(same(&second, &source.current().expect("better than nobody")));
    }
}
