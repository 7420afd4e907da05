//! What is asked over the admin socket and what is answered, and how both are framed.
//!
//! A frame is a kind (one byte), a length (four bytes, big-endian) and a body. A connection carries one request frame from the client,
//! then answer frames until one holds [`Item::End`] or [`Item::Failed`].

use super::accounts::{AccountDetails, AliasView, DirectoryRequest, DomainView};
use super::queue::{BacklogView, DeliveryView, OrderedView, QueueRequest, StoryView};
use crate::abuse::Measure;
use crate::abuse::ban_file::HandBan;
use crate::open::{BackedUp, Stats, Totals};
use crate::settings::Network;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;
use store::{Account, Flags, Pause, Quota, Secret, Timestamp};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// How the server is. Answers: [`Item::Status`].
    Status,
    /// How much there is in the store. Answers: [`Item::Stats`].
    Stats,
    /// Brings a backup of the store up to date, or begins one. Answers: [`Item::BackedUp`], when that is done.
    Backup {
        /// Where, as a whole path: the server has another working directory.
        directory: PathBuf,
    },
    /// All accounts. Answers: [`Item::Account`] each.
    Accounts,
    /// Something about accounts, aliases or domains.
    Directory(DirectoryRequest),
    /// Something about the queue, or what became of messages.
    Queue(QueueRequest),
    /// Removes an account and all its mail.
    RemoveAccount {
        /// Its address.
        address: String,
    },
    /// The mailboxes of an account, by name. Answers: [`Item::Mailbox`] each.
    Mailboxes {
        /// Its address.
        account: String,
    },
    /// The messages in a mailbox, oldest first. Answers: [`Item::Message`] each.
    List {
        /// Which mailbox.
        mailbox: MailboxPath,
    },
    /// One message. Answers: [`Item::Message`], then its text as content.
    Fetch {
        /// Where it is.
        mailbox: MailboxPath,
        /// Which.
        uid: u32,
        /// Whether it counts as read from now on.
        mark: Mark,
    },
    /// Keeps a message from a file. Content frames with its text follow, and then an empty one. Answers: [`Item::Imported`].
    Import(Import),
    /// Removes messages. Answers: [`Item::Removed`].
    Remove {
        /// Where they are.
        mailbox: MailboxPath,
        /// Which.
        uids: Vec<u32>,
    },
    /// New messages in INBOX as they come, until the client goes. Answers: [`Item::Watching`], then [`Item::Message`] each.
    Watch {
        /// Whose; everybody's when `None`.
        account: Option<String>,
    },
    /// All bans in force. Answers: [`Item::Ban`] each.
    Bans,
    /// Bans a network by hand.
    AddBan {
        /// The ban.
        ban: HandBan,
    },
    /// Lifts the ban of a network, and those that the server made of hosts in it. Answers: [`Item::Removed`].
    RemoveBan {
        /// The network.
        network: Network,
    },
}

/// A mailbox, by names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxPath {
    /// The address of the account that it belongs to.
    pub account: String,
    /// Its name within the account, as in [`store::MailboxName`].
    pub mailbox: String,
}

/// A message from a file, but for its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Where it goes; a mailbox that is missing is made.
    pub mailbox: MailboxPath,
    /// When it came to where it was.
    pub received: Timestamp,
    /// Its flags.
    pub flags: Flags,
    /// Its keywords, as in [`store::Keyword`].
    pub keywords: Vec<String>,
    /// The messages of the mailbox that it may be the same as: when one has its text, it is not kept again.
    pub candidates: Vec<u32>,
}

/// Whether fetching a message marks it as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It does.
    Seen,
    /// It does not.
    Nothing,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "item", rename_all = "snake_case")]
pub enum Item {
    /// How the server is.
    Status(Status),
    /// How much there is in the store.
    Stats(StoreStats),
    /// A backup is made.
    BackedUp(BackupView),
    /// An account.
    Account(AccountView),
    /// All about an account but its mail.
    Details(Box<AccountDetails>),
    /// An alias.
    Alias(AliasView),
    /// A domain.
    Domain(DomainView),
    /// A password that was made, told this once.
    Secret {
        /// The password.
        secret: Secret,
    },
    /// It was done, and something about it should be known.
    Note {
        /// What.
        text: String,
    },
    /// A mailbox.
    Mailbox(MailboxView),
    /// A message.
    Message(MessageView),
    /// From now on new messages are reported.
    Watching,
    /// A queued delivery.
    Delivery(Box<DeliveryView>),
    /// What is queued for a destination.
    Backlog(Box<BacklogView>),
    /// The story of a message.
    Story(Box<StoryView>),
    /// A pause.
    Pause(Pause),
    /// What an order was about.
    Ordered(OrderedView),
    /// A ban.
    Ban(BanView),
    /// A message is kept.
    Imported {
        /// Its number.
        uid: u32,
        /// It was there before.
        was_there: bool,
    },
    /// How many messages, bans or pauses were removed.
    Removed {
        /// The number.
        count: u64,
    },
    /// It did not work.
    Failed {
        /// Why.
        message: String,
    },
    /// That was all.
    End,
}

