//! THREAD: messages with the answers to them (RFC 5256 §3).
//!
//! Threads may be as deep as the mailbox is long, so nothing here is recursive: messages are places in a list, with the place of the one that
//! they answer.

use super::sort::sent;
use super::{Session, cut};
use crate::reading::Ahead;
use imap::answer::{Status, Threaded};
use imap::server::Server;
use imap::{SearchKey, ThreadAlgorithm};
use message::{Limits, Structure, encoded_word, subject};
use std::collections::HashMap;
use store::Error;

/// A message, or one that is only spoken of.
struct Node {
    uid: Option<u32>,
    /// When it was sent; of one that is missing, when the first of its answers was.
    sent: i64,
    /// The base subject, and whether it is one of an answer.
    subject: (String, bool),
    parent: Option<usize>,
    /// Whether another one ever had it as its parent.
    has_answers: bool,
}

impl Session {
    /// THREAD.
    pub(super) async fn thread(
        &mut self,
        endpoint: &mut Server,
        algorithm: ThreadAlgorithm,
        key: SearchKey,
    ) -> Result<Status, Error> {
        let found = self.matching(endpoint, &key).await?;
        let mut messages = Vec::with_capacity(found.len());
        let mut ahead = Ahead::default();
        for (at, entry) in found.iter().enumerate() {
            let header = self.header(&mut ahead, &found[at..]).await?;
            messages.push(Message::of(entry.uid.0, entry.received.0, &header));
        }
        endpoint.threads(&threads(messages, algorithm));
        Ok(Status::ok("Thread completed"))
    }
}

/// As many references of a message are looked at, the last ones.
const REFERENCES_MAX: usize = 100;

/// What threads are made of.
pub(super) struct Message {
    uid: u32,
    sent: i64,
    subject: (String, bool),
    id: Option<String>,
    references: Vec<String>,
}

impl Message {
    /// The message with this header section, which was received then (milliseconds since 1970).
    pub(super) fn of(uid: u32, received: i64, header: &[u8]) -> Message {
        let structure = Structure::of(header, &Limits::default());
        let field = |name: &'static str| structure.root().header.value(header, name).unwrap_or_default();
        let title = subject::base(&encoded_word::decode(&field("Subject")));
        let mut references = identifiers(&field("References"));
        // The nearest count: nobody shall be able to make this slow.
        references.drain(..references.len().saturating_sub(REFERENCES_MAX));
        let references = match references.is_empty() {
            true => identifiers(&field("In-Reply-To")).into_iter().take(1).collect(),
            false => references,
        };
        Message {
            uid,
            sent: sent(header, &structure).unwrap_or(received),
            subject: (title.text.to_lowercase(), title.is_reply),
            id: identifiers(&field("Message-ID")).into_iter().next(),
            references,
        }
    }
}

/// The threads of these messages.
pub(super) fn threads(messages: Vec<Message>, algorithm: ThreadAlgorithm) -> Vec<Threaded> {
    match algorithm {
        ThreadAlgorithm::OrderedSubject => by_subject(messages),
        ThreadAlgorithm::References => by_references(messages),
    }
}

/// The identifiers in a field: `<…>`, without white space.
fn identifiers(value: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(value);
    let parts = text.split('<').skip(1).filter_map(|part| part.split_once('>'));
    parts.map(|(id, _)| cut(id).split_whitespace().collect()).collect()
}

/// ORDEREDSUBJECT: the first message of a subject, and all others of it as answers.
fn by_subject(mut messages: Vec<Message>) -> Vec<Threaded> {
    messages.sort_by_key(|message| (message.sent, message.uid));
    let mut threads: Vec<Vec<u32>> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for Message { uid, subject: (subject, _), .. } in messages {
        let place = *known.entry(subject).or_insert(threads.len());
        if place == threads.len() {
            threads.push(Vec::new());
        }
        threads[place].push(uid);
    }
    let depth = |place: usize| u32::from(place > 0);
    let threads = threads.into_iter().flat_map(|uids| {
        uids.into_iter().enumerate().map(move |(place, uid)| Threaded { depth: depth(place), uid: Some(uid) })
    });
    threads.collect()
}

/// REFERENCES.
fn by_references(messages: Vec<Message>) -> Vec<Threaded> {
    let mut nodes = linked(messages);
    let children = order(&mut nodes);
    let roots = grouped(&nodes, &children);
    told(&nodes, &children, roots)
}

/// Steps 1 and 2: each message with the one that it answers; what is spoken of and is not there gets a place as well.
fn linked(messages: Vec<Message>) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for message in messages {
        let next = nodes.len();
        let place = message.id.map_or(next, |id| *known.entry(id).or_insert(next));
        // It may have been spoken of before. A second message of the same identifier is another one.
        let is_new = place == next || nodes[place].uid.is_some();
        let place = if is_new { next } else { place };
        if is_new {
            nodes.push(Node::missing());
        }
        (nodes[place].uid, nodes[place].sent, nodes[place].subject) =
            (Some(message.uid), message.sent, message.subject);
        let mut before: Option<usize> = None;
        for id in message.references {
            let next = *known.entry(id).or_insert(nodes.len());
            if next == nodes.len() {
                nodes.push(Node::missing());
            }
            if let Some(before) = before
                && nodes[next].parent.is_none()
            {
                link(&mut nodes, before, next);
            }
            before = Some(next);
        }
        // What this message says of itself counts more than what others said.
        nodes[place].parent = None;
        if let Some(parent) = before {
            link(&mut nodes, parent, place);
        }
    }
    nodes
}

impl Node {
    fn missing() -> Node {
        Node { uid: None, sent: i64::MAX, subject: (String::new(), false), parent: None, has_answers: false }
    }
}

