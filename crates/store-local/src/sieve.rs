//! Which messages of a mailbox can have some text in them at all: what a search need not read.
//!
//! A sieve is a derived file of [`BLOCK`] UIDs in a row: for each of [`SLICES`] numbers, a bit for every message that has a sequence of three
//! bytes with that number (a bit-sliced signature). A text is in lower case for it, decoded, as a search looks at it. Whatever a message holds
//! its bits say so; what they say besides that a search finds out when it reads the message. A UID never stands for another
//! message, so a sieve never grows old. It is made when a mailbox is searched for the first time, and can be thrown away at any time.

use crate::engine::Engine;
use crate::error::io_error;
use crate::file::{File, Files, Mode, read_exact_at, write_all_at};
use std::collections::HashSet;
use std::io::{self, ErrorKind, IoSlice};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread::JoinHandle;
use store::{Error, MailboxId, Result, SpoolId, Uid};

/// Calls a function with each piece of text that a search of a message may look for something in.
pub type Searchable = Arc<dyn Fn(&[u8], &mut dyn FnMut(&str)) + Send + Sync>;

/// The sieves of a store.
pub(crate) struct Sieves {
    files: Arc<dyn Files>,
    directory: PathBuf,
    searchable: Option<Searchable>,
    /// Nobody when whoever searches makes them, and when the store is closed.
    maker: Mutex<Option<Maker>>,
    /// Said, and not made yet.
    waiting: Mutex<HashSet<Wanted>>,
}

/// The thread that makes sieves.
struct Maker {
    /// Where to say which block of a mailbox lacks one.
    wanted: SyncSender<Wanted>,
    thread: JoinHandle<()>,
}

/// A block of a mailbox.
type Wanted = (MailboxId, u32);

/// For one number: a bit for each message of a block.
type Slice = [u8; BLOCK as usize / 8];

impl Sieves {
    /// Those in this directory.
    pub(crate) fn new(files: Arc<dyn Files>, directory: PathBuf, searchable: Option<Searchable>) -> Sieves {
        Sieves { files, directory, searchable, maker: Mutex::default(), waiting: Mutex::default() }
    }

    /// Removes what belongs to no mailbox or was not finished.
    pub(crate) fn sweep(&self, exists: &dyn Fn(MailboxId) -> Result<bool>) -> Result<()> {
        let names = match self.files.list(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            names => names.map_err(|error| io_error("listing", &self.directory, error))?,
        };
        for name in names {
            let mailbox = name.get(..16).and_then(|number| u64::from_str_radix(number, 16).ok());
            let stays = mailbox.map_or(Ok(false), |mailbox| exists(MailboxId(mailbox)))?;
            if !stays || name.ends_with(NEW) {
                let path = self.directory.join(name);
                self.files.remove(&path).map_err(|error| io_error("removing", &path, error))?;
            }
        }
        Ok(())
    }

    /// Starts the thread that makes sieves.
    pub(crate) fn start(engine: &Arc<Engine>) -> io::Result<()> {
        if engine.sieves.searchable.is_none() {
            return Ok(());
        }
        let (wanted, waiting) = sync_channel(WANTED_MAX);
        let engine_of_thread = Arc::downgrade(engine);
        let thread = std::thread::Builder::new().name("store-sieve".to_owned());
        let thread = thread.spawn(move || run(&engine_of_thread, &waiting))?;
        *engine.sieves.maker() = Some(Maker { wanted, thread });
        Ok(())
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        let maker = self.maker().take();
        if let Some(Maker { wanted, thread }) = maker {
            drop(wanted);
            if thread.join().is_err() {
                tracing::error!("the thread that makes sieves panicked");
            }
        }
    }

