//! What readers note on an entry: system flags and keywords, and how these change.
//!
//! A mailbox numbers its keywords once and for all, so that an entry carries them as bits. What a caller asks for names them.

use crate::{Error, ModSeq, Result, Uid};
use std::fmt;

/// System flags of an entry (RFC 9051 §2.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Flags(pub u8);

/// A flag that users and programs make up (RFC 9051 §2.3.2): an atom that does not begin with `\`, of 1 to [`KEYWORD_MAX`] bytes.
/// Keywords that differ in case alone are the same one.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Keyword(String);

/// Keywords of an entry: bit `n` stands for the keyword of that place in [`crate::MailboxStatus::keywords`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct KeywordSet(pub u128);

/// Flags and keywords, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<Keyword>,
}

/// How the marks of entries are to change: some are added, then some removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marking {
    /// What is added.
    pub add: Marks,
    /// What is removed after that.
    pub remove: Marks,
    /// What becomes of marks that are named in neither.
    pub others: Others,
    /// Entries that changed after this moment are left alone and named in [`Marked::failed`] (RFC 7162 §3.1.3).
    pub unchanged_since: Option<ModSeq>,
}

/// What becomes of marks that a [`Marking`] does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They stay.
    Stay,
    /// They go.
    Go,
}

/// The marks of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The entry.
    pub uid: Uid,
    /// Its last change.
    pub modseq: ModSeq,
    /// Its flags.
    pub flags: Flags,
    /// Its keywords.
    pub keywords: KeywordSet,
}

/// What came of a [`Marking`]. All ascend by UID; entries that do not exist are in none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marked {
    /// Entries whose marks changed, as they are now.
    pub changed: Vec<Mark>,
    /// The last change before this one of each of those, in their order: who has not seen that one does not know what it was.
    pub former: Vec<ModSeq>,
    /// Entries whose marks were so already.
    pub same: Vec<Mark>,
    /// Entries that changed after [`Marking::unchanged_since`].
    pub failed: Vec<Uid>,
}

impl Flags {
    /// Read.
    pub const SEEN: Flags = Flags(1);
    /// Answered.
    pub const ANSWERED: Flags = Flags(2);
    /// Flagged for attention.
    pub const FLAGGED: Flags = Flags(4);
    /// To be removed by a later expunge.
    pub const DELETED: Flags = Flags(8);
    /// Not finished.
    pub const DRAFT: Flags = Flags(16);
    /// All that there are.
    pub const ALL: Flags = Flags(31);

    /// Whether all of `other` are set.
    pub fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and those.
    pub fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// These without those.
    pub fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }
}

impl Keyword {
    /// The keyword, if it is one.
    pub fn new(text: &str) -> Result<Keyword> {
        let is_atom = |byte: u8| byte.is_ascii_graphic() && !b"(){%*\"\\]".contains(&byte);
        if text.is_empty() || text.len() > KEYWORD_MAX || !text.bytes().all(is_atom) {
            return Err(Error::Invalid(format!(
                "{text:?} is not a keyword: an atom of 1 to {KEYWORD_MAX} bytes"
            )));
        }
        Ok(Keyword(text.to_owned()))
    }

    /// The text, as it was first written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Keyword) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl KeywordSet {
    /// All that there can be.
    pub const ALL: KeywordSet = KeywordSet(u128::MAX);

    /// The one with this number alone, which is below [`KEYWORDS_MAX`].
    pub fn one(number: usize) -> KeywordSet {
        KeywordSet(1 << number)
    }

    /// Those of these keywords that a mailbox with this list knows.
    pub fn of(keywords: &[Keyword], known: &[Keyword]) -> KeywordSet {
        let numbers = keywords.iter().filter_map(|keyword| known.iter().position(|known| known == keyword));
        numbers.fold(KeywordSet::default(), |set, number| set.with(KeywordSet::one(number)))
    }

    /// Whether the keyword with this number is in it.
    pub fn contains(self, number: usize) -> bool {
        number < KEYWORDS_MAX && self.0 >> number & 1 == 1
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The numbers in it, ascending.
    pub fn numbers(self) -> impl Iterator<Item = usize> {
        (0..KEYWORDS_MAX).filter(move |number| self.contains(*number))
    }

    /// These and those.
    pub fn with(self, other: KeywordSet) -> KeywordSet {
        KeywordSet(self.0 | other.0)
    }

    /// These without those.
    pub fn without(self, other: KeywordSet) -> KeywordSet {
        KeywordSet(self.0 & !other.0)
    }
}

impl From<Flags> for Marks {
    fn from(flags: Flags) -> Marks {
        Marks { flags, keywords: Vec::new() }
    }
}

impl Marking {
    /// Adds these.
    pub fn add(marks: impl Into<Marks>) -> Marking {
        let (add, remove) = (marks.into(), Marks::default());
        Marking { add, remove, others: Others::Stay, unchanged_since: None }
    }

    /// Removes these.
    pub fn remove(marks: impl Into<Marks>) -> Marking {
        let (add, remove) = (Marks::default(), marks.into());
        Marking { add, remove, others: Others::Stay, unchanged_since: None }
    }

    /// Leaves these and no others.
    pub fn replace(marks: impl Into<Marks>) -> Marking {
        Marking { others: Others::Go, ..Marking::add(marks) }
    }

    /// The same for entries that did not change after this moment.
    pub fn unchanged_since(self, modseq: ModSeq) -> Marking {
        Marking { unchanged_since: Some(modseq), ..self }
    }

    /// What it means for a mailbox that knows these keywords, and all that are added among them.
    pub fn masks(&self, known: &[Keyword]) -> Masks {
        let (add_flags, add_keywords) = (self.add.flags, KeywordSet::of(&self.add.keywords, known));
        let (mut remove_flags, mut remove_keywords) =
            (self.remove.flags, KeywordSet::of(&self.remove.keywords, known));
        if self.others == Others::Go {
            remove_flags = remove_flags.with(Flags::ALL.without(add_flags));
            remove_keywords = remove_keywords.with(KeywordSet::ALL.without(add_keywords));
        }
        Masks { add_flags, remove_flags, add_keywords, remove_keywords }
    }
}

/// A [`Marking`] in the numbers of one mailbox: bits are set, then bits are cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Masks {
    /// Flags to set.
    pub add_flags: Flags,
    /// Flags to clear.
    pub remove_flags: Flags,
    /// Keywords to set.
    pub add_keywords: KeywordSet,
    /// Keywords to clear.
    pub remove_keywords: KeywordSet,
}

impl Masks {
    /// What becomes of these marks.
    pub fn apply(&self, (flags, keywords): (Flags, KeywordSet)) -> (Flags, KeywordSet) {
        (
            flags.with(self.add_flags).without(self.remove_flags),
            keywords.with(self.add_keywords).without(self.remove_keywords),
        )
    }
}

impl Marked {
    /// How many of the entries there were, but for those that failed.
    pub fn found(&self) -> u64 {
        (self.changed.len() + self.same.len()) as u64
    }
}

/// The longest keyword, in bytes.
pub const KEYWORD_MAX: usize = 128;

/// How many keywords a mailbox knows at most. One that was used once stays known as long as the mailbox exists.
pub const KEYWORDS_MAX: usize = 128;
