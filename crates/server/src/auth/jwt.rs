//! Bearer tokens that carry their own proof: JSON Web Tokens (RFC 7519), signed with a key of a set that the operator configured.
//!
//! Only asymmetric algorithms are taken, and the key says which: a token cannot choose to be checked in another way (RFC 8725 §3.1).

use super::token::{Claims, TokenError, TokenRules};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use std::fmt;

/// The keys that tokens may be signed with, and what else is asked of them.
pub struct SignedTokens {
    keys: Vec<Key>,
    rules: TokenRules,
}

struct Key {
    id: Option<String>,
    key: DecodingKey,
    /// The only one that it is used with, or all of its kind.
    algorithms: Vec<Algorithm>,
}

/// Why a set of keys cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is not a JWK set (RFC 7517 §5).
    #[error("not a JSON Web Key set: {0}")]
    Malformed(String),
    /// No key in it verifies signatures with an algorithm that is taken.
    #[error("no key in it is for signatures with RS, PS, ES or EdDSA")]
    Empty,
}

/// What is taken: nothing with a shared secret, and never `none`.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

impl SignedTokens {
    /// From the text of a JWK set. Keys for other purposes are left out.
    pub fn new(key_set: &str, rules: TokenRules) -> Result<SignedTokens, KeySetError> {
        let set: JwkSet =
            serde_json::from_str(key_set).map_err(|error| KeySetError::Malformed(error.to_string()))?;
        let keys: Vec<Key> = set.keys.iter().filter_map(usable).collect();
        match keys.is_empty() {
            true => Err(KeySetError::Empty),
            false => Ok(SignedTokens { keys, rules }),
        }
    }

    /// The account that this token is for, at `now` in seconds since 1970.
    pub fn account(&self, token: &str, now: i64) -> Result<String, TokenError> {
        let header = decode_header(token).map_err(|_| TokenError::Refused("it is not a JSON Web Token"))?;
        // RFC 7515 §4.1.11: what is marked as critical and not understood makes a token invalid. No extension is understood here.
        if header.crit.is_some() {
            return Err(TokenError::Refused("it asks for an extension"));
        }
        let key = self.key(header.kid.as_deref()).ok_or(TokenError::Refused("it names no key of the set"))?;
        let mut validation = Validation::default();
        validation.algorithms.clone_from(&key.algorithms);
        // What the claims must say is in the rules, which know our clock.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims = decode::<Claims>(token, &key.key, &validation)
            .map_err(|_| TokenError::Refused("its signature is not good"))?
            .claims;
        if !claims.contains_key("exp") {
            return Err(TokenError::Refused("it never expires"));
        }
        self.rules.account(&claims, now)
    }

    /// The key that a token names, or the only one.
    fn key(&self, id: Option<&str>) -> Option<&Key> {
        match (id, self.keys.as_slice()) {
            (Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id)),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

impl fmt::Debug for SignedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedTokens").field("keys", &self.keys.len()).field("rules", &self.rules).finish()
    }
}

fn usable(jwk: &Jwk) -> Option<Key> {
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let named = jwk.common.key_algorithm.map(Algorithm::try_from);
    let algorithms: Vec<Algorithm> = match named {
        Some(named) => vec![named.ok()?],
        None => key.family().algorithms().to_vec(),
    };
    let taken: Vec<Algorithm> =
        algorithms.into_iter().filter(|algorithm| ALGORITHMS.contains(algorithm)).collect();
    (!taken.is_empty()).then(|| Key { id: jwk.common.key_id.clone(), key, algorithms: taken })
}

#[cfg(test)]
pub(super) mod tests;