/// Something with answers is put below as many others; where there are more it begins a thread.
const DEPTH_MAX: usize = 500;

/// Makes one the answer of another, unless that would be a circle.
fn link(nodes: &mut [Node], parent: usize, child: usize) {
    if parent == child {
        return;
    }
    // What has no answers is above nothing. A thread in its order is never walked.
    if nodes[child].has_answers {
        let mut line = std::iter::successors(Some(parent), |place| nodes[*place].parent);
        if line.by_ref().take(DEPTH_MAX).any(|place| place == child) || line.next().is_some() {
            return;
        }
    }
    nodes[child].parent = Some(parent);
    nodes[parent].has_answers = true;
}

/// Steps 3, 4 and 6: those that are missing are left out, but for the ones that hold several threads together; returns the answers of each in
/// the order of time, and of none at the end.
fn order(nodes: &mut [Node]) -> Vec<Vec<usize>> {
    let none = nodes.len();
    // The nearest one above that is there.
    for place in 0..nodes.len() {
        let mut above = nodes[place].parent;
        while let Some(parent) = above.filter(|parent| nodes[*parent].uid.is_none()) {
            match nodes[parent].parent {
                // At the top it may have several answers.
                None => break,
                next => above = next,
            }
        }
        // The same holds for those between: nothing is walked twice.
        let mut below = Some(place);
        while let Some(between) = below {
            below = nodes[between].parent.filter(|next| Some(*next) != above);
            nodes[between].parent = above;
        }
    }
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); none + 1];
    for (place, node) in nodes.iter().enumerate().filter(|(_, node)| node.uid.is_some()) {
        children[node.parent.unwrap_or(none)].push(place);
    }
    for parent in 0..none {
        if nodes[parent].uid.is_none() {
            let answers = std::mem::take(&mut children[parent]);
            match answers.len() {
                0 => {}
                1 => children[none].push(answers[0]),
                _ => {
                    let first = answers.iter().copied().min_by_key(|place| nodes[*place].sent);
                    if let Some(first) = first {
                        nodes[parent].sent = nodes[first].sent;
                        nodes[parent].subject = nodes[first].subject.clone();
                    }
                    children[parent] = answers;
                    children[none].push(parent);
                }
            }
        }
    }
    for answers in &mut children {
        answers.sort_by_key(|place| (nodes[*place].sent, nodes[*place].uid));
    }
    children
}

/// Step 5: threads of one subject are put together: lists of those that begin a thread, the first with all others as answers.
fn grouped(nodes: &[Node], children: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut threads: Vec<Vec<usize>> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for root in &children[nodes.len()] {
        let (subject, is_reply) = &nodes[*root].subject;
        match known.get(subject.as_str()) {
            // What is no answer begins a thread of its own, unless the one before was an answer only.
            Some(place) if *is_reply || nodes[threads[*place][0]].uid.is_none() => {
                threads[*place].push(*root)
            }
            _ => {
                if !subject.is_empty() {
                    known.insert(subject, threads.len());
                }
                threads.push(vec![*root]);
            }
        }
    }
    threads
}

/// Each message before its answers.
fn told(nodes: &[Node], children: &[Vec<usize>], threads: Vec<Vec<usize>>) -> Vec<Threaded> {
    let mut told = Vec::with_capacity(nodes.len());
    for roots in threads {
        let Some((first, others)) = roots.split_first() else { continue };
        let mut ahead: Vec<(usize, u32)> = others.iter().rev().map(|place| (*place, 1)).collect();
        ahead.push((*first, 0));
        while let Some((place, depth)) = ahead.pop() {
            told.push(Threaded { depth, uid: nodes[place].uid });
            // Answers to the first one come before those that were only put to it.
            ahead.extend(children[place].iter().rev().map(|child| (*child, depth + 1)));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::{Message, by_references};

    /// Answers to each other, each to the one before it.
    fn answers(count: u32) -> Vec<Message> {
        let message = |uid: u32| Message {
            uid,
            sent: i64::from(uid),
            subject: (String::new(), false),
            id: Some(uid.to_string()),
            references: if uid == 1 { Vec::new() } else { vec![(uid - 1).to_string()] },
        };
        (1..=count).map(message).collect()
    }

    #[test]
    fn deep_threads_take_no_time() {
        let mut messages = answers(200_000);
        let threads = by_references(answers(200_000));
        assert!(
            threads
                .iter()
                .enumerate()
                .all(|(at, told)| (told.depth, told.uid) == (at as u32, Some(at as u32 + 1)))
        );
        // The answers come first.
        messages.reverse();
        assert_eq!(by_references(messages), threads);
    }

    #[test]
    fn long_lines_of_missing_messages_take_no_time() {
        // The first of each names many that are not there, the last of which stands before those of the message before.
        let name = |message: u32, place: u32| format!("{}", (3000 - message) * 99 + place);
        let message = |uid: u32| Message {
            uid,
            sent: i64::from(uid),
            subject: (String::new(), false),
            id: None,
            references: (0..100).map(|place| name(uid, place)).collect(),
        };
        let threads = by_references((1..=3000).map(message).collect());
        assert_eq!((threads.len(), threads[0].uid), (3001, None));
        assert!(threads[1..].iter().all(|told| told.depth == 1));
    }

    #[test]
    fn circles_are_not_closed() {
        let mut messages = answers(3);
        messages[0].references.push("3".to_owned());
        messages[1].references.push("2".to_owned());
        let mut uids: Vec<_> = by_references(messages).into_iter().filter_map(|told| told.uid).collect();
        uids.sort_unstable();
        assert_eq!(uids, [1, 2, 3]);
    }
}
