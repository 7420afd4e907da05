//! `posthaste inbox mailboxes`

use crate::exit::Exit;
use crate::mail::Mail;
use crate::output::{self, Align, Column, Fit, Format, Row, Table};
use crate::units;
use anstyle::Style;
use message::terminal;
use serde::Serialize;
use server::admin::MailboxView;

pub(super) async fn run(mail: Mail<'_>, account: Option<&str>, format: Format) -> anyhow::Result<Exit> {
    let mailboxes = match account {
        Some(account) => mail.mailboxes(account).await?,
        None => Vec::new(),
    };
    match format {
        Format::Json => output::json_list(mailboxes.iter().map(Listed::new))?,
        Format::Text if mailboxes.is_empty() => output::text("There are no accounts, and so no mailboxes.")?,
        Format::Text => output::text(&table(&mailboxes).render(output::columns()))?,
    }
    Ok(Exit::Done)
}

fn table(mailboxes: &[MailboxView]) -> Table {
    let column = |title, align, fit| Column { title, align, fit };
    let row = |mailbox: &MailboxView| Row {
        cells: vec![
            terminal::one_line(&mailbox.name).into_owned(),
            mailbox.messages.to_string(),
            mailbox.unseen.to_string(),
            units::size(mailbox.bytes),
        ],
        style: Style::new(),
    };
    Table {
        columns: vec![
            column("MAILBOX", Align::Left, Fit::Shortened),
            column("MESSAGES", Align::Right, Fit::Whole),
            column("UNREAD", Align::Right, Fit::Whole),
            column("SIZE", Align::Right, Fit::Whole),
        ],
        rows: mailboxes.iter().map(row).collect(),
    }
}

/// A mailbox for programs.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    messages: u64,
    unread: u64,
    bytes: u64,
}

impl Listed<'_> {
    fn new(view: &MailboxView) -> Listed<'_> {
        let MailboxView { name, messages, unseen, bytes, .. } = view;
        Listed { name, messages: *messages, unread: *unseen, bytes: *bytes }
    }
}
