//! `posthaste user`: accounts, their passwords, aliases and quotas.

mod accounts;
mod alias;
mod app_password;
mod import;
mod quota;

use super::{Needs, with_client};
use crate::exit::{Complaint, Exit};
use crate::mail::Mail;
use crate::output::{self, Format, FormatArgs};
use crate::paths::DataArgs;
use crate::secret::StdinArgs;
pub(super) use accounts::origin;
use clap::Subcommand;
use quota::{Bound, SizeBound};
use serde::Serialize;
use server::admin::DirectoryRequest;
use smtp::Mailbox;
use std::path::PathBuf;

/// Manage accounts: passwords, aliases, quotas
///
/// An account is an address with a mailbox. Works while the server runs, and when none does. Passwords are typed on the terminal or read
/// from standard input, never given as arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add accounts
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// Their addresses
        #[arg(required = true, value_name = "ADDRESS", value_parser = address)]
        addresses: Vec<Mailbox>,
        /// Ask for a password on the terminal; without one nobody can log in
        #[arg(long, conflicts_with = "password_stdin")]
        password: bool,
        #[command(flatten)]
        stdin: StdinArgs,
        /// The full name of the person
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// How much mail the account may hold, like "10 GiB", or "none"; without it, what the settings give to everybody
        #[arg(long, value_name = "SIZE")]
        quota: Option<SizeBound>,
    },
    /// Set the password of an account
    #[command(after_help = PASSWD_EXAMPLES)]
    Passwd {
        /// Its address
        #[arg(value_name = "ADDRESS", value_parser = address)]
        address: Mailbox,
        #[command(flatten)]
        stdin: StdinArgs,
    },
    /// Manage passwords for one program or device each
    ///
    /// They are made at random, printed once, and can be taken back without touching the others.
    #[command(after_help = app_password::EXAMPLES)]
    AppPassword(app_password::Args),
    /// Manage aliases: addresses whose mail goes to others
    ///
    /// An alias can lead to several accounts, to other aliases, and to addresses elsewhere, to which its mail is sent on. The alias *@DOMAIN gets the mail for every address of the domain that has
    /// no account and no other alias.
    #[command(after_help = alias::EXAMPLES)]
    Alias(alias::Args),
    /// Show or set how much mail an account may hold
    ///
    /// Mail that does not fit is put off with 452, so that senders try again later.
    #[command(after_help = quota::EXAMPLES)]
    Quota {
        /// Its address
        #[arg(value_name = "ADDRESS", value_parser = address)]
        address: Mailbox,
        /// So much, like "10 GiB"; "none" for no bound, "default" for what the settings give to everybody
        #[arg(value_name = "SIZE")]
        size: Option<SizeBound>,
        /// So many messages, or "none"
        #[arg(long, value_name = "NUMBER")]
        messages: Option<Bound>,
    },
    /// List the accounts, with what is in their mailboxes
    #[command(after_help = "Example:\n  posthaste user ls")]
    Ls,
    /// Show all about an account but its mail
    #[command(after_help = "Example:\n  posthaste user show alice@example.org")]
    Show {
        /// Its address
        #[arg(value_name = "ADDRESS", value_parser = address)]
        address: Mailbox,
    },
    /// Add many accounts from a file
    ///
    /// The file is a table of comma-separated values with a header row, or a plain list of addresses, one a line. Columns, in any order:
    /// address; password, or hash (a PHC string of Argon2); quota, like 10 GiB or none; aliases, separated by spaces; name. Only address is
    /// needed. The whole file is checked before anything is added; accounts that exist are left as they are, so that an import can
    /// be run again.
    #[command(after_help = import::EXAMPLES)]
    Import {
        /// The file; - is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Remove accounts with all their mail; those that have mail only with --yes
    #[command(after_help = "Example:\n  posthaste user rm alice@example.org --yes")]
    Rm {
        /// Their addresses
        #[arg(required = true, value_name = "ADDRESS", value_parser = address)]
        addresses: Vec<Mailbox>,
        /// Do it; without this only say what would be removed, if there is mail
        #[arg(long)]
        yes: bool,
    },
}

