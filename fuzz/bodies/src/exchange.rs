//! SASL exchanges, either side: a peer that says anything, and now and then what an honest one would say.
//!
//! An input is a first octet that chooses, then the peer's messages, one a line. A line that is `*` alone stands for the honest
//! peer's next message: without it no random input would ever get past a SCRAM proof.

use sasl::client::{self, ChannelBinding, Credentials};
use sasl::server::{self, Answer, Next, OAuthHints, Question, Terms};
use sasl::{DecoyKey, Iterations, MESSAGE_MAX, Mechanism, ScramVerifier, Secret, TlsExporter};
use std::sync::LazyLock;

const USER: &str = "alice";
const PASSWORD: &str = "pencil";
const HONEST: &[u8] = b"*";

static VERIFIER: LazyLock<ScramVerifier> =
    LazyLock::new(|| ScramVerifier::derive(PASSWORD, b"a salt of 16 oct", few_iterations()));

fn few_iterations() -> Iterations {
    Iterations::new(Iterations::MIN).expect("the least there may be")
}

fn terms() -> Terms {
    Terms {
        nonce: "server-nonce-of-24-octets".to_owned(),
        channel_binding: Some(TlsExporter([7; 32])),
        decoy: DecoyKey::new([9; 32]),
        iterations: few_iterations(),
        hints: OAuthHints::default(),
    }
}

fn mechanism(choice: u8) -> Mechanism {
    Mechanism::ALL[usize::from(choice) % Mechanism::ALL.len()]
}

fn honest_client(mechanism: Mechanism) -> client::Exchange {
    let credentials = match mechanism {
        Mechanism::External => Credentials::Certificate { authorization: Some(USER.to_owned()) },
        Mechanism::OAuthBearer | Mechanism::XOAuth2 => Credentials::Token {
            user: USER.to_owned(),
            token: Secret::new("a.b-c"),
            host: "mx.example".to_owned(),
            port: 587,
        },
        _ => Credentials::Password {
            user: USER.to_owned(),
            password: Secret::new(PASSWORD),
            authorization: None,
        },
    };
    let binding = match mechanism {
        Mechanism::ScramSha256Plus => ChannelBinding::TlsExporter(TlsExporter([7; 32])),
        _ => ChannelBinding::Unsupported,
    };
    client::Exchange::new(mechanism, credentials, "client-nonce-of-24-octets", binding)
        .expect("these credentials fit")
}

/// The server's side. Holds: no panic; nobody is anybody before the application said so; whoever ends a SCRAM exchange well has made the
/// proof from the password; after the end nothing more is taken.
pub fn sasl_server(input: &[u8]) {
    let [choice, lines @ ..] = input else { return };
    let mechanism = mechanism(*choice);
    let mut peer = honest_client(mechanism);
    let mut exchange = server::Exchange::new(mechanism, terms());
    let (mut accepted, mut proved, mut challenge) = (false, false, None::<String>);
    let mut begun = false;
    for line in lines.split(|octet| *octet == b'\n').take(8) {
        let honest = match (line, &challenge) {
            (HONEST, Some(challenge)) if begun => peer.respond(challenge.as_bytes()).ok(),
            (HONEST, _) => peer.initial(),
            _ => None,
        };
        let message = honest.as_ref().map_or(line, |secret| secret.expose().as_bytes());
        let mut next = match begun {
            true => exchange.respond(message),
            false => exchange.start((*choice < 0x80).then_some(message)),
        };
        // Only an honest client knows the password.
        proved |= honest.as_ref().is_some_and(|secret| secret.expose().contains(",p="));
        begun = true;
        if let Next::Ask(question) = &next {
            let answer = answer(question, *choice);
            accepted |= matches!(answer, Answer::Accepted(_) | Answer::Verifier(_));
            next = exchange.answer(answer);
        }
        match next {
            Next::Challenge(text) => {
                assert!(text.len() <= MESSAGE_MAX && !text.contains(['\r', '\n']), "{text:?}");
                challenge = Some(text);
            }
            Next::Ask(question) => panic!("a question after an answer: {question:?}"),
            Next::Done(identity) => {
                assert!(accepted && !identity.authentication.is_empty(), "{identity:?}");
                let is_scram = matches!(mechanism, Mechanism::ScramSha256 | Mechanism::ScramSha256Plus);
                assert!(!is_scram || proved, "without the password");
                assert!(matches!(exchange.respond(b""), Next::Failed(_)), "it goes on after the end");
                return;
            }
            Next::Failed(_) => {
                assert!(matches!(exchange.respond(message), Next::Failed(_)), "it goes on after the end");
                return;
            }
        }
    }
}

