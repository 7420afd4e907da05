//! A client of IMAP (RFC 9051): reads, looks at everything, searches, flags, moves, removes, appends.

use super::{Retrieval, Why};
use crate::ledger::MOVED;
use crate::mail::Mail;
use crate::simulation::ACCOUNTS;
use crate::simulation::talk::Talk;
use std::collections::BTreeSet;
use std::io;

/// A message as it was shown.
struct Shown {
    uid: u32,
    text: Vec<u8>,
}

impl Retrieval {
    pub(super) async fn imap(&mut self, talk: &mut Talk) -> io::Result<()> {
        talk.line().await?;
        self.ask(talk, &format!("LOGIN {} \"{}\"", ACCOUNTS[self.account], super::PASSWORD)).await?;
        let highest = self.shared.ledger().highest(self.account);
        let selected = self.ask(talk, "SELECT INBOX").await?;
        let exists = selected.iter().find_map(|response| response.text.strip_suffix(" EXISTS"));
        let exists: u64 = exists.and_then(|text| text.strip_prefix("* ")?.parse().ok()).unwrap_or(0);
        let code = |name: &str| {
            let code = selected.iter().find_map(|response| response.text.split_once(&format!("[{name} ")));
            code.and_then(|(_, rest)| rest.split_once(']')?.0.parse::<u32>().ok())
        };
        let told = match (code("UIDVALIDITY"), code("UIDNEXT")) {
            (Some(_), Some(next)) if next <= highest => {
                Err(format!("UIDNEXT is told as {next}, and {highest} was there before"))
            }
            (Some(validity), Some(_)) => self.shared.ledger().told(self.account, validity),
            _ => Err("UIDVALIDITY or UIDNEXT is not told".to_owned()),
        };
        if let Err(what) = told {
            self.violated(&what);
        }
        let mut read = Vec::new();
        if exists > 0 {
            let first = 1 + self.random.below(exists);
            let last = exists.min(first + self.random.below(8));
            read = self.fetch(talk, &format!("FETCH {first}:{last}")).await?;
        }
        for _ in 0..self.random.below(6) {
            match self.random.below(9) {
                0..3 => self.expunge(talk, std::mem::take(&mut read)).await?,
                3 => self.move_away(talk, std::mem::take(&mut read)).await?,
                4 => self.flag(talk, &read).await?,
                5 => self.search(talk, &read).await?,
                6 => self.append(talk).await?,
                _ => read = self.see_all(talk).await?,
            }
        }
        if self.random.one_in(3) {
            return Ok(());
        }
        self.ask(talk, "LOGOUT").await.map(drop)
    }

    /// Reads messages, as they are named in the first words of a command.
    async fn fetch(&self, talk: &mut Talk, which: &str) -> io::Result<Vec<Shown>> {
        let mut all = Vec::new();
        let flagged = self.shared.ledger().flagged(self.account);
        for response in self.ask(talk, &format!("{which} (UID FLAGS BODY.PEEK[])")).await? {
            let Some((_, rest)) = response.text.split_once("UID ") else { continue };
            let uid = rest.split([' ', ')']).next().and_then(|uid| uid.parse().ok());
            let (Some(uid), Some(text)) = (uid, response.literal) else { continue };
            self.shown(uid, &text);
            if flagged.contains(&uid) && !response.text.contains("\\Flagged") {
                self.violated(&format!("UID {uid} was flagged, and is shown without that"));
            }
            all.push(Shown { uid, text });
        }
        self.count(|retrieved| retrieved.imap.0 += all.len() as u64);
        Ok(all)
    }

    /// Reads all that there is; whatever was acknowledged before must be among it.
    async fn see_all(&self, talk: &mut Talk) -> io::Result<Vec<Shown>> {
        let expected = self.shared.ledger().expected(self.account);
        // What became of the mailbox meanwhile is told now at the latest.
        self.ask(talk, "NOOP").await?;
        let all = self.fetch(talk, "UID FETCH 1:*").await?;
        self.compare(&expected, &all.iter().map(|shown| shown.uid).collect(), true);
        Ok(all)
    }

    /// Looks for some words of one of these; it must be found, and no other.
    async fn search(&mut self, talk: &mut Talk, read: &[Shown]) -> io::Result<()> {
        if read.is_empty() {
            return Ok(());
        }
        let Shown { uid, text } = &read[self.random.below(read.len() as u64) as usize];
        let words: Vec<&[u8]> =
            text.split(|byte| !byte.is_ascii_hexdigit()).filter(|word| word.len() >= 16).collect();
        let word = self.random.pick(&words);
        // All of the message's number, if it is that: those of one client begin alike.
        let from = self.random.below(word.len() as u64 - 15) as usize;
        let word = String::from_utf8_lossy(&word[from..from + 16]).into_owned();
        let responses = self.ask(talk, &format!("UID SEARCH TEXT {word}")).await?;
        let found = responses.iter().find_map(|response| response.text.strip_prefix("* SEARCH"));
        let found: BTreeSet<u32> =
            found.unwrap_or_default().split(' ').filter_map(|uid| uid.parse().ok()).collect();
        let is_right =
            found.len() == 1 && found.contains(uid) || self.shared.ledger().may_be_gone(self.account, *uid);
        if !is_right {
            self.violated(&format!("{word}, of UID {uid}, is found in {found:?}"));
        }
        self.count(|retrieved| retrieved.searched += 1);
        Ok(())
    }

    async fn flag(&self, talk: &mut Talk, read: &[Shown]) -> io::Result<()> {
        if read.is_empty() {
            return Ok(());
        }
        self.ask(talk, &format!("UID STORE {} +FLAGS (\\Flagged)", set(read))).await?;
        read.iter().for_each(|shown| self.shared.ledger().is_flagged(self.account, shown.uid));
        self.count(|retrieved| retrieved.flagged += read.len() as u64);
        Ok(())
    }

