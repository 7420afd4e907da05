//! Many IMAP sessions at two servers over one store on the disk, on few mailboxes, each saying this and that by chance, each checking every
//! answer (`view.rs`). Mailboxes are renamed and removed meanwhile, some clients come back with QRESYNC. In the end all see the same, and
//! each was told it: the flags that it heard of are those that there are.
//!
//! It takes two seconds; POSTHASTE_STRESS_SECONDS says otherwise.

mod view;

use crate::disk;
use crate::imap::Client;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use view::{Flags, Numbers, View, flags_in, mod_seq_in, uid_in};

/// Whether a client has enabled QRESYNC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resync {
    Yes,
    No,
}

/// What a client with QRESYNC kept of a mailbox when it left it.
struct Kept {
    uid_validity: u32,
    mod_seq: u64,
    flags: BTreeMap<u32, Flags>,
}

/// A client that keeps count of what it is told.
struct Counting {
    client: Client,
    address: SocketAddr,
    resync: Resync,
    /// The mailbox that is selected.
    view: Option<View>,
    kept: BTreeMap<String, Kept>,
    random: u64,
    /// What was said last, for whoever reads a failure.
    said: String,
}

/// Mailboxes that always are there, and those that come and go.
const LASTING: [&str; 2] = ["INBOX", "Other"];
const PASSING: [&str; 3] = ["Passing", "Passing/below", "Gone"];

impl Counting {
    async fn new(address: SocketAddr, seed: u64) -> Counting {
        let resync = if seed % 4 < 2 { Resync::Yes } else { Resync::No };
        let client = logged_in(address, resync).await;
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let (view, kept) = (None, BTreeMap::new());
        Counting { client, address, resync, view, kept, random, said: String::new() }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % bound.max(1)
    }

