//! ENVELOPE of a header section (RFC 9051 §7.5.2).

use imap::answer::{Address, Envelope};
use message::{Header, Written, unfold, written_addresses};
use std::borrow::Cow;

/// The envelope that the fields of a message say. Of several fields of one name the first counts, but for addresses, which are put together.
pub(super) fn envelope<'a>(text: &'a [u8], header: &'a Header) -> Envelope<'a> {
    let mut envelope = Envelope::default();
    let (mut sender, mut reply_to) = (Vec::new(), Vec::new());
    for field in &header.fields {
        let name = field.name.of(text);
        // Most fields are none of these, and most of those end here.
        if !matches!(name.len(), 2..=4 | 6..=8 | 10 | 11) {
            continue;
        }
        let value = field.value.of(text);
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            2 if is("To") => add(&mut envelope.to, value),
            2 if is("Cc") => add(&mut envelope.cc, value),
            3 if is("Bcc") => add(&mut envelope.bcc, value),
            4 if is("From") => add(&mut envelope.from, value),
            4 if is("Date") => first(&mut envelope.date, value),
            6 if is("Sender") => add(&mut sender, value),
            7 if is("Subject") => first(&mut envelope.subject, value),
            8 if is("Reply-To") => add(&mut reply_to, value),
            10 if is("Message-ID") => first(&mut envelope.message_id, value),
            11 if is("In-Reply-To") => first(&mut envelope.in_reply_to, value),
            _ => {}
        }
    }
    // RFC 9051 §7.5.2: where there is none, or an empty one, it is From.
    envelope.sender = if sender.is_empty() { envelope.from.clone() } else { sender };
    envelope.reply_to = if reply_to.is_empty() { envelope.from.clone() } else { reply_to };
    envelope
}

fn first<'a>(place: &mut Option<Cow<'a, [u8]>>, value: &'a [u8]) {
    if place.is_none() {
        *place = Some(unfold(value));
    }
}

fn add<'a>(list: &mut Vec<Address<'a>>, value: &'a [u8]) {
    match unfold(value) {
        Cow::Borrowed(value) => list.extend(written_addresses(value).into_iter().map(address)),
        Cow::Owned(value) => {
            list.extend(written_addresses(&value).into_iter().map(|one| owned(address(one))))
        }
    }
}

fn address(written: Written<'_>) -> Address<'_> {
    match written {
        Written::Mailbox { name, route, local_part, domain } => {
            // A host that is missing would say that a group begins.
            let host = domain.filter(|domain| !domain.is_empty());
            let host = host.unwrap_or(Cow::Borrowed(b"MISSING_DOMAIN"));
            let mailbox =
                if local_part.is_empty() { Cow::Borrowed(b"MISSING_MAILBOX".as_slice()) } else { local_part };
            Address { name, route, mailbox: Some(mailbox), host: Some(host) }
        }
        Written::Group(name) => Address { mailbox: Some(name), ..Address::default() },
        Written::GroupEnd => Address::default(),
    }
}

fn owned<'a>(address: Address<'_>) -> Address<'a> {
    let own = |text: Option<Cow<'_, [u8]>>| text.map(|text| Cow::Owned(text.into_owned()));
    Address {
        name: own(address.name),
        route: own(address.route),
        mailbox: own(address.mailbox),
        host: own(address.host),
    }
}
