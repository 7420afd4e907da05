//! What a service manager gives to a server and is told by it (systemd's socket activation and sd_notify(3)). Without one nothing happens.

use listenfd::ListenFd;
use sd_notify::NotifyState;
use std::net::TcpListener;
use std::time::Duration;

/// The listening sockets that were passed. To be called once, before there is a second thread: it changes the environment.
pub(crate) fn passed_sockets() -> anyhow::Result<Vec<TcpListener>> {
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for place in 0..passed.len() {
        sockets.extend(passed.take_tcp_listener(place)?);
    }
    Ok(sockets)
}

/// Says that connections are served now.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Says that the server is about to end.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Says again and again that the server lives, if somebody wants to know; does not return.
pub(crate) async fn reassure() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut ticks = tokio::time::interval((limit / 2).max(Duration::from_millis(1)));
    loop {
        ticks.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}
