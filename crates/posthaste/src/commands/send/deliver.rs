//! Speaks with the server: connects, runs the client endpoint, gathers one reply for each recipient.

use super::Tls;
use super::letter::Letter;
use super::transcript::{Shown, Transcript};
use bytes::Bytes;
use server::drive::{Application, WhenUnheard, drive, drive_secured};
use server::tls::{Connector, HandshakeError, Stream, TlsError, Trust};
use smtp::client::{Client, Config, Event, Failure, Security, Timeouts};
use smtp::{Envelope, Protocol, Reply, Status};
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// How to reach the server and speak with it.
pub(super) struct Route {
    /// `HOST:PORT`.
    pub(super) server: String,
    pub(super) protocol: Protocol,
    pub(super) hello_name: String,
    /// For each step; what RFC 5321 asks for when `None`.
    pub(super) timeout: Option<Duration>,
    pub(super) tls: Tls,
    pub(super) trust: Trust,
}

/// What became of a letter.
pub(super) struct Ending {
    /// The final reply for each recipient of the envelope; `None` where none came.
    pub(super) replies: Vec<Option<Reply>>,
    /// Why there are replies missing.
    pub(super) failure: Option<DeliveryFailure>,
}

/// Why a delivery did not come to its end.
#[derive(Debug)]
pub(super) enum DeliveryFailure {
    /// There was no connection.
    Connect { server: String, cause: io::Error },
    /// There can be no TLS.
    Tls(TlsError),
    /// The connection broke, or TLS failed.
    Broken(io::Error),
    /// The protocol failed.
    Client(Failure),
}

/// Delivers a letter.
pub(super) async fn deliver(route: &Route, letter: Letter, transcript: Option<Transcript>) -> Ending {
    let config = config(route);
    let mut courier = Courier::new(letter, transcript.clone(), config.timeouts.block);
    let reached = match connector(route) {
        Ok(connector) => connect(route).await.map(|stream| (stream, connector)),
        Err(error) => Err(DeliveryFailure::Tls(error)),
    };
    let failure = match reached {
        Err(failure) => Some(failure),
        Ok((stream, connector)) => {
            let mut client = Client::new(config);
            let mut stream = Shown::new(Stream::connected(stream, connector), transcript);
            let result = match route.tls {
                Tls::Implicit => drive_secured(&mut client, &mut stream, &mut courier).await,
                Tls::None | Tls::Try | Tls::Require => drive(&mut client, &mut stream, &mut courier).await,
            };
            let told = courier.failure.take().map(DeliveryFailure::Client);
            match result {
                // The client only knows that the connection ended there.
                Err(error) if error.get_ref().is_some_and(|inner| inner.is::<HandshakeError>()) => {
                    Some(DeliveryFailure::Broken(error))
                }
                Err(error) if courier.has_gaps() => told.or(Some(DeliveryFailure::Broken(error))),
                // all is said: how the connection ended does not matter
                Ok(()) | Err(_) => told,
            }
        }
    };
    Ending { replies: courier.replies, failure }
}

/// How the handshake with the server is done.
fn connector(route: &Route) -> Result<Option<Connector>, TlsError> {
    let host = route.server.rsplit_once(':').map_or(route.server.as_str(), |(host, _)| host);
    match route.tls {
        Tls::None => Ok(None),
        Tls::Try | Tls::Require | Tls::Implicit => Connector::new(host, &route.trust).map(Some),
    }
}

async fn connect(route: &Route) -> Result<TcpStream, DeliveryFailure> {
    let failed = |cause| DeliveryFailure::Connect { server: route.server.clone(), cause };
    let limit = route.timeout.unwrap_or(CONNECT_TIMEOUT);
    let stream = match tokio::time::timeout(limit, TcpStream::connect(&route.server)).await {
        Ok(connected) => connected.map_err(failed)?,
        Err(_) => return Err(failed(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))),
    };
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

fn config(route: &Route) -> Config {
    let timeouts = match route.timeout {
        None => Timeouts::default(),
        Some(limit) => Timeouts {
            greeting: limit,
            hello: limit,
            mail: limit,
            rcpt: limit,
            data: limit,
            block: limit,
            end: limit,
            quit: limit.min(Timeouts::default().quit),
        },
    };
    let security = match route.tls {
        Tls::None | Tls::Implicit => Security::None,
        Tls::Try => Security::IfOffered,
        Tls::Require => Security::Required,
    };
    Config { protocol: route.protocol, timeouts, security, ..Config::new(route.hello_name.as_str()) }
}

/// Decides for the client endpoint.
struct Courier {
    envelope: Envelope,
    content: Bytes,
    transcript: Option<Transcript>,
    /// What of the content is still to be sent in this transaction.
    rest: Bytes,
    /// The recipients of this transaction, as places in the envelope.
    current: Vec<usize>,
    replies: Vec<Option<Reply>>,
    failure: Option<Failure>,
    /// How long the server may take to read a piece of content.
    send_timeout: Duration,
}

impl Courier {
    fn new(letter: Letter, transcript: Option<Transcript>, send_timeout: Duration) -> Courier {
        let count = letter.envelope.recipients.len();
        Courier {
            send_timeout,
            rest: Bytes::new(),
            content: letter.content,
            current: (0..count).collect(),
            replies: vec![None; count],
            envelope: letter.envelope,
            transcript,
            failure: None,
        }
    }

    fn has_gaps(&self) -> bool {
        self.replies.iter().any(Option::is_none)
    }

    /// Begins a transaction for the current recipients.
    fn begin(&mut self, client: &mut Client) {
        let recipients = self.current.iter().map(|&place| self.envelope.recipients[place].clone()).collect();
        self.rest = self.content.clone();
        client.deliver(Envelope { recipients, ..self.envelope.clone() }, Some(self.content.len() as u64));
    }

    /// Takes the replies of a transaction. Those who were too many for it get another one (RFC 5321 §4.5.3.1.10), as long as each
    /// leaves fewer of them.
    fn done(&mut self, client: &mut Client, replies: Vec<Reply>) {
        let mut left = Vec::new();
        for (&place, reply) in self.current.iter().zip(replies) {
            if is_too_many(&reply) {
                left.push(place);
            }
            self.replies[place] = Some(reply);
        }
        if left.is_empty() || left.len() == self.current.len() {
            client.quit();
        } else {
            self.current = left;
            self.begin(client);
        }
    }
}

impl Application<Client> for Courier {
    fn send_timeout(&self) -> Duration {
        self.send_timeout
    }

    fn when_unheard(&self) -> WhenUnheard {
        WhenUnheard::Listen
    }

    async fn event(&mut self, client: &mut Client, event: Event) {
        match event {
            Event::Ready => self.begin(client),
            Event::WantContent => {
                if let Some(transcript) = &self.transcript {
                    transcript.content_begins();
                }
                match self.rest.split_to(self.rest.len().min(PIECE)) {
                    piece if piece.is_empty() => client.end_of_content(),
                    piece => client.content(piece),
                }
            }
            Event::Done(outcome) => self.done(client, outcome.recipients),
            // It has no credentials, so it is not asked for any.
            Event::Authenticate(_) | Event::Challenge(_) => client.abandon(),
            Event::Failed(failure) => self.failure = Some(failure),
        }
    }
}

/// `452 4.5.3`: too many recipients for one transaction.
fn is_too_many(reply: &Reply) -> bool {
    reply.code().number() == 452 && reply.status() == Some(Status { subject: 5, detail: 3 })
}

/// Content is handed over in pieces of this size.
const PIECE: usize = 64 * 1024;
/// The system alone would try for two minutes and more.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
