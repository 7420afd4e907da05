//! The gist of a message: what the store keeps of its header, so that a search need not read it (`store::Mailboxes::gists`).
//!
//! It has the day of the Date field and the values of the fields that people search in, decoded and in lower case. A search that it
//! cannot decide reads the message.

use super::criteria::days;
use super::words::{Text, decoded, has};
use imap::SearchKey;
use store::GIST_MAX;

/// The fields whose values are kept.
const FIELDS: [&str; 10] =
    ["From", "To", "Cc", "Bcc", "Subject", "Message-ID", "Sender", "Reply-To", "In-Reply-To", "List-Id"];

/// A longer value is not kept, only that there is one. In octets.
const VALUE_MAX: usize = 600;

/// Stands for the length of a value that is not kept.
const LEFT_OUT: u16 = u16::MAX;

/// Stands for the day where there is none.
const NO_DAY: i32 = i32::MIN;

/// The gist of a message's text. Whoever changes what it is made of gives the store's files a new version (`SIEVE_VERSION` in
/// `crates/store-local/src/sieve.rs`).
pub fn gist(octets: &[u8]) -> Vec<u8> {
    let header = &octets[..super::text::header_end(octets, 0).unwrap_or(octets.len())];
    let text = Text::of(header);
    let day = text.sent().and_then(|day| i32::try_from(day).ok()).unwrap_or(NO_DAY);
    let mut gist = day.to_le_bytes().to_vec();
    for field in &text.structure.root().header.fields {
        let name = field.name.of(header);
        let Some(number) = FIELDS.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes())) else {
            continue;
        };
        let value = decoded(field.value.of(header)).to_lowercase();
        gist.push(number as u8);
        if value.len() > VALUE_MAX || gist.len() + value.len() > GIST_MAX - ROOM_LEFT {
            gist.extend_from_slice(&LEFT_OUT.to_le_bytes());
        } else {
            gist.extend_from_slice(&(value.len() as u16).to_le_bytes());
            gist.extend_from_slice(value.as_bytes());
        }
    }
    gist
}

/// So many octets of a gist are for saying that values are left out.
const ROOM_LEFT: usize = 64;

/// Whether there is anything in a search that gists tell.
pub(super) fn can_decide(key: &SearchKey) -> bool {
    match key {
        SearchKey::Not(key) => can_decide(key),
        SearchKey::Or(first, second) => can_decide(first) || can_decide(second),
        SearchKey::And(keys) => keys.iter().any(can_decide),
        SearchKey::Header(name, _) => number_of(name).is_some(),
        SearchKey::Bcc(_)
        | SearchKey::Cc(_)
        | SearchKey::From(_)
        | SearchKey::To(_)
        | SearchKey::Subject(_)
        | SearchKey::SentBefore(_)
        | SearchKey::SentOn(_)
        | SearchKey::SentSince(_)
        | SearchKey::Text(_) => true,
        _ => false,
    }
}

/// The number of a field whose values are kept.
fn number_of(name: &str) -> Option<usize> {
    FIELDS.iter().position(|known| name.eq_ignore_ascii_case(known))
}

/// A gist as it was kept.
pub(super) struct Gist<'a>(&'a [u8]);

impl Gist<'_> {
    /// That which is in these octets.
    pub(super) fn of(kept: &[u8]) -> Gist<'_> {
        Gist(kept)
    }

    /// Whether the message is meant by a criterion, in lower case; `None` when only the text tells.
    pub(super) fn decides(&self, key: &SearchKey) -> Option<bool> {
        match key {
            SearchKey::Bcc(wanted) => self.field("Bcc", wanted),
            SearchKey::Cc(wanted) => self.field("Cc", wanted),
            SearchKey::From(wanted) => self.field("From", wanted),
            SearchKey::To(wanted) => self.field("To", wanted),
            SearchKey::Subject(wanted) => self.field("Subject", wanted),
            SearchKey::Header(name, wanted) => self.field(name, wanted),
            SearchKey::SentBefore(date) => Some(self.sent()?.is_some_and(|sent| sent < days(*date))),
            SearchKey::SentOn(date) => Some(self.sent()?.is_some_and(|sent| sent == days(*date))),
            SearchKey::SentSince(date) => Some(self.sent()?.is_some_and(|sent| sent >= days(*date))),
            // What is in one of its values is in the text; what is not may be.
            SearchKey::Text(wanted) => {
                self.values().any(|(_, value)| value.is_some_and(|value| has(value, wanted))).then_some(true)
            }
            _ => None,
        }
    }

    fn field(&self, name: &str, wanted: &[u8]) -> Option<bool> {
        let number = number_of(name)?;
        let mut is_known = true;
        for (_, value) in self.values().filter(|(field, _)| usize::from(*field) == number) {
            match value {
                _ if wanted.is_empty() => return Some(true),
                Some(value) if has(value, wanted) => return Some(true),
                Some(_) => {}
                None => is_known = false,
            }
        }
        is_known.then_some(false)
    }

    /// The day in the Date field; `None` within when there is none.
    fn sent(&self) -> Option<Option<i64>> {
        let day = i32::from_le_bytes(self.0.get(..4)?.try_into().ok()?);
        Some((day != NO_DAY).then_some(i64::from(day)))
    }

    /// The numbers of the fields and their values, without those that are left out.
    fn values(&self) -> impl Iterator<Item = (u8, Option<&[u8]>)> {
        let mut rest = self.0.get(4..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (head, behind) = rest.split_at_checked(3)?;
            let length = u16::from_le_bytes([head[1], head[2]]);
            let kept = if length == LEFT_OUT { 0 } else { usize::from(length) };
            let (value, behind) = behind.split_at_checked(kept)?;
            rest = behind;
            Some((head[0], (length != LEFT_OUT).then_some(value)))
        })
    }
}
