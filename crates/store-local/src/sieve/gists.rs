//! The gists of the messages of a sieve: what is kept of their texts, one after the other.
//!
//! Behind the slices of a sieve stand a CRC, the place where each message's gist ends, and the gists. A search that has to look at most
//! messages reads this instead of their texts. What is in a gist only whoever opened the store knows.

use super::{BLOCK, Block, FEW, SLICES_SPACE, Sieves};
use crate::Work;
use crate::engine::Engine;
use crate::error::io_error;
use crate::file::{File, Mode, read_exact_at};
use bytes::Bytes;
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::sync::Arc;
use store::{GIST_MAX, MailboxId, Result, Uid};

/// How many bytes the CRC takes, and how many the ends.
const CRC: usize = 4;
const ENDS: usize = BLOCK as usize * 4;

/// How many bytes all of it takes at most.
pub(super) const SPACE_MAX: u64 = (CRC + ENDS + BLOCK as usize * GIST_MAX) as u64;

/// The gists of a block.
struct Gists {
    /// The ends, then the gists.
    bytes: Bytes,
}

impl Gists {
    fn read(file: &dyn File) -> io::Result<Gists> {
        let wrong = |what| io::Error::new(ErrorKind::InvalidData, what);
        let space = file.size()?.saturating_sub(SLICES_SPACE);
        if !((CRC + ENDS) as u64..=SPACE_MAX).contains(&space) {
            return Err(wrong("it has another length"));
        }
        let mut bytes = vec![0; space as usize];
        read_exact_at(file, &mut bytes, SLICES_SPACE)?;
        let mut bytes = Bytes::from(bytes);
        let crc = bytes.split_to(CRC);
        if crc32c::crc32c(&bytes).to_le_bytes() != *crc {
            return Err(wrong("a checksum does not match"));
        }
        Ok(Gists { bytes })
    }

    /// That of the message with this place in the block; `None` when nothing was kept.
    fn of(&self, place: u32) -> Option<Bytes> {
        let end = |place: u32| {
            let at = place as usize * 4;
            let end = self.bytes.get(at..at + 4)?;
            Some(ENDS + u32::from_le_bytes(end.try_into().ok()?) as usize)
        };
        let begin = if place == 0 { ENDS } else { end(place - 1)? };
        let range = begin..end(place)?;
        let is_there = !range.is_empty() && range.end <= self.bytes.len();
        is_there.then(|| self.bytes.slice(range))
    }
}

/// Writes gists, one for each place in a block, behind what is there.
pub(super) fn write(bytes: &mut Vec<u8>, gists: &[Vec<u8>]) {
    let crc_at = bytes.len();
    bytes.extend_from_slice(&[0; CRC]);
    let mut end = 0;
    for gist in gists {
        end += gist.len() as u32;
        bytes.extend_from_slice(&end.to_le_bytes());
    }
    gists.iter().for_each(|gist| bytes.extend_from_slice(gist));
    let crc = crc32c::crc32c(&bytes[crc_at + CRC..]);
    bytes[crc_at..crc_at + CRC].copy_from_slice(&crc.to_le_bytes());
}

impl Sieves {
    /// The gists of a block; `None` when there is no sieve for it.
    fn gists(&self, block: Block) -> Result<Option<Gists>> {
        let path = self.path(block);
        let file = match self.files.open(&path, Mode::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|error| io_error("opening", &path, error))?,
        };
        match Gists::read(&*file) {
            Ok(gists) => Ok(Some(gists)),
            Err(error) => {
                tracing::warn!(%error, file = %path.display(), "a sieve cannot be read and is made anew");
                self.files.remove(&path).map_err(|error| io_error("removing", &path, error))?;
                Ok(None)
            }
        }
    }
}

impl Engine {
    /// The gists of the messages within these ranges, as far as there are any.
    pub(crate) fn gists(
        self: &Arc<Self>,
        mailbox: MailboxId,
        ranges: &[RangeInclusive<Uid>],
    ) -> Result<Vec<(Uid, Bytes)>> {
        if self.sieves.searchable.is_none() {
            return Ok(Vec::new());
        }
        let status = self.view.read()?.mailbox(mailbox)?;
        // Blocks whose last UID was given.
        let blocks = (status.uid_next.0 - 1) / BLOCK;
        let (mut found, mut read) = (Vec::new(), None::<(u32, Option<Gists>)>);
        for range in ranges {
            let (first, last) = (range.start().0.max(1) - 1, range.end().0.saturating_sub(1));
            for number in (first / BLOCK..=last / BLOCK).take_while(|number| *number < blocks) {
                let gists = match read.take() {
                    Some((known, gists)) if known == number => gists,
                    _ => self.gists_of((mailbox, status.uid_validity, number))?,
                };
                let begin = number * BLOCK;
                if let Some(gists) = &gists {
                    let places = first.max(begin)..=last.min(begin + (BLOCK - 1));
                    found.extend(places.filter_map(|at| Some((Uid(at + 1), gists.of(at - begin)?))));
                }
                read = Some((number, gists));
            }
        }
        Ok(found)
    }

    /// The gists of a block; when there are none they are made, some time or now.
    fn gists_of(self: &Arc<Self>, block: Block) -> Result<Option<Gists>> {
        let found = self.sieves.gists(block)?;
        if found.is_some() {
            return Ok(found);
        }
        let uids = Uid(block.2 * BLOCK + 1)..=Uid((block.2 + 1) * BLOCK);
        if self.view.read()?.entries_in(block.0, &[uids], FEW)?.len() < FEW {
            return Ok(None);
        }
        self.want_sieve(block)?;
        match self.work {
            Work::Threads => Ok(None),
            Work::Caller => self.sieves.gists(block),
        }
    }
}
