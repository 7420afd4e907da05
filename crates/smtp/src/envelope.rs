//! The envelope of a message: who sends, who receives, and what was asked for the transport (RFC 5321 §2.3.1).

use crate::{ForwardPath, ReversePath};

/// The envelope of one mail transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// MAIL FROM.
    pub reverse_path: ReversePath,
    /// RCPT TO, in the order given.
    pub recipients: Vec<Recipient>,
    /// BODY= (RFC 6152, RFC 3030).
    pub body: Body,
    /// SMTPUTF8 was asked for (RFC 6531).
    pub smtputf8: bool,
    /// RET= (RFC 3461 §4.3).
    pub ret: Option<Return>,
    /// ENVID= (RFC 3461 §4.4).
    pub envelope_id: Option<EnvelopeId>,
}

/// One recipient and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// RCPT TO.
    pub forward_path: ForwardPath,
    /// NOTIFY= (RFC 3461 §4.1); `None` when not given.
    pub notify: Option<Notify>,
    /// ORCPT= (RFC 3461 §4.2).
    pub original: Option<OriginalRecipient>,
}

/// BODY=: what the content may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Body {
    /// 7BIT, the default.
    #[default]
    SevenBit,
    /// 8BITMIME (RFC 6152).
    EightBitMime,
    /// BINARYMIME, only with BDAT (RFC 3030).
    BinaryMime,
}

/// RET=: how much of the message a failure report returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// The whole message.
    Full,
    /// Only its header section.
    Headers,
}

/// NOTIFY=: when a delivery status notification is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notify {
    /// Not at all.
    Never,
    /// On at least one of these.
    On {
        /// On delivery.
        success: bool,
        /// On failure.
        failure: bool,
        /// On delay.
        delay: bool,
    },
}

/// ENVID=: the sender's own mark for the transaction, decoded from xtext; printable ASCII, at most 100 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeId(pub(crate) String);

/// ORCPT=: the recipient as the sender first named it, decoded from xtext or `utf-8-addr-xtext` (RFC 6533).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalRecipient {
    pub(crate) address_type: String,
    pub(crate) address: String,
}
