//! Our client against our server, in memory and virtual time, over a wire that cuts octets anywhere.
//!
//! Whatever the envelope, the content, the decisions and the cuts: the client reports for each recipient what
//! the server's application decided, and what was accepted arrives as it was sent.

use bytes::Bytes;
use proptest::prelude::*;
use smtp::client::{self, Chunking, Client, Outcome};
use smtp::server::{self, Mail, Server};
use smtp::{
    Body, Envelope, EnvelopeId, ForwardPath, Notify, OriginalRecipient, Protocol, Recipient, Reply, Return,
    ReversePath, Severity, replies,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{Endpoint, Step};

/// A message to deliver, and what the server's application will say.
#[derive(Debug, Clone)]
struct Message {
    envelope: Envelope,
    content: Vec<Vec<u8>>,
    mail: Decision,
    recipients: Vec<Decision>,
    end: Vec<Decision>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Decision {
    Accept,
    Defer,
    Refuse,
}

impl Decision {
    fn reply(self, accept: Reply) -> Reply {
        match self {
            Decision::Accept => accept,
            Decision::Defer => replies::STORAGE_FULL,
            Decision::Refuse => replies::NO_SUCH_MAILBOX,
        }
    }
}

/// What the server's application was told of one transaction.
#[derive(Debug, Clone, PartialEq)]
struct Arrived {
    mail: Mail,
    recipients: Vec<Recipient>,
    content: Vec<u8>,
}

/// Both sides of a connection, and the octets under way.
struct Pair {
    client: Client,
    server: Server,
    to_server: VecDeque<Bytes>,
    to_client: VecDeque<Bytes>,
    cuts: Cuts,
    now: Instant,
    messages: VecDeque<Message>,
    /// The message in hand at the server: how many RCPTs it has seen, and what is accepted so far.
    at_server: Option<(Message, usize, Arrived)>,
    server_queue: VecDeque<Message>,
    giving: VecDeque<Vec<u8>>,
    arrived: Vec<Arrived>,
    outcomes: Vec<Outcome>,
    closed: (bool, bool),
}

/// How long the pieces are that the wire hands over, over and over.
#[derive(Debug, Clone)]
struct Cuts(Vec<usize>, usize);

impl Cuts {
    fn next(&mut self) -> usize {
        self.1 += 1;
        self.0[self.1 % self.0.len()]
    }
}

impl Pair {
    fn new(client: client::Config, server: server::Config, messages: Vec<Message>, cuts: Vec<usize>) -> Pair {
        Pair {
            client: Client::new(client),
            server: Server::new(Arc::new(server)),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            cuts: Cuts(cuts, 0),
            now: Instant::now(),
            server_queue: messages.iter().cloned().collect(),
            messages: messages.into(),
            at_server: None,
            giving: VecDeque::new(),
            arrived: Vec::new(),
            outcomes: Vec::new(),
            closed: (false, false),
        }
    }

    /// Runs until both sides have closed.
    fn run(&mut self) {
        for _ in 0..1_000_000 {
            self.step_server();
            self.step_client();
            if self.closed == (true, true) {
                return;
            }
            self.now += Duration::from_millis(1);
            let cut = self.cuts.next();
            let moved = carry(&mut self.to_server, cut, |bytes| self.server.receive(bytes));
            let cut = self.cuts.next();
            let moved_back = carry(&mut self.to_client, cut, |bytes| self.client.receive(bytes));
            if self.closed.0 && !moved_back {
                self.client.receive_end();
            } else if !moved && !moved_back && !self.closed.0 && !self.closed.1 {
                panic!("both sides wait for each other");
            }
        }
        panic!("no end in sight");
    }

    fn step_server(&mut self) {
        loop {
            match self.server.step(self.now) {
                Step::Send(bytes) => self.to_client.push_back(bytes),
                Step::Event(event) => self.server_event(event),
                Step::StartTls => panic!("nobody asked for TLS"),
                Step::Wait(until) => {
                    assert!(until > self.now);
                    assert!(self.server.buffered() < 2048, "{} octets held", self.server.buffered());
                    return;
                }
                Step::Close => {
                    self.closed.0 = true;
                    return;
                }
            }
        }
    }

    fn server_event(&mut self, event: server::Event) {
        match event {
            server::Event::Hello(_) => self.server.reply(replies::OK.with_text("mx.example")),
            server::Event::Auth(_)
            | server::Event::AuthResponse(_)
            | server::Event::AuthCancelled(_)
            | server::Event::Secured
            | server::Event::XClient(_) => panic!("nothing of this was asked for"),
            server::Event::Mail(mail) => {
                let message = self.server_queue.pop_front().expect("no more messages than there are");
                self.server.reply(message.mail.reply(replies::SENDER_OK));
                let arrived = Arrived { mail, recipients: Vec::new(), content: Vec::new() };
                self.at_server = Some((message, 0, arrived));
            }
            server::Event::Rcpt(recipient) => {
                let (message, seen, arrived) = self.at_server.as_mut().expect("MAIL came first");
                let decision = message.recipients[*seen];
                *seen += 1;
                if decision == Decision::Accept {
                    arrived.recipients.push(recipient);
                }
                self.server.reply(decision.reply(replies::RECIPIENT_OK));
            }
            server::Event::Content(bytes) => {
                let (_, _, arrived) = self.at_server.as_mut().expect("MAIL came first");
                arrived.content.extend_from_slice(&bytes);
            }
            server::Event::End => {
                let (message, _, arrived) = self.at_server.take().expect("MAIL came first");
                let queued = replies::queued(self.arrived.len());
                let end = |n: usize| message.end[n % message.end.len()].reply(queued.clone());
                // One for each accepted recipient; in SMTP it is one for all.
                if self.client_is_lmtp() {
                    self.server.reply_each((0..arrived.recipients.len()).map(end).collect());
                } else {
                    self.server.reply(end(0));
                }
                self.arrived.push(arrived);
            }
            server::Event::Abort(_) => self.at_server = None,
            server::Event::Refused { line, reply } => {
                // Only what a pipelined group could not know is ever refused.
                let excused = [replies::NEED_MAIL, replies::NO_VALID_RECIPIENTS, replies::NEED_RCPT];
                assert!(excused.contains(&reply), "{line:?}: {reply}");
            }
            server::Event::Closing(closing) => assert_eq!(closing, server::Closing::Quit),
        }
    }

    fn client_is_lmtp(&self) -> bool {
        self.server.hello_name() == Some("lmtp.example")
    }

    fn step_client(&mut self) {
        loop {
            match self.client.step(self.now) {
                Step::Send(bytes) => self.to_server.push_back(bytes),
                Step::Event(event) => self.client_event(event),
                Step::StartTls => panic!("nobody asked for TLS"),
                Step::Wait(until) => {
                    assert!(until > self.now);
                    return;
                }
                Step::Close => {
                    self.closed.1 = true;
                    return;
                }
            }
        }
    }

    fn client_event(&mut self, event: client::Event) {
        match event {
            client::Event::Authenticate(_) | client::Event::Challenge(_) => {
                panic!("nothing of this was asked for")
            }
            client::Event::Ready => self.next_message(),
            client::Event::WantContent => match self.giving.pop_front() {
                Some(piece) => self.client.content(piece.into()),
                None => self.client.end_of_content(),
            },
            client::Event::Done(outcome) => {
                self.outcomes.push(outcome);
                self.next_message();
            }
            client::Event::Failed(failure) => panic!("{failure}"),
        }
    }

    fn next_message(&mut self) {
        match self.messages.pop_front() {
            None => self.client.quit(),
            Some(message) => {
                let size = message.content.iter().map(|piece| piece.len() as u64).sum();
                self.giving = message.content.into();
                self.client.deliver(message.envelope, Some(size));
            }
        }
    }
}

/// Hands over up to `cut` octets; says whether there were any.
fn carry(wire: &mut VecDeque<Bytes>, cut: usize, receive: impl FnOnce(&[u8])) -> bool {
    let Some(mut bytes) = wire.pop_front() else { return false };
    let piece = bytes.split_to(cut.min(bytes.len()));
    if !bytes.is_empty() {
        wire.push_front(bytes);
    }
    receive(&piece);
    true
}

/// What the client must report for a message.
fn expected_outcome(message: &Message, protocol: Protocol, queued: usize) -> Vec<Severity> {
    let of = |decision: Decision| decision.reply(replies::queued(queued)).severity();
    if message.mail != Decision::Accept {
        return vec![of(message.mail); message.recipients.len()];
    }
    let mut accepted = 0;
    let outcome = |decision: &Decision| {
        if *decision != Decision::Accept {
            return of(*decision);
        }
        accepted += 1;
        of(message.end[match protocol {
            Protocol::Smtp => 0,
            Protocol::Lmtp => (accepted - 1) % message.end.len(),
        }])
    };
    message.recipients.iter().map(outcome).collect()
}

fn check(pair: &Pair, messages: &[Message], protocol: Protocol) {
    let mut arrived = pair.arrived.iter();
    assert_eq!(pair.outcomes.len(), messages.len());
    for (message, outcome) in messages.iter().zip(&pair.outcomes) {
        let severities: Vec<Severity> = outcome.recipients.iter().map(Reply::severity).collect();
        assert_eq!(severities, expected_outcome(message, protocol, 0));
        let accepted: Vec<Recipient> = message
            .envelope
            .recipients
            .iter()
            .zip(&message.recipients)
            .filter(|(_, decision)| message.mail == Decision::Accept && **decision == Decision::Accept)
            .map(|(recipient, _)| recipient.clone())
            .collect();
        if accepted.is_empty() {
            continue;
        }
        let arrived = arrived.next().expect("what is accepted arrives");
        assert_eq!(arrived.recipients, accepted);
        assert_eq!(arrived.mail.reverse_path, message.envelope.reverse_path);
        assert_eq!(arrived.mail.parameters.ret, message.envelope.ret);
        assert_eq!(arrived.mail.parameters.envelope_id, message.envelope.envelope_id);
        assert_eq!(arrived.mail.parameters.body, message.envelope.body);
        let mut content = message.content.concat();
        if message.envelope.body != Body::BinaryMime && !content.is_empty() && !content.ends_with(b"\r\n") {
            content.extend_from_slice(b"\r\n");
        }
        assert_eq!(arrived.content, content);
    }
    assert!(arrived.next().is_none(), "nothing arrives that was not accepted");
}

fn decision() -> impl Strategy<Value = Decision> {
    prop_oneof![6 => Just(Decision::Accept), 1 => Just(Decision::Defer), 1 => Just(Decision::Refuse)]
}

fn recipient() -> impl Strategy<Value = Recipient> {
    let path = prop_oneof![
        1 => Just("<Postmaster>".to_owned()),
        4 => "<[a-z]{1,8}@[a-z]{1,8}\\.example>",
        1 => "<\"[a-z ü>]{1,8}\"@b[ü例]{1,3}cher\\.example>",
    ];
    let notify = prop_oneof![
        Just(None),
        Just(Some(Notify::Never)),
        Just(Some(Notify::On { success: true, failure: false, delay: true })),
    ];
    let original = prop_oneof![Just(None), Just(OriginalRecipient::new("utf-8", "ü+=@b.example"))];
    (path, notify, original).prop_map(|(path, notify, original)| Recipient {
        forward_path: ForwardPath::parse(&path).expect("a path"),
        notify,
        original,
    })
}

/// Content as pieces: text with whole line ends, or anything at all for binary content.
fn content(body: Body) -> BoxedStrategy<Vec<Vec<u8>>> {
    let text = prop::collection::vec(prop_oneof!["\\.{0,2}[a-zü.]{0,20}", Just("x".repeat(20_000))], 0..12);
    let text = (text, any::<bool>()).prop_map(|(lines, open)| {
        let mut text = lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect::<String>().into_bytes();
        if open {
            text.extend_from_slice(b"no end of line");
        }
        text
    });
    let whole = match body {
        Body::BinaryMime => prop::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(0u8), any::<u8>()],
            0..200,
        )
        .boxed(),
        Body::SevenBit | Body::EightBitMime => text.boxed(),
    };
    (whole, 1usize..5000)
        .prop_map(|(whole, length)| whole.chunks(length).map(<[u8]>::to_vec).collect())
        .boxed()
}

