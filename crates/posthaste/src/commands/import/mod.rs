//! `posthaste import`: mail from files of other programs, or from another server, into an account.
//!
//! [`account`] reads an account by IMAP, [`remote`] brings its mailboxes in with the help of a [`journal`]; [`sink`] is where everything
//! goes.

mod account;
mod journal;
mod remote;
mod sink;
mod url;

use super::export::{Place, Which};
use super::{Needs, with_client};
use crate::exit::{Complaint, Exit};
use crate::files::{Form, Letter, eml, folders, maildir, mbox};
use crate::mail::Mail;
use crate::output::{self, Format, FormatArgs, Progress, Unit};
use crate::paths::DataArgs;
use crate::secret::StdinArgs;
use crate::units::counted;
use account::Protection;
use anyhow::{Context, bail};
use remote::{Move, Tally};
use serde::Serialize;
use server::admin::MailboxPath;
use server::tls::Trust;
use sink::Sink;
use std::io;
use std::path::{Path, PathBuf};
use store::Secret;
use url::ImapUrl;

/// Bring mail from files or from another server into an account
///
/// From an mbox, a Maildir or .eml files, or from an account on an IMAP server, with all its mailboxes or the one in the URL; there nothing
/// is changed. Works while our server runs, and when none does. Texts, flags and times of arrival are kept; each message is on the disk
/// before the next one is read. An import can be done again, also when it was interrupted: what is in the mailbox already is not brought in
/// twice. The time of arrival of .eml files is that of their Date fields. A mailbox that is missing is made. What comes by IMAP is
/// read again at the end, and compared with what the server sent.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Whose mail it becomes; not needed when there is one account only
    #[arg(long, value_name = "ADDRESS")]
    account: Option<String>,
    #[command(flatten)]
    into: Which,
    #[command(flatten)]
    from: Origin,
    /// How TLS is used with the IMAP server
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Tls::Require, requires = "url")]
    tls: Tls,
    /// Trust the certificate authorities in this PEM file, or the server's own certificate in it, instead of those of this system
    #[arg(long, value_name = "FILE", conflicts_with = "insecure", requires = "url")]
    ca: Option<PathBuf>,
    /// Take any certificate: listeners are kept out, but not somebody in the middle
    #[arg(long, requires = "url")]
    insecure: bool,
    #[command(flatten)]
    stdin: StdinArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// Where mail comes from.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Origin {
    /// An account on an IMAP server, imaps://USER@HOST[:PORT][/MAILBOX]; imap:// with STARTTLS. The password is asked for
    #[arg(value_name = "URL")]
    url: Option<ImapUrl>,
    /// All messages of a file (mboxrd); with --all of a directory of such files
    #[arg(long, value_name = "FILE")]
    mbox: Option<PathBuf>,
    /// A Maildir; with --all with its folders
    #[arg(long, value_name = "DIR")]
    maildir: Option<PathBuf>,
    /// A directory of .eml files; with --all a directory of such directories
    #[arg(long, value_name = "DIR")]
    eml: Option<PathBuf>,
}

/// How TLS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Tls {
    /// As the URL says, or there is no import
    Require,
    /// Not at all: everybody on the way reads the password and all mail
    None,
}

const USAGE: &str = "posthaste import [OPTIONS] <URL>
       posthaste import [OPTIONS] <--mbox <FILE>|--maildir <DIR>|--eml <DIR>>";

const EXAMPLES: &str = "\
Examples:
  posthaste import --mbox mail.mbox
  posthaste import --account alice@example.org --maildir ~/Maildir --all
  posthaste import --mailbox Archive/2024 --eml old
  posthaste import imaps://alice%40example.org@imap.example.org";

