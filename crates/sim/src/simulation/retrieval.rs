//! Who fetches mail over the network: by IMAP and by POP3, through the server's own sessions, in seeds whose accounts have passwords.
//!
//! Raw clients: they log in, read some messages, mark some of them as deleted and remove these, or break off anywhere. What they are shown goes into the ledger like
//! everything else that is read. A refusal has to have a reason: a server whose disk is well says no to nothing.

use super::life::Listener;
use super::talk::Talk;
use super::{ACCOUNTS, Shared, World};
use crate::random::Random;
use server::auth::{self, Authenticator, Costs, password, pool::Pool};
use server::settings::{InClear, Service, Settings};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{AccountName, Directory, SharedStore};
use store_local::Local;
use tokio::time::Instant;

/// What was fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retrieved {
    /// Messages read by IMAP, and removed.
    pub imap: (u64, u64),
    /// Messages read by POP3, and removed.
    pub pop3: (u64, u64),
}

/// One client.
pub(super) struct Retrieval {
    listener: Listener,
    random: Random,
    shared: Shared,
    account: usize,
}

const PASSWORD: &str = "open sesame";

/// Next to nothing: nobody here guesses.
const COST: password::Cost = password::Cost { memory: 8, passes: 1 };

/// Lets clients on this machine log in with a password, without TLS.
pub(super) fn set_up(settings: &mut Settings) {
    settings.auth.in_clear = InClear::Loopback;
    settings.auth.mechanisms.retain(|mechanism| mechanism.as_str() == "PLAIN");
}

/// Gives an account its password, unless it has it.
pub(super) async fn give_password(store: &Local, account: &AccountName) -> store::Result<()> {
    if store.credentials(account).await?.password.is_some() {
        return Ok(());
    }
    let hash = password::hash(PASSWORD, &[7; password::SALT], COST);
    store.set_password(account, store::Secret::new(hash.expose()), None).await
}

impl World {
    /// Who checks passwords.
    pub(super) fn authenticator(&self, store: SharedStore) -> Arc<Authenticator> {
        let random = Mutex::new(self.random.part(8));
        let authenticator = Authenticator::open(auth::Options {
            settings: &self.settings.auth,
            store,
            key: [7; 32],
            domain: self.settings.host_name.clone(),
            costs: Costs { argon2: COST, ..Costs::default() },
            random: Arc::new(move |bytes: &mut [u8]| {
                let mut random = random.lock().unwrap_or_else(PoisonError::into_inner);
                bytes.iter_mut().for_each(|byte| *byte = random.next() as u8);
            }),
            pool: Pool::of_callers(),
            now: Instant::now().into_std(),
        });
        Arc::new(authenticator.expect("without tokens there is nothing to read"))
    }
}

/// Connects some times.
pub(super) async fn run(mut retrieval: Retrieval) {
    for _ in 0..1 + retrieval.random.below(4) {
        let pause = retrieval.random.pick(&[20, 700, 5_000]);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        retrieval.account = retrieval.random.below(ACCOUNTS.len() as u64) as usize;
        let service = retrieval.random.pick(&[Service::Imap, Service::Imap, Service::Pop3]);
        let Some(end) = retrieval.listener.connect(service, &mut retrieval.random) else { break };
        let mut talk = Talk::new(end);
        let result = match service {
            Service::Pop3 => retrieval.pop3(&mut talk).await,
            _ => retrieval.imap(&mut talk).await,
        };
        let what = if result.is_ok() { "reader is done" } else { "reader is cut off" };
        retrieval.shared.history.event(0, what, b"");
    }
}

impl Retrieval {
    pub(super) fn new(listener: Listener, random: Random, shared: Shared) -> Retrieval {
        Retrieval { listener, random, shared, account: 0 }
    }

    /// Takes note of a message that was shown.
    fn shown(&self, uid: u32, text: &[u8]) {
        if let Err(what) = self.shared.ledger().place(self.account, uid, text) {
            self.shared.violated(format!("{}: UID {uid} is shown: {what}", ACCOUNTS[self.account]));
        }
    }