/// How a server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// When it started.
    pub started: Timestamp,
    /// Where it listens, as `smtp 127.0.0.1:2525`.
    pub listeners: Vec<String>,
    /// Open connections.
    pub connections: usize,
    /// Why it accepts no mail, when it does not.
    pub trouble: Option<String>,
    /// What the store holds; `None` when it cannot be asked.
    pub store: Option<StoreTotals>,
    /// Why space of what is dead is not given back, when it is not.
    #[serde(default)]
    pub unreclaimed: Option<String>,
}

/// What a store holds, in figures that cost nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreTotals {
    /// Accounts.
    pub accounts: u64,
    /// Messages in mailboxes; one for several accounts counts for each.
    pub messages: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Deliveries in the queue.
    pub queued: u64,
    /// Those of them whose records could not be read when that was last tried.
    #[serde(default)]
    pub unreadable: u64,
    /// What the file system can still take, in bytes.
    pub free: u64,
    /// With less free space than this, in bytes, no mail is accepted.
    pub reserve: u64,
}

/// How much there is in a store. Lengths are in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStats {
    /// Why space of what is dead is not given back, when it is not.
    #[serde(default)]
    pub unreclaimed: Option<String>,
    /// Accounts.
    pub accounts: u64,
    /// Aliases.
    pub aliases: u64,
    /// Domains.
    pub domains: u64,
    /// Messages that are queued or in a mailbox.
    pub messages: u64,
    /// Deliveries in the queue.
    pub queued: u64,
    /// Segments of the log.
    pub segments: u64,
    /// How long their files are.
    pub log_bytes: u64,
    /// Records that are needed.
    pub live_bytes: u64,
    /// Records of messages that nothing names any more.
    pub dead_bytes: u64,
    /// Messages whose content is in a file of its own.
    pub large_files: u64,
    /// How long those contents are together.
    pub large_bytes: u64,
    /// How long the index is.
    pub index_bytes: u64,
}

/// What a backup has done. Lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupView {
    /// When it was begun: it holds what was acknowledged then.
    pub made: Timestamp,
    /// Files that the backup holds.
    pub files: u64,
    /// Their length together.
    pub bytes: u64,
    /// Those that were copied, because they were not there yet.
    pub copied_files: u64,
    /// Their length together.
    pub copied_bytes: u64,
    /// Files of earlier backups that were removed.
    pub removed_files: u64,
}

/// An account, with what its INBOX holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// The account.
    #[serde(flatten)]
    pub account: Account,
    /// Messages in INBOX.
    pub messages: u64,
    /// Those not read.
    pub unseen: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// How much it may hold, as far as that was set for it.
    pub quota: Quota,
    /// How much an account may hold for which nothing is set; only a running server knows.
    pub default_quota: Option<Quota>,
}

/// A ban that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanView {
    /// Who.
    pub network: Network,
    /// Until when; without an end when `None`.
    pub until: Option<Timestamp>,
    /// Why.
    pub cause: BanCause,
}

/// Why there is a ban.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum BanCause {
    /// An operator made it.
    ByHand {
        /// When.
        added: Timestamp,
        /// Why; may be empty.
        reason: String,
    },
    /// The server made it.
    Automatic {
        /// For too many of these.
        measure: Measure,
    },
}

/// A message as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageView {
    /// Whose.
    pub account: String,
    /// Its number in the mailbox.
    pub uid: u32,
    /// When it came.
    pub received: Timestamp,
    /// Its size in bytes.
    pub size: u64,
    /// Its flags.
    pub flags: Flags,
    /// The accepted message's id, as in the server's reply and log.
    pub id: String,
    /// From whom, decoded.
    pub from: String,
    /// To whom, decoded.
    pub to: String,
    /// About what, decoded.
    pub subject: String,
    /// The Date field, when it has one that can be read.
    pub date: Option<Timestamp>,
    /// How the text begins.
    pub preview: String,
}

/// A mailbox as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxView {
    /// Its name.
    pub name: String,
    /// Its incarnation (UIDVALIDITY): what is made anew under the same name has another.
    pub uid_validity: u32,
    /// How many messages.
    pub messages: u64,
    /// How many of them are not seen.
    pub unseen: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

