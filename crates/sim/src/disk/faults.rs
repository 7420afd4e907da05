//! What can go wrong with a disk, and the counts of what did.

use super::State;
use std::fmt;
use std::io;
use std::path::Path;

/// What goes wrong from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Every change from this one on (counted from 0): the machine has stopped.
    StoppedAt(u64),
    /// Every write to a segment.
    Writes,
    /// Every sync of a segment.
    Syncs,
    /// Nothing, it seems: but syncs are ignored.
    SyncsLie,
    /// Every reservation of space, and every write that makes a file longer.
    Space,
}

/// What goes wrong once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// The machine stops: a write is done in part, nothing after it at all.
    Stop,
    /// A write fails with EIO.
    Write,
    /// A sync of a file or a directory fails with EIO, and some of what was to be synced is gone for good: a later sync says nothing of it.
    Sync,
    /// A write that makes a file longer, a reservation or a new name fails with ENOSPC.
    Full,
    /// A write takes only a part.
    Short,
    /// A file or directory is not made, renamed or removed: EIO.
    Name,
}

/// What a crash leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// None of it.
    Nothing,
    /// All of it: as when a process is killed.
    Everything,
    /// Each sector of 512 bytes and each name by chance, with this seed.
    Some(u64),
}

/// How often each thing went wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Injected {
    /// Machines stopped in the middle of an operation.
    pub stops: u64,
    /// Writes failed with EIO.
    pub write_errors: u64,
    /// Syncs failed with EIO.
    pub sync_errors: u64,
    /// Reads failed with EIO.
    pub read_errors: u64,
    /// Names not made, changed or removed: EIO.
    pub name_errors: u64,
    /// Operations failed with ENOSPC.
    pub full: u64,
    /// Writes that took only a part.
    pub short_writes: u64,
    /// Crashes.
    pub crashes: u64,
    /// Unsynced sectors that a crash lost.
    pub sectors_lost: u64,
    /// Unsynced sectors that reached the disk before a crash, out of order.
    pub sectors_kept: u64,
    /// Files of which a crash kept some unsynced sectors and lost others.
    pub files_torn: u64,
    /// Names made, changed or removed that a crash undid.
    pub names_lost: u64,
    /// The same, but unsynced and kept.
    pub names_kept: u64,
}

/// What an operation does, as far as faults care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// A write of several bytes that the file has already.
    Write,
    /// The same, and the file becomes longer.
    Grow,
    /// A write of one byte, or of none.
    Byte,
    /// A file becomes longer without a write.
    Reserve,
    /// A file becomes shorter.
    Shrink,
    Sync,
    /// A name is made, or another one comes to stand for a file.
    Name,
    /// A name goes.
    Remove,
}

/// What becomes of an operation that does not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hit {
    Whole,
    /// Only a part of the write, of a length that this number chooses.
    Part(u64),
}

impl Injected {
    /// How many operations failed, for whatever reason.
    pub fn failures(&self) -> u64 {
        let Injected { stops, write_errors, sync_errors, read_errors, name_errors, full, .. } = self;
        stops + write_errors + sync_errors + read_errors + name_errors + full
    }
}

impl State {
    /// Counts a change and decides what becomes of it.
    pub(super) fn hit(&mut self, operation: Operation, path: &Path) -> io::Result<Hit> {
        let number = self.operations;
        self.operations += 1;
        self.digest(path.as_os_str().as_encoded_bytes());
        self.digest(&[operation as u8]);
        if matches!(self.fault, Some(Fault::StoppedAt(first)) if number >= first) && !self.stopped {
            self.stop();
        }
        let due =
            self.plan.range(..=number).find(|(_, wrong)| !self.stopped && wrong.can_happen_to(operation));
        if let Some((&at, &wrong)) = due {
            self.plan.remove(&at);
            self.happened = Some(number);
            self.happens(wrong)?;
            if wrong == Wrong::Short {
                return Ok(Hit::Part(at));
            }
        }
        if self.stopped {
            return Err(eio());
        }
        let segment = path.parent().is_some_and(|parent| parent.ends_with("log"));
        match self.fault {
            Some(Fault::Writes) if segment && matches!(operation, Operation::Write | Operation::Byte) => {
                Err(eio())
            }
            Some(Fault::Syncs) if segment && operation == Operation::Sync => Err(eio()),
            Some(Fault::Space) if matches!(operation, Operation::Grow | Operation::Reserve) => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(Hit::Whole),
        }
    }

