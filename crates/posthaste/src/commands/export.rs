//! `posthaste export`: the mail of an account into files of other programs.

use super::{Needs, with_client};
use crate::exit::Exit;
use crate::files::{Label, eml, maildir, mbox};
use crate::mail::Mail;
use crate::output::{self, Format, FormatArgs, Progress, Unit};
use crate::paths::DataArgs;
use anyhow::{Context, bail};
use serde::Serialize;
use server::admin::{Mark, MessageView};
use std::io;
use std::path::PathBuf;

/// Write the mail of an account into an mbox, a Maildir or .eml files
///
/// Works while the server runs, and when none does; nothing changes in the account. Flags and times of arrival go along. An mbox appears
/// when it is whole; in a directory messages that an earlier export has written are left as they are.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Whose mail; not needed when there is one account only
    #[arg(long, value_name = "ADDRESS")]
    account: Option<String>,
    #[command(flatten)]
    to: Place,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// Where the mail is or goes.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Place {
    /// All messages in one file (mboxrd)
    #[arg(long, value_name = "FILE")]
    pub(crate) mbox: Option<PathBuf>,
    /// A file for each message, with flags in its name
    #[arg(long, value_name = "DIR")]
    pub(crate) maildir: Option<PathBuf>,
    /// A directory with an .eml file for each message
    #[arg(long, value_name = "DIR")]
    pub(crate) eml: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  posthaste export --mbox mail.mbox
  posthaste export --account alice@example.org --maildir ~/Maildir
  posthaste export --account alice@example.org --eml backup";

/// What came of it.
#[derive(Debug, Serialize)]
struct Outcome {
    account: String,
    exported: u64,
    there_before: u64,
}

enum Writer {
    Mbox(mbox::Writer),
    Maildir(maildir::Writer),
    Eml(eml::Writer),
}

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let data = args.data.directory()?;
    let outcome = with_client(&data, Needs::Store, async |client| export(Mail::of(client), &args).await)?;
    match args.format.format() {
        Format::Json => output::json(&outcome)?,
        Format::Text => output::text(&match outcome.there_before {
            0 => format!("{} messages exported", outcome.exported),
            there => format!("{} messages exported, {there} were there before", outcome.exported),
        })?,
    }
    Ok(Exit::Done)
}

async fn export(mail: Mail<'_>, args: &Args) -> anyhow::Result<Outcome> {
    let Some(account) = mail.account(args.account.as_deref()).await? else {
        bail!("there is no account, so there is no mail")
    };
    let messages = mail.list(&account).await?;
    let mut writer = Writer::open(&args.to)?;
    let mut progress = Progress::new(messages.iter().map(|message| message.size).sum(), Unit::Bytes);
    let (mut exported, mut there_before) = (0, 0);
    for message in &messages {
        let label = label(message);
        if writer.has(&label) {
            there_before += 1;
        } else {
            let mut text = Vec::with_capacity(message.size as usize);
            mail.fetch(&account, message.uid, Mark::Nothing, |piece| {
                text.extend_from_slice(&piece);
                Ok(())
            })
            .await?;
            writer.add(&label, &text).with_context(|| format!("cannot write message {}", message.uid))?;
            exported += 1;
        }
        progress.advance(message.size);
    }
    progress.clear();
    writer.finish().context("cannot finish the export")?;
    Ok(Outcome { account, exported, there_before })
}

fn label(message: &MessageView) -> Label {
    let from = message::Address::parse_list(message.from.as_bytes());
    Label {
        account: message.account.clone(),
        id: message.id.clone(),
        uid: message.uid,
        received: message.received,
        flags: message.flags,
        sender: from.first().map(|from| from.address.clone()).unwrap_or_default(),
    }
}

impl Writer {
    fn open(place: &Place) -> anyhow::Result<Writer> {
        let (path, writer) = match place {
            Place { mbox: Some(path), .. } => (path, mbox::Writer::create(path).map(Writer::Mbox)),
            Place { maildir: Some(path), .. } => (path, maildir::Writer::open(path).map(Writer::Maildir)),
            Place { eml: Some(path), .. } => (path, eml::Writer::open(path).map(Writer::Eml)),
            _ => bail!("name where the mail goes"),
        };
        writer.with_context(|| format!("cannot write {}", path.display()))
    }

    fn has(&self, label: &Label) -> bool {
        match self {
            Writer::Mbox(_) => false,
            Writer::Maildir(writer) => writer.has(label),
            Writer::Eml(writer) => writer.has(label),
        }
    }

    fn add(&mut self, label: &Label, text: &[u8]) -> io::Result<()> {
        match self {
            Writer::Mbox(writer) => writer.add(label, text),
            Writer::Maildir(writer) => writer.add(label, text),
            Writer::Eml(writer) => writer.add(label, text),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Writer::Mbox(writer) => writer.finish(),
            Writer::Maildir(writer) => writer.finish(),
            Writer::Eml(writer) => writer.finish(),
        }
    }
}
