//! The contract: one suite that every engine must pass.
//!
//! [`run`] checks each method's promises one by one, then compares random histories with [`crate::memory::Memory`], step by step, with
//! the store opened anew in between where the engine can. It panics at the first difference, as a test does. The histories come
//! from fixed seeds, so a failure repeats. What only one engine has (files, faults, recovery) is that engine's own to test.

mod directory;
mod entries;
mod history;
mod layout;
mod mailboxes;
mod orders;
mod queue;

use crate::{
    Accepted, AccountName, Attempt, Destination, Identity, IfFull, IfMissing, Keyword, MailboxName, Marks,
    NewDelivery, NewMessage, Reader, Result, SharedStore, SpoolId, Timestamp, Tls, Told, Uid,
};
use async_trait::async_trait;
use bytes::Bytes;

/// An engine under test.
#[async_trait]
pub trait Subject: Send + Sync {
    /// A new, empty store.
    async fn open(&self) -> SharedStore;

    /// Closes the store and opens what it kept; `None` when the engine keeps nothing, and then the store stays open.
    async fn reopen(&self, store: &SharedStore) -> Option<SharedStore>;
}

/// Runs the whole suite.
pub async fn run(subject: &dyn Subject) {
    mailboxes::run(subject).await;
    layout::run(subject).await;
    entries::run(subject).await;
    directory::run(subject).await;
    queue::run(subject).await;
    orders::run(subject).await;
    for seed in 1..=8 {
        history::run(subject, seed, 200).await;
    }
}

/// A message from `sender@example.net` to these recipients, with one header field as its trace and the given deliveries.
fn accepted(recipients: &[&str], deliveries: Vec<NewDelivery>) -> Accepted {
    let recipient = |address: &&str| smtp::Recipient {
        forward_path: smtp::ForwardPath::Mailbox(address.parse().expect("a valid address")),
        notify: None,
        original: None,
    };
    let envelope = smtp::Envelope {
        reverse_path: smtp::ReversePath::Mailbox("sender@example.net".parse().expect("a valid address")),
        recipients: recipients.iter().map(recipient).collect(),
        body: smtp::Body::EightBitMime,
        smtputf8: false,
        require_tls: recipients.len() == 2,
        ret: Some(smtp::Return::Headers),
        envelope_id: None,
    };
    let trace = Bytes::from_static(b"Received: by mx.example.org\r\n");
    Accepted { received: Timestamp(1_700_000_000_123), envelope, trace, deliveries }
}

/// A delivery of the first recipient into a mailbox.
fn into_mailbox(account: &AccountName, mailbox: &str, if_missing: IfMissing) -> NewDelivery {
    let trace = Bytes::from(format!("Delivered-To: {account}\r\n"));
    let mailbox = MailboxName::new(mailbox).expect("a valid name");
    let if_full = IfFull::Fail;
    let destination = Destination::Mailbox { account: account.clone(), mailbox, if_missing, if_full, trace };
    NewDelivery { recipient: 0, destination }
}

/// A delivery into the queue.
fn into_queue(recipient: u32, due: i64) -> NewDelivery {
    NewDelivery { recipient, destination: Destination::Queue { due: Timestamp(due) } }
}

/// A try that failed.
fn attempt(at: i64, number: usize) -> Attempt {
    let host = number.is_multiple_of(2).then(|| format!("mx{number}.example.com"));
    let address = host.is_some().then(|| "192.0.2.1:25".parse().expect("an address"));
    let tls = host.is_some().then(|| Tls {
        version: "TLSv1.3".to_owned(),
        cipher: "TLS_AES_128_GCM_SHA256".to_owned(),
        identity: match number.is_multiple_of(4) {
            true => Identity::Proven("an authority".to_owned()),
            false => Identity::Unproven("it signed its certificate itself".to_owned()),
        },
    });
    let choice = (number > 3).then(|| format!("the best of {number}"));
    Attempt {
        at: Timestamp(at),
        took: 7,
        host,
        address,
        tls,
        choice,
        reply: format!("451 4.7.1 try {number}"),
        told: match number % 3 {
            0 => None,
            1 => Some(Told::Report(SpoolId(number as u64))),
            _ => Some(Told::Nothing("they did not want to hear of it".to_owned())),
        },
    }
}

/// Commits a message with this content in one piece.
async fn commit(store: &SharedStore, content: &[u8], accepted: Accepted) -> Result<SpoolId> {
    let mut stage = store.stage()?;
    stage.append(Bytes::copy_from_slice(content)).await?;
    stage.commit(accepted).await
}

/// The whole text, whose length must be what the reader said.
async fn text(reader: Reader) -> Vec<u8> {
    let len = reader.len;
    let all = reader.read_all(1 << 30).await.expect("the text can be read");
    assert_eq!(all.len() as u64, len, "a reader says its true length");
    all
}

/// A message that a reader puts into a mailbox.
async fn new_message(store: &SharedStore, content: &[u8], marks: impl Into<Marks>) -> NewMessage {
    let mut stage = store.stage().expect("the store takes messages");
    stage.append(Bytes::copy_from_slice(content)).await.expect("so much fits");
    NewMessage { stage, received: Timestamp(1_600_000_000_000), marks: marks.into() }
}

fn mailbox_name(name: &str) -> MailboxName {
    MailboxName::new(name).expect("a valid name")
}

fn keywords(names: &[&str]) -> Vec<Keyword> {
    names.iter().map(|name| Keyword::new(name).expect("a keyword")).collect()
}

/// The UIDs from 1 to this one.
fn uids(last: u32) -> Vec<Uid> {
    (1..=last).map(Uid).collect()
}

fn account(name: &str) -> AccountName {
    AccountName::parse(name).expect("a valid account name")
}
