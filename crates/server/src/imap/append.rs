//! APPEND, COPY and MOVE: messages that a reader puts into a mailbox (RFC 9051 §6.3.12, §6.4.7, RFC 3502, RFC 4315, RFC 6851).

use super::{Session, marks};
use bytes::Bytes;
use imap::Numbers;
use imap::answer::{Code, Status};
use imap::server::{Append, Originals, Server};
use store::{Error, MailboxId, MailboxName, Marks, NewMessage, Stage, Timestamp, Uid};
use wire::Normaliser;

/// So many octets are taken in one act when there are several messages (RFC 3502); one alone has a bound of its own.
const TOGETHER_MAX: u64 = 1 << 30;

/// An APPEND under way.
pub(super) struct Appending {
    mailbox: MailboxId,
    messages: Vec<NewMessage>,
    /// How many octets were announced, all messages together.
    announced: u64,
    current: Option<Message>,
    /// Why it comes to nothing: the client hears of it at the end.
    failed: Option<Failure>,
}

/// Why an APPEND comes to nothing.
enum Failure {
    /// The store says so.
    Store(Error),
    /// A message has NULs, which only a mailbox for binary content could keep (RFC 3516 §4.4).
    Binary,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Store(error)
    }
}

/// The message that comes.
struct Message {
    stage: Box<dyn Stage>,
    normaliser: Normaliser,
    received: Timestamp,
    marks: Marks,
}

impl Session {
    /// A message is announced.
    pub(super) async fn append(&mut self, endpoint: &mut Server, append: Append) {
        if self.is_turned_away(endpoint).await {
            return;
        }
        match self.begin_append(append).await {
            Ok(()) => endpoint.accept(),
            Err(error) => {
                self.appending = None;
                endpoint.finish(self.said_of_target(&error));
            }
        }
    }

    async fn begin_append(&mut self, append: Append) -> Result<(), Error> {
        let marks = marks::marks(&append.flags)?;
        let store = &self.visit.context.store;
        match append.mailbox {
            Some(name) => {
                let mailbox = store.mailbox(self.account()?, &MailboxName::new(&name)?).await?;
                self.appending = Some(Box::new(Appending {
                    mailbox: mailbox.id,
                    messages: Vec::new(),
                    announced: 0,
                    current: None,
                    failed: None,
                }));
            }
            None => match &mut self.appending {
                Some(appending) if appending.messages.len() + 1 < store::APPEND_MAX => {
                    if appending.announced.saturating_add(append.length) > TOGETHER_MAX {
                        return Err(Error::Limit("octets at once".to_owned()));
                    }
                }
                _ => return Err(Error::Limit("messages at once".to_owned())),
            },
        }
        let announced = self.appending.as_ref().map_or(0, |appending| appending.announced);
        self.check_quota(announced.saturating_add(append.length)).await?;
        let store = &self.visit.context.store;
        let Some(appending) = &mut self.appending else { return Ok(()) };
        appending.announced = announced.saturating_add(append.length);
        appending.end_message().await?;
        let now = (self.visit.context.clock)();
        appending.current = Some(Message {
            stage: store.stage()?,
            normaliser: Normaliser::new(),
            received: append.date.map_or(now, Timestamp),
            marks,
        });
        Ok(())
    }

    /// Refuses what cannot fit before any of it comes: it would be refused in the end, and fill the disk until then.
    async fn check_quota(&mut self, octets: u64) -> Result<(), Error> {
        let account = self.account()?;
        let Some(standing) = self.visit.context.store.standing(account).await? else {
            return Err(Error::NoSuchAccount(account.to_string()));
        };
        let after = standing.usage.bytes.saturating_add(octets);
        match standing.allowance().bytes {
            Some(limit) if after > limit => Err(Error::OverQuota(account.to_string())),
            _ => Ok(()),
        }
    }

