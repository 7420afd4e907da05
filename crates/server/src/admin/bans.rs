//! Requests about bans: those by hand, which are in a file of the data directory, and those that a running server made.

use super::protocol::{BanCause, BanView};
use crate::abuse::Abuse;
use crate::abuse::ban_file::{self, BanFileError, HandBan};
use crate::inbound::{Clock, now};
use crate::settings::Network;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::Timestamp;
use tokio::sync::Mutex;

/// The bans of a data directory.
#[derive(Clone)]
pub(crate) struct Bans {
    data: PathBuf,
    running: Option<Running>,
    /// The file is read, changed and written by one at a time.
    changing: Arc<Mutex<()>>,
}

/// What a running server has beyond the file.
#[derive(Clone)]
struct Running {
    abuse: Arc<Abuse>,
    clock: Clock,
}

impl Bans {
    /// Those in the file, when no server runs.
    pub(super) fn in_file(data: &Path) -> Bans {
        Bans { data: data.to_owned(), running: None, changing: Arc::default() }
    }

    /// Those of a server that starts: the file's are in force when this returns.
    pub(crate) async fn of_server(
        data: &Path,
        abuse: &Arc<Abuse>,
        clock: &Clock,
    ) -> Result<Bans, BanFileError> {
        let running = Running { abuse: Arc::clone(abuse), clock: Arc::clone(clock) };
        let bans = Bans { running: Some(running), ..Bans::in_file(data) };
        let known = bans.change(ban_file::read).await?;
        bans.put_in_force(&known);
        Ok(bans)
    }

    /// All that are in force, those by hand first.
    pub(super) async fn list(&self) -> Result<Vec<BanView>, BanFileError> {
        let by_hand = self.change(ban_file::read).await?.into_iter().map(|ban| BanView {
            network: ban.network,
            until: ban.until,
            cause: BanCause::ByHand { added: ban.added, reason: ban.reason },
        });
        let mut list: Vec<BanView> = by_hand.collect();
        if let Some(Running { abuse, clock }) = &self.running {
            let wall = clock();
            list.retain(|ban| ban.until.is_none_or(|until| until > wall));
            list.extend(abuse.automatic_bans(now()).into_iter().map(|ban| {
                let left = i64::try_from(ban.left.as_millis()).unwrap_or(i64::MAX);
                let until = Some(Timestamp(wall.0.saturating_add(left)));
                BanView { network: ban.network, until, cause: BanCause::Automatic { measure: ban.measure } }
            }));
        }
        Ok(list)
    }

    /// Adds one by hand.
    pub(super) async fn add(&self, ban: HandBan) -> Result<(), BanFileError> {
        tracing::info!(network = %ban.network, "banned by hand");
        let bans = self.change(move |data| ban_file::add(data, ban)).await?;
        self.put_in_force(&bans);
        Ok(())
    }

    /// Removes the one by hand of exactly this network, and all automatic ones in it; says how many that were.
    pub(super) async fn remove(&self, network: Network) -> Result<u64, BanFileError> {
        let (bans, was_there) = self.change(move |data| ban_file::remove(data, network)).await?;
        self.put_in_force(&bans);
        let pardoned = self.running.as_ref().map_or(0, |running| running.abuse.pardon(network, now()));
        tracing::info!(%network, "ban lifted");
        Ok(u64::from(was_there) + pardoned as u64)
    }

    fn put_in_force(&self, bans: &[HandBan]) {
        if let Some(Running { abuse, clock }) = &self.running {
            abuse.set_by_hand(bans, clock(), now());
        }
    }

    /// Runs what uses the file where it may block.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Path) -> Result<T, BanFileError> + Send + 'static,
    ) -> Result<T, BanFileError> {
        let _one_at_a_time = self.changing.lock().await;
        let data = self.data.clone();
        let changed = tokio::task::spawn_blocking(move || change(&data)).await;
        changed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }
}
