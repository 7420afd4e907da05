//! LIST, LSUB and STATUS: the mailboxes of an account as a tree of names (RFC 9051 §6.3.9, RFC 5258, RFC 6154).

use super::Session;
use super::config::append_limit;
use super::select::mailbox_id;
use imap::answer::{Attribute, ListEntry, MailboxData, Status, StatusValue, Untagged};
use imap::server::{List, Server};
use imap::{ListReturn, ListSelection, StatusItem};
use std::collections::BTreeMap;
use store::{Error, INBOX, MailboxName, MailboxStatus, SEPARATOR};

impl Session {
    /// LIST.
    pub(super) async fn list(&mut self, endpoint: &mut Server, list: List) -> Result<Status, Error> {
        if list.patterns.iter().all(String::is_empty) {
            // What the separator is (RFC 9051 §6.3.9).
            endpoint.tell(&Untagged::List(ListEntry {
                name: String::new(),
                attributes: vec![Attribute::NoSelect],
                has_subscribed_children: false,
            }));
            return Ok(Status::ok("List completed"));
        }
        let store = &self.visit.context.store;
        let all = store.mailboxes(self.account()?).await?;
        let subscriptions = match list.selection.contains(&ListSelection::Subscribed) {
            true => store.subscriptions(self.account()?).await?,
            false => Vec::new(),
        };
        let tree = Tree::of(&all, &subscriptions);
        let patterns: Vec<Pattern> =
            list.patterns.iter().map(|pattern| Pattern::new(&list.reference, pattern)).collect();
        let status_items = list.returns.iter().find_map(|wanted| match wanted {
            ListReturn::Status(items) => Some(items.as_slice()),
            _ => None,
        });
        for (name, node) in &tree.nodes {
            let Some(entry) = node.entry(name, &patterns, &list) else { continue };
            endpoint.tell(&Untagged::List(entry));
            if let (Some(items), Some(status)) = (status_items, node.mailbox) {
                endpoint.tell(&Untagged::Status(self.data(status, items).await?));
            }
        }
        Ok(Status::ok("List completed"))
    }

    /// LSUB, of revision 1 (RFC 3501 §6.3.9): names that were subscribed to, whether there are such mailboxes or not.
    pub(super) async fn lsub(
        &mut self,
        endpoint: &mut Server,
        reference: &str,
        pattern: &str,
    ) -> Result<Status, Error> {
        let subscriptions = self.visit.context.store.subscriptions(self.account()?).await?;
        let pattern = Pattern::new(reference, pattern);
        let tree = Tree::of(&[], &subscriptions);
        for (name, node) in &tree.nodes {
            // A level that is none itself stands for those below it, where the pattern does not reach them.
            let stands_for_others = !node.subscribed && pattern.ends_with_level();
            if pattern.matches(name) && (node.subscribed || stands_for_others) {
                let attributes = if node.subscribed { Vec::new() } else { vec![Attribute::NoSelect] };
                endpoint.tell(&Untagged::Lsub(ListEntry {
                    name: (*name).to_owned(),
                    attributes,
                    has_subscribed_children: false,
                }));
            }
        }
        Ok(Status::ok("Lsub completed"))
    }

    /// STATUS.
    pub(super) async fn status(
        &mut self,
        endpoint: &mut Server,
        mailbox: &str,
        items: &[StatusItem],
    ) -> Result<Status, Error> {
        let name = MailboxName::new(mailbox)?;
        let status = self.visit.context.store.mailbox(self.account()?, &name).await?;
        endpoint.tell(&Untagged::Status(self.data(&status, items).await?));
        Ok(Status::ok("Status completed"))
    }

