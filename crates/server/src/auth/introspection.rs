//! Bearer tokens that only their issuer understands: it is asked (RFC 7662).
//!
//! One question takes at most [`TIMEOUT`], an answer is at most [`ANSWER_MAX`] long, and at most [`AT_ONCE`] are under way; whoever comes
//! after that is put off.

use super::token::{Claims, TokenError, TokenRules};
use bytes::Bytes;
use data_encoding::BASE64;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sasl::Secret;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Asks an authorization server about tokens.
pub struct Introspection {
    url: Uri,
    /// How this server proves itself to that one.
    authorization: Option<HeaderValue>,
    rules: TokenRules,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    places: Semaphore,
}

/// How this server proves itself to the authorization server (RFC 7662 §2.1, RFC 6749 §2.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSecret {
    /// The name that it is registered under.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
}

/// Why nobody can be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntrospectionError {
    /// The address is not usable.
    #[error("{0}")]
    Url(String),
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

/// How long one question may take.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer in bytes.
pub const ANSWER_MAX: usize = 64 * 1024;
/// How many questions are under way at once.
pub const AT_ONCE: usize = 32;

impl Introspection {
    /// Will ask at `url`: `https`, or `http` on this machine only, because tokens are as good as passwords.
    pub fn new(
        url: &str,
        client: Option<&ClientSecret>,
        rules: TokenRules,
    ) -> Result<Introspection, IntrospectionError> {
        let url = checked_url(url)?;
        let authorization = client.map(basic).transpose()?;
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls()?)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Introspection {
            url,
            authorization,
            rules,
            client: Client::builder(TokioExecutor::new()).build(connector),
            places: Semaphore::new(AT_ONCE),
        })
    }

    /// The account that this token is for, at `now` in seconds since 1970.
    pub async fn account(&self, token: &Secret, now: i64) -> Result<String, TokenError> {
        let unavailable = |what: &str| TokenError::Unavailable(what.to_owned());
        let _place =
            self.places.try_acquire().map_err(|_| unavailable("too many tokens wait to be checked"))?;
        match tokio::time::timeout(TIMEOUT, self.ask(token)).await {
            Ok(answer) => account(&self.rules, &answer.map_err(TokenError::Unavailable)?, now),
            Err(_) => Err(unavailable("the authorization server takes too long")),
        }
    }

    async fn ask(&self, token: &Secret) -> Result<Bytes, String> {
        let form =
            Zeroizing::new(format!("token={}&token_type_hint=access_token", *form_encoded(token.expose())));
        let mut request = Request::post(self.url.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(Full::new(Bytes::copy_from_slice(form.as_bytes())))
            .map_err(|error| error.to_string())?;
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let response = self.client.request(request).await.map_err(|error| error.to_string())?;
        if response.status() != StatusCode::OK {
            return Err(format!("the authorization server answered {}", response.status()));
        }
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        Ok(body.map_err(|error| error.to_string())?.to_bytes())
    }
}

/// The account that an authorization server's answer lets in, at `now` in seconds since 1970 (RFC 7662 §2.2).
pub fn account(rules: &TokenRules, answer: &[u8], now: i64) -> Result<String, TokenError> {
    let claims: Claims = serde_json::from_slice(answer).map_err(|_| {
        TokenError::Unavailable("the authorization server answered no JSON object".to_owned())
    })?;
    match claims.get("active") {
        Some(Value::Bool(true)) => rules.account(&claims, now),
        _ => Err(TokenError::Refused("it is not active")),
    }
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("url", &self.url)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

fn checked_url(url: &str) -> Result<Uri, IntrospectionError> {
    let wrong = |why: &str| IntrospectionError::Url(format!("{url:?} {why}"));
    let uri: Uri = url.parse().map_err(|_| wrong("is not a URL"))?;
    let host = uri.host().ok_or_else(|| wrong("names no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_here =
        host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_here => Ok(uri),
        Some("http") => Err(wrong("would show every token on the way: use https")),
        _ => Err(wrong("is not an https URL")),
    }
}

fn basic(client: &ClientSecret) -> Result<HeaderValue, IntrospectionError> {
    // RFC 6749 §2.3.1: both are encoded as in a form first.
    let pair =
        Zeroizing::new(format!("{}:{}", *form_encoded(&client.id), *form_encoded(client.secret.expose())));
    let value = Zeroizing::new(format!("Basic {}", BASE64.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&value)
        .map_err(|_| IntrospectionError::Url("the client's secret cannot be sent".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The authorities that the system trusts; the provider is given, not taken from a global.
fn tls() -> Result<rustls::ClientConfig, IntrospectionError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| IntrospectionError::Tls(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Text as the value of a form's field: everything but letters, digits and `-._~` is escaped.
fn form_encoded(text: &str) -> Zeroizing<String> {
    let mut encoded = Zeroizing::new(String::with_capacity(text.len() * 3));
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
