//! A message as people see it: one line in a list ([`Summary`]) or the whole on a screen ([`View`]).
//!
//! All text here is decoded but not cleaned for a terminal: whoever prints it calls [`crate::terminal`].

use crate::{Address, Content, Date, Limits, Part, PartNumber, Structure, charset, encoded_word, html};

/// What a list shows of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// The `From` field, or `Sender` without it; empty when there is neither.
    pub from: Vec<Address>,
    /// The `To` field.
    pub to: Vec<Address>,
    /// The `Cc` field.
    pub cc: Vec<Address>,
    /// The `Subject` field; empty when there is none.
    pub subject: String,
    /// The `Date` field, if it can be read.
    pub date: Option<Date>,
    /// The first words of the text, at most [`PREVIEW_CHARS`] characters on one line.
    pub preview: String,
}

impl Summary {
    /// The summary of a message of which these are the first bytes; 16 KiB are plenty.
    pub fn of(prefix: &[u8]) -> Summary {
        let structure = Structure::of(prefix, &Limits::default());
        let fields = Fields { message: prefix, part: structure.root() };
        let body = Body::of(prefix, &structure, PREVIEW_BYTES);
        let from = fields.addresses("From");
        let words = body.text.split_whitespace().collect::<Vec<_>>().join(" ");
        Summary {
            from: if from.is_empty() { fields.addresses("Sender") } else { from },
            to: fields.addresses("To"),
            cc: fields.addresses("Cc"),
            subject: fields.text("Subject").unwrap_or_default(),
            date: fields.date(),
            preview: words.chars().take(PREVIEW_CHARS).collect(),
        }
    }
}

/// What a screen shows of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// `From`, `To`, `Cc`, `Date`, `Subject` and `Reply-To`, as far as they are there: name and decoded value.
    pub headers: Vec<(&'static str, String)>,
    /// The text, with LF between lines: the plain parts, or HTML turned into text where there is nothing else.
    pub text: String,
    /// Whether [`text`](View::text) was cut at [`TEXT_BYTES`].
    pub is_cut: bool,
    /// What else is in it.
    pub attachments: Vec<Attachment>,
}

/// A part to be saved rather than shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its file name as the sender gave it: it may hold anything, also a path.
    pub name: Option<String>,
    /// Its media type: `image/png`.
    pub media_type: String,
    /// Its size in bytes, decoded.
    pub size: usize,
}

impl View {
    /// The view of a whole message.
    pub fn of(message: &[u8]) -> View {
        let structure = Structure::of(message, &Limits::default());
        let fields = Fields { message, part: structure.root() };
        let Body { mut text, attachments } = Body::of(message, &structure, TEXT_BYTES);
        let is_cut = text.len() > TEXT_BYTES;
        if is_cut {
            text.truncate(floor_char_boundary(&text, TEXT_BYTES));
        }
        let headers = SHOWN.iter().filter_map(|&(name, kind)| {
            let value = match kind {
                Kind::Addresses => join(&fields.addresses(name)),
                Kind::Text => fields.text(name)?,
            };
            (!value.is_empty()).then_some((name, value))
        });
        View { headers: headers.collect(), text, is_cut, attachments }
    }
}

/// The fields of one part, decoded.
struct Fields<'a> {
    message: &'a [u8],
    part: &'a Part,
}

impl Fields<'_> {
    /// All fields of that name as one list: `To` may occur twice although RFC 5322 §3.6 forbids it.
    fn addresses(&self, name: &str) -> Vec<Address> {
        let fields = self.part.header.named(self.message, name);
        fields.flat_map(|field| Address::parse_list(&crate::unfold(field.value.of(self.message)))).collect()
    }

    fn text(&self, name: &str) -> Option<String> {
        self.part.header.value(self.message, name).map(|value| encoded_word::decode(&value))
    }

    fn date(&self) -> Option<Date> {
        Date::parse(&charset::header_text(&self.part.header.value(self.message, "Date")?))
    }
}

/// What is to be read in a message, and what is not.
struct Body {
    text: String,
    attachments: Vec<Attachment>,
}

impl Body {
    /// Takes text until there are more than `max` bytes of it.
    fn of(message: &[u8], structure: &Structure, max: usize) -> Body {
        let mut body = Body { text: String::new(), attachments: Vec::new() };
        // parts still to be looked at, the next one last: no recursion over what a peer nested
        let mut ahead = vec![0];
        while let Some(number) = ahead.pop() {
            let part = &structure.parts()[number];
            match &part.content {
                Content::Multipart(children) if part.media_type.subtype == "alternative" => {
                    ahead.extend(best_alternative(structure, children));
                }
                Content::Multipart(children) => ahead.extend(children.iter().rev()),
                Content::Leaf if is_shown(part) => body.show(part, message, max),
                Content::Leaf | Content::Message(_) => body.attachments.push(Attachment {
                    name: part.file_name().map(str::to_owned),
                    media_type: part.media_type.essence(),
                    size: part.encoding.decoded_len(part.body.of(message)),
                }),
            }
        }
        body
    }

    fn show(&mut self, part: &Part, message: &[u8], max: usize) {
        let room = (max + 1).saturating_sub(self.text.len());
        if room == 0 {
            return;
        }
        // markup takes more bytes than the text that is left of it
        let is_html = part.media_type.subtype == "html";
        let bytes =
            part.encoding.decode(part.body.of(message), if is_html { room.saturating_mul(16) } else { room });
        let decoded = charset::decode(part.media_type.charset(), &bytes);
        let text = if is_html { html::to_text(&decoded, room) } else { decoded.replace("\r\n", "\n") };
        if !self.text.is_empty() && !text.is_empty() {
            let gap = if self.text.ends_with('\n') { "\n" } else { "\n\n" };
            self.text.push_str(gap);
        }
        self.text.push_str(&text);
    }
}

/// Whether a part without parts is text to be read in its place (RFC 2183 §2).
fn is_shown(part: &Part) -> bool {
    part.media_type.kind == "text" && !part.is_attachment() && part.media_type.subtype != "calendar"
}

/// The plain text among the alternatives, or else the last one that holds any text, which is the richest (RFC 2046 §5.1.4).
fn best_alternative(structure: &Structure, children: &[PartNumber]) -> Option<PartNumber> {
    let parts = structure.parts();
    let plain = children.iter().rev().find(|&&child| parts[child].media_type.is("text", "plain"));
    let text = || {
        children
            .iter()
            .rev()
            .find(|&&child| matches!(parts[child].media_type.kind.as_str(), "text" | "multipart"))
    };
    plain.or_else(text).or(children.last()).copied()
}

fn join(addresses: &[Address]) -> String {
    addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(", ")
}

fn floor_char_boundary(text: &str, place: usize) -> usize {
    (0..=place.min(text.len())).rev().find(|&place| text.is_char_boundary(place)).unwrap_or(0)
}

#[derive(Clone, Copy)]
enum Kind {
    Addresses,
    Text,
}

const SHOWN: [(&str, Kind); 6] = [
    ("From", Kind::Addresses),
    ("To", Kind::Addresses),
    ("Cc", Kind::Addresses),
    ("Reply-To", Kind::Addresses),
    ("Date", Kind::Text),
    ("Subject", Kind::Text),
];

/// How much text a [`View`] shows: 1 MiB.
pub const TEXT_BYTES: usize = 1024 * 1024;
/// How many characters the preview of a [`Summary`] has.
pub const PREVIEW_CHARS: usize = 200;
/// A character has at most four bytes, and there is white space to be left out.
const PREVIEW_BYTES: usize = PREVIEW_CHARS * 8;
