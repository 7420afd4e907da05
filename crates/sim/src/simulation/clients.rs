//! Clients: some keep the rules, some break off, some never listen, some try to smuggle.

use super::life::Listener;
use super::relaying::{SENDER, address};
use super::talk::Talk;
use super::{ACCOUNTS, Shared};
use crate::mail::Mail;
use crate::random::Random;
use bytes::Bytes;
use server::drive::{Application, drive};
use server::settings::Service;
use server::tls::Stream;
use smtp::client;
use std::io;
use std::time::Duration;

/// One client.
pub(super) struct Client {
    listener: Listener,
    random: Random,
    token: u64,
    shared: Shared,
}

impl Client {
    /// `tokens` is the first of its own.
    pub(super) fn new(listener: Listener, random: Random, tokens: u64, shared: Shared) -> Client {
        Client { listener, random, token: tokens, shared }
    }

    fn mail(&mut self) -> Mail {
        self.token += 1;
        let size = match self.random.below(8) {
            0 => 9_000 + self.random.below(20_000),
            1..3 => 2_000 + self.random.below(5_000),
            _ => 90 + self.random.below(900),
        };
        Mail { token: self.token, size: size as u32 }
    }

    /// A message that will never be sent to its end.
    fn unfinished(&mut self) -> Mail {
        let mail = self.mail();
        self.shared.ledger().never_finished(mail.token);
        mail
    }

    /// An answer that is not the one that was wanted, though all was done by the rules. There has to be a reason, and none that is for good.
    fn refused(&self, answer: &str) {
        let is_permanent = answer.starts_with('5');
        // The server stops, or the network was still for longer than it waits.
        let is_ending = !self.listener.is_up() || answer.starts_with("421");
        if is_permanent || !(is_ending || self.shared.is_troubled()) {
            self.shared.violated(format!("a client that keeps the rules is answered with {answer:?}"));
        }
    }

    fn accounts(&mut self) -> Vec<usize> {
        let addresses = self.shared.addresses as usize;
        let (first, count) =
            (self.random.below(addresses as u64) as usize, 1 + self.random.below(3) as usize);
        (first..first + count).map(|number| number % addresses).collect()
    }
}

/// Connects some times and does something else each time.
pub(super) async fn run(mut client: Client) {
    for _ in 0..1 + client.random.below(4) {
        tokio::time::sleep(Duration::from_millis(client.random.pick(&[0, 5, 200, 4_000]))).await;
        let Some(end) = client.listener.connect(Service::Smtp, &mut client.random) else { break };
        let kind = client.random.below(16);
        if kind < 7 {
            polite(&mut client, end).await;
            continue;
        }
        let mut talk = Talk::new(end);
        let result = match kind {
            7..10 => pipeline(&mut client, &mut talk).await,
            10 => break_off(&mut client, &mut talk).await,
            11 => smuggle(&mut client, &mut talk).await,
            12 => babble(&mut client, &mut talk).await,
            13 => say_nothing(&mut talk).await,
            14 => never_read(&mut client, &mut talk).await,
            _ => ignore_refusals(&mut client, &mut talk).await,
        };
        // However a connection ends: what counts is what was acknowledged before.
        client.shared.history.event(
            0,
            if result.is_ok() { "client is done" } else { "client is cut off" },
            b"",
        );
    }
}

/// Our own client, with a few messages.
async fn polite(client: &mut Client, end: crate::net::End) {
    let mut stream = Stream::clear(end);
    let mut sender = Sender {
        left: 1 + client.random.below(4),
        mail: None,
        accounts: Vec::new(),
        content: Vec::new(),
        client,
    };
    let chunking =
        sender.client.random.pick(&[client::Chunking::OnlyForBinary, client::Chunking::WhenOffered]);
    let config = client::Config { chunking, ..client::Config::new("client.example") };
    let mut endpoint = client::Client::new(config);
    let result = drive(&mut endpoint, &mut stream, &mut sender).await;
    sender.client.shared.history.event(
        0,
        if result.is_ok() { "sender is done" } else { "sender is cut off" },
        b"",
    );
}

