//! The way to mailboxes: asks the running server, or opens the store when none runs. `server::admin` is known only here and where its
//! answers are shown.

use crate::exit::Complaint;
use anyhow::bail;
use bytes::Bytes;
use server::admin::{
    AccountView, Client, DirectoryRequest, Frame, Given, Import, Item, MailboxPath, MailboxView, Mark,
    MessageView, Request, Responses,
};

/// The mail in a data directory.
#[derive(Clone, Copy)]
pub(crate) struct Mail<'a> {
    client: &'a Client,
}

/// New messages as they come.
pub(crate) struct Watch {
    responses: Responses,
}

impl Mail<'_> {
    /// The mail that `client` reaches.
    pub(crate) fn of(client: &Client) -> Mail<'_> {
        Mail { client }
    }

    /// All accounts, by name.
    pub(crate) async fn accounts(&self) -> anyhow::Result<Vec<AccountView>> {
        self.collect(Request::Accounts, |item| match item {
            Item::Account(account) => Some(account),
            _ => None,
        })
        .await
    }

    /// Asks something of the directory. What should be known besides the answer is told on standard error.
    pub(crate) async fn directory(&self, request: DirectoryRequest) -> anyhow::Result<Vec<Item>> {
        let mut items = self.client.ask(Request::Directory(request)).await?;
        for item in &items {
            if let Item::Note { text } = item {
                anstream::eprintln!("posthaste: {}", message::terminal::one_line(text));
            }
        }
        items.retain(|item| !matches!(item, Item::Note { .. }));
        Ok(items)
    }

    /// Adds an account.
    pub(crate) async fn add_account(&self, address: &str, given: Given) -> anyhow::Result<AccountView> {
        let items =
            self.directory(DirectoryRequest::AddAccount { address: address.to_owned(), given }).await?;
        match items.into_iter().next() {
            Some(Item::Account(account)) => Ok(account),
            other => bail!("the server answered with {other:?} instead of an account"),
        }
    }

    /// Removes an account with all its mail.
    pub(crate) async fn remove_account(&self, address: &str) -> anyhow::Result<()> {
        self.client.ask(Request::RemoveAccount { address: address.to_owned() }).await?;
        Ok(())
    }

    /// The account named, or else the only one there is; `None` when there is none at all.
    pub(crate) async fn account(&self, named: Option<&str>) -> anyhow::Result<Option<String>> {
        if let Some(name) = named {
            return Ok(Some(name.to_owned()));
        }
        let accounts = self.accounts().await?;
        match &accounts[..] {
            [] => Ok(None),
            [only] => Ok(Some(only.account.name.to_string())),
            many => Err(Complaint::usage(which_account(many)).into()),
        }
    }

    /// The mailboxes of an account, by name.
    pub(crate) async fn mailboxes(&self, account: &str) -> anyhow::Result<Vec<MailboxView>> {
        self.collect(Request::Mailboxes { account: account.to_owned() }, |item| match item {
            Item::Mailbox(mailbox) => Some(mailbox),
            _ => None,
        })
        .await
    }

    /// The messages of a mailbox, oldest first.
    pub(crate) async fn list(&self, mailbox: &MailboxPath) -> anyhow::Result<Vec<MessageView>> {
        self.collect(Request::List { mailbox: mailbox.clone() }, message).await
    }

    /// Reads one message; `take` gets its text piece by piece.
    pub(crate) async fn fetch(
        &self,
        mailbox: &MailboxPath,
        uid: u32,
        mark: Mark,
        mut take: impl FnMut(Bytes) -> anyhow::Result<()>,
    ) -> anyhow::Result<MessageView> {
        let mut responses =
            self.client.request(Request::Fetch { mailbox: mailbox.clone(), uid, mark }).await?;
        let mut found = None;
        while let Some(frame) = responses.next().await? {
            match frame {
                Frame::Item(item) => found = message(item).or(found),
                Frame::Content(bytes) => take(bytes)?,
            }
        }
        match found {
            Some(message) => Ok(message),
            None => bail!("the server sent no message"),
        }
    }

    /// Keeps a message from a file; returns its number, and whether it was there before.
    pub(crate) async fn import(&self, wanted: Import, text: &[u8]) -> anyhow::Result<(u32, bool)> {
        Ok(self.client.import(wanted, text).await?)
    }

    /// Removes messages; returns how many there were.
    pub(crate) async fn remove(&self, mailbox: &MailboxPath, uids: &[u32]) -> anyhow::Result<u64> {
        let request = Request::Remove { mailbox: mailbox.clone(), uids: uids.to_vec() };
        let counts = self.collect(request, |item| match item {
            Item::Removed { count } => Some(count),
            _ => None,
        });
        Ok(counts.await?.iter().sum())
    }

    /// Follows new messages, of one account or of all. Needs a running server: without one nothing comes.
    pub(crate) async fn watch(&self, account: Option<&str>) -> anyhow::Result<Watch> {
        if !self.client.has_server() {
            bail!(
                "no server is running on this data directory, so no mail can come: start one with `posthaste up`"
            );
        }
        let mut responses =
            self.client.request(Request::Watch { account: account.map(str::to_owned) }).await?;
        while let Some(frame) = responses.next().await? {
            if frame == Frame::Item(Item::Watching) {
                return Ok(Watch { responses });
            }
        }
        bail!("the server went away before it watched")
    }

    /// What `pick` takes of the items of an answer.
    async fn collect<T>(&self, request: Request, pick: impl Fn(Item) -> Option<T>) -> anyhow::Result<Vec<T>> {
        Ok(self.client.ask(request).await?.into_iter().filter_map(pick).collect())
    }
}

impl Watch {
    /// The next message; `None` when the server stops.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<MessageView>> {
        while let Some(frame) = self.responses.next().await? {
            if let Frame::Item(item) = frame
                && let Some(message) = message(item)
            {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }
}

fn message(item: Item) -> Option<MessageView> {
    match item {
        Item::Message(message) => Some(message),
        _ => None,
    }
}

/// Says that an account must be named, and which there are.
fn which_account(accounts: &[AccountView]) -> String {
    let names: Vec<&str> = accounts.iter().take(NAMED).map(|account| account.account.name.as_str()).collect();
    let more = match accounts.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("\n  and {more} more: see `posthaste user ls`"),
    };
    format!("there are {} accounts; name one with --account:\n  {}{more}", accounts.len(), names.join("\n  "))
}

/// As many accounts are named in an error.
const NAMED: usize = 10;
