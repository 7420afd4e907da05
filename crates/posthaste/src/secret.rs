//! Passwords from people: typed on the terminal without being shown, or one line of standard input. Never an argument: those are for
//! everybody to see.

use crate::exit::Complaint;
use anyhow::{Context, bail};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use store::Secret;

/// `--password-stdin`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct StdinArgs {
    /// Read the password from standard input, up to the end of the line
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

impl StdinArgs {
    /// A password that there is already: from standard input, or typed once.
    pub(crate) fn password(self, account: &str) -> anyhow::Result<Secret> {
        if self.password_stdin {
            return line(&mut io::stdin().lock());
        }
        typed(&format!("Password for {account}: "))
    }

    /// A new password: from standard input, or typed twice.
    pub(crate) fn new_password(self, account: &str) -> anyhow::Result<Secret> {
        if self.password_stdin {
            return line(&mut io::stdin().lock());
        }
        let once = typed(&format!("Password for {account}: "))?;
        if once != typed("The same again: ")? {
            return Err(Complaint::usage("the two are not the same; nothing was changed").into());
        }
        Ok(once)
    }
}

/// One line, without its end.
fn line(from: &mut impl BufRead) -> anyhow::Result<Secret> {
    let mut text = String::new();
    from.take(LINE_MAX).read_line(&mut text).context("cannot read the password from standard input")?;
    let password = Secret::new(text.trim_end_matches(['\r', '\n']));
    drop(Secret::new(text));
    if password.reveal().is_empty() {
        return Err(Complaint::usage("there is no password on standard input").into());
    }
    Ok(password)
}

/// A password typed on the terminal, which does not show it.
fn typed(prompt: &str) -> anyhow::Result<Secret> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty").map_err(|_| {
        Complaint::usage("there is no terminal to type the password on; give it with --password-stdin")
    })?;
    let quiet = Quiet::new(terminal.try_clone()?)?;
    write!(terminal, "{prompt}")?;
    #[expect(
        clippy::unbuffered_bytes,
        reason = "a line has few keys, and a buffer would take those of the next one"
    )]
    let entered = keys((&mut terminal).bytes());
    // The line break that was typed was not shown either.
    writeln!(terminal)?;
    drop(quiet);
    match entered? {
        Some(password) => Ok(password),
        None => bail!("given up; nothing was changed"),
    }
}

/// What keys make: `None` when it was given up with Ctrl-C, or Ctrl-D on an empty line.
fn keys(keys: impl Iterator<Item = io::Result<u8>>) -> anyhow::Result<Option<Secret>> {
    let mut typed: Vec<u8> = Vec::with_capacity(LINE_MAX as usize);
    for key in keys {
        match key? {
            b'\r' | b'\n' => break,
            CTRL_C => return Ok(None),
            CTRL_D if typed.is_empty() => return Ok(None),
            CTRL_D => break,
            CTRL_U => typed.clear(),
            BACKSPACE | DELETE => {
                // A character of several bytes goes as one.
                while typed.pop().is_some_and(|byte| byte & 0xC0 == 0x80) {}
            }
            byte if typed.len() < LINE_MAX as usize => typed.push(byte),
            _ => bail!("that is too long for a password"),
        }
    }
    let text = String::from_utf8(typed).context("what was typed is not UTF-8")?;
    Ok(Some(Secret::new(text)))
}

/// A terminal that shows nothing and hands over every key; as before when this is dropped.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    fn new(terminal: File) -> io::Result<Quiet> {
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        // Ctrl-C must come here as a key: as a signal it would leave the terminal quiet.
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&terminal, OptionalActions::Flush, &quiet)?;
        Ok(Quiet { terminal, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before) {
            anstream::eprintln!(
                "posthaste: the terminal stays without echo ({error}); `stty sane` mends that"
            );
        }
    }
}

const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const DELETE: u8 = 0x7F;

/// No line with a password is longer.
const LINE_MAX: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(bytes: &[u8]) -> Option<String> {
        let keys = keys(bytes.iter().map(|byte| Ok(*byte))).expect("UTF-8");
        keys.map(|password| password.reveal().to_owned())
    }

    #[test]
    fn keys_make_a_password() {
        for (bytes, password) in [
            (&b"secret\rmore"[..], Some("secret")),
            (b"secrets\x7f\n", Some("secret")),
            ("grü\x08u\n".as_bytes(), Some("gru")),
            (b"\x7fwrong\x15right\n", Some("right")),
            (b"secret\x04", Some("secret")),
            (b"secret\x03", None),
            (b"\x04", None),
        ] {
            assert_eq!(entered(bytes).as_deref(), password, "{bytes:?}");
        }
    }

    #[test]
    fn one_line_is_the_password() {
        let read = |mut text: &[u8]| line(&mut text).map(|password| password.reveal().to_owned());
        assert_eq!(read(b" two words \r\nrest").expect("a password"), " two words ");
        assert_eq!(read(b"secret").expect("a password"), "secret");
        assert!(read(b"\nsecret").is_err());
    }
}