    fn one_of<'a>(&mut self, names: &[&'a str]) -> &'a str {
        names[self.below(names.len())]
    }

    /// How many messages the client knows of.
    fn count(&self) -> usize {
        self.view.as_ref().map_or(0, |view| view.messages.len())
    }

    /// Says a command, whose answer is OK or a NO that says why; returns what was told and the status. When the selected mailbox was
    /// removed, or the server ended the session for that, the client has none selected.
    async fn say(&mut self, command: &str, numbers: Numbers) -> (Vec<String>, String) {
        self.said = command.to_owned();
        let (told, status) = self.client.say_until_bye(command).await;
        for line in &told {
            self.heard(line, numbers);
        }
        let is_closed = self.view.as_ref().is_some_and(|view| view.is_closed);
        if status.starts_with("BYE") {
            self.client = logged_in(self.address, self.resync).await;
            self.view = None;
        } else if is_closed && !command.starts_with("SELECT") {
            self.view = None;
        } else {
            assert!(!status.starts_with("BAD "), "{command}: {status}, with {} messages", self.count());
        }
        (told, status)
    }

    fn heard(&mut self, line: &str, numbers: Numbers) {
        let Some(view) = &mut self.view else { return };
        let heard = view.hear(line, numbers);
        assert!(heard.is_ok(), "{}: {line}: {}, in {view:?}", self.said, heard.unwrap_err());
    }

    /// Leaves the mailbox that is selected, and selects this one, if it is there.
    async fn select(&mut self, name: &str) {
        self.leave();
        self.view = Some(View { name: name.to_owned(), ..View::default() });
        let kept = self.kept.remove(name).filter(|_| self.resync == Resync::Yes);
        let since = kept.as_ref().map(|kept| format!(" (QRESYNC ({} {}))", kept.uid_validity, kept.mod_seq));
        let (_, status) =
            self.say(&format!("SELECT {name}{}", since.unwrap_or_default()), Numbers::MayShift).await;
        let Some(view) = self.view.as_mut().filter(|_| status.starts_with("OK ")) else {
            // The one that was selected before may have been removed meanwhile, and the session have ended for that.
            assert!(PASSING.contains(&name) || status.starts_with("BYE"), "SELECT {name}: {status}");
            self.view = None;
            return;
        };
        (view.name, view.is_closed) = (name.to_owned(), false);
        let (uid_validity, since, earlier) =
            (view.uid_validity, view.mod_seq, std::mem::take(&mut view.earlier));
        let told = view.known();
        let (lines, _) = self.say("UID FETCH 1:* (FLAGS MODSEQ)", Numbers::MayShift).await;
        let Some(kept) = kept.filter(|kept| kept.uid_validity == uid_validity) else { return };
        // What it kept, with what it was told at its return, is what there was at that moment.
        let mut copy = kept.flags;
        copy.retain(|uid, _| !earlier.contains(uid));
        copy.extend(told);
        for line in lines.iter().filter(|line| mod_seq_in(line).is_some_and(|changed| changed <= since)) {
            let uid = uid_in(line).expect("a UID");
            assert_eq!(
                copy.get(&uid),
                flags_in(line).as_ref(),
                "SELECT {name} since {}: {line}",
                kept.mod_seq
            );
        }
    }

    /// Keeps what is known of the mailbox that is selected.
    fn leave(&mut self) {
        if let Some(view) = self.view.take() {
            let kept = Kept { uid_validity: view.uid_validity, mod_seq: view.mod_seq, flags: view.known() };
            self.kept.insert(view.name, kept);
        }
    }

    /// One command by chance.
    async fn step(&mut self) {
        let count = self.count();
        match self.below(24) {
            0 | 1 => drop(self.say("APPEND INBOX {14+}\r\nSubject: x\r\n\r\n", Numbers::MayShift).await),
            2 => {
                let name = self.one_of(&["Other", "Passing"]);
                let command = format!("APPEND {name} (\\Flagged) {{14+}}\r\nSubject: y\r\n\r\n");
                self.say(&command, Numbers::MayShift).await;
            }
            3 => self.idle().await,
            4 => self.arrange().await,
            5 => {
                let name = self.one_of(&["INBOX", "Other", "INBOX", "Other", "Passing", "Passing/below"]);
                self.select(name).await;
            }
            6 if self.view.is_some() => self.close().await,
            7..=12 if count > 0 => self.store().await,
            _ if count > 0 => self.look().await,
            _ => self.select("INBOX").await,
        }
    }

    /// Makes, renames or removes a mailbox.
    async fn arrange(&mut self) {
        let (name, other) = (self.one_of(&PASSING), self.one_of(&PASSING));
        let command = match self.below(4) {
            0 | 1 => format!("CREATE {name}"),
            2 => format!("RENAME {name} {other}"),
            _ => format!("DELETE {name}"),
        };
        self.say(&command, Numbers::MayShift).await;
    }

    /// Leaves the mailbox, by CLOSE or UNSELECT.
    async fn close(&mut self) {
        let command = self.one_of(&["CLOSE", "UNSELECT"]);
        self.say(command, Numbers::MayShift).await;
        match command {
            // What is marked as deleted goes, and nothing is told of it.
            "CLOSE" => self.view = None,
            _ => self.leave(),
        }
    }

    /// Changes flags; what was changed silently the client knows by itself.
    async fn store(&mut self) {
        let (one, other) = (self.below(self.count()), self.below(self.count()));
        let (first, last) = (one.min(other), one.max(other));
        let flags = self.one_of(&[
            "\\Seen",
            "\\Seen $Word1",
            "$Word2",
            "\\Flagged",
            "\\Deleted",
            "\\Answered $Word1",
        ]);
        let (last, flags) = if flags == "\\Deleted" { (first, flags) } else { (last, flags) };
        let what =
            self.one_of(&["+FLAGS", "-FLAGS", "FLAGS", "+FLAGS.SILENT", "-FLAGS.SILENT", "FLAGS.SILENT"]);
        let Some(view) = &mut self.view else { return };
        for (place, message) in view.messages.iter_mut().enumerate() {
            (message.is_told, message.is_meant) = (false, (first..=last).contains(&place));
        }
        let uids = view.messages[first].uid.zip(view.messages[last].uid);
        let (set, prefix, numbers) = match uids {
            Some((first, last)) if one % 2 == 0 => (format!("{first}:{last}"), "UID ", Numbers::MayShift),
            _ => (format!("{}:{}", first + 1, last + 1), "", Numbers::Stay),
        };
        let (_, status) = self.say(&format!("{prefix}STORE {set} {what} ({flags})"), numbers).await;
        let Some(view) = &mut self.view else { return };
        let flags: Flags = flags.split(' ').map(str::to_owned).collect();
        if !status.starts_with("OK ") {
            return;
        }
        for message in view.messages.iter_mut().filter(|message| message.is_meant && !message.is_told) {
            message.flags = match (what.strip_suffix(".SILENT"), message.flags.take()) {
                (Some("+FLAGS"), Some(before)) => Some(before.union(&flags).cloned().collect()),
                (Some("-FLAGS"), Some(before)) => Some(before.difference(&flags).cloned().collect()),
                (Some("FLAGS"), Some(_)) => Some(flags.clone()),
                // It is gone, and that is told later.
                _ => None,
            };
        }
    }

    /// Reads, searches, copies, moves, expunges.
    async fn look(&mut self) {
        let count = self.count();
        let (one, other) = (self.below(count) + 1, self.below(count) + 1);
        let (first, last) = (one.min(other), one.max(other));
        let uid = self.view.as_ref().and_then(|view| view.messages[one - 1].uid).unwrap_or(1);
        let what = self.below(13);
        let command = match what {
            0 => format!("FETCH {first}:{last} (UID FLAGS)"),
            1 => format!("FETCH {one} (UID ENVELOPE BODYSTRUCTURE)"),
            2 => "SEARCH OR SEEN SUBJECT x".to_owned(),
            3 => format!("FETCH {one} (UID BODY[])"),
            4 => "SEARCH NOT KEYWORD $Word1".to_owned(),
            5 => format!("COPY {one} Other"),
            6 => format!("MOVE {one} INBOX"),
            7 => "EXPUNGE".to_owned(),
            8 => format!("UID FETCH {one}:* (FLAGS RFC822.SIZE)"),
            9 => format!("UID EXPUNGE {uid}:*"),
            10 => format!("UID COPY {uid} Passing"),
            11 => format!("UID MOVE {uid} Other"),
            _ => "NOOP".to_owned(),
        };
        let numbers = if what < 5 { Numbers::Stay } else { Numbers::MayShift };
        self.say(&command, numbers).await;
    }

    async fn idle(&mut self) {
        self.said = "IDLE".to_owned();
        self.client.send("idle IDLE\r\n").await;
        loop {
            let line = self.client.line().await;
            if line == "+ idling" {
                break;
            }
            self.heard(&line, Numbers::MayShift);
            if line.starts_with("* BYE") {
                self.client = logged_in(self.address, self.resync).await;
                return self.view = None;
            }
        }
        let (told, status) = self.client.end_idle().await;
        for line in told {
            self.heard(&line, Numbers::MayShift);
        }
        if status.starts_with("BYE") {
            self.client = logged_in(self.address, self.resync).await;
            self.view = None;
        }
        if self.view.as_ref().is_some_and(|view| view.is_closed) {
            self.view = None;
        }
    }

    /// What the client was told of the mailbox is all there is to tell.
    async fn check_what_was_told(&mut self) {
        self.say("NOOP", Numbers::MayShift).await;
        let Some(view) = &mut self.view else { return };
        let (told, name, count) = (view.known(), view.name.clone(), view.messages.len());
        let (lines, _) = self.say("UID FETCH 1:* (FLAGS)", Numbers::Stay).await;
        let there = flags_by_uid(&lines);
        assert_eq!(there.len(), count, "{name}: {lines:?}");
        for (uid, flags) in told {
            assert_eq!(
                there.get(&uid),
                Some(&flags),
                "{name}: the flags of {uid} as they are, and as they were told"
            );
        }
    }

    /// All messages of a mailbox with their flags.
    async fn everything(&mut self, mailbox: &str) -> BTreeMap<u32, Flags> {
        self.select(mailbox).await;
        if self.view.is_none() {
            // The session ended because the mailbox was gone that was selected before.
            self.select(mailbox).await;
        }
        let (told, _) = self.say("UID FETCH 1:* (FLAGS)", Numbers::Stay).await;
        assert_eq!(told.len(), self.count(), "{told:?}");
        flags_by_uid(&told)
    }
}

