//! The server of the negative control: all of it is real but for the syncs, which do nothing.

use serde_json::json;
use server::Server;
use server::settings::{Catcher, ListenerTls, Settings};
use sim::campaign::Unsynced;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use store::Timestamp;
use store_local::{Local, Options};

/// Serves until it is killed.
pub(crate) fn serve(data: &Path) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let options = Options { files: Arc::new(Unsynced), ..Options::new(data) };
        let store = Local::open(options).map_err(|error| error.to_string())?;
        let listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        let catcher = Catcher { listen, tls: ListenerTls::None, data: data.to_owned(), ..Catcher::default() };
        let settings = Settings::catcher(catcher, server::host::name());
        let server = Server::start(&settings, Arc::new(store), Arc::new(now)).await;
        let server = server.map_err(|error| error.to_string())?;
        println!("{}", json!({ "listeners": [{ "address": server.listeners()[0].address.to_string() }] }));
        std::future::pending().await
    })
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
