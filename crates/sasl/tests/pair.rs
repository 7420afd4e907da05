//! Our client against our server, for every mechanism: whoever has the credentials gets in as who it is, and nobody else does, whatever
//! is changed on the way.

mod common;

use common::{CLIENT_NONCE, EXPORTER, SERVER_NONCE, TOKEN, account, terms};
use proptest::prelude::*;
use sasl::client::{self, ChannelBinding, Credentials};
use sasl::server::{self, Answer, Identity, Next, Question, Terms};
use sasl::{Failure, Iterations, Mechanism, ScramVerifier, Secret, prepare};

/// Changes the n-th message of an exchange on its way.
type Tamper<'a> = &'a dyn Fn(usize, Vec<u8>) -> Vec<u8>;

/// What the two sides have come to.
#[derive(Debug, PartialEq)]
struct Outcome {
    server: Result<Identity, Failure>,
    client: Result<(), Failure>,
}

/// The one user that the server knows.
struct User<'a> {
    name: &'a str,
    password: &'a str,
}

impl User<'_> {
    fn answer(&self, question: Question) -> Answer {
        let accepted = |name: &str| Answer::Accepted(name.to_owned());
        match question {
            Question::Password { user, password }
                if user == prepare(self.name) && password.expose() == prepare(self.password) =>
            {
                accepted(self.name)
            }
            Question::Verifier { user } if user == prepare(self.name) => {
                let iterations = Iterations::new(Iterations::MIN).expect("the bound");
                Answer::Verifier(ScramVerifier::derive(self.password, b"a salt of some sort", iterations))
            }
            Question::Token { token, .. } if token.expose() == TOKEN => accepted(self.name),
            Question::External { user } => Answer::Accepted(account(user.as_deref())),
            _ => Answer::Refused,
        }
    }
}

/// Runs an exchange to its end. With `initial` the first message goes with the command.
fn run(
    mut client: client::Exchange,
    mut server: server::Exchange,
    user: &User<'_>,
    initial: bool,
    tamper: Tamper<'_>,
) -> Outcome {
    let mut count = 0;
    let mut carry = |message: &[u8]| {
        count += 1;
        tamper(count - 1, message.to_vec())
    };
    let mut held = None;
    let mut next = match client.initial() {
        Some(message) if initial => server.start(Some(&carry(message.expose().as_bytes()))),
        message => {
            held = message;
            server.start(None)
        }
    };
    loop {
        next = match next {
            Next::Ask(question) => server.answer(user.answer(question)),
            Next::Challenge(challenge) => {
                let response = match held.take() {
                    Some(first) => Ok(first),
                    None => client.respond(&carry(challenge.as_bytes())),
                };
                match response {
                    Ok(response) => server.respond(&carry(response.expose().as_bytes())),
                    // `*` cancels.
                    Err(failure) => return Outcome { server: Err(Failure::Refused), client: Err(failure) },
                }
            }
            Next::Done(identity) => return Outcome { server: Ok(identity), client: client.succeeded() },
            Next::Failed(failure) => return Outcome { server: Err(failure), client: client.succeeded() },
        };
    }
}

fn credentials(mechanism: Mechanism, user: &str, password: &str, acts_as: Option<&str>) -> Credentials {
    let authorization = acts_as.map(str::to_owned);
    match mechanism {
        Mechanism::OAuthBearer | Mechanism::XOAuth2 => common::token(user),
        Mechanism::External => Credentials::Certificate { authorization },
        Mechanism::Login => Credentials::Password {
            user: user.to_owned(),
            password: Secret::new(password),
            authorization: None,
        },
        _ => Credentials::Password { user: user.to_owned(), password: Secret::new(password), authorization },
    }
}

fn binding(mechanism: Mechanism) -> ChannelBinding {
    match mechanism {
        Mechanism::ScramSha256Plus => ChannelBinding::TlsExporter(EXPORTER),
        _ => ChannelBinding::Unsupported,
    }
}

fn client_of(mechanism: Mechanism, credentials: Credentials) -> client::Exchange {
    client::Exchange::new(mechanism, credentials, CLIENT_NONCE, binding(mechanism)).expect("they fit")
}

