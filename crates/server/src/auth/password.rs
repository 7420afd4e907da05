//! What is kept of passwords, and how one is checked: Argon2id for those that people choose, a plain keyed hash for those that
//! this server makes. Pure: salts are arguments. The work of Argon2 belongs on the [`super::pool`].

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::{constant_time, hmac};
use data_encoding::{BASE64_NOPAD, Encoding, Specification};
use sasl::{Secret, prepare};
use std::fmt;
use std::sync::LazyLock;

/// What one check of a password costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
}

/// The memory that Argon2 works in. Whoever checks many passwords keeps one: to allocate and free 19 MiB for each breaks the heap into
/// pieces that fit nothing, and the process grows to several times of what it uses.
#[derive(Default)]
pub struct Scratch(Vec<Block>);

/// How a kept hash stands to the cost that new ones have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It costs the same.
    Current,
    /// It was made with other parameters: to be made anew while the password is at hand.
    Outdated,
}

/// The octets of a salt.
pub const SALT: usize = 16;

/// The octets of randomness in an application password: 120 bits, 24 characters.
pub const APPLICATION_PASSWORD: usize = 15;

/// The most that a kept hash may cost, as a multiple of the defaults: one that was imported must not stop the server.
const MAX_MEMORY: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;

/// As much as the default costs is kept of a [`Scratch`]; a block is 1 KiB.
const KEPT_BLOCKS: usize = 19_456;

const MADE_HERE: &str = "$hmac-sha256$";

impl Default for Cost {
    /// The first of OWASP's equivalent recommendations for Argon2id that fits a server with little memory: 19 MiB, two passes, one
    /// lane.
    fn default() -> Cost {
        Cost { memory: 19_456, passes: 2 }
    }
}

impl Cost {
    fn hasher(self) -> Argon2<'static> {
        let params = Params::new(self.memory.max(Params::MIN_M_COST), self.passes.max(1), 1, None);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params.expect("sizes within Argon2's bounds"))
    }
}

/// The PHC string that is kept of a password; the password is prepared here.
pub fn hash(password: &str, salt: &[u8; SALT], cost: Cost) -> Secret {
    let hash = cost.hasher().hash_password_with_salt(prepare(password).as_bytes(), salt);
    Secret::new(hash.expect("a password and a salt within Argon2's bounds").to_string())
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scratch").field(&self.0.len()).finish()
    }
}

impl Scratch {
    /// Does the work of Argon2.
    fn compute(&mut self, argon2: &Argon2<'_>, password: &str, salt: &[u8], output: &mut [u8]) -> Option<()> {
        let blocks = argon2.params().block_count();
        if self.0.len() < blocks {
            self.0.resize(blocks, Block::default());
        }
        let computed = argon2.hash_password_into_with_memory(
            prepare(password).as_bytes(),
            salt,
            output,
            &mut self.0[..blocks],
        );
        // What a hash that was imported needed beyond the usual is not kept.
        if blocks > KEPT_BLOCKS {
            self.0 = Vec::new();
        }
        computed.ok()
    }
}

/// Checks a password against a PHC string of Argon2. `None` when it does not match, or the string is none that is taken.
pub fn verify(password: &str, record: &str, cost: Cost, scratch: &mut Scratch) -> Option<Freshness> {
    let (kept, params) = parsed(record)?;
    let (salt, expected) = (kept.salt.as_ref()?, kept.hash.as_ref()?.as_bytes());
    let algorithm = Algorithm::try_from(kept.algorithm.as_str()).ok()?;
    let version = kept.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    let mut output = vec![0; expected.len()];
    scratch.compute(&Argon2::new(algorithm, version, params.clone()), password, salt, &mut output)?;
    constant_time::verify_slices_are_equal(&output, expected).ok()?;
    let same = (params.m_cost(), params.t_cost(), params.p_cost()) == (cost.memory, cost.passes, 1);
    let is_current = same && kept.algorithm == Algorithm::Argon2id.ident();
    Some(if is_current { Freshness::Current } else { Freshness::Outdated })
}

/// Whether a hash that was made elsewhere can be checked here: a PHC string of Argon2 that does not cost too much.
pub fn is_taken(record: &str) -> bool {
    parsed(record).is_some_and(|(kept, _)| kept.hash.is_some() && kept.salt.is_some())
}

/// Does the work of [`verify`] for nobody.
pub fn verify_nothing(password: &str, cost: Cost, scratch: &mut Scratch) {
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    let computed = scratch.compute(&cost.hasher(), password, &[0; SALT], &mut output);
    computed.expect("a password and a salt within Argon2's bounds");
    std::hint::black_box(output);
}

fn parsed(record: &str) -> Option<(PasswordHash, Params)> {
    let kept = PasswordHash::new(record).ok()?;
    Algorithm::try_from(kept.algorithm.as_str()).ok()?;
    let params = Params::try_from(&kept).ok()?;
    let is_bounded =
        params.m_cost() <= MAX_MEMORY && params.t_cost() <= MAX_PASSES && params.p_cost() <= MAX_LANES;
    is_bounded.then_some((kept, params))
}

/// An application password out of random octets: `abcd-efgh-…`, in groups that can be read out.
pub fn application_password(random: &[u8; APPLICATION_PASSWORD]) -> Secret {
    let characters = ALPHABET.encode(random);
    let groups: Vec<&str> = (0..characters.len()).step_by(4).map(|at| &characters[at..at + 4]).collect();
    Secret::new(groups.join("-"))
}

