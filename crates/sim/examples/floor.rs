//! The least work that a durable mail server can do, to measure others against. Not a mail server.
//!
//! One thread serves the sessions: it knows the verbs of SMTP by their first letter. A second one appends the content of
//! all messages that wait to one file and calls `fdatasync` once; then each is told `250`. No syntax, no mailboxes, no
//! index, no log lines.
//!
//! `cargo run --release --example floor -- ADDRESS FILE`; `bench/run` starts it beside the servers it compares.

#![forbid(unsafe_code)]

use memchr::memmem;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// What waits for the next sync.
#[derive(Default)]
struct Batch {
    content: Vec<u8>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// The one log, shared by the thread of the sessions and the one that writes.
#[derive(Default)]
struct Log {
    batch: Mutex<Batch>,
    filled: Condvar,
}

impl Log {
    /// Returns when the content is on stable storage.
    async fn append(&self, content: &[u8]) -> io::Result<()> {
        let (done, synced) = oneshot::channel();
        {
            let mut batch = self.batch.lock().expect("no thread panics while it holds the lock");
            batch.content.extend_from_slice(content);
            batch.waiting.push(done);
        }
        self.filled.notify_one();
        synced.await.map_err(|_| io::Error::other("the log could not be written"))
    }

    /// Writes whatever waits, again and again.
    fn commit(&self, mut file: File) -> io::Result<()> {
        loop {
            let batch = {
                let batch = self.batch.lock().expect("no thread panics while it holds the lock");
                let empty = |batch: &mut Batch| batch.waiting.is_empty();
                let mut batch =
                    self.filled.wait_while(batch, empty).expect("no thread panics while it holds the lock");
                mem::take(&mut *batch)
            };
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
    runtime.block_on(listen(address, file))
}

async fn listen(address: String, file: File) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let log = Arc::new(Log::default());
    let committer = Arc::clone(&log);
    thread::spawn(move || {
        if let Err(error) = committer.commit(file) {
            eprintln!("floor: {error}");
            std::process::exit(1);
        }
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let log = Arc::clone(&log);
        tokio::spawn(async move {
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
