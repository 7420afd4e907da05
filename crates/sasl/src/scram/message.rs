//! The four messages of SCRAM (RFC 5802 §5, §7), read and written. Extensions that are not mandatory are skipped.

use super::verifier::{Iterations, SALT_MAX};
use crate::gs2;
use crate::{Failure, MESSAGE_MAX};
use data_encoding::BASE64;

/// The longest nonce, in octets.
const NONCE_MAX: usize = 512;

/// What the client says first, without its GS2 header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientFirst<'a> {
    pub(crate) user: String,
    pub(crate) nonce: &'a str,
}

/// What the server says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerFirst<'a> {
    /// The client's part and the server's.
    pub(crate) nonce: &'a str,
    pub(crate) salt: Vec<u8>,
    /// As written; the client says whether it is willing.
    pub(crate) iterations: u32,
}

/// What the client says last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientFinal<'a> {
    /// GS2 header and channel binding data.
    pub(crate) channel_binding: Vec<u8>,
    pub(crate) nonce: &'a str,
    pub(crate) proof: Vec<u8>,
    /// The message up to the proof: what is signed.
    pub(crate) without_proof: &'a str,
}

/// What the server says last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerFinal {
    pub(crate) signature: Vec<u8>,
}

impl<'a> ClientFirst<'a> {
    pub(crate) fn parse(bare: &'a str) -> Result<ClientFirst<'a>, Failure> {
        let mut attributes = Attributes(Some(bare));
        // `m=` stands here only to announce an extension that must be understood: then the name is not next.
        let user = gs2::decode_name(attributes.take("n=")?)?;
        let nonce = nonce(attributes.take("r=")?)?;
        attributes.end()?;
        Ok(ClientFirst { user, nonce })
    }

    pub(crate) fn write(user: &str, nonce: &str) -> String {
        format!("n={},r={nonce}", gs2::encode_name(user))
    }
}

impl<'a> ServerFirst<'a> {
    pub(crate) fn parse(message: &'a str) -> Result<ServerFirst<'a>, Failure> {
        let mut attributes = Attributes(Some(message));
        let nonce = nonce(attributes.take("r=")?)?;
        let salt = base64(attributes.take("s=")?)?;
        if salt.is_empty() || salt.len() > SALT_MAX {
            return Err(Failure::Malformed("salt"));
        }
        let iterations = attributes.take("i=")?;
        let is_number = iterations.bytes().all(|byte| byte.is_ascii_digit());
        let iterations = iterations.parse().ok().filter(|_| is_number);
        attributes.end()?;
        Ok(ServerFirst { nonce, salt, iterations: iterations.ok_or(Failure::Malformed("iteration count"))? })
    }

    pub(crate) fn write(nonce: &str, salt: &[u8], iterations: Iterations) -> String {
        format!("r={nonce},s={},i={}", BASE64.encode(salt), iterations.count())
    }
}

impl<'a> ClientFinal<'a> {
    pub(crate) fn parse(message: &'a str) -> Result<ClientFinal<'a>, Failure> {
        // The proof is the last attribute, whatever comes before it; base64 holds no comma.
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(Failure::Malformed("no proof"))?;
        let mut attributes = Attributes(Some(without_proof));
        let channel_binding = base64(attributes.take("c=")?)?;
        let nonce = nonce(attributes.take("r=")?)?;
        attributes.end()?;
        Ok(ClientFinal { channel_binding, nonce, proof: base64(proof)?, without_proof })
    }

    pub(crate) fn write_without_proof(channel_binding: &[u8], nonce: &str) -> String {
        format!("c={},r={nonce}", BASE64.encode(channel_binding))
    }

    pub(crate) fn write(without_proof: &str, proof: &[u8]) -> String {
        format!("{without_proof},p={}", BASE64.encode(proof))
    }
}

impl ServerFinal {
    pub(crate) fn parse(message: &str) -> Result<ServerFinal, Failure> {
        let mut attributes = Attributes(Some(message));
        if message.starts_with("e=") {
            return Err(Failure::Refused);
        }
        let signature = base64(attributes.take("v=")?)?;
        attributes.end()?;
        Ok(ServerFinal { signature })
    }

    pub(crate) fn write(signature: &[u8]) -> String {
        format!("v={}", BASE64.encode(signature))
    }
}

/// Whether this can be a nonce or a part of one: printable ASCII without a comma.
pub(crate) fn is_nonce(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= NONCE_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

/// Attributes from left to right.
struct Attributes<'a>(Option<&'a str>);

impl<'a> Attributes<'a> {
    /// The value of the next attribute, which must have this name: their order is fixed (RFC 5802 §5.1).
    fn take(&mut self, name: &str) -> Result<&'a str, Failure> {
        let rest = self.0.ok_or(Failure::Malformed("an attribute is missing"))?;
        let (next, rest) = match rest.split_once(',') {
            Some((next, rest)) => (next, Some(rest)),
            None => (rest, None),
        };
        self.0 = rest;
        next.strip_prefix(name).ok_or(Failure::Malformed("an attribute is not in its place"))
    }

    /// Only extensions may follow: `letter "=" value`.
    fn end(mut self) -> Result<(), Failure> {
        while let Some(rest) = self.0 {
            let (next, rest) = match rest.split_once(',') {
                Some((next, rest)) => (next, Some(rest)),
                None => (rest, None),
            };
            let is_extension =
                matches!(next.as_bytes(), [letter, b'=', _, ..] if letter.is_ascii_alphabetic());
            if !is_extension || next.starts_with("m=") {
                return Err(Failure::Malformed("extension"));
            }
            self.0 = rest;
        }
        Ok(())
    }
}

fn nonce(text: &str) -> Result<&str, Failure> {
    match is_nonce(text) {
        true => Ok(text),
        false => Err(Failure::Malformed("nonce")),
    }
}

fn base64(text: &str) -> Result<Vec<u8>, Failure> {
    if text.len() > MESSAGE_MAX {
        return Err(Failure::TooLong);
    }
    BASE64.decode(text.as_bytes()).map_err(|_| Failure::Malformed("base64"))
}
