//! `posthaste import`: mail from files of other programs into an account.

mod sink;

use super::export::{Place, Which};
use super::{Needs, with_client};
use crate::exit::Exit;
use crate::files::{Form, Letter, eml, folders, maildir, mbox};
use crate::mail::Mail;
use crate::output::{self, Format, FormatArgs, Progress, Unit};
use crate::paths::DataArgs;
use anyhow::{Context, bail};
use serde::Serialize;
use server::admin::MailboxPath;
use sink::Sink;
use std::io;
use std::path::{Path, PathBuf};

/// Bring mail from an mbox, a Maildir or .eml files into an account
///
/// Works while the server runs, and when none does. Texts, flags and times of arrival are kept; each message is on the disk before the next
/// one is read. An import can be done again, also when it was interrupted: a text that is in the mailbox already is not brought in twice. The
/// time of arrival of .eml files is that of their Date fields. A mailbox that is missing is made.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Whose mail it becomes; not needed when there is one account only
    #[arg(long, value_name = "ADDRESS")]
    account: Option<String>,
    #[command(flatten)]
    into: Which,
    #[command(flatten)]
    from: Place,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    format: FormatArgs,
}

const EXAMPLES: &str = "\
Examples:
  posthaste import --mbox mail.mbox
  posthaste import --account alice@example.org --maildir ~/Maildir --all
  posthaste import --mailbox Archive/2024 --eml old";

/// What came of it.
#[derive(Debug, Serialize)]
struct Outcome {
    account: String,
    imported: u64,
    there_before: u64,
}

/// The files of one mailbox.
struct Source {
    messages: Messages,
    progress: Progress,
}

/// Where the messages come from, one by one.
enum Messages {
    Mbox(mbox::Reader),
    Files(std::vec::IntoIter<PathBuf>, fn(&Path) -> io::Result<Letter>),
}

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let data = args.data.directory()?;
    let outcome = with_client(&data, Needs::Store, async |client| import(Mail::of(client), &args).await)?;
    match args.format.format() {
        Format::Json => output::json(&outcome)?,
        Format::Text => output::text(&match outcome.there_before {
            0 => format!("{} messages imported", outcome.imported),
            there => format!("{} messages imported, {there} were there before", outcome.imported),
        })?,
    }
    Ok(Exit::Done)
}

async fn import(mail: Mail<'_>, args: &Args) -> anyhow::Result<Outcome> {
    let Some(account) = mail.account(args.account.as_deref()).await? else {
        bail!("there is no account to bring mail into: make one with `posthaste user add`")
    };
    let (form, root) = args.from.form()?;
    let places = match &args.into {
        Which { all: true, .. } => {
            folders::mailboxes(form, root).with_context(|| format!("cannot read {}", root.display()))?
        }
        Which { mailbox, .. } => {
            vec![(mailbox.clone().unwrap_or_else(|| store::INBOX.to_owned()), root.to_owned())]
        }
    };
    let (mut imported, mut there_before) = (0, 0);
    for (mailbox, place) in places {
        let mut source = Source::open(form, &place)?;
        let path = MailboxPath { account: account.clone(), mailbox };
        let mut sink = Sink::open(mail, path).await?;
        let result = source.pour(&mut sink).await;
        source.progress.clear();
        imported += sink.imported;
        there_before += sink.there_before;
        result.with_context(|| {
            format!(
                "stopped after {} messages; what is wrong mended, the same command goes on from there",
                imported + there_before
            )
        })?;
    }
    Ok(Outcome { account, imported, there_before })
}

impl Source {
    fn open(form: Form, path: &Path) -> anyhow::Result<Source> {
        let files = |files: Vec<PathBuf>, read| {
            let progress = Progress::new(files.len() as u64, Unit::Messages);
            Source { messages: Messages::Files(files.into_iter(), read), progress }
        };
        let opened = match form {
            Form::Mbox => mbox::Reader::open(path, MESSAGE_MAX).and_then(|reader| {
                let progress = Progress::new(path.metadata()?.len(), Unit::Bytes);
                Ok(Source { messages: Messages::Mbox(reader), progress })
            }),
            Form::Maildir => maildir::messages(path).map(|all| files(all, maildir::read)),
            Form::Eml => eml::messages(path).map(|all| files(all, eml::read)),
        };
        opened.with_context(|| format!("cannot read {}", path.display()))
    }

    /// Hands over all messages.
    async fn pour(&mut self, sink: &mut Sink<'_>) -> anyhow::Result<()> {
        while let Some((letter, amount)) = self.messages.next()? {
            sink.take(&letter).await?;
            self.progress.advance(amount);
        }
        Ok(())
    }
}

impl Messages {
    /// The next message, and how much of the work it is.
    fn next(&mut self) -> anyhow::Result<Option<(Letter, u64)>> {
        match self {
            Messages::Mbox(reader) => Ok(reader.next().context("cannot read the mbox")?),
            Messages::Files(files, read) => {
                let Some(path) = files.next() else { return Ok(None) };
                let letter = read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                Ok(Some((letter, 1)))
            }
        }
    }
}

/// The longest message of an mbox; what is longer is more likely none.
const MESSAGE_MAX: u64 = 1 << 30;
