//! `posthaste import`: mail from files of other programs into an account.

use super::export::Place;
use super::{Needs, with_client};
use crate::exit::Exit;
use crate::files::{Letter, eml, maildir, mbox};
use crate::mail::Mail;
use crate::output::{self, Format, FormatArgs, Progress, Unit};
use crate::paths::DataArgs;
use anyhow::{Context, bail};
use serde::Serialize;
use server::admin::Import;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use store::Timestamp;

/// Bring mail from an mbox, a Maildir or .eml files into an account
///
/// Works while the server runs, and when none does. Texts, flags and times of arrival are kept; each message is on the disk before the next
/// one is read. An import can be done again, also when it was interrupted: a text that is there already is not brought in twice. The time of
/// arrival of .eml files is that of their Date fields. Mail goes into INBOX; folders of a Maildir are imports of their own.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Whose mail it becomes; not needed when there is one account only
    #[arg(long, value_name = "ADDRESS")]
    account: Option<String>,
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
  posthaste import --account alice@example.org --maildir ~/Maildir
  posthaste import --account alice@example.org --eml backup";

/// What came of it.
#[derive(Debug, Serialize)]
struct Outcome {
    account: String,
    imported: u64,
    there_before: u64,
}

/// Where the messages come from, one by one.
enum Source {
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
    let (mut source, mut progress) = Source::open(&args.from)?;
    // Which messages a new one may be the same as. What files keep of the time of arrival is not exact, so what counts follows from
    // the text: its size and its Date field. One stands for one: two of the same text are two.
    let mut known: HashMap<(u64, Option<Timestamp>), Vec<u32>> = HashMap::new();
    for message in mail.list(&account).await? {
        known.entry((message.size, message.date)).or_default().push(message.uid);
    }
    let (mut imported, mut there_before) = (0, 0);
    let result = async {
        while let Some((letter, amount)) = source.next()? {
            let candidates = known.entry((letter.text.len() as u64, letter.date)).or_default();
            let wanted = Import {
                account: account.clone(),
                received: letter.received,
                flags: letter.flags,
                candidates: candidates.clone(),
            };
            let (uid, was_there) = mail.import(wanted, &letter.text).await?;
            if was_there {
                candidates.retain(|candidate| *candidate != uid);
                there_before += 1;
            } else {
                imported += 1;
            }
            progress.advance(amount);
        }
        Ok::<(), anyhow::Error>(())
    };
    let result = result.await;
    progress.clear();
    result.with_context(|| {
        format!(
            "stopped after {} messages; what is wrong mended, the same command goes on from there",
            imported + there_before
        )
    })?;
    Ok(Outcome { account, imported, there_before })
}

impl Source {
    fn open(place: &Place) -> anyhow::Result<(Source, Progress)> {
        let files = |files: Vec<PathBuf>, read| {
            let progress = Progress::new(files.len() as u64, Unit::Messages);
            (Source::Files(files.into_iter(), read), progress)
        };
        let (path, opened) = match place {
            Place { mbox: Some(path), .. } => (
                path,
                mbox::Reader::open(path, MESSAGE_MAX).and_then(|reader| {
                    Ok((Source::Mbox(reader), Progress::new(path.metadata()?.len(), Unit::Bytes)))
                }),
            ),
            Place { maildir: Some(path), .. } => {
                (path, maildir::messages(path).map(|all| files(all, maildir::read)))
            }
            Place { eml: Some(path), .. } => (path, eml::messages(path).map(|all| files(all, eml::read))),
            _ => bail!("name where the mail is"),
        };
        opened.with_context(|| format!("cannot read {}", path.display()))
    }

    /// The next message, and how much of the work it is.
    fn next(&mut self) -> anyhow::Result<Option<(Letter, u64)>> {
        match self {
            Source::Mbox(reader) => Ok(reader.next().context("cannot read the mbox")?),
            Source::Files(files, read) => {
                let Some(path) = files.next() else { return Ok(None) };
                let letter = read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                Ok(Some((letter, 1)))
            }
        }
    }
}

/// The longest message of an mbox; what is longer is more likely none.
const MESSAGE_MAX: u64 = 1 << 30;