async fn logged_in(address: SocketAddr, resync: Resync) -> Client {
    let mut client = Client::bob(address).await;
    if resync == Resync::Yes {
        client.ok("ENABLE QRESYNC").await;
    }
    client
}

fn flags_by_uid(lines: &[String]) -> BTreeMap<u32, Flags> {
    let both = |line: &String| (uid_in(line).expect("a UID"), flags_in(line).expect("flags"));
    lines.iter().map(both).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_say_anything_agree_in_the_end() {
    let disk = disk::start(2).await;
    let seconds =
        std::env::var("POSTHASTE_STRESS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    Client::bob(disk.imap[0]).await.ok("CREATE Other").await;
    let end = Instant::now() + Duration::from_secs(seconds);
    let clients = (1..=12).map(|seed| {
        let address = disk.imap[seed as usize % disk.imap.len()];
        tokio::spawn(async move {
            let mut client = Counting::new(address, seed).await;
            let mut steps = 0u32;
            while Instant::now() < end || steps < 20 {
                client.step().await;
                steps += 1;
            }
            (client, steps)
        })
    });
    let (mut done, mut steps) = (Vec::new(), 0);
    for client in clients.collect::<Vec<_>>() {
        let (client, taken) = client.await.expect("every answer is right");
        steps += taken;
        done.push(client);
    }
    for client in &mut done {
        client.check_what_was_told().await;
    }
    for mailbox in LASTING {
        let (first, others) = done.split_first_mut().expect("there are some");
        let expected = first.everything(mailbox).await;
        for other in others {
            assert_eq!(other.everything(mailbox).await, expected);
        }
    }
    println!("{steps} commands in {seconds} s");
}