    async fn expunge(&self, talk: &mut Talk, read: Vec<Shown>) -> io::Result<()> {
        if read.is_empty() {
            return Ok(());
        }
        let (set, uids) = (set(&read), uids(&read));
        self.expunging(&uids);
        self.ask(talk, &format!("UID STORE {set} +FLAGS (\\Seen \\Deleted)")).await?;
        self.ask(talk, &format!("UID EXPUNGE {set}")).await?;
        self.are_expunged(&uids);
        self.count(|retrieved| retrieved.imap.1 += uids.len() as u64);
        Ok(())
    }

    /// Moves messages (RFC 6851) to a mailbox that nobody takes anything from.
    async fn move_away(&self, talk: &mut Talk, read: Vec<Shown>) -> io::Result<()> {
        if read.is_empty() {
            return Ok(());
        }
        let uids = uids(&read);
        uids.iter().for_each(|uid| self.shared.ledger().moving(self.account, *uid));
        let command = format!("UID MOVE {} {MOVED}", set(&read));
        let (_, status) = self.exchange(talk, &command).await?;
        if status.starts_with("NO [TRYCREATE]") {
            let create = format!("CREATE {MOVED}");
            // Another one may have made it just now.
            let (_, status) = self.exchange(talk, &create).await?;
            if !status.starts_with("NO [ALREADYEXISTS]") {
                self.accepted(&create, &status)?;
            }
            self.ask(talk, &command).await?;
        } else {
            self.accepted(&command, &status)?;
        }
        self.are_expunged(&uids);
        self.count(|retrieved| retrieved.moved += uids.len() as u64);
        Ok(())
    }

    /// Puts a message into INBOX, or breaks off in the middle of it.
    async fn append(&mut self, talk: &mut Talk) -> io::Result<()> {
        let mail = Mail { token: self.random.next(), size: (90 + self.random.below(12_000)) as u32 };
        let text = [b"Return-Path: <>\r\n".as_slice(), &mail.content()].concat();
        let command = format!("APPEND INBOX {{{}}}", text.len());
        talk.say(format!("t {command}\r\n").as_bytes()).await?;
        loop {
            let response = Response::read(talk).await?;
            if response.text.starts_with("+ ") {
                break;
            }
            if let Some(status) = response.text.strip_prefix("t ") {
                return Err(self.refused(&command, status, Why::Other));
            }
        }
        if self.random.one_in(6) {
            self.shared.ledger().never_finished(mail.token);
            talk.say(&text[..self.random.below(text.len() as u64) as usize]).await?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        talk.say(&[&text, b"\r\n".as_slice()].concat()).await?;
        let (_, status) = self.answer(talk, &command).await?;
        self.accepted(&command, &status)?;
        self.shared.ledger().acknowledge(mail.token, &[self.account]);
        let code = status.split_once("[APPENDUID ").and_then(|(_, rest)| rest.split_once(']'));
        match code.and_then(|(code, _)| code.split_once(' ')?.1.parse().ok()) {
            Some(uid) => self.shown(uid, &text),
            None => self.violated(&format!("no UID is told with {status:?}")),
        }
        self.count(|retrieved| retrieved.appended += 1);
        Ok(())
    }

    /// Says a command, and returns what comes before it is completed.
    async fn ask(&self, talk: &mut Talk, command: &str) -> io::Result<Vec<Response>> {
        let (responses, status) = self.exchange(talk, command).await?;
        self.accepted(command, &status).map(|()| responses)
    }

    /// The same, also when it is refused; with how it is completed.
    async fn exchange(&self, talk: &mut Talk, command: &str) -> io::Result<(Vec<Response>, String)> {
        talk.say(format!("t {command}\r\n").as_bytes()).await?;
        self.answer(talk, command).await
    }

    async fn answer(&self, talk: &mut Talk, command: &str) -> io::Result<(Vec<Response>, String)> {
        let mut responses = Vec::new();
        loop {
            let response = Response::read(talk).await?;
            match response.text.strip_prefix("t ") {
                Some(status) => return Ok((responses, status.to_owned())),
                None if response.text.starts_with("* BYE") && command != "LOGOUT" => {
                    return Err(self.refused(command, &response.text, Why::Other));
                }
                None => responses.push(response),
            }
        }
    }

    fn accepted(&self, command: &str, status: &str) -> io::Result<()> {
        let why = if status.starts_with("NO [EXPUNGEISSUED]") { Why::Gone } else { Why::Other };
        if status.starts_with("OK") { Ok(()) } else { Err(self.refused(command, status, why)) }
    }
}

fn uids(read: &[Shown]) -> Vec<u32> {
    read.iter().map(|shown| shown.uid).collect()
}

/// A sequence-set (RFC 9051 §9).
fn set(read: &[Shown]) -> String {
    read.iter().map(|shown| shown.uid.to_string()).collect::<Vec<_>>().join(",")
}

/// A response of IMAP.
struct Response {
    /// Without what is in a literal.
    text: String,
    /// The last literal (RFC 9051 §4.3).
    literal: Option<Vec<u8>>,
}

impl Response {
    async fn read(talk: &mut Talk) -> io::Result<Response> {
        let mut response = Response { text: String::new(), literal: None };
        loop {
            let line = String::from_utf8_lossy(&talk.line().await?).trim_end().to_owned();
            response.text += &line;
            let length = line.strip_suffix('}').and_then(|line| line.rsplit_once('{')?.1.parse().ok());
            let Some(length) = length else { return Ok(response) };
            response.literal = Some(talk.octets(length).await?);
        }
    }
}
