//! What a FETCH reads of a message: no more than it needs, and nothing where all that it tells of the text is an ENVELOPE that was told before.

use super::{Fetching, Lost, Need};
use crate::imap::envelope::envelope;
use crate::imap::envelopes::Key;
use crate::imap::text;
use crate::inbound::Context;
use crate::reading::Wanted;
use bytes::Bytes;
use imap::answer::FetchData;
use imap::server::Server;
use message::{Limits, Structure};
use store::{Entry, MailboxId, Reader};

/// What there is of a message.
#[derive(Default)]
pub(super) struct Read {
    /// The text, or its header.
    pub(super) text: Bytes,
    pub(super) structure: Option<Structure>,
    /// The text, where it is not held but passes by.
    pub(super) passing: Option<Reader>,
    /// The ENVELOPE as it is told, where nothing else of the text is.
    pub(super) envelope: Option<Bytes>,
}

impl Fetching {
    /// Reads what is needed; `None` when the message is gone.
    pub(super) async fn read(
        &mut self,
        context: &Context,
        endpoint: &Server,
        (mailbox, entry): (MailboxId, &Entry),
    ) -> Result<Option<Read>, Lost> {
        let Fetching { need, envelopes_only, page, ahead, .. } = self;
        if *need == Need::Nothing {
            return Ok(Some(Read::default()));
        }
        let names = endpoint.names();
        let key = |entry: &Entry| Key { mailbox, uid: entry.uid, names };
        if let (true, Some(item)) = (*envelopes_only, context.envelopes.find(key(entry))) {
            return Ok(Some(Read { envelope: Some(item), ..Read::default() }));
        }
        let is_needed = |entry: &&Entry| !(*envelopes_only && context.envelopes.has(key(entry)));
        let next = std::iter::once(entry).chain(page.iter().filter(is_needed));
        let next = next.map(|entry| Wanted { uid: entry.uid, size: entry.size });
        let Some(plan) = ahead.plan(&context.reading, next) else { return Ok(None) };
        let Some(reader) = ahead.text(&context.store, mailbox, plan).await? else { return Ok(None) };
        let text = match need {
            Need::Passing => return Ok(Some(Read { passing: Some(reader), ..Read::default() })),
            Need::Header => text::head(reader).await?,
            Need::Whole | Need::Nothing => text::whole(reader).await?,
        };
        let structure = Structure::of(&text, &Limits::default());
        let written = || {
            let header = &structure.root().header;
            let item = endpoint.written(&FetchData::Envelope(&envelope(&text, header)));
            context.envelopes.keep(key(entry), item.clone());
            item
        };
        let envelope = envelopes_only.then(written);
        Ok(Some(Read { text, structure: Some(structure), passing: None, envelope }))
    }
}
