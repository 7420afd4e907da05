//! Which of an account's passwords is shown, and which SCRAM verifier stands for an account. Pure, but for the time that
//! Argon2 takes.

use super::password::{Cost, Freshness, Scratch, is_application_password, verify, verify_nothing};
use sasl::{ScramVerifier, Secret};
use store::Credentials;

/// What a password is to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// The main one.
    Main(Freshness),
    /// The application password of this name.
    Application(String),
    /// None of them.
    None,
}

/// Checks a password against all that an account has; `None` is an account that does not exist.
///
/// Whoever is refused has cost one run of Argon2, whether there is such an account, whether it has a password, and however many
/// application passwords it has: those are so cheap to check that the difference drowns.
pub fn check(
    credentials: Option<&Credentials>,
    password: &Secret,
    cost: Cost,
    scratch: &mut Scratch,
) -> Match {
    let applications = credentials.map_or(&[][..], |credentials| &credentials.application_passwords);
    let shown = applications
        .iter()
        .find(|application| is_application_password(password.expose(), application.password.reveal()));
    if let Some(application) = shown {
        return Match::Application(application.name.clone());
    }
    let Some(kept) = credentials.and_then(|credentials| credentials.password.as_ref()) else {
        verify_nothing(password.expose(), cost, scratch);
        return Match::None;
    };
    match verify(password.expose(), kept.reveal(), cost, scratch) {
        Some(freshness) => Match::Main(freshness),
        None => Match::None,
    }
}

/// The verifier that SCRAM is spoken with, and the name of the application password that it belongs to, if it is one's.
///
/// SCRAM has room for one verifier: the server sends its salt before it can know which password the client has. So it is the main
/// password's; an application password is used when the account has no other verifier, so that there is no doubt which is meant.
pub fn verifier(credentials: &Credentials) -> Option<(ScramVerifier, Option<&str>)> {
    let parsed = |record: &store::Secret| ScramVerifier::parse(record.reveal()).ok();
    if let Some(main) = credentials.scram.as_ref().and_then(parsed) {
        return Some((main, None));
    }
    // A main password without a verifier of its own could be meant, too.
    if credentials.password.is_some() {
        return None;
    }
    let mut applications = credentials.application_passwords.iter().filter_map(|application| {
        Some((parsed(application.scram.as_ref()?)?, Some(application.name.as_str())))
    });
    applications.next().filter(|_| applications.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::password::{SALT, hash, hash_application_password};
    use sasl::Iterations;
    use store::{ApplicationPassword, Timestamp};

    const CHEAP: Cost = Cost { memory: 64, passes: 1 };

    fn kept(secret: Secret) -> store::Secret {
        store::Secret::new(secret.expose())
    }

    fn scram(password: &str) -> store::Secret {
        let iterations = Iterations::new(Iterations::MIN).expect("the bound");
        kept(ScramVerifier::derive(password, b"salt", iterations).record())
    }

    fn application(name: &str, password: &str) -> ApplicationPassword {
        ApplicationPassword {
            name: name.to_owned(),
            password: kept(hash_application_password(password, &[2; SALT])),
            scram: Some(scram(password)),
            created: Timestamp(0),
            last_used: None,
        }
    }

    #[test]
    fn each_password_is_known_by_its_own_hash() {
        let credentials = Credentials {
            password: Some(kept(hash("main", &[1; SALT], CHEAP))),
            scram: None,
            application_passwords: vec![
                application("phone", "abcd-efgh"),
                application("laptop", "ijkl-mnop"),
            ],
        };
        let mut scratch = Scratch::default();
        let mut check =
            |password: &str, cost| check(Some(&credentials), &Secret::new(password), cost, &mut scratch);
        assert_eq!(check("main", CHEAP), Match::Main(Freshness::Current));
        assert_eq!(check("main", Cost { memory: 128, passes: 1 }), Match::Main(Freshness::Outdated));
        assert_eq!(check("IJKLMNOP", CHEAP), Match::Application("laptop".to_owned()));
        assert_eq!(check("wrong", CHEAP), Match::None);
        let main = super::check(None, &Secret::new("main"), CHEAP, &mut Scratch::default());
        assert_eq!(main, Match::None);
        let empty =
            super::check(Some(&Credentials::default()), &Secret::new(""), CHEAP, &mut Scratch::default());
        assert_eq!(empty, Match::None);
    }

    /// What a refusal costs, for everybody: measured as the processor time of this thread, which other programs do not change, and
    /// taken in turn, so that a slow phase of the machine meets all alike.
    #[test]
    fn a_refusal_costs_the_same_whoever_is_refused() {
        let main = Credentials {
            password: Some(kept(hash("main", &[1; SALT], Cost::default()))),
            ..Credentials::default()
        };
        let many = Credentials {
            application_passwords: (0..32).map(|_| application("app", "abcd-efgh")).collect(),
            ..main.clone()
        };
        let accounts = [None, Some(&main), Some(&many), Some(&Credentials::default())];
        let mut costs = [const { Vec::new() }; 4];
        let mut scratch = Scratch::default();
        for _ in 0..21 {
            for (account, costs) in accounts.iter().zip(&mut costs) {
                let before = processor_time();
                let matched = check(*account, &Secret::new("wrong"), Cost::default(), &mut scratch);
                costs.push(processor_time() - before);
                assert_eq!(matched, Match::None);
            }
        }
        let medians = costs.map(|mut costs| {
            costs.sort_unstable();
            costs[costs.len() / 2].as_secs_f64()
        });
        let [least, most] = [f64::min, f64::max].map(|of| medians.into_iter().reduce(of).expect("four"));
        // A run of the hash more or less would double or halve it.
        assert!(most / least < 1.25, "no account, a password, application passwords, none: {medians:?} s");
    }

    fn processor_time() -> std::time::Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        std::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    #[test]
    fn scram_stands_for_one_password_or_for_none() {
        let which = |credentials: &Credentials| {
            verifier(credentials).map(|(_, application)| application.map(str::to_owned))
        };
        let (one, two) = (application("phone", "abcd"), application("laptop", "efgh"));
        let password = Some(kept(hash("main", &[1; SALT], CHEAP)));
        let mut credentials = Credentials {
            password: password.clone(),
            scram: Some(scram("main")),
            application_passwords: vec![one.clone()],
        };
        assert_eq!(which(&credentials), Some(None), "the main password's");
        credentials.scram = None;
        assert_eq!(which(&credentials), None, "the main password could be meant");
        credentials.password = None;
        assert_eq!(which(&credentials), Some(Some("phone".to_owned())), "nothing else can be meant");
        credentials.application_passwords.push(two);
        assert_eq!(which(&credentials), None, "either could be meant");
        credentials.application_passwords = vec![ApplicationPassword { scram: None, ..one }];
        assert_eq!(which(&credentials), None);
        credentials.scram = Some(store::Secret::new("nonsense"));
        assert_eq!(which(&credentials), None);
    }
}
