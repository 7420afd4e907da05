//! What the application tells while a command is in hand: answers in one piece, the data of messages, what is new in the mailbox.

use super::notify::Listening;
use super::{Closing, Event, Expunging, Kind, Phase, Question, Server, State, Then};
use crate::answer::data::{write_flags, write_threads};
use crate::answer::{
    Code, Esearch, FetchData, Found, FoundModSeqs, LiteralName, NewKeywords, Status, Threaded, Untagged,
    begin_literal, write_data,
};
use crate::{Flag, Numbers, SearchReturn};
use bytes::{BufMut, Bytes, BytesMut};
use std::fmt::Write;

/// So many octets are told before they are sent: then [`Server::has_room`] says no.
pub const ROOM: usize = 64 * 1024;

/// A piece of a text that is at least so long is sent as it is, without being copied. A shorter one is copied to what it is sent with: one
/// call of the system more takes longer.
const PIECE_MIN: usize = 16 * 1024;

/// The message of a FETCH that is being told.
#[derive(Debug)]
pub(super) struct Message {
    is_empty: bool,
    /// Octets of a literal that are still to come.
    literal: u64,
}

impl Server {
    /// Whether more may be told before the application says [`Server::more`].
    pub fn has_room(&self) -> bool {
        self.listing.is_none() && self.unsent() < ROOM
    }