fn answer(question: &Question, choice: u8) -> Answer {
    match question {
        _ if choice & 0x40 != 0 => Answer::Refused,
        Question::Password { user, .. } => {
            assert!(!user.is_empty() && !user.contains('\0'));
            Answer::Accepted(user.clone())
        }
        Question::Verifier { user } if user == USER => Answer::Verifier(VERIFIER.clone()),
        Question::Verifier { .. } => Answer::Refused,
        Question::Token { token, .. } => {
            assert!(!token.is_empty());
            Answer::Accepted(USER.to_owned())
        }
        Question::External { .. } => Answer::Accepted(USER.to_owned()),
    }
}

/// The client's side. Holds: no panic; a SCRAM client believes no server that has not proved to know the password.
pub fn sasl_client(input: &[u8]) {
    let [choice, lines @ ..] = input else { return };
    let mechanism = mechanism(*choice);
    let mut exchange = honest_client(mechanism);
    let mut peer = server::Exchange::new(mechanism, terms());
    let first = exchange.initial();
    assert_eq!(first.is_some(), mechanism.is_client_first());
    let mut honest = say(&mut peer, None, first.as_ref());
    let mut proved = false;
    for line in lines.split(|octet| *octet == b'\n').take(8) {
        if line != HONEST && iterations(line) > 10_000 {
            // Honest work for the client, and nothing new: it would only be slow.
            return;
        }
        let challenge = if line == HONEST { honest.as_deref().unwrap_or("").as_bytes() } else { line };
        proved |= line == HONEST && challenge.starts_with(b"v=");
        let Ok(response) = exchange.respond(challenge) else {
            assert!(exchange.succeeded().is_err(), "a success after an error");
            return;
        };
        honest = say(&mut peer, Some(()), Some(&response));
    }
    let is_scram = matches!(mechanism, Mechanism::ScramSha256 | Mechanism::ScramSha256Plus);
    assert!(!is_scram || proved || exchange.succeeded().is_err(), "it believes anybody");
}

/// What the honest server says to that.
fn say(peer: &mut server::Exchange, begun: Option<()>, message: Option<&Secret>) -> Option<String> {
    let message = message.map(|secret| secret.expose().as_bytes());
    let mut next = match begun {
        None => peer.start(message),
        Some(()) => peer.respond(message.unwrap_or_default()),
    };
    if let Next::Ask(question) = &next {
        next = peer.answer(answer(question, 0));
    }
    if let Next::Challenge(text) = next { Some(text) } else { None }
}

/// How much work a server's first message asks for.
fn iterations(line: &[u8]) -> u32 {
    let text = String::from_utf8_lossy(line);
    let count = text.split(',').find_map(|attribute| attribute.strip_prefix("i="));
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// Reads each line as what is kept of a password, and as a mechanism's name: what is read can be written and read again.
pub fn verifier(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for line in text.split('\n') {
        if let Ok(verifier) = ScramVerifier::parse(line) {
            let record = verifier.record();
            let again = ScramVerifier::parse(record.expose()).expect("a verifier writes what it reads");
            assert_eq!(again.record(), record);
            assert!((Iterations::MIN..=Iterations::MAX).contains(&verifier.iterations().count()));
        }
        if let Some(mechanism) = Mechanism::parse(line) {
            assert_eq!(Mechanism::parse(mechanism.as_str()), Some(mechanism));
        }
        let prepared = sasl::prepare(line);
        assert_eq!(sasl::prepare(&prepared), prepared, "to prepare twice is to prepare once");
    }
}
