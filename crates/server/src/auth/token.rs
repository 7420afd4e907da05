//! What a bearer token must say to be good here, wherever its claims come from: its own signature ([`super::jwt`]) or the
//! authorization server ([`super::introspection`]). Pure: the time is an argument.

use serde_json::{Map, Value};

/// The claims of a token, by name (RFC 7519 §4, RFC 7662 §2.2).
pub type Claims = Map<String, Value>;

/// What is asked of every token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRules {
    /// Who must have issued it; `None` only with introspection, where the server that was asked is known.
    pub issuer: Option<String>,
    /// For whom it must be: tokens for other services of the same issuer are not for us.
    pub audience: Option<String>,
    /// The scopes that it must have.
    pub scopes: Vec<String>,
    /// The claim that names the account.
    pub account_claim: String,
}

/// Why a token does not let anybody in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not good; the reason is for the log.
    #[error("the token was refused: {0}")]
    Refused(&'static str),
    /// Whether it is good cannot be told now.
    #[error("the token cannot be checked: {0}")]
    Unavailable(String),
}

/// How far the clocks of two hosts may be apart, in seconds.
const LEEWAY: i64 = 60;

impl TokenRules {
    /// The account that these claims name, at `now` in seconds since 1970.
    pub fn account(&self, claims: &Claims, now: i64) -> Result<String, TokenError> {
        let refused = |why| Err(TokenError::Refused(why));
        let time = |name| match claims.get(name) {
            None => Ok(None),
            Some(value) => number(value).map(Some).ok_or(TokenError::Refused("a time that is no number")),
        };
        if time("exp")?.is_some_and(|expires| expires.saturating_add(LEEWAY) <= now) {
            return refused("it has expired");
        }
        if time("nbf")?.is_some_and(|from| from.saturating_sub(LEEWAY) > now) {
            return refused("it is not valid yet");
        }
        if self.issuer.is_some() && text(claims, "iss") != self.issuer.as_deref() {
            return refused("another issuer");
        }
        if self.audience.as_deref().is_some_and(|ours| !words(claims, "aud", Split::No).contains(&ours)) {
            return refused("it is for somebody else");
        }
        let mut granted = words(claims, "scope", Split::AtSpaces);
        granted.extend(words(claims, "scp", Split::AtSpaces));
        if !self.scopes.iter().all(|scope| granted.contains(&scope.as_str())) {
            return refused("a scope is missing");
        }
        // An address that nobody has verified is whatever its owner typed. Some issuers write the claim as a string.
        let is_true = |value: &Value| value == &Value::Bool(true) || value.as_str() == Some("true");
        if self.account_claim == "email" && claims.get("email_verified").is_some_and(|value| !is_true(value))
        {
            return refused("its address is not verified");
        }
        match text(claims, &self.account_claim) {
            Some(account) if !account.is_empty() => Ok(account.to_owned()),
            _ => refused("it does not name an account"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Split {
    No,
    AtSpaces,
}

fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str()
}

/// The strings of a claim that is one string or an array of them.
fn words<'a>(claims: &'a Claims, name: &str, split: Split) -> Vec<&'a str> {
    let strings = match claims.get(name) {
        Some(Value::String(text)) => vec![text.as_str()],
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    match split {
        Split::No => strings,
        Split::AtSpaces => strings.into_iter().flat_map(str::split_ascii_whitespace).collect(),
    }
}

/// A NumericDate (RFC 7519 §2), which may have a fraction.
fn number(value: &Value) -> Option<i64> {
    value
        .as_i64()
        .or_else(|| value.as_f64().filter(|seconds| seconds.is_finite()).map(|seconds| seconds as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_is_good_only_when_everything_fits() {
        let rules = TokenRules {
            issuer: Some("https://id.example".to_owned()),
            audience: Some("mail".to_owned()),
            scopes: vec!["send".to_owned()],
            account_claim: "email".to_owned(),
        };
        let good = json!({
            "iss": "https://id.example", "aud": ["other", "mail"], "exp": 1000, "nbf": 900, "scope": "read send",
            "email": "bob@b.example", "email_verified": true,
        });
        let account = |claims: &Value, now| rules.account(claims.as_object().expect("an object"), now);
        assert_eq!(account(&good, 950), Ok("bob@b.example".to_owned()));
        let mut in_words = good.clone();
        in_words["email_verified"] = json!("true");
        assert_eq!(account(&in_words, 950), Ok("bob@b.example".to_owned()));
        assert_eq!(account(&good, 1059), Ok("bob@b.example".to_owned()), "clocks differ");
        for (now, name, value, why) in [
            (1060, "x", json!(1), "it has expired"),
            (839, "x", json!(1), "it is not valid yet"),
            (950, "exp", json!("soon"), "a time that is no number"),
            (950, "exp", json!(12.5), "it has expired"),
            (950, "iss", json!("https://evil.example"), "another issuer"),
            (950, "iss", json!(["https://id.example"]), "another issuer"),
            (950, "aud", json!("other"), "it is for somebody else"),
            (950, "aud", Value::Null, "it is for somebody else"),
            (950, "scope", json!("sending"), "a scope is missing"),
            (950, "email_verified", json!(false), "its address is not verified"),
            (950, "email_verified", json!("false"), "its address is not verified"),
            (950, "email_verified", json!(0), "its address is not verified"),
            (950, "email_verified", Value::Null, "its address is not verified"),
            (950, "email", json!(7), "it does not name an account"),
            (950, "email", json!(""), "it does not name an account"),
        ] {
            let mut claims = good.clone();
            claims[name] = value;
            assert_eq!(account(&claims, now), Err(TokenError::Refused(why)), "{name}");
        }
    }
}