    /// Sends what was told, and then asks with [`Event::More`]. Also within a message and within a literal.
    pub fn more(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Asked(question) => self.phase = Phase::Telling(question),
            other => self.unasked(other),
        }
    }

    /// Tells this.
    pub fn tell(&mut self, answer: &Untagged) {
        let style = self.style();
        answer.write(&mut self.output, style);
    }

    /// Tells a status of its own, like `OK [HIGHESTMODSEQ …]`.
    pub fn tell_status(&mut self, status: &Status) {
        self.untagged_status(status);
    }

    /// Tells the flags that there are in the selected mailbox, when there are new ones, and that they can be kept.
    pub fn tell_flags(&mut self, flags: &[Flag], new: NewKeywords) {
        write_flags(&mut self.output, flags);
        if let State::Selected(selected) = &self.state
            && selected.access == super::Access::ReadWrite
        {
            let code = Code::PermanentFlags { flags: flags.to_vec(), new };
            self.untagged_status(&Status::ok("Flags permitted").with(code));
        }
    }

    /// Notes what came and went in the selected mailbox, UIDs ascending, and tells of it as far as the client may hear it now.
    pub fn changed(&mut self, came: &[u32], gone: &Numbers) {
        let State::Selected(selected) = &mut self.state else { return };
        let before = selected.view.len();
        for uid in came {
            selected.view.push(*uid);
        }
        selected.view.vanish(gone);
        let now = selected.view.len();
        if now != before {
            write!(self.output, "* {now} EXISTS\r\n").expect("a buffer takes everything");
        }
    }

    /// Notes that all was said that happened in the selected mailbox up to this change.
    pub fn noted_up_to(&mut self, mod_seq: u64) {
        let State::Selected(selected) = &mut self.state else { return };
        selected.noted = mod_seq;
        if !selected.view.has_vanished() {
            selected.told = mod_seq;
        }
    }

    /// Tells that messages are gone, as EXPUNGE or VANISHED (RFC 7162 §3.2.10), and goes on.
    pub(super) fn tell_vanished(&mut self, then: Then) {
        let mut left = Numbers::new();
        if let State::Selected(selected) = &mut self.state
            && selected.view.has_vanished()
        {
            let (uids, numbers) = selected.view.take_vanished();
            selected.saved = selected.saved.difference(&uids);
            selected.told = selected.noted;
            if self.enabled.qresync {
                self.tell(&Untagged::Vanished { earlier: false, uids });
            } else {
                left = numbers;
            }
        }
        self.go_on_expunging(Expunging { left, then });
    }

    /// Tells of more messages that are gone, as far as there is room.
    pub(super) fn go_on_expunging(&mut self, mut expunging: Expunging) {
        while let Some(number) = expunging.left.last() {
            if !self.has_room() {
                self.phase = Phase::Expunging(Box::new(expunging));
                return;
            }
            write!(self.output, "* {number} EXPUNGE\r\n").expect("a buffer takes everything");
            expunging.left.pop();
        }
        match expunging.then {
            Then::Tagged(tag, status) => {
                self.phase = Phase::Command;
                self.tagged(&tag, &status);
            }
            Then::Idle(tag) => self.phase = Phase::Idle(tag),
            Then::Command => self.phase = Phase::Command,
        }
    }

    /// The client has said what only a client says that wants mod-sequences. If that is news, it is told from where on in the selected mailbox
    /// it has them (RFC 7162 §3.1).
    pub(super) fn want_mod_seqs(&mut self) {
        let wanted_before = std::mem::replace(&mut self.enabled.condstore, true);
        if let (false, State::Selected(selected)) = (wanted_before, &self.state) {
            let code = Code::HighestModSeq(selected.told);
            self.untagged_status(&Status::ok("Highest").with(code));
        }
    }

    /// Whether the client knows a message, or will when it is told of those that came.
    pub fn knows(&self, uid: u32) -> bool {
        matches!(&self.state, State::Selected(selected) if selected.view.number(uid).is_some())
    }

    /// UIDs as the command in hand names messages: UIDs or numbers.
    pub fn as_named(&self, uids: &Numbers) -> Numbers {
        match (&self.phase, &self.state) {
            (Phase::Asked(question), State::Selected(selected)) => match &**question {
                Question::Command(asked) if !asked.uid => selected.view.numbers(uids),
                _ => uids.clone(),
            },
            _ => uids.clone(),
        }
    }

    /// The UIDs below this one that no message of the selected mailbox has.
    pub fn unknown_below(&self, uid: u32) -> Numbers {
        let all = Numbers::range(1, uid.saturating_sub(1));
        match &self.state {
            State::Selected(selected) => all.difference(&selected.view.uids()),
            _ => all,
        }
    }

    /// The selected mailbox is no more: from here on none is selected.
    pub fn mailbox_is_gone(&mut self) {
        self.leave_mailbox();
    }

    /// Begins the data of a message; says whether the client knows it. What follows are its items, and [`Server::end_message`].
    pub fn begin_message(&mut self, uid: u32) -> bool {
        let State::Selected(selected) = &self.state else { return false };
        let Some(number) = selected.view.number(uid) else { return false };
        debug_assert!(self.message.is_none(), "the one before is not told to its end");
        write!(self.output, "* {number} FETCH (").expect("a buffer takes everything");
        let mut message = Message { is_empty: true, literal: 0 };
        if self.tells_uids() {
            write!(self.output, "UID {uid}").expect("a buffer takes everything");
            message.is_empty = false;
        }
        self.message = Some(message);
        true
    }

    /// Whether UIDs belong to all data of messages: in commands by UID, and for clients that keep a copy (RFC 7162 §3.2.4, RFC 9051 §7.5.2) or
    /// are told at any time (RFC 5465 §5.1).
    fn tells_uids(&self) -> bool {
        let by_uid = match &self.phase {
            Phase::Asked(question) => matches!(&**question, Question::Command(asked) if asked.uid),
            _ => false,
        };
        by_uid || self.enabled.qresync || self.enabled.rev2 || self.listening != Listening::InCommands
    }

    /// The UID of the message in hand, if it was not told already.
    pub fn item_uid(&mut self, uid: u32) {
        if !self.tells_uids() {
            self.before_item();
            write!(self.output, "UID {uid}").expect("a buffer takes everything");
        }
    }

    /// Tells an item of the message in hand.
    pub fn item(&mut self, data: &FetchData<'_>) {
        let style = self.style();
        self.before_item();
        write_data(&mut self.output, style, data);
    }

    /// The item as [`Server::item`] would write it, for [`FetchData::Written`].
    pub fn written(&self, data: &FetchData<'_>) -> Bytes {
        let mut item = BytesMut::new();
        write_data(&mut item, self.style(), data);
        item.freeze()
    }

    /// Begins a text of so many octets; they follow by [`Server::literal`], exactly as many.
    pub fn begin_literal(&mut self, name: LiteralName<'_>, length: u64) {
        let style = self.style();
        self.before_item();
        begin_literal(&mut self.output, style, name, length);
        if let Some(message) = &mut self.message {
            message.literal = length;
        }
    }

    /// Octets of the text; what would be more than was said is left out.
    pub fn literal(&mut self, mut piece: Bytes) {
        let Some(message) = &mut self.message else { return };
        let taken = message.literal.min(piece.len() as u64);
        debug_assert_eq!(taken, piece.len() as u64, "a text is longer than was said");
        piece.truncate(taken as usize);
        message.literal -= taken;
        if piece.len() < PIECE_MIN {
            return self.output.put_slice(&piece);
        }
        if !self.output.is_empty() {
            let before = std::mem::take(&mut self.output).freeze();
            self.pieces.push_back(before);
        }
        self.pieces.push_back(piece);
    }

    /// The message in hand is told to its end. When octets of a text are missing the connection ends: nothing else can be said then.
    pub fn end_message(&mut self) {
        match self.message.take() {
            Some(Message { literal: 0, .. }) => self.output.put_slice(b")\r\n"),
            Some(_) => self.content_lost(),
            None => debug_assert!(false, "no message was begun"),
        }
    }

    /// The rest of a text cannot be read. Nothing can be said in the middle of a literal, so the connection ends, and the client
    /// sees that the message is not whole.
    pub fn content_lost(&mut self) {
        self.close(Closing::ContentLost);
    }

    fn before_item(&mut self) {
        let Some(message) = &mut self.message else {
            debug_assert!(false, "an item without a message");
            return;
        };
        debug_assert_eq!(message.literal, 0, "a text is not told to its end");
        if !std::mem::replace(&mut message.is_empty, false) {
            self.output.put_u8(b' ');
        }
    }

    /// Tells what a search or a sort found.
    pub fn found(&mut self, found: &Found) {
        let (State::Selected(selected), Phase::Asked(question)) = (&mut self.state, &self.phase) else {
            return;
        };
        let Question::Command(asked) = &**question else { return };
        let (returns, kind) = match &asked.kind {
            Kind::Search(returns) => (returns, "SEARCH"),
            Kind::Sort(returns) => (returns, "SORT"),
            _ => return,
        };
        let number = |uid: &u32| if asked.uid { Some(*uid) } else { selected.view.number(*uid) };
        let numbers: Vec<u32> = found.uids.iter().filter_map(number).collect();
        // RFC 9051 §6.4.4: with revision 2 a SEARCH without RETURN is one that returns all.
        let all = [SearchReturn::All];
        let returns = match returns.as_deref() {
            Some([]) => Some(all.as_slice()),
            None if self.enabled.rev2 && kind == "SEARCH" => Some(all.as_slice()),
            other => other,
        };
        let Some(returns) = returns else {
            let mod_seq = found.mod_seqs.map(|mod_seqs| mod_seqs.highest);
            // RFC 9051 §7.3.4 has these no more; RFC 3501 §7.2.5, RFC 5256 §4.
            return self.list_numbers(kind, numbers, mod_seq);
        };
        if returns.contains(&SearchReturn::Save) {
            selected.saved = saved(returns, &found.uids);
        }
        if let Some(answer) = esearch(returns, &numbers, kind) {
            let mod_seqs = found.mod_seqs.filter(|_| !numbers.is_empty());
            let mod_seq = mod_seqs.map(|mod_seqs| mod_seq_of(returns, mod_seqs));
            Esearch { uid: asked.uid, mod_seq, ..answer }.write(&mut self.output, &asked.tag);
        }
    }

    /// Tells threads, one after the other.
    pub fn threads(&mut self, threads: &[Threaded]) {
        let (State::Selected(selected), Phase::Asked(question)) = (&self.state, &self.phase) else { return };
        let by_uid = matches!(&**question, Question::Command(asked) if asked.uid);
        let number = |uid| if by_uid { Some(uid) } else { selected.view.number(uid) };
        write_threads(&mut self.output, threads, number);
    }

    pub(super) fn unsent(&self) -> usize {
        self.output.len() + self.pieces.iter().map(Bytes::len).sum::<usize>()
    }

    /// What is to be sent next.
    pub(super) fn send(&mut self) -> Option<Bytes> {
        self.go_on_listing(ROOM);
        let piece = self.pieces.pop_front();
        let piece =
            piece.or_else(|| (!self.output.is_empty()).then(|| std::mem::take(&mut self.output).freeze()));
        match (&mut self.deflate, piece) {
            (Some(deflate), Some(piece)) => Some(deflate.deflate(&piece)),
            (_, piece) => piece,
        }
    }

    pub(super) fn unselect(&mut self) {
        if matches!(self.state, State::Selected(_)) {
            self.state = State::Authenticated;
            self.events.push_back(Event::Unselected);
        }
    }
}