struct Sender<'a> {
    client: &'a mut Client,
    left: u64,
    mail: Option<Mail>,
    accounts: Vec<usize>,
    content: Vec<u8>,
}

impl Sender<'_> {
    fn next(&mut self, endpoint: &mut client::Client) {
        if self.left == 0 {
            return endpoint.quit();
        }
        self.left -= 1;
        let mail = self.client.mail();
        self.accounts = self.client.accounts();
        let path = |number: &usize| format!("<{}>", address(*number)).parse().expect("a path");
        let recipients = self.accounts.iter().map(|number| smtp::Recipient::new(path(number))).collect();
        self.content = mail.content();
        self.mail = Some(mail);
        let size = self.content.len() as u64;
        // Whoever is to hear of failures says so.
        let mut envelope = smtp::Envelope::new(smtp::ReversePath::Null, recipients);
        if elsewhere(&self.accounts) {
            envelope.reverse_path = format!("<{SENDER}>").parse().expect("a path");
            envelope.envelope_id = smtp::EnvelopeId::new(&format!("{:016x}", mail.token));
        }
        endpoint.deliver(envelope, Some(size));
    }

    fn done(&mut self, outcome: &client::Outcome) {
        let accepted = |reply: &smtp::Reply| reply.severity() == smtp::Severity::Positive;
        for reply in outcome.recipients.iter().filter(|reply| !accepted(reply)) {
            self.client.refused(&reply.to_string());
        }
        let replies = self.accounts.iter().zip(&outcome.recipients);
        let accounts: Vec<usize> =
            replies.filter(|(_, reply)| accepted(reply)).map(|(account, _)| *account).collect();
        if let Some(mail) = self.mail.take()
            && !accounts.is_empty()
        {
            self.client.shared.acknowledge(mail.token, &accounts);
        }
    }
}

impl Application<client::Client> for Sender<'_> {
    async fn event(&mut self, endpoint: &mut client::Client, event: client::Event) {
        match event {
            client::Event::Ready => self.next(endpoint),
            client::Event::WantContent if self.content.is_empty() => endpoint.end_of_content(),
            client::Event::WantContent => {
                let count = self.content.len().min(1 + self.client.random.below(9_000) as usize);
                endpoint.content(Bytes::from(self.content.drain(..count).collect::<Vec<u8>>()));
            }
            client::Event::Done(outcome) => {
                self.done(&outcome);
                self.next(endpoint);
            }
            // It has no credentials, so it is not asked for any.
            client::Event::Authenticate(_) | client::Event::Challenge(_) => endpoint.abandon(),
            client::Event::Failed(_) => {}
        }
    }
}

/// A report may come without what was sent, but names the envelope.
fn envelope(mail: Mail, accounts: &[usize]) -> String {
    let id = if elsewhere(accounts) { format!(" ENVID={:016x}", mail.token) } else { String::new() };
    let mut text = format!("MAIL FROM:<{SENDER}>{id}\r\n");
    for number in accounts {
        text += &format!("RCPT TO:<{}>\r\n", address(*number));
    }
    text + "DATA\r\n"
}

/// Whether any of these is not in a mailbox here.
fn elsewhere(accounts: &[usize]) -> bool {
    accounts.iter().any(|number| *number >= ACCOUNTS.len())
}

async fn greet(talk: &mut Talk) -> io::Result<()> {
    talk.expect(220).await?;
    talk.say(b"EHLO client.example\r\n").await?;
    talk.expect(250).await
}

/// Opens a transaction up to the 354.
async fn open(talk: &mut Talk, mail: Mail, accounts: &[usize]) -> io::Result<()> {
    talk.say(envelope(mail, accounts).as_bytes()).await?;
    for _ in 0..=accounts.len() {
        talk.expect(250).await?;
    }
    talk.expect(354).await
}

