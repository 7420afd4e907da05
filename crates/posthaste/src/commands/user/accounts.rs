//! `user add`, `ls`, `show`, `rm`.

use super::quota::{Given as Allowed, ShownQuota, SizeBound, shown as shown_quota};
use crate::exit::{Complaint, Exit};
use crate::mail::Mail;
use crate::output::{self, Align, Column, Fit, Format, Row, Table};
use crate::units;
use anstyle::Style;
use anyhow::bail;
use jiff::tz::TimeZone;
use serde::Serialize;
use server::admin::{AccountDetails, AccountView, DirectoryRequest, Given, GivenPassword, Item, Login};
use smtp::Mailbox;
use std::borrow::Cow;
use store::{Origin, Quota, Secret};

/// What new accounts have from the beginning.
pub(super) fn given(name: Option<String>, password: Option<Secret>, quota: Option<SizeBound>) -> Given {
    let bytes = quota.and_then(|SizeBound(bytes)| bytes);
    Given {
        full_name: name,
        password: password.map(GivenPassword::Plain),
        quota: Quota { bytes, messages: None },
    }
}

pub(super) async fn add(
    mail: Mail<'_>,
    addresses: &[Mailbox],
    given: Given,
    format: Format,
) -> anyhow::Result<Exit> {
    let mut added = Vec::new();
    for address in addresses {
        let account = mail.add_account(&address.to_string(), given.clone()).await?;
        if format == Format::Text {
            output::text(&format!("Added {}.", shown(&account)))?;
        }
        added.push(account);
    }
    if format == Format::Json {
        output::json_list(added.iter().map(Listed::new))?;
    }
    Ok(Exit::Done)
}

pub(super) async fn list(mail: Mail<'_>, format: Format) -> anyhow::Result<Exit> {
    let accounts = mail.accounts().await?;
    match format {
        Format::Json => output::json_list(accounts.iter().map(Listed::new))?,
        Format::Text if accounts.is_empty() => {
            output::text("There are no accounts yet. Add one with `posthaste user add ADDRESS`.")?;
        }
        Format::Text => output::text(&table(&accounts, &TimeZone::system()).render(output::columns()))?,
    }
    Ok(Exit::Done)
}

pub(super) async fn show(mail: Mail<'_>, address: &str, format: Format) -> anyhow::Result<Exit> {
    let details = details(mail, address).await?;
    match format {
        Format::Json => output::json(&Shown::new(&details))?,
        Format::Text => output::text(&describe(&details, &TimeZone::system()))?,
    }
    Ok(Exit::Done)
}

/// All about an account but its mail.
pub(super) async fn details(mail: Mail<'_>, address: &str) -> anyhow::Result<AccountDetails> {
    let items = mail.directory(DirectoryRequest::ShowAccount { address: address.to_owned() }).await?;
    match items.into_iter().next() {
        Some(Item::Details(details)) => Ok(*details),
        other => bail!("the server answered with {other:?} instead of an account"),
    }
}

/// Whether the operator has said that mail may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consent {
    Given,
    Needed,
}

pub(super) async fn remove(
    mail: Mail<'_>,
    (addresses, consent): (&[Mailbox], Consent),
    format: Format,
) -> anyhow::Result<Exit> {
    let accounts = mail.accounts().await?;
    let mut removed = Vec::new();
    // all or none: a mistyped address is seen before anything is gone
    for address in addresses {
        let name = store::AccountName::of(address);
        match accounts.iter().find(|account| account.account.name == name) {
            Some(account) => removed.push(account),
            None => {
                return Err(
                    Complaint::usage(format!("there is no account {name}; nothing was removed")).into()
                );
            }
        }
    }
    if consent == Consent::Needed && removed.iter().any(|account| account.messages > 0) {
        return would_remove(&removed, format);
    }
    for account in &removed {
        let name = account.account.name.as_str();
        let aliases = details(mail, name).await?.aliases;
        mail.remove_account(name).await?;
        if format == Format::Text {
            let mail = units::counted(account.messages, "message");
            output::text(&format!("Removed {} and its mail ({mail}).", shown(account)))?;
        }
        if account.account.origin == Origin::Declared {
            anstream::eprintln!(
                "posthaste: {} was named in a settings file or a list of users: if it still is, it comes back at the next start, empty",
                shown(account)
            );
        }
        if !aliases.is_empty() {
            anstream::eprintln!(
                "posthaste: still leading there: {}",
                message::terminal::one_line(&aliases.join(", "))
            );
        }
    }
    if format == Format::Json {
        output::json_list(removed.iter().map(|account| Listed::new(account)))?;
    }
    Ok(Exit::Done)
}

/// Says what would go with the accounts.
fn would_remove(accounts: &[&AccountView], format: Format) -> anyhow::Result<Exit> {
    match format {
        Format::Json => output::json_list(accounts.iter().map(|account| Listed::new(account)))?,
        Format::Text => {
            for account in accounts {
                let mail = units::counted(account.messages, "message");
                output::text(&format!("Would be removed: {} and its mail ({mail}).", shown(account)))?;
            }
            output::text("Nothing was done yet: say --yes to do it.")?;
        }
    }
    Ok(Exit::Refused)
}

