//! Has changed certificates, and authorities, read again while the server runs.

use super::Tls;
use crate::inbound::Clock;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How often the files are looked at. They are small, and read whole: their times would not tell of every change.
const INTERVAL: Duration = Duration::from_secs(60);

/// Until `stopped` comes.
pub(crate) async fn watch(tls: Arc<Tls>, clock: Clock, stopped: impl Future<Output = ()>) {
    let mut stopped = pin!(stopped);
    loop {
        tokio::select! {
            () = stopped.as_mut() => return,
            () = tls.reload.notified() => tracing::info!("reading the certificates again"),
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let (tls, now) = (Arc::clone(&tls), clock());
        let read = tokio::task::spawn_blocking(move || tls.refresh(now)).await;
        if let Err(error) = read {
            tracing::error!(%error, "a fault of ours while reading certificates; those in force stay");
        }
    }
}
