//! Measures what readers do with a mailbox of many messages: `cargo run --release --example mailbox -- DIR [MESSAGES]`.
//!
//! The messages are copies of 256 that are appended first, so that there is a row for each and little content. Every figure is the median of
//! some runs, after one that does not count.

#![forbid(unsafe_code)]

use bytes::Bytes;
use posthaste_store_local::{Local, Options};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use store::{
    AccountName, Directory, Flags, Keyword, MailboxId, MailboxName, Mailboxes, Marking, Marks, ModSeq,
    NewMessage, Origin, Originals, Result, Spool, Timestamp, Uid,
};

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().expect("a directory for the store"));
    let messages: u32 = arguments.next().map_or(100_000, |count| count.parse().expect("how many messages"));
    let store = Local::open(Options { reserve: 0, ..Options::new(directory) })?;
    let alice = AccountName::parse("alice@example.org")?;
    store.create_account(&alice, Origin::Added).await?;
    let inbox = store.mailbox(&alice, &MailboxName::inbox()).await?.id;
    let filled = Instant::now();
    fill(&store, inbox, messages).await?;
    println!("{messages} messages appended and copied in {:.1} s", filled.elapsed().as_secs_f64());

    let all: Vec<Uid> = (1..=messages).map(Uid).collect();
    let keyword =
        || Marks { keywords: vec![Keyword::new("$Measured").expect("a keyword")], ..Marks::default() };
    measure("status", 50, async || store.status(inbox).await.map(drop)).await?;
    measure("roll: the marks of all (SELECT)", 20, async || store.roll(inbox).await.map(drop)).await?;
    measure("entries: everything of all", 10, async || {
        store.entries(inbox, Uid(0), usize::MAX).await.map(drop)
    })
    .await?;
    measure("mark one, durable", 50, async || {
        let uid = Uid(messages / 2);
        store.mark(inbox, &[uid], Marking::add(Flags::FLAGGED)).await?;
        store.mark(inbox, &[uid], Marking::remove(Flags::FLAGGED)).await.map(drop)
    })
    .await?;
    measure("mark all, durable, twice", 5, async || {
        store.mark(inbox, &all, Marking::add(keyword())).await?;
        store.mark(inbox, &all, Marking::remove(keyword())).await.map(drop)
    })
    .await?;
    measure("changes: of all", 5, async || store.changes(inbox, ModSeq(0), usize::MAX).await.map(drop))
        .await?;
    let archive = store.create_mailbox(&alice, &MailboxName::new("Archive")?, None).await?.id;
    let moved = Instant::now();
    store.copy(inbox, &all, archive, Originals::Go).await?;
    store.status(archive).await?;
    println!("{:>10.2} ms  move all to another mailbox, once", moved.elapsed().as_secs_f64() * 1000.0);
    store.close().await
}

async fn fill(store: &Local, inbox: MailboxId, messages: u32) -> Result<()> {
    let mut new = Vec::new();
    for number in 0..256.min(messages) {
        let mut stage = store.stage()?;
        let text = format!("Subject: message {number}\r\n\r\n{}", "A line of text.\r\n".repeat(100));
        stage.append(Bytes::from(text)).await?;
        new.push(NewMessage { stage, received: Timestamp(i64::from(number)), marks: Marks::default() });
    }
    let mut there = store.append(inbox, new).await?.uids.len() as u32;
    while there < messages {
        let uids: Vec<Uid> = (1..=there.min(messages - there)).map(Uid).collect();
        there += store.copy(inbox, &uids, inbox, Originals::Stay).await?.pairs.len() as u32;
    }
    Ok(())
}

async fn measure(what: &str, runs: usize, act: impl AsyncFn() -> Result<()>) -> Result<()> {
    act().await?;
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..runs {
        let begun = Instant::now();
        act().await?;
        took.push(begun.elapsed());
    }
    took.sort();
    println!("{:>10.2} ms  {what}", took[runs / 2].as_secs_f64() * 1000.0);
    Ok(())
}
