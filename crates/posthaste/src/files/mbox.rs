//! mbox: all messages in one file, each begun by a line `From SENDER DATE`, in the dialect mboxrd: a line of the text that begins with
//! `From `, after any number of `>`, gets one more `>`, so that nothing is lost.

use super::{FlagsIn, Label, Letter, create, status_fields};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use store::Timestamp;

/// An mbox being written. It appears under its name when it is whole.
pub(crate) struct Writer {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
}

impl Writer {
    /// Begins a file that is not there yet.
    pub(crate) fn create(path: &Path) -> io::Result<Writer> {
        if path.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".posthaste-part");
        let part = PathBuf::from(name);
        Ok(Writer { path: path.to_owned(), file: BufWriter::new(create(&part)?), part })
    }

    /// Adds a message.
    pub(crate) fn add(&mut self, label: &Label, text: &[u8]) -> io::Result<()> {
        let sender = if label.sender.is_empty() { "MAILER-DAEMON" } else { &label.sender };
        let sender: String = sender.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
        write!(self.file, "From {sender} {}\n{}", asctime(label.received), status_fields(label.flags, "\n"))?;
        for line in text.split_inclusive(|octet| *octet == b'\n') {
            if is_quotable(line) {
                self.file.write_all(b">")?;
            }
            match line.strip_suffix(b"\r\n") {
                Some(line) => {
                    self.file.write_all(line)?;
                    self.file.write_all(b"\n")?;
                }
                None => self.file.write_all(line)?,
            }
        }
        let end: &[u8] = if text.ends_with(b"\n") || text.is_empty() { b"\n" } else { b"\n\n" };
        self.file.write_all(end)
    }

    /// Ends it: from here on it is there, on the disk.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.file.into_inner()?.sync_all()?;
        std::fs::rename(&self.part, &self.path)?;
        // The name is on the disk when its directory is.
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// An mbox being read.
pub(crate) struct Reader {
    file: BufReader<File>,
    /// The separator of the message to come.
    separator: Option<Vec<u8>>,
    changed: Timestamp,
    max: u64,
}

impl Reader {
    /// Begins a file; a message over `max` octets is an error.
    pub(crate) fn open(path: &Path, max: u64) -> io::Result<Reader> {
        let mut file = BufReader::new(File::open(path)?);
        let mut first = Vec::new();
        // Empty lines at the front are nobody's.
        while first.iter().all(u8::is_ascii_whitespace) {
            first.clear();
            if file.by_ref().take(max).read_until(b'\n', &mut first)? == 0 {
                return Ok(Reader { file, separator: None, changed: super::changed(path)?, max });
            }
        }
        if !first.starts_with(b"From ") {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it does not begin with a line `From SENDER DATE`, so it is no mbox",
            ));
        }
        Ok(Reader { file, separator: Some(first), changed: super::changed(path)?, max })
    }

    /// The next message and how many octets of the file it took; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<(Letter, u64)>> {
        let Some(separator) = self.separator.take() else { return Ok(None) };
        let (mut text, mut read) = (Vec::new(), separator.len() as u64);
        let mut line = Vec::new();
        loop {
            line.clear();
            read += self.file.by_ref().take(self.max).read_until(b'\n', &mut line)? as u64;
            let after_empty = matches!(text[..], [] | [b'\n'] | [b'\r', b'\n'])
                || text.ends_with(b"\n\n")
                || text.ends_with(b"\n\r\n");
            if line.is_empty() || (after_empty && line.starts_with(b"From ")) {
                break;
            }
            let quoted = line[0] == b'>' && is_quotable(&line);
            text.extend_from_slice(if quoted { &line[1..] } else { &line });
            if text.len() as u64 >= self.max {
                let what = format!("a message is longer than {} bytes", self.max);
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
        }
        if !line.is_empty() {
            read -= line.len() as u64;
            self.separator = Some(line);
        }
        // The empty line before the next separator is not of the text.
        let end = text.strip_suffix(b"\n").unwrap_or(&text);
        let end = if end.ends_with(b"\n\r") { &end[..end.len() - 1] } else { end };
        let text = if end.is_empty() || end.ends_with(b"\n") { end } else { &text[..] };
        Ok(Some((Letter::of(text, FlagsIn::Fields, date(&separator), self.changed), read)))
    }
}

/// Whether a line is `From `, or that after any number of `>`.
fn is_quotable(line: &[u8]) -> bool {
    let quotes = line.iter().take_while(|octet| **octet == b'>').count();
    line[quotes..].starts_with(b"From ")
}

/// `Thu Jan  1 00:00:05 1970`, in UTC.
fn asctime(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.to_zoned(TimeZone::UTC).strftime("%a %b %e %H:%M:%S %Y").to_string()
}

/// The moment in a separator, taken for UTC.
fn date(separator: &[u8]) -> Option<Timestamp> {
    let line = std::str::from_utf8(separator).ok()?;
    let mut words = line.split_ascii_whitespace().rev();
    let (year, time, day, month) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let date = DateTime::strptime("%b %d %H:%M:%S %Y", format!("{month} {day} {time} {year}")).ok()?;
    let at = date.to_zoned(TimeZone::UTC).ok()?;
    Some(Timestamp(at.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Flags;

    fn label(flags: Flags) -> Label {
        let sender = "a@b.example".to_owned();
        Label {
            account: "a@b.example".to_owned(),
            id: "ID".to_owned(),
            uid: 1,
            received: Timestamp(5000),
            flags,
            sender,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("mbox");
        let texts: [&[u8]; 6] = [
            b"Subject: a\r\n\r\nFrom here\r\n>From there\r\n>>From\r\n\r\nFrom an empty line\r\n",
            b"Subject: no end",
            b"",
            b"Subject: empty lines\r\n\r\n\r\n\r\n",
            b"\r\n",
            b"Subject: b\r\n\r\n\xff\r\n",
        ];
        let mut writer = Writer::create(&path).expect("a file");
        for text in texts {
            writer.add(&label(Flags::SEEN.with(Flags::FLAGGED)), text).expect("room");
        }
        assert!(!path.exists(), "it appears when it is whole");
        writer.finish().expect("it can be written");
        assert!(Writer::create(&path).is_err(), "nothing is written over");
        let mut reader = Reader::open(&path, 1 << 20).expect("an mbox");
        let mut octets = 0;
        for text in texts {
            let (letter, read) = reader.next().expect("it can be read").expect("a message");
            let mut whole = text.to_vec();
            if !whole.is_empty() && !whole.ends_with(b"\n") {
                whole.extend_from_slice(b"\r\n");
            }
            assert_eq!(letter.text, whole, "{:?}", String::from_utf8_lossy(text));
            assert_eq!((letter.flags, letter.received), (Flags::SEEN.with(Flags::FLAGGED), Timestamp(5000)));
            octets += read;
        }
        assert!(reader.next().expect("the end").is_none());
        assert_eq!(octets, std::fs::metadata(&path).expect("a file").len());
    }

    #[test]
    fn what_is_no_mbox_says_so() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("mbox");
        std::fs::write(&path, "Subject: a\n\nb\n").expect("a file");
        assert!(Reader::open(&path, 100).is_err_and(|error| error.to_string().contains("no mbox")));
        std::fs::write(&path, "\n\n").expect("a file");
        assert!(Reader::open(&path, 100).expect("an empty one").next().expect("the end").is_none());
        std::fs::write(&path, format!("From a\n\n{}\n", "x".repeat(200))).expect("a file");
        assert!(Reader::open(&path, 100).expect("one").next().is_err(), "too long");
    }
}
