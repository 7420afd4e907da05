//! What is sent: envelope and content, made from the arguments.

use super::Args;
use crate::exit::Complaint;
use crate::serving;
use anyhow::Context;
use bytes::Bytes;
use message::{Address, BodyType, Date, Draft, DraftAttachment, Limits, Needs, Structure, Summary};
use smtp::{Body, Envelope, ForwardPath, Recipient, ReversePath};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::str::FromStr;

/// An envelope and its content.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) envelope: Envelope,
    pub(super) content: Bytes,
}

/// A recipient as typed: `bob@example.org` or `Bob <bob@example.org>`.
#[derive(Debug, Clone)]
pub(crate) struct Party {
    shown: Address,
    path: ForwardPath,
}

/// An author as typed, or `<>` for reports that go nowhere.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    shown: Option<Address>,
    path: ReversePath,
}

impl FromStr for Party {
    type Err = String;

    fn from_str(text: &str) -> Result<Party, String> {
        let shown = single(text)?;
        let path = ForwardPath::parse(&format!("<{}>", shown.address)).map_err(advise)?;
        Ok(Party { shown, path })
    }
}

impl FromStr for Author {
    type Err = String;

    fn from_str(text: &str) -> Result<Author, String> {
        if text.trim() == "<>" {
            return Ok(Author { shown: None, path: ReversePath::Null });
        }
        let shown = single(text)?;
        let path = ReversePath::parse(&format!("<{}>", shown.address)).map_err(advise)?;
        Ok(Author { shown: Some(shown), path })
    }
}

/// The one address that a text holds.
fn single(text: &str) -> Result<Address, String> {
    match <[Address; 1]>::try_from(Address::parse_list(text.as_bytes())) {
        Ok([address]) if !address.address.is_empty() => Ok(address),
        Err(several) if several.len() > 1 => Err("name one address at a time".to_owned()),
        _ => Err(advise("there is no address in it")),
    }
}

fn advise(problem: impl std::fmt::Display) -> String {
    format!("{problem}; write it like bob@example.org or 'Bob <bob@example.org>'")
}

/// Makes the letter that the arguments ask for.
pub(super) fn write(args: &Args) -> anyhow::Result<Letter> {
    match &args.message {
        Some(file) => ready(args, file),
        None => composed(args),
    }
}

/// A ready message: its content goes as it is, but for line endings.
fn ready(args: &Args, file: &Path) -> anyhow::Result<Letter> {
    let content = message::normalise_line_endings(&read(file)?).into_owned();
    let (content, bcc) = without_bcc(content);
    let content = Bytes::from(content);
    let summary = Summary::of(&content[..content.len().min(HEADER_MAX)]);
    let in_field = |field: &str, address: &Address, error: smtp::AddressError, option: &str| {
        let address = &address.address;
        Complaint::usage(format!("{address:?} in the message's {field} field: {error}; use {option} instead"))
    };
    let reverse_path = match (&args.from, summary.from.first()) {
        (Some(author), _) => author.path.clone(),
        (None, Some(from)) => ReversePath::parse(&format!("<{}>", from.address))
            .map_err(|error| in_field("From", from, error, "--from"))?,
        (None, None) => {
            return Err(Complaint::usage("the message has no From field; say who sends with --from").into());
        }
    };
    let mut paths: Vec<ForwardPath> = all_recipients(args).map(|party| party.path.clone()).collect();
    if paths.is_empty() {
        for to in summary.to.iter().chain(&summary.cc).chain(&bcc) {
            let path = ForwardPath::parse(&format!("<{}>", to.address));
            paths.push(path.map_err(|error| in_field("To, Cc or Bcc", to, error, "--to"))?);
        }
    }
    letter(reverse_path, paths, content)
}

/// The message without its Bcc fields, and whom they name: those get it without the others learning of them (RFC 5322 §3.6.3).
fn without_bcc(mut content: Vec<u8>) -> (Vec<u8>, Vec<Address>) {
    let structure = Structure::of(&content, &Limits::default());
    let fields: Vec<_> = structure.root().header.named(&content, "Bcc").copied().collect();
    let addresses = fields
        .iter()
        .flat_map(|field| Address::parse_list(&message::unfold(field.value.of(&content))))
        .collect();
    for field in fields.iter().rev() {
        content.drain(field.whole.start..field.whole.end);
    }
    (content, addresses)
}

fn composed(args: &Args) -> anyhow::Result<Letter> {
    let author = args.from.as_ref().expect("without --message clap asks for --from");
    let Some(from) = author.shown.clone() else {
        let text = "a message needs an author: --from '<>' goes with --message only";
        return Err(Complaint::usage(text).into());
    };
    if all_recipients(args).next().is_none() {
        // said before anybody types a text
        return Err(no_recipient().into());
    }
    let html = match (&args.html, &args.html_file) {
        (Some(html), _) => Some(html.clone()),
        (None, Some(file)) => Some(message::charset::decode(None, &read(file)?)),
        (None, None) => None,
    };
    let now = jiff::Zoned::now();
    let shown = |parties: &[Party]| parties.iter().map(|party| party.shown.clone()).collect();
    let draft = Draft {
        from,
        to: shown(&args.to),
        cc: shown(&args.cc),
        subject: args.subject.clone().unwrap_or_default(),
        text: text(args, html.is_some())?,
        html,
        attachments: args.attach.iter().map(|file| attachment(file)).collect::<anyhow::Result<_>>()?,
        date: Date {
            millis: serving::now().0,
            offset_minutes: i16::try_from(now.offset().seconds() / 60).unwrap_or_default(),
        },
        id: random_id()?,
        id_host: server::host::name().ascii().to_owned(),
    };
    let content = draft.build().map_err(|error| Complaint::usage(error.to_string()))?;
    let paths = all_recipients(args).map(|party| party.path.clone()).collect();
    letter(author.path.clone(), paths, content.into())
}

