//! A running server: started from settings and an open store, stopped in an orderly way.

use crate::admin::{self, Admin, Bans, Status, socket_path};
use crate::auth::{self, AuthError, Authenticator, WithScram};
use crate::confine::Switch;
use crate::declare;
use crate::deliver::dial::{Dialer, Tcp};
use crate::inbound::{Clock, Context};
use crate::listen;
use crate::mta_sts;
use crate::open::Access;
use crate::policy::recipient::main_domain;
use crate::queue::{self, Outbound};
use crate::resolve::{self, Dns, Ours, Private, Resolver, Terms};
use crate::route::Routes;
use crate::settings::{Listener, Relay, Settings};
use crate::sockets::Sockets;
use crate::srs::Srs;
use crate::tls::acme::Acme;
use crate::tls::{Authorities, CertificateView, Tls, TlsError, watch};
use crate::tls_reports::TlsReports;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::{Quota, SharedStore};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A running server. Dropped, it ends all sessions at once; [`Server::stop`] lets transactions in flight finish.
pub struct Server {
    listeners: Vec<Listener>,
    context: Arc<Context>,
    tasks: JoinSet<()>,
    stop_deadline: Duration,
}

/// How a stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every session ended by itself.
    Clean,
    /// So many connections were still open at the deadline and were cut.
    Cut(usize),
}

/// Why a server did not start. Nothing of it runs then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {cause}{}", hint(cause))]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A service manager passed a socket that no listener of the settings is for.
    #[error("a socket was passed{} that no listener of the settings is for", at(*.0))]
    Passed(Option<SocketAddr>),
    /// The admin socket cannot be opened.
    #[error("cannot open the admin socket {}: {cause}", path.display())]
    Admin {
        /// Its path.
        path: std::path::PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The list of bans cannot be read. Without it somebody would be let in whom the operator does not want.
    #[error("cannot read the bans: {0}")]
    Bans(#[from] crate::abuse::ban_file::BanFileError),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The store failed.
    #[error("cannot declare {what}: {error}")]
    Declaration {
        /// Which account or domain.
        what: String,
        /// What the store said.
        error: store::Error,
    },
    /// There is no key for the reverse-paths of forwarded mail.
    #[error("mail cannot be forwarded: {0}")]
    Key(#[from] auth::key::KeyError),
    /// Nobody could log in where that comes first.
    #[error("logins cannot be checked: {0}")]
    Auth(#[from] AuthError),
    /// A server for domains has none.
    #[error(
        "there is no domain to take mail for: name those that have mailboxes here in the settings file, like domains = [\"example.org\"], or add one with `posthaste domain add`"
    )]
    NoDomain,
}

fn at(address: Option<SocketAddr>) -> String {
    address.map(|address| format!(" for {address}")).unwrap_or_default()
}

/// Who knows who may log in; nobody needs to without a listener for those who have an account.
fn authenticator(settings: &Settings, context: &Context) -> Result<Option<Arc<Authenticator>>, AuthError> {
    if !settings.listeners.iter().any(|listener| listener.service.is_for_accounts()) {
        return Ok(None);
    }
    let random = auth::system_random();
    let options = auth::Options {
        settings: &settings.auth,
        store: Arc::clone(&context.store),
        key: auth::key::load(&settings.data, auth::key::NAME, &random)?,
        domain: main_domain(&context.rules).clone(),
        costs: auth::Costs::default(),
        random,
        pool: auth::pool::Pool::for_this_machine().map_err(AuthError::Pool)?,
        now: crate::inbound::now(),
    };
    Ok(Some(Arc::new(Authenticator::open(options)?)))
}

fn hint(cause: &std::io::Error) -> &'static str {
    match cause.kind() {
        std::io::ErrorKind::PermissionDenied => " (ports below 1024 need root or CAP_NET_BIND_SERVICE)",
        std::io::ErrorKind::AddrInUse => " (another program listens there; choose another port)",
        _ => "",
    }
}

