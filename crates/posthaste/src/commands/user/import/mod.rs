//! `user import`: many accounts from a file.
//!
//! The file is read and checked as a whole before anything is added. Then each account is added with all that it has, in one act; one
//! that exists is left as it is. So an import that was interrupted goes on when it is run again.

mod csv;

use super::quota::SizeBound;
use crate::exit::{Complaint, Exit};
use crate::mail::Mail;
use crate::output::{self, Format};
use crate::units::counted;
use anyhow::{Context, bail};
use csv::Record;
use serde::Serialize;
use server::admin::{DirectoryRequest, Given, GivenPassword};
use smtp::Mailbox;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::path::Path;
use store::{AccountName, Quota, Secret};

pub(super) const EXAMPLES: &str = "\
Whoever has an imported hash logs in once with PLAIN or LOGIN before a program
can use SCRAM: a hash does not hold what that needs.

Examples:
  posthaste user import users.csv
  posthaste user import users.txt

users.csv:
  address,password,quota,aliases,name
  alice@example.org,correct horse,10 GiB,sales@example.org,\"Alice, Sales\"
  bob@example.org,,,,";

/// What a file asks for.
#[derive(Debug)]
pub(super) struct Plan {
    accounts: Vec<Wanted>,
}

/// One account.
#[derive(Debug)]
struct Wanted {
    address: Mailbox,
    given: Given,
    aliases: Vec<Mailbox>,
}

/// Something wrong in a file, with its line.
type Fault = (usize, String);

/// Reads and checks a file; `-` is standard input.
pub(super) fn read(file: &Path) -> anyhow::Result<Plan> {
    let mut bytes = Vec::new();
    let read = match file == Path::new("-") {
        true => std::io::stdin().lock().read_to_end(&mut bytes).map(drop),
        false => std::fs::read(file).map(|all| bytes = all),
    };
    read.map_err(|error| Complaint::usage(format!("cannot read {}: {error}", file.display())))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Complaint::usage(format!("{}: it is not UTF-8", file.display())))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(plan(text).map_err(|faults| Complaint::usage(report(file, &faults)))?)
}

fn report(file: &Path, faults: &[Fault]) -> String {
    let shown =
        faults.iter().take(FAULTS_SHOWN).map(|(line, what)| format!("{}:{line}: {what}", file.display()));
    let mut lines: Vec<String> = shown.collect();
    if faults.len() > FAULTS_SHOWN {
        lines.push(format!("and {} more", faults.len() - FAULTS_SHOWN));
    }
    lines.push("nothing was imported".to_owned());
    lines.join("\n")
}

/// As many faults of a file are shown.
const FAULTS_SHOWN: usize = 20;

fn plan(text: &str) -> Result<Plan, Vec<Fault>> {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let is_table =
        first.split(',').any(|field| field.trim().trim_matches('"').eq_ignore_ascii_case("address"));
    let (accounts, mut faults) = if is_table { table(text)? } else { list(text) };
    let mut seen: HashMap<AccountName, usize> = HashMap::new();
    for (line, wanted) in &accounts {
        if let Some(before) = seen.insert(AccountName::of(&wanted.address), *line) {
            faults.push((*line, format!("{} is on line {before} already", wanted.address)));
        }
    }
    for (line, wanted) in &accounts {
        for alias in wanted.aliases.iter().filter(|alias| seen.contains_key(&AccountName::of(alias))) {
            faults.push((*line, format!("the alias {alias} is an account of this file")));
        }
    }
    if accounts.is_empty() && faults.is_empty() {
        faults.push((
            1,
            "there is no address in it; write one a line, or a table with a header row".to_owned(),
        ));
    }
    faults.sort();
    if faults.is_empty() {
        Ok(Plan { accounts: accounts.into_iter().map(|(_, wanted)| wanted).collect() })
    } else {
        Err(faults)
    }
}

type Rows = (Vec<(usize, Wanted)>, Vec<Fault>);

/// A plain list: one address a line; empty lines and lines that begin with # are passed over.
fn list(text: &str) -> Rows {
    let (mut accounts, mut faults) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match address(line) {
            Ok(address) => {
                let wanted = Wanted { address, given: Given::default(), aliases: Vec::new() };
                accounts.push((number + 1, wanted));
            }
            Err(what) => faults.push((number + 1, what)),
        }
    }
    (accounts, faults)
}

