//! The relay in the simulation: the server's own queue, with the hosts [`super::outside`] for next hops.
//!
//! In some seeds the server has domains of its own and sends on what is for others. What it promised for those is held against
//! [`crate::relayed`] after each start, and at the end, when the queue has had days to run empty.

use super::life::Listener;
use super::outside::{ADDRESSES, Outside};
use super::retrieval;
use super::{ACCOUNTS, World};
use crate::mail::Mail;
use crate::relayed;
use server::deliver::dial::Dialer;
use server::queue::{self, Outbound};
use server::resolve::{Dns, Ours, Private, Terms};
use server::schedule::Schedule;
use server::settings::{Acceptance, Relay, Settings};
use server::tls::Authorities;
use smtp::Domain;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::{
    AccountName, DeliveryId, Directory, Error, MailboxName, Mailboxes, Origin, SharedStore, Spool, Uid,
};
use store_local::Local;
use tokio::sync::watch;

/// Who sends: reports go there.
pub(super) const SENDER: &str = "sender@example.net";

/// The domains of a server that relays.
const DOMAINS: [&str; 2] = ["example.org", "example.net"];

/// The address of this number: an account's, or one elsewhere.
pub(super) fn address(number: usize) -> &'static str {
    ACCOUNTS.get(number).copied().unwrap_or_else(|| ADDRESSES[number - ACCOUNTS.len()])
}

/// Makes a catcher a server that has domains, and relays for hosts on this machine.
pub(super) fn set_up(settings: &mut Settings) {
    let domains = DOMAINS.map(|domain| Domain::parse(domain).expect("a domain")).to_vec();
    settings.acceptance = Acceptance::Domains { domains, postmaster: None };
    let networks = vec!["127.0.0.0/8".parse().expect("a network")];
    settings.relay = Some(Relay { networks, ..Relay::default() });
    retrieval::set_up(settings);
}

/// What the simulation knows of relaying.
pub(super) struct Relaying {
    pub(super) outside: Outside,
    schedule: Schedule,
    /// The sender's reports up to this UID were read.
    read: Uid,
}

impl Relaying {
    pub(super) fn new(outside: Outside, schedule: Schedule) -> Relaying {
        Relaying { outside, schedule, read: Uid(0) }
    }

    /// The queue of a server; it runs until it is told to stop.
    pub(super) fn outbound(&self, settings: &Settings, listener: &Listener) -> Arc<Outbound> {
        let context = listener.context();
        let outside = self.outside.clone();
        let (dns, dialer): (Arc<dyn Dns>, Arc<dyn Dialer>) =
            (Arc::new(self.outside.clone()), Arc::new(self.outside.clone()));
        Arc::new(Outbound {
            store: Arc::clone(&context.store),
            rules: context.rules.clone(),
            host_name: settings.host_name.clone(),
            schedule: self.schedule,
            postmaster_copies: server::confine::Switch::Off,
            report_rate: Arc::new(queue::ReportRate::new(None)),
            sites: queue::Sites::new(&bounds()),
            bounds: bounds(),
            routes: settings.relay.as_ref().map(|relay| relay.routes.clone()).unwrap_or_default(),
            terms: Terms {
                own_name: settings.host_name.clone(),
                ours: Ours { listeners: vec![SocketAddr::from(([127, 0, 0, 1], 25))], ..Ours::default() },
                port: 25,
                private: Private::default(),
            },
            dns,
            dialer,
            authorities: Authorities::default(),
            policies: None,
            tls_reports: None,
            own_authorities: HashMap::new(),
            clock: Arc::clone(&context.clock),
            random: Arc::new(move || outside.chance()),
            secrets: Arc::new(|bytes: &mut [u8]| bytes.fill(7)),
            paused_hosts: queue::PausedHosts::default(),
            wake: context.queued(),
        })
    }
}

/// Few connections, so that these bounds are met.
pub(super) fn bounds() -> queue::Bounds {
    let mut bounds = queue::Bounds { connections: 5, ..queue::Bounds::default() };
    bounds.idle.most = 3;
    bounds.site.connections = 2;
    bounds
}

/// When what failed is tried again: as usual, or so soon that it is given up within one life.
pub(super) fn schedules() -> [Schedule; 2] {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let quick = Schedule {
        first_retry: minutes(1),
        longest_retry: minutes(4),
        give_up: minutes(15),
        give_up_bounce: minutes(10),
        delay_notice: minutes(5),
    };
    [Schedule::default(), quick]
}

