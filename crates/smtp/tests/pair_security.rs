//! STARTTLS and AUTH, our client against our server, over a wire that cuts octets anywhere.
//!
//! Whatever the mechanism says and however long its messages are: each side gets what the other gave, under TLS where
//! both want it, and a message can be sent afterwards.

use bytes::Bytes;
use proptest::prelude::*;
use smtp::client::{self, Authentication, Client, Security};
use smtp::server::{self, AuthOffer, MailNeeds, Server, StartTls};
use smtp::{Envelope, ForwardPath, InClear, Recipient, ReversePath, SaslMessage, replies};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use wire::{Endpoint, Step};

/// What both applications say.
#[derive(Debug, Clone)]
struct Script {
    initial: Option<SaslMessage>,
    /// Challenges and their responses.
    rounds: Vec<(SaslMessage, SaslMessage)>,
}

/// Both sides, the octets under way, and what the applications saw.
struct Pair {
    client: Client,
    server: Server,
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    script: Script,
    cuts: Vec<usize>,
    /// What the server was told in the exchange, and the client.
    at_server: Vec<SaslMessage>,
    at_client: Vec<SaslMessage>,
    /// The initial response is still to come.
    awaits_initial: bool,
    rounds_begun: usize,
    handshaking: (bool, bool),
    mails: Vec<(bool, bool)>,
    ended: (bool, bool),
    failure: Option<client::Failure>,
}

impl Pair {
    fn new(client: client::Config, server: server::Config, script: Script, cuts: Vec<usize>) -> Pair {
        Pair {
            client: Client::new(client),
            server: Server::new(Arc::new(server)),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            script,
            cuts,
            at_server: Vec::new(),
            at_client: Vec::new(),
            awaits_initial: false,
            rounds_begun: 0,
            handshaking: (false, false),
            mails: Vec::new(),
            ended: (false, false),
            failure: None,
        }
    }

    fn run(mut self) -> Pair {
        for turn in 0..200_000 {
            self.step_server();
            self.step_client();
            if self.handshaking == (true, true) {
                assert!(self.to_server.is_empty() && self.to_client.is_empty(), "clear text is left over");
                self.server.secured();
                self.client.secured();
                self.handshaking = (false, false);
                continue;
            }
            if self.ended == (true, true) {
                return self;
            }
            let cut = self.cuts[turn % self.cuts.len()];
            let piece: Vec<u8> = take(&mut self.to_server, cut);
            if !piece.is_empty() {
                self.server.receive(&piece);
            }
            let piece = take(&mut self.to_client, cut);
            if !piece.is_empty() {
                self.client.receive(&piece);
            } else if self.ended.0 {
                self.client.receive_end();
            }
            if self.ended.1 && self.to_server.is_empty() {
                self.server.receive_end();
            }
        }
        panic!("no end in sight");
    }

    fn step_server(&mut self) {
        while !self.handshaking.0 && !self.ended.0 {
            match self.server.step(Instant::now()) {
                Step::Send(bytes) => self.to_client.extend(bytes),
                Step::Event(event) => self.server_event(event),
                Step::StartTls => self.handshaking.0 = true,
                Step::Wait(_) => return,
                Step::Close => self.ended.0 = true,
            }
        }
    }

    fn server_event(&mut self, event: server::Event) {
        match event {
            server::Event::Hello(_) => self.server.reply(replies::OK.with_text("mx.example")),
            server::Event::Auth(auth) => {
                assert_eq!(auth.mechanism, "X-TEST");
                self.awaits_initial = auth.initial.is_none() && self.script.initial.is_some();
                self.at_server.extend(auth.initial);
                if self.awaits_initial { self.server.challenge(b"") } else { self.go_on() }
            }
            server::Event::AuthResponse(response) => {
                self.at_server.push(response);
                self.go_on();
            }
            server::Event::Mail(_) => {
                self.mails.push((self.server.is_secured(), self.server.is_authenticated()));
                self.server.reply(replies::SENDER_OK);
            }
            server::Event::Rcpt(_) => self.server.reply(replies::RECIPIENT_OK),
            server::Event::End => self.server.reply(replies::queued(1)),
            server::Event::Secured | server::Event::Content(_) | server::Event::Closing(_) => {}
            other => panic!("{other:?}"),
        }
    }

    fn go_on(&mut self) {
        match self.script.rounds.get(self.rounds_begun) {
            Some((challenge, _)) => self.server.challenge(challenge),
            None => self.server.reply(replies::AUTH_SUCCEEDED),
        }
        self.rounds_begun += 1;
    }