const EXAMPLES: &str = "\
Examples:
  posthaste user add alice@example.org --password
  posthaste user alias add sales@example.org alice@example.org
  posthaste user app-password add alice@example.org phone
  posthaste user ls";

const ADD_EXAMPLES: &str = "\
Examples:
  posthaste user add alice@example.org --password --quota '10 GiB'
  posthaste user add alice@example.org bob@example.org
  pass show mail/alice | posthaste user add alice@example.org --password-stdin";

const PASSWD_EXAMPLES: &str = "\
Examples:
  posthaste user passwd alice@example.org
  pass show mail/alice | posthaste user passwd alice@example.org --password-stdin";

/// An address as a person writes it.
fn address(text: &str) -> Result<Mailbox, String> {
    text.parse().map_err(|error| format!("{error}; write it like alice@example.org"))
}

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let data = args.data.directory()?;
    let format = args.format.format();
    let command = args.command;
    // What is asked of a person, or read, comes before the store is opened: others may need it meanwhile.
    let prepared = Prepared::new(&command)?;
    let needs = match command {
        Command::Add { .. } | Command::Import { .. } => Needs::StoreOrNew,
        _ => Needs::Store,
    };
    with_client(&data, needs, async |client| carry_out(Mail::of(client), command, prepared, format).await)
}

/// What a command needs that is not in its arguments.
enum Prepared {
    Nothing,
    Password(store::Secret),
    Import(import::Plan),
}

impl Prepared {
    fn new(command: &Command) -> anyhow::Result<Prepared> {
        Ok(match command {
            Command::Add { addresses, password, stdin, .. } if *password || stdin.password_stdin => {
                let [only] = &addresses[..] else {
                    return Err(Complaint::usage("a password is for one account: add them one by one").into());
                };
                Prepared::Password(stdin.new_password(&only.to_string())?)
            }
            Command::Passwd { address, stdin } => {
                Prepared::Password(stdin.new_password(&address.to_string())?)
            }
            Command::Import { file } => Prepared::Import(import::read(file)?),
            _ => Prepared::Nothing,
        })
    }
}

async fn carry_out(
    mail: Mail<'_>,
    command: Command,
    prepared: Prepared,
    format: Format,
) -> anyhow::Result<Exit> {
    match (command, prepared) {
        (Command::Add { addresses, name, quota, .. }, prepared) => {
            let password = match prepared {
                Prepared::Password(password) => Some(password),
                _ => None,
            };
            let given = accounts::given(name, password, quota);
            accounts::add(mail, &addresses, given, format).await
        }
        (Command::Passwd { address, .. }, Prepared::Password(password)) => {
            let address = address.to_string();
            mail.directory(DirectoryRequest::SetPassword { address: address.clone(), password }).await?;
            done(format, &address, &format!("The password of {address} is set."))
        }
        (Command::Import { .. }, Prepared::Import(plan)) => import::run(mail, plan, format).await,
        (Command::AppPassword(args), _) => app_password::run(mail, args, format).await,
        (Command::Alias(args), _) => alias::run(mail, args, format).await,
        (Command::Quota { address, size, messages }, _) => {
            quota::run(mail, &address.to_string(), quota::Change { size, messages }, format).await
        }
        (Command::Ls, _) => accounts::list(mail, format).await,
        (Command::Show { address }, _) => accounts::show(mail, &address.to_string(), format).await,
        (Command::Rm { addresses, yes }, _) => {
            let consent = if yes { accounts::Consent::Given } else { accounts::Consent::Needed };
            accounts::remove(mail, (&addresses, consent), format).await
        }
        (Command::Passwd { .. } | Command::Import { .. }, _) => {
            unreachable!("what these need was prepared")
        }
    }
}

/// Says that a change of an account was made.
fn done(format: Format, account: &str, text: &str) -> anyhow::Result<Exit> {
    #[derive(Serialize)]
    struct Changed<'a> {
        account: &'a str,
    }
    match format {
        Format::Json => output::json(&Changed { account })?,
        Format::Text => output::text(&message::terminal::one_line(text))?,
    }
    Ok(Exit::Done)
}