impl World {
    /// Makes domains and accounts where there are none yet, and gives the accounts passwords. A disk that fails is met at the next start.
    pub(super) async fn prepare(&self, store: &Local) {
        if self.relaying.is_none() {
            return;
        }
        for domain in DOMAINS {
            let domain = Domain::parse(domain).expect("a domain");
            let made = store.create_domain(&domain, Origin::Declared).await;
            self.prepared(made.err());
        }
        for account in ACCOUNTS.iter().chain([&SENDER]) {
            let account = AccountName::parse(account).expect("a valid name");
            let made = store.create_account(&account, Origin::Declared).await;
            self.prepared(made.err());
            self.prepared(retrieval::give_password(store, &account).await.err());
        }
    }

    fn prepared(&self, error: Option<Error>) {
        if let Some(error) = error.filter(|error| !matches!(error, Error::Exists(_))) {
            self.event(&format!("not prepared: {error}"));
        }
    }

    /// Holds queue and reports against what was promised for recipients elsewhere. The outer error is the store's.
    pub(super) async fn check_relayed(&mut self, store: &Local) -> store::Result<Result<(), String>> {
        let queued = queued(store).await?;
        let Some(relaying) = &mut self.relaying else {
            let count = queued.len();
            return Ok(if count == 0 {
                Ok(())
            } else {
                Err(format!("{count} deliveries in the queue of a server that relays nothing"))
            });
        };
        let sender = AccountName::parse(SENDER).expect("a valid name");
        let entries: Vec<_> = match store.mailbox(&sender, &MailboxName::inbox()).await {
            Ok(inbox) => store
                .entries(inbox.id, relaying.read, usize::MAX)
                .await?
                .into_iter()
                .map(|e| (inbox.id, e))
                .collect(),
            Err(Error::NoSuchAccount(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        for (inbox, entry) in entries {
            let (_, reader) = store.fetch(inbox, entry.uid).await?;
            let text = reader.read_all(1 << 20).await?;
            relaying.read = entry.uid;
            let Some((token, failed)) = relayed::failures(&text) else {
                return Ok(Err(format!(
                    "the sender has something that is no report: {:?}",
                    String::from_utf8_lossy(&text)
                )));
            };
            for address in failed {
                let Some(place) = ADDRESSES.iter().position(|known| *known == address) else {
                    return Ok(Err(format!("a report about {address:?}")));
                };
                if let Err(what) = self.shared.relayed().report((token, ACCOUNTS.len() + place)) {
                    return Ok(Err(what));
                }
            }
        }
        relaying.outside.hops().queued += queued.len() as u64;
        Ok(self.shared.relayed().check(&queued))
    }

    /// Lets the queue run until it is empty, on a disk that is well.
    pub(super) async fn drain(&mut self, store: Arc<Local>) -> Result<(), String> {
        let Some(relaying) = &self.relaying else { return Ok(()) };
        self.shared.watch(&self.disk, &store);
        let shared: SharedStore = store.clone();
        let listener = Listener::new(self, shared);
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(queue::run(relaying.outbound(&self.settings, &listener), stopped));
        let mut pause = Duration::from_secs(60);
        let mut waited = Duration::ZERO;
        while waited < PATIENCE {
            let left = store.deliveries(None, 1).await.map_err(|error| error.to_string())?;
            if left.is_empty() {
                break;
            }
            tokio::time::sleep(pause).await;
            waited += pause;
            pause = (pause * 2).min(Duration::from_secs(4 * 3600));
        }
        stop.send_replace(true);
        self.shared.ended("the queue", running.await);
        self.shared.look();
        self.shared.relayed().end(true);
        let queued = queued(&store).await.map_err(|error| error.to_string())?;
        match queued.first() {
            None => Ok(()),
            Some((token, number)) => {
                Err(format!("message {token:016x} for {} is queued after {PATIENCE:?}", address(*number)))
            }
        }
    }
}

/// Which message is queued for whom.
async fn queued(store: &Local) -> store::Result<BTreeSet<relayed::Recipient>> {
    let mut queued = BTreeSet::new();
    for delivery in store.deliveries(None, usize::MAX).await? {
        let DeliveryId { spool, .. } = delivery.id;
        let text = store.content(spool).await?.read_all(1 << 20).await?;
        let address = delivery.recipient.forward_path.to_string();
        let place = ADDRESSES.iter().position(|known| address == format!("<{known}>"));
        let token = Mail::relayed(&text).map_err(Error::Invalid)?.token;
        let place = place.ok_or_else(|| Error::Invalid(format!("a delivery for {address} in the queue")))?;
        queued.insert((token, ACCOUNTS.len() + place));
    }
    Ok(queued)
}

/// Longer than anything is tried.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);
