//! Content that is too large for the log: one file for each message, `large/XX/ID`.
//!
//! The connection that receives the message writes the file in blocks and syncs it before the message is committed, so that large
//! messages never delay small ones. A file counts only if the log names it; any other is a leftover, removed at the next opening.
//! Each block carries a checksum bound to its message and place, so that a reader can check before it returns anything.

use crate::error::io_error;
use crate::file::{File, Files, Mode, read_exact_at, write_all_at};
use crate::names::Names;
use bytes::{Buf, BufMut, Bytes};
use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use store::{Error, Result, SpoolId};

/// The files of large content.
#[derive(Debug)]
pub(crate) struct LargeFiles {
    files: Arc<dyn Files>,
    directory: PathBuf,
    names: Names,
    /// The subdirectories that are there, durably.
    made: Mutex<HashMap<String, Arc<Names>>>,
    held: Mutex<Held>,
}

/// Who holds the files, and what is to be removed when nobody does any more.
#[derive(Debug, Default)]
struct Held {
    holders: usize,
    gone: Vec<u64>,
}

/// As long as this is there the files of messages stay, also of those that are gone.
#[derive(Debug)]
pub(crate) struct Hold {
    large: Arc<LargeFiles>,
}

/// A file being written.
#[derive(Debug)]
pub(crate) struct Unfinished {
    file: Arc<dyn File>,
    /// Those of its subdirectory.
    names: Arc<Names>,
    unclaimed: Unclaimed,
    length: u64,
    crc: u32,
    offset: u64,
    blocks: u64,
    /// Content that does not fill a block yet.
    waiting: VecDeque<Bytes>,
    waiting_length: usize,
}

/// A file that the log does not name yet: removed when this is dropped, unless it is kept.
#[derive(Debug)]
pub(crate) struct Unclaimed {
    large: Arc<LargeFiles>,
    spool: u64,
    kept: bool,
}

/// A file being read.
#[derive(Debug)]
pub(crate) struct LargeReader {
    file: Arc<dyn File>,
    path: PathBuf,
    spool: u64,
    left: u64,
    offset: u64,
    blocks: u64,
}

impl LargeFiles {
    /// Those in this directory.
    pub(crate) fn open(files: Arc<dyn Files>, directory: PathBuf) -> Result<LargeFiles> {
        files.create_dir(&directory).map_err(|error| io_error("creating", &directory, error))?;
        let fail = |error| io_error("listing", &directory, error);
        let subdirectory = |name: String| {
            let names = Arc::new(Names::new(files.clone(), directory.join(&name)));
            (name, names)
        };
        let made = files.list(&directory).map_err(fail)?.into_iter().map(subdirectory).collect();
        // A crash may have come between the making of a subdirectory and its sync.
        files.sync_dir(&directory).map_err(|error| io_error("syncing", &directory, error))?;
        let names = Names::new(files.clone(), directory.clone());
        Ok(LargeFiles { files, directory, names, made: Mutex::new(made), held: Mutex::default() })
    }

    /// Begins the file of a message. [`Error::Fenced`], here and when it is finished, when a name cannot be made durable.
    pub(crate) fn create(self: &Arc<Self>, spool: u64) -> Result<Unfinished> {
        let names = self.make_directory(spool)?;
        let path = self.path(spool);
        let file =
            self.files.open(&path, Mode::Create).map_err(|error| io_error("creating", &path, error))?;
        let unclaimed = Unclaimed { large: self.clone(), spool, kept: false };
        write_all_at(&*file, &mut [IoSlice::new(&header(spool))], 0)
            .map_err(|error| io_error("writing", &path, error))?;
        Ok(Unfinished {
            file,
            names,
            unclaimed,
            length: 0,
            crc: 0,
            offset: HEADER,
            blocks: 0,
            waiting: VecDeque::new(),
            waiting_length: 0,
        })
    }

