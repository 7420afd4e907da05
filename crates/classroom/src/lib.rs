//! My_SMTP, a protocol of classrooms: SMTP made small, with commands that list and show mail.
//!
//! `HELO domain`, `MAIL FROM: address`, `RCPT TO: address`, `DATA` up to a line with a dot, `LIST address`, `GET_MAIL address number`,
//! `QUIT`; answered with 200, 400, 401, 403 or 500. There is no greeting, and nobody logs in: it is for a lesson, not for a
//! network. [`Server`] is the server's side without a socket; whoever runs it has the mailboxes.
//!
//! What the protocol's description leaves open is decided here: lines may end with LF or CRLF; a command out of its order is
//! forbidden (403), and so is an address outside of the domain that HELO named; a dot counts only when it is alone in its line, and
//! none is added or removed.

#![forbid(unsafe_code)]

mod command;
mod content;
mod server;

pub use command::{Address, Command, Fault};
pub use server::{Closing, Config, Event, Server};

use std::fmt;

/// What a line of the server begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// 200: done.
    Ok,
    /// 400: it is no command, or its arguments are none.
    Syntax,
    /// 401: there is no such mailbox or message.
    NotFound,
    /// 403: not now, or not here.
    Forbidden,
    /// 500: it is the server's fault.
    ServerError,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Ok => "200 OK",
            Status::Syntax => "400 ERR",
            Status::NotFound => "401 NOT FOUND",
            Status::Forbidden => "403 FORBIDDEN",
            Status::ServerError => "500 SERVER ERROR",
        })
    }
}
