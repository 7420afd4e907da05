//! Which messages the criteria of a search can mean at all, asked of the store before anything is read.

use imap::{Numbers, SearchKey};
use std::collections::HashMap;
use store::{Error, MailboxId, SharedStore};

/// The store is asked about so many criteria of a search: each takes a look at every sieve of the mailbox.
const SIFTED_MAX: usize = 16;

/// For each criterion that looks for something in a text: which messages can have it, as far as the store can tell. Strings are in lower
/// case.
pub(super) async fn possible(
    store: &SharedStore,
    mailbox: MailboxId,
    key: &SearchKey,
) -> Result<HashMap<SearchKey, Numbers>, Error> {
    let mut leaves = Vec::new();
    collect(key, &mut leaves);
    let mut possible = HashMap::new();
    for (leaf, needles) in leaves {
        if possible.len() < SIFTED_MAX && !possible.contains_key(leaf) {
            let ranges = store.sift(mailbox, &needles).await?;
            let ranges = ranges.iter().map(|range| (range.start().0, range.end().0));
            possible.insert(leaf.clone(), Numbers::of_ranges(ranges));
        }
    }
    Ok(possible)
}

/// The messages that a search can mean; `None` when it can be any.
pub(super) fn candidates(key: &SearchKey, possible: &HashMap<SearchKey, Numbers>) -> Option<Numbers> {
    match key {
        SearchKey::Among(uids) => Some(uids.clone()),
        SearchKey::And(keys) => {
            let each = keys.iter().filter_map(|key| candidates(key, possible));
            each.reduce(|some, others| some.intersection(&others))
        }
        SearchKey::Or(first, second) => {
            Some(candidates(first, possible)?.union(&candidates(second, possible)?))
        }
        leaf => possible.get(leaf).cloned(),
    }
}

/// The criteria of which a sieve can tell something, with what a message must have in its text.
fn collect<'a>(key: &'a SearchKey, leaves: &mut Vec<(&'a SearchKey, Vec<Vec<u8>>)>) {
    let (name, text) = match key {
        SearchKey::Bcc(text) => ("bcc", text),
        SearchKey::Cc(text) => ("cc", text),
        SearchKey::From(text) => ("from", text),
        SearchKey::Subject(text) => ("subject", text),
        SearchKey::To(text) => ("to", text),
        SearchKey::Header(name, text) => (name.as_str(), text),
        SearchKey::Body(text) | SearchKey::Text(text) => ("", text),
        SearchKey::Not(key) => return collect(key, leaves),
        SearchKey::And(keys) => return keys.iter().for_each(|key| collect(key, leaves)),
        SearchKey::Or(first, second) => {
            collect(first, leaves);
            return collect(second, leaves);
        }
        _ => return,
    };
    // A name that looks like an encoded word is decoded with its field.
    let name = if name.contains("=?") { String::new() } else { name.to_lowercase() };
    let needles: Vec<Vec<u8>> =
        [name.into_bytes(), text.clone()].into_iter().filter(|text| text.len() > 1).collect();
    if !needles.is_empty() {
        leaves.push((key, needles));
    }
}
