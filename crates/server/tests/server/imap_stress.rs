//! Many IMAP sessions on few mailboxes, each saying this and that by chance, each checking every answer: numbers mean what the client was told
//! that they mean, whatever the others do; in the end all see the same.
//!
//! It takes two seconds; POSTHASTE_STRESS_SECONDS says otherwise.

use crate::imap::{Client, start_imap};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A client that keeps count: the UID of each message, by its number, as far as it was told.
struct Counting {
    client: Client,
    messages: Vec<Option<u32>>,
    random: u64,
    /// What was said last, for whoever reads a failure.
    said: String,
}

/// Whether an EXPUNGE may be told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    MayShift,
    Stay,
}

impl Counting {
    async fn new(address: SocketAddr, seed: u64) -> Counting {
        let client = Client::bob(address).await;
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut counting = Counting { client, messages: Vec::new(), random, said: String::new() };
        counting.select().await;
        counting
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % bound.max(1)
    }

    async fn select(&mut self) {
        self.messages.clear();
        let name = ["INBOX", "Other"][self.below(2)];
        self.say(&format!("SELECT {name}"), Numbers::MayShift).await;
    }

    /// Says a command, whose answer is OK or a NO that says why.
    async fn say(&mut self, command: &str, numbers: Numbers) -> Vec<String> {
        self.said = command.to_owned();
        let (told, status) = self.client.say(command).await;
        assert!(!status.starts_with("BAD "), "{command}: {status}, with {} messages", self.messages.len());
        for line in &told {
            self.heard(line, numbers);
        }
        told
    }

    /// Takes note of what is told.
    fn heard(&mut self, line: &str, numbers: Numbers) {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let number = words.get(1).and_then(|word| word.parse::<usize>().ok());
        match (number, words.get(2).copied()) {
            (Some(count), Some("EXISTS")) => {
                assert!(
                    count >= self.messages.len(),
                    "{}: {line}, and there were {}",
                    self.said,
                    self.messages.len()
                );
                self.messages.resize(count, None);
            }
            (Some(number), Some("EXPUNGE")) => {
                assert!(numbers == Numbers::MayShift, "{}: {line}", self.said);
                assert!((1..=self.messages.len()).contains(&number), "{}: {line}", self.said);
                self.messages.remove(number - 1);
            }
            (Some(number), Some("FETCH")) => {
                assert!((1..=self.messages.len()).contains(&number), "{}: {line}", self.said);
                let Some(uid) = uid_in(line) else { return };
                let known = self.messages[number - 1].get_or_insert(uid);
                assert_eq!(*known, uid, "{}: {line}", self.said);
                let all: Vec<u32> = self.messages.iter().flatten().copied().collect();
                assert!(all.is_sorted(), "{}: {line} among {all:?}", self.said);
            }
            _ if line.starts_with("* SEARCH") => {
                let found = line.split(' ').skip(2).map(|word| word.parse::<usize>().expect("a number"));
                for number in found {
                    assert!((1..=self.messages.len()).contains(&number), "{}: {line}", self.said);
                }
            }
            _ => {}
        }
    }

    /// One command by chance.
    async fn step(&mut self) {
        let count = self.messages.len();
        let (one, other) = (self.below(count) + 1, self.below(count) + 1);
        let (first, last) = (one.min(other), one.max(other));
        let what = if count == 0 { self.below(4) } else { self.below(16) };
        let command = match what {
            0 | 1 => "APPEND INBOX {14+}\r\nSubject: x\r\n\r\n".to_owned(),
            2 => "APPEND Other (\\Flagged) {14+}\r\nSubject: y\r\n\r\n".to_owned(),
            3 => return self.idle().await,
            4 => format!("FETCH {first}:{last} (UID FLAGS)"),
            5 => format!("FETCH {one} (UID ENVELOPE BODYSTRUCTURE)"),
            6 => format!("STORE {first}:{last} +FLAGS (\\Seen $Word{})", self.below(3)),
            7 => format!("STORE {one} +FLAGS (\\Deleted)"),
            8 => format!("STORE {first}:{last} -FLAGS.SILENT (\\Seen)"),
            9 => "SEARCH OR SEEN SUBJECT x".to_owned(),
            10 => format!("COPY {one} Other"),
            11 => format!("MOVE {one} INBOX"),
            12 => "EXPUNGE".to_owned(),
            13 => format!("UID FETCH {one}:* (FLAGS RFC822.SIZE)"),
            14 => return self.select().await,
            _ => format!("FETCH {one} (UID BODY[])"),
        };
        let numbers = match what {
            4..=9 | 15 => Numbers::Stay,
            _ => Numbers::MayShift,
        };
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
        }
        self.client.send("DONE\r\n").await;
        for line in self.client.until("idle").await.0 {
            self.heard(&line, Numbers::MayShift);
        }
    }

    /// All messages of a mailbox with their flags.
    async fn everything(&mut self, mailbox: &str) -> BTreeMap<u32, String> {
        self.messages.clear();
        self.say(&format!("SELECT {mailbox}"), Numbers::MayShift).await;
        let told = self.say("FETCH 1:* (UID FLAGS)", Numbers::Stay).await;
        assert_eq!(told.len(), self.messages.len(), "{told:?}");
        told.iter()
            .map(|line| (uid_in(line).expect("a UID"), line.split_once("FLAGS").expect("flags").1.to_owned()))
            .collect()
    }
}

fn uid_in(line: &str) -> Option<u32> {
    let rest = line.split_once("UID ")?.1;
    rest.split([' ', ')']).next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_say_anything_agree_in_the_end() {
    let (_running, address) = start_imap().await;
    let seconds =
        std::env::var("POSTHASTE_STRESS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    Client::bob(address).await.ok("CREATE Other").await;
    let end = Instant::now() + Duration::from_secs(seconds);
    let clients = (1..=8).map(|seed| {
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
    let mut done = Vec::new();
    let mut steps = 0;
    for client in clients.collect::<Vec<_>>() {
        let (client, taken) = client.await.expect("every answer is right");
        steps += taken;
        done.push(client);
    }
    for mailbox in ["INBOX", "Other"] {
        let (first, others) = done.split_first_mut().expect("there are some");
        let expected = first.everything(mailbox).await;
        for other in others {
            assert_eq!(other.everything(mailbox).await, expected);
        }
    }
    println!("{steps} commands");
}
