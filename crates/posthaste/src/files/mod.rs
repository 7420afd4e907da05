//! Mail in files of other programs: mbox, Maildir, and directories of `.eml` files, read and written.
//!
//! Texts have LF between lines in mbox and Maildir, CRLF in `.eml` and in our store. Flags are in the file's name in a Maildir, and elsewhere
//! in the fields Status and X-Status, as mutt and Dovecot write them; those are taken out again when a message comes in.

pub(crate) mod eml;
pub(crate) mod folders;
pub(crate) mod maildir;
pub(crate) mod mbox;

use aws_lc_rs::digest::{SHA256, digest};
use server::admin::SUMMARY_BYTES;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::{Flags, Timestamp};

/// How mail is kept in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// [`mbox`].
    Mbox,
    /// [`maildir`].
    Maildir,
    /// [`eml`].
    Eml,
}

/// A message from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    /// When it came to where it was.
    pub(crate) received: Timestamp,
    /// What its Date field says.
    pub(crate) date: Option<Timestamp>,
    /// Its flags.
    pub(crate) flags: Flags,
    /// Its keywords.
    pub(crate) keywords: Vec<String>,
    /// The text with CRLF between lines.
    pub(crate) text: Vec<u8>,
}

/// Where a message's flags are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FlagsIn {
    /// Beside its text: these. What the text says of flags is text.
    Name(Flags),
    /// In its fields Status and X-Status, which are taken out of it.
    Fields,
}

/// What is known of a message beside its text.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    /// Whose copy it is.
    pub(crate) account: String,
    /// Its name in our store, the same for good.
    pub(crate) id: String,
    /// Its number.
    pub(crate) uid: u32,
    /// When it came.
    pub(crate) received: Timestamp,
    /// Its flags.
    pub(crate) flags: Flags,
    /// The address of who sent it, or nothing.
    pub(crate) sender: String,
}

impl Label {
    /// A name for its file that no other message has, nor the same one in another account: several accounts may be
    /// exported into one directory.
    fn unique(&self) -> String {
        let digest = digest(&SHA256, self.account.as_bytes());
        let short: String = digest.as_ref()[..4].iter().map(|octet| format!("{octet:02x}")).collect();
        format!("{}-{short}", self.id)
    }
}

impl Letter {
    /// A letter of which this is the text, with any line ends. Without `received` its Date field counts, and then `otherwise`.
    pub(crate) fn of(
        text: &[u8],
        flags: FlagsIn,
        received: Option<Timestamp>,
        otherwise: Timestamp,
    ) -> Letter {
        let text = message::normalise_line_endings(text);
        let (flags, text) = match flags {
            FlagsIn::Name(flags) => (flags, text.into_owned()),
            FlagsIn::Fields => Letter::without_status(&text),
        };
        let date = date(&text);
        Letter { received: received.or(date).unwrap_or(otherwise), date, flags, keywords: Vec::new(), text }
    }

    /// A letter of which this is the text, octet by octet.
    pub(crate) fn exactly(
        text: &[u8],
        flags: Flags,
        received: Option<Timestamp>,
        otherwise: Timestamp,
    ) -> Letter {
        let date = date(text);
        Letter {
            received: received.or(date).unwrap_or(otherwise),
            date,
            flags,
            keywords: Vec::new(),
            text: text.to_vec(),
        }
    }

    /// The flags in Status and X-Status, and the text without these fields.
    fn without_status(text: &[u8]) -> (Flags, Vec<u8>) {
        let mut kept = Vec::with_capacity(text.len());
        let (mut flags, mut in_header, mut dropping) = (Flags::default(), true, false);
        for line in text.split_inclusive(|octet| *octet == b'\n') {
            if in_header {
                in_header = line != b"\r\n";
                // A line that begins with a space belongs to the field before it.
                dropping = match line.first() {
                    Some(b' ' | b'\t') => dropping,
                    _ => match status_flags(line) {
                        Some(found) => {
                            flags = flags.with(found);
                            true
                        }
                        None => false,
                    },
                };
                if dropping {
                    continue;
                }
            }
            kept.extend_from_slice(line);
        }
        (flags, kept)
    }
}

