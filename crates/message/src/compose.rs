//! Writing a message: header section, text, HTML and attachments (RFC 5322, RFC 2045 to 2049), through `mail-builder`.
//!
//! Nothing is invented here: date and identifier are the caller's, boundaries follow from the identifier. The same draft is always
//! the same bytes.

use crate::{Address, Date, Error};
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as BuilderAddress;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::mime::{BodyPart, MimePart};

/// A message to be written.
///
/// There is no Bcc: blind recipients stand in the envelope only (RFC 5322 §3.6.3 leaves the choice, and a field that is not
/// written cannot leak).
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Who writes.
    pub from: Address,
    /// To whom.
    pub to: Vec<Address>,
    /// Who gets a copy.
    pub cc: Vec<Address>,
    /// The subject; no field when it is empty.
    pub subject: String,
    /// The plain text. When there is neither text nor HTML the message has an empty text.
    pub text: Option<String>,
    /// The same as HTML.
    pub html: Option<String>,
    /// Files.
    pub attachments: Vec<DraftAttachment>,
    /// When it is written.
    pub date: Date,
    /// What makes it unique: letters, digits, dots and hyphens, best 16 or more at random.
    pub id: String,
    /// The host that vouches for the identifier: the right side of the Message-ID (RFC 5322 §3.6.4).
    pub id_host: String,
}

/// A file to be attached.
#[derive(Debug, Clone, Default)]
pub struct DraftAttachment {
    /// The file name that the recipient sees.
    pub name: String,
    /// The media type: `image/png`.
    pub media_type: String,
    /// The bytes.
    pub content: Vec<u8>,
}

impl Draft {
    /// The message, with CRLF at the end of every line and no line longer than 998 bytes. ASCII only, unless an address is not.
    ///
    /// # Errors
    ///
    /// [`Error::Unwritable`] for a control character in what goes into a header field, an identifier that is none, or a NUL in
    /// a text.
    pub fn build(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        let mut message = MessageBuilder::new()
            .header("Date", Raw::new(self.date.to_string()))
            .header("From", mailbox(&self.from))
            .header("Message-ID", Raw::new(format!("<{}@{}>", self.id, self.id_host)));
        for (name, addresses) in [("To", &self.to), ("Cc", &self.cc)] {
            if !addresses.is_empty() {
                message =
                    message.header(name, BuilderAddress::new_list(addresses.iter().map(mailbox).collect()));
            }
        }
        if !self.subject.is_empty() {
            message = message.header("Subject", Text::new(self.subject.as_str()));
        }
        message = message.header("MIME-Version", Raw::new("1.0")).body(self.body());
        let mut bytes = Vec::new();
        message.serialize(&mut bytes);
        Ok(crate::normalise_line_endings(&bytes).into_owned())
    }

    /// Refuses what could not be written so that it is read back the same.
    fn check(&self) -> Result<(), Error> {
        let senders = std::iter::once(("From", &self.from));
        let recipients = self.to.iter().map(|to| ("To", to)).chain(self.cc.iter().map(|cc| ("Cc", cc)));
        for (field, address) in senders.chain(recipients) {
            header_value(field, &address.address)?;
            header_value(field, address.name.as_deref().unwrap_or_default())?;
            if address.address.is_empty() || address.address.contains(['<', '>']) {
                return Err(Error::unwritable(field, format!("{:?} is no address", address.address)));
            }
        }
        header_value("Subject", &self.subject)?;
        for attachment in &self.attachments {
            header_value("attachment name", &attachment.name)?;
            media_type(&attachment.media_type)?;
        }
        for (what, text) in [("identifier", &self.id), ("identifier's host", &self.id_host)] {
            let is_written = |c: u8| c.is_ascii_alphanumeric() || b".-[]:".contains(&c);
            if text.is_empty() || text.len() > MAX_ID || !text.bytes().all(is_written) {
                return Err(Error::unwritable(
                    what,
                    format!("{text:?} has other characters than letters, digits, '.' and '-'"),
                ));
            }
        }
        for (what, text) in [("text", &self.text), ("HTML", &self.html)] {
            if text.as_ref().is_some_and(|text| text.contains('\0')) {
                return Err(Error::unwritable(what, "it has a NUL character".to_owned()));
            }
        }
        Ok(())
    }

    /// Text and HTML as alternatives, and the files beside them (RFC 2046 §5.1.3, §5.1.4).
    fn body(&self) -> MimePart<'_> {
        let html = self.html.as_deref().map(|html| text_part("text/html", html));
        let text = match (&self.text, &html) {
            (Some(text), _) => Some(text_part("text/plain", text)),
            (None, None) => Some(text_part("text/plain", "")),
            (None, Some(_)) => None,
        };
        let words: Vec<_> = text.into_iter().chain(html).collect();
        let words = self.one_of(words, "alternative");
        let files = self.attachments.iter().map(|attachment| {
            // a raw type, so that mail-builder sees no text in it and writes base64: a file must arrive as it is
            MimePart::raw(BodyPart::Binary(attachment.content.as_slice().into()))
                .header("Content-Type", Raw::new(attachment.media_type.as_str()))
                .attachment(attachment.name.as_str())
        });
        self.one_of(std::iter::once(words).chain(files).collect(), "mixed")
    }

    /// The only part, or a multipart of that subtype.
    fn one_of<'a>(&self, mut parts: Vec<MimePart<'a>>, subtype: &str) -> MimePart<'a> {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        // RFC 2046 §5.1.1 allows 70 characters. `=_` occurs in no quoted-printable and no base64 body (RFC 2045 §6.7).
        let id: String = self.id.chars().filter(char::is_ascii_alphanumeric).take(50).collect();
        let boundary = format!("=_{subtype}_{id}");
        MimePart::new(ContentType::new(format!("multipart/{subtype}")).attribute("boundary", boundary), parts)
    }
}

fn text_part<'a>(media_type: &'static str, text: &'a str) -> MimePart<'a> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
    let complete = if text.ends_with("\r\n") || text.is_empty() { text } else { text + "\r\n" };
    MimePart::new(ContentType::new(media_type).attribute("charset", "utf-8"), complete)
}

fn mailbox(address: &Address) -> BuilderAddress<'_> {
    BuilderAddress::new_address(address.name.as_deref(), address.address.as_str())
}

/// Refuses what could end a field and start another one.
fn header_value(what: &'static str, text: &str) -> Result<(), Error> {
    match text.chars().find(|c| c.is_control()) {
        None => Ok(()),
        Some('\r' | '\n') => Err(Error::unwritable(what, format!("{text:?} has a line break"))),
        Some(_) => Err(Error::unwritable(what, format!("{text:?} has a control character"))),
    }
}

fn media_type(text: &str) -> Result<(), Error> {
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&c))
    };
    match text.split_once('/') {
        Some((kind, subtype)) if is_token(kind) && is_token(subtype) && kind != "multipart" => Ok(()),
        _ => Err(Error::unwritable("media type", format!("{text:?} is not of the form type/subtype"))),
    }
}

const MAX_ID: usize = 255;
