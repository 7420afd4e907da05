//! What is done with the messages of the selected mailbox (RFC 9051 §6.4): numbers become UIDs, and then it is the application's.

use super::{
    Access, Asked, Expunges, Fetch, Kind, Originals, Request, Selected, Server, State, Store, replies,
};
use crate::answer::{Code, Status};
use crate::{Body, FetchItem, FetchModifier, NoSuchNumber, Numbers, SearchKey, SequenceSet};

impl Server {
    /// The commands of a selected mailbox.
    pub(super) fn selected(&mut self, tag: String, body: Body) -> Result<(), Status> {
        match body {
            Body::Check => self.request(Request::Look, Asked::told(tag)),
            Body::Close => match self.access() {
                Access::ReadOnly => self.unselect_by(&tag, "Closed"),
                Access::ReadWrite => {
                    self.request(Request::Close, Asked { kind: Kind::Close, ..Asked::told(tag) })
                }
            },
            Body::Unselect => self.unselect_by(&tag, "Unselected"),
            Body::Expunge => {
                self.need_write()?;
                self.request(Request::Expunge(None), Asked { kind: Kind::Expunge, ..Asked::told(tag) })
            }
            Body::UidExpunge(set) => {
                self.need_write()?;
                let uids = self.uids(&set, true)?;
                let asked = Asked { uid: true, kind: Kind::Expunge, ..Asked::told(tag) };
                self.request(Request::Expunge(Some(uids)), asked)
            }
            Body::Search { uid, returns, charset, key } => {
                need_utf8(charset.as_deref())?;
                let key = self.resolve(key)?;
                self.request(Request::Search(key), Asked::of(tag, uid, Kind::Search(returns)))
            }
            Body::Sort { uid, returns, criteria, charset, key } => {
                need_utf8(Some(&charset))?;
                let key = self.resolve(key)?;
                self.request(Request::Sort { criteria, key }, Asked::of(tag, uid, Kind::Sort(returns)))
            }
            Body::Thread { uid, algorithm, charset, key } => {
                need_utf8(Some(&charset))?;
                let key = self.resolve(key)?;
                self.request(Request::Thread { algorithm, key }, Asked::of(tag, uid, Kind::Thread))
            }
            Body::Fetch { uid, set, items, modifiers } => self.fetch(tag, (uid, &set), items, &modifiers),
            Body::Store { uid, set, unchanged_since, kind, silent, flags } => {
                self.need_write()?;
                let uids = self.uids(&set, uid)?;
                if unchanged_since.is_some() {
                    self.want_mod_seqs();
                }
                let store = Store { uids, unchanged_since, kind, silent, flags };
                self.request(Request::Store(store), Asked::of(tag, uid, Kind::Plain))
            }
            Body::Copy { uid, set, mailbox } => self.copy(tag, (uid, &set), mailbox.0, Originals::Stay),
            Body::Move { uid, set, mailbox } => {
                self.need_write()?;
                self.copy(tag, (uid, &set), mailbox.0, Originals::Go)
            }
            _ => Err(Status::bad("That is not possible here")),
        }
    }

    fn fetch(
        &mut self,
        tag: String,
        (uid, set): (bool, &SequenceSet),
        items: Vec<FetchItem>,
        modifiers: &[FetchModifier],
    ) -> Result<(), Status> {
        let uids = self.uids(set, uid)?;
        let changed_since = modifiers.iter().find_map(|modifier| match modifier {
            FetchModifier::ChangedSince(since) => Some(*since),
            FetchModifier::Vanished => None,
        });
        let wants_vanished = modifiers.contains(&FetchModifier::Vanished);
        if wants_vanished && !(uid && self.enabled.qresync && changed_since.is_some()) {
            return Err(Status::bad("VANISHED needs UID FETCH, CHANGEDSINCE, and QRESYNC to be enabled"));
        }
        let vanished = wants_vanished.then(|| written(set));
        if changed_since.is_some() || items.contains(&FetchItem::ModSeq) {
            self.want_mod_seqs();
        }
        let fetch = Fetch { uids, items, changed_since, vanished };
        self.request(Request::Fetch(fetch), Asked::of(tag, uid, Kind::Plain))
    }