    fn step_client(&mut self) {
        while !self.handshaking.1 && !self.ended.1 {
            match self.client.step(Instant::now()) {
                Step::Send(bytes) => self.to_server.extend(bytes),
                Step::Event(event) => self.client_event(event),
                Step::StartTls => self.handshaking.1 = true,
                Step::Wait(_) => return,
                Step::Close => self.ended.1 = true,
            }
        }
    }

    fn client_event(&mut self, event: client::Event) {
        match event {
            client::Event::Authenticate(mechanisms) => {
                self.client.authenticate(&mechanisms[0], self.script.initial.clone());
            }
            client::Event::Challenge(challenge) => {
                let response = self.script.rounds[self.at_client.len()].1.clone();
                self.at_client.push(challenge);
                self.client.respond(&response);
            }
            client::Event::Ready => {
                let path = ForwardPath::parse("<c@d.example>").expect("a path");
                let envelope = Envelope::new(ReversePath::Null, vec![Recipient::new(path)]);
                self.client.deliver(envelope, None);
            }
            client::Event::WantContent if self.mails.len() == 1 => {
                self.client.content(Bytes::from_static(b"x\r\n"));
                self.mails.push(self.mails[0]);
            }
            client::Event::WantContent => self.client.end_of_content(),
            client::Event::Done(outcome) => {
                assert_eq!(outcome.recipients, [replies::queued(1)]);
                self.client.quit();
            }
            client::Event::Failed(failure) => self.failure = Some(failure),
        }
    }
}

fn take(wire: &mut VecDeque<u8>, most: usize) -> Vec<u8> {
    let count = most.min(wire.len());
    wire.drain(..count).collect()
}

fn message() -> impl Strategy<Value = SaslMessage> {
    let length = prop_oneof![Just(0usize), 1usize..40, 300usize..400, 5000usize..9000];
    (length, any::<u8>()).prop_map(|(length, first)| {
        let octets: Vec<u8> = (0..length).map(|n| first.wrapping_add(n as u8)).collect();
        octets.into()
    })
}

fn script() -> impl Strategy<Value = Script> {
    let rounds = prop::collection::vec((message(), message()), 0..4);
    (prop::option::of(message()), rounds).prop_map(|(initial, rounds)| Script { initial, rounds })
}

fn server(starttls: StartTls, in_clear: InClear) -> server::Config {
    server::Config {
        starttls,
        auth: AuthOffer { mechanisms: vec!["X-TEST".to_owned()], in_clear },
        mail_needs: MailNeeds::Authentication,
        max_errors: 0,
        ..server::Config::new("mx.example")
    }
}

fn client(security: Security, in_clear: InClear) -> client::Config {
    client::Config {
        security,
        authentication: Authentication::Yes,
        in_clear,
        ..client::Config::new("client.example")
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn each_side_gets_what_the_other_says(
        script in script(),
        cuts in prop::collection::vec(prop_oneof![1usize..10, 100usize..10_000], 1..12),
        starttls in prop_oneof![Just(StartTls::Offered), Just(StartTls::NotOffered)],
    ) {
        let client = client(Security::IfOffered, InClear::Allow);
        let pair = Pair::new(client, server(starttls, InClear::Allow), script.clone(), cuts).run();
        prop_assert_eq!(&pair.failure, &None);
        let challenges: Vec<_> = script.rounds.iter().map(|(challenge, _)| challenge.clone()).collect();
        prop_assert_eq!(&pair.at_client, &challenges);
        let responses = script.rounds.iter().map(|(_, response)| response.clone());
        let said: Vec<_> = script.initial.iter().cloned().chain(responses).collect();
        prop_assert_eq!(&pair.at_server, &said);
        prop_assert_eq!(pair.mails[0], (starttls == StartTls::Offered, true));
    }
}

#[test]
fn without_tls_nobody_shows_a_password() {
    let script = Script { initial: Some(b"secret"[..].into()), rounds: Vec::new() };
    for (in_clear, offer) in [(InClear::Refuse, InClear::Allow), (InClear::Allow, InClear::Refuse)] {
        let client = client(Security::IfOffered, in_clear);
        let pair = Pair::new(client, server(StartTls::NotOffered, offer), script.clone(), vec![100]).run();
        assert_eq!(pair.failure, Some(client::Failure::NoMechanism { secured: false }));
        assert_eq!((pair.at_server.len(), pair.mails.len()), (0, 0));
    }
}