/// Whether nothing but MIN or MAX was asked for.
fn only_ends(returns: &[SearchReturn]) -> bool {
    let is_some = |wanted: SearchReturn| returns.contains(&wanted);
    (is_some(SearchReturn::Min) || is_some(SearchReturn::Max))
        && !is_some(SearchReturn::All)
        && !is_some(SearchReturn::Count)
}

/// The mod-sequence that goes with what is returned (RFC 7162 §3.1.10): that of the ends, if only they are, else the largest of all.
fn mod_seq_of(returns: &[SearchReturn], found: FoundModSeqs) -> u64 {
    if !only_ends(returns) {
        return found.highest;
    }
    let min = returns.contains(&SearchReturn::Min).then_some(found.first);
    let max = returns.contains(&SearchReturn::Max).then_some(found.last);
    min.max(max).unwrap_or(found.highest)
}

/// What SAVE keeps (RFC 5182 §2.4): what MIN and MAX say, if nothing else was asked for, else all.
fn saved(returns: &[SearchReturn], uids: &[u32]) -> Numbers {
    let is_some = |wanted: SearchReturn| returns.contains(&wanted);
    if !only_ends(returns) {
        return uids.iter().copied().collect();
    }
    // Of a sort the first and the last are meant (RFC 5267 §3.1).
    let min = uids.first().filter(|_| is_some(SearchReturn::Min));
    let max = uids.last().filter(|_| is_some(SearchReturn::Max));
    min.into_iter().chain(max).copied().collect()
}

