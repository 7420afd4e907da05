//! What a server keeps of a password for SCRAM, and what a client computes from one (RFC 5802 §3).

use crate::secret::same;
use crate::{Failure, Secret, prepare};
use aws_lc_rs::{digest, hmac, pbkdf2};
use data_encoding::BASE64;
use std::fmt;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// The octets of a key, a signature and a proof.
const KEY: usize = digest::SHA256_OUTPUT_LEN;

/// The longest salt, in octets.
pub(crate) const SALT_MAX: usize = 128;

/// How long the salts are that a server makes, in octets.
const SALT: usize = 16;

const SCHEME: &str = "SCRAM-SHA-256";

/// How often the hash is iterated: what a guess at a password costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Iterations(NonZeroU32);

impl Iterations {
    /// What RFC 7677 §4 asks for at least.
    pub const MIN: u32 = 4096;
    /// More than this is an attack on the client's time: a few seconds of it.
    pub const MAX: u32 = 5_000_000;
    /// What new verifiers are made with: the most that clients with Cyrus SASL take (mbsync, mutt, Postfix), which give up beyond it.
    pub const RECOMMENDED: Iterations = match Iterations::new(65_536) {
        Some(iterations) => iterations,
        None => panic!("it lies between MIN and MAX"),
    };

    /// That many; `None` outside [`MIN`](Self::MIN) to [`MAX`](Self::MAX).
    pub const fn new(count: u32) -> Option<Iterations> {
        match NonZeroU32::new(count) {
            Some(number) if count >= Iterations::MIN && count <= Iterations::MAX => Some(Iterations(number)),
            _ => None,
        }
    }

    /// How many.
    pub fn count(self) -> u32 {
        self.0.get()
    }
}

/// What a server keeps of a password so that SCRAM works: enough to check a proof, not enough to make one, but whoever
/// steals it can try passwords on it and can play the server.
///
/// As text it is `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>` with base64 fields, after RFC 5803;
/// PostgreSQL keeps the same text.
#[derive(Clone)]
pub struct ScramVerifier {
    iterations: Iterations,
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

/// Makes verifiers for users that do not exist, the same each time for the same name, so that an exchange with them looks like any
/// other. It must stay the same as long as real verifiers do, and stay secret.
#[derive(Clone)]
pub struct DecoyKey(Key);

/// What the client derives from a password: its proof and the signature to expect from the server.
pub(crate) struct ClientKeys {
    client_key: Key,
    server_key: Key,
}

/// A key, overwritten when dropped.
#[derive(Clone)]
struct Key(Zeroizing<[u8; KEY]>);

impl ScramVerifier {
    /// The verifier of this password, which is prepared here. The salt should be 16 random octets; only the first
    /// 128 are used. Takes as long as `iterations` says: a fraction of a second of computing.
    pub fn derive(password: &str, salt: &[u8], iterations: Iterations) -> ScramVerifier {
        let salt = &salt[..salt.len().min(SALT_MAX)];
        let ClientKeys { client_key, server_key } = ClientKeys::derive(password, salt, iterations);
        ScramVerifier { iterations, salt: salt.to_vec(), stored_key: client_key.hash(), server_key }
    }

    /// How often the hash is iterated in it.
    pub fn iterations(&self) -> Iterations {
        self.iterations
    }

    /// As text, for the store.
    pub fn record(&self) -> Secret {
        Secret::new(format!(
            "{SCHEME}${}:{}${}:{}",
            self.iterations.count(),
            BASE64.encode(&self.salt),
            BASE64.encode(&*self.stored_key.0),
            BASE64.encode(&*self.server_key.0)
        ))
    }

    /// Reads [`record`](Self::record)'s text.
    pub fn parse(record: &str) -> Result<ScramVerifier, Failure> {
        let parse = || {
            let (iterations, keys) = record.strip_prefix(SCHEME)?.strip_prefix('$')?.split_once('$')?;
            let (iterations, salt) = iterations.split_once(':')?;
            let (stored_key, server_key) = keys.split_once(':')?;
            let salt = BASE64.decode(salt.as_bytes()).ok()?;
            Some(ScramVerifier {
                iterations: Iterations::new(iterations.parse().ok()?)?,
                salt: (1..=SALT_MAX).contains(&salt.len()).then_some(salt)?,
                stored_key: Key::decode(stored_key)?,
                server_key: Key::decode(server_key)?,
            })
        };
        parse().ok_or(Failure::Malformed("SCRAM verifier"))
    }

    pub(crate) fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Whether the proof was made from the password, for this exchange.
    pub(crate) fn accepts(&self, auth_message: &str, proof: &[u8]) -> bool {
        let Ok(proof) = <[u8; KEY]>::try_from(proof) else { return false };
        let client_key = Key::new(xor(proof, self.stored_key.sign(auth_message)));
        same(&*client_key.hash().0, &*self.stored_key.0)
    }

    /// What proves to the client that the server knows the verifier.
    pub(crate) fn signature(&self, auth_message: &str) -> [u8; KEY] {
        self.server_key.sign(auth_message)
    }
}

impl DecoyKey {
    /// From 32 random octets.
    pub fn new(random: [u8; 32]) -> DecoyKey {
        DecoyKey(Key::new(random))
    }

    /// A verifier that no proof fits, with a salt as other users have one.
    pub fn verifier(&self, user: &str, iterations: Iterations) -> ScramVerifier {
        let derived = |what: &str| Key::new(self.0.sign(&format!("{what}\0{user}")));
        ScramVerifier {
            iterations,
            salt: derived("salt").0[..SALT].to_vec(),
            stored_key: derived("stored key"),
            server_key: derived("server key"),
        }
    }
}

impl ClientKeys {
    pub(crate) fn derive(password: &str, salt: &[u8], iterations: Iterations) -> ClientKeys {
        let mut salted = Zeroizing::new([0; KEY]);
        let password = Zeroizing::new(prepare(password).into_owned());
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(algorithm, iterations.0, salt, password.as_bytes(), &mut *salted);
        let salted = Key(salted);
        ClientKeys {
            client_key: Key::new(salted.sign("Client Key")),
            server_key: Key::new(salted.sign("Server Key")),
        }
    }

    pub(crate) fn proof(&self, auth_message: &str) -> [u8; KEY] {
        xor(*self.client_key.0, self.client_key.hash().sign(auth_message))
    }

    pub(crate) fn expects(&self, auth_message: &str, signature: &[u8]) -> bool {
        same(&self.server_key.sign(auth_message), signature)
    }
}

impl Key {
    fn new(key: [u8; KEY]) -> Key {
        Key(Zeroizing::new(key))
    }

    fn decode(text: &str) -> Option<Key> {
        let decoded = Zeroizing::new(BASE64.decode(text.as_bytes()).ok()?);
        decoded.as_slice().try_into().ok().map(Key::new)
    }

    fn sign(&self, message: &str) -> [u8; KEY] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*self.0), message.as_bytes());
        tag.as_ref().try_into().expect("HMAC-SHA-256 has 32 octets")
    }

    fn hash(&self) -> Key {
        let hash = digest::digest(&digest::SHA256, &*self.0);
        Key::new(hash.as_ref().try_into().expect("SHA-256 has 32 octets"))
    }
}

impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramVerifier").field("iterations", &self.iterations.count()).finish_non_exhaustive()
    }
}

impl fmt::Debug for DecoyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn xor(mut one: [u8; KEY], other: [u8; KEY]) -> [u8; KEY] {
    for (one, other) in one.iter_mut().zip(other) {
        *one ^= other;
    }
    one
}
