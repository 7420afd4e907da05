//! A reply of one line: `+OK` or `-ERR`, a response code where there is one, and text (RFC 1939 §3, RFC 2449 §8).

use bytes::{BufMut, BytesMut};
use std::borrow::Cow;
use std::fmt;

/// A reply of one line. The lines that may follow a positive one are the endpoint's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    indicator: Indicator,
    code: Option<Code>,
    text: Cow<'static, str>,
}

/// Whether it went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Indicator {
    /// `+OK`.
    Ok,
    /// `-ERR`.
    Err,
}

/// Why it did not, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Another session has the maildrop (RFC 2449 §8.1.2).
    InUse,
    /// The last login was too short a time ago (RFC 2449 §8.1.1).
    LoginDelay,
    /// Something is wrong here and will pass (RFC 3206 §4).
    SysTemp,
    /// Something is wrong here and somebody must see to it (RFC 3206 §4).
    SysPerm,
    /// It is the credentials that are wrong (RFC 3206 §5).
    Auth,
}

impl Reply {
    /// A positive reply.
    pub const fn ok(text: &'static str) -> Reply {
        Reply { indicator: Indicator::Ok, code: None, text: Cow::Borrowed(text) }
    }

    /// A negative reply.
    pub const fn err(code: Option<Code>, text: &'static str) -> Reply {
        Reply { indicator: Indicator::Err, code, text: Cow::Borrowed(text) }
    }

    /// The same with another text. What does not belong in a line is replaced, and what is too long for one cut off.
    pub fn with_text(&self, text: impl Into<String>) -> Reply {
        let mut text: String = text.into().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        text.truncate(text.floor_char_boundary(TEXT_MAX));
        Reply { text: Cow::Owned(text), ..self.clone() }
    }

    /// Whether it went well.
    pub fn indicator(&self) -> Indicator {
        self.indicator
    }

    /// Why it did not.
    pub fn code(&self) -> Option<Code> {
        self.code
    }

    /// Writes it with its CRLF.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_slice(self.to_string().as_bytes());
        out.put_slice(b"\r\n");
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.indicator {
            Indicator::Ok => "+OK",
            Indicator::Err => "-ERR",
        })?;
        if let Some(code) = self.code {
            write!(f, " [{code}]")?;
        }
        write!(f, " {}", self.text)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Code::InUse => "IN-USE",
            Code::LoginDelay => "LOGIN-DELAY",
            Code::SysTemp => "SYS/TEMP",
            Code::SysPerm => "SYS/PERM",
            Code::Auth => "AUTH",
        })
    }
}

/// RFC 2449 §4 gives a line 512 octets with its CRLF; the rest is for `-ERR`, the longest code and what stands between.
const TEXT_MAX: usize = 480;
