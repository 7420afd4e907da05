//! Where bearer tokens are checked: with the keys in a file, which is read again when it changes, or by the authorization server.

use super::introspection::{ClientSecret, Introspection, IntrospectionError};
use super::jwt::{KeySetError, SignedTokens};
use super::token::{TokenError, TokenRules};
use crate::settings::{OAuth, TokenSource};
use sasl::Secret;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Checks bearer tokens.
#[derive(Debug)]
pub struct Tokens(Source);

#[derive(Debug)]
enum Source {
    Keys(Box<KeyFile>),
    Introspection(Box<Introspection>),
}

/// Why tokens cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// A file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file of keys has none that can be used.
    #[error("{}: {error}", path.display())]
    Keys {
        /// Which.
        path: PathBuf,
        /// Why.
        error: KeySetError,
    },
    /// The authorization server cannot be asked.
    #[error(transparent)]
    Introspection(#[from] IntrospectionError),
}

/// A file of keys, and what was last read from it.
#[derive(Debug)]
struct KeyFile {
    path: PathBuf,
    rules: TokenRules,
    read: Mutex<Read>,
}

#[derive(Debug)]
struct Read {
    tokens: Arc<SignedTokens>,
    /// What the file looked like.
    stamp: Stamp,
    looked: Instant,
}

type Stamp = Option<(SystemTime, u64)>;

/// How often the file is looked at, at most.
const LOOK: Duration = Duration::from_secs(10);

impl Tokens {
    /// What the settings say; reads the files that they name. `now` is the moment on the clock that [`Tokens::account`] is given.
    pub fn new(oauth: &OAuth, now: Instant) -> Result<Tokens, TokensError> {
        let rules = oauth.rules.clone();
        Ok(Tokens(match &oauth.source {
            TokenSource::Keys(path) => Source::Keys(Box::new(KeyFile::open(path, rules, now)?)),
            TokenSource::Introspection { url, client } => {
                let client = client.as_ref().map(|(id, file)| client_secret(id, file)).transpose()?;
                Source::Introspection(Box::new(Introspection::new(url, client.as_ref(), rules)?))
            }
        }))
    }

    /// The account that this token is for; `time` is in seconds since 1970.
    pub async fn account(&self, token: &Secret, time: i64, now: Instant) -> Result<String, TokenError> {
        match &self.0 {
            Source::Keys(file) => file.current(now).account(token.expose(), time),
            Source::Introspection(server) => server.account(token, time).await,
        }
    }
}

impl KeyFile {
    fn open(path: &Path, rules: TokenRules, now: Instant) -> Result<KeyFile, TokensError> {
        let stamp = stamp(path);
        let tokens = Arc::new(read_keys(path, &rules)?);
        Ok(KeyFile { path: path.to_owned(), rules, read: Mutex::new(Read { tokens, stamp, looked: now }) })
    }

    /// The keys as the file has them now. One that cannot be read leaves those of before in force.
    fn current(&self, now: Instant) -> Arc<SignedTokens> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(read.looked) >= LOOK {
            read.looked = now;
            let stamp = stamp(&self.path);
            if stamp != read.stamp {
                match read_keys(&self.path, &self.rules) {
                    Ok(tokens) => {
                        tracing::info!("the keys for tokens were read anew");
                        *read = Read { tokens: Arc::new(tokens), stamp, looked: now };
                    }
                    Err(error) => tracing::warn!("the keys for tokens stay as they were: {error}"),
                }
            }
        }
        Arc::clone(&read.tokens)
    }
}

fn read_keys(path: &Path, rules: &TokenRules) -> Result<SignedTokens, TokensError> {
    let text = read(path)?;
    SignedTokens::new(&text, rules.clone())
        .map_err(|error| TokensError::Keys { path: path.to_owned(), error })
}

fn client_secret(id: &str, file: &Path) -> Result<ClientSecret, TokensError> {
    let text = zeroize::Zeroizing::new(read(file)?);
    Ok(ClientSecret { id: id.to_owned(), secret: Secret::new(text.trim()) })
}

fn read(path: &Path) -> Result<String, TokensError> {
    std::fs::read_to_string(path).map_err(|cause| TokensError::File { path: path.to_owned(), cause })
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::jwt::tests::{claims, ed25519, rules, sign};
    use sasl::server::OAuthHints;
    use serde_json::json;

    #[tokio::test]
    async fn keys_are_read_again_and_a_broken_file_leaves_the_old_ones_in_force() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let write = |text: String| std::fs::write(file.path(), text).expect("it can be written");
        let (old, new) = (ed25519("old"), ed25519("a newer one"));
        write(json!({ "keys": [old.jwk] }).to_string());
        let oauth = OAuth {
            source: TokenSource::Keys(file.path().to_owned()),
            rules: rules(),
            hints: OAuthHints::default(),
        };
        let start = Instant::now();
        let tokens = Tokens::new(&oauth, start).expect("keys");
        let of_old = Secret::new(sign(&old, Some("old"), &claims()));
        let of_new = Secret::new(sign(&new, Some("a newer one"), &claims()));
        let is_good = async |token: &Secret, seconds: u64| {
            tokens.account(token, 1000, start + Duration::from_secs(seconds)).await.is_ok()
        };
        assert!(is_good(&of_old, 0).await && !is_good(&of_new, 0).await);
        write("{ half of it".to_owned());
        assert!(is_good(&of_old, 20).await, "a file that cannot be read changes nothing");
        write(json!({ "keys": [new.jwk] }).to_string());
        assert!(is_good(&of_old, 29).await, "it is not looked at all the time");
        assert!(is_good(&of_new, 30).await && !is_good(&of_old, 30).await);
        std::fs::remove_file(file.path()).expect("it is there");
        assert!(is_good(&of_new, 60).await, "nor does one that is gone");
    }
}
