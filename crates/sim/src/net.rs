//! A connection in memory under virtual time: with latency, reads of any length, stalls, half-closed ends and resets.
//!
//! [`pair`] makes its two ends. What is written arrives later, in pieces that chance decides; when too much is under way the writer
//! waits, as it does when a window is full. An end that is dropped without a shutdown resets the connection, as the kernel does for a
//! process that was killed.

use crate::history::History;
use crate::random::Random;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How a connection behaves.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Each piece takes up to so many milliseconds.
    pub latency: u64,
    /// A read takes up to so many bytes.
    pub piece: u64,
    /// One piece in so many is held up for a minute or more; 0 is none.
    pub stall: u64,
    /// The connection is reset after so many bytes, both ways together.
    pub reset_after: u64,
}

/// How often each thing happened to a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mishaps {
    /// Connections.
    pub connections: u64,
    /// Reads that took only a part of what had arrived.
    pub splits: u64,
    /// Pieces held up for a minute or more.
    pub stalls: u64,
    /// Connections reset by the network.
    pub resets: u64,
    /// Ends that were shut down while the other way was still open.
    pub half_closes: u64,
    /// Writers that had to wait for room.
    pub full_windows: u64,
}

/// One end.
#[derive(Debug)]
pub struct End {
    link: Arc<Mutex<Link>>,
    /// 0 is the client.
    side: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
struct Link {
    /// From each side to the other.
    ways: [Way; 2],
    weather: Weather,
    random: Random,
    carried: u64,
    reset: bool,
    name: String,
    began: Instant,
    history: History,
    mishaps: Arc<Mutex<Mishaps>>,
}

#[derive(Debug, Default)]
struct Way {
    pieces: VecDeque<(Instant, VecDeque<u8>)>,
    under_way: usize,
    ended: bool,
    gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The most bytes under way one way: a window.
const WINDOW: usize = 16 << 10;

/// The two ends of a connection: the client's, the server's. `began` is the time that the history counts from.
pub fn pair(
    (name, began): (String, Instant),
    weather: Weather,
    random: Random,
    (history, mishaps): (History, Arc<Mutex<Mishaps>>),
) -> (End, End) {
    mishaps.lock().unwrap_or_else(PoisonError::into_inner).connections += 1;
    let ways = <[Way; 2]>::default();
    let link = Link { ways, weather, random, carried: 0, reset: false, name, began, history, mishaps };
    let link = Arc::new(Mutex::new(link));
    let end = |side| End { link: link.clone(), side, timer: None };
    (end(0), end(1))
}

impl Link {
    fn count(&self, count: impl FnOnce(&mut Mishaps)) {
        count(&mut self.mishaps.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn event(&self, what: &str, bytes: &[u8]) {
        let time = self.began.elapsed().as_millis() as u64;
        self.history.event(time, &format!("{} {what}", self.name), bytes);
    }

    /// The connection is reset: what is under way is lost.
    fn reset(&mut self) {
        self.reset = true;
        for way in &mut self.ways {
            way.pieces.clear();
            way.wake();
        }
    }

    /// When a piece that is written now will arrive.
    fn arrival(&mut self, side: usize) -> Instant {
        let stalled = self.weather.stall > 0 && self.random.one_in(self.weather.stall);
        let mut wait = self.random.below(self.weather.latency + 1);
        if stalled {
            wait += 60_000 + self.random.below(400_000);
            self.count(|mishaps| mishaps.stalls += 1);
        }
        let arrival = Instant::now() + Duration::from_millis(wait);
        self.ways[side].pieces.back().map_or(arrival, |(before, _)| arrival.max(*before))
    }
}

impl Way {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

impl End {
    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes our way and reads on: what a client does that has nothing more to say.
    pub fn half_close(&self) {
        let mut link = self.link();
        let other_open = !link.ways[1 - self.side].ended;
        let way = &mut link.ways[self.side];
        if !std::mem::replace(&mut way.ended, true) {
            way.wake();
            link.event(if self.side == 0 { "client ends" } else { "server ends" }, b"");
            if other_open {
                link.count(|mishaps| mishaps.half_closes += 1);
            }
        }
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let until = {
            let mut link = self.link();
            if link.reset {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            let piece_max = link.weather.piece;
            let wanted = 1 + link.random.below(piece_max) as usize;
            let way = &mut link.ways[1 - self.side];
            match way.pieces.front_mut() {
                Some((arrival, piece)) if *arrival <= Instant::now() => {
                    let count = wanted.min(piece.len()).min(buffer.remaining());
                    let bytes: Vec<u8> = piece.drain(..count).collect();
                    let split = !piece.is_empty();
                    if !split {
                        way.pieces.pop_front();
                    }
                    way.under_way -= count;
                    way.writer.take().into_iter().for_each(Waker::wake);
                    buffer.put_slice(&bytes);
                    link.carried += count as u64;
                    link.event(if self.side == 0 { "<" } else { ">" }, &bytes);
                    link.count(|mishaps| mishaps.splits += u64::from(split));
                    if link.carried > link.weather.reset_after {
                        link.event("reset", b"");
                        link.count(|mishaps| mishaps.resets += 1);
                        link.reset();
                    }
                    return Poll::Ready(Ok(()));
                }
                None if way.ended => return Poll::Ready(Ok(())),
                waiting => {
                    let until = waiting.map(|(arrival, _)| *arrival);
                    // Also while a piece is on its way: a reset must be noticed before it comes.
                    way.reader = Some(context.waker().clone());
                    until
                }
            }
        };
        self.timer = until.map(|until| Box::pin(tokio::time::sleep_until(until)));
        if let Some(timer) = &mut self.timer
            && timer.as_mut().poll(context).is_ready()
        {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let (mut link, side) = (self.link(), self.side);
        if link.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if link.ways[side].ended || link.ways[1 - side].gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = WINDOW - link.ways[side].under_way;
        if room == 0 {
            link.count(|mishaps| mishaps.full_windows += 1);
            link.ways[side].writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let taken = bytes.len().min(room);
        let arrival = link.arrival(side);
        let way = &mut link.ways[side];
        way.pieces.push_back((arrival, bytes[..taken].iter().copied().collect()));
        way.under_way += taken;
        way.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.half_close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut link = self.link();
        let orderly = link.ways[self.side].ended;
        let side = self.side;
        link.ways[side].gone = true;
        if orderly {
            // What the other side still sends goes nowhere.
            link.ways[1 - side].wake();
        } else {
            link.reset();
        }
    }
}

impl std::ops::AddAssign for Mishaps {
    fn add_assign(&mut self, other: Mishaps) {
        self.connections += other.connections;
        self.splits += other.splits;
        self.stalls += other.stalls;
        self.resets += other.resets;
        self.half_closes += other.half_closes;
        self.full_windows += other.full_windows;
    }
}

impl std::fmt::Display for Mishaps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Mishaps { connections, splits, stalls, resets, half_closes, full_windows, .. } = self;
        write!(
            f,
            "connections {connections}, split reads {splits}, stalls {stalls}, resets {resets}, half-closed \
             {half_closes}, full windows {full_windows}"
        )
    }
}