fn message() -> impl Strategy<Value = Message> {
    let body = prop_oneof![Just(Body::SevenBit), Just(Body::EightBitMime), Just(Body::BinaryMime)];
    let recipients = prop_oneof![
        8 => prop::collection::vec((recipient(), decision()), 1..5),
        1 => prop::collection::vec((recipient(), decision()), 60..150),
    ];
    let reverse_path = prop_oneof![Just("<>"), Just("<a@b.example>"), Just("<ü@bücher.example>")];
    let ret = prop_oneof![Just(None), Just(Some(Return::Full)), Just(Some(Return::Headers))];
    (body, recipients, reverse_path, ret, decision(), prop::collection::vec(decision(), 1..4)).prop_flat_map(
        |(body, recipients, reverse_path, ret, mail, end)| {
            let (recipients, decisions): (Vec<_>, Vec<_>) = recipients.into_iter().unzip();
            let envelope = Envelope {
                body,
                ret,
                envelope_id: ret.and_then(|_| EnvelopeId::new("an id+=")),
                ..Envelope::new(ReversePath::parse(reverse_path).expect("a path"), recipients)
            };
            content(body).prop_map(move |content| Message {
                envelope: envelope.clone(),
                content,
                mail,
                recipients: decisions.clone(),
                end: end.clone(),
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn what_is_decided_is_reported_and_what_is_accepted_arrives(
        messages in prop::collection::vec(message(), 1..4),
        cuts in prop::collection::vec(prop_oneof![1usize..10, 100usize..60_000], 1..12),
        chunking in prop_oneof![Just(Chunking::OnlyForBinary), Just(Chunking::WhenOffered)],
        protocol in prop_oneof![Just(Protocol::Smtp), Just(Protocol::Lmtp)],
    ) {
        let name = match protocol {
            Protocol::Smtp => "client.example",
            Protocol::Lmtp => "lmtp.example",
        };
        let client = client::Config { protocol, chunking, ..client::Config::new(name) };
        // One error more would close the connection: the client makes none.
        // Refused recipients count as errors; those of the client itself are caught where `Refused` is.
        let server = server::Config { protocol, max_errors: u32::MAX, ..server::Config::new("mx.example") };
        let mut pair = Pair::new(client, server, messages.clone(), cuts);
        pair.run();
        check(&pair, &messages, protocol);
    }
}

/// A message that is accepted by everybody.
fn plain(names: usize, content: &[u8]) -> Message {
    let path = |n| ForwardPath::parse(&format!("<r{n}@d.example>")).expect("a path");
    Message {
        envelope: Envelope::new(ReversePath::Null, (0..names).map(|n| Recipient::new(path(n))).collect()),
        content: content.chunks(60_000).map(<[u8]>::to_vec).collect(),
        mail: Decision::Accept,
        recipients: vec![Decision::Accept; names],
        end: vec![Decision::Accept],
    }
}

#[test]
fn a_thousand_recipients_and_a_long_message() {
    let content = ".a line of a long message, which begins with a dot\r\n".repeat(40_000);
    let messages = vec![plain(1000, content.as_bytes())];
    let server = server::Config { max_errors: 0, ..server::Config::new("mx.example") };
    let mut pair = Pair::new(client::Config::new("client.example"), server, messages.clone(), vec![60_000]);
    pair.run();
    check(&pair, &messages, Protocol::Smtp);
}

#[test]
fn what_exceeds_the_limits_of_the_server_is_not_sent() {
    let messages = vec![plain(3, b"short\r\n"), plain(1, &b"x".repeat(101))];
    let limits = server::Config {
        max_recipients: 2,
        max_message_size: 100,
        max_errors: 0,
        ..server::Config::new("mx")
    };
    let mut pair = Pair::new(client::Config::new("client.example"), limits, messages, vec![7]);
    pair.run();
    let outcomes: Vec<Vec<String>> = pair
        .outcomes
        .iter()
        .map(|outcome| outcome.recipients.iter().map(Reply::to_string).collect())
        .collect();
    let queued = replies::queued(0).to_string();
    assert_eq!(
        outcomes,
        [
            vec![queued.clone(), queued, replies::TOO_MANY_RECIPIENTS.to_string()],
            vec![replies::MESSAGE_TOO_BIG.to_string()]
        ]
    );
    assert_eq!(pair.arrived.len(), 1);
}