/// The account's name, safe for a terminal: whoever sends mail to a catcher chooses it.
fn shown(account: &AccountView) -> Cow<'_, str> {
    message::terminal::one_line(account.account.name.as_str())
}

fn table(accounts: &[AccountView], zone: &TimeZone) -> Table {
    let column = |title, align, fit| Column { title, align, fit };
    let row = |view: &AccountView| Row {
        cells: vec![
            shown(view).into_owned(),
            view.messages.to_string(),
            view.unseen.to_string(),
            units::size(view.bytes),
            shown_quota(Allowed { set: view.quota, default: view.default_quota }),
            units::minute(view.account.created, zone),
            origin(view.account.origin).to_owned(),
        ],
        style: Style::new(),
    };
    Table {
        columns: vec![
            column("ACCOUNT", Align::Left, Fit::Last),
            column("MESSAGES", Align::Right, Fit::Whole),
            column("UNREAD", Align::Right, Fit::Whole),
            column("SIZE", Align::Right, Fit::Whole),
            column("QUOTA", Align::Right, Fit::LeftOut),
            column("SINCE", Align::Left, Fit::LeftOut),
            column("ORIGIN", Align::Left, Fit::Whole),
        ],
        rows: accounts.iter().map(row).collect(),
    }
}

fn describe(details: &AccountDetails, zone: &TimeZone) -> String {
    let AccountDetails { account, full_name, usage, login, application_passwords, aliases, .. } = details;
    let login = match login {
        Login::None => "no password: nobody can log in with one",
        Login::Password => "password",
        Login::PasswordOrScram => "password, SCRAM",
    };
    let mut lines = vec![format!("account    {}", account.name)];
    lines.extend(full_name.iter().map(|name| format!("name       {name}")));
    lines.push(format!("since      {}, {}", units::minute(account.created, zone), origin(account.origin)));
    let messages = units::counted(usage.messages, "message");
    lines.push(format!("holds      {messages}, {}", units::size(usage.bytes)));
    lines.push(format!("quota      {}", shown_quota(allowed(details))));
    lines.push(format!("login      {login}"));
    for password in application_passwords {
        let used = match password.last_used {
            Some(at) => format!("last used about {}", units::minute(at, zone)),
            None => "never used".to_owned(),
        };
        let made = units::minute(password.created, zone);
        lines.push(format!("           application password {}, made {made}, {used}", password.name));
    }
    lines.extend(aliases.iter().map(|alias| format!("alias      {alias}")));
    let safe = lines.iter().map(|line| message::terminal::one_line(line).into_owned());
    safe.collect::<Vec<_>>().join("\n")
}

fn allowed(details: &AccountDetails) -> Allowed {
    Allowed { set: details.quota, default: details.default_quota }
}

/// How an account or a domain came to be.
pub(in crate::commands) fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Added => "added",
        Origin::Declared => "declared",
        Origin::Caught => "caught",
    }
}

/// An account for programs. Sizes are in bytes.
#[derive(Serialize)]
struct Listed<'a> {
    account: &'a str,
    messages: u64,
    unread: u64,
    size: u64,
    quota: ShownQuota,
    created: String,
    origin: &'static str,
}

impl Listed<'_> {
    fn new(view: &AccountView) -> Listed<'_> {
        Listed {
            account: view.account.name.as_str(),
            messages: view.messages,
            unread: view.unseen,
            size: view.bytes,
            quota: Allowed { set: view.quota, default: view.default_quota }.into(),
            created: units::rfc3339(view.account.created),
            origin: origin(view.account.origin),
        }
    }
}

/// All about an account, for programs.
#[derive(Serialize)]
struct Shown<'a> {
    account: &'a str,
    name: Option<&'a str>,
    messages: u64,
    size: u64,
    quota: ShownQuota,
    created: String,
    origin: &'static str,
    login: Login,
    application_passwords: Vec<ShownPassword<'a>>,
    aliases: &'a [String],
}

/// An application password, for programs.
#[derive(Serialize)]
pub(super) struct ShownPassword<'a> {
    name: &'a str,
    created: String,
    last_used: Option<String>,
}

impl<'a> ShownPassword<'a> {
    pub(super) fn all(details: &'a AccountDetails) -> Vec<ShownPassword<'a>> {
        let shown = details.application_passwords.iter().map(|password| ShownPassword {
            name: &password.name,
            created: units::rfc3339(password.created),
            last_used: password.last_used.map(units::rfc3339),
        });
        shown.collect()
    }
}

impl Shown<'_> {
    fn new(details: &AccountDetails) -> Shown<'_> {
        Shown {
            account: details.account.name.as_str(),
            name: details.full_name.as_deref(),
            messages: details.usage.messages,
            size: details.usage.bytes,
            quota: allowed(details).into(),
            created: units::rfc3339(details.account.created),
            origin: origin(details.account.origin),
            login: details.login,
            application_passwords: ShownPassword::all(details),
            aliases: &details.aliases,
        }
    }
}