    pub(super) async fn data(
        &mut self,
        status: &MailboxStatus,
        items: &[StatusItem],
    ) -> Result<MailboxData, Error> {
        let deleted_storage = match items.contains(&StatusItem::DeletedStorage) {
            true => self.deleted_storage(status).await?,
            false => 0,
        };
        let value = |item: &StatusItem| match item {
            StatusItem::Messages => StatusValue::Messages(status.messages),
            StatusItem::UidNext => StatusValue::UidNext(status.uid_next.0),
            StatusItem::UidValidity => StatusValue::UidValidity(status.uid_validity.0),
            StatusItem::Unseen => StatusValue::Unseen(status.unseen),
            StatusItem::Deleted => StatusValue::Deleted(status.deleted),
            StatusItem::DeletedStorage => StatusValue::DeletedStorage(deleted_storage),
            StatusItem::Size => StatusValue::Size(status.bytes),
            StatusItem::Recent => StatusValue::Recent(0),
            StatusItem::HighestModSeq => StatusValue::HighestModSeq(status.highest_modseq.0),
            StatusItem::AppendLimit => {
                StatusValue::AppendLimit(append_limit(self.visit.context.message_size))
            }
            StatusItem::MailboxId => StatusValue::MailboxId(mailbox_id(status.id)),
        };
        let values = items.iter().map(value).collect();
        Ok(MailboxData { name: status.name.as_str().to_owned(), values })
    }
}

/// What LIST says about a mailbox beside others.
pub(super) fn attributes(mailbox: &MailboxStatus, all: &[MailboxStatus]) -> Vec<Attribute> {
    let has_children = all.iter().any(|other| other.name.below(&mailbox.name).is_some());
    Node { mailbox: Some(mailbox), has_children, ..Node::default() }.attributes(mailbox.subscribed)
}

/// All names, and those of levels above them that are none.
struct Tree<'a> {
    nodes: BTreeMap<&'a str, Node<'a>>,
}

#[derive(Default)]
struct Node<'a> {
    mailbox: Option<&'a MailboxStatus>,
    has_children: bool,
    /// Whether it is among the subscriptions that the tree was made with, and whether something below it is.
    subscribed: bool,
    has_subscribed_children: bool,
}

impl<'a> Tree<'a> {
    fn of(all: &'a [MailboxStatus], subscriptions: &'a [MailboxName]) -> Tree<'a> {
        let mut nodes: BTreeMap<&str, Node<'_>> = BTreeMap::new();
        for mailbox in all {
            let name = mailbox.name.as_str();
            nodes.entry(name).or_default().mailbox = Some(mailbox);
            for (at, _) in name.match_indices(SEPARATOR) {
                nodes.entry(&name[..at]).or_default().has_children = true;
            }
        }
        for name in subscriptions.iter().map(MailboxName::as_str) {
            nodes.entry(name).or_default().subscribed = true;
            for (at, _) in name.match_indices(SEPARATOR) {
                nodes.entry(&name[..at]).or_default().has_subscribed_children = true;
            }
        }
        Tree { nodes }
    }
}

impl Node<'_> {
    /// What LIST tells of it, if it is meant.
    fn entry(&self, name: &str, patterns: &[Pattern], list: &List) -> Option<ListEntry> {
        let selects = |selection: ListSelection| list.selection.contains(&selection);
        let for_subscribed = selects(ListSelection::Subscribed);
        let is_parent = selects(ListSelection::RecursiveMatch) && self.has_subscribed_children;
        let special_use = self.mailbox.and_then(|mailbox| mailbox.special_use);
        if for_subscribed && !self.subscribed && !is_parent
            || selects(ListSelection::SpecialUse) && special_use.is_none()
        {
            return None;
        }
        // A level without a mailbox is shown where the pattern ends with it (RFC 9051 §6.3.9).
        let is_something = self.mailbox.is_some() || for_subscribed;
        let matches =
            |pattern: &Pattern| pattern.matches(name) && (is_something || pattern.ends_with_level());
        if !patterns.iter().any(matches) {
            return None;
        }
        let says_subscribed = for_subscribed || list.returns.contains(&ListReturn::Subscribed);
        let subscribed = self.subscribed || self.mailbox.is_some_and(|mailbox| mailbox.subscribed);
        Some(ListEntry {
            name: name.to_owned(),
            attributes: self.attributes(says_subscribed && subscribed),
            has_subscribed_children: is_parent,
        })
    }

    fn attributes(&self, says_subscribed: bool) -> Vec<Attribute> {
        let mut attributes = Vec::new();
        if self.mailbox.is_none() {
            // The one says so to who knows it; the other implies it for those of revision 1 (RFC 9051 §7.3.1).
            attributes.extend([Attribute::NonExistent, Attribute::NoSelect]);
        }
        attributes.push(if self.has_children { Attribute::HasChildren } else { Attribute::HasNoChildren });
        if says_subscribed {
            attributes.push(Attribute::Subscribed);
        }
        let special_use = self.mailbox.and_then(|mailbox| mailbox.special_use);
        if let Some(special_use) = special_use {
            attributes.push(Attribute::Use(special_use.attribute().trim_start_matches('\\').to_owned()));
        }
        attributes
    }
}

