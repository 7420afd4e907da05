//! The only loop over a socket: it runs an [`Endpoint`] on a byte stream for an [`Application`].
//!
//! The server, the relay client and the command line use it with TCP; tests use it with a pipe in memory. It knows nothing of any
//! protocol. Time is tokio's, so that tests can run it under virtual time.

use crate::tls::{HandshakeError, TlsSession, Transport};
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;
use wire::{Endpoint, READ_MAX, Step};

/// What decides for an endpoint.
pub trait Application<E: Endpoint>: Send {
    /// Takes an event; when it asks for an answer, answers it on the endpoint before returning.
    fn event(&mut self, endpoint: &mut E, event: E::Event) -> impl Future<Output = ()> + Send;

    /// Waits for something outside the connection that the endpoint must hear of, like a stop of the server. The future is
    /// dropped and made anew at each wait, so it must keep nothing of its own. By default it never comes.
    fn interruption(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// Tells the endpoint of the interruption.
    fn interrupted(&mut self, _endpoint: &mut E) {}

    /// TLS is on; the endpoint knows it already.
    fn secured(&mut self, _endpoint: &mut E, _session: TlsSession) {}

    /// How long the peer may take to read what was sent before the connection counts as broken. RFC 5321 §4.5.3.2 gives a reply five
    /// minutes, a block of content three.
    fn send_timeout(&self) -> Duration {
        Duration::from_secs(300)
    }

    /// Whether to stop here and leave the connection open, for somebody to go on with it: asked when the endpoint has nothing left to do.
    fn leaves(&self) -> bool {
        false
    }

    /// What to do when the peer no longer reads.
    fn when_unheard(&self) -> WhenUnheard {
        WhenUnheard::Stop
    }
}

/// What to do when a peer no longer reads what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnheard {
    /// End: what it said before would be acted on without its knowing. For servers.
    Stop,
    /// Listen for a moment: it may have said why, as a server does that refuses content in the middle. For clients.
    Listen,
}

/// Runs `endpoint` on `stream` until it closes, or the application leaves it open ([`Application::leaves`]).
///
/// An error of the stream is told to the endpoint as the end of its input, and returned when the endpoint has closed.
/// An idle connection holds no buffer: bytes are read into one that the thread lends for the length of a single poll.
pub async fn drive<E, S, A>(endpoint: &mut E, stream: &mut S, application: &mut A) -> io::Result<()>
where
    E: Endpoint + Send,
    E::Event: Send,
    S: Transport,
    A: Application<E>,
{
    let mut broken = None;
    // Until when to listen to a peer that no longer reads.
    let mut last_words: Option<Instant> = None;
    // One timer for the whole connection, moved only when it would come too late. An endpoint that is woken early says how
    // long it still waits; that costs less than a new timer for each read.
    let mut timer = pin!(tokio::time::sleep_until(Instant::now()));
    loop {
        match endpoint.step(Instant::now().into_std()) {
            // Nobody reads any more.
            Step::Send(_) if broken.is_some() => {}
            Step::Send(bytes) => {
                if let Err(error) = send(stream, &bytes, application.send_timeout()).await {
                    broken = Some(error);
                    match application.when_unheard() {
                        WhenUnheard::Stop => endpoint.receive_end(),
                        WhenUnheard::Listen => last_words = Some(Instant::now() + LINGER),
                    }
                }
            }
            Step::Event(event) => application.event(endpoint, event).await,
            Step::StartTls => {
                if let Err(error) = start_tls(endpoint, stream, application).await {
                    broken = Some(error);
                    endpoint.receive_end();
                }
            }
            Step::Wait(_) if broken.is_none() && application.leaves() => return Ok(()),
            Step::Wait(until) => {
                if last_words.is_some_and(|until| until <= Instant::now()) {
                    last_words = None;
                    endpoint.receive_end();
                    continue;
                }
                let until = Instant::from_std(until);
                let until = last_words.map_or(until, |last| last.min(until));
                if timer.is_elapsed() || timer.deadline() > until {
                    timer.as_mut().reset(until);
                }
                tokio::select! {
                    biased;
                    read = std::future::poll_fn(|context| poll_read(context, stream, endpoint)) => {
                        if let Err(error) = read {
                            broken.get_or_insert(error);
                            endpoint.receive_end();
                        }
                    }
                    () = application.interruption() => application.interrupted(endpoint),
                    () = timer.as_mut() => {}
                }
            }
            Step::Close => break,
        }
    }
    match broken {
        Some(error) => Err(error),
        None => close(stream).await,
    }
}

