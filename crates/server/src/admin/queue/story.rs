//! The story of a message, put together from what the store knows of it.

use super::views::{DeliveryView, EntryView, OriginView, RecipientView, StoryView, bare};
use crate::dsn;
use smtp::Envelope;
use std::collections::{BTreeMap, BTreeSet};
use store::{Acceptance, Delivery, DeliveryId, Error, Fate, Pause, Result, SharedStore, SpoolId};

/// The story of one message; `None` when nothing is known of it.
pub(super) async fn of(store: &SharedStore, id: SpoolId) -> Result<Option<StoryView>> {
    let acceptance = match store.acceptance(id).await {
        Ok(acceptance) => Some(acceptance),
        Err(Error::NoSuchMessage(_)) => None,
        Err(error) => return Err(error),
    };
    let (fates, pauses) = (store.fates_of(id).await?, store.pauses().await?);
    Ok(told(id, acceptance, (&queued(store, id).await?, &fates, &pauses)))
}

/// The queued deliveries of one message.
pub(super) async fn queued(store: &SharedStore, id: SpoolId) -> Result<Vec<Delivery>> {
    let mut after = Some(DeliveryId { spool: SpoolId(id.0.saturating_sub(1)), recipient: u32::MAX });
    let mut all = Vec::new();
    loop {
        let page = store.deliveries(after, PAGE).await?;
        let count = page.len();
        let theirs: Vec<Delivery> = page.into_iter().take_while(|one| one.id.spool == id).collect();
        let more = count > 0 && theirs.len() == count;
        after = theirs.last().map(|last| last.id);
        all.extend(theirs);
        if !more {
            return Ok(all);
        }
    }
}

fn told(
    id: SpoolId,
    acceptance: Option<Acceptance>,
    (queued, fates, pauses): (&[Delivery], &[Fate], &[Pause]),
) -> Option<StoryView> {
    let mut deliveries: BTreeMap<u32, DeliveryView> =
        fates.iter().map(|fate| (fate.delivery.id.recipient, DeliveryView::ended(fate))).collect();
    deliveries.extend(queued.iter().map(|one| (one.id.recipient, DeliveryView::queued(one, pauses))));
    let (received, sender, size, trace) = match (&acceptance, fates.first()) {
        (Some(acceptance), _) => {
            let Acceptance { received, envelope, trace, size, .. } = acceptance;
            (*received, bare(&envelope.reverse_path), *size, trace)
        }
        (None, Some(fate)) => {
            let delivery = &fate.delivery;
            (delivery.received, bare(&delivery.reverse_path), delivery.size, &fate.trace)
        }
        (None, None) => return None,
    };
    let (origin, report_on) = (origin(trace), report_on(trace, &sender));
    let recipients = recipients(acceptance, deliveries);
    Some(StoryView { id: id.to_string(), received, sender, size, origin, report_on, recipients })
}

/// The recipients in order, as far as they are known: of a message that is gone, those whose fates are remembered.
fn recipients(
    acceptance: Option<Acceptance>,
    mut deliveries: BTreeMap<u32, DeliveryView>,
) -> Vec<RecipientView> {
    let mut entries: BTreeMap<u32, Vec<EntryView>> = BTreeMap::new();
    let mut addresses: BTreeMap<u32, String> = BTreeMap::new();
    if let Some(Acceptance { envelope: Envelope { recipients, .. }, entries: placed, .. }) = acceptance {
        for (number, recipient) in recipients.iter().enumerate() {
            addresses.insert(number as u32, bare(&recipient.forward_path));
        }
        for place in placed {
            let (account, mailbox) = (place.account.to_string(), place.mailbox.as_str().to_owned());
            entries.entry(place.recipient).or_default().push(EntryView {
                account,
                mailbox,
                uid: place.uid.0,
            });
        }
    }
    for (number, delivery) in &deliveries {
        addresses.entry(*number).or_insert_with(|| delivery.recipient.clone());
    }
    let recipient = |(number, recipient)| RecipientView {
        recipient,
        entries: entries.remove(&number).unwrap_or_default(),
        delivery: deliveries.remove(&number),
    };
    addresses.into_iter().map(recipient).collect()
}

/// Where a message came from, as the first `Received` field of our trace says.
fn origin(trace: &[u8]) -> Option<OriginView> {
    let text = String::from_utf8_lossy(trace);
    let at = text.find("Received:").filter(|at| *at == 0 || text.as_bytes()[at - 1] == b'\n')?;
    let mut field = String::new();
    for line in text[at + "Received:".len()..].split("\r\n") {
        if !field.is_empty() && !line.starts_with([' ', '\t']) {
            break;
        }
        field.push(' ');
        field.push_str(line.trim());
    }
    let words: Vec<&str> = field.split_whitespace().collect();
    let after = |word: &str| words.iter().position(|one| *one == word).map(|at| &words[at + 1..]);
    let until = |words: &[&str], ends: &[&str]| -> String {
        let front = words.iter().take_while(|word| !ends.contains(*word));
        front.map(|word| word.trim_end_matches(';')).collect::<Vec<_>>().join(" ")
    };
    let client = until(after("from")?, &["by"]);
    let protocol = after("with").and_then(|rest| rest.first()).map_or("", |word| word.trim_end_matches(';'));
    // The cipher suite and, in a comment, the version; the date follows the semicolon.
    let tls = after("tls").map(|rest| {
        let end = rest.iter().position(|word| word.ends_with(';')).map_or(rest.len(), |at| at + 1);
        until(&rest[..end], &[])
    });
    Some(OriginView { client, protocol: protocol.to_owned(), tls })
}