/// A table with a header row.
fn table(text: &str) -> Result<Rows, Vec<Fault>> {
    let malformed = |(line, what): (usize, &str)| vec![(line, what.to_owned())];
    let mut records = csv::parse(text).map_err(malformed)?.into_iter();
    let header = records.next().expect("the caller has seen a header row");
    let columns = columns(&header)?;
    let (mut accounts, mut faults) = (Vec::new(), Vec::new());
    for record in records {
        if record.fields.len() != header.fields.len() {
            let (has, wants) = (record.fields.len(), header.fields.len());
            faults.push((record.line, format!("{has} fields, and the header row has {wants}")));
            continue;
        }
        match wanted(&columns, &record) {
            Ok(wanted) => accounts.push((record.line, wanted)),
            Err(what) => faults.push((record.line, what)),
        }
    }
    Ok((accounts, faults))
}

const COLUMNS: [&str; 6] = ["address", "password", "hash", "quota", "aliases", "name"];

/// Where each column is.
fn columns(header: &Record) -> Result<BTreeMap<&'static str, usize>, Vec<Fault>> {
    let mut columns = BTreeMap::new();
    for (place, field) in header.fields.iter().enumerate() {
        let known = COLUMNS.iter().find(|name| field.trim().eq_ignore_ascii_case(name));
        let fault = match known {
            Some(name) if columns.insert(*name, place).is_none() => continue,
            Some(name) => format!("the column {name} is there twice"),
            None => format!("an unknown column {field:?}; there are {}", COLUMNS.join(", ")),
        };
        return Err(vec![(header.line, fault)]);
    }
    Ok(columns)
}

fn wanted(columns: &BTreeMap<&'static str, usize>, record: &Record) -> Result<Wanted, String> {
    let raw = |name: &str| columns.get(name).map_or("", |place| record.fields[*place].as_str());
    let field = |name: &str| Some(raw(name).trim()).filter(|text| !text.is_empty());
    let address = self::address(field("address").ok_or("there is no address")?)?;
    // A password may begin or end with a space.
    let plain = Some(raw("password")).filter(|text| !text.is_empty());
    let password = match (plain, field("hash")) {
        (Some(_), Some(_)) => return Err("a password or its hash, not both".to_owned()),
        (Some(plain), None) if plain.chars().count() < PASSWORD_MIN => {
            return Err(format!("the password has fewer than {PASSWORD_MIN} characters"));
        }
        (Some(plain), None) => Some(GivenPassword::Plain(Secret::new(plain))),
        (None, Some(hash)) if !hash.starts_with("$argon2") => {
            return Err(
                "the hash is no PHC string of Argon2, like $argon2id$v=19$m=19456,t=2,p=1$…".to_owned()
            );
        }
        (None, Some(hash)) => Some(GivenPassword::Hash(Secret::new(hash))),
        (None, None) => None,
    };
    let SizeBound(bytes) = field("quota").map_or(Ok(SizeBound(None)), str::parse)?;
    let aliases = field("aliases").unwrap_or_default().split([' ', ';', ',']).filter(|text| !text.is_empty());
    let full_name = field("name").map(str::to_owned);
    store::directory::check_full_name(full_name.as_deref()).map_err(|error| error.to_string())?;
    Ok(Wanted {
        address,
        given: Given { full_name, password, quota: Quota { bytes, messages: None } },
        aliases: aliases.map(self::address).collect::<Result<_, _>>()?,
    })
}

/// The server asks for so many characters at least.
const PASSWORD_MIN: usize = 8;

fn address(text: &str) -> Result<Mailbox, String> {
    text.parse()
        .map_err(|error| format!("{text:?} is not an address: {error}; write it like alice@example.org"))
}

/// What came of an import.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    added: Vec<String>,
    existed: Vec<String>,
    aliases: u64,
}

pub(super) async fn run(mail: Mail<'_>, plan: Plan, format: Format) -> anyhow::Result<Exit> {
    let known: BTreeSet<String> =
        mail.accounts().await?.into_iter().map(|view| view.account.name.to_string()).collect();
    let mut outcome = Outcome::default();
    let mut aliases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Wanted { address, given, aliases: own } in plan.accounts {
        let name = AccountName::of(&address).to_string();
        if known.contains(&name) {
            outcome.existed.push(name.clone());
        } else {
            let added = mail.add_account(&name, given).await;
            added.with_context(|| {
                format!("{} added before {name}; run the import again to go on", outcome.added.len())
            })?;
            outcome.added.push(name.clone());
        }
        for alias in own {
            aliases.entry(AccountName::of(&alias).to_string()).or_default().push(name.clone());
        }
    }
    for (alias, targets) in aliases {
        outcome.aliases += 1;
        if let Err(error) = mail.directory(DirectoryRequest::AddAlias { alias: alias.clone(), targets }).await
        {
            bail!(
                "the accounts are there, but not all aliases: {alias}: {error:#}; run the import again to go on"
            );
        }
    }
    match format {
        Format::Json => output::json(&outcome)?,
        Format::Text => output::text(&summary(&outcome))?,
    }
    Ok(Exit::Done)
}

