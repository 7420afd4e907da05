//! Handing mail to other hosts: finding one that answers ([`dial`], [`health`]), securing the connection ([`secure`]), saying who we are
//! ([`login`]) and speaking over it ([`relay`]).
//!
//! Here is what one connection does. Which mail goes over it, and what becomes of that mail, is [`crate::queue`]'s affair.

pub mod dial;
pub mod health;
pub mod login;
pub mod pool;
mod prepare;
pub mod relay;
pub mod secure;