    /// Octets of the message come.
    pub(super) async fn append_content(&mut self, octets: Bytes) {
        let Some(appending) = &mut self.appending else { return };
        let (Some(message), None) = (&mut appending.current, &appending.failed) else { return };
        if memchr::memchr(0, &octets).is_some() {
            appending.failed = Some(Failure::Binary);
            return;
        }
        // What reads it knows CRLF alone.
        if let Err(error) = message.stage.append(message.normaliser.normalise(octets)).await {
            appending.failed = Some(error.into());
        }
    }

    /// All messages are there: they are kept, all or none, and then that is said.
    pub(super) async fn end_append(&mut self, endpoint: &mut Server) {
        let result = match self.appending.take() {
            Some(appending) => self.keep(*appending).await,
            None => Err(Error::Invalid("nothing came".to_owned()).into()),
        };
        let status = match result {
            Ok(status) => status,
            Err(Failure::Store(error)) => self.said_of_target(&error),
            Err(Failure::Binary) => Status::no("Messages with NULs are not kept here").with(Code::UnknownCte),
        };
        self.finish(endpoint, Ok(status)).await;
    }

    async fn keep(&mut self, mut appending: Appending) -> Result<Status, Failure> {
        appending.end_message().await?;
        if let Some(failure) = appending.failed {
            return Err(failure);
        }
        let appended = self.visit.context.store.append(appending.mailbox, appending.messages).await?;
        let uids: Numbers = appended.uids.iter().map(|uid| uid.0).collect();
        self.note_own(appending.mailbox, &uids);
        let code = Code::AppendUid { uid_validity: appended.uid_validity.0, uids };
        Ok(Status::ok("Append completed").with(code))
    }

    /// COPY and MOVE.
    pub(super) async fn copy(
        &mut self,
        endpoint: &mut Server,
        uids: &Numbers,
        mailbox: &str,
        originals: Originals,
    ) -> Result<Status, Error> {
        let result = self.copied(uids, mailbox, originals).await;
        let (text, code) = match result {
            Err(error @ Error::NoSuchMailbox(_)) => return Ok(self.said_of_target(&error)),
            other => other?,
        };
        Ok(match (code, originals) {
            (Some(code), Originals::Go) => {
                // RFC 6851 §4.3: it comes before the expunges.
                endpoint.tell_status(&Status::ok("Moved").with(code));
                Status::ok(text)
            }
            (Some(code), Originals::Stay) => Status::ok(text).with(code),
            (None, _) => Status::ok(text),
        })
    }

    async fn copied(
        &mut self,
        uids: &Numbers,
        mailbox: &str,
        originals: Originals,
    ) -> Result<(&'static str, Option<Code>), Error> {
        let store = &self.visit.context.store;
        let target = store.mailbox(self.account()?, &MailboxName::new(mailbox)?).await?;
        let Some(open) = &self.open else { return Ok(("Nothing to copy", None)) };
        let uids: Vec<Uid> = uids.iter().map(Uid).collect();
        let (text, originals) = match originals {
            Originals::Stay => ("Copy completed", store::Originals::Stay),
            Originals::Go => ("Move completed", store::Originals::Go),
        };
        let copied = store.copy(open.id, &uids, target.id, originals).await?;
        if copied.pairs.is_empty() {
            return Ok((text, None));
        }
        let to: Numbers = copied.pairs.iter().map(|(_, to)| to.0).collect();
        self.note_own(target.id, &to);
        let from = copied.pairs.iter().map(|(from, _)| from.0).collect();
        let code = Code::CopyUid { uid_validity: copied.uid_validity.0, from, to };
        Ok((text, Some(code)))
    }

    /// What is said of an error about the mailbox where something is to be put.
    fn said_of_target(&self, error: &Error) -> Status {
        match error {
            Error::NoSuchMailbox(_) => Status::no("There is no such mailbox").with(Code::TryCreate),
            error => self.said(error),
        }
    }
}

impl Appending {
    /// The message that came is whole.
    async fn end_message(&mut self) -> Result<(), Error> {
        if let Some(Message { mut stage, normaliser, received, marks }) = self.current.take() {
            let rest = normaliser.finish();
            if !rest.is_empty() {
                stage.append(Bytes::from_static(rest)).await?;
            }
            self.messages.push(NewMessage { stage, received, marks });
        }
        Ok(())
    }
}
