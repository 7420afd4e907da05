//! What is kept of the passwords that an operator sets: hashes and verifiers, made here so that nothing else of a password is kept.

use crate::auth::{self, Costs, Kept, WithScram};
use store::Secret;

/// What is kept of a password that a person chose: Argon2id with the parameters that OWASP recommends (19 MiB, two passes, one lane), and
/// a SCRAM verifier if somebody can use it. Takes a fraction of a second of computing.
pub(super) fn hash(password: &Secret, scram: WithScram) -> Result<Kept, String> {
    let length = password.reveal().chars().count();
    if length < LENGTH_MIN {
        return Err(format!(
            "a password of {length} characters is guessed too soon: it needs at least {LENGTH_MIN}"
        ));
    }
    if password.reveal().len() > LENGTH_MAX {
        return Err(format!("a password may have at most {LENGTH_MAX} bytes"));
    }
    let password = sasl::Secret::new(password.reveal());
    Ok(auth::keep(&password, Costs::default(), scram, &auth::system_random()))
}

/// A hash that was made elsewhere, if it is one that can be checked.
pub(super) fn foreign(hash: &Secret) -> Result<Kept, String> {
    if !auth::password::is_taken(hash.reveal()) {
        let wanted =
            "the hash is no PHC string of Argon2 with bounded costs, like $argon2id$v=19$m=19456,t=2,p=1$…";
        return Err(wanted.to_owned());
    }
    Ok(Kept { password: hash.clone(), scram: None })
}

/// A new application password, and what is kept of it. It has 120 random bits, which nobody guesses however cheap a guess is: a keyed
/// hash is enough, and programs may log in every minute.
pub(super) fn application(scram: WithScram) -> (Secret, Kept) {
    let (password, kept) = auth::new_application_password(Costs::default(), scram, &auth::system_random());
    (Secret::new(password.expose()), kept)
}

/// The fewest characters of a password that a person chooses (NIST SP 800-63B §5.1.1.1).
const LENGTH_MIN: usize = 8;

/// The most bytes: nobody types more, and each is worked on.
const LENGTH_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use sasl::ScramVerifier;

    #[test]
    fn a_password_becomes_a_hash_and_a_verifier() {
        let kept = hash(&Secret::new("correct horse"), WithScram::Yes).expect("a good password");
        assert!(kept.password.reveal().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(foreign(&kept.password).is_ok(), "it can be carried to another server");
        let without = hash(&Secret::new("correct horse"), WithScram::No).expect("a good password");
        assert!(without.scram.is_none(), "where nobody could use it");
        let scram = kept.scram.expect("a verifier");
        assert!(
            ScramVerifier::parse(scram.reveal()).is_ok()
                && scram.reveal().starts_with("SCRAM-SHA-256$65536:")
        );
    }

    #[test]
    fn bad_passwords_and_hashes_are_refused() {
        assert!(hash(&Secret::new("passwor"), WithScram::Yes).expect_err("too short").contains("at least 8"));
        assert!(hash(&Secret::new("x".repeat(1025)), WithScram::Yes).is_err());
        for wrong in ["", "secret", "$2b$12$abcdefghijklmnopqrstuu", "$argon2id$v=19$m=19456,t=2,p=1"] {
            assert!(foreign(&Secret::new(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn application_passwords_are_long_and_all_different() {
        let (one, kept) = application(WithScram::Yes);
        let (other, _) = application(WithScram::Yes);
        assert_eq!((one.reveal().len(), one.reveal().matches('-').count()), (29, 5));
        assert_ne!(one, other);
        assert!(kept.password.reveal().starts_with("$hmac-sha256$"));
    }
}
