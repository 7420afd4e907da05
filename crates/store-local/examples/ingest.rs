//! How fast the engine takes messages: producers that each wait for the durable answer before they send the next message.
//!
//! `cargo run --release -p posthaste-store-local --example ingest -- [--producers 64] [--size 4096] [--seconds 5] [--directory DIR]
//! [--settle] [--reclaim-rate BYTES]`
//!
//! Each message goes into one of a thousand mailboxes and into the queue. Without `--directory` a temporary one is used; it should
//! be on a disk, not in memory, or the syncs cost nothing. With `--settle` messages go into the queue only, and all but every tenth are
//! settled at once, as a relay does it; so most of the log is dead soon. `--reclaim-rate 0` lets it be. `bench/reclaim` compares the two.

#![forbid(unsafe_code)]

use bytes::Bytes;
use posthaste_store_local::{Disk, File, Files, Local, Lock, Mode, Options};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::{
    Accepted, AccountName, DeliveryId, Destination, IfFull, IfMissing, MailboxName, NewDelivery, Outcome,
    Result, SharedStore, Timestamp,
};

struct Arguments {
    producers: usize,
    size: usize,
    seconds: u64,
    directory: Option<PathBuf>,
    settle: bool,
    reclaim_rate: Option<u64>,
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments = arguments()?;
    let temporary = tempfile::tempdir()?;
    let directory = arguments.directory.clone().unwrap_or_else(|| temporary.path().join("store"));
    let counting = Arc::new(Counting::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&arguments, directory, counting))
}