/// A name with `*`, which stands for anything, and `%`, which stands for anything within a level.
struct Pattern(String);

impl Pattern {
    fn new(reference: &str, pattern: &str) -> Pattern {
        Pattern(format!("{reference}{pattern}"))
    }

    fn ends_with_level(&self) -> bool {
        self.0.ends_with('%')
    }

    /// Follows all ways at once, as the places in the pattern that are reached: no pattern takes longer than its length times that of the
    /// name.
    fn matches(&self, name: &str) -> bool {
        let pattern = self.0.as_bytes();
        let literals = pattern.iter().filter(|octet| !is_wildcard(**octet)).count();
        if literals > name.len() {
            return false;
        }
        let mut reached = vec![false; pattern.len() + 1];
        let mut next = reached.clone();
        reached[0] = true;
        pass_wildcards(pattern, &mut reached);
        // INBOX is INBOX in any case (RFC 9051 §5.1), also where only a part of it was written.
        let is_inbox = name.split(SEPARATOR).next() == Some(INBOX);
        for (place, octet) in name.bytes().enumerate() {
            let any_case = is_inbox && place < INBOX.len();
            next.fill(false);
            for (at, wanted) in pattern.iter().enumerate().filter(|(at, _)| reached[*at]) {
                match wanted {
                    b'*' => next[at] = true,
                    b'%' => next[at] |= octet != SEPARATOR as u8,
                    wanted if any_case => next[at + 1] |= wanted.eq_ignore_ascii_case(&octet),
                    wanted => next[at + 1] |= *wanted == octet,
                }
            }
            pass_wildcards(pattern, &mut next);
            std::mem::swap(&mut reached, &mut next);
        }
        reached[pattern.len()]
    }
}

fn is_wildcard(octet: u8) -> bool {
    matches!(octet, b'*' | b'%')
}

/// A wildcard may stand for nothing: what is behind it is reached as well.
fn pass_wildcards(pattern: &[u8], reached: &mut [bool]) {
    for (at, _) in pattern.iter().enumerate().filter(|(_, octet)| is_wildcard(**octet)) {
        reached[at + 1] |= reached[at];
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn wildcards() {
        let cases = [
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("a/*", "a/b/c", true),
            ("a*", "a", true),
            ("%/b", "a/b", true),
            ("%/c", "a/b/c", false),
            ("*c", "a/b/c", true),
            ("*%", "a/b", true),
            ("%%", "ab", true),
            ("%*%", "a/b", true),
            ("*a%/b", "xa/y/ac/b", true),
            ("a%b", "a/b", false),
            ("*/%b%", "x/y/abc", true),
            ("inbox", "INBOX", true),
            ("inbox/x", "INBOX/x", true),
            ("inb*", "INBOX", true),
            ("%box", "INBOX", true),
            ("i%x/x", "INBOX/x", true),
            ("inbox/X", "INBOX/x", false),
            ("inboxes", "INBOXES", false),
            ("a", "A", false),
            ("", "a", false),
        ];
        for (pattern, name, is_match) in cases {
            assert_eq!(Pattern::new("", pattern).matches(name), is_match, "{pattern} and {name}");
        }
        assert!(Pattern::new("a/", "%").matches("a/b"));
    }

    #[test]
    fn many_wildcards_take_no_time() {
        let name = "a".repeat(1000);
        for pattern in ["*a%".repeat(300), "%a".repeat(500), "*".repeat(1000)] {
            assert!(Pattern::new("", &pattern).matches(&name), "{pattern}");
            assert!(!Pattern::new("", &format!("{pattern}x")).matches(&name), "{pattern}");
        }
    }
}
