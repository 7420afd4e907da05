//! An account on an IMAP server. It is only read: mailboxes are examined and not selected, and nothing counts as read afterwards.

use super::url::{ImapUrl, Scheme};
use anyhow::{Context, anyhow, bail};
use async_imap::error::Error;
use async_imap::imap_proto::{Response, Status};
use async_imap::types::{Fetch, Flag, Name, NameAttribute};
use async_imap::{Authenticator, Client, Session};
use futures_util::StreamExt;
use server::tls::{Connector, HandshakeError, Stream, Transport, Trust};
use std::time::Duration;
use store::{Flags, Secret, Timestamp};
use tokio::net::TcpStream;

/// How the connection is protected.
pub(super) enum Protection {
    /// With TLS, whose certificate is judged so.
    Tls(Trust),
    /// Not at all.
    None,
}

/// An account that somebody is logged in to.
pub(super) struct Account {
    session: Session<Stream<TcpStream>>,
}

/// A mailbox there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    /// As the server writes it.
    wire_name: String,
    /// As it is called here: UTF-8, with `/` between levels.
    pub(super) name: String,
}

/// The messages of a mailbox.
pub(super) struct Listing {
    /// The mailbox's incarnation.
    pub(super) uid_validity: u32,
    /// What is in it, by UID.
    pub(super) messages: Vec<Remote>,
}

/// A message there, without its text.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    pub(super) uid: u32,
    /// In octets, as the server says.
    pub(super) size: u32,
    /// Its INTERNALDATE.
    pub(super) received: Option<Timestamp>,
    pub(super) flags: Flags,
    pub(super) keywords: Vec<String>,
}

impl Account {
    /// Connects and logs in.
    pub(super) async fn open(
        url: &ImapUrl,
        protection: &Protection,
        password: &Secret,
    ) -> anyhow::Result<Account> {
        let server = format!("{}:{}", url.host, url.port);
        let connected = in_time(TcpStream::connect(&server)).await?;
        let stream = connected.with_context(|| format!("cannot connect to {server}"))?;
        let (trust, scheme) = match protection {
            Protection::Tls(trust) => (Some(trust), Some(url.scheme)),
            Protection::None => (None, None),
        };
        let connector = trust.map(|trust| Connector::new(&url.host, trust)).transpose()?;
        let mut stream = Stream::connected(stream, connector);
        if scheme == Some(Scheme::Imaps) {
            stream.secure().await.map_err(|error| no_tls(&server, &error))?;
        }
        let mut client = Client::new(stream);
        greeting(&mut client).await.with_context(|| format!("{server} does not greet as an IMAP server"))?;
        if scheme == Some(Scheme::Imap) {
            let started = in_time(client.run_command_and_check_ok("STARTTLS", None)).await?;
            plainly(started).context(
                "the server does not offer TLS; --tls none sends the password and all mail in clear",
            )?;
            // What came in clear behind the answer goes with the client.
            let mut stream = client.into_inner();
            stream.secure().await.map_err(|error| no_tls(&server, &error))?;
            client = Client::new(stream);
        }
        let session = log_in(client, &url.user, password).await?;
        Ok(Account { session })
    }

    /// The mailboxes that can hold messages, by name.
    pub(super) async fn folders(&mut self) -> anyhow::Result<Vec<Folder>> {
        let names = plainly(in_time(self.session.list(Some(""), Some("*"))).await?)?;
        let names = gather(names).await.context("cannot list the mailboxes")?;
        let mut folders: Vec<Folder> =
            names.iter().filter(|name| has_messages(name)).map(Folder::of).collect();
        folders.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(folders)
    }

    /// Goes to a mailbox, and says what is in it.
    pub(super) async fn examine(&mut self, folder: &Folder) -> anyhow::Result<Listing> {
        let failed = || format!("cannot read the mailbox {}", folder.name);
        let mailbox =
            plainly(in_time(self.session.examine(&folder.wire_name)).await?).with_context(failed)?;
        let uid_validity = mailbox.uid_validity.unwrap_or(0);
        if mailbox.exists == 0 {
            return Ok(Listing { uid_validity, messages: Vec::new() });
        }
        let items = "(UID FLAGS INTERNALDATE RFC822.SIZE)";
        let fetched = plainly(in_time(self.session.uid_fetch("1:*", items)).await?).with_context(failed)?;
        let mut messages: Vec<Remote> =
            gather(fetched).await.with_context(failed)?.iter().filter_map(Remote::of).collect();
        messages.sort_by_key(|message| message.uid);
        messages.dedup_by_key(|message| message.uid);
        Ok(Listing { uid_validity, messages })
    }

    /// The texts of these messages of the mailbox last examined, as they come. Those that are gone by now are missing.
    pub(super) async fn texts(
        &mut self,
        uids: &[u32],
        mut take: impl AsyncFnMut(u32, &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let set = uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let fetched = plainly(in_time(self.session.uid_fetch(set, "(UID BODY.PEEK[])")).await?)?;
        let mut fetched = std::pin::pin!(fetched);
        while let Some(message) = in_time(fetched.next()).await? {
            let message = plainly(message)?;
            if let (Some(uid), Some(text)) = (message.uid, message.body()) {
                take(uid, text).await?;
            }
        }
        Ok(())
    }

    /// Takes leave.
    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        plainly(in_time(self.session.logout()).await?)
    }
}

