//! Who is here, in memory: accounts with what belongs to them, aliases, domains. Every recipient of every message is looked up here.
//!
//! It follows the log, not the index: the writer brings it up to date when a batch is durable and before anybody is answered. So a
//! look-up waits for nobody and still sees all that was acknowledged before.

use crate::body::{AccountChange, Belongings, DirectoryChange, Subject};
use crate::effect::Effect;
use crate::index::Snapshot;
use crate::usage::Usages;
use smtp::{Domain, Mailbox};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock, RwLockReadGuard};
use store::{
    Account, AccountId, AccountName, Addressee, Alias, Credentials, DomainRecord, Quota, Resolution, Result,
    Standing,
};

/// Everybody.
#[derive(Debug)]
pub(crate) struct Roster {
    book: RwLock<Book>,
    usages: Arc<Usages>,
}

#[derive(Debug, Default)]
struct Book {
    accounts: HashMap<AccountName, Account>,
    names: HashMap<AccountId, AccountName>,
    /// What belongs to accounts, of each that has anything.
    belongings: HashMap<AccountId, Belongings>,
    aliases: BTreeMap<AccountName, Alias>,
    domains: BTreeMap<Domain, DomainRecord>,
}

impl Roster {
    /// A roster of all that an index knows.
    pub(crate) fn new(index: &Snapshot, usages: Arc<Usages>) -> Result<Roster> {
        let mut book = Book::default();
        let accounts = index.accounts()?;
        book.names = accounts.iter().map(|account| (account.id, account.name.clone())).collect();
        book.accounts = accounts.into_iter().map(|account| (account.name.clone(), account)).collect();
        book.belongings = index.all_belongings()?.into_iter().collect();
        index.aliases()?.iter().chain(&index.domains()?).try_for_each(|change| book.change(change))?;
        Ok(Roster { book: RwLock::new(book), usages })
    }

    /// The account of that name.
    pub(crate) fn account(&self, name: &AccountName) -> Option<Account> {
        self.book().accounts.get(name).cloned()
    }

    /// The account with that number.
    pub(crate) fn account_of(&self, id: AccountId) -> Option<Account> {
        let book = self.book();
        book.accounts.get(book.names.get(&id)?).cloned()
    }

    /// All accounts, by name.
    pub(crate) fn accounts(&self) -> Vec<Account> {
        let mut accounts: Vec<Account> = self.book().accounts.values().cloned().collect();
        accounts.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        accounts
    }

    /// Says how much an account may hold for which nothing is set.
    pub(crate) fn set_default_quota(&self, quota: Quota) {
        self.usages.set_default_quota(quota);
    }

    /// How the account of that name stands.
    pub(crate) fn standing(&self, name: &AccountName) -> Option<Standing> {
        self.book().standing(name, &self.usages)
    }

    /// The passwords of the account of that name.
    pub(crate) fn credentials(&self, name: &AccountName) -> Option<Credentials> {
        let book = self.book();
        let account = book.accounts.get(name)?;
        Some(
            book.belongings
                .get(&account.id)
                .map(|belongings| belongings.credentials.clone())
                .unwrap_or_default(),
        )
    }

    /// All aliases, by name.
    pub(crate) fn aliases(&self) -> Vec<Alias> {
        self.book().aliases.values().cloned().collect()
    }

    /// All domains, by name.
    pub(crate) fn domains(&self) -> Vec<DomainRecord> {
        self.book().domains.values().cloned().collect()
    }

    /// What is known of an address.
    pub(crate) fn resolve(&self, address: &Mailbox) -> Resolution {
        let book = self.book();
        let catch_all = || book.aliases.get(&AccountName::catch_all(address.domain()?)).cloned();
        let untagged = AccountName::untagged(address);
        Resolution {
            domain: address.domain().and_then(|domain| book.domains.get(domain)).map(|domain| domain.origin),
            exact: book.addressee(&AccountName::of(address), &self.usages),
            untagged: untagged.and_then(|name| book.addressee(&name, &self.usages)),
            // Most domains have none: the name is not made for nothing.
            catch_all: if book.aliases.is_empty() { None } else { catch_all() },
        }
    }

    /// Takes in what has become durable.
    pub(crate) fn see(&self, effects: &[Effect]) {
        let concerns = |effect: &&Effect| matches!(effect, Effect::Account(_) | Effect::Directory(_));
        let mut changes = effects.iter().filter(concerns).peekable();
        // Most batches change nothing here: they need no lock.
        if changes.peek().is_none() {
            return;
        }
        let mut book = self.book.write().expect("no holder of the roster's lock panics");
        for change in changes {
            match change {
                Effect::Account(change) => book.change_account(change),
                Effect::Directory(change) => {
                    book.change(change).expect("the writer made it from values that can be read back");
                }
                _ => {}
            }
        }
    }

    fn book(&self) -> RwLockReadGuard<'_, Book> {
        self.book.read().expect("no holder of the roster's lock panics")
    }
}

impl Book {
    fn change_account(&mut self, change: &AccountChange) {
        match change {
            AccountChange::Created { id, name, origin, created } => {
                let account = Account { id: *id, name: name.clone(), origin: *origin, created: *created };
                self.names.insert(*id, name.clone());
                self.accounts.insert(name.clone(), account);
            }
            AccountChange::Raised { name, origin, .. } => {
                if let Some(account) = self.accounts.get_mut(name) {
                    account.origin = *origin;
                }
            }
            AccountChange::Removed { id, name } => {
                self.accounts.remove(name);
                self.names.remove(id);
                self.belongings.remove(id);
            }
            AccountChange::MailboxCreated { .. } | AccountChange::Restored { .. } => {}
        }
    }

    /// Fails when an address in it cannot be read.
    fn change(&mut self, change: &DirectoryChange) -> Result<()> {
        match change.subject() {
            Subject::Account(account) => self.belongings.entry(account).or_default().apply(change),
            Subject::Alias(name) => match change.as_alias()? {
                Some(alias) => drop(self.aliases.insert(name.clone(), alias)),
                None => drop(self.aliases.remove(name)),
            },
            Subject::Domain(name) => match change.as_domain()? {
                Some(domain) => drop(self.domains.insert(domain.name.clone(), domain)),
                None => self.domains.retain(|known, _| known.ascii() != name),
            },
        }
        Ok(())
    }

    fn standing(&self, name: &AccountName, usages: &Usages) -> Option<Standing> {
        let account = self.accounts.get(name)?.clone();
        let belongings = self.belongings.get(&account.id);
        Some(Standing {
            full_name: belongings.and_then(|belongings| belongings.full_name.clone()),
            quota: belongings.map(|belongings| belongings.quota).unwrap_or_default(),
            default_quota: usages.default_quota(),
            usage: usages.of(account.id),
            account,
        })
    }

    fn addressee(&self, name: &AccountName, usages: &Usages) -> Option<Addressee> {
        let account = self.standing(name, usages).map(|standing| Addressee::Account(Box::new(standing)));
        account.or_else(|| self.aliases.get(name).cloned().map(Addressee::Alias))
    }
}