    fn maker(&self) -> MutexGuard<'_, Option<Maker>> {
        self.maker.lock().expect("no holder of this lock panics")
    }

    fn path(&self, (mailbox, block): Wanted) -> PathBuf {
        self.directory.join(format!("{:016x}-{block:08x}", mailbox.0))
    }

    /// The messages of a block that can have all of these numbers; `None` when there is no sieve for it.
    fn look(&self, wanted: Wanted, numbers: &[u32]) -> Result<Option<Slice>> {
        let path = self.path(wanted);
        let file = match self.files.open(&path, Mode::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|error| io_error("opening", &path, error))?,
        };
        match look(&*file, numbers) {
            Ok(slice) => Ok(Some(slice)),
            Err(error) => {
                tracing::warn!(%error, file = %path.display(), "a sieve cannot be read and is made anew");
                self.files.remove(&path).map_err(|error| io_error("removing", &path, error))?;
                Ok(None)
            }
        }
    }

    /// Has a sieve made some time.
    fn want(&self, wanted: Wanted) {
        let maker = self.maker();
        let Some(maker) = &*maker else { return };
        let mut waiting = self.waiting.lock().expect("no holder of this lock panics");
        // With very many of them waiting, the next search asks again.
        if !waiting.contains(&wanted) && maker.wanted.try_send(wanted).is_ok() {
            waiting.insert(wanted);
        }
    }

    fn write(&self, wanted: Wanted, slices: &[Slice]) -> Result<()> {
        let path = self.path(wanted);
        let new = path.with_extension(&NEW[1..]);
        self.files
            .create_dir(&self.directory)
            .map_err(|error| io_error("creating", &self.directory, error))?;
        match self.files.remove(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(io_error("removing", &new, error));
            }
            _ => {}
        }
        let written = self.files.open(&new, Mode::Create).and_then(|file| write(&*file, slices));
        let renamed = written.and_then(|()| self.files.rename(&new, &path));
        renamed.map_err(|error| io_error("writing", &new, error))
    }
}

impl Engine {
    /// The UIDs of a mailbox whose messages can have all of these in their text, in lower case.
    pub(crate) fn sift(
        self: &Arc<Self>,
        mailbox: MailboxId,
        needles: &[Vec<u8>],
    ) -> Result<Vec<RangeInclusive<Uid>>> {
        let numbers = numbers_of(needles);
        let last = self.view.read()?.mailbox(mailbox)?.uid_next.0 - 1;
        if numbers.is_empty() || self.sieves.searchable.is_none() {
            return Ok(vec![Uid(1)..=Uid(last.max(1))]);
        }
        let mut ranges = Vec::new();
        for block in 0..=last.saturating_sub(1) / BLOCK {
            let first = block * BLOCK + 1;
            // A block whose last UID was not given may get more messages: it is read.
            let is_full = last >= first + (BLOCK - 1);
            let mut found = if is_full { self.sieves.look((mailbox, block), &numbers)? } else { None };
            if is_full && found.is_none() {
                match self.work {
                    crate::Work::Threads => self.sieves.want((mailbox, block)),
                    crate::Work::Caller => {
                        self.make_sieve((mailbox, block))?;
                        found = self.sieves.look((mailbox, block), &numbers)?;
                    }
                }
            }
            match found {
                None => extend(&mut ranges, first, first.saturating_add(BLOCK - 1).min(last)),
                Some(slice) => {
                    for bit in (0..BLOCK).filter(|bit| slice[*bit as usize / 8] >> (bit % 8) & 1 == 1) {
                        extend(&mut ranges, first + bit, first + bit);
                    }
                }
            }
        }
        Ok(ranges)
    }

    /// Makes the sieve of a block of which every UID was given.
    fn make_sieve(self: &Arc<Self>, (mailbox, block): Wanted) -> Result<()> {
        let Some(searchable) = &self.sieves.searchable else { return Ok(()) };
        let range = Uid(block * BLOCK + 1)..=Uid(block * BLOCK + BLOCK);
        let entries = self.view.read()?.entries_in(mailbox, &[range], usize::MAX)?;
        let mut slices = vec![[0; BLOCK as usize / 8]; SLICES as usize];
        for entry in entries {
            self.status.check_open()?;
            let bit = (entry.uid.0 - 1) % BLOCK;
            let (at, mask) = (bit as usize / 8, 1 << (bit % 8));
            let read = if entry.size > TEXT_MAX { None } else { self.whole(entry.spool, entry.delivery)? };
            match read {
                Some(text) => searchable(&text, &mut |piece| {
                    let piece = piece.to_lowercase();
                    piece.as_bytes().windows(3).for_each(|three| slices[number(three) as usize][at] |= mask);
                }),
                // It can have everything in it: whoever searches reads it.
                None => slices.iter_mut().for_each(|slice| slice[at] |= mask),
            }
        }
        self.sieves.write((mailbox, block), &slices)
    }