/// Whole envelopes in one go; after the last message nothing more is said, but the reply is waited for.
async fn pipeline(client: &mut Client, talk: &mut Talk) -> io::Result<()> {
    greet(talk).await?;
    for left in (0..1 + client.random.below(4)).rev() {
        let (mail, accounts) = (client.mail(), client.accounts());
        let opened = open(talk, mail, &accounts).await;
        // A connection that broke has no code.
        if let Err(code) = opened.as_ref().map_err(ToString::to_string)
            && code.parse::<u16>().is_ok()
        {
            client.refused(&code);
        }
        opened?;
        talk.say(&mail.stuffed()).await?;
        if left == 0 && client.random.one_in(2) {
            talk.half_close();
        }
        match talk.reply().await? {
            250 => client.shared.acknowledge(mail.token, &accounts),
            code => client.refused(&code.to_string()),
        }
    }
    Ok(())
}

/// Goes away in the middle of the content, with or without a goodbye.
async fn break_off(client: &mut Client, talk: &mut Talk) -> io::Result<()> {
    greet(talk).await?;
    let (mail, accounts) = (client.unfinished(), client.accounts());
    open(talk, mail, &accounts).await?;
    let text = mail.stuffed();
    // At most all but the dot's line end.
    let count = client.random.below(text.len() as u64 - 2) as usize;
    talk.say(&text[..count]).await?;
    if client.random.one_in(2) {
        talk.half_close();
        talk.drain().await?;
    }
    Ok(())
}

/// Hides a second message behind a line end that is none (RFC 5321 §2.3.8): neither may be accepted.
async fn smuggle(client: &mut Client, talk: &mut Talk) -> io::Result<()> {
    greet(talk).await?;
    let (outer, inner, accounts) = (client.unfinished(), client.unfinished(), client.accounts());
    open(talk, outer, &accounts).await?;
    let text = outer.stuffed();
    talk.say(text.strip_suffix(b".\r\n").unwrap_or(&text)).await?;
    talk.say(client.random.pick(&[&b"\n.\n"[..], b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r"])).await?;
    talk.say(envelope(inner, &accounts).as_bytes()).await?;
    talk.say(&inner.stuffed()).await?;
    talk.half_close();
    talk.drain().await
}

/// Noise.
async fn babble(client: &mut Client, talk: &mut Talk) -> io::Result<()> {
    let words: [&[u8]; 12] = [
        b"EHLO x\r\n",
        b"MAIL FROM:<a@b.example>\r\n",
        b"RCPT TO:<noise@example.org>\r\n",
        b"DATA\r\n",
        b"RSET\r\n",
        b"BDAT 40\r\n",
        b"BDAT 0 LAST\r\n",
        b"NOOP\n",
        b"\0\0\r\n",
        b"VRFY alice\r\n",
        b"\r",
        b"MAIL FROM:<\xff>\r\n",
    ];
    for _ in 0..client.random.below(60) {
        let word = client.random.pick(&words);
        talk.say(word).await?;
        if client.random.one_in(20) {
            talk.say(&vec![b'x'; client.random.below(9_000) as usize]).await?;
        }
    }
    talk.half_close();
    talk.drain().await
}

/// Waits to be sent away.
async fn say_nothing(talk: &mut Talk) -> io::Result<()> {
    greet(talk).await?;
    talk.drain().await
}

/// Talks and does not listen, until the server has had enough.
async fn never_read(client: &mut Client, talk: &mut Talk) -> io::Result<()> {
    talk.say(&b"NOOP\r\n".repeat(1_000 + client.random.below(20_000) as usize)).await
}

/// Sends the content whatever was said before; in the end it hears whether that was taken.
async fn ignore_refusals(client: &mut Client, talk: &mut Talk) -> io::Result<()> {
    greet(talk).await?;
    let (mail, accounts) = (client.mail(), client.accounts());
    talk.say(envelope(mail, &accounts).as_bytes()).await?;
    talk.say(&mail.stuffed()).await?;
    for _ in 0..accounts.len() + 1 {
        talk.expect(250).await?;
    }
    talk.expect(354).await?;
    if talk.reply().await? == 250 {
        client.shared.acknowledge(mail.token, &accounts);
    }
    Ok(())
}
