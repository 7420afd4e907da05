//! The maildrop as the session sees it: numbered from 1 in the order in which it was given, and the same to the end (RFC 1939 §5).

/// A message of a maildrop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Its size in octets.
    pub octets: u64,
    /// What names it in this maildrop for ever, in every session (RFC 1939 §7); UIDL shows it as 16 hexadecimal digits.
    pub unique: u64,
}

/// All messages with the marks of this session: 17 octets each.
#[derive(Debug, Default)]
pub(super) struct Maildrop {
    messages: Vec<Message>,
    marks: Vec<Marks>,
    /// How many are not marked as deleted, and their octets.
    count: usize,
    octets: u64,
}

/// What happened to a message in this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Marks(u8);

const DELETED: u8 = 1;
const READ: u8 = 2;

/// Why a number names no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// There is none of that number.
    NoSuch,
    /// It is marked as deleted.
    Deleted,
}

impl Maildrop {
    pub(super) fn new(messages: Vec<Message>) -> Maildrop {
        let mut maildrop =
            Maildrop { marks: vec![Marks::default(); messages.len()], messages, ..Maildrop::default() };
        maildrop.reckon();
        maildrop
    }

    /// How many messages there are, without those marked as deleted, and their size.
    pub(super) fn totals(&self) -> (usize, u64) {
        (self.count, self.octets)
    }

    /// The message of that number.
    pub(super) fn message(&self, number: u32) -> Result<Message, Missing> {
        let index = self.index(number)?;
        Ok(self.messages[index])
    }

    /// The first message from this index on that is not marked, with its number.
    pub(super) fn from(&self, index: usize) -> Option<(u32, Message)> {
        let rest = self.marks.get(index..)?;
        let found = index + rest.iter().position(|marks| marks.0 & DELETED == 0)?;
        Some((found as u32 + 1, self.messages[found]))
    }

    /// All messages from this index on that are not marked.
    pub(super) fn all_from(&self, index: usize) -> impl Iterator<Item = Message> {
        let all = self.messages.iter().zip(&self.marks).skip(index);
        all.filter(|(_, marks)| marks.0 & DELETED == 0).map(|(message, _)| *message)
    }

    pub(super) fn delete(&mut self, number: u32) -> Result<(), Missing> {
        let index = self.index(number)?;
        self.marks[index].0 |= DELETED;
        self.count -= 1;
        self.octets -= self.messages[index].octets;
        Ok(())
    }

    /// It was sent to its end.
    pub(super) fn note_read(&mut self, number: u32) {
        if let Some(marks) = self.marks.get_mut((number as usize).wrapping_sub(1)) {
            marks.0 |= READ;
        }
    }

    /// Takes the marks of deletion away.
    pub(super) fn reset(&mut self) {
        self.marks.iter_mut().for_each(|marks| marks.0 &= !DELETED);
        self.reckon();
    }

    /// What is to be removed, and what of the rest was read.
    pub(super) fn outcome(&self) -> (Vec<u64>, Vec<u64>) {
        let having = |wanted: fn(u8) -> bool| {
            let marked = self.messages.iter().zip(&self.marks).filter(|(_, marks)| wanted(marks.0));
            marked.map(|(message, _)| message.unique).collect()
        };
        (having(|marks| marks & DELETED != 0), having(|marks| marks == READ))
    }

    fn index(&self, number: u32) -> Result<usize, Missing> {
        let index = (number as usize).checked_sub(1).ok_or(Missing::NoSuch)?;
        match self.marks.get(index) {
            None => Err(Missing::NoSuch),
            Some(marks) if marks.0 & DELETED != 0 => Err(Missing::Deleted),
            Some(_) => Ok(index),
        }
    }

    fn reckon(&mut self) {
        self.count = self.messages.len();
        self.octets = self.messages.iter().map(|message| message.octets).sum();
    }
}
