//! What all sessions of a server share, and what is known of a peer before it has said anything.
//!
//! Made once when a server starts. Sessions of every protocol hold it; it holds none of them.

use super::config::Configs;
use super::now;
use crate::abuse::connections::{Bounds, Connections};
use crate::abuse::tarpit::Tarpit;
use crate::abuse::{Abuse, Policy};
use crate::auth::Authenticator;
use crate::classroom::Shown;
use crate::confine::Switch;
use crate::door::Door;
use crate::dsn::ReportRate;
use crate::imap;
use crate::policy::recipient::{Onwards, Rules};
use crate::policy::sender;
use crate::pop3::{Configs as Pop3Configs, Maildrops};
use crate::reading;
use crate::session::SessionIds;
use crate::settings::{ListenerTls, Proxies, Service, Settings};
use crate::srs::Srs;
use crate::tls::{Acceptor, Tls, TlsSession};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use store::{SharedStore, Timestamp};
use tokio::sync::{Notify, watch};

/// What all sessions of a server share.
pub struct Context {
    /// Where mail is kept.
    pub store: SharedStore,
    /// Who gets mail.
    pub rules: Rules,
    /// What is needed for TLS; `None` without a listener that has it.
    pub tls: Option<Arc<Tls>>,
    /// Who may log in; `None` without a listener where that is of use.
    pub authenticator: Option<Arc<Authenticator>>,
    /// Which sender addresses accounts may use.
    pub senders: sender::Rules,
    pub(super) configs: Configs,
    /// The most hosts that a message may have been through.
    pub(super) hops: usize,
    pub(crate) pop3: Pop3Configs,
    pub(crate) maildrops: Arc<Maildrops>,
    pub(crate) imap: imap::Configs,
    /// Items of FETCH that were told lately.
    pub(crate) envelopes: imap::Envelopes,
    /// How much of texts being read may be in memory.
    pub(crate) reading: reading::Memory,
    /// Whose mail is shown in the classroom.
    pub(crate) shown: Shown,
    /// The largest message in octets; 0 is no limit.
    pub(crate) message_size: u64,
    /// The time.
    pub clock: Clock,
    /// Who did too much.
    pub abuse: Arc<Abuse>,
    /// Who may say for whom it speaks.
    pub(crate) proxies: Proxies,
    pub(crate) tarpit: Tarpit,
    pub(crate) connections: Arc<Connections>,
    pub(crate) door: Door,
    pub(crate) sessions: SessionIds,
    pub(crate) stop: watch::Sender<bool>,
    /// Whether a stop has waited long enough.
    cut: watch::Sender<bool>,
    /// Tells the queue that something was queued.
    pub(crate) queued: Arc<Notify>,
    /// Whether the postmaster hears of failures, too.
    pub(crate) postmaster_copies: Switch,
    /// How many reports an address elsewhere gets.
    pub(crate) report_rate: Arc<ReportRate>,
}

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The two ends of a connection and what for.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The other side.
    pub address: SocketAddr,
    /// Our side.
    pub local: SocketAddr,
    /// What the connection was made for.
    pub service: Service,
    /// How TLS comes to the connection.
    pub security: ListenerTls,
    /// The TLS of the connection, once it is on.
    pub tls: Option<Arc<TlsSession>>,
}

impl Peer {
    /// A peer on a connection that is in clear and stays so.
    pub fn new(address: SocketAddr, local: SocketAddr, service: Service) -> Peer {
        Peer { address, local, service, security: ListenerTls::None, tls: None }
    }
}

