//! What the engine's own tests share: a forgetful file system in memory, and short ways to send and read messages.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod frame;
pub(crate) mod gate;
pub(crate) mod picky;

use bytes::Bytes;
use posthaste_store_local::{Local, Options, Work};
use std::path::PathBuf;
use std::sync::Arc;
use store::{
    Accepted, AccountName, Change, Delivery, Destination, Entry, IfFull, IfMissing, MailboxName,
    MailboxStatus, Mailboxes, ModSeq, NewDelivery, Outcome, Result, Spool, SpoolId, Timestamp, Uid,
};

/// Options for a small store whose work is done on the spot.
pub(crate) fn small(directory: impl Into<PathBuf>) -> Options {
    Options {
        segment_size: 64 << 10,
        large_from: 8 << 10,
        reserve: 0,
        index_cache: 1 << 20,
        work: Work::Caller,
        clock: Arc::new(|| Timestamp(1_700_000_000_000)),
        ..Options::new(directory)
    }
}

pub(crate) fn alice() -> AccountName {
    AccountName::parse("alice@example.org").expect("a valid name")
}

/// An acceptance for alice: into her INBOX and into the queue.
pub(crate) fn for_alice() -> Accepted {
    let into_mailbox = Destination::Mailbox {
        account: alice(),
        mailbox: MailboxName::inbox(),
        if_missing: IfMissing::Create,
        if_full: IfFull::Fail,
        trace: Bytes::from_static(b"Delivered-To: alice@example.org\r\n"),
    };
    let into_queue = Destination::Queue { due: Timestamp(5) };
    let recipient = smtp::Recipient::new("<alice@example.org>".parse().expect("a valid path"));
    Accepted {
        received: Timestamp(1_700_000_000_123),
        envelope: smtp::Envelope::new(smtp::ReversePath::Null, vec![recipient]),
        trace: Bytes::from_static(b"Received: by mx.example.org\r\n"),
        deliveries: vec![
            NewDelivery { recipient: 0, destination: into_mailbox },
            NewDelivery { recipient: 0, destination: into_queue },
        ],
    }
}

/// A content of this many bytes that is different for each number.
pub(crate) fn content(number: u64, size: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..size).map(|_| next()).collect()
}

/// Sends alice a message.
pub(crate) async fn send(store: &Local, content: &[u8]) -> Result<SpoolId> {
    let mut stage = store.stage()?;
    for chunk in content.chunks(3000) {
        stage.append(Bytes::copy_from_slice(chunk)).await?;
    }
    stage.commit(for_alice()).await
}

/// Alice's entries; none when there is no such account.
pub(crate) async fn inbox(store: &Local) -> Vec<Entry> {
    match store.mailbox(&alice(), &MailboxName::inbox()).await {
        Ok(status) => {
            let entries = store.entries(status.id, Uid(0), usize::MAX).await.expect("entries can be read");
            assert_eq!(entries.len() as u64, status.messages);
            entries
        }
        Err(store::Error::NoSuchAccount(_)) => Vec::new(),
        Err(error) => panic!("{error}"),
    }
}

/// The content of one of alice's entries, without the trace fields.
pub(crate) async fn read(store: &Local, uid: Uid) -> Result<Vec<u8>> {
    let inbox = store.mailbox(&alice(), &MailboxName::inbox()).await?;
    let (entry, reader) = store.fetch(inbox.id, uid).await?;
    assert_eq!(entry.size, reader.len);
    let text = reader.read_all(1 << 30).await?;
    let trace = b"Delivered-To: alice@example.org\r\nReceived: by mx.example.org\r\n";
    assert!(text.starts_with(trace));
    Ok(text[trace.len()..].to_vec())
}

pub(crate) fn inbox_name() -> MailboxName {
    MailboxName::inbox()
}

/// Everything that can be asked.
pub(crate) type Everything = (Vec<MailboxStatus>, Vec<Entry>, Vec<Change>, Vec<Delivery>);

pub(crate) async fn everything(store: &Local) -> Everything {
    let mailboxes = store.mailboxes(&alice()).await.expect("the store can be read");
    let inbox = mailboxes[0].id;
    (
        mailboxes,
        store.entries(inbox, Uid(0), usize::MAX).await.expect("the store can be read"),
        store.changes(inbox, ModSeq(0), usize::MAX).await.expect("the store can be read"),
        store.deliveries(None, usize::MAX).await.expect("the store can be read"),
    )
}

pub(crate) async fn expunge(store: &Local, uids: impl IntoIterator<Item = u32>) {
    let inbox = store.mailbox(&alice(), &inbox_name()).await.expect("the store can be read").id;
    let uids: Vec<Uid> = uids.into_iter().map(Uid).collect();
    assert_eq!(store.expunge(inbox, &uids).await.expect("the store can be changed"), uids.len() as u64);
}

/// Settles the deliveries of these messages, counted from 1 in the order in which they came.
pub(crate) async fn settle(store: &Local, numbers: impl Fn(usize) -> bool) {
    for (index, delivery) in
        store.deliveries(None, usize::MAX).await.expect("the store can be read").into_iter().enumerate()
    {
        if numbers(index + 1) {
            store
                .settle(delivery.id, Outcome::delivered(Timestamp(50)))
                .await
                .expect("the store can be changed");
        }
    }
}
