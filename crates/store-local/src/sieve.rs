//! Which messages of a mailbox can have some text in them at all, and the gist of each: what a search need not read.
//!
//! A sieve is a derived file of [`BLOCK`] UIDs in a row: for each of [`SLICES`] numbers, a bit for every message that has a sequence of two or
//! three bytes with that number (a bit-sliced signature). A text is in lower case for it, decoded, as a search looks at it. Whatever a message
//! holds its bits say so; what they say besides that a search finds out when it reads the message. Behind them stand the messages' gists
//! (`gists.rs`). A UID never stands for another message, so a sieve never grows old. It is made when a mailbox is searched for the first
//! time, and can be thrown away at any time.

mod gists;

use crate::engine::Engine;
use crate::error::io_error;
use crate::file::{File, Files, Mode, read_exact_at, write_all_at};
use std::collections::{HashMap, HashSet};
use std::io::{self, ErrorKind, IoSlice};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread::JoinHandle;
use store::{Error, GIST_MAX, MailboxId, MailboxStatus, Result, SpoolId, Uid, UidValidity};

/// What of a message's text a search may ask for.
#[derive(Clone)]
pub struct Searchable {
    /// Calls a function with each piece of text that a search may look for something in.
    pub pieces: Pieces,
    /// The gist of a text; one that is longer than [`store::GIST_MAX`] is not kept.
    pub gist: Gist,
}

/// See [`Searchable::pieces`].
pub type Pieces = Arc<dyn Fn(&[u8], &mut dyn FnMut(&str)) + Send + Sync>;

/// See [`Searchable::gist`].
pub type Gist = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// Looks a mailbox up.
type Look<'a> = &'a dyn Fn(MailboxId) -> Result<MailboxStatus>;

/// The sieves of a store.
pub(crate) struct Sieves {
    files: Arc<dyn Files>,
    directory: PathBuf,
    searchable: Option<Searchable>,
    /// Nobody when whoever searches makes them, and when the store is closed.
    maker: Mutex<Option<Maker>>,
    /// Said, and not made yet.
    waiting: Mutex<HashSet<Task>>,
}

/// The thread that makes sieves.
struct Maker {
    /// Where to say what is to be done.
    wanted: SyncSender<Task>,
    thread: JoinHandle<()>,
}

/// A block of a mailbox, whose UIDs mean what they mean as long as it has this UIDVALIDITY.
type Block = (MailboxId, UidValidity, u32);

/// What the thread is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Task {
    /// A block lacks its sieve.
    Make(Block),
    /// A mailbox is gone.
    Sweep,
}

/// For one number: a bit for each message of a block.
type Slice = [u8; BLOCK as usize / 8];

impl Sieves {
    /// Those in this directory.
    pub(crate) fn new(files: Arc<dyn Files>, directory: PathBuf, searchable: Option<Searchable>) -> Sieves {
        Sieves { files, directory, searchable, maker: Mutex::default(), waiting: Mutex::default() }
    }

