//! The server's own connections to hosts outside, as those hosts see them: how many there are, and what is sent over them when.
//!
//! One counts from when the server listens to it (of several hosts that answered at once it keeps one) until it says QUIT or is
//! gone. The queue's bounds are those of [`super::relaying::bounds`]. Nothing may be begun by a server whose store is fenced: that it is done could not be written down.

use super::Shared;
use super::relaying::bounds;
use crate::net::End;
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// The connections that are open. A clone is another handle to the same count.
#[derive(Clone)]
pub(super) struct Open {
    counts: Arc<Mutex<Counts>>,
    shared: Shared,
}

#[derive(Default)]
struct Counts {
    sites: BTreeMap<u8, usize>,
    most: (usize, usize),
}

/// The server's end of a connection to a site.
pub(super) struct Carried {
    end: End,
    open: Open,
    site: u8,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    InUse,
    Over,
}

impl Open {
    pub(super) fn new(shared: Shared) -> Open {
        Open { counts: Arc::default(), shared }
    }

    /// The most that there were, in all and to one site.
    pub(super) fn most(&self) -> (usize, usize) {
        self.counts().most
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, site: u8) {
        let (all, there) = {
            let mut counts = self.counts();
            *counts.sites.entry(site).or_default() += 1;
            let (all, there) = (counts.sites.values().sum(), counts.sites[&site]);
            counts.most = (counts.most.0.max(all), counts.most.1.max(there));
            (all, there)
        };
        let bounds = bounds();
        if all > bounds.connections + bounds.idle.most || there > bounds.site.connections {
            self.shared
                .violated(format!("{all} connections are open, {there} of them to the site of host {site}"));
        }
    }

    fn end(&self, site: u8) {
        if let Some(count) = self.counts().sites.get_mut(&site) {
            *count -= 1;
        }
    }
}

impl Carried {
    pub(super) fn new(end: End, open: Open, site: u8) -> Carried {
        Carried { end, open, site, stage: Stage::New }
    }

    fn is_over(&mut self) {
        if std::mem::replace(&mut self.stage, Stage::Over) == Stage::InUse {
            self.open.end(self.site);
        }
    }
}

impl AsyncRead for Carried {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.stage == Stage::New {
            self.stage = Stage::InUse;
            self.open.begin(self.site);
        }
        Pin::new(&mut self.end).poll_read(context, buffer)
    }
}

impl AsyncWrite for Carried {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Seen in the same instant it may have come just now.
        if self.open.shared.look().is_some_and(|fenced| fenced < Instant::now())
            && bytes.starts_with(b"MAIL FROM:")
        {
            let site = self.site;
            self.open
                .shared
                .violated(format!("a fenced server begins with a message to the site of host {site}"));
        }
        let written = Pin::new(&mut self.end).poll_write(context, bytes);
        if bytes.ends_with(b"QUIT\r\n") && written.is_ready() {
            self.is_over();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.end).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.end).poll_shutdown(context)
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.is_over();
    }
}