impl MailboxPath {
    /// An account's INBOX.
    pub fn inbox(account: &str) -> MailboxPath {
        MailboxPath { account: account.to_owned(), mailbox: store::INBOX.to_owned() }
    }
}

impl From<Totals> for StoreTotals {
    fn from(totals: Totals) -> StoreTotals {
        let Totals { accounts, messages, bytes, queued, unreadable, free, reserve } = totals;
        StoreTotals { accounts, messages, bytes, queued, unreadable, free, reserve }
    }
}

impl From<BackedUp> for BackupView {
    fn from(done: BackedUp) -> BackupView {
        let BackedUp { made, files, bytes, copied_files, copied_bytes, removed_files } = done;
        BackupView { made, files, bytes, copied_files, copied_bytes, removed_files }
    }
}

impl From<Stats> for StoreStats {
    fn from(stats: Stats) -> StoreStats {
        // By name, so that a new figure cannot be forgotten here.
        let Stats {
            accounts,
            aliases,
            domains,
            segments,
            log_bytes,
            live_bytes,
            dead_bytes,
            messages,
            queued,
            large_files,
            large_bytes,
            index_bytes,
        } = stats;
        StoreStats {
            unreclaimed: None,
            accounts,
            aliases,
            domains,
            messages,
            queued,
            segments,
            log_bytes,
            live_bytes,
            dead_bytes,
            large_files,
            large_bytes,
            index_bytes,
        }
    }
}

/// One frame of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Something to know.
    Item(Item),
    /// The next bytes of a message.
    Content(Bytes),
}

/// A request is no larger than this: some hundred thousand message numbers.
const REQUEST_MAX: u32 = 1 << 20;
/// An answer frame is no larger than this.
const FRAME_MAX: u32 = 4 << 20;

const KIND_JSON: u8 = b'J';
const KIND_CONTENT: u8 = b'C';

/// Writes a request.
pub async fn write_request(to: &mut (impl AsyncWrite + Unpin), request: &Request) -> io::Result<()> {
    write_frame(to, KIND_JSON, &serde_json::to_vec(request)?).await
}

/// Reads a request; `None` when the client sent none.
pub async fn read_request(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Request>> {
    match read_frame(from, REQUEST_MAX).await? {
        None => Ok(None),
        Some((KIND_JSON, body)) => Ok(Some(serde_json::from_slice(&body)?)),
        Some((kind, _)) => Err(unknown(kind)),
    }
}

/// Writes one frame of an answer.
pub async fn write_answer(to: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> io::Result<()> {
    match frame {
        Frame::Item(item) => write_frame(to, KIND_JSON, &serde_json::to_vec(item)?).await,
        Frame::Content(bytes) => write_frame(to, KIND_CONTENT, bytes).await,
    }
}

/// Reads one frame of an answer; `None` when the server went away.
pub async fn read_answer(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    match read_frame(from, FRAME_MAX).await? {
        None => Ok(None),
        Some((KIND_JSON, body)) => Ok(Some(Frame::Item(serde_json::from_slice(&body)?))),
        Some((KIND_CONTENT, body)) => Ok(Some(Frame::Content(body.into()))),
        Some((kind, _)) => Err(unknown(kind)),
    }
}

/// Writes some of the text of a message that is imported; an empty piece ends it.
pub(super) async fn write_content(to: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> io::Result<()> {
    write_frame(to, KIND_CONTENT, piece).await
}

/// Reads some of it; an empty piece ends it.
pub(super) async fn read_content(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    match read_frame(from, FRAME_MAX).await? {
        Some((KIND_CONTENT, body)) => Ok(body.into()),
        Some((kind, _)) => Err(unknown(kind)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn write_frame(to: &mut (impl AsyncWrite + Unpin), kind: u8, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(|_| io::Error::other("an answer is over 4 GiB"))?;
    let mut head = [kind, 0, 0, 0, 0];
    head[1..].copy_from_slice(&length.to_be_bytes());
    to.write_all(&head).await?;
    to.write_all(body).await?;
    to.flush().await
}

async fn read_frame(from: &mut (impl AsyncRead + Unpin), max: u32) -> io::Result<Option<(u8, Vec<u8>)>> {
    let kind = match from.read_u8().await {
        Ok(kind) => kind,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = from.read_u32().await?;
    if length > max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a frame of {length} bytes; at most {max}"),
        ));
    }
    let mut body = vec![0; length as usize];
    from.read_exact(&mut body).await?;
    Ok(Some((kind, body)))
}

fn unknown(kind: u8) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("an unknown kind of frame: {kind:#04x}"))
}

/// As much of the beginning of a message's text as its [`MessageView`] is made from, in bytes.
pub const SUMMARY_BYTES: usize = 16 * 1024;
