//! The hosts outside: a DNS and next hops that take mail, put it off, refuse some of it, stall, break off before and after the dot, or are not there.
//!
//! They outlive the server. What they do is decided by chance, in a stream of their own; what they take is written down in
//! [`crate::relayed`].

use super::Shared;
use super::connections::{Carried, Open};
use crate::mail::Mail;
use crate::net::{End, Weather, pair};
use crate::random::Random;
use crate::relayed::TakeId;
use async_trait::async_trait;
use server::deliver::dial::{Connection, Dialer};
use server::resolve::{Answer, Dns, Exchange, Lookup};
use server::tls::Tlsa;
use smtp::Domain;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::time::Instant;

/// The addresses of recipients elsewhere. Their numbers follow those of the accounts.
pub(super) const ADDRESSES: [&str; 13] = [
    "a@steady.example",
    "b@steady.example",
    "c@grey.example",
    "d@choosy.example",
    REFUSED,
    "f@choosy.example",
    "g@flaky.example",
    "h@busy.example",
    "i@null.example",
    "j@gone.example",
    "k@moody.example",
    "l@dead.example",
    "m@implicit.example",
];

/// Its host never takes mail for it.
const REFUSED: &str = "e@choosy.example";

/// The host that refuses connections, and the one that never answers.
const DEAD: u8 = 8;
const DEAF: u8 = 9;

/// How often hosts did something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hops {
    /// Recipients that were acknowledged by the server.
    pub owed: u64,
    /// Recipients that a host took mail for.
    pub taken: u64,
    /// Those of them that had it already, as may be.
    pub duplicates: u64,
    /// Recipients that reports of failure named.
    pub reported: u64,
    /// Recipients that were queued at the end of a life.
    pub queued: u64,
    /// Recipients put off (450).
    pub put_off: u64,
    /// Recipients or messages refused for good.
    pub refused: u64,
    /// Services closing the channel (421).
    pub unavailable: u64,
    /// Connections dropped in the content.
    pub before_the_dot: u64,
    /// Connections dropped after the content, with the message taken.
    pub after_the_dot: u64,
    /// Hosts that said nothing more.
    pub silent: u64,
    /// Connections refused, or never answered.
    pub unreachable: u64,
    /// Questions to the DNS that nobody answered.
    pub unresolved: u64,
    /// Null MX, and domains that do not exist.
    pub no_domain: u64,
    /// The most connections that a server had open, and to one site.
    pub open_max: (usize, usize),
}

/// What is outside.
#[derive(Clone)]
pub(super) struct Outside {
    random: Arc<Mutex<Random>>,
    hops: Arc<Mutex<Hops>>,
    began: Instant,
    open: Open,
    shared: Shared,
}

impl Outside {
    pub(super) fn new(random: Random, began: Instant, shared: Shared) -> Outside {
        let (hops, open) = (Arc::<Mutex<Hops>>::default(), Open::new(shared.clone()));
        Outside { random: Arc::new(Mutex::new(random)), hops, began, open, shared }
    }

    /// The most connections that were open, in all and to one site.
    pub(super) fn open_max(&self) -> (usize, usize) {
        self.open.most()
    }

    pub(super) fn hops(&self) -> MutexGuard<'_, Hops> {
        self.hops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that chance decides.
    pub(super) fn chance(&self) -> u64 {
        self.random().next()
    }

    fn random(&self) -> MutexGuard<'_, Random> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn one_in(&self, times: u64) -> bool {
        self.random().one_in(times)
    }

    fn number(&self, address: &str) -> Option<usize> {
        let place = ADDRESSES.iter().position(|known| *known == address)?;
        Some(super::ACCOUNTS.len() + place)
    }
}

#[async_trait]
impl Dns for Outside {
    async fn exchanges(&self, domain: &Domain) -> Answer<Vec<Exchange>> {
        let hosts: &[(u16, u8)] = match domain.ascii() {
            "steady.example" => &[(10, 1)],
            "grey.example" => &[(10, 2)],
            "choosy.example" => &[(10, 3)],
            "flaky.example" => &[(10, 4)],
            "busy.example" => &[(10, 5), (10, 12)],
            "dead.example" => &[(10, DEAD), (10, DEAF), (20, 10)],
            "moody.example" if self.one_in(2) => {
                self.hops().unresolved += 1;
                return Lookup::Failed("SERVFAIL".to_owned()).into();
            }
            "moody.example" => &[(5, 1)],
            "implicit.example" => return Lookup::NoRecords.into(),
            "null.example" => {
                self.hops().no_domain += 1;
                return Lookup::Found(vec![Exchange { preference: 0, name: String::new() }]).into();
            }
            _ => {
                self.hops().no_domain += 1;
                return Lookup::NoName.into();
            }
        };
        let exchange = |(preference, host): &(u16, u8)| Exchange {
            preference: *preference,
            name: format!("mx{host}.example"),
        };
        Lookup::Found(hosts.iter().map(exchange).collect()).into()
    }