    /// Opens the file of a message whose content has this length.
    pub(crate) fn read(&self, spool: SpoolId, length: u64) -> Result<LargeReader> {
        let path = self.path(spool.0);
        let file = match self.files.open(&path, Mode::Read) {
            // Removed since the index was asked: nothing names the message any more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NoSuchMessage(spool.to_string()));
            }
            result => result.map_err(|error| io_error("opening", &path, error))?,
        };
        LargeReader::new(file, path, (spool.0, length))
    }

    /// Removes the file of a message that nothing names any more: now, or when nobody holds the files.
    pub(crate) fn discard(&self, spool: u64) {
        let mut held = self.held();
        if held.holders > 0 {
            return held.gone.push(spool);
        }
        drop(held);
        if let Err(error) = self.remove(spool) {
            tracing::warn!(%error, "a message that is gone leaves its file until the store is opened anew");
        }
    }

    /// Keeps all files that there are.
    pub(crate) fn hold(self: &Arc<Self>) -> Hold {
        self.held().holders += 1;
        Hold { large: self.clone() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no holder of this lock panics")
    }

    /// Removes the file of a message; no error when there is none.
    pub(crate) fn remove(&self, spool: u64) -> Result<()> {
        let path = self.path(spool);
        match self.files.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("removing", &path, error)),
            _ => Ok(()),
        }
    }

    /// The spool ids of all files that there are.
    pub(crate) fn list(&self) -> Result<Vec<u64>> {
        let mut spools = Vec::new();
        for name in self.files.list(&self.directory).map_err(|e| io_error("listing", &self.directory, e))? {
            if name.len() != 2 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                continue;
            }
            let directory = self.directory.join(&name);
            for name in self.files.list(&directory).map_err(|e| io_error("listing", &directory, e))? {
                match name.parse::<SpoolId>() {
                    Ok(spool) => spools.push(spool.0),
                    Err(_) => {
                        tracing::warn!(%name, "this file does not belong into the store; it is left alone")
                    }
                }
            }
        }
        Ok(spools)
    }

    /// The path of a message's file.
    pub(crate) fn path(&self, spool: u64) -> PathBuf {
        self.directory.join(name(spool))
    }

    /// Makes sure that a message's subdirectory is there, durably.
    fn make_directory(&self, spool: u64) -> Result<Arc<Names>> {
        let name = subdirectory(spool);
        let mut made = self.made.lock().expect("no holder of this lock panics");
        if let Some(names) = made.get(&name) {
            return Ok(names.clone());
        }
        let path = self.directory.join(&name);
        self.files.create_dir(&path).map_err(|error| io_error("creating", &path, error))?;
        self.names.sync()?;
        let names = Arc::new(Names::new(self.files.clone(), path));
        made.insert(name, names.clone());
        Ok(names)
    }
}

impl Unfinished {
    /// Appends content: whole blocks are written, what is left over waits for more.
    pub(crate) fn write(&mut self, chunks: Vec<Bytes>) -> Result<()> {
        self.waiting_length += chunks.iter().map(Bytes::len).sum::<usize>();
        self.waiting.extend(chunks);
        while self.waiting_length >= BLOCK {
            self.write_block(BLOCK)?;
        }
        Ok(())
    }

    /// Writes a block of this length from what waits.
    fn write_block(&mut self, length: usize) -> Result<()> {
        let mut block = Vec::new();
        let mut crc = block_seed(self.unclaimed.spool, self.blocks);
        let mut missing = length;
        while missing > 0 {
            let mut chunk = self.waiting.pop_front().expect("as much as is asked for waits");
            let part = chunk.split_to(chunk.len().min(missing));
            if !chunk.is_empty() {
                self.waiting.push_front(chunk);
            }
            missing -= part.len();
            crc = crc32c::crc32c_append(crc, &part);
            self.crc = crc32c::crc32c_append(self.crc, &part);
            block.push(part);
        }
        let mut head = [0; BLOCK_HEAD as usize];
        let mut out = &mut head[..];
        out.put_u32_le(length as u32);
        out.put_u32_le(crc);
        let mut pieces = vec![IoSlice::new(&head)];
        pieces.extend(block.iter().map(|part| IoSlice::new(part)));
        write_all_at(&*self.file, &mut pieces, self.offset).map_err(|error| self.fail("writing", error))?;
        self.offset += BLOCK_HEAD + length as u64;
        self.length += length as u64;
        self.waiting_length -= length;
        self.blocks += 1;
        Ok(())
    }