fn all_recipients(args: &Args) -> impl Iterator<Item = &Party> {
    args.to.iter().chain(&args.cc).chain(&args.bcc)
}

fn letter(reverse_path: ReversePath, mut paths: Vec<ForwardPath>, content: Bytes) -> anyhow::Result<Letter> {
    let mut seen = HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    if paths.is_empty() {
        return Err(no_recipient().into());
    }
    let needs = Needs::of(&content);
    let recipient = |forward_path| Recipient { forward_path, notify: None, original: None };
    let envelope = Envelope {
        reverse_path,
        recipients: paths.into_iter().map(recipient).collect(),
        body: match needs.body {
            BodyType::SevenBit => Body::SevenBit,
            BodyType::EightBit => Body::EightBitMime,
            BodyType::Binary => Body::BinaryMime,
        },
        smtputf8: needs.smtputf8,
        require_tls: false,
        ret: None,
        envelope_id: None,
    };
    Ok(Letter { envelope, content })
}

fn no_recipient() -> Complaint {
    Complaint::usage("there is no recipient; name one with --to")
}

/// The text: as given, or of standard input when there is no other content either.
fn text(args: &Args, has_html: bool) -> anyhow::Result<Option<String>> {
    let bytes = match (&args.text, &args.text_file) {
        (Some(text), _) => return Ok(Some(text.clone())),
        (None, Some(file)) => read(file)?,
        (None, None) if has_html || !args.attach.is_empty() => return Ok(None),
        (None, None) => {
            if io::stdin().is_terminal() {
                anstream::eprintln!("Type the message; end it with Ctrl-D on a line of its own.");
            }
            read(Path::new("-"))?
        }
    };
    Ok(Some(message::charset::decode(None, &bytes)))
}

fn attachment(file: &Path) -> anyhow::Result<DraftAttachment> {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
    Ok(DraftAttachment { media_type: media_type(&name).to_owned(), name, content: read(file)? })
}

/// A whole file, or standard input for `-`. What cannot be read is a mistake in the command.
fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut content = Vec::new();
    let result = match file.to_str() {
        Some("-") => io::stdin().lock().read_to_end(&mut content),
        _ => File::open(file).and_then(|mut file| file.read_to_end(&mut content)),
    };
    match result {
        Ok(_) => Ok(content),
        Err(error) => Err(Complaint::usage(format!("cannot read {}: {error}", file.display())).into()),
    }
}

/// The media type that a file name suggests.
fn media_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let known = MEDIA_TYPES.iter().find(|(known, _)| Some(*known) == extension.as_deref());
    known.map_or("application/octet-stream", |(_, media_type)| media_type)
}

/// 128 random bits, as the left side of a Message-ID (RFC 5322 §3.6.4).
fn random_id() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    let failed = "cannot read random bytes from /dev/urandom";
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes)).context(failed)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// From and To stand within this much of a message, or are not looked for.
const HEADER_MAX: usize = 256 * 1024;

const MEDIA_TYPES: [(&str, &str); 23] = [
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ics", "text/calendar"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("log", "text/plain"),
    ("md", "text/markdown"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain"),
    ("webp", "image/webp"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("zip", "application/zip"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_type_them() {
        let party: Party = "\"Bob, the Builder\" <bob@example.org>".parse().expect("an address");
        assert_eq!(party.shown.name.as_deref(), Some("Bob, the Builder"));
        assert_eq!(party.path.to_string(), "<bob@example.org>");
        let party: Party = "postmaster".parse().expect("the postmaster");
        assert_eq!(party.path, ForwardPath::Postmaster);
        let author: Author = "<>".parse().expect("the null path");
        assert_eq!(author.path, ReversePath::Null);
        for wrong in ["bob", "", "a@b.example, c@d.example", "Bob <>", "a@b@c"] {
            assert!(wrong.parse::<Party>().is_err(), "{wrong}");
        }
        assert!("bob".parse::<Author>().is_err_and(|error| error.contains("like bob@example.org")));
    }

    #[test]
    fn media_types_by_name() {
        assert_eq!(media_type("A.PDF"), "application/pdf");
        assert_eq!(media_type("archive.tar.gz"), "application/gzip");
        assert_eq!(media_type("README"), "application/octet-stream");
        assert!(MEDIA_TYPES.is_sorted(), "in order, to be found by people");
    }

    #[test]
    fn identifiers_differ() {
        let (one, other) = (random_id().expect("randomness"), random_id().expect("randomness"));
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
    }
}
