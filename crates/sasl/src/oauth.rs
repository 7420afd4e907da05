//! The messages of OAUTHBEARER (RFC 7628) and XOAUTH2: a bearer token between octets of value 1, and an error as JSON.

use crate::gs2::{self, Flag};
use crate::{Failure, NAME_MAX, Secret};

/// What a client sends instead of a response to the error (RFC 7628 §3.2.3).
pub(crate) const DUMMY: &str = "\u{1}";

const SEPARATOR: char = '\u{1}';

/// What a server tells clients about where tokens come from, when it refuses one (RFC 7628 §3.2.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OAuthHints {
    /// The scopes that a token needs, separated by spaces.
    pub scope: Option<String>,
    /// Where the authorization server's OpenID configuration is.
    pub openid_configuration: Option<String>,
}

/// What the client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// The user that it names.
    pub(crate) user: Option<String>,
    /// The token; empty when the client only asks for the hints (RFC 7628 §4.3).
    pub(crate) token: Secret,
}

impl Bearer {
    /// Reads an OAUTHBEARER message. Host and port are for the signatures of other token types and are skipped.
    pub(crate) fn parse(message: &str) -> Result<Bearer, Failure> {
        let (header, rest) = gs2::Header::parse(message)?;
        if let Flag::Used(_) = header.flag {
            return Err(Failure::ChannelBinding("bearer tokens have none"));
        }
        let rest = rest.strip_prefix(SEPARATOR).ok_or(Failure::Malformed("no key and value pairs"))?;
        Ok(Bearer { user: header.authorization, token: token(rest)? })
    }

    pub(crate) fn write(&self, host: &str, port: u16) -> Secret {
        let header = gs2::header(Flag::Unsupported, self.user.as_deref());
        let token = self.token.expose();
        Secret::new(format!("{header}\u{1}host={host}\u{1}port={port}\u{1}auth=Bearer {token}\u{1}\u{1}"))
    }

    /// Reads an XOAUTH2 message: `user=...^Aauth=Bearer ...^A^A`.
    pub(crate) fn parse_xoauth2(message: &str) -> Result<Bearer, Failure> {
        let malformed = Failure::Malformed("no user name");
        let (user, rest) = message.split_once(SEPARATOR).ok_or(malformed.clone())?;
        let user = user.strip_prefix("user=").filter(|user| !user.is_empty()).ok_or(malformed)?;
        if user.len() > NAME_MAX {
            return Err(Failure::TooLong);
        }
        Ok(Bearer { user: Some(user.to_owned()), token: token(rest)? })
    }

    pub(crate) fn write_xoauth2(&self) -> Secret {
        let user = self.user.as_deref().unwrap_or_default();
        Secret::new(format!("user={user}\u{1}auth=Bearer {}\u{1}\u{1}", self.token.expose()))
    }
}

impl OAuthHints {
    /// The error of OAUTHBEARER.
    pub(crate) fn refusal(&self) -> String {
        let mut json = "{\"status\":\"invalid_token\"".to_owned();
        member(&mut json, "scope", self.scope.as_deref());
        member(&mut json, "openid-configuration", self.openid_configuration.as_deref());
        json.push('}');
        json
    }

    /// The error of XOAUTH2.
    pub(crate) fn xoauth2_refusal(&self) -> String {
        let mut json = "{\"status\":\"401\",\"schemes\":\"bearer\"".to_owned();
        member(&mut json, "scope", self.scope.as_deref());
        json.push('}');
        json
    }
}

/// The token among pairs of `key "=" value`, each ended by an octet of value 1, and all by another one.
fn token(pairs: &str) -> Result<Secret, Failure> {
    let malformed = || Failure::Malformed("key and value pairs");
    let mut rest = pairs.strip_suffix(SEPARATOR).ok_or_else(malformed)?;
    let mut authorization = None;
    while !rest.is_empty() {
        let (pair, after) = rest.split_once(SEPARATOR).ok_or_else(malformed)?;
        let (key, value) = pair.split_once('=').ok_or_else(malformed)?;
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(malformed());
        }
        if key == "auth" && authorization.replace(value).is_some() {
            return Err(malformed());
        }
        rest = after;
    }
    match authorization.ok_or(Failure::Malformed("no token"))? {
        "" => Ok(Secret::default()),
        value => bearer(value).ok_or(Failure::Malformed("not a bearer token")),
    }
}

/// `Bearer` and a b64token (RFC 6750 §2.1); the scheme's case does not matter (RFC 9110 §11.1).
fn bearer(value: &str) -> Option<Secret> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && is_token(token)).then(|| Secret::new(token))
}

/// Whether the text can be a b64token.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
}

fn member(json: &mut String, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    json.push_str(",\"");
    json.push_str(name);
    json.push_str("\":\"");
    for character in value.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..='\u{1f}' => json.push_str(&format!("\\u{:04x}", u32::from(character))),
            other => json.push(other),
        }
    }
    json.push('"');
}