    /// Makes the file durable. Returns it with the length and the CRC32C of its content.
    pub(crate) fn finish(mut self) -> Result<(Unclaimed, u64, u32)> {
        if self.waiting_length > 0 {
            self.write_block(self.waiting_length)?;
        }
        self.file.sync_data().map_err(|error| self.fail("syncing", error))?;
        self.names.sync()?;
        Ok((self.unclaimed, self.length, self.crc))
    }

    fn fail(&self, doing: &str, error: io::Error) -> Error {
        io_error(doing, &self.unclaimed.large.path(self.unclaimed.spool), error)
    }
}

impl Unclaimed {
    /// Leaves the file where it is: the log names it.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = self.large.remove(self.spool)
        {
            tracing::warn!(%error, "a leftover stays until the store is opened anew");
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.large.held();
        held.holders -= 1;
        let gone = if held.holders == 0 { std::mem::take(&mut held.gone) } else { Vec::new() };
        drop(held);
        gone.into_iter().for_each(|spool| self.large.discard(spool));
    }
}

impl LargeReader {
    /// Reads the file of a message whose content has this length.
    fn new(file: Arc<dyn File>, path: PathBuf, (spool, length): (u64, u64)) -> Result<LargeReader> {
        let mut bytes = [0; HEADER as usize];
        read_exact_at(&*file, &mut bytes, 0).map_err(|error| io_error("reading", &path, error))?;
        if bytes != header(spool) {
            return Err(Error::Damaged(format!("the header of {}", path.display())));
        }
        Ok(LargeReader { file, path, spool, left: length, offset: HEADER, blocks: 0 })
    }

    /// The same for a file that is not in a store; as long as the content is that its length leaves room for.
    pub(crate) fn of_file(file: Arc<dyn File>, path: PathBuf, spool: u64) -> Result<LargeReader> {
        let size = file.size().map_err(|error| io_error("reading", &path, error))?;
        let blocks = size.saturating_sub(HEADER);
        let heads = blocks.div_ceil(BLOCK_HEAD + BLOCK as u64) * BLOCK_HEAD;
        LargeReader::new(file, path, (spool, blocks.saturating_sub(heads)))
    }

    /// The next block of the content, checked; `None` at its end.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        let length = self.left.min(BLOCK as u64);
        let mut bytes = vec![0; (BLOCK_HEAD + length) as usize];
        let path = &self.path;
        read_exact_at(&*self.file, &mut bytes, self.offset).map_err(|e| io_error("reading", path, e))?;
        let mut block = Bytes::from(bytes);
        let (stated, crc) = (u64::from(block.get_u32_le()), block.get_u32_le());
        let actual = crc32c::crc32c_append(block_seed(self.spool, self.blocks), &block);
        if stated != length || crc != actual {
            return Err(Error::Damaged(format!("the block at {} of {}", self.offset, path.display())));
        }
        self.offset += BLOCK_HEAD + length;
        self.left -= length;
        self.blocks += 1;
        Ok(Some(block))
    }
}

fn header(spool: u64) -> [u8; HEADER as usize] {
    let mut bytes = [0; HEADER as usize];
    let mut out = &mut bytes[..];
    out.put_slice(MAGIC);
    out.put_u32_le(VERSION);
    out.put_u32_le(BLOCK as u32);
    out.put_u64_le(spool);
    out.put_u32_le(0);
    let crc = crc32c::crc32c(&bytes[..CRC_AT]);
    bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Binds a block's checksum to its message and its place.
fn block_seed(spool: u64, block: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&spool.to_le_bytes()), &block.to_le_bytes())
}

/// The name of a message's file under the directory of them all.
pub(crate) fn name(spool: u64) -> String {
    format!("{}/{}", subdirectory(spool), SpoolId(spool))
}

/// Two hexadecimal digits from the id's milliseconds, which vary most.
fn subdirectory(spool: u64) -> String {
    format!("{:02x}", SpoolId(spool).time().0 as u8)
}

/// How much content has one checksum.
pub(crate) const BLOCK: usize = 256 * 1024;
const MAGIC: &[u8; 8] = b"PosthBig";
const VERSION: u32 = 1;
const HEADER: u64 = 32;
const CRC_AT: usize = 28;
const BLOCK_HEAD: u64 = 8;
