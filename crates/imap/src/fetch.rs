//! What FETCH asks for (RFC 9051 §6.4.5, and BINARY, CONDSTORE, OBJECTID, PREVIEW).

/// One data item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FetchItem {
    /// ENVELOPE.
    Envelope,
    /// FLAGS.
    Flags,
    /// INTERNALDATE.
    InternalDate,
    /// RFC822, of revision 1: BODY[] under another name.
    Rfc822,
    /// RFC822.HEADER, of revision 1.
    Rfc822Header,
    /// RFC822.TEXT, of revision 1.
    Rfc822Text,
    /// RFC822.SIZE.
    Rfc822Size,
    /// BODY: the structure without extension data.
    Body,
    /// BODYSTRUCTURE.
    BodyStructure,
    /// UID.
    Uid,
    /// BODY[…] and BODY.PEEK[…].
    BodySection {
        /// Of which part.
        section: Section,
        /// Which octets of it.
        partial: Option<Partial>,
        /// Whether the message stays as unseen as it was.
        peek: bool,
    },
    /// BINARY[…] and BINARY.PEEK[…] (RFC 3516).
    Binary {
        /// Of which part; none is the whole message.
        part: Vec<u32>,
        /// Which octets of it.
        partial: Option<Partial>,
        /// Whether the message stays as unseen as it was.
        peek: bool,
    },
    /// BINARY.SIZE[…] (RFC 3516).
    BinarySize(Vec<u32>),
    /// MODSEQ (RFC 7162).
    ModSeq,
    /// EMAILID (RFC 8474).
    EmailId,
    /// THREADID (RFC 8474).
    ThreadId,
    /// PREVIEW (RFC 8970).
    Preview {
        /// Only if it costs nothing.
        lazy: bool,
    },
}

/// A modifier of FETCH (RFC 7162).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FetchModifier {
    /// CHANGEDSINCE: only what was changed after this.
    ChangedSince(u64),
    /// VANISHED: tell what is gone, too.
    Vanished,
}

/// Octets of a section: `<first.count>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Partial {
    /// The first octet, from 0.
    pub first: u64,
    /// How many, at least one.
    pub count: u64,
}

/// A part of a message's text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Section {
    /// The number of the part, level by level; none is the whole message.
    pub part: Vec<u32>,
    /// What of it; everything when `None`.
    pub text: Option<SectionText>,
}

/// What of a part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SectionText {
    /// HEADER.
    Header,
    /// HEADER.FIELDS: these alone.
    HeaderFields(Vec<String>),
    /// HEADER.FIELDS.NOT: all but these.
    HeaderFieldsNot(Vec<String>),
    /// TEXT.
    Text,
    /// MIME: the header section of a part.
    Mime,
}
