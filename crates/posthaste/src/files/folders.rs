//! Several mailboxes in one directory, each under a name from which its own can be told again.
//!
//! Maildirs are laid out as Maildir++ has it: INBOX is the directory itself, and `Lists/rust` is `.Lists.rust` in it. mboxes are
//! `NAME.mbox`, `.eml` files in a directory `NAME`.

use super::maildir;
use crate::files::Form;
use std::io;
use std::path::{Path, PathBuf};

/// Where a mailbox is below `root`.
pub(crate) fn place(form: Form, root: &Path, mailbox: &str) -> PathBuf {
    match form {
        Form::Mbox => root.join(format!("{}.mbox", escape(mailbox))),
        Form::Eml => root.join(escape(mailbox)),
        Form::Maildir if mailbox == store::INBOX => root.to_owned(),
        Form::Maildir => {
            let levels: Vec<String> =
                mailbox.split('/').map(|level| escape(level).replace('.', "%2E")).collect();
            root.join(format!(".{}", imap::utf7::encode(&levels.join("."))))
        }
    }
}

/// The mailboxes below `root`, by name, and where each is.
pub(crate) fn mailboxes(form: Form, root: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    match form {
        Form::Maildir => {
            if maildir::is_one(root) {
                found.push((store::INBOX.to_owned(), root.to_owned()));
            }
            maildirs(root, "", &mut found)?;
        }
        Form::Mbox => {
            for path in super::files(root)? {
                let name = text(&path)?;
                found.push((unescape(name.strip_suffix(".mbox").unwrap_or(name)), path));
            }
        }
        Form::Eml => {
            for path in directories(root)? {
                found.push((unescape(text(&path)?), path));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Finds the Maildirs in a directory: those of Maildir++, and directories in directories, as other programs keep them.
fn maildirs(directory: &Path, above: &str, found: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for path in directories(directory)? {
        let name = text(&path)?;
        if ["cur", "new", "tmp"].contains(&name) {
            continue;
        }
        let name = match name.strip_prefix('.') {
            Some(levels) => {
                // Some programs write the names as they are.
                let levels = imap::utf7::decode(levels).unwrap_or_else(|| levels.to_owned());
                levels.split('.').map(unescape).collect::<Vec<_>>().join("/")
            }
            None => name.to_owned(),
        };
        let name = if above.is_empty() { name } else { format!("{above}/{name}") };
        // Nobody has names of more levels than fit into one.
        if name.len() <= NAME_MAX {
            maildirs(&path, &name, found)?;
            if maildir::is_one(&path) {
                found.push((name, path));
            }
        }
    }
    Ok(())
}

/// The directories in a directory. Links are not followed: one could lead back.
fn directories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            all.push(entry.path());
        }
    }
    Ok(all)
}

fn text(path: &Path) -> io::Result<&str> {
    path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("the name of {} is not UTF-8", path.display()))
    })
}

/// A name that is one file's, is not hidden, and leads nowhere else: `%` and two hexadecimal digits for what is not allowed.
fn escape(name: &str) -> String {
    let mut escaped = String::new();
    for (place, c) in name.char_indices() {
        match c {
            '%' | '/' => escaped.push_str(&format!("%{:02X}", u32::from(c))),
            '.' if place == 0 => escaped.push_str("%2E"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// What [`escape`] made of a name; a `%` that cannot be of it stays.
fn unescape(name: &str) -> String {
    let mut parts = name.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(code) if code.is_ascii() => {
                plain.push(char::from(code));
                plain.push_str(&part[2..]);
            }
            _ => {
                plain.push('%');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// The longest name of a mailbox, in bytes.
const NAME_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_files_and_names_again() {
        let root = Path::new("root");
        for (mailbox, mbox, maildir) in [
            ("INBOX", "root/INBOX.mbox", "root"),
            ("Sent", "root/Sent.mbox", "root/.Sent"),
            ("Lists/rust", "root/Lists%2Frust.mbox", "root/.Lists.rust"),
            ("Grüße", "root/Grüße.mbox", "root/.Gr&APwA3w-e"),
            ("v1.2/100%", "root/v1.2%2F100%25.mbox", "root/.v1%2E2.100%25"),
            ("../x", "root/%2E.%2Fx.mbox", "root/.%2E%2E.x"),
        ] {
            assert_eq!(place(Form::Mbox, root, mailbox), Path::new(mbox));
            assert_eq!(place(Form::Maildir, root, mailbox), Path::new(maildir));
        }
        let directory = tempfile::tempdir().expect("a directory");
        let names = ["../x", "Grüße", "INBOX", "Lists/rust", "v1.2/100%"];
        for form in [Form::Maildir, Form::Eml] {
            let root = directory.path().join(format!("{form:?}"));
            for name in names {
                let place = place(form, &root, name);
                std::fs::create_dir_all(place.join("cur")).expect("a directory");
                std::fs::create_dir_all(place.join("new")).expect("a directory");
            }
            let found: Vec<String> =
                mailboxes(form, &root).expect("a directory").into_iter().map(|(name, _)| name).collect();
            assert_eq!(found, names, "{form:?}");
        }
    }

    #[test]
    fn directories_in_directories_are_levels_too() {
        let root = tempfile::tempdir().expect("a directory");
        for place in [
            "INBOX/cur",
            "INBOX/new",
            "Archive/2024/cur",
            "Archive/2024/new",
            ".Sent/cur",
            ".Sent/new",
            "other",
        ] {
            std::fs::create_dir_all(root.path().join(place)).expect("a directory");
        }
        let found = mailboxes(Form::Maildir, root.path()).expect("a directory");
        let names: Vec<&str> = found.iter().map(|(name, _)| &name[..]).collect();
        assert_eq!(names, ["Archive/2024", "INBOX", "Sent"]);
    }
}
