//! What the items of a FETCH need of a message.

use imap::{FetchItem, SectionText};

/// How much of a message is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    Nothing,
    Header,
    /// All of it, once, as it is.
    Passing,
    Whole,
}

/// Whether an item marks a message as seen.
pub(super) fn is_reading(item: &FetchItem) -> bool {
    match item {
        FetchItem::Rfc822 | FetchItem::Rfc822Text => true,
        FetchItem::BodySection { peek, .. } | FetchItem::Binary { peek, .. } => !peek,
        _ => false,
    }
}

/// How much of a message an item needs.
pub(super) fn need(item: &FetchItem) -> Need {
    match item {
        FetchItem::Flags
        | FetchItem::InternalDate
        | FetchItem::Rfc822Size
        | FetchItem::Uid
        | FetchItem::ModSeq
        | FetchItem::EmailId
        | FetchItem::ThreadId => Need::Nothing,
        FetchItem::Envelope | FetchItem::Rfc822Header => Need::Header,
        FetchItem::Rfc822 => Need::Passing,
        FetchItem::BodySection { section, partial, .. } => match &section.text {
            _ if !section.part.is_empty() => Need::Whole,
            None if partial.is_none() => Need::Passing,
            None | Some(SectionText::Text | SectionText::Mime) => Need::Whole,
            Some(SectionText::Header | SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_)) => {
                Need::Header
            }
        },
        FetchItem::Body
        | FetchItem::BodyStructure
        | FetchItem::Rfc822Text
        | FetchItem::Binary { .. }
        | FetchItem::BinarySize(_)
        | FetchItem::Preview { .. } => Need::Whole,
    }
}
