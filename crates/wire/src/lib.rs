//! What every protocol of Posthaste shares: a connection as a state machine without a socket.
//!
//! An [`Endpoint`] is one side of one connection. It has no socket, no clock, no file and no randomness:
//! bytes are handed in, [`Step`]s come out, and time is an argument. The server's driver, the command-line
//! client, the tests, the fuzzers and the simulator all run the same endpoints through this trait.
//!
//! The crate also holds the bounded framing that the endpoints build on: lines ([`LineBuffer`]), dot-stuffed
//! content ([`dot`]) and the check of content for what it must not hold ([`FlawFinder`]); and the messages of SASL
//! exchanges ([`sasl`]), which all protocols carry alike.

#![forbid(unsafe_code)]

mod content;
pub mod dot;
mod line;
pub mod sasl;

pub use content::{Flaw, FlawFinder, Normaliser};
pub use line::{Line, LineBuffer};

use bytes::Bytes;
use std::time::Instant;

/// What carries a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Nothing protects it.
    Clear,
    /// TLS does.
    Tls,
}

/// One side of one connection: input goes in, then steps are drained until it waits or closes.
///
/// The contract between an endpoint and its driver:
///
/// * The driver calls [`step`](Endpoint::step) until it returns [`Step::Wait`] or [`Step::Close`], and only
///   then reads from the peer again. What an endpoint buffers is therefore bounded by its own limits plus one
///   read.
/// * A [`Step::Event`] that asks for a decision stops the endpoint: until the application has answered (by a
///   method of the concrete endpoint) `step` returns no further event. So replies can never be reordered by
///   pipelining.
/// * After [`Step::StartTls`] the driver reads nothing more in clear: it does the TLS handshake, throws away what
///   it may have read beyond it, and calls [`secured`](Endpoint::secured) before anything else. If the handshake
///   fails the connection is lost: [`receive_end`](Endpoint::receive_end).
/// * After [`Step::Close`] nothing more is to be done but to close the connection; further calls return
///   `Close` again.
pub trait Endpoint {
    /// What the application must know or decide.
    type Event;

    /// Takes bytes that the peer sent. At most [`READ_MAX`] at a time, and only after [`Step::Wait`].
    fn receive(&mut self, bytes: &[u8]);

    /// Says that the peer will send no more: it closed its side, or the connection broke.
    fn receive_end(&mut self);

    /// Says that TLS protects the connection from here on: everything that was received or learnt in clear is
    /// forgotten (RFC 3207 §4.2). Called once, after [`Step::StartTls`], or before the first step where TLS comes
    /// before the protocol (RFC 8314 §3).
    fn secured(&mut self);

    /// What is to be done next, at the time `now`.
    fn step(&mut self, now: Instant) -> Step<Self::Event>;
}

/// What a driver is to do next for an [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<E> {
    /// Write these bytes to the peer, all of them, before the next call.
    Send(Bytes),
    /// Tell the application.
    Event(E),
    /// Everything sent so far is in clear text; start TLS now, discard whatever the peer sent in clear after
    /// this point.
    StartTls,
    /// Read from the peer, but not past this moment: then call `step` again (it will act on the missed
    /// deadline).
    Wait(Instant),
    /// Close the connection.
    Close,
}

/// The most bytes a driver hands to [`Endpoint::receive`] in one call.
pub const READ_MAX: usize = 64 * 1024;