impl Context {
    /// What these settings make of a server over this store, without TLS.
    pub fn new(settings: &Settings, store: SharedStore, clock: Clock) -> Context {
        let limits = &settings.limits;
        let started = clock().0.unsigned_abs() / 1000;
        Context {
            store,
            rules: Rules {
                acceptance: settings.acceptance.clone(),
                host_name: settings.host_name.clone(),
                onwards: settings.relay.as_ref().map(|relay| Onwards {
                    networks: relay.networks.clone(),
                    domains: relay.accepted.clone(),
                    srs: None,
                }),
            },
            tls: None,
            authenticator: None,
            senders: settings.submission,
            configs: Configs::new(settings),
            hops: limits.hops,
            pop3: Pop3Configs::new(settings),
            maildrops: Arc::new(Maildrops::new(limits.login_delay)),
            imap: imap::Configs::new(settings),
            envelopes: imap::Envelopes::default(),
            reading: reading::Memory::default(),
            shown: Shown::new(settings),
            message_size: limits.message_size,
            clock,
            abuse: Arc::new(Abuse::new(
                Policy { exempt: limits.exempt.clone(), ..settings.abuse.clone() },
                now(),
            )),
            proxies: settings.proxies.clone(),
            tarpit: Tarpit::new(limits.connections, settings.abuse.tarpit),
            connections: Connections::new(Bounds {
                total: limits.connections,
                per_address: limits.connections_per_address,
                per_account: limits.sessions_per_account,
                exempt: limits.exempt.clone(),
            }),
            door: Door::new(limits.connections, settings.abuse.tarpit),
            sessions: SessionIds::starting(started),
            stop: watch::Sender::new(false),
            cut: watch::Sender::new(false),
            queued: Arc::new(Notify::new()),
            postmaster_copies: settings.relay.as_ref().map_or(Switch::Off, |relay| relay.postmaster_copies),
            report_rate: Arc::new(ReportRate::new(
                settings.relay.as_ref().and_then(|relay| relay.reports_per_sender),
            )),
        }
    }

    /// The same with TLS.
    pub fn with_tls(self, tls: Option<Arc<Tls>>) -> Context {
        Context { tls, ..self }
    }

    /// The same with what gives forwarded mail its reverse-path, if anything is sent on at all.
    pub fn with_srs(mut self, srs: Srs) -> Context {
        if let Some(onwards) = &mut self.rules.onwards {
            onwards.srs = Some(Arc::new(srs));
        }
        self
    }

    /// The same with somebody who knows who may log in.
    pub fn with_authenticator(self, authenticator: Option<Arc<Authenticator>>) -> Context {
        Context { authenticator, ..self }
    }

    /// How the peer's handshake is taken; `None` where there is none.
    pub(crate) fn acceptor(&self, peer: &Peer) -> Option<Arc<Acceptor>> {
        let tls = self.tls.as_ref().filter(|_| peer.security != ListenerTls::None)?;
        Some(tls.acceptor(peer.service))
    }

    /// Asks all sessions to end: `421` to idle ones and to new transactions.
    pub fn shut_down(&self) {
        self.stop.send_replace(true);
    }

    /// Tells the sessions that are left to end at once, with `421`.
    pub(crate) fn cut_off(&self) {
        self.cut.send_replace(true);
    }

    /// Comes when sessions are to end at once.
    pub(crate) fn cut(&self) -> impl Future<Output = ()> + use<> {
        let mut cut = self.cut.subscribe();
        // A sender that is gone stops the server as well.
        async move { cut.wait_for(|cut| *cut).await.map_or((), drop) }
    }

    /// What wakes the queue when something was queued.
    pub fn queued(&self) -> Arc<Notify> {
        Arc::clone(&self.queued)
    }

    /// Lets a session with so many errors wait a while, unless the server stops.
    pub(crate) async fn hold_up(&self, peer: IpAddr, errors: u32, stopping: &mut watch::Receiver<bool>) {
        if self.abuse.is_exempt(peer) {
            return;
        }
        let Some((wait, _place)) = self.tarpit.enter(errors) else { return };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // A sender that is gone stops the server as well.
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }

    /// Comes when the server is to stop.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + use<> {
        let mut stop = self.stop.subscribe();
        // A sender that is gone stops the server as well.
        async move { stop.wait_for(|stop| *stop).await.map_or((), drop) }
    }
}