    /// The whole text of an entry; `None` when it cannot be read, or is gone.
    fn whole(self: &Arc<Self>, spool: SpoolId, delivery: u32) -> Result<Option<Vec<u8>>> {
        match self.text_at_once(spool, delivery) {
            Err(Error::Damaged(_) | Error::NoSuchMessage(_)) => Ok(None),
            text => text.map(Some),
        }
    }
}

/// Makes sieves until the store is closed.
fn run(engine: &Weak<Engine>, wanted: &Receiver<Wanted>) {
    while let Ok(wanted) = wanted.recv() {
        let Some(engine) = engine.upgrade() else { return };
        match engine.make_sieve(wanted) {
            // The mailbox is gone, or the store is.
            Ok(()) | Err(Error::NoSuchMailbox(_) | Error::Closed) => {}
            Err(error) => tracing::warn!(%error, mailbox = wanted.0.0, "no sieve could be made for a search"),
        }
        engine.sieves.waiting.lock().expect("no holder of this lock panics").remove(&wanted);
    }
}

/// The numbers that a text has in it when it has all of these in it; not more than are of use.
fn numbers_of(needles: &[Vec<u8>]) -> Vec<u32> {
    let mut numbers: Vec<u32> = needles.iter().flat_map(|needle| needle.windows(3)).map(number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.truncate(NUMBERS_MAX);
    numbers
}

/// The number of three bytes.
fn number(three: &[u8]) -> u32 {
    let bytes = u32::from_be_bytes([0, three[0], three[1], three[2]]);
    bytes.wrapping_mul(0x9E37_79B1) >> (u32::BITS - SLICES.trailing_zeros())
}

fn look(file: &dyn File, numbers: &[u32]) -> io::Result<Slice> {
    let mut found = [u8::MAX; BLOCK as usize / 8];
    for &number in numbers {
        let mut record = [0; SLICE_SPACE];
        read_exact_at(file, &mut record, u64::from(number) * SLICE_SPACE as u64)?;
        let (slice, crc) = record.split_at(BLOCK as usize / 8);
        if checksum(number, slice).to_le_bytes() != crc {
            return Err(io::Error::new(ErrorKind::InvalidData, "a checksum does not match"));
        }
        found.iter_mut().zip(slice).for_each(|(found, slice)| *found &= slice);
        if found.iter().all(|byte| *byte == 0) {
            break;
        }
    }
    Ok(found)
}

fn write(file: &dyn File, slices: &[Slice]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(slices.len() * SLICE_SPACE);
    for (number, slice) in (0..).zip(slices) {
        bytes.extend_from_slice(slice);
        bytes.extend_from_slice(&checksum(number, slice).to_le_bytes());
    }
    write_all_at(file, &mut [IoSlice::new(&bytes)], 0)?;
    file.sync_data()
}

fn checksum(number: u32, slice: &[u8]) -> u32 {
    crc32c::crc32c_append(number, slice)
}

/// Adds UIDs behind those that are there.
fn extend(ranges: &mut Vec<RangeInclusive<Uid>>, first: u32, last: u32) {
    match ranges.last_mut() {
        Some(range) if range.end().0 + 1 == first => *range = *range.start()..=Uid(last),
        _ => ranges.push(Uid(first)..=Uid(last)),
    }
}

/// The name of the directory within the store's.
pub(crate) fn directory(store: &Path) -> PathBuf {
    store.join("sieve")
}

/// How many UIDs a sieve is for.
const BLOCK: u32 = 512;

/// How many numbers a sequence of three bytes can have; a power of two. A message of some pages has one in ten.
const SLICES: u32 = 1 << 15;

/// How much of the file each number takes: the bits and their CRC.
const SLICE_SPACE: usize = BLOCK as usize / 8 + 4;

/// So many numbers tell enough.
const NUMBERS_MAX: usize = 24;

/// A longer text is not looked at: a search reads it.
const TEXT_MAX: u64 = 16 << 20;

/// How many blocks can wait for their sieves.
const WANTED_MAX: usize = 4096;

/// Ends the name of a file being written.
const NEW: &str = ".new";
