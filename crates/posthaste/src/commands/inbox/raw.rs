//! `posthaste inbox raw`

use crate::exit::Exit;
use crate::mail::Mail;
use server::admin::{MailboxPath, Mark};
use std::io::{self, Write};

/// The bytes go out as they are, also to a terminal: that is what was asked for.
pub(super) async fn run(mail: Mail<'_>, mailbox: &MailboxPath, number: u32) -> anyhow::Result<Exit> {
    let mut out = io::stdout().lock();
    mail.fetch(mailbox, number, Mark::Nothing, |piece| Ok(out.write_all(&piece)?)).await?;
    out.flush()?;
    Ok(Exit::Done)
}