fn summary(outcome: &Outcome) -> String {
    let mut text = format!("Added {}", counted(outcome.added.len() as u64, "account"));
    if outcome.aliases > 0 {
        text.push_str(&format!(" and {}", units_of_aliases(outcome.aliases)));
    }
    match outcome.existed.len() {
        0 => text.push('.'),
        count => {
            text.push_str(&format!("; {} existed already, left unchanged.", counted(count as u64, "account")))
        }
    }
    text
}

fn units_of_aliases(count: u64) -> String {
    if count == 1 { "1 alias".to_owned() } else { format!("{count} aliases") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(text: &str) -> Vec<String> {
        let describe = |wanted: Wanted| {
            let Given { full_name, password, quota } = wanted.given;
            let password = match password {
                None => "-".to_owned(),
                Some(GivenPassword::Plain(password)) => format!("plain {:?}", password.reveal()),
                Some(GivenPassword::Hash(hash)) => format!("hash {}", hash.reveal()),
            };
            let aliases: Vec<String> = wanted.aliases.iter().map(ToString::to_string).collect();
            format!("{} {password} {:?} {aliases:?} {full_name:?}", wanted.address, quota.bytes)
        };
        plan(text).expect("a good file").accounts.into_iter().map(describe).collect()
    }

    fn faults(text: &str) -> Vec<String> {
        let faults = plan(text).expect_err("a bad file");
        faults.iter().map(|(line, what)| format!("{line}: {what}")).collect()
    }

    #[test]
    fn a_table_is_read() {
        let text = "Address, Name ,aliases,password,hash,quota\r\n\
            ann@example.org,\"Ann, \"\"A\"\"\",sales@example.org info@example.org, pass word ,,10 GiB\r\n\
            \r\nbob@example.org,,,,$argon2id$v=19,\r\neve@example.org,,,,,none\r\n";
        assert_eq!(
            described(text),
            [
                "ann@example.org plain \" pass word \" Some(10737418240) [\"sales@example.org\", \"info@example.org\"] Some(\"Ann, \\\"A\\\"\")",
                "bob@example.org hash $argon2id$v=19 None [] None",
                "eve@example.org - Some(18446744073709551615) [] None",
            ]
        );
    }

    #[test]
    fn a_list_is_read() {
        let text = "# ours\nann@example.org\r\n\n  bob@example.org\n";
        assert_eq!(described(text), ["ann@example.org - None [] None", "bob@example.org - None [] None"]);
    }

    #[test]
    fn every_fault_is_named_with_its_line() {
        for (text, expected) in [
            ("", &["1: there is no address"][..]),
            (
                "ann@example.org\nbob\nANN@example.org\n",
                &["2: \"bob\" is not an address", "3: ANN@example.org is on line 1"],
            ),
            ("address,mail\nx@example.org,", &["1: an unknown column \"mail\""]),
            ("address,address\n", &["1: the column address is there twice"]),
            (
                "address,quota\nann@example.org,lots\n,\n",
                &["2: \"lots\" is not a size", "3: there is no address"],
            ),
            (
                "address,password,hash\nann@example.org,correct horse,$argon2id$\n",
                &["2: a password or its hash"],
            ),
            ("address,password\nann@example.org,short\n", &["2: the password has fewer than 8"]),
            ("address,hash\nann@example.org,{SHA}x\n", &["2: the hash is no PHC string"]),
            (
                "address,aliases\nann@example.org,bob@example.org\nbob@example.org,\n",
                &["2: the alias bob@example.org is an account"],
            ),
            (
                "address,hash\nann@example.org,$argon2id$v=19$m=1,t=2\n",
                &["2: 3 fields, and the header row has 2"],
            ),
            ("address,name\n\"ann@example.org,x\n", &["2: a quoted field is not closed"]),
        ] {
            let faults = faults(text);
            assert_eq!(faults.len(), expected.len(), "{faults:?}");
            for (fault, start) in faults.iter().zip(expected) {
                assert!(fault.starts_with(start), "{fault} should start with {start}");
            }
        }
    }
}
