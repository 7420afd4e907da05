//! The envelope of a message: who sends, who receives, and what was asked for the transport (RFC 5321
//! §2.3.1).

use crate::{ForwardPath, Mailbox, ReversePath, xtext};
use std::fmt;
use std::str::FromStr;

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
    /// REQUIRETLS was asked for (RFC 8689): the message goes over verified TLS, to hosts that will do the same, or not at all.
    pub require_tls: bool,
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

/// AUTH= of MAIL: who submitted the message at first, as far as the peer knows (RFC 4954 §5). Only a peer that is
/// trusted to say so is to be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitter {
    /// `<>`: not known, or not authenticated well enough.
    Unknown,
    /// This mailbox.
    Mailbox(Mailbox),
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

/// ENVID=: the sender's own mark for the transaction, decoded from xtext; printable ASCII, at most 100
/// characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeId(String);

/// ORCPT=: the recipient as the sender first named it, decoded from xtext or `utf-8-addr-xtext` (RFC 6533).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalRecipient {
    address_type: String,
    address: String,
}

impl Envelope {
    /// An envelope with no parameters.
    pub fn new(reverse_path: ReversePath, recipients: Vec<Recipient>) -> Envelope {
        Envelope {
            reverse_path,
            recipients,
            body: Body::SevenBit,
            smtputf8: false,
            require_tls: false,
            ret: None,
            envelope_id: None,
        }
    }
}

impl Recipient {
    /// A recipient with no parameters.
    pub fn new(forward_path: ForwardPath) -> Recipient {
        Recipient { forward_path, notify: None, original: None }
    }
}

impl EnvelopeId {
    /// Takes an identifier; `None` when it is empty, not printable ASCII, or longer than 100 characters in
    /// xtext.
    pub fn new(id: &str) -> Option<EnvelopeId> {
        let printable = !id.is_empty() && id.bytes().all(|b| matches!(b, b' '..=b'~'));
        (printable && xtext::encode(id).len() <= ENVELOPE_ID_MAX).then(|| EnvelopeId(id.to_owned()))
    }

    /// The identifier, not encoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvelopeId {
    /// As xtext, as MAIL carries it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&xtext::encode(&self.0))
    }
}

impl FromStr for EnvelopeId {
    type Err = xtext::Malformed;
    fn from_str(text: &str) -> Result<EnvelopeId, xtext::Malformed> {
        EnvelopeId::new(&xtext::decode(text)?).ok_or(xtext::Malformed)
    }
}

impl OriginalRecipient {
    /// Takes an address and its type (`rfc822`, `utf-8`, …); `None` when the type is not an atom, the address
    /// is empty or has characters that its type cannot carry (only `utf-8` goes beyond ASCII), or both are
    /// longer than 500 characters when written.
    pub fn new(address_type: &str, address: &str) -> Option<OriginalRecipient> {
        let utf8 = address_type.eq_ignore_ascii_case(UTF8);
        if !utf8 && !address.is_ascii() {
            return None;
        }
        OriginalRecipient::received(address_type, address)
    }

    /// The same as others send it: RFC 6533 §3 asks for the type `utf-8` beyond ASCII, but Postfix writes
    /// `rfc822` there too, and what it means is clear.
    fn received(address_type: &str, address: &str) -> Option<OriginalRecipient> {
        let type_ok =
            !address_type.is_empty() && address_type.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let address_ok = !address.is_empty() && !address.chars().any(char::is_control);
        let original =
            OriginalRecipient { address_type: address_type.to_owned(), address: address.to_owned() };
        (type_ok && address_ok && original.to_string().len() <= ORIGINAL_MAX).then_some(original)
    }

    /// The kind of address, as written: `rfc822`, `utf-8`, `x400`, …
    pub fn address_type(&self) -> &str {
        &self.address_type
    }

    /// The address, not encoded.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Display for OriginalRecipient {
    /// As RCPT carries it, in ASCII whatever the address holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = if self.address_type.eq_ignore_ascii_case(UTF8) {
            xtext::encode_utf8(&self.address)
        } else {
            xtext::encode(&self.address)
        };
        write!(f, "{};{encoded}", self.address_type)
    }
}

impl FromStr for OriginalRecipient {
    type Err = xtext::Malformed;
    fn from_str(text: &str) -> Result<OriginalRecipient, xtext::Malformed> {
        let (address_type, encoded) = text.split_once(';').ok_or(xtext::Malformed)?;
        let address = if address_type.eq_ignore_ascii_case(UTF8) {
            xtext::decode_utf8(encoded)?
        } else {
            xtext::decode(encoded)?
        };
        OriginalRecipient::received(address_type, &address).ok_or(xtext::Malformed)
    }
}

impl fmt::Display for Submitter {
    /// The value of AUTH=.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Submitter::Unknown => f.write_str("<>"),
            Submitter::Mailbox(mailbox) => f.write_str(&xtext::encode(&mailbox.to_string())),
        }
    }
}

impl FromStr for Submitter {
    type Err = xtext::Malformed;
    fn from_str(text: &str) -> Result<Submitter, xtext::Malformed> {
        match xtext::decode(text)?.as_str() {
            "<>" => Ok(Submitter::Unknown),
            mailbox => mailbox.parse().map(Submitter::Mailbox).map_err(|_| xtext::Malformed),
        }
    }
}

impl fmt::Display for Body {
    /// The value of BODY=.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Body::SevenBit => "7BIT",
            Body::EightBitMime => "8BITMIME",
            Body::BinaryMime => "BINARYMIME",
        })
    }
}

impl fmt::Display for Return {
    /// The value of RET=.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Return::Full => "FULL",
            Return::Headers => "HDRS",
        })
    }
}

impl fmt::Display for Notify {
    /// The value of NOTIFY=. `On` with nothing set is written as `NEVER`, which is what it means.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Notify::On { success, failure, delay } = *self else {
            return f.write_str("NEVER");
        };
        let chosen = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
        let mut names = chosen.iter().filter(|(on, _)| *on).map(|(_, name)| *name);
        f.write_str(names.next().unwrap_or("NEVER"))?;
        names.try_for_each(|name| write!(f, ",{name}"))
    }
}

/// The address type of RFC 6533 §3.
const UTF8: &str = "utf-8";
/// RFC 3461 §4.4: counted in xtext.
const ENVELOPE_ID_MAX: usize = 100;
/// RFC 3461 §4.2: counted with the type, in xtext.
const ORIGINAL_MAX: usize = 500;