impl Server {
    /// Starts: listens, declares the accounts of the settings, opens the admin socket. When this returns, connections are served.
    pub async fn start(settings: &Settings, store: SharedStore, clock: Clock) -> Result<Server, StartError> {
        let sockets = Sockets::open(settings, Vec::new())?;
        Server::start_on(settings, sockets, store.into(), clock).await
    }

    /// The same on sockets that were opened before, and on a store that its operator can ask about itself.
    pub async fn start_on(
        settings: &Settings,
        sockets: Sockets,
        access: Access,
        clock: Clock,
    ) -> Result<Server, StartError> {
        let Sockets { sockets, acme } = sockets;
        let mut listeners = Vec::new();
        for (socket, listener) in sockets {
            let failed = |cause| StartError::Listen { address: listener.address, cause };
            listeners.push((TcpListener::from_std(socket).map_err(failed)?, listener));
        }
        let mut checks = Vec::new();
        for (socket, address) in acme {
            let failed = |cause| StartError::Listen { address, cause };
            checks.push(TcpListener::from_std(socket).map_err(failed)?);
        }
        let path = socket_path(&settings.data);
        let admin = Admin::bind(&path).map_err(|cause| StartError::Admin { path, cause })?;
        let scram = WithScram::wanted(&settings.auth);
        let mut access = Access { scram, clock: Arc::clone(&clock), ..access };
        let settings = &declare::domains(settings, &access.store).await?;
        declare::accounts(settings, &access.store).await?;
        access.store.set_default_quota(Quota { bytes: settings.limits.quota, messages: None });
        let tls = Tls::open(settings, clock())?.map(Arc::new);
        let context = Context::new(settings, Arc::clone(&access.store), Arc::clone(&clock));
        let authenticator = authenticator(settings, &context)?;
        let srs = auth::key::load(&settings.data, auth::key::SRS_NAME, &auth::system_random())?;
        let context = context.with_tls(tls.clone()).with_authenticator(authenticator);
        let srs_domain = settings.relay.as_ref().and_then(|relay| relay.srs_domain.clone());
        let context = Arc::new(context.with_srs(Srs::new(&srs).at(srs_domain)));
        let bans = Bans::of_server(&settings.data, &context.abuse, &context.clock).await?;
        let listening: Vec<Listener> = listeners.iter().map(|(_, listener)| *listener).collect();
        let mut tasks = JoinSet::new();
        for (socket, listener) in listeners {
            tracing::info!("listening on {listener}");
            tasks.spawn(listen::serve(socket, listener, Arc::clone(&context)));
        }
        let (door, stopped) = (Arc::clone(&context), context.stopped());
        tasks.spawn(async move { door.door.keep(stopped).await });
        if let (Some(tls), Some(acme)) = (&tls, &settings.tls.acme) {
            let acme = Acme::new(settings, acme, (Arc::clone(tls), Arc::clone(&clock)), checks);
            tasks.spawn(acme.run(context.stopped()));
        }
        if let Some(tls) = tls {
            tasks.spawn(watch::watch(tls, clock, context.stopped()));
        }
        if let Some(relay) = &settings.relay {
            let outbound = Arc::new(outbound(settings, relay, &context, &listening)?);
            access.outbound = Some(Arc::clone(&outbound));
            if let Some(policies) = &outbound.policies {
                tasks.spawn(Arc::clone(policies).run(context.stop.subscribe()));
            }
            if let Some(reports) = &outbound.tls_reports {
                let outbound = Arc::clone(&outbound);
                tasks.spawn(Arc::clone(reports).run(outbound, context.stop.subscribe()));
            }
            tasks.spawn(queue::run(outbound, context.stop.subscribe()));
        }
        let status = status_source(&context, &listening);
        tasks.spawn(admin::serve(admin, access, bans, status, context.stopped()));
        Ok(Server { listeners: listening, context, tasks, stop_deadline: settings.limits.stop })
    }

    /// Where it is reached, in the order of the settings, with the ports that it really has.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The certificates in force, the default first; none without TLS.
    pub fn certificates(&self) -> Vec<CertificateView> {
        self.context.tls.as_ref().map_or_else(Vec::new, |tls| tls.certificates().list())
    }