async fn measure(
    arguments: &Arguments,
    directory: PathBuf,
    counting: Arc<Counting>,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let usual = Options::new(&directory);
    let reclaim_rate = arguments.reclaim_rate.unwrap_or(usual.reclaim_rate);
    let options = Options { files: counting.clone(), reclaim_rate, ..usual };
    let opening = Instant::now();
    let store = Local::open(options)?;
    println!(
        "{:>10.3} s to open; {} batches replayed",
        opening.elapsed().as_secs_f64(),
        store.recovery().replayed
    );
    let store: SharedStore = Arc::new(store);
    let content = Bytes::from(vec![b'x'; arguments.size]);
    let began = Instant::now();
    let end = began + Duration::from_secs(arguments.seconds);
    let syncs_before = counting.syncs.load(Ordering::Relaxed);
    let producers: Vec<_> = (0..arguments.producers)
        .map(|producer| {
            tokio::spawn(produce(store.clone(), content.clone(), (producer, arguments.settle), end))
        })
        .collect();
    let mut latencies = Vec::new();
    for producer in producers {
        latencies.extend(producer.await??);
    }
    let elapsed = began.elapsed();
    let syncs = counting.syncs.load(Ordering::Relaxed) - syncs_before;
    latencies.sort_unstable();
    let count = latencies.len();
    let at = |part: f64| latencies[((count - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    println!("{} producers, {} bytes, {:.1} s", arguments.producers, arguments.size, elapsed.as_secs_f64());
    println!("{:>10.0} messages/s", count as f64 / elapsed.as_secs_f64());
    println!("{:>10.2} ms p50   {:.2} ms p99   {:.2} ms p99.9", at(0.5), at(0.99), at(0.999));
    println!("{:>10.4} syncs per message", syncs as f64 / count as f64);
    let log = directory.join("log");
    let lengths: Vec<u64> =
        std::fs::read_dir(log)?.map(|file| Ok(file?.metadata()?.len())).collect::<io::Result<_>>()?;
    println!("{:>10} segments, {} MiB", lengths.len(), lengths.iter().sum::<u64>() >> 20);
    println!("{:>10} MiB given back", counting.given_back.load(Ordering::Relaxed) >> 20);
    let closing = Instant::now();
    store.close().await?;
    println!("{:>10.2} s to close", closing.elapsed().as_secs_f64());
    Ok(())
}

/// Sends messages one after the other; returns how long each took.
async fn produce(
    store: SharedStore,
    content: Bytes,
    (producer, settle): (usize, bool),
    end: Instant,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let number = producer * 7919 + latencies.len() * 31;
        let mut accepted = accepted(number % 1000);
        if settle {
            accepted.deliveries.remove(0);
        }
        let began = Instant::now();
        let mut stage = store.stage()?;
        for piece in 0..content.len().div_ceil(PIECE) {
            let from = piece * PIECE;
            // A copy, because a connection's reads are memory of their own too.
            stage.append(Bytes::copy_from_slice(&content[from..content.len().min(from + PIECE)])).await?;
        }
        let spool = stage.commit(accepted).await?;
        latencies.push(began.elapsed());
        if settle && latencies.len() % 10 != 0 {
            store.settle(DeliveryId { spool, recipient: 0 }, Outcome::delivered(Timestamp(50))).await?;
        }
    }
    Ok(latencies)
}

fn accepted(user: usize) -> Accepted {
    let address: smtp::Mailbox = format!("user{user}@example.org").parse().expect("a valid address");
    let account = AccountName::of(&address);
    let recipient = smtp::Recipient::new(smtp::ForwardPath::Mailbox(address));
    let into_mailbox = Destination::Mailbox {
        account,
        mailbox: MailboxName::inbox(),
        if_missing: IfMissing::Create,
        if_full: IfFull::Fail,
        trace: Bytes::from_static(b"Return-Path: <sender@example.net>\r\n"),
    };
    let into_queue = Destination::Queue { due: Timestamp(0) };
    Accepted {
        received: Timestamp(1_700_000_000_000),
        envelope: smtp::Envelope::new(smtp::ReversePath::Null, vec![recipient]),
        trace: Bytes::from_static(
            b"Received: from client.example by mx.example.org; Tue, 14 Nov 2023 22:13:20 +0000\r\n",
        ),
        deliveries: vec![
            NewDelivery { recipient: 0, destination: into_mailbox },
            NewDelivery { recipient: 0, destination: into_queue },
        ],
    }
}

fn arguments() -> std::result::Result<Arguments, Box<dyn std::error::Error>> {
    let mut arguments = Arguments {
        producers: 64,
        size: 4096,
        seconds: 5,
        directory: None,
        settle: false,
        reclaim_rate: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(name) = words.next() {
        if name == "--settle" {
            arguments.settle = true;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--producers" => arguments.producers = value.parse()?,
            "--size" => arguments.size = value.parse()?,
            "--seconds" => arguments.seconds = value.parse()?,
            "--reclaim-rate" => arguments.reclaim_rate = Some(value.parse()?),
            "--directory" => arguments.directory = Some(PathBuf::from(value)),
            _ => return Err(format!("{name} is not known").into()),
        }
    }
    Ok(arguments)
}

/// The disk, with its syncs counted, and what reclamation gives back.
#[derive(Debug, Default)]
struct Counting {
    disk: Disk,
    syncs: Arc<AtomicU64>,
    /// Bytes of segments that were removed, less those that took their place.
    given_back: AtomicI64,
}

impl Counting {
    /// How long a segment is; nothing for any other file.
    fn segment(&self, path: &Path) -> io::Result<i64> {
        if path.extension().is_none_or(|extension| extension != "seg") {
            return Ok(0);
        }
        Ok(self.disk.open(path, Mode::Read)?.size()? as i64)
    }
}

#[derive(Debug)]
struct CountingFile {
    file: Arc<dyn File>,
    syncs: Arc<AtomicU64>,
}

impl Files for Counting {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(CountingFile { file: self.disk.open(path, mode)?, syncs: self.syncs.clone() }))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.disk.list(directory)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.given_back.fetch_add(self.segment(path)?, Ordering::Relaxed);
        self.disk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)?;
        // A segment that takes the place of others is named for the first and the last of them.
        if to.file_name().is_some_and(|name| name.to_string_lossy().contains('-')) {
            self.given_back.fetch_sub(self.segment(to)?, Ordering::Relaxed);
        }
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.disk.sync_dir(path)
    }

    fn free_space(&self, directory: &Path) -> io::Result<u64> {
        self.disk.free_space(directory)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.disk.lock(path)
    }
}

impl File for CountingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.file.write_vectored_at(pieces, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.file.sync_data()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

/// As a connection's reads bring it.
const PIECE: usize = 64 * 1024;
