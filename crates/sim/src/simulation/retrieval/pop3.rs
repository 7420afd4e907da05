//! A client of POP3 (RFC 1939): lists everything, reads, removes.

use super::{PASSWORD, Retrieval, Why};
use crate::simulation::ACCOUNTS;
use crate::simulation::talk::Talk;
use std::collections::BTreeSet;
use std::io;

impl Retrieval {
    pub(super) async fn pop3(&mut self, talk: &mut Talk) -> io::Result<()> {
        talk.line().await?;
        self.say(talk, &format!("USER {}", ACCOUNTS[self.account])).await?;
        let expected = self.shared.ledger().expected(self.account);
        self.say(talk, &format!("PASS {PASSWORD}")).await?;
        self.say(talk, "UIDL").await?;
        let listed = String::from_utf8_lossy(&lines(talk).await?).into_owned();
        let (mut uids, mut marked) = (BTreeSet::new(), Vec::new());
        let reads_all = self.random.one_in(3);
        for line in listed.lines() {
            let Some((number, unique)) = line.split_once(' ') else { continue };
            let Ok(unique) = u64::from_str_radix(unique.trim(), 16) else { continue };
            // The lower half is the UID.
            let uid = unique as u32;
            uids.insert(uid);
            if !reads_all && self.random.one_in(3) {
                continue;
            }
            self.say(talk, &format!("RETR {number}")).await?;
            self.shown(uid, &lines(talk).await?);
            self.count(|retrieved| retrieved.pop3.0 += 1);
            if self.random.one_in(2) {
                self.say(talk, &format!("DELE {number}")).await?;
                marked.push(uid);
            }
        }
        self.compare(&expected, &uids, reads_all);
        if self.random.one_in(3) {
            return Ok(());
        }
        self.expunging(&marked);
        self.say(talk, "QUIT").await?;
        self.are_expunged(&marked);
        self.count(|retrieved| retrieved.pop3.1 += marked.len() as u64);
        Ok(())
    }

    /// Says a command, which must be answered with +OK.
    async fn say(&self, talk: &mut Talk, command: &str) -> io::Result<()> {
        talk.say(format!("{command}\r\n").as_bytes()).await?;
        let line = String::from_utf8_lossy(&talk.line().await?).trim_end().to_owned();
        let why = if line.contains("removed by somebody else") { Why::Gone } else { Why::Other };
        if line.starts_with("+OK") { Ok(()) } else { Err(self.refused(command, &line, why)) }
    }
}

/// The lines of an answer, up to a dot alone (RFC 1939 §3).
async fn lines(talk: &mut Talk) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    loop {
        let line = talk.line().await?;
        match line.strip_prefix(b".") {
            Some(b"\r\n") => return Ok(text),
            Some(rest) => text.extend_from_slice(rest),
            None => text.extend_from_slice(&line),
        }
    }
}