async fn greeting(client: &mut Client<Stream<TcpStream>>) -> anyhow::Result<()> {
    let response = in_time(client.read_response()).await?;
    let response = plainly(response.map_err(Error::from).and_then(|said| said.ok_or(Error::ConnectionLost)))?;
    match response.parsed() {
        Response::Data { status: Status::Ok, .. } => Ok(()),
        Response::Data { status: Status::Bye, outcome } => {
            bail!("it takes leave: {}", outcome.information.as_deref().unwrap_or("and does not say why"))
        }
        _ => bail!("what it says first is no greeting"),
    }
}

/// Logs in by the mechanism PLAIN, because LOGIN cannot carry everything that a password may be, and by LOGIN where that is all there is.
async fn log_in(
    client: Client<Stream<TcpStream>>,
    user: &str,
    password: &Secret,
) -> anyhow::Result<Session<Stream<TcpStream>>> {
    let client = match in_time(client.authenticate("PLAIN", Plain { user, password })).await? {
        Ok(session) => return Ok(session),
        Err((Error::No(_) | Error::Bad(_), client)) => client,
        Err((error, _)) => return plainly(Err(error)),
    };
    let session = in_time(client.login(user, password.reveal())).await?;
    plainly(session.map_err(|(error, _)| error)).with_context(|| format!("{user} cannot log in"))
}

/// An answer of the server, or what it says instead: the library has that as Rust writes it for programmers.
fn plainly<T>(answer: Result<T, Error>) -> anyhow::Result<T> {
    answer.map_err(|error| match error {
        Error::No(text) | Error::Bad(text) => match quoted(&text) {
            Some(words) => anyhow!("the server says: {words}"),
            None => anyhow!("the server refuses, and does not say why"),
        },
        Error::Io(error) => error.into(),
        Error::ConnectionLost => anyhow!("the server closed the connection"),
        other => other.into(),
    })
}

/// The words in `code: …, info: Some("…")`.
fn quoted(text: &str) -> Option<String> {
    let (_, information) = text.split_once("info: Some(\"")?;
    let words = information.strip_suffix("\")")?;
    Some(words.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// Says that no handshake came of it, and what helps.
fn no_tls(server: &str, error: &HandshakeError) -> anyhow::Error {
    let said = error.to_string();
    let hint = crate::commands::send::trust_hint(&said).unwrap_or("");
    anyhow!("no TLS with {server}: {said}{hint}")
}

/// The mechanism PLAIN (RFC 4616).
struct Plain<'a> {
    user: &'a str,
    password: &'a Secret,
}

impl Authenticator for Plain<'_> {
    type Response = String;

    fn process(&mut self, _challenge: &[u8]) -> String {
        format!("\0{}\0{}", self.user, self.password.reveal())
    }
}

impl Folder {
    fn of(name: &Name) -> Folder {
        let wire_name = name.name().to_owned();
        // A server of the revision 2 may write UTF-8 as it is.
        let plain = imap::utf7::decode(&wire_name).unwrap_or_else(|| wire_name.clone());
        let name = match name.delimiter() {
            Some("/") | None => plain,
            Some(delimiter) => plain.replace('/', "_").replace(delimiter, "/"),
        };
        let name = if name.eq_ignore_ascii_case(store::INBOX) { store::INBOX.to_owned() } else { name };
        Folder { wire_name, name }
    }
}

fn has_messages(name: &Name) -> bool {
    let none = [NameAttribute::NoSelect, NameAttribute::Extension("\\NonExistent".into())];
    !name.attributes().iter().any(|attribute| none.contains(attribute))
}

impl Remote {
    fn of(fetched: &Fetch) -> Option<Remote> {
        let flag = |flag: Flag<'_>| match flag {
            Flag::Seen => Flags::SEEN,
            Flag::Answered => Flags::ANSWERED,
            Flag::Flagged => Flags::FLAGGED,
            Flag::Deleted => Flags::DELETED,
            Flag::Draft => Flags::DRAFT,
            Flag::Recent | Flag::MayCreate | Flag::Custom(_) => Flags::default(),
        };
        // What is none here, as `\\Something` that only that server knows, stays behind.
        let keyword = |flag: Flag<'_>| match flag {
            Flag::Custom(keyword) => store::Keyword::new(&keyword).is_ok().then(|| keyword.into_owned()),
            _ => None,
        };
        Some(Remote {
            uid: fetched.uid?,
            size: fetched.size.unwrap_or(0),
            received: fetched.internal_date().map(|date| Timestamp(date.timestamp_millis())),
            flags: fetched.flags().map(flag).fold(Flags::default(), Flags::with),
            keywords: fetched.flags().filter_map(keyword).collect(),
        })
    }
}

/// All of an answer.
async fn gather<T>(answer: impl futures_util::Stream<Item = Result<T, Error>>) -> anyhow::Result<Vec<T>> {
    let mut answer = std::pin::pin!(answer);
    let mut all = Vec::new();
    while let Some(item) = in_time(answer.next()).await? {
        all.push(plainly(item)?);
    }
    Ok(all)
}

/// What a server that lives says sooner or later.
async fn in_time<T>(answer: impl Future<Output = T>) -> anyhow::Result<T> {
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    answer.map_err(|_| anyhow!("the server has said nothing for {} seconds", PATIENCE.as_secs()))
}

/// A large message on a slow line, or a server that has to look at every message, may take a while.
const PATIENCE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_shown_as_it_says_it() {
        let no = |text: &str| Err::<(), _>(Error::No(text.to_owned()));
        let said = |text: &str| plainly(no(text)).expect_err("it is an error").to_string();
        let wrong = r#"code: Some(AuthenticationFailed), info: Some("\"ann\" is unknown")"#;
        assert_eq!(said(wrong), r#"the server says: "ann" is unknown"#);
        assert_eq!(said("code: None, info: None"), "the server refuses, and does not say why");
    }
}