/// What is returned; `None` where nothing but SAVE was asked for (RFC 5182 §2.1).
fn esearch(returns: &[SearchReturn], numbers: &[u32], kind: &str) -> Option<Esearch> {
    let is_some = |wanted: SearchReturn| returns.contains(&wanted);
    if returns == [SearchReturn::Save] {
        return None;
    }
    let all = || match kind {
        "SEARCH" => numbers.iter().copied().collect::<Numbers>().to_string(),
        _ => in_order(numbers),
    };
    // RFC 5267 §3.1: of a sort the first and the last are meant.
    let (min, max) = match kind {
        "SEARCH" => (numbers.iter().min().copied(), numbers.iter().max().copied()),
        _ => (numbers.first().copied(), numbers.last().copied()),
    };
    Some(Esearch {
        uid: false,
        min: min.filter(|_| is_some(SearchReturn::Min)),
        max: max.filter(|_| is_some(SearchReturn::Max)),
        all: (is_some(SearchReturn::All) && !numbers.is_empty()).then(all),
        count: is_some(SearchReturn::Count).then_some(numbers.len() as u64),
        mod_seq: None,
    })
}

/// A set that keeps the order of a sort: only what ascends one by one is a range.
fn in_order(numbers: &[u32]) -> String {
    let mut text = String::new();
    for run in numbers.chunk_by(|before, after| before.checked_add(1) == Some(*after)) {
        let comma = if text.is_empty() { "" } else { "," };
        let (first, last) = (run[0], run[run.len() - 1]);
        let range = if first == last { String::new() } else { format!(":{last}") };
        write!(text, "{comma}{first}{range}").expect("a string takes everything");
    }
    text
}
