//! What is accepted, decided by pure functions over facts and rules: no look-up, no clock, no waiting.
//!
//! Where a decision needs look-ups it says which, and is asked again ([`recipient::Step`]).

pub mod recipient;
pub mod sender;

use smtp::Reply;

/// What policy decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<T> {
    /// Yes, and this follows.
    Accept(T),
    /// Not now: the reply is transient.
    Defer(Reply),
    /// No: the reply is permanent.
    Reject(Reply),
}
