//! The server's side of the admin socket.

use super::bans::Bans;
use super::handle::{Stop, answer};
use super::import::Importing;
use super::protocol::{Frame, Import, Item, Request, Status, read_content, read_request, write_answer};
use crate::open::Access;
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};

/// The admin socket of a running server; the file goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Admin {
    path: PathBuf,
    listener: UnixListener,
}

/// Tells how the server is.
pub(crate) type StatusSource = Arc<dyn Fn() -> Status + Send + Sync>;

/// As many clients are served at the same time; more wait.
const CLIENTS_MAX: usize = 64;
/// A client that connects must ask within this time.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A client that does not read its answer for so long is left alone: others wait for its place.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

impl Admin {
    /// Opens the socket. The caller holds the data directory's lock, so a socket that is there already is a dead server's.
    pub(crate) fn bind(path: &Path) -> io::Result<Admin> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(path)?;
        // Between bind and this the directory's own mode (0700) keeps others out.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Admin { path: path.to_owned(), listener })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the admin socket");
        }
    }
}

/// Answers clients until `stop` comes.
pub(crate) async fn serve(
    admin: Admin,
    access: Access,
    bans: Bans,
    status: StatusSource,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    let mut clients = tokio::task::JoinSet::new();
    tokio::pin!(stop);
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let accepted = async {
            let place = place.await;
            (place, admin.listener.accept().await)
        };
        tokio::select! {
            () = &mut stop => return,
            Some(_) = clients.join_next() => {}
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let (access, bans, status) = (access.clone(), bans.clone(), Arc::clone(&status));
                    clients.spawn(async move {
                        if let Err(error) = client(stream, access, bans, status).await {
                            tracing::debug!(%error, "an admin client went away");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot take an admin client");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

async fn client(mut stream: UnixStream, access: Access, bans: Bans, status: StatusSource) -> io::Result<()> {
    let request = tokio::time::timeout(REQUEST_TIMEOUT, read_request(&mut stream)).await??;
    let Some(request) = request else { return Ok(()) };
    if request == Request::Status {
        let status = whole(status(), &access).await;
        write_answer(&mut stream, &Frame::Item(Item::Status(status))).await?;
        return write_answer(&mut stream, &Frame::Item(Item::End)).await;
    }
    if let Request::Import(wanted) = request {
        let item = import(&mut stream, &access, wanted).await?;
        let is_whole = !matches!(item, Item::Failed { .. });
        write_answer(&mut stream, &Frame::Item(item)).await?;
        return if is_whole { write_answer(&mut stream, &Frame::Item(Item::End)).await } else { Ok(()) };
    }
    let (sender, mut frames) = mpsc::channel(8);
    let answering = async move { answer(&access, &bans, request, &sender).await };
    tokio::pin!(answering);
    let (mut from, mut to) = stream.split();
    // A client sends nothing after its request: what can be read is its leaving, also in the middle of a watch.
    let leaving = from.read_u8();
    tokio::pin!(leaving);
    let mut answered = false;
    loop {
        tokio::select! {
            biased;
            _ = &mut leaving => return Ok(()),
            frame = frames.recv() => match frame {
                Some(frame) => tokio::time::timeout(WRITE_TIMEOUT, write_answer(&mut to, &frame)).await??,
                None => return Ok(()),
            },
            _ = &mut answering, if !answered => answered = true,
        }
    }
}

/// Takes a message. Its text is read to the end also when it cannot be kept: the client listens only then.
async fn import(stream: &mut UnixStream, access: &Access, wanted: Import) -> io::Result<Item> {
    let mut importing = Importing::begin(&access.store, wanted).await;
    loop {
        let piece = tokio::time::timeout(WRITE_TIMEOUT, read_content(stream)).await??;
        if piece.is_empty() {
            break;
        }
        if let Ok(message) = &mut importing
            && let Err(stop) = message.take(piece).await
        {
            importing = Err(stop);
        }
    }
    let imported = match importing {
        Ok(message) => message.finish().await,
        Err(stop) => Err(stop),
    };
    Ok(imported.unwrap_or_else(Stop::told))
}

/// The status with what the store says. A store that cannot be asked is trouble of its own.
async fn whole(status: Status, access: &Access) -> Status {
    let Some(upkeep) = &access.upkeep else { return status };
    let status = Status { unreclaimed: upkeep.unreclaimed(), ..status };
    match upkeep.totals().await {
        Ok(totals) => Status { store: Some(totals.into()), ..status },
        Err(error) => Status { trouble: status.trouble.or(Some(error.to_string())), ..status },
    }
}