    async fn addresses(&self, name: &str) -> Answer<Vec<IpAddr>> {
        let host = match name {
            "implicit.example" => Some(11),
            name => name.strip_prefix("mx").and_then(|name| name.strip_suffix(".example")?.parse().ok()),
        };
        let address = |host: u8| Lookup::Found(vec![IpAddr::from([192, 0, 32, host])]);
        host.map_or(Lookup::NoName, address).into()
    }

    async fn associations(&self, _name: &str) -> Answer<Vec<Tlsa>> {
        Lookup::NoRecords.into()
    }

    async fn texts(&self, _name: &str) -> Answer<Vec<String>> {
        Lookup::NoRecords.into()
    }
}

#[async_trait]
impl Dialer for Outside {
    async fn dial(&self, address: SocketAddr, _: Option<IpAddr>) -> io::Result<Connection> {
        let IpAddr::V4(v4) = address.ip() else { return Err(io::ErrorKind::Unsupported.into()) };
        let host = v4.octets()[3];
        let wait = self.random().pick(&[1, 37, 113, 301]);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        if host == DEAD || host == DEAF {
            self.hops().unreachable += 1;
        }
        match host {
            DEAD => return Err(io::ErrorKind::ConnectionRefused.into()),
            DEAF => return std::future::pending().await,
            _ => {}
        }
        let (weather, part, number) = {
            let mut random = self.random();
            let weather = Weather {
                latency: random.pick(&[0, 3, 40, 900]),
                piece: random.pick(&[1 << 16, 1 << 16, 700, 40]),
                stall: random.pick(&[0, 0, 0, 30]),
                reset_after: if random.one_in(6) { random.below(20_000) } else { u64::MAX },
            };
            let number = random.next();
            (weather, random.part(number), number)
        };
        let told = (self.shared.history.clone(), self.shared.mishaps.clone());
        let name = (format!("out {host} {:04x}", number & 0xFFFF), self.began);
        let (ours, theirs) = pair(name, weather, part, told);
        let outside = self.clone();
        tokio::spawn(async move {
            let (read, write) = tokio::io::split(theirs);
            let mut hop = Hop { outside, host, from: BufReader::new(read), to: write };
            let ended = hop.serve().await;
            // However it ends: what counts is what was taken before.
            let what = if ended.is_ok() { "hop is done" } else { "hop is cut off" };
            hop.outside.shared.history.event(0, what, b"");
        });
        let ours = Carried::new(ours, self.open.clone(), site(host));
        Ok(Connection { stream: Box::new(ours), local: SocketAddr::from(([192, 0, 32, 250], 40_000)) })
    }
}

/// The site of a host, by its first host: no host is of two.
fn site(host: u8) -> u8 {
    match host {
        12 => 5,
        DEAF | 10 => DEAD,
        other => other,
    }
}

/// One connection to a host.
struct Hop {
    outside: Outside,
    host: u8,
    from: BufReader<ReadHalf<End>>,
    to: WriteHalf<End>,
}

/// What a host does with the content of a message.
enum Taken {
    /// It takes it and says so.
    Yes(Vec<TakeId>),
    /// It says no.
    No,
    /// The connection is over.
    Gone,
}