    /// Counts a read and decides whether it fails.
    pub(super) fn read(&mut self) -> io::Result<()> {
        let number = self.reads;
        self.reads += 1;
        if !self.bad_reads.remove(&number) {
            return Ok(());
        }
        self.injected.read_errors += 1;
        self.digest(b"read");
        Err(eio())
    }

    /// Mixes something into the number that stands for all operations.
    pub(super) fn digest(&mut self, bytes: &[u8]) {
        let mix =
            |digest: u64, word: u64| (digest ^ word).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(29);
        let (words, rest) = bytes.as_chunks::<8>();
        let digest = words
            .iter()
            .fold(self.digest ^ bytes.len() as u64, |digest, word| mix(digest, u64::from_le_bytes(*word)));
        self.digest = rest.iter().fold(digest, |digest, byte| mix(digest, u64::from(*byte)));
    }

    fn happens(&mut self, wrong: Wrong) -> io::Result<()> {
        match wrong {
            Wrong::Stop => {
                self.stop();
                Err(eio())
            }
            Wrong::Write => {
                self.injected.write_errors += 1;
                Err(eio())
            }
            Wrong::Sync => {
                self.injected.sync_errors += 1;
                Err(eio())
            }
            Wrong::Full => {
                self.injected.full += 1;
                Err(io::ErrorKind::StorageFull.into())
            }
            Wrong::Name => {
                self.injected.name_errors += 1;
                Err(eio())
            }
            // Counted where it is done.
            Wrong::Short => Ok(()),
        }
    }

    fn stop(&mut self) {
        self.stopped = true;
        self.injected.stops += 1;
    }
}

impl Wrong {
    /// Everything that can be planned.
    pub const ALL: [Wrong; 6] =
        [Wrong::Stop, Wrong::Write, Wrong::Sync, Wrong::Full, Wrong::Short, Wrong::Name];

    fn can_happen_to(self, operation: Operation) -> bool {
        use Operation::{Byte, Grow, Name, Remove, Reserve, Shrink, Sync, Write};
        match self {
            Wrong::Stop => true,
            Wrong::Write => matches!(operation, Write | Grow | Byte | Reserve | Shrink),
            Wrong::Short => matches!(operation, Write | Grow),
            Wrong::Sync => operation == Sync,
            Wrong::Full => matches!(operation, Grow | Reserve | Name),
            Wrong::Name => matches!(operation, Name | Remove),
        }
    }
}

impl std::ops::AddAssign for Injected {
    fn add_assign(&mut self, other: Injected) {
        self.stops += other.stops;
        self.write_errors += other.write_errors;
        self.sync_errors += other.sync_errors;
        self.read_errors += other.read_errors;
        self.name_errors += other.name_errors;
        self.full += other.full;
        self.short_writes += other.short_writes;
        self.crashes += other.crashes;
        self.sectors_lost += other.sectors_lost;
        self.sectors_kept += other.sectors_kept;
        self.files_torn += other.files_torn;
        self.names_lost += other.names_lost;
        self.names_kept += other.names_kept;
    }
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Injected { stops, write_errors, sync_errors, read_errors, full, short_writes, crashes, .. } =
            self;
        let Injected { sectors_lost, sectors_kept, files_torn, names_lost, names_kept, name_errors, .. } =
            self;
        write!(
            f,
            "machine stopped {stops}, write EIO {write_errors}, sync EIO {sync_errors}, read EIO {read_errors}, name EIO \
             {name_errors}, ENOSPC {full}, short write {short_writes}; crashes {crashes}: unsynced sectors lost {sectors_lost}, kept {sectors_kept}, files torn \
             {files_torn}, unsynced names lost {names_lost}, kept {names_kept}"
        )
    }
}

fn eio() -> io::Error {
    io::Error::other("made to fail")
}