/// What is kept of an application password. One with 120 random bits cannot be guessed however cheap a guess is, so that checking it
/// needs no Argon2, and programs may log in every minute.
pub fn hash_application_password(password: &str, salt: &[u8; SALT]) -> Secret {
    let tag = keyed(salt, &characters(password));
    Secret::new(format!("{MADE_HERE}{}${}", BASE64_NOPAD.encode(salt), BASE64_NOPAD.encode(tag.as_ref())))
}

/// Checks an application password; case, spaces and dashes do not matter.
pub fn is_application_password(password: &str, record: &str) -> bool {
    let kept = || {
        let (salt, tag) = record.strip_prefix(MADE_HERE)?.split_once('$')?;
        Some((BASE64_NOPAD.decode(salt.as_bytes()).ok()?, BASE64_NOPAD.decode(tag.as_bytes()).ok()?))
    };
    let Some((salt, tag)) = kept() else { return false };
    let shown = keyed(&salt, &characters(password));
    constant_time::verify_slices_are_equal(shown.as_ref(), &tag).is_ok()
}

/// What an application password means, however it is written. SCRAM cannot forgive like that: there it is to be as it was shown.
fn characters(password: &str) -> Secret {
    let meant = password.chars().filter(|character| !matches!(character, '-' | ' '));
    Secret::new(meant.map(|character| character.to_ascii_lowercase()).collect::<String>())
}

fn keyed(salt: &[u8], password: &Secret) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), password.expose().as_bytes())
}

/// Letters and digits that are not taken for one another: Crockford's, in lower case.
static ALPHABET: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    specification.encoding().expect("32 different symbols")
});

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory: 64, passes: 1 };

    fn verify(password: &str, record: &str, cost: Cost) -> Option<Freshness> {
        super::verify(password, record, cost, &mut Scratch::default())
    }

    const SALT_A: [u8; SALT] = [1; SALT];

    #[test]
    fn a_password_matches_its_own_hash_only() {
        let kept = hash("correct horse", &SALT_A, CHEAP);
        assert!(kept.expose().starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "a PHC string");
        assert_eq!(verify("correct horse", kept.expose(), CHEAP), Some(Freshness::Current));
        assert_eq!(
            verify("correct horse", kept.expose(), Cost { memory: 128, passes: 1 }),
            Some(Freshness::Outdated)
        );
        for wrong in ["correct hors", "", "Correct horse"] {
            assert_eq!(verify(wrong, kept.expose(), CHEAP), None, "{wrong}");
        }
        // One letter and its compatibility form are the same password (RFC 4013).
        let kept = hash("\u{aa}", &SALT_A, CHEAP);
        assert_eq!(verify("a", kept.expose(), CHEAP), Some(Freshness::Current));
    }

    #[test]
    fn the_defaults_are_owasps() {
        // Cheap enough to be made once; the parameters are in the string.
        let kept = hash("x", &SALT_A, Cost::default());
        assert!(kept.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", kept.expose());
    }

    #[test]
    fn memory_is_used_again_whatever_was_in_it() {
        let (small, large) =
            (hash("small", &SALT_A, CHEAP), hash("large", &SALT_A, Cost { memory: 256, passes: 2 }));
        let mut scratch = Scratch::default();
        for _ in 0..2 {
            assert!(super::verify("large", large.expose(), CHEAP, &mut scratch).is_some());
            assert!(super::verify("small", large.expose(), CHEAP, &mut scratch).is_none());
            assert!(super::verify("small", small.expose(), CHEAP, &mut scratch).is_some());
            verify_nothing("small", CHEAP, &mut scratch);
        }
        assert_eq!(scratch.0.len(), 256);
        let huge = hash("huge", &SALT_A, Cost { memory: 20_000, passes: 1 });
        assert!(super::verify("huge", huge.expose(), CHEAP, &mut scratch).is_some());
        assert!(scratch.0.is_empty(), "more than the usual is not kept");
    }

    #[test]
    fn hashes_of_others_are_taken_within_bounds() {
        // Made by the reference implementation (argon2-cffi).
        for record in [
            "$argon2id$v=19$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$f7PxsSQ94BqmeTb28yE82n8wJmpN6yOb",
            "$argon2i$v=19$m=64,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$O9fJN1vCoHR9HcTej87n9/LcgYh+/hAG",
        ] {
            assert_eq!(verify("password", record, CHEAP), Some(Freshness::Outdated), "{record}");
            assert_eq!(verify("Password", record, CHEAP), None, "{record}");
            assert!(is_taken(record), "{record}");
        }
        let huge = hash("password", &SALT_A, CHEAP).expose().replace("m=64", "m=4000000");
        assert_eq!(verify("password", &huge, CHEAP), None);
        assert!(!is_taken(&huge));
        for record in ["", "$6$salt$hash", "plain", "$argon2id$v=19$m=64,t=1,p=1$"] {
            assert_eq!(verify("password", record, CHEAP), None, "{record}");
            assert!(!is_taken(record), "{record}");
        }
    }

    #[test]
    fn an_application_password_is_forgiving_about_its_dashes() {
        let password = application_password(&[0xA5; APPLICATION_PASSWORD]);
        let kept = hash_application_password(password.expose(), &SALT_A);
        assert_eq!(password.expose().len(), 24 + 5);
        for shown in [
            password.expose().to_owned(),
            password.expose().replace('-', ""),
            password.expose().to_uppercase(),
        ] {
            assert!(is_application_password(&shown, kept.expose()), "{shown}");
        }
        let other = application_password(&[0xA4; APPLICATION_PASSWORD]);
        assert!(!is_application_password(other.expose(), kept.expose()));
        assert!(!is_application_password(password.expose(), "$hmac-sha256$$"));
        assert!(!is_application_password(password.expose(), hash("x", &SALT_A, CHEAP).expose()));
    }
}