impl Hop {
    async fn serve(&mut self) -> io::Result<()> {
        let mood = self.outside.random().below(25);
        match mood {
            0 => return self.unavailable().await,
            1 => return self.say_nothing().await,
            _ => self.say("220 mx").await?,
        }
        let (mut recipients, mut waiting) = (Vec::new(), Vec::new());
        while let Some(line) = self.line().await? {
            // It goes on: so it has read what was said before.
            waiting.drain(..).for_each(|take| self.outside.shared.relayed().read(take));
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            let verb = text.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => {
                    self.say("250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES").await?
                }
                "MAIL" if self.host == 5 && self.outside.one_in(3) => return self.unavailable().await,
                "MAIL" => {
                    recipients.clear();
                    self.say("250 2.1.0 ok").await?;
                }
                "RCPT" => self.recipient(&text, &mut recipients).await?,
                "DATA" if recipients.is_empty() => self.say("554 5.5.1 no valid recipients").await?,
                "DATA" => {
                    self.say("354 go").await?;
                    match self.content(&recipients).await? {
                        Taken::Yes(takes) => {
                            self.say("250 2.0.0 taken").await?;
                            waiting = takes;
                        }
                        Taken::No => {}
                        Taken::Gone => return Ok(()),
                    }
                    recipients.clear();
                }
                "RSET" | "HELO" | "NOOP" => self.say("250 2.0.0 ok").await?,
                "QUIT" => return self.say("221 2.0.0 bye").await,
                _ => self.say("500 5.5.2 what?").await?,
            }
        }
        Ok(())
    }

    async fn recipient(&mut self, line: &str, recipients: &mut Vec<usize>) -> io::Result<()> {
        let address = line.split(['<', '>']).nth(1).unwrap_or_default();
        let Some(number) = self.outside.number(address) else {
            self.outside.shared.violated(format!("mail for {address:?} was sent to a host outside"));
            return self.say("550 5.1.1 nobody").await;
        };
        if address == REFUSED {
            self.outside.hops().refused += 1;
            return self.say("550 5.1.1 nobody of that name").await;
        }
        if self.outside.one_in(if self.host == 2 { 2 } else { 40 }) {
            self.outside.hops().put_off += 1;
            return self.say("450 4.2.0 greylisted").await;
        }
        recipients.push(number);
        self.say("250 2.1.5 ok").await
    }

    /// Reads a message, and takes it or not.
    async fn content(&mut self, recipients: &[usize]) -> io::Result<Taken> {
        let unsteady = if self.host == 4 { 4 } else { 40 };
        let breaks_off = self.outside.one_in(unsteady).then(|| self.outside.random().below(20));
        let mut content = Vec::new();
        let mut lines = 0;
        loop {
            if breaks_off.is_some_and(|after| lines >= after) {
                self.outside.hops().before_the_dot += 1;
                return Ok(Taken::Gone);
            }
            let Some(line) = self.line().await? else { return Ok(Taken::Gone) };
            lines += 1;
            match line.strip_prefix(b".") {
                Some(b"\r\n") => break,
                Some(rest) => content.extend_from_slice(rest),
                None => content.extend_from_slice(&line),
            }
        }
        let mood = self.outside.random().below(60);
        match mood {
            0 => {
                self.outside.hops().put_off += 1;
                self.say("452 4.3.1 no room").await?;
                return Ok(Taken::No);
            }
            1 => {
                self.outside.hops().refused += 1;
                self.say("554 5.7.1 not this").await?;
                return Ok(Taken::No);
            }
            _ => {}
        }
        let takes = self.take(&content, recipients);
        if self.outside.one_in(unsteady) {
            if self.outside.one_in(3) {
                self.say_nothing().await?;
            } else {
                self.outside.hops().after_the_dot += 1;
            }
            return Ok(Taken::Gone);
        }
        Ok(Taken::Yes(takes))
    }

    /// Writes down what was taken, which must be whole and must not have come for good before.
    fn take(&self, content: &[u8], recipients: &[usize]) -> Vec<TakeId> {
        let shared = &self.outside.shared;
        let token = match Mail::relayed(content) {
            Ok(mail) => mail.token,
            Err(what) => {
                shared.violated(format!("a host outside was sent something else: {what}"));
                return Vec::new();
            }
        };
        if shared.ledger().is_unfinished(token) {
            shared.violated(format!("message {token:016x} was sent on, and was never sent whole to us"));
        }
        self.outside.hops().taken += recipients.len() as u64;
        shared.look();
        let mut takes = Vec::new();
        for number in recipients {
            match shared.relayed().take((token, *number)) {
                Ok(take) => takes.push(take),
                Err(what) => shared.violated(what),
            }
        }
        takes
    }

    async fn unavailable(&mut self) -> io::Result<()> {
        self.outside.hops().unavailable += 1;
        self.say("421 4.3.2 try again later").await
    }

    /// Longer than any time-out of RFC 5321 §4.5.3.2.
    async fn say_nothing(&mut self) -> io::Result<()> {
        self.outside.hops().silent += 1;
        tokio::time::sleep(Duration::from_secs(1_800)).await;
        Ok(())
    }

    async fn say(&mut self, reply: &str) -> io::Result<()> {
        self.to.write_all(format!("{reply}\r\n").as_bytes()).await
    }

    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        self.from.read_until(b'\n', &mut line).await?;
        Ok(line.ends_with(b"\n").then_some(line))
    }
}

impl std::ops::AddAssign for Hops {
    fn add_assign(&mut self, other: Hops) {
        self.owed += other.owed;
        self.taken += other.taken;
        self.duplicates += other.duplicates;
        self.reported += other.reported;
        self.queued += other.queued;
        self.put_off += other.put_off;
        self.refused += other.refused;
        self.unavailable += other.unavailable;
        self.before_the_dot += other.before_the_dot;
        self.after_the_dot += other.after_the_dot;
        self.silent += other.silent;
        self.unreachable += other.unreachable;
        self.unresolved += other.unresolved;
        self.no_domain += other.no_domain;
        self.open_max.0 = self.open_max.0.max(other.open_max.0);
        self.open_max.1 = self.open_max.1.max(other.open_max.1);
    }
}

impl std::fmt::Display for Hops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Hops { owed, taken, duplicates, reported, queued, .. } = self;
        write!(
            f,
            "recipients elsewhere {owed}: taken {taken}, of these a second time {duplicates}, reported {reported}, queued when a server \
             ended {queued}; hops: put off {}, refused {}, 421 {}, dropped before the dot {}, after it {}, silent {}, unreachable {}, \
             DNS failed {}, null MX or no domain {}; connections at most {}, to one site {}",
            self.put_off,
            self.refused,
            self.unavailable,
            self.before_the_dot,
            self.after_the_dot,
            self.silent,
            self.unreachable,
            self.unresolved,
            self.no_domain,
            self.open_max.0,
            self.open_max.1
        )
    }
}
