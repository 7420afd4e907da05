//! Flags of messages (RFC 9051 §2.3.2).

use crate::answer::encode;
use bytes::{BufMut, BytesMut};
use std::fmt::{self, Write};

/// A flag.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Flag {
    /// `\Seen`.
    Seen,
    /// `\Answered`.
    Answered,
    /// `\Flagged`.
    Flagged,
    /// `\Deleted`.
    Deleted,
    /// `\Draft`.
    Draft,
    /// Another word with a backslash: nothing that a client may set.
    Extension(String),
    /// A word of the client's own; case does not matter.
    Keyword(String),
}

impl Flag {
    /// The system flag of this name, without its backslash.
    pub(crate) fn system(name: &str) -> Flag {
        let known = [
            ("Seen", Flag::Seen),
            ("Answered", Flag::Answered),
            ("Flagged", Flag::Flagged),
            ("Deleted", Flag::Deleted),
            ("Draft", Flag::Draft),
        ];
        let found = known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or_else(|| Flag::Extension(name.to_owned()), |(_, flag)| flag)
    }

    /// Writes it; what may not be in a flag is left out.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        match self {
            Flag::Keyword(name) => encode::atom(out, name),
            Flag::Extension(name) => {
                out.put_u8(b'\\');
                encode::atom(out, name);
            }
            system => write!(out, "{system}").expect("a buffer takes everything"),
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flag::Seen => f.write_str("\\Seen"),
            Flag::Answered => f.write_str("\\Answered"),
            Flag::Flagged => f.write_str("\\Flagged"),
            Flag::Deleted => f.write_str("\\Deleted"),
            Flag::Draft => f.write_str("\\Draft"),
            Flag::Extension(name) => write!(f, "\\{name}"),
            Flag::Keyword(name) => f.write_str(name),
        }
    }
}