    /// Removes what belongs to no mailbox as it is now, was not finished or was made by another version; not more than so many files.
    pub(crate) fn sweep(&self, mailbox: Look<'_>, limit: usize) -> Result<()> {
        let names = match self.files.list(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            names => names.map_err(|error| io_error("listing", &self.directory, error))?,
        };
        let (mut known, mut removed) = (HashMap::new(), 0);
        for name in names {
            let id = name.get(..16).and_then(|number| u64::from_str_radix(number, 16).ok()).map(MailboxId);
            let validity = match id {
                None => None,
                Some(id) => match known.get(&id) {
                    Some(validity) => *validity,
                    None => *known.entry(id).or_insert(validity_of(mailbox(id))?),
                },
            };
            let stays = id.zip(validity).is_some_and(|(id, validity)| {
                name.starts_with(&beginning(id, validity)) && name.ends_with(&format!("-{SIEVE_VERSION}"))
            });
            if !stays && removed < limit {
                let path = self.directory.join(name);
                self.files.remove(&path).map_err(|error| io_error("removing", &path, error))?;
                removed += 1;
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

    fn path(&self, (mailbox, validity, block): Block) -> PathBuf {
        self.directory.join(format!("{}{block:08x}-{SIEVE_VERSION}", beginning(mailbox, validity)))
    }

    /// The messages of a block that can have all of these numbers; `None` when there is no sieve for it.
    fn look(&self, block: Block, numbers: &[u32]) -> Result<Option<Slice>> {
        let path = self.path(block);
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

    /// Has something done some time.
    fn want(&self, wanted: Task) {
        let maker = self.maker();
        let Some(maker) = &*maker else { return };
        let mut waiting = self.waiting.lock().expect("no holder of this lock panics");
        // With very many of them waiting, the next search asks again.
        if !waiting.contains(&wanted) && maker.wanted.try_send(wanted).is_ok() {
            waiting.insert(wanted);
        }
    }

    fn write(&self, block: Block, slices: &[Slice], gists: &[Vec<u8>]) -> Result<()> {
        let path = self.path(block);
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
        let written = self.files.open(&new, Mode::Create).and_then(|file| write(&*file, slices, gists));
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
        let snapshot = self.view.read()?;
        let status = snapshot.mailbox(mailbox)?;
        let last = status.uid_next.0 - 1;
        if numbers.is_empty() || self.sieves.searchable.is_none() {
            return Ok(vec![Uid(1)..=Uid(last.max(1))]);
        }
        let mut ranges = Vec::new();
        for block in 0..=last.saturating_sub(1) / BLOCK {
            let first = block * BLOCK + 1;
            // A block whose last UID was not given may get more messages: it is read.
            if last < first + (BLOCK - 1) {
                extend(&mut ranges, first, last);
                continue;
            }
            let uids = Uid(first)..=Uid(first + (BLOCK - 1));
            if snapshot.entries_in(mailbox, std::slice::from_ref(&uids), 1)?.is_empty() {
                continue;
            }
            let block = (mailbox, status.uid_validity, block);
            let mut found = self.sieves.look(block, &numbers)?;
            if found.is_none() {
                let few = snapshot.entries_in(mailbox, std::slice::from_ref(&uids), FEW)?;
                if few.len() < FEW {
                    few.iter().for_each(|entry| extend(&mut ranges, entry.uid.0, entry.uid.0));
                    continue;
                }
                self.want_sieve(block)?;
                if self.work == crate::Work::Caller {
                    found = self.sieves.look(block, &numbers)?;
                }
            }
            match found {
                None => extend(&mut ranges, first, uids.end().0),
                Some(slice) => {
                    for bit in (0..BLOCK).filter(|bit| slice[*bit as usize / 8] >> (bit % 8) & 1 == 1) {
                        extend(&mut ranges, first + bit, first + bit);
                    }
                }
            }
        }
        Ok(ranges)
    }

    /// Has the sieve of a block made: some time, or at once where no thread does that.
    fn want_sieve(self: &Arc<Self>, block: Block) -> Result<()> {
        match self.work {
            crate::Work::Threads => self.sieves.want(Task::Make(block)),
            crate::Work::Caller => self.make_sieve(block)?,
        }
        Ok(())
    }

    /// Gives back, some time, what the sieves of mailboxes take that are gone. What is left over goes at the next opening.
    pub(crate) fn forget_sieves(&self) {
        match self.work {
            _ if self.sieves.searchable.is_none() => {}
            crate::Work::Threads => self.sieves.want(Task::Sweep),
            crate::Work::Caller => self.sweep_sieves(),
        }
    }

    fn sweep_sieves(&self) {
        let swept = self.sieves.sweep(&|mailbox| self.view.read()?.mailbox(mailbox), SWEPT_MAX);
        if let Err(error) = swept {
            tracing::warn!(%error, "the sieves of mailboxes that are gone could not be removed");
        }
    }

    /// Makes the sieve of a block of which every UID was given, unless few messages are left in it, or the disk is nearly full.
    fn make_sieve(self: &Arc<Self>, (mailbox, validity, block): Block) -> Result<()> {
        let Some(searchable) = &self.sieves.searchable else { return Ok(()) };
        let range = Uid(block * BLOCK + 1)..=Uid(block * BLOCK + BLOCK);
        let entries = self.view.read()?.entries_in(mailbox, &[range], usize::MAX)?;
        // A search can do without; mail needs the room more.
        if entries.len() < FEW || self.status.take_room(SIEVE_SPACE).is_err() {
            return Ok(());
        }
        let mut slices = vec![[0; BLOCK as usize / 8]; SLICES as usize];
        let mut gists = vec![Vec::new(); BLOCK as usize];
        for entry in entries {
            self.status.check_open()?;
            let bit = (entry.uid.0 - 1) % BLOCK;
            let (at, mask) = (bit as usize / 8, 1 << (bit % 8));
            let read = if entry.size > TEXT_MAX { None } else { self.whole(entry.spool, entry.delivery)? };
            match read {
                Some(text) => {
                    (searchable.pieces)(&text, &mut |piece| {
                        let piece = piece.to_lowercase();
                        sequences(piece.as_bytes())
                            .for_each(|found| slices[number(found) as usize][at] |= mask);
                    });
                    gists[bit as usize] = (searchable.gist)(&text);
                }
                // It can have everything in it: whoever searches reads it.
                None => slices.iter_mut().for_each(|slice| slice[at] |= mask),
            }
        }
        gists.iter_mut().filter(|gist| gist.len() > GIST_MAX).for_each(Vec::clear);
        self.sieves.write((mailbox, validity, block), &slices, &gists)
    }

    /// The whole text of an entry; `None` when it cannot be read, or is gone.
    fn whole(self: &Arc<Self>, spool: SpoolId, delivery: u32) -> Result<Option<Vec<u8>>> {
        match self.text_at_once(spool, delivery) {
            Err(Error::Damaged(_) | Error::NoSuchMessage(_)) => Ok(None),
            text => text.map(Some),
        }
    }
}

/// Makes sieves, and removes them, until the store is closed.
fn run(engine: &Weak<Engine>, wanted: &Receiver<Task>) {
    while let Ok(task) = wanted.recv() {
        let Some(engine) = engine.upgrade() else { return };
        let done = || engine.sieves.waiting.lock().expect("no holder of this lock panics").remove(&task);
        match task {
            Task::Make(block) => {
                match engine.make_sieve(block) {
                    // The mailbox is gone, or the store is.
                    Ok(()) | Err(Error::NoSuchMailbox(_) | Error::Closed) => {}
                    Err(error) => {
                        tracing::warn!(%error, mailbox = block.0.0, "no sieve could be made for a search");
                    }
                }
                done();
            }
            Task::Sweep => {
                // A mailbox that goes from here on may not be noticed: it is asked for again.
                done();
                engine.sweep_sieves();
            }
        }
    }
}

/// The UIDVALIDITY of a mailbox, if there is one.
fn validity_of(mailbox: Result<MailboxStatus>) -> Result<Option<UidValidity>> {
    match mailbox {
        Err(Error::NoSuchMailbox(_)) => Ok(None),
        mailbox => mailbox.map(|mailbox| Some(mailbox.uid_validity)),
    }
}

/// How the names of a mailbox's files begin.
fn beginning(mailbox: MailboxId, validity: UidValidity) -> String {
    format!("{:016x}-{:08x}-", mailbox.0, validity.0)
}

/// The numbers that a text has in it when it has all of these in it; not more than are of use.
fn numbers_of(needles: &[Vec<u8>]) -> Vec<u32> {
    // A sequence of two says less than one of three that it is a part of.
    let sequences = needles.iter().flat_map(|needle| needle.windows(needle.len().clamp(2, 3)));
    let mut numbers: Vec<u32> = sequences.map(number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.truncate(NUMBERS_MAX);
    numbers
}

/// Each sequence of two or three bytes in a text.
fn sequences(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.windows(3).chain(text.windows(2))
}

/// The number of two or three bytes.
fn number(sequence: &[u8]) -> u32 {
    let bytes = match sequence {
        [first, second, third] => u32::from_be_bytes([0, *first, *second, *third]),
        short => short.iter().fold(1, |bytes, byte| bytes << 8 | u32::from(*byte)),
    };
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

fn write(file: &dyn File, slices: &[Slice], gists: &[Vec<u8>]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(slices.len() * SLICE_SPACE);
    for (number, slice) in (0..).zip(slices) {
        bytes.extend_from_slice(slice);
        bytes.extend_from_slice(&checksum(number, slice).to_le_bytes());
    }
    gists::write(&mut bytes, gists);
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

/// Ends a sieve's name: another number for whenever something else counts as searchable text, or a sieve is laid out another way. Files of
/// other versions are removed at opening.
const SIEVE_VERSION: u32 = 2;

/// A block with fewer messages than this has no sieve: reading them costs less than keeping one.
const FEW: usize = 64;

/// How many bytes the slices of a sieve take.
const SLICES_SPACE: u64 = SLICES as u64 * SLICE_SPACE as u64;

/// How many bytes a sieve takes at most.
const SIEVE_SPACE: u64 = SLICES_SPACE + gists::SPACE_MAX;

/// How many files are removed at once while the store is open.
const SWEPT_MAX: usize = 4096;

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
