//! Every status that a server says by itself or for the programs that run it, in one place.

use crate::answer::{Code, Status};

/// The end of a session.
pub const BYE: Status = Status::bye("Logging out");
/// A stopping server.
pub const SHUTTING_DOWN: Status = Status::bye("The server stops; please come again in a while");
/// Nothing came for too long.
pub const IDLE_TOO_LONG: Status = Status::bye("Disconnected for inactivity");
/// Who does not log in.
pub const NO_LOGIN: Status = Status::bye("Disconnected: nobody logged in");
/// One error too many.
pub const TOO_MANY_ERRORS: Status = Status::bye("Too many errors");
/// Who is turned away.
pub const NOT_NOW: Status = Status::bye("Not now");
/// Another session has removed the mailbox that is selected (RFC 2180 §3.3).
pub const MAILBOX_REMOVED: Status = Status::bye("The selected mailbox was removed");
/// Said in a long IDLE.
pub const STILL_HERE: Status = Status::ok("Still here");
/// RFC 9051 §6.2.1.
pub const BEGIN_TLS: Status = Status::ok("Begin TLS negotiation now");
/// A second STARTTLS.
pub const TLS_IS_ON: Status = Status::bad("TLS is on already");
/// STARTTLS where it is not offered.
pub const NO_STARTTLS: Status = Status::bad("TLS is not offered here");
/// STARTTLS or AUTHENTICATE after a login.
pub const LOGGED_IN: Status = Status::bad("That is not possible after a login");
/// Something was sent behind STARTTLS (CVE-2011-0411 is about who obeys it).
pub const PIPELINED_STARTTLS: Status = Status::bad("Nothing may follow STARTTLS before TLS is on");
/// A command that needs a login.
pub const LOGIN_FIRST: Status = Status::bad("Please log in first");
/// A command that needs a mailbox.
pub const SELECT_FIRST: Status = Status::bad("No mailbox is selected");
/// `*` (RFC 9051 §6.2.2).
pub const AUTH_CANCELLED: Status = Status::bad("The exchange is given up");
/// A response that cannot be decoded.
pub const BAD_BASE64: Status = Status::bad("That is no base64");
/// A mechanism that is not offered.
pub const NO_SUCH_MECHANISM: Status = Status::no("That mechanism is not offered; CAPABILITY says which are");
/// LOGIN where nobody can log in by password.
pub const NO_PASSWORDS: Status = Status::no("LOGIN is not offered; CAPABILITY says what is");
/// A command that is longer than is taken.
pub const TOO_LONG: Status = Status::bad("That command is too long");
/// A line that begins with no tag.
pub const NO_TAG: Status = Status::bad("A command begins with a tag");
/// Something else than DONE in IDLE.
pub const EXPECTED_DONE: Status = Status::bad("IDLE ends with DONE");
/// A name that modified UTF-7 does not read (RFC 3501 §5.1.3).
pub const BAD_NAME: Status = Status::no("That name is not written in modified UTF-7");
/// APPEND of nothing (RFC 3502 §6.3.11).
pub const EMPTY_MESSAGE: Status = Status::no("A message of no octets is none");
/// EXPUNGE and the like after EXAMINE.
pub const READ_ONLY: Status = Status::no("The mailbox was opened to be read only");

/// In clear, where that is not safe (RFC 5530).
pub fn tls_first() -> Status {
    Status::no("TLS comes first: say STARTTLS, or connect to the port for TLS").with(Code::PrivacyRequired)
}

/// The credentials are wrong, or there is no such account; which of them is not said (RFC 5530).
pub fn auth_failed() -> Status {
    Status::no("Authentication failed").with(Code::AuthenticationFailed)
}

/// Nobody can say now whether the credentials are right.
pub fn auth_unavailable() -> Status {
    Status::no("Logins are not possible now; try again later").with(Code::Unavailable)
}

/// The store does not answer.
pub fn unavailable() -> Status {
    Status::no("That is not possible now; try again later").with(Code::Unavailable)
}
