//! One life of a server: from an open store to a stop, a kill or a power cut, with clients and a reader meanwhile.

use super::arranging;
use super::clients::{self, Client};
use super::readers::{self, Reader};
use super::retrieval::{self, Retrieval};
use super::sessions::Sessions;
use super::{Ending, Shared, World};
use crate::net::{End, Weather, pair};
use crate::random::Random;
use server::inbound::{Context, Peer};
use server::listen;
use server::queue;
use server::settings::Service;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use store::{SharedStore, Spool};
use store_local::Local;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The server as its clients reach it.
#[derive(Clone)]
pub(super) struct Listener {
    context: Arc<Context>,
    sessions: Sessions,
    up: Arc<AtomicBool>,
    began: Instant,
    connections: Arc<AtomicU64>,
    shared: Shared,
}

impl World {
    /// Runs until chance, a full stop of the disk, or the end of all clients; says how it is to end.
    pub(super) async fn life(&mut self, store: Arc<Local>) -> Result<Ending, String> {
        let shared_store: SharedStore = store.clone();
        self.shared.watch(&self.disk, &store);
        self.prepare(&store).await;
        let listener = Listener::new(self, shared_store.clone());
        let (stop_queue, stopped) = watch::channel(false);
        if let Some(relaying) = &self.relaying {
            listener.sessions.spawn(queue::run(relaying.outbound(&self.settings, &listener), stopped));
        }
        let mut clients = JoinSet::new();
        for number in 0..3 + self.random.below(5) {
            let random = self.random.part(1_000 + number);
            let tokens = self.random.next() >> 16 << 16;
            clients.spawn(clients::run(Client::new(listener.clone(), random, tokens, self.shared.clone())));
        }
        if self.relaying.is_some() {
            for number in 0..self.random.below(6) {
                let random = self.random.part(2_000 + number);
                clients.spawn(retrieval::run(Retrieval::new(listener.clone(), random, self.shared.clone())));
            }
        }
        // With the sessions: it ends when the server ends.
        let random = self.random.part(self.random.clone().next());
        let reader = |number| Reader::new(shared_store.clone(), random.part(number), self.shared.clone());
        listener.sessions.spawn(readers::read(reader(1)));
        listener.sessions.spawn(readers::tidy(reader(2)));
        listener.sessions.spawn(readers::file(reader(4)));
        listener.sessions.spawn(arranging::arrange(reader(5)));
        listener.sessions.spawn(readers::reclaim(store.clone(), random.part(3), self.shared.clone()));
        let ending = self.random.pick(&[Ending::Stop, Ending::Kill, Ending::PowerCut]);
        let until =
            Instant::now() + Duration::from_millis(self.random.pick(&[300, 3_000, 30_000, 1_200_000]));
        self.wait(&mut clients, until).await;
        let mut in_time = false;
        self.shared.look();
        if ending == Ending::Stop && !self.disk.has_stopped() {
            stop_queue.send_replace(true);
            in_time = listener.stop().await;
            self.shared.look();
            store.close().await.or_else(|error| {
                // A store that has failed before may say so again.
                if store.health().is_err() { Ok(()) } else { Err(error.to_string()) }
            })?;
        }
        self.shared.relayed().end(in_time && !self.disk.has_stopped());
        self.end_of(listener, store, clients).await;
        let violation = self.shared.violation.lock().unwrap_or_else(PoisonError::into_inner).take();
        violation.map_or(Ok(ending), Err)
    }

    /// Until the time has come, the disk has stopped, or all clients are gone.
    async fn wait(&self, clients: &mut JoinSet<()>, until: Instant) {
        let mut pause = Duration::from_millis(50);
        while Instant::now() < until && !self.disk.has_stopped() {
            self.shared.look();
            tokio::select! {
                biased;
                ended = clients.join_next() => match ended {
                    None => break,
                    Some(ended) => {
                        self.shared.ended("a client", ended);
                    }
                },
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(20)),
            }
        }
    }
}

impl World {
    /// Everything of this life is gone, at once; clients then notice, and write down what had been on its way to them.
    async fn end_of(&mut self, listener: Listener, store: Arc<Local>, mut clients: JoinSet<()>) {
        let Listener { sessions, up, context, .. } = listener;
        up.store(false, Ordering::Relaxed);
        // From here on nothing of the old process reaches the disk of the next one.
        let frozen = self.disk.freeze();
        self.shared.ended("a session", sessions.abort().await);
        while let Some(ended) = clients.join_next().await {
            self.shared.ended("a client", ended);
        }
        drop((context, store));
        self.disk = frozen;
    }
}

impl Listener {
    /// A server over this store.
    pub(super) fn new(world: &World, store: SharedStore) -> Listener {
        let authenticator = world.relaying.as_ref().map(|_| world.authenticator(Arc::clone(&store)));
        let context = Context::new(&world.settings, store, world.clock());
        Listener {
            context: Arc::new(context.with_authenticator(authenticator)),
            sessions: Sessions::start(),
            up: Arc::new(AtomicBool::new(true)),
            began: world.began,
            connections: Arc::default(),
            shared: world.shared.clone(),
        }
    }

    /// What its sessions share.
    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// Whether it still listens.
    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Connects; `None` when nobody listens any more.
    pub(super) fn connect(&self, service: Service, random: &mut Random) -> Option<End> {
        if !self.is_up() {
            return None;
        }
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let weather = Weather {
            latency: random.pick(&[0, 3, 40, 900]),
            piece: random.pick(&[1 << 16, 1 << 16, 700, 40]),
            stall: random.pick(&[0, 0, 0, 30]),
            reset_after: if random.one_in(5) { random.below(20_000) } else { u64::MAX },
        };
        let name = (format!("{number}"), self.began);
        let told = (self.shared.history.clone(), self.shared.mishaps.clone());
        let (client, server) = pair(name, weather, random.part(number), told);
        let address = SocketAddr::from(([127, 0, 0, 1], 1024 + number as u16));
        let local = SocketAddr::from(([127, 0, 0, 1], 25));
        let peer = Peer::new(address, local, service);
        let session = listen::session(server, peer, self.context.clone());
        self.sessions.spawn(session);
        Some(client)
    }

    /// An orderly stop, as [`server::Server::stop`] does it: sessions may finish what they are at, for half a minute. Whether they did.
    async fn stop(&self) -> bool {
        self.up.store(false, Ordering::Relaxed);
        self.context.shut_down();
        let finished = self.sessions.finish(Duration::from_secs(30)).await;
        let in_time = self.shared.ended("a session", finished) == Some(true);
        self.shared.history.event(0, if in_time { "stopped" } else { "cut" }, b"");
        in_time
    }
}
