//! Fetching a policy (RFC 8461 §3.3): one HTTPS request, from a host of the domain with a certificate for its name, answered with a short text. Nothing
//! else is followed, and all of it takes at most a minute.

use super::policy::Policy;
use crate::https::{HttpsError, Web};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};

/// Why there is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    /// It could not be asked for.
    #[error("{0}")]
    Web(#[from] HttpsError),
    /// The answer is none.
    #[error("{0}")]
    Answer(String),
    /// What came is no policy.
    #[error("{0}")]
    Invalid(&'static str),
}

/// Fetches the policy of a domain, or says why there is none.
pub(super) async fn policy(web: &Web<'_>, domain: &str) -> Result<Policy, FetchError> {
    let host = format!("mta-sts.{domain}");
    let request = Request::get("/.well-known/mta-sts.txt").body(Full::<Bytes>::default());
    let request = request.map_err(|error| FetchError::Answer(error.to_string()))?;
    let answer = web.ask(&host, request, POLICY_MAX).await?;
    // A redirection is no answer (§3.3).
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Answer(format!("{host} answers {}", answer.status())));
    }
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/plain")) {
        return Err(FetchError::Answer(format!("{host} answers with {kind:?} instead of text/plain")));
    }
    let text = std::str::from_utf8(answer.body()).map_err(|_| FetchError::Invalid("it is no text"))?;
    Policy::parse(text).map_err(FetchError::Invalid)
}

/// RFC 8461 §3.3.
const POLICY_MAX: usize = 64 * 1024;