/// What the Date field says.
fn date(text: &[u8]) -> Option<Timestamp> {
    let summary = message::Summary::of(&text[..text.len().min(SUMMARY_BYTES)]);
    summary.date.map(|date| Timestamp(date.millis))
}

/// The flags in a field Status or X-Status; `None` for any other line.
fn status_flags(line: &[u8]) -> Option<Flags> {
    let colon = line.iter().position(|octet| *octet == b':')?;
    let (name, value) = line.split_at(colon);
    let letters: &[u8] = match name {
        _ if name.eq_ignore_ascii_case(b"Status") => b"RONU",
        _ if name.eq_ignore_ascii_case(b"X-Status") => b"AFDT",
        _ => return None,
    };
    // A sender may have a field of this name that means something else.
    let value = value[1..].trim_ascii();
    if !value.iter().all(|letter| letters.contains(letter)) {
        return None;
    }
    let flag = |letter: &u8| match letter {
        b'R' => Flags::SEEN,
        b'A' => Flags::ANSWERED,
        b'F' => Flags::FLAGGED,
        b'D' => Flags::DELETED,
        b'T' => Flags::DRAFT,
        _ => Flags::default(),
    };
    Some(value.iter().map(flag).fold(Flags::default(), Flags::with))
}

/// The fields Status and X-Status for these flags, each ended by `end`; nothing without flags.
fn status_fields(flags: Flags, end: &str) -> String {
    let letters = |all: &[(Flags, char)]| -> String {
        all.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, letter)| *letter).collect()
    };
    let marks =
        letters(&[(Flags::ANSWERED, 'A'), (Flags::FLAGGED, 'F'), (Flags::DELETED, 'D'), (Flags::DRAFT, 'T')]);
    let mut fields = String::new();
    if flags.contains(Flags::SEEN) {
        fields.push_str("Status: RO");
        fields.push_str(end);
    }
    if !marks.is_empty() {
        fields.push_str("X-Status: ");
        fields.push_str(&marks);
        fields.push_str(end);
    }
    fields
}

/// When a file was last changed.
fn changed(path: &Path) -> io::Result<Timestamp> {
    let since = path.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

/// A new file that only its owner may read. What an export that was cut off has left under this name goes; no link is followed.
fn create(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a file whole or not at all: under another name first, synced, with the time of the message.
fn write_whole(from: &Path, to: &Path, text: &[u8], received: Timestamp) -> io::Result<()> {
    let mut file = create(from)?;
    file.write_all(text)?;
    file.set_modified(moment(received))?;
    file.sync_all()?;
    std::fs::rename(from, to)
}

fn moment(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(at.0.max(0).unsigned_abs())
}

/// Turns CRLF into LF.
fn with_line_feeds(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => {
                out.extend_from_slice(line);
                out.push(b'\n');
            }
            None => out.extend_from_slice(line),
        }
    }
    out
}

/// The files of a directory, by name; those that begin with a dot are left out.
fn files(directory: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !is_hidden && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_fields_become_flags_and_back() {
        let flags = Flags::SEEN.with(Flags::FLAGGED).with(Flags::DRAFT);
        let text = format!("{}Subject: a\n\nStatus: is text\n", status_fields(flags, "\n"));
        let letter = Letter::of(text.as_bytes(), FlagsIn::Fields, None, Timestamp(7));
        assert_eq!(letter.text, b"Subject: a\r\n\r\nStatus: is text\r\n");
        assert_eq!(letter.flags, flags);
        assert_eq!(letter.received, Timestamp(7));
        let folded = b"Subject: a\r\nstatus: R\r\n folded\r\nTo: b\r\n\r\n";
        assert_eq!(
            Letter::of(folded, FlagsIn::Fields, None, Timestamp(0)).text,
            b"Subject: a\r\nTo: b\r\n\r\n"
        );
        let named = Letter::of(folded, FlagsIn::Name(Flags::DRAFT), None, Timestamp(0));
        assert_eq!((named.flags, &named.text[..]), (Flags::DRAFT, &folded[..]), "its name has the flags");
    }

    #[test]
    fn a_letter_without_a_time_has_that_of_its_date_field() {
        let letter =
            Letter::of(b"Date: Thu, 1 Jan 1970 00:00:05 +0000\n\n", FlagsIn::Fields, None, Timestamp(7));
        assert_eq!(letter.received, Timestamp(5000));
    }
}