/// What came of it.
#[derive(Debug, Serialize)]
struct Outcome {
    account: String,
    imported: u64,
    there_before: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<u64>,
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
    // What is asked of a person comes before the store is opened: others may need it meanwhile.
    let password = match &args.from.url {
        None if args.stdin.password_stdin => {
            return Err(Complaint::usage("files need no password; leave --password-stdin out").into());
        }
        None => None,
        Some(url) if args.into.mailbox.is_some() && url.mailbox.is_none() => {
            return Err(Complaint::usage(
                "which of the server's mailboxes is it? Say that in the URL: imaps://USER@HOST/MAILBOX",
            )
            .into());
        }
        Some(url) => Some(args.stdin.password(&format!("{} at {}", url.user, url.host))?),
    };
    let outcome = with_client(&data, Needs::Store, async |client| {
        let mail = Mail::of(client);
        let Some(account) = mail.account(args.account.as_deref()).await? else {
            bail!("there is no account to bring mail into: make one with `posthaste user add`")
        };
        match password {
            Some(password) => from_server(mail, account, password, &args, &data).await,
            None => from_files(mail, account, &args).await,
        }
    })?;
    match args.format.format() {
        Format::Json => output::json(&outcome)?,
        Format::Text => output::text(&sentence(&outcome))?,
    }
    Ok(Exit::Done)
}

fn sentence(outcome: &Outcome) -> String {
    let mut text = format!("{} messages imported", outcome.imported);
    if outcome.there_before > 0 {
        text.push_str(&format!(", {} were there before", outcome.there_before));
    }
    if let Some(verified) = outcome.verified {
        text.push_str(&format!("; {verified} were read again and are what the server sent"));
    }
    text
}

async fn from_server(
    mail: Mail<'_>,
    account: String,
    password: Secret,
    args: &Args,
    data: &Path,
) -> anyhow::Result<Outcome> {
    let Some(url) = &args.from.url else { bail!("name where the mail is") };
    let trust = match &args.ca {
        Some(file) => Trust::File(file.clone()),
        None if args.insecure => Trust::Anything,
        None => Trust::System,
    };
    let protection = match args.tls {
        Tls::Require => Protection::Tls(trust),
        Tls::None => Protection::None,
    };
    let mailbox = args.into.mailbox.as_deref();
    let wanted = Move { url, protection, password, account: &account, mailbox, data };
    let Tally { imported, there_before, verified } = remote::import(mail, wanted).await?;
    Ok(Outcome { account, imported, there_before, verified: Some(verified) })
}

async fn from_files(mail: Mail<'_>, account: String, args: &Args) -> anyhow::Result<Outcome> {
    let Origin { mbox, maildir, eml, .. } = &args.from;
    let place = Place { mbox: mbox.clone(), maildir: maildir.clone(), eml: eml.clone() };
    let (form, root) = place.form()?;
    let places = match &args.into {
        Which { all: true, .. } => {
            folders::mailboxes(form, root).with_context(|| format!("cannot read {}", root.display()))?
        }
        Which { mailbox, .. } => {
            vec![(mailbox.clone().unwrap_or_else(|| store::INBOX.to_owned()), root.to_owned())]
        }
    };
    let (mut imported, mut there_before) = (0, 0);
    if !args.into.all {
        is_one(form, root)?;
    }
    for (mailbox, place) in places {
        let mut source = Source::open(form, &place)?;
        let path = MailboxPath { account: account.clone(), mailbox };
        let mut sink = Sink::open(mail, path).await?;
        let result = source.pour(&mut sink).await;
        source.progress.clear();
        imported += sink.imported;
        there_before += sink.there_before;
        result.with_context(|| {
            let done = counted(imported + there_before, "message");
            format!("stopped after {done}; what is wrong mended, the same command goes on from there")
        })?;
    }
    Ok(Outcome { account, imported, there_before, verified: None })
}

/// Refuses a directory that holds none of what is looked for: it is hardly the one that was meant.
fn is_one(form: Form, directory: &Path) -> anyhow::Result<()> {
    let shown = directory.display();
    match form {
        Form::Maildir if directory.is_dir() && !maildir::is_one(directory) => Err(Complaint::usage(format!(
            "{shown} is no Maildir, which has the directories cur and new; with --all one of its folders is enough"
        ))
        .into()),
        Form::Eml if directory.is_dir() && eml::messages(directory)?.is_empty() => {
            Err(Complaint::usage(format!("there is no .eml file in {shown}; --all looks in its directories")).into())
        }
        Form::Mbox | Form::Maildir | Form::Eml => Ok(()),
    }
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
