//! `posthaste export`: the mail of an account into files of other programs.

use super::{Needs, with_client};
use crate::exit::Exit;
use crate::files::{Form, Label, eml, folders, maildir, mbox};
use crate::mail::Mail;
use crate::output::{self, Format, FormatArgs, Progress, Unit};
use crate::paths::DataArgs;
use crate::units;
use anyhow::{Context, bail};
use serde::Serialize;
use server::admin::{MailboxPath, MailboxView, Mark, MessageView};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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
    which: Which,
    #[command(flatten)]
    to: Place,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// Where the mail goes.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Place {
    /// All messages in one file (mboxrd); with --all a directory of such files
    #[arg(long, value_name = "FILE")]
    pub(crate) mbox: Option<PathBuf>,
    /// A file for each message, with flags in its name; with --all a Maildir with its folders
    #[arg(long, value_name = "DIR")]
    pub(crate) maildir: Option<PathBuf>,
    /// A directory with an .eml file for each message; with --all a directory of such directories
    #[arg(long, value_name = "DIR")]
    pub(crate) eml: Option<PathBuf>,
}

/// Which mailboxes.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// This mailbox of the account [default: INBOX]
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    pub(crate) mailbox: Option<String>,
    /// All mailboxes
    #[arg(long)]
    pub(crate) all: bool,
}

const EXAMPLES: &str = "\
Examples:
  posthaste export --mbox mail.mbox
  posthaste export --account alice@example.org --maildir ~/Maildir --all
  posthaste export --mailbox Sent --eml sent";

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
    let mailboxes = mail.mailboxes(&account).await?;
    let (form, root) = args.to.form()?;
    let wanted: Vec<(MailboxPath, PathBuf)> = match &args.which {
        Which { all: true, .. } => {
            let below = |view: &MailboxView| folders::place(form, root, &view.name);
            let path =
                |view: &MailboxView| MailboxPath { account: account.clone(), mailbox: view.name.clone() };
            fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
            mailboxes.iter().map(|view| (path(view), below(view))).collect()
        }
        Which { mailbox, .. } => {
            let mailbox = mailbox.clone().unwrap_or_else(|| store::INBOX.to_owned());
            tell_of_others(&mailboxes, &mailbox);
            vec![(MailboxPath { account: account.clone(), mailbox }, root.to_owned())]
        }
    };
    let bytes = |(path, _): &(MailboxPath, _)| {
        mailboxes.iter().filter(|view| view.name == path.mailbox).map(|view| view.bytes).sum::<u64>()
    };
    let mut progress = Progress::new(wanted.iter().map(bytes).sum(), Unit::Bytes);
    let mut outcome = Outcome { account, exported: 0, there_before: 0 };
    for (mailbox, place) in &wanted {
        let exported =
            export_one(mail, mailbox, Writer::open(form, place)?, &mut progress, &mut outcome).await;
        exported.inspect_err(|_| progress.clear())?;
    }
    progress.clear();
    Ok(outcome)
}

/// Nobody should believe that this was everything.
fn tell_of_others(mailboxes: &[MailboxView], mailbox: &str) {
    let others = mailboxes.iter().filter(|view| view.name != mailbox && view.messages > 0).count() as u64;
    if others > 0 {
        let others = units::counted(others, "other mailbox");
        anstream::eprintln!("posthaste: only {mailbox} is exported; --all takes {others} with mail as well");
    }
}

async fn export_one(
    mail: Mail<'_>,
    mailbox: &MailboxPath,
    mut writer: Writer,
    progress: &mut Progress,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    for message in &mail.list(mailbox).await? {
        let label = label(message);
        if writer.has(&label) {
            outcome.there_before += 1;
        } else {
            let mut text = Vec::with_capacity(message.size as usize);
            mail.fetch(mailbox, message.uid, Mark::Nothing, |piece| {
                text.extend_from_slice(&piece);
                Ok(())
            })
            .await?;
            let failed = || format!("cannot write message {} of {}", message.uid, mailbox.mailbox);
            writer.add(&label, &text).with_context(failed)?;
            outcome.exported += 1;
        }
        progress.advance(message.size);
    }
    writer.finish().context("cannot finish the export")
}

impl Place {
    /// Which it is, and where.
    pub(crate) fn form(&self) -> anyhow::Result<(Form, &Path)> {
        match self {
            Place { mbox: Some(path), .. } => Ok((Form::Mbox, path)),
            Place { maildir: Some(path), .. } => Ok((Form::Maildir, path)),
            Place { eml: Some(path), .. } => Ok((Form::Eml, path)),
            Place { mbox: None, maildir: None, eml: None } => bail!("name the files that are meant"),
        }
    }
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
    fn open(form: Form, path: &Path) -> anyhow::Result<Writer> {
        let writer = match form {
            Form::Mbox => mbox::Writer::create(path).map(Writer::Mbox),
            Form::Maildir => maildir::Writer::open(path).map(Writer::Maildir),
            Form::Eml => eml::Writer::open(path).map(Writer::Eml),
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
