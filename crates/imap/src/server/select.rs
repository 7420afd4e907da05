//! What is said of a mailbox that was selected (RFC 9051 §6.3.2).

use super::{Access, Kind, Phase, Question, Selected, Server, State};
use crate::answer::data::write_flags;
use crate::answer::{Attribute, Code, ListEntry, NewKeywords, Status, Untagged};
use crate::{Flag, Numbers, View};
use std::fmt::Write;

/// A mailbox at the moment of its selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Its name.
    pub name: String,
    /// What LIST would say about it.
    pub attributes: Vec<Attribute>,
    /// Its identifier (RFC 8474).
    pub mailbox_id: String,
    /// Its messages.
    pub view: View,
    /// All flags that there are in it: the system's and the keywords.
    pub flags: Vec<Flag>,
    /// Whether there may be more of them.
    pub new_keywords: NewKeywords,
    /// Its incarnation.
    pub uid_validity: u32,
    /// The next message's UID.
    pub uid_next: u32,
    /// The latest change.
    pub highest_mod_seq: u64,
    /// The UID of the first message that is not seen.
    pub first_unseen: Option<u32>,
}

impl Server {
    /// Answers [`super::Request::Select`], before [`Server::finish`]: this mailbox is selected from now on. What a client that comes back is
    /// to be told (RFC 7162 §3.2.5) comes after this.
    pub fn select(&mut self, selection: Selection) {
        let access = match &self.phase {
            Phase::Asked(question) => match &**question {
                Question::Command(asked) => match asked.kind {
                    Kind::Select(access) => access,
                    _ => return debug_assert!(false, "no SELECT is in hand"),
                },
                _ => return debug_assert!(false, "no SELECT is in hand"),
            },
            _ => return debug_assert!(false, "no SELECT is in hand"),
        };
        let Selection { name, attributes, view, flags, .. } = selection;
        write_flags(&mut self.output, &flags);
        let permanent = match access {
            Access::ReadWrite => Code::PermanentFlags { flags, new: selection.new_keywords },
            Access::ReadOnly => Code::PermanentFlags { flags: Vec::new(), new: NewKeywords::MayNotBeMade },
        };
        self.say_ok("Flags permitted", permanent);
        write!(self.output, "* {} EXISTS\r\n", view.len()).expect("a buffer takes everything");
        if !self.enabled.rev2 {
            // Of revision 1. Nothing is recent here: that belongs to one session alone and helps nobody.
            self.output.extend_from_slice(b"* 0 RECENT\r\n");
            if let Some(number) = selection.first_unseen.and_then(|uid| view.number(uid)) {
                self.say_ok("First unseen", Code::Unseen(number));
            }
        }
        self.say_ok("UIDs valid", Code::UidValidity(selection.uid_validity));
        self.say_ok("Predicted next UID", Code::UidNext(selection.uid_next));
        self.say_ok("Highest", Code::HighestModSeq(selection.highest_mod_seq));
        self.say_ok("The mailbox's identifier", Code::MailboxId(selection.mailbox_id));
        if self.enabled.rev2 {
            self.tell(&Untagged::List(ListEntry { name, attributes, has_subscribed_children: false }));
        }
        self.state = State::Selected(Box::new(Selected {
            view,
            access,
            saved: Numbers::new(),
            noted: selection.highest_mod_seq,
            told: selection.highest_mod_seq,
        }));
    }

    fn say_ok(&mut self, text: &'static str, code: Code) {
        self.untagged_status(&Status::ok(text).with(code));
    }

    /// Before another mailbox is selected, or none: the one that is open is open no more (RFC 9051 §7.1, CLOSED).
    pub(super) fn leave_mailbox(&mut self) {
        if matches!(self.state, State::Selected(_)) {
            self.unselect();
            self.say_ok("The previous mailbox is closed", Code::Closed);
        }
    }
}
