//! The command line's side: asks a running server, or opens the store itself.

use super::bans::Bans;
use super::handle::{Gone, Stop, answer};
use super::import::Importing;
use super::protocol::{Frame, Import, Item, Request, read_answer, write_content, write_request};
use super::socket_path;
use crate::open::{Open, OpenError};
use bytes::Bytes;
use std::io;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// A way to the mail in a data directory.
pub struct Client {
    way: Way,
}

enum Way {
    /// A server runs there; each request has a connection of its own.
    Server(PathBuf),
    /// None does: the store is open here.
    Store(Open),
}

/// Why an administrative request got no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// There is nothing in the data directory.
    #[error("there is no mail in {}: start a server with `posthaste up`, or name its directory with --data", .0.display())]
    NoData(PathBuf),
    /// No server runs on the data directory.
    #[error("no server is running on {}: start one with `posthaste up` or `posthaste serve`, or name its directory with --data", .0.display())]
    NoServer(PathBuf),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The socket is there, but cannot be used.
    #[error("cannot ask the server at {}: {cause}{}", path.display(), hint(cause))]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The server went away before it had answered.
    #[error("the server went away before it had answered")]
    Cut,
    /// The request could not be carried out.
    #[error("{0}")]
    Failed(String),
}

impl Client {
    /// Finds the server of this data directory, or opens its store when none runs.
    pub async fn open(data: &Path) -> Result<Client, AdminError> {
        let path = socket_path(data);
        match UnixStream::connect(&path).await {
            Ok(_) => Ok(Client { way: Way::Server(path) }),
            Err(error) if nobody_listens(&error) => {
                if !crate::open::exists(data) {
                    return Err(AdminError::NoData(data.to_owned()));
                }
                Ok(Client { way: Way::Store(Open::for_administration(data).await?) })
            }
            Err(cause) => Err(AdminError::Socket { path, cause }),
        }
    }

    /// Finds the server of this data directory, and nothing else.
    pub async fn of_server(data: &Path) -> Result<Client, AdminError> {
        let path = socket_path(data);
        match UnixStream::connect(&path).await {
            Ok(_) => Ok(Client { way: Way::Server(path) }),
            Err(error) if nobody_listens(&error) => Err(AdminError::NoServer(data.to_owned())),
            Err(cause) => Err(AdminError::Socket { path, cause }),
        }
    }

    /// As [`Client::open`], but makes an empty store when the directory has none.
    pub async fn open_or_create(data: &Path) -> Result<Client, AdminError> {
        match Client::open(data).await {
            Err(AdminError::NoData(_)) => {
                Ok(Client { way: Way::Store(Open::for_administration(data).await?) })
            }
            other => other,
        }
    }

    /// Whether a server answers (and not the store itself).
    pub fn has_server(&self) -> bool {
        matches!(self.way, Way::Server(_))
    }

    /// Sends a request; the answer is read from what is returned.
    pub async fn request(&self, request: Request) -> Result<Responses, AdminError> {
        match &self.way {
            Way::Server(path) => {
                let failed = |cause| AdminError::Socket { path: path.clone(), cause };
                let mut stream = UnixStream::connect(path).await.map_err(failed)?;
                write_request(&mut stream, &request).await.map_err(failed)?;
                Ok(Responses { source: Source::Stream(path.clone(), stream) })
            }
            Way::Store(open) => {
                let (sender, frames) = mpsc::channel(8);
                let (access, bans) = (open.access(), Bans::in_file(open.directory()));
                tokio::spawn(async move {
                    match answer(&access, &bans, request, &sender).await {
                        // When the reader is gone there is nobody to answer.
                        Ok(()) | Err(Gone) => {}
                    }
                });
                Ok(Responses { source: Source::Channel(frames) })
            }
        }
    }

    /// Keeps a message from a file; returns its number, and whether it was there before.
    pub async fn import(&self, wanted: Import, text: &[u8]) -> Result<(u32, bool), AdminError> {
        let item = match &self.way {
            Way::Server(path) => {
                let failed = |cause| AdminError::Socket { path: path.clone(), cause };
                let mut stream = UnixStream::connect(path).await.map_err(failed)?;
                write_request(&mut stream, &Request::Import(wanted)).await.map_err(failed)?;
                for piece in text.chunks(PIECE) {
                    write_content(&mut stream, piece).await.map_err(failed)?;
                }
                write_content(&mut stream, &[]).await.map_err(failed)?;
                match read_answer(&mut stream).await.map_err(failed)? {
                    Some(Frame::Item(item)) => item,
                    Some(Frame::Content(_)) | None => return Err(AdminError::Cut),
                }
            }
            Way::Store(open) => keep(open, wanted, text).await.unwrap_or_else(Stop::told),
        };
        match item {
            Item::Imported { uid, was_there } => Ok((uid, was_there)),
            Item::Failed { message } => Err(AdminError::Failed(message)),
            _ => Err(AdminError::Cut),
        }
    }

    /// Sends a request and collects the items of its answer.
    pub async fn ask(&self, request: Request) -> Result<Vec<Item>, AdminError> {
        let mut responses = self.request(request).await?;
        let mut items = Vec::new();
        while let Some(frame) = responses.next().await? {
            if let Frame::Item(item) = frame {
                items.push(item);
            }
        }
        Ok(items)
    }

    /// Closes the store, when it was opened here.
    pub async fn close(self) -> Result<(), AdminError> {
        match self.way {
            Way::Server(_) => Ok(()),
            Way::Store(open) => Ok(open.close().await?),
        }
    }
}

/// Keeps a message in a store that is open here.
async fn keep(open: &Open, wanted: Import, text: &[u8]) -> Result<Item, Stop> {
    let mut importing = Importing::begin(&open.access().store, wanted).await?;
    for piece in text.chunks(PIECE) {
        importing.take(Bytes::copy_from_slice(piece)).await?;
    }
    importing.finish().await
}

/// A text is handed over in pieces of this size.
const PIECE: usize = 64 * 1024;

/// The answer to a request, frame by frame.
pub struct Responses {
    source: Source,
}

enum Source {
    Stream(PathBuf, UnixStream),
    Channel(mpsc::Receiver<Frame>),
}

impl Responses {
    /// The next frame; `None` after the last. [`AdminError::Failed`] when the request could not be carried out.
    pub async fn next(&mut self) -> Result<Option<Frame>, AdminError> {
        let frame = match &mut self.source {
            Source::Stream(path, stream) => {
                read_answer(stream).await.map_err(|cause| AdminError::Socket { path: path.clone(), cause })?
            }
            Source::Channel(frames) => frames.recv().await,
        };
        match frame {
            None => Err(AdminError::Cut),
            Some(Frame::Item(Item::End)) => Ok(None),
            Some(Frame::Item(Item::Failed { message })) => Err(AdminError::Failed(message)),
            Some(frame) => Ok(Some(frame)),
        }
    }
}

fn hint(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => "; only the user that the server runs as may: try sudo -u USER",
        _ => "",
    }
}

/// No socket, or one that a dead server left.
fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
