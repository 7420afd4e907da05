//! What a client was told of the mailbox that it has selected, checked line by line: numbers mean what it was told that they mean,
//! whatever the others do.

use std::collections::{BTreeMap, BTreeSet};

/// The flags of a message.
pub(super) type Flags = BTreeSet<String>;

/// A message as far as the client was told of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Message {
    pub(super) uid: Option<u32>,
    pub(super) flags: Option<Flags>,
    /// Whether its flags were told since the command began.
    pub(super) is_told: bool,
    /// Whether the command changes it.
    pub(super) is_meant: bool,
}

/// The selected mailbox.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) name: String,
    pub(super) messages: Vec<Message>,
    pub(super) uid_validity: u32,
    pub(super) mod_seq: u64,
    /// What the client kept of it when it was here last and did not hear that it changed: of `VANISHED (EARLIER)`.
    pub(super) earlier: BTreeSet<u32>,
    /// Whether the server said that it is open no more.
    pub(super) is_closed: bool,
}

/// Whether an EXPUNGE or VANISHED may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    MayShift,
    Stay,
}

impl View {
    /// Takes note of an untagged line; what is wrong about it is the error.
    pub(super) fn hear(&mut self, line: &str, numbers: Numbers) -> Result<(), String> {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let number = words.get(1).and_then(|word| word.parse::<usize>().ok());
        match (number, words.get(2).copied()) {
            (Some(count), Some("EXISTS")) if count >= self.messages.len() => {
                self.messages.resize(count, Message::default());
            }
            (Some(_), Some("EXISTS")) => return Err("some are gone that nothing was told of".to_owned()),
            (Some(number), Some("EXPUNGE")) => {
                may_shift(numbers)?;
                self.check(number)?;
                self.messages.remove(number - 1);
            }
            (Some(number), Some("FETCH")) => {
                self.check(number)?;
                return self.fetched(number, line);
            }
            _ => return self.hear_other(line, numbers),
        }
        Ok(())
    }

    fn hear_other(&mut self, line: &str, numbers: Numbers) -> Result<(), String> {
        if let Some(uids) = line.strip_prefix("* VANISHED (EARLIER) ") {
            self.earlier.extend(uids_in(uids));
        } else if let Some(uids) = line.strip_prefix("* VANISHED ") {
            may_shift(numbers)?;
            for uid in uids_in(uids) {
                self.vanish(uid)?;
            }
        } else if let Some(found) = line.strip_prefix("* SEARCH ") {
            for number in found.split(' ').filter_map(|word| word.parse::<usize>().ok()) {
                self.check(number)?;
            }
        } else if line.starts_with("* OK [CLOSED]") {
            *self = View { is_closed: true, ..View::default() };
        } else if let Some(validity) = code(line, "UIDVALIDITY") {
            self.uid_validity = validity as u32;
        } else if let Some(mod_seq) = code(line, "HIGHESTMODSEQ") {
            self.mod_seq = mod_seq;
        }
        Ok(())
    }

    fn check(&self, number: usize) -> Result<(), String> {
        match (1..=self.messages.len()).contains(&number) {
            true => Ok(()),
            false => Err(format!("there are {}", self.messages.len())),
        }
    }

    fn fetched(&mut self, number: usize, line: &str) -> Result<(), String> {
        let message = &mut self.messages[number - 1];
        if let Some(flags) = flags_in(line) {
            (message.flags, message.is_told) = (Some(flags), true);
        }
        let Some(uid) = uid_in(line) else { return Ok(()) };
        if *message.uid.get_or_insert(uid) != uid {
            return Err(format!("it was {:?}", message.uid));
        }
        match self.messages.iter().filter_map(|message| message.uid).is_sorted() {
            true => Ok(()),
            false => Err("UIDs do not ascend".to_owned()),
        }
    }

    /// A message goes by its UID. When the client does not know that one, it is among those that it knows no UID of.
    fn vanish(&mut self, uid: u32) -> Result<(), String> {
        let known = self.messages.iter().position(|message| message.uid.is_some_and(|known| known >= uid));
        let end = known.unwrap_or(self.messages.len());
        let at = match self.messages.get(end) {
            Some(message) if message.uid == Some(uid) => end,
            _ if end > 0 && self.messages[end - 1].uid.is_none() => end - 1,
            _ => return Err(format!("{uid} was not there")),
        };
        self.messages.remove(at);
        Ok(())
    }

    /// The messages and their flags, where the client knows both.
    pub(super) fn known(&self) -> BTreeMap<u32, Flags> {
        let both = |message: &Message| Some((message.uid?, message.flags.clone()?));
        self.messages.iter().filter_map(both).collect()
    }
}

fn may_shift(numbers: Numbers) -> Result<(), String> {
    match numbers {
        Numbers::MayShift => Ok(()),
        Numbers::Stay => Err("no number may shift now".to_owned()),
    }
}

/// The number in a response code.
fn code(line: &str, name: &str) -> Option<u64> {
    let rest = line.strip_prefix("* OK [")?.strip_prefix(name)?;
    rest.trim_start().split(']').next()?.parse().ok()
}

pub(super) fn uid_in(line: &str) -> Option<u32> {
    let rest = line.split_once("UID ")?.1;
    rest.split([' ', ')']).next()?.parse().ok()
}

pub(super) fn flags_in(line: &str) -> Option<Flags> {
    let flags = line.split_once("FLAGS (")?.1.split(')').next()?;
    Some(flags.split(' ').filter(|flag| !flag.is_empty()).map(str::to_owned).collect())
}

pub(super) fn mod_seq_in(line: &str) -> Option<u64> {
    line.split_once("MODSEQ (")?.1.split(')').next()?.parse().ok()
}

fn uids_in(set: &str) -> Vec<u32> {
    let range = |range: &str| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        first.parse::<u32>().expect("a UID")..=last.parse::<u32>().expect("a UID")
    };
    set.split(',').flat_map(range).collect()
}
