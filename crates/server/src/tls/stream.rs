//! A connection that begins in clear and may become encrypted in place.

use super::connect::Connector;
use super::handshake::Side;
use super::{Acceptor, HandshakeError, TlsSession};
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What [`crate::drive`] runs on: a byte stream that can turn to TLS.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {
    /// Does the handshake. Nothing may be on its way in clear: what was read before is the caller's to forget, and what comes from
    /// now on is TLS or an error. After an error the stream is of no use.
    fn secure(&mut self) -> impl Future<Output = Result<TlsSession, HandshakeError>> + Send;
}

/// A byte stream in clear or in TLS.
pub struct Stream<S> {
    state: State<S>,
    terms: Terms,
}

enum State<S> {
    Clear(S),
    // Boxed: rustls keeps more than a kilobyte for a connection, and those in clear shall not have to.
    Secured(Box<tokio_rustls::TlsStream<Opening<S>>>),
    /// A handshake failed or was given up.
    Lost,
}

/// How the handshake is done.
#[derive(Clone)]
enum Terms {
    Never,
    Accept(Arc<Acceptor>),
    Connect(Connector),
}

impl<S> Stream<S> {
    /// A stream that stays in clear.
    pub fn clear(stream: S) -> Stream<S> {
        Stream { state: State::Clear(stream), terms: Terms::Never }
    }

    /// The server's side of a connection.
    pub fn accepted(stream: S, acceptor: Option<Arc<Acceptor>>) -> Stream<S> {
        Stream { state: State::Clear(stream), terms: acceptor.map_or(Terms::Never, Terms::Accept) }
    }

    /// The client's side of a connection.
    pub fn connected(stream: S, connector: Option<Connector>) -> Stream<S> {
        Stream { state: State::Clear(stream), terms: connector.map_or(Terms::Never, Terms::Connect) }
    }
}

impl<S> std::fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.state {
            State::Clear(_) => "Stream in clear",
            State::Secured(_) => "Stream in TLS",
            State::Lost => "Stream that is lost",
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Transport for Stream<S> {
    async fn secure(&mut self) -> Result<TlsSession, HandshakeError> {
        let stream = match mem::replace(&mut self.state, State::Lost) {
            State::Clear(stream) => Opening { stream, first: [0; FIRST], seen: 0 },
            State::Secured(_) | State::Lost => return Err(HandshakeError::unavailable()),
        };
        // Boxed, for it is large and short-lived.
        let (stream, session) = match self.terms.clone() {
            Terms::Never => return Err(HandshakeError::unavailable()),
            Terms::Accept(acceptor) => Box::pin(async move { acceptor.accept(stream).await }).await?,
            Terms::Connect(connector) => Box::pin(async move { connector.connect(stream).await }).await?,
        };
        self.state = State::Secured(Box::new(stream));
        Ok(session)
    }
}

/// Remembers how the peer began, so that a failed handshake can say what it was instead.
pub(super) struct Opening<S> {
    stream: S,
    first: [u8; FIRST],
    seen: u8,
}

const FIRST: usize = 8;

impl<S> Opening<S> {
    /// The error with what is known of the peer.
    pub(super) fn failed(&self, side: Side, error: &io::Error) -> HandshakeError {
        HandshakeError::new(side, error, &self.first[..usize::from(self.seen)])
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let seen = usize::from(self.seen);
        if seen < FIRST {
            let new = &buffer.filled()[before..];
            let new = &new[..new.len().min(FIRST - seen)];
            self.first[seen..seen + new.len()].copy_from_slice(new);
            self.seen += new.len() as u8;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Clear(stream) => Pin::new(stream).poll_read(context, buffer),
            State::Secured(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
            State::Lost => Poll::Ready(Err(lost())),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.state {
            State::Clear(stream) => Pin::new(stream).poll_write(context, bytes),
            State::Secured(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
            State::Lost => Poll::Ready(Err(lost())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Clear(stream) => Pin::new(stream).poll_flush(context),
            State::Secured(stream) => Pin::new(stream.as_mut()).poll_flush(context),
            State::Lost => Poll::Ready(Err(lost())),
        }
    }

    /// In TLS this says goodbye first (close_notify, RFC 8446 §6.1).
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Clear(stream) => Pin::new(stream).poll_shutdown(context),
            State::Secured(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
            State::Lost => Poll::Ready(Ok(())),
        }
    }
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the handshake failed")
}
