//! Every reply that a server says by itself or for the programs that run it, in one place.

use crate::command::Verb;
use crate::{Code, Reply};

/// NOOP and the like.
pub const OK: Reply = Reply::ok("done");
/// The end of a session.
pub const BYE: Reply = Reply::ok("goodbye");
/// The end of a session that removed messages (RFC 1939 §6).
pub const BYE_REMOVED: Reply = Reply::ok("the marked messages are removed; goodbye");
/// RFC 1939 §6: some or all of the marked messages are still there.
pub const NOT_REMOVED: Reply =
    Reply::err(Some(Code::SysTemp), "the marked messages are not removed; try again later");
/// RFC 2595 §4.
pub const READY_FOR_TLS: Reply = Reply::ok("begin TLS now");
/// A second STLS.
pub const TLS_IS_ON: Reply = Reply::err(None, "TLS is on already");
/// STLS where it is not offered.
pub const NO_STLS: Reply = Reply::err(None, "TLS is not offered here");
/// Something was sent behind STLS (CVE-2011-0411 is about who obeys it).
pub const PIPELINED_STLS: Reply = Reply::err(None, "nothing may follow STLS before TLS is on");
/// RFC 6856 §2.1.
pub const UTF8_ON: Reply = Reply::ok("UTF-8 it is");
/// USER: says nothing of whether there is such an account.
pub const SEND_PASSWORD: Reply = Reply::ok("send the password");
/// PASS without USER.
pub const USER_FIRST: Reply = Reply::err(None, "USER comes first");
/// USER, PASS or AUTH in clear.
pub const TLS_FIRST: Reply = Reply::err(None, "TLS comes first: say STLS, or connect to the port for TLS");
/// A mechanism that is not offered.
pub const NO_SUCH_MECHANISM: Reply = Reply::err(None, "that mechanism is not offered; CAPA says which are");
/// Where nobody can log in by password.
pub const NO_PASSWORDS: Reply = Reply::err(None, "USER and PASS are not offered; CAPA says what is");
/// `*` (RFC 5034 §4).
pub const AUTH_CANCELLED: Reply = Reply::err(None, "the exchange is given up");
/// A response that cannot be decoded.
pub const BAD_BASE64: Reply = Reply::err(None, "that is no base64");
/// The credentials are wrong, or there is no such account; which of them is not said (RFC 3206 §5).
pub const AUTH_FAILED: Reply = Reply::err(Some(Code::Auth), "the credentials are not right");
/// They cannot be looked at now.
pub const AUTH_UNAVAILABLE: Reply =
    Reply::err(Some(Code::SysTemp), "logins cannot be checked now; try again later");
/// Another session has the maildrop.
pub const IN_USE: Reply =
    Reply::err(Some(Code::InUse), "another session has this maildrop; try again when it has ended");
/// The maildrop cannot be opened.
pub const UNAVAILABLE: Reply =
    Reply::err(Some(Code::SysTemp), "the maildrop cannot be read now; try again later");
/// Before a login.
pub const LOGIN_FIRST: Reply = Reply::err(None, "log in first");
/// After a login.
pub const LOGGED_IN: Reply = Reply::err(None, "you are logged in already");
/// A number that no message has.
pub const NO_SUCH_MESSAGE: Reply = Reply::err(None, "there is no such message");
/// A message that is marked.
pub const DELETED: Reply = Reply::err(None, "that message is marked as deleted; RSET takes the marks away");
/// Somebody else removed it.
pub const GONE: Reply = Reply::err(None, "that message was removed by somebody else");
/// DELE.
pub const MARKED: Reply = Reply::ok("it will be removed at QUIT");
/// No keyword.
pub const UNKNOWN_COMMAND: Reply = Reply::err(None, "there is no such command; CAPA says what there is");
/// A line beyond the limit.
pub const LINE_TOO_LONG: Reply = Reply::err(None, "the line is too long");
/// A line that ends with a bare CR or LF.
pub const BARE_LINE_ENDING: Reply = Reply::err(None, "lines end with CRLF");
/// The session ends.
pub const TOO_MANY_ERRORS: Reply = Reply::err(None, "too many errors");
/// The server stops.
pub const SHUTTING_DOWN: Reply = Reply::err(Some(Code::SysTemp), "the server stops; nothing was removed");
/// The connection is not served.
pub const NOT_NOW: Reply = Reply::err(Some(Code::SysTemp), "too many connections; try again later");
/// A login that comes too soon after the last one.
pub const LOGIN_TOO_SOON: Reply =
    Reply::err(Some(Code::LoginDelay), "the last login was just now; wait a while");

/// The greeting. Without a timestamp in it there is no APOP (RFC 1939 §4 and §7).
pub fn greeting(host_name: &str) -> Reply {
    OK.with_text(format!("{host_name} POP3 ready"))
}

/// The arguments were wrong.
pub fn usage(verb: Verb) -> Reply {
    UNKNOWN_COMMAND.with_text(format!("the command reads: {}", verb.usage()))
}