    fn count(&self, count: impl FnOnce(&mut Retrieved)) {
        count(&mut self.shared.retrieved.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn expunging(&self, uids: &[u32]) {
        uids.iter().for_each(|uid| self.shared.ledger().expunging(self.account, *uid));
    }

    fn are_expunged(&self, uids: &[u32]) {
        uids.iter().for_each(|uid| self.shared.ledger().is_expunged(self.account, *uid));
    }

    /// An answer that is not the one that was wanted. It ends the connection.
    fn refused(&self, command: &str, answer: &str, why: Why) -> io::Error {
        let command = command.split(' ').next().unwrap_or_default();
        self.shared.history.event(0, &format!("{command}: {answer}"), b"");
        // Another session is the only other reason that there is.
        let is_in_use = answer.starts_with("-ERR [IN-USE]");
        // The server stops, or the network was still for longer than it waits.
        let is_ending = !self.listener.is_up() || answer.starts_with("* BYE");
        let may_be_gone = why == Why::Gone && self.shared.ledger().some_may_be_gone(self.account);
        if !(is_in_use || is_ending || may_be_gone || self.shared.is_troubled()) {
            let account = ACCOUNTS[self.account];
            self.shared.violated(format!("{account}: {command} is answered with {answer:?}"));
        }
        io::Error::other(answer.to_owned())
    }

    async fn imap(&mut self, talk: &mut Talk) -> io::Result<()> {
        talk.line().await?;
        self.ask(talk, &format!("LOGIN {} \"{PASSWORD}\"", ACCOUNTS[self.account])).await?;
        let selected = self.ask(talk, "SELECT INBOX").await?;
        let exists = selected.iter().find_map(|response| response.text.strip_suffix(" EXISTS"));
        let exists: u64 = exists.and_then(|text| text.strip_prefix("* ")?.parse().ok()).unwrap_or(0);
        if exists > 0 {
            let first = 1 + self.random.below(exists);
            let last = exists.min(first + self.random.below(8));
            let fetched = self.ask(talk, &format!("FETCH {first}:{last} (UID FLAGS BODY.PEEK[])")).await?;
            let mut uids = Vec::new();
            for response in &fetched {
                let Some((_, rest)) = response.text.split_once("UID ") else { continue };
                let uid = rest.split([' ', ')']).next().and_then(|uid| uid.parse().ok());
                let (Some(uid), Some(text)) = (uid, response.literal.as_ref()) else { continue };
                self.shown(uid, text);
                uids.push(uid);
            }
            self.count(|retrieved| retrieved.imap.0 += uids.len() as u64);
            if !uids.is_empty() && self.random.one_in(2) {
                self.expunge(talk, &uids).await?;
            }
        }
        if self.random.one_in(3) {
            return Ok(());
        }
        self.ask(talk, "LOGOUT").await.map(drop)
    }

    async fn expunge(&mut self, talk: &mut Talk, uids: &[u32]) -> io::Result<()> {
        let set = uids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        self.expunging(uids);
        self.ask(talk, &format!("UID STORE {set} +FLAGS (\\Seen \\Deleted)")).await?;
        self.ask(talk, &format!("UID EXPUNGE {set}")).await?;
        self.are_expunged(uids);
        self.count(|retrieved| retrieved.imap.1 += uids.len() as u64);
        Ok(())
    }

    /// Says a command of IMAP, and returns what comes before it is completed.
    async fn ask(&self, talk: &mut Talk, command: &str) -> io::Result<Vec<Response>> {
        talk.say(format!("t {command}\r\n").as_bytes()).await?;
        let mut responses = Vec::new();
        loop {
            let response = Response::read(talk).await?;
            match response.text.strip_prefix("t ") {
                Some(status) if status.starts_with("OK") => return Ok(responses),
                Some(status) => {
                    let is_gone = status.starts_with("NO [EXPUNGEISSUED]");
                    return Err(self.refused(command, status, if is_gone { Why::Gone } else { Why::Other }));
                }
                None if response.text.starts_with("* BYE") && command != "LOGOUT" => {
                    return Err(self.refused(command, &response.text, Why::Other));
                }
                None => responses.push(response),
            }
        }
    }

    async fn pop3(&mut self, talk: &mut Talk) -> io::Result<()> {
        talk.line().await?;
        self.say(talk, &format!("USER {}", ACCOUNTS[self.account])).await?;
        self.say(talk, &format!("PASS {PASSWORD}")).await?;
        self.say(talk, "UIDL").await?;
        let listed = String::from_utf8_lossy(&lines(talk).await?).into_owned();
        let mut marked = Vec::new();
        for line in listed.lines() {
            let Some((number, unique)) = line.split_once(' ') else { continue };
            let Ok(unique) = u64::from_str_radix(unique.trim(), 16) else { continue };
            // The lower half is the UID.
            let uid = unique as u32;
            if self.random.one_in(3) {
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
        if self.random.one_in(3) {
            return Ok(());
        }
        self.expunging(&marked);
        self.say(talk, "QUIT").await?;
        self.are_expunged(&marked);
        self.count(|retrieved| retrieved.pop3.1 += marked.len() as u64);
        Ok(())
    }

    /// Says a command of POP3, which must be answered with +OK.
    async fn say(&self, talk: &mut Talk, command: &str) -> io::Result<()> {
        talk.say(format!("{command}\r\n").as_bytes()).await?;
        let line = String::from_utf8_lossy(&talk.line().await?).trim_end().to_owned();
        let why = if line.contains("removed by somebody else") { Why::Gone } else { Why::Other };
        if line.starts_with("+OK") { Ok(()) } else { Err(self.refused(command, &line, why)) }
    }
}

/// What a refusal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The message is not there any more.
    Gone,
    Other,
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

impl std::ops::AddAssign for Retrieved {
    fn add_assign(&mut self, other: Retrieved) {
        self.imap.0 += other.imap.0;
        self.imap.1 += other.imap.1;
        self.pop3.0 += other.pop3.0;
        self.pop3.1 += other.pop3.1;
    }
}

impl std::fmt::Display for Retrieved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Retrieved { imap: (imap, imap_removed), pop3: (pop3, pop3_removed) } = self;
        write!(
            f,
            "messages read by IMAP {imap}, removed {imap_removed}; by POP3 {pop3}, removed {pop3_removed}"
        )
    }
}