/// The same on a stream that begins with TLS. When no TLS comes of it, the endpoint says nothing at all.
pub async fn drive_secured<E, S, A>(endpoint: &mut E, stream: &mut S, application: &mut A) -> io::Result<()>
where
    E: Endpoint + Send,
    E::Event: Send,
    S: Transport,
    A: Application<E>,
{
    start_tls(endpoint, stream, application).await?;
    drive(endpoint, stream, application).await
}

/// Does the handshake and tells of it. What the endpoint has read in clear it forgets; what the stream gives from now on came in TLS.
async fn start_tls<E, S, A>(endpoint: &mut E, stream: &mut S, application: &mut A) -> io::Result<()>
where
    E: Endpoint + Send,
    S: Transport,
    A: Application<E>,
{
    let session = tokio::select! {
        biased;
        secured = tokio::time::timeout(HANDSHAKE_TIMEOUT, stream.secure()) => match secured {
            Ok(secured) => secured?,
            Err(_) => return Err(HandshakeError::timed_out(HANDSHAKE_TIMEOUT).into()),
        },
        () = application.interruption() => {
            application.interrupted(endpoint);
            return Err(HandshakeError::interrupted().into());
        }
    };
    endpoint.secured();
    application.secured(endpoint, session);
    Ok(())
}

/// How long a handshake may take: a few round trips, and it holds a place among the connections.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Closes our side, and takes in for a moment what the peer still sends. Were that left unread, TCP would reset the connection, and
/// the peer could lose our last reply: the one that says why.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    let drained = async {
        stream.shutdown().await?;
        while std::future::poll_fn(|context| poll_discard(context, stream)).await? > 0 {}
        Ok::<(), io::Error>(())
    };
    match tokio::time::timeout(LINGER, drained).await {
        // A peer that does not close in time has had its chance.
        Err(_) | Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => match error.kind() {
            // It went first: that is no failure of ours.
            io::ErrorKind::NotConnected
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            // It closed without the goodbye of TLS. All was said: nothing can be missing.
            | io::ErrorKind::UnexpectedEof => Ok(()),
            _ => Err(error),
        },
    }
}

/// How long a closed connection waits for the peer to close as well.
const LINGER: Duration = Duration::from_secs(1);

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8], limit: Duration) -> io::Result<()> {
    let sent = async {
        stream.write_all(bytes).await?;
        // TLS may still hold some of it.
        stream.flush().await
    };
    match tokio::time::timeout(limit, sent).await {
        Ok(sent) => sent,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")),
    }
}

thread_local! {
    /// Lent to one connection at a time, for one poll.
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_MAX].into_boxed_slice());
}

/// Reads once and hands what came to the endpoint.
fn poll_read<E, S>(context: &mut Context<'_>, stream: &mut S, endpoint: &mut E) -> Poll<io::Result<()>>
where
    E: Endpoint,
    S: AsyncRead + Unpin,
{
    READ_BUFFER.with_borrow_mut(|buffer| {
        let mut buffer = ReadBuf::new(buffer);
        match ready!(Pin::new(stream).poll_read(context, &mut buffer)) {
            // It closed without the goodbye of TLS, as many programs do. What it said last may be cut off, as it may be in clear: no endpoint
            // takes what has no end for whole.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => endpoint.receive_end(),
            Err(error) => return Poll::Ready(Err(error)),
            Ok(()) => match buffer.filled() {
                [] => endpoint.receive_end(),
                bytes => endpoint.receive(bytes),
            },
        }
        Poll::Ready(Ok(()))
    })
}

/// Reads once and forgets what came; returns how much that was.
fn poll_discard<S: AsyncRead + Unpin>(context: &mut Context<'_>, stream: &mut S) -> Poll<io::Result<usize>> {
    READ_BUFFER.with_borrow_mut(|buffer| {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    })
}