/// The message that a report of ours is about. Our fields come first: what a stranger writes stands below a field that says where it came from.
fn report_on(trace: &[u8], sender: &str) -> Option<String> {
    let field = std::str::from_utf8(trace).ok()?.strip_prefix(dsn::REPORT_ON)?.strip_prefix(": ")?;
    let id = field.split("\r\n").next().filter(|_| sender.is_empty())?;
    id.parse::<SpoolId>().ok().map(|id| id.to_string())
}

/// Ids of the latest messages from or to an address, or in a domain; the latest first.
pub(super) async fn about(
    store: &SharedStore,
    address: &str,
    limit: usize,
) -> std::result::Result<Vec<SpoolId>, super::Stop> {
    let either = |path: String| {
        path.eq_ignore_ascii_case(address)
            || path.rsplit_once('@').is_some_and(|(_, domain)| domain.eq_ignore_ascii_case(address))
    };
    let is_about =
        |one: &Delivery| either(bare(&one.reverse_path)) || either(bare(&one.recipient.forward_path));
    let mut found: BTreeSet<SpoolId> = BTreeSet::new();
    let mut after = None;
    loop {
        let page = store.deliveries(after, PAGE).await?;
        found.extend(page.iter().filter(|one| is_about(one)).map(|one| one.id.spool));
        while found.len() > limit {
            found.pop_first();
        }
        match page.last() {
            Some(last) => after = Some(last.id),
            None => break,
        }
    }
    let mut before = None;
    loop {
        let page = store.fates(before, PAGE).await?;
        let ended = page.iter().filter(|fate| is_about(&fate.delivery)).map(|fate| fate.delivery.id.spool);
        found.extend(ended);
        let enough = found.len() >= limit && found.iter().nth_back(limit - 1) > before.as_ref();
        match page.last() {
            Some(last) if page.len() >= PAGE && !enough => before = Some(last.delivery.id.spool),
            _ => break,
        }
    }
    found.extend(entries(store, address, limit).await?);
    Ok(found.into_iter().rev().take(limit).collect())
}

/// The latest messages in the mailboxes of the account of that name.
async fn entries(store: &SharedStore, address: &str, limit: usize) -> Result<Vec<SpoolId>> {
    let Ok(account) = store::AccountName::parse(address) else { return Ok(Vec::new()) };
    let mailboxes = match store.mailboxes(&account).await {
        Err(Error::NoSuchAccount(_)) => return Ok(Vec::new()),
        mailboxes => mailboxes?,
    };
    let mut spools = Vec::new();
    for mailbox in mailboxes {
        let span = u32::try_from(limit).unwrap_or(u32::MAX).saturating_mul(SPARSE);
        let after = store::Uid(mailbox.uid_next.0.saturating_sub(1).saturating_sub(span));
        let entries = match store.entries(mailbox.id, after, usize::MAX).await {
            Err(Error::NoSuchMailbox(_)) => continue,
            entries => entries?,
        };
        spools.extend(entries.iter().rev().take(limit).map(|entry| entry.spool));
    }
    Ok(spools)
}

/// Read so many at a time.
const PAGE: usize = 500;
/// How many numbers of a mailbox are looked at for each message that is wanted: others may have been removed.
const SPARSE: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_received_field_tells_where_a_message_came_from() {
        let field = message::trace::Received {
            hello_name: "client.example.org",
            peer: Some([192, 0, 2, 7].into()),
            by: "mx.example.org",
            with: message::trace::With {
                dialect: message::trace::Dialect::Esmtp,
                smtputf8: false,
                tls: true,
                authenticated: true,
            },
            id: "0123456789ABC",
            recipient: Some("bob@example.net"),
            tls: Some(message::trace::Tls { version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256" }),
            date: message::Date::utc(1_700_000_000_000),
        };
        let mut trace = b"X-Other: from nobody\r\n".to_vec();
        trace.extend(field.to_field());
        trace.extend_from_slice(b"Received: from elsewhere by nowhere with SMTP\r\n");
        let expected = OriginView {
            client: "client.example.org ([192.0.2.7])".to_owned(),
            protocol: "ESMTPSA".to_owned(),
            tls: Some("TLS_AES_128_GCM_SHA256 (TLSv1.3)".to_owned()),
        };
        assert_eq!(origin(&trace), Some(expected));
        assert_eq!(origin(b""), None);
        assert_eq!(origin(b"Subject: Received: from x\r\n"), None);
        let on = |trace: &[u8], sender| report_on(trace, sender);
        let ours = b"X-Posthaste-Report-On: 06JGV6XS9G000\r\n";
        assert_eq!(on(ours, "").as_deref(), Some("06JGV6XS9G000"));
        assert_eq!((on(ours, "a@b.example"), on(&trace, "")), (None, None));
        let plain = message::trace::Received { tls: None, recipient: None, ..field }.to_field();
        assert_eq!(origin(&plain).expect("it is one").tls, None);
    }
}