fn untouched(_: usize, message: Vec<u8>) -> Vec<u8> {
    message
}

fn mechanism() -> impl Strategy<Value = Mechanism> {
    proptest::sample::select(Mechanism::ALL.to_vec())
}

/// Names and passwords of all sorts, with the characters that mean something in some mechanism.
fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 ,=@+.\"é\u{ad}\u{aa}ß漢🐎]{1,20}"
        .prop_filter("SASLprep leaves something", |text| !prepare(text).is_empty())
}

proptest! {
    #[test]
    fn the_right_credentials_get_in(
        mechanism in mechanism(),
        name in text(),
        secret in text(),
        acts_as in proptest::option::of(text()),
        initial: bool,
    ) {
        let user = User { name: &name, password: &secret };
        let client = client_of(mechanism, credentials(mechanism, &name, &secret, acts_as.as_deref()));
        let server = server::Exchange::new(mechanism, terms());
        let outcome = run(client, server, &user, initial, &untouched);
        prop_assert_eq!(outcome.client, Ok(()));
        let identity = outcome.server.expect("it got in");
        let prepared = |text: &str| prepare(text).into_owned();
        let acts_as = acts_as.as_deref().map(prepared);
        let expected = match mechanism {
            Mechanism::External => (account(acts_as.as_deref()), acts_as),
            Mechanism::Login => (name, None),
            Mechanism::OAuthBearer | Mechanism::XOAuth2 => (name.clone(), Some(name)),
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => (prepared(&name), acts_as),
            Mechanism::Plain => (name, acts_as),
        };
        prop_assert_eq!((identity.authentication, identity.authorization), expected);
    }

    #[test]
    fn wrong_credentials_do_not(
        mechanism in mechanism(),
        name in text(),
        secret in text(),
        other_name in text(),
        other_secret in text(),
        wrong_name: bool,
        initial: bool,
    ) {
        prop_assume!(mechanism != Mechanism::External);
        prop_assume!(prepare(&other_name) != prepare(&name) && prepare(&other_secret) != prepare(&secret));
        let user = User { name: &name, password: &secret };
        let shown = match (mechanism, wrong_name) {
            (Mechanism::OAuthBearer | Mechanism::XOAuth2, _) => Credentials::Token {
                user: name.clone(),
                token: Secret::new("another"),
                host: "mail.example".to_owned(),
                port: 587,
            },
            (_, true) => credentials(mechanism, &other_name, &secret, None),
            (_, false) => credentials(mechanism, &name, &other_secret, None),
        };
        let server = server::Exchange::new(mechanism, terms());
        let outcome = run(client_of(mechanism, shown), server, &user, initial, &untouched);
        prop_assert_eq!(outcome.server, Err(Failure::Refused));
    }

    /// Every octet of SCRAM is signed by somebody: with any of them changed, the two sides never both believe that all went well.
    #[test]
    fn a_scram_message_that_was_changed_is_noticed(
        plus: bool,
        number in 0_usize..4,
        position: prop::sample::Index,
        octet in b' '..=b'~',
        acts_as in proptest::option::of(text()),
    ) {
        let mechanism = if plus { Mechanism::ScramSha256Plus } else { Mechanism::ScramSha256 };
        let user = User { name: "tim", password: "tanstaaf" };
        let client = client_of(mechanism, credentials(mechanism, "tim", "tanstaaf", acts_as.as_deref()));
        let server = server::Exchange::new(mechanism, terms());
        let changed = std::cell::Cell::new(false);
        let tamper = |count: usize, mut message: Vec<u8>| {
            if count == number {
                let at = position.index(message.len());
                changed.set(message[at] != octet);
                message[at] = octet;
            }
            message
        };
        let outcome = run(client, server, &user, true, &tamper);
        if changed.get() {
            prop_assert!(outcome.server.is_err() || outcome.client.is_err(), "{:?}", outcome);
        } else {
            prop_assert!(outcome.server.is_ok() && outcome.client.is_ok(), "{:?}", outcome);
        }
    }

    #[test]
    fn any_octets_are_survived(
        mechanism in mechanism(),
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 1..5),
        start: bool,
    ) {
        let user = User { name: "tim", password: "tanstaaf" };
        let mut server = server::Exchange::new(mechanism, terms());
        let mut messages = messages.into_iter();
        let mut next = server.start(messages.next().filter(|_| start).as_deref());
        for message in messages {
            while let Next::Ask(question) = next {
                next = server.answer(user.answer(question));
            }
            next = server.respond(&message);
        }
        if mechanism != Mechanism::External {
            prop_assert!(!matches!(next, Next::Done(_)));
        }
        let mut client = client_of(mechanism, credentials(mechanism, "tim", "tanstaaf", None));
        let _first = client.initial();
        let refused = client.respond(&[0xff; 10]);
        prop_assert!(matches!(mechanism, Mechanism::Login | Mechanism::OAuthBearer | Mechanism::XOAuth2) || refused.is_err());
    }

    /// Both sides read what the other writes, and the same name comes out.
    #[test]
    fn prepared_text_stays_as_it_is(text in text()) {
        let once = prepare(&text).into_owned();
        prop_assert_eq!(prepare(&once), once.as_str());
    }
}