    /// Reads certificates that have changed. It happens by itself within a minute.
    pub fn reload(&self) {
        if let Some(tls) = &self.context.tls {
            tls.reload();
        }
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.context.connections.count()
    }

    /// Stops: no new connections, `421` to idle sessions and to new transactions; transactions in flight may finish until the deadline,
    /// and are cut off with `421` then (RFC 5321 §3.8).
    pub async fn stop(mut self) -> Stopped {
        self.context.shut_down();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.stop_deadline, ended).await.is_ok() {
            return Stopped::Clean;
        }
        let left = self.context.connections.count();
        self.context.cut_off();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        // Who has not even taken its 421 by then is gone.
        match tokio::time::timeout(LAST_WORDS, ended).await {
            Ok(()) => {}
            Err(_) => self.tasks.shutdown().await,
        }
        Stopped::Cut(left)
    }
}

/// How long sessions that are cut off at the deadline of a stop have for their last reply.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What the queue works with: the real network.
fn outbound(
    settings: &Settings,
    relay: &Relay,
    context: &Arc<Context>,
    listening: &[Listener],
) -> Result<Outbound, TlsError> {
    let dns: Arc<dyn Dns> = Arc::new(Resolver::new(&relay.resolvers, relay.dnssec));
    let dialer: Arc<dyn Dialer> = Arc::new(Tcp);
    let authorities = Authorities::system();
    let private = Private { allowed: relay.private_networks.clone() };
    let policies = (relay.mta_sts == Switch::On).then(|| {
        let outside = mta_sts::Outside {
            dns: Arc::clone(&dns),
            dialer: Arc::clone(&dialer),
            authorities: authorities.clone(),
            private: private.clone(),
            clock: Arc::clone(&context.clock),
        };
        Arc::new(mta_sts::Policies::open(Some(&settings.data), outside))
    });
    let ours = Ours {
        addresses: relay.own_addresses.clone(),
        listeners: listening.iter().map(|listener| listener.address).collect(),
        is_local: resolve::is_local,
    };
    Ok(Outbound {
        store: Arc::clone(&context.store),
        rules: context.rules.clone(),
        host_name: settings.host_name.clone(),
        schedule: relay.schedule,
        postmaster_copies: relay.postmaster_copies,
        report_rate: Arc::clone(&context.report_rate),
        sites: queue::Sites::new(&relay.bounds),
        bounds: relay.bounds.clone(),
        routes: relay.routes.clone(),
        terms: Terms { own_name: settings.host_name.clone(), ours, port: relay.mx_port, private },
        dns,
        dialer,
        authorities,
        policies,
        tls_reports: relay
            .tls_reports
            .clone()
            .map(|terms| Arc::new(TlsReports::open(Some(&settings.data), terms))),
        own_authorities: own_authorities(&relay.routes)?,
        clock: Arc::clone(&context.clock),
        random: queue::random(),
        secrets: auth::system_random(),
        wake: Arc::clone(&context.queued),
        paused_hosts: queue::PausedHosts::default(),
    })
}

/// The authorities of hops that have some of their own.
fn own_authorities(routes: &Routes) -> Result<HashMap<PathBuf, Authorities>, TlsError> {
    let files = routes.hops().filter_map(|hop| hop.authorities.clone());
    files.map(|file| Ok((file.clone(), Authorities::file(&file)?))).collect()
}

fn status_source(context: &Arc<Context>, listeners: &[Listener]) -> admin::StatusSource {
    let started = (context.clock)();
    let context = Arc::clone(context);
    let listeners: Vec<String> = listeners
        .iter()
        .map(|listener| format!("{} {}", listener.service.name(), listener.address))
        .collect();
    Arc::new(move || Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started,
        listeners: listeners.clone(),
        connections: context.connections.count(),
        trouble: trouble(&context.store),
        store: None,
        unreclaimed: None,
    })
}

/// Why no mail is accepted, and whether none leaves either; `None` when all is well.
fn trouble(store: &SharedStore) -> Option<String> {
    let trouble = store.health().err()?;
    Some(match store.can_settle() {
        Ok(()) => trouble.to_string(),
        Err(_) => format!("{trouble}; deliveries have stopped as well"),
    })
}