    fn copy(
        &mut self,
        tag: String,
        (uid, set): (bool, &SequenceSet),
        mailbox: String,
        originals: Originals,
    ) -> Result<(), Status> {
        let uids = self.uids(set, uid)?;
        let mailbox = self.name(mailbox)?;
        // Only the expunging ones of FETCH, STORE and SEARCH have to wait.
        let kind = match originals {
            Originals::Stay => Kind::Plain,
            Originals::Go => Kind::Expunge,
        };
        let asked = Asked { uid, kind, ..Asked::told(tag) };
        self.request(Request::Copy { uids, mailbox, originals }, asked)
    }

    fn unselect_by(&mut self, tag: &str, text: &'static str) -> Result<(), Status> {
        self.unselect();
        self.done(tag, text)
    }

    fn access(&self) -> Access {
        match &self.state {
            State::Selected(selected) => selected.access,
            _ => Access::ReadOnly,
        }
    }

    fn need_write(&self) -> Result<(), Status> {
        match self.access() {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(replies::READ_ONLY),
        }
    }

    /// The UIDs of the messages in a set that the client knows.
    fn uids(&self, set: &SequenceSet, uid: bool) -> Result<Numbers, Status> {
        match &self.state {
            State::Selected(selected) => selected.uids(set, uid).map_err(no_such_number),
            _ => Err(replies::SELECT_FIRST),
        }
    }

    /// A search in which messages are named by their UIDs alone.
    fn resolve(&mut self, key: SearchKey) -> Result<SearchKey, Status> {
        let State::Selected(selected) = &self.state else { return Err(replies::SELECT_FIRST) };
        let mut about_changes = false;
        let key = selected.resolve(key, &mut about_changes)?;
        if about_changes {
            self.want_mod_seqs();
        }
        Ok(key)
    }
}

impl Selected {
    fn uids(&self, set: &SequenceSet, uid: bool) -> Result<Numbers, NoSuchNumber> {
        match set {
            SequenceSet::Saved => Ok(self.saved.intersection(&self.view.uids())),
            set if uid => Ok(self.view.with_uids(set)),
            set => self.view.numbered(set),
        }
    }

    /// Depth is bounded by the parser.
    fn resolve(&self, key: SearchKey, about_changes: &mut bool) -> Result<SearchKey, Status> {
        Ok(match key {
            SearchKey::Numbers(set) => SearchKey::Among(self.uids(&set, false).map_err(no_such_number)?),
            SearchKey::Uid(set) => SearchKey::Among(self.uids(&set, true).map_err(no_such_number)?),
            SearchKey::Not(key) => SearchKey::Not(Box::new(self.resolve(*key, about_changes)?)),
            SearchKey::Or(first, second) => SearchKey::Or(
                Box::new(self.resolve(*first, about_changes)?),
                Box::new(self.resolve(*second, about_changes)?),
            ),
            SearchKey::And(keys) => {
                // However many sets stand beside each other, they are one.
                let (mut all, mut among) = (Vec::with_capacity(keys.len()), None::<Numbers>);
                for key in keys {
                    match self.resolve(key, about_changes)? {
                        SearchKey::Among(uids) => {
                            among = Some(match among {
                                Some(before) => before.intersection(&uids),
                                None => uids,
                            });
                        }
                        other => all.push(other),
                    }
                }
                all.extend(among.map(SearchKey::Among));
                SearchKey::And(all)
            }
            SearchKey::ModSeq(value) => {
                *about_changes = true;
                SearchKey::ModSeq(value)
            }
            other => other,
        })
    }
}

impl Asked {
    /// A command on messages; with numbers in it, none may shift before it is done.
    fn of(tag: String, uid: bool, kind: Kind) -> Asked {
        let expunges = if uid { Expunges::Told } else { Expunges::Held };
        Asked { tag, kind, uid, expunges }
    }
}

/// A set as it was written, as far as it says numbers.
fn written(set: &SequenceSet) -> Numbers {
    match set {
        SequenceSet::Ranges(ranges) => Numbers::of_ranges(ranges.iter().map(|range| range.bounds(u32::MAX))),
        SequenceSet::Saved => Numbers::new(),
    }
}

fn no_such_number(error: NoSuchNumber) -> Status {
    Status::bad("").saying(format!("There is no message {}", error.0))
}

/// RFC 9051 §6.4.4: US-ASCII and UTF-8 are what every server knows, and UTF-8 is all.
fn need_utf8(charset: Option<&str>) -> Result<(), Status> {
    match charset {
        None => Ok(()),
        Some(name) if ["UTF-8", "US-ASCII"].iter().any(|known| known.eq_ignore_ascii_case(name)) => Ok(()),
        Some(_) => Err(Status::no("Searches are in UTF-8 or US-ASCII").with(Code::BadCharset)),
    }
}