#[test]
fn another_channel_is_noticed() {
    let user = User { name: "tim", password: "tanstaaf" };
    let mechanism = Mechanism::ScramSha256Plus;
    let client = client_of(mechanism, credentials(mechanism, "tim", "tanstaaf", None));
    let elsewhere = Terms { channel_binding: Some(sasl::TlsExporter([8; 32])), ..terms() };
    let outcome = run(client, server::Exchange::new(mechanism, elsewhere), &user, true, &untouched);
    assert_eq!(outcome.server, Err(Failure::ChannelBinding("the client sees another channel")));
    assert_eq!(outcome.client, Err(Failure::Server));
}

#[test]
fn a_plus_that_was_taken_out_of_the_list_is_noticed() {
    let user = User { name: "tim", password: "tanstaaf" };
    let mechanism = Mechanism::ScramSha256;
    let shown = || credentials(mechanism, "tim", "tanstaaf", None);
    let (chosen, binding) =
        client::choose(&[Mechanism::ScramSha256], &shown(), Some(EXPORTER)).expect("one that fits");
    assert_eq!((chosen, binding), (mechanism, ChannelBinding::NotOffered));
    let client = || client::Exchange::new(mechanism, shown(), CLIENT_NONCE, binding).expect("they fit");
    let outcome = run(client(), server::Exchange::new(mechanism, terms()), &user, true, &untouched);
    assert_eq!(outcome.server, Err(Failure::Downgrade));
    let without = Terms { channel_binding: None, ..terms() };
    let outcome = run(client(), server::Exchange::new(mechanism, without), &user, true, &untouched);
    assert_eq!(outcome.client, Ok(()), "a server that has no PLUS takes the same client");
    assert!(outcome.server.is_ok());
}

#[test]
fn a_user_that_does_not_exist_looks_like_one_that_does() {
    let user = User { name: "tim", password: "tanstaaf" };
    let first = |name: &str| {
        let mut server = server::Exchange::new(Mechanism::ScramSha256, terms());
        let message = format!("n,,n={name},r={CLIENT_NONCE}");
        let Next::Ask(question) = server.start(Some(message.as_bytes())) else { panic!("SCRAM asks") };
        let Next::Challenge(challenge) = server.answer(user.answer(question)) else { panic!("and goes on") };
        (challenge, server)
    };
    let (nobody, mut server) = first("nobody");
    assert!(nobody.starts_with(&format!("r={CLIENT_NONCE}{SERVER_NONCE},s=")), "{nobody}");
    assert_eq!(nobody, first("nobody").0, "the same salt each time");
    assert_ne!(nobody, first("somebody").0, "and another one for another name");
    let end = nobody.rsplit_once(',').expect("iterations").1;
    assert_eq!(end, format!("i={}", Iterations::MIN));
    let proof = format!("c=biws,r={CLIENT_NONCE}{SERVER_NONCE},p={}=", "A".repeat(43));
    assert_eq!(server.respond(proof.as_bytes()), Next::Failed(Failure::Refused));
}
