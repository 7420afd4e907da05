//! The GS2 header (RFC 5801 §4) that SCRAM and OAUTHBEARER begin with: what the client knows of channel binding, and for whom it acts.

use crate::{Failure, NAME_MAX};

/// What a client says of channel binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag<'a> {
    /// `n`: it cannot do it.
    Unsupported,
    /// `y`: it can, but thinks that the server cannot.
    NotOffered,
    /// `p=`: it uses this type.
    Used(&'a str),
}

/// A GS2 header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    pub(crate) flag: Flag<'a>,
    /// The authorization identity, if one is given.
    pub(crate) authorization: Option<String>,
}

impl<'a> Header<'a> {
    /// Reads `gs2-cbind-flag "," [ authzid ] ","`; returns what follows as well.
    pub(crate) fn parse(message: &'a str) -> Result<(Header<'a>, &'a str), Failure> {
        let malformed = Failure::Malformed("GS2 header");
        let (flag, rest) = message.split_once(',').ok_or(malformed.clone())?;
        let (authorization, rest) = rest.split_once(',').ok_or(malformed.clone())?;
        let flag = match flag {
            "n" => Flag::Unsupported,
            "y" => Flag::NotOffered,
            other => Flag::Used(other.strip_prefix("p=").ok_or(malformed.clone())?),
        };
        let authorization = match authorization {
            "" => None,
            name => Some(decode_name(name.strip_prefix("a=").ok_or(malformed)?)?),
        };
        Ok((Header { flag, authorization }, rest))
    }
}

/// Writes a header; `authorization` is given as it is.
pub(crate) fn header(flag: Flag<'_>, authorization: Option<&str>) -> String {
    let mut header = match flag {
        Flag::Unsupported => "n,".to_owned(),
        Flag::NotOffered => "y,".to_owned(),
        Flag::Used(name) => format!("p={name},"),
    };
    if let Some(name) = authorization {
        header.push_str("a=");
        header.push_str(&encode_name(name));
    }
    header.push(',');
    header
}

/// A name with `,` and `=` written so that they end nothing (RFC 5802 §5.1).
pub(crate) fn encode_name(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// The name that `saslname` writes; never empty.
pub(crate) fn decode_name(written: &str) -> Result<String, Failure> {
    if written.len() > NAME_MAX {
        return Err(Failure::TooLong);
    }
    let malformed = Failure::Malformed("user name");
    let mut name = String::with_capacity(written.len());
    let mut rest = written;
    while let Some((before, after)) = rest.split_once('=') {
        name.push_str(before);
        let (code, after) = after.split_at_checked(2).ok_or(malformed.clone())?;
        name.push(match code {
            "2C" => ',',
            "3D" => '=',
            _ => return Err(malformed),
        });
        rest = after;
    }
    name.push_str(rest);
    match name.is_empty() || name.contains('\0') {
        true => Err(malformed),
        false => Ok(name),
    }
}
