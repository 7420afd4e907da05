//! SORT: messages in an order (RFC 5256 §3, RFC 5957).

use super::search::criteria::mentions_changes;
use super::{Session, cut, text};
use crate::reading::{Ahead, Wanted};
use bytes::Bytes;
use imap::answer::{Found, FoundModSeqs, Status};
use imap::server::Server;
use imap::{SearchKey, SortCriterion, SortKey};
use message::{Address, Date, Limits, Structure, Written, encoded_word, subject, unfold, written_addresses};
use std::cmp::Ordering;
use std::collections::HashSet;
use store::{Entry, Error};

impl Session {
    /// SORT.
    pub(super) async fn sort(
        &mut self,
        endpoint: &mut Server,
        criteria: &[SortCriterion],
        key: SearchKey,
    ) -> Result<Status, Error> {
        let about_changes = mentions_changes(&key);
        let found = self.matching(endpoint, &key).await?;
        // What is equal by a key is so by the same key later on.
        let mut keys = HashSet::new();
        let criteria: Vec<_> = criteria.iter().filter(|criterion| keys.insert(criterion.key)).collect();
        let needs_header =
            criteria.iter().any(|criterion| !matches!(criterion.key, SortKey::Arrival | SortKey::Size));
        let mut sorted = Vec::with_capacity(found.len());
        let mut ahead = Ahead::default();
        for (at, entry) in found.iter().enumerate() {
            let header = match needs_header {
                true => self.header(&mut ahead, &found[at..]).await?,
                false => Bytes::new(),
            };
            let structure = Structure::of(&header, &Limits::default());
            let values = criteria.iter().map(|criterion| value(criterion.key, entry, (&header, &structure)));
            sorted.push((values.collect::<Vec<_>>(), entry));
        }
        // RFC 5256 §3: what is equal stands in the order of the mailbox, which is how it came.
        sorted.sort_by(|(one, _), (other, _)| {
            let mut compared = criteria.iter().zip(one.iter().zip(other)).map(|(criterion, (one, other))| {
                let ordering = one.cmp(other);
                if criterion.reverse { ordering.reverse() } else { ordering }
            });
            compared.find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
        });
        // RFC 7162 §3.1.6.
        let mod_seqs = FoundModSeqs::of(sorted.iter().map(|(_, entry)| entry.modseq.0));
        let uids = sorted.iter().map(|(_, entry)| entry.uid.0).collect();
        endpoint.found(&Found { uids, mod_seqs: mod_seqs.filter(|_| about_changes) });
        Ok(Status::ok("Sort completed"))
    }

    /// The header section of the first of these messages; empty when it is gone. Those of the others are wanted after it.
    pub(super) async fn header(&mut self, ahead: &mut Ahead, entries: &[Entry]) -> Result<Bytes, Error> {
        let Some(open) = &self.open else { return Ok(Bytes::new()) };
        let context = &self.visit.context;
        let wanted = entries.iter().map(|entry| Wanted { uid: entry.uid, size: entry.size });
        let Some(plan) = ahead.plan(&context.reading, wanted) else { return Ok(Bytes::new()) };
        match ahead.text(&context.store, open.id, plan).await? {
            Some(reader) => text::head(reader).await,
            None => Ok(Bytes::new()),
        }
    }
}

/// What is compared.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Number(i64),
    Text(String),
}

pub(super) fn value(key: SortKey, entry: &Entry, (text, structure): (&[u8], &Structure)) -> Value {
    let header = &structure.root().header;
    let field = |name: &'static str| header.value(text, name).unwrap_or_default();
    match key {
        SortKey::Arrival => Value::Number(entry.received.0),
        SortKey::Size => Value::Number(entry.size as i64),
        SortKey::Date => Value::Number(sent(text, structure).unwrap_or(entry.received.0)),
        SortKey::Subject => {
            Value::Text(subject::base(&encoded_word::decode(&field("Subject"))).text.to_lowercase())
        }
        SortKey::From => Value::Text(first_mailbox(&field("From"))),
        SortKey::To => Value::Text(first_mailbox(&field("To"))),
        SortKey::Cc => Value::Text(first_mailbox(&field("Cc"))),
        SortKey::DisplayFrom => Value::Text(displayed(&field("From"))),
        SortKey::DisplayTo => Value::Text(displayed(&field("To"))),
    }
}

/// The moment in the Date field, in milliseconds since 1970 (RFC 5256 §2.2).
pub(super) fn sent(text: &[u8], structure: &Structure) -> Option<i64> {
    let value = structure.root().header.value(text, "Date")?;
    Date::parse(&String::from_utf8_lossy(&value)).map(|date| date.millis)
}

/// The local part of the first address (RFC 5256 §3).
fn first_mailbox(value: &[u8]) -> String {
    let value = unfold(value);
    let first = written_addresses(&value).into_iter().find_map(|one| match one {
        Written::Mailbox { local_part, .. } => Some(local_part.into_owned()),
        Written::Group(name) => Some(name.into_owned()),
        Written::GroupEnd => None,
    });
    cut(&String::from_utf8_lossy(&first.unwrap_or_default())).to_lowercase()
}

/// What a client shows of the first address: its name, or else the address (RFC 5957 §3).
fn displayed(value: &[u8]) -> String {
    let first = Address::parse_list(&unfold(value)).into_iter().next();
    first.map(|address| cut(address.short()).to_lowercase()).unwrap_or_default()
}
