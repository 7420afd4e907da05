//! Servers over one store as it is on a disk, which several of them can have at the same time.

use crate::common::{NOW, catcher};
use crate::imap::{bob_has_a_password, read_by_imap};
use posthaste_server::Server;
use posthaste_server::open::Open;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use store::FateLimits;

/// Servers, and the store behind them.
pub(crate) struct Disk {
    _servers: Vec<Server>,
    /// Where each is read by IMAP.
    pub(crate) imap: Vec<SocketAddr>,
    directory: tempfile::TempDir,
}

/// Starts so many servers over a new store; bob has an account there.
pub(crate) async fn start(count: usize) -> Disk {
    let directory = tempfile::tempdir().expect("a directory");
    let mail = directory.path().join("mail");
    let open = Open::for_server(&mail, 0, FateLimits::default()).await.expect("a store");
    let store = open.store();
    let (mut servers, mut imap) = (Vec::new(), Vec::new());
    for number in 0..count {
        // Each has its own directory beside the store's.
        let own = directory.path().join(number.to_string());
        std::fs::create_dir(&own).expect("a directory");
        let mut settings = catcher(&own);
        read_by_imap(&mut settings);
        let server = Server::start(&settings, Arc::clone(&store), Arc::new(|| NOW)).await;
        let server = server.expect("the server starts");
        imap.push(server.listeners()[1].address);
        servers.push(server);
    }
    bob_has_a_password(&store).await;
    Disk { imap, directory, _servers: servers }
}

impl Disk {
    /// The names of the files in a directory of the store.
    pub(crate) fn files(&self, directory: &str) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.directory.path().join("mail").join(directory));
        all.map(|all| all.flatten().map(|file| file.path()).collect()).unwrap_or_default()
    }
}
