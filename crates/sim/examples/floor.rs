//! The least work that a durable mail server can do, to measure others against. Not a mail server.
//!
//! One thread. It knows the verbs of SMTP by their first letter, appends the content of all messages that wait to one
//! file, calls `fdatasync` once, and then says `250` to each. No syntax, no mailboxes, no index, no second reader.
//!
//! `cargo run --release --example floor -- ADDRESS FILE`; `bench/run` starts it beside the servers it compares.

#![forbid(unsafe_code)]

use memchr::memmem;
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task;

/// What waits for the next sync.
#[derive(Default)]
struct Batch {
    content: Vec<u8>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// The one log, shared by all sessions of the one thread.
#[derive(Default)]
struct Log {
    batch: RefCell<Batch>,
    filled: Notify,
}

impl Log {
    /// Returns when the content is on stable storage.
    async fn append(&self, content: &[u8]) -> io::Result<()> {
        let (done, synced) = oneshot::channel();
        {
            let mut batch = self.batch.borrow_mut();
            batch.content.extend_from_slice(content);
            batch.waiting.push(done);
        }
        self.filled.notify_one();
        synced.await.map_err(|_| io::Error::other("the log could not be written"))
    }

    /// Writes whatever waits, again and again.
    async fn commit(&self, mut file: File) -> io::Result<()> {
        loop {
            self.filled.notified().await;
            // Every session that has something to read comes first, so that one sync serves them all.
            task::yield_now().await;
            let batch = self.batch.take();
            file.write_all(&batch.content)?;
            file.sync_data()?;
            for waiting in batch.waiting {
                if waiting.send(()).is_err() {
                    eprintln!("floor: a session went away before its reply");
                }
            }
        }
    }
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(path), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err(io::Error::other("usage: floor ADDRESS FILE"));
    };
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    task::LocalSet::new().block_on(&runtime, listen(address, file))
}

async fn listen(address: String, file: File) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let log = Rc::new(Log::default());
    let committer = Rc::clone(&log);
    task::spawn_local(async move {
        if let Err(error) = committer.commit(file).await {
            eprintln!("floor: {error}");
            std::process::exit(1);
        }
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let log = Rc::clone(&log);
        task::spawn_local(async move {
            if let Err(error) = session(stream, &log).await {
                eprintln!("floor: session: {error}");
            }
        });
    }
}

/// One connection, to its end.
async fn session(mut stream: TcpStream, log: &Log) -> io::Result<()> {
    stream.write_all(b"220 floor\r\n").await?;
    let mut input = Vec::with_capacity(64 * 1024);
    let mut replies = Vec::new();
    loop {
        while let Some(end) = memmem::find(&input, b"\r\n") {
            let verb = input.first().map_or(0, u8::to_ascii_uppercase);
            input.drain(..end + 2);
            match verb {
                b'D' => {
                    replies.extend_from_slice(b"354 go on\r\n");
                    flush(&mut stream, &mut replies).await?;
                    receive_content(&mut stream, &mut input, log).await?;
                    replies.extend_from_slice(b"250 kept\r\n");
                }
                b'Q' => {
                    replies.extend_from_slice(b"221 bye\r\n");
                    return flush(&mut stream, &mut replies).await;
                }
                b'E' => replies.extend_from_slice(b"250-floor\r\n250 PIPELINING\r\n"),
                _ => replies.extend_from_slice(b"250 fine\r\n"),
            }
        }
        flush(&mut stream, &mut replies).await?;
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

/// Takes the content up to the line with a single dot, and returns once it is on stable storage.
async fn receive_content(stream: &mut TcpStream, input: &mut Vec<u8>, log: &Log) -> io::Result<()> {
    let mut searched = 0;
    loop {
        if let Some(place) = memmem::find(&input[searched..], b"\r\n.\r\n") {
            let end = searched + place + 5;
            log.append(&input[..end]).await?;
            input.drain(..end);
            return Ok(());
        }
        searched = input.len().saturating_sub(4);
        if stream.read_buf(input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn flush(stream: &mut TcpStream, replies: &mut Vec<u8>) -> io::Result<()> {
    stream.write_all(replies).await?;
    replies.clear();
    Ok(())
}
