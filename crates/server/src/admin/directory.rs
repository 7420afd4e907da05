//! Carries out what is asked of the directory.

use super::accounts::{
    AccountDetails, AliasView, ApplicationPasswordView, DirectoryRequest, DomainView, Given, GivenPassword,
    Login,
};
use super::handle::{Stop, name, send, view};
use super::passwords;
use super::protocol::{Frame, Item};
use crate::auth::Kept;
use crate::open::Access;
use smtp::{Domain, Mailbox};
use store::{AccountName, Alias, ApplicationPassword, Error, NewAccount, Origin, SharedStore};
use tokio::sync::mpsc::Sender;

/// Carries out one request.
pub(super) async fn carry_out(
    access: &Access,
    request: DirectoryRequest,
    to: &Sender<Frame>,
) -> Result<(), Stop> {
    let Access { store, scram, .. } = access;
    let scram = *scram;
    match request {
        DirectoryRequest::AddAccount { address, given } => {
            add_account(access, &name(&address)?, given, to).await
        }
        DirectoryRequest::ShowAccount { address } => {
            let details = details(store, &name(&address)?).await?;
            send(to, Item::Details(Box::new(details))).await
        }
        DirectoryRequest::SetPassword { address, password } => {
            let account = name(&address)?;
            store.credentials(&account).await?;
            let Kept { password, scram } = off_thread(move || passwords::hash(&password, scram)).await?;
            Ok(store.set_password(&account, password, scram).await?)
        }
        DirectoryRequest::AddApplicationPassword { address, name: what, created } => {
            let (password, Kept { password: hash, scram }) =
                off_thread(move || Ok(passwords::application(scram))).await?;
            let kept = ApplicationPassword { name: what, password: hash, scram, created, last_used: None };
            store.add_application_password(&name(&address)?, kept).await?;
            send(to, Item::Secret { secret: password }).await
        }
        DirectoryRequest::RemoveApplicationPassword { address, name: what } => {
            Ok(store.remove_application_password(&name(&address)?, &what).await?)
        }
        DirectoryRequest::SetQuota { address, quota } => Ok(store.set_quota(&name(&address)?, quota).await?),
        DirectoryRequest::Aliases => {
            for alias in store.aliases().await? {
                send(to, Item::Alias(alias_view(&alias))).await?;
            }
            Ok(())
        }
        DirectoryRequest::AddAlias { alias, targets } => {
            add_alias(store, name(&alias)?, addresses(&targets)?, to).await
        }
        DirectoryRequest::RemoveAlias { alias, targets } => {
            remove_alias(store, &name(&alias)?, &addresses(&targets)?).await
        }
        DirectoryRequest::Domains => {
            for domain in domain_views(store).await? {
                send(to, Item::Domain(domain)).await?;
            }
            Ok(())
        }
        DirectoryRequest::AddDomain { domain } => {
            let domain = domain_name(&domain)?;
            store.create_domain(&domain, Origin::Added).await?;
            let views = domain_views(store).await?.into_iter();
            for view in views.filter(|view| Domain::parse(&view.domain).is_ok_and(|known| known == domain)) {
                send(to, Item::Domain(view)).await?;
            }
            Ok(())
        }
        DirectoryRequest::RemoveDomain { domain } => remove_domain(store, &domain_name(&domain)?, to).await,
    }
}

async fn add_account(
    Access { store, scram, .. }: &Access,
    account: &AccountName,
    given: Given,
    to: &Sender<Frame>,
) -> Result<(), Stop> {
    if account.is_catch_all() {
        return Err(Stop::Failed(format!(
            "{account} stands for all addresses of its domain: give it to an account with `posthaste user alias add`"
        )));
    }
    let Given { full_name, password, quota } = given;
    let kept = match password {
        None => None,
        Some(GivenPassword::Hash(hash)) => Some(passwords::foreign(&hash).map_err(Stop::Failed)?),
        Some(GivenPassword::Plain(password)) => {
            let scram = *scram;
            Some(off_thread(move || passwords::hash(&password, scram)).await?)
        }
    };
    let (password, scram) = kept.map_or((None, None), |kept| (Some(kept.password), kept.scram));
    let new =
        NewAccount { full_name, password, scram, quota, ..NewAccount::bare(account.clone(), Origin::Added) };
    let made = store.create_account_with(new).await?;
    send(to, Item::Account(view(store, made).await?)).await?;
    note_foreign(store, account.as_str(), to).await
}

async fn details(store: &SharedStore, account: &AccountName) -> Result<AccountDetails, Stop> {
    let no_such = || Error::NoSuchAccount(account.to_string());
    let standing = store.standing(account).await?.ok_or_else(no_such)?;
    let credentials = store.credentials(account).await?;
    let names_it =
        |alias: &Alias| alias.targets.iter().any(|target| AccountName::candidates(target).contains(account));
    let aliases = store.aliases().await?.into_iter().filter(names_it).map(|alias| alias.name.to_string());
    Ok(AccountDetails {
        account: standing.account,
        full_name: standing.full_name,
        quota: standing.quota,
        default_quota: standing.default_quota,
        usage: standing.usage,
        login: match (&credentials.password, &credentials.scram) {
            (_, Some(_)) => Login::PasswordOrScram,
            (Some(_), None) => Login::Password,
            (None, None) => Login::None,
        },
        application_passwords: credentials
            .application_passwords
            .iter()
            .map(|ApplicationPassword { name, created, last_used, .. }| ApplicationPasswordView {
                name: name.clone(),
                created: *created,
                last_used: *last_used,
            })
            .collect(),
        aliases: aliases.collect(),
    })
}

async fn add_alias(
    store: &SharedStore,
    alias: AccountName,
    added: Vec<Mailbox>,
    to: &Sender<Frame>,
) -> Result<(), Stop> {
    for target in &added {
        let known = store.resolve(target).await?;
        let leads_on = known.catch_all.as_ref().is_some_and(|catch_all| catch_all.name != alias);
        if known.domain.is_some() && known.exact.is_none() && known.untagged.is_none() && !leads_on {
            return Err(Stop::Failed(format!("there is no mailbox {target}; add the account first")));
        }
    }
    let known = store.aliases().await?.into_iter().find(|known| known.name == alias);
    let mut targets = known.map(|known| known.targets).unwrap_or_default();
    for target in added {
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    store.set_alias(&alias, &targets, Origin::Added).await?;
    let made =
        AliasView { alias: alias.to_string(), targets: targets.iter().map(ToString::to_string).collect() };
    send(to, Item::Alias(made)).await?;
    note_foreign(store, alias.as_str(), to).await?;
    for target in &targets {
        note_foreign_target(store, target, to).await?;
    }
    Ok(())
}

async fn remove_alias(store: &SharedStore, alias: &AccountName, targets: &[Mailbox]) -> Result<(), Stop> {
    let known = store.aliases().await?.into_iter().find(|known| known.name == *alias);
    let Alias { targets: had, origin, .. } = known.ok_or_else(|| Error::NoSuchAlias(alias.to_string()))?;
    if let Some(stranger) = targets.iter().find(|target| !had.contains(target)) {
        return Err(Stop::Failed(format!("{alias} does not lead to {stranger}; nothing was changed")));
    }
    let left: Vec<Mailbox> = had.into_iter().filter(|target| !targets.contains(target)).collect();
    if targets.is_empty() || left.is_empty() {
        return Ok(store.remove_alias(alias).await?);
    }
    Ok(store.set_alias(alias, &left, origin).await?)
}

async fn domain_views(store: &SharedStore) -> Result<Vec<DomainView>, Stop> {
    let (accounts, aliases) = (store.accounts().await?, store.aliases().await?);
    let in_domain = |name: &AccountName, domain: &Domain| {
        name.as_str().rsplit_once('@').is_some_and(|(_, host)| host == domain.ascii())
    };
    let view = |record: store::DomainRecord| {
        let domain = &record.name;
        let accounts = accounts.iter().filter(|account| in_domain(&account.name, domain)).count();
        let own = || aliases.iter().filter(|alias| in_domain(&alias.name, domain));
        let catch_all = own().find(|alias| alias.name.is_catch_all());
        DomainView {
            domain: domain.to_string(),
            origin: record.origin,
            created: record.created,
            accounts: accounts as u64,
            aliases: own().filter(|alias| !alias.name.is_catch_all()).count() as u64,
            catch_all: catch_all.map(|alias| alias_view(alias).targets).unwrap_or_default(),
        }
    };
    Ok(store.domains().await?.into_iter().map(view).collect())
}

async fn remove_domain(store: &SharedStore, domain: &Domain, to: &Sender<Frame>) -> Result<(), Stop> {
    let known = domain_views(store)
        .await?
        .into_iter()
        .find(|view| Domain::parse(&view.domain).as_ref() == Ok(domain));
    let known = known.ok_or_else(|| Error::NoSuchDomain(domain.to_string()))?;
    if known.origin == Origin::Declared {
        return Err(Stop::Failed(format!(
            "the settings file names {domain} in `domains`: take it off there and start the server again"
        )));
    }
    store.remove_domain(domain).await?;
    if known.accounts > 0 {
        let text = format!(
            "its {} accounts and their mail are still there: see `posthaste user ls`",
            known.accounts
        );
        send(to, Item::Note { text }).await?;
    }
    Ok(())
}

/// Says that mail for an address will not be taken because of its domain, where that is so. Without any domain the server is one that
/// takes everything, or none yet.
async fn note_foreign(store: &SharedStore, address: &str, to: &Sender<Frame>) -> Result<(), Stop> {
    let domains = store.domains().await?;
    let host = address.rsplit_once('@').map_or("", |(_, host)| host);
    if domains.is_empty() || domains.iter().any(|known| known.name.ascii() == host) {
        return Ok(());
    }
    let text = format!("mail for {host} is not taken: add the domain with `posthaste domain add {host}`");
    send(to, Item::Note { text }).await
}

/// Says that an alias leads out, where it does.
async fn note_foreign_target(store: &SharedStore, target: &Mailbox, to: &Sender<Frame>) -> Result<(), Stop> {
    let domains = store.domains().await?;
    if domains.is_empty()
        || target.domain().is_some_and(|domain| domains.iter().any(|known| known.name == *domain))
    {
        return Ok(());
    }
    let text =
        format!("{target} is elsewhere: mail for the alias is sent on, under a reverse-path of this server");
    send(to, Item::Note { text }).await
}

fn alias_view(alias: &Alias) -> AliasView {
    AliasView {
        alias: alias.name.to_string(),
        targets: alias.targets.iter().map(ToString::to_string).collect(),
    }
}

fn addresses(texts: &[String]) -> Result<Vec<Mailbox>, Stop> {
    let parse = |text: &String| {
        text.parse().map_err(|error| Stop::Failed(format!("{text:?} is not an address: {error}")))
    };
    texts.iter().map(parse).collect()
}

fn domain_name(text: &str) -> Result<Domain, Stop> {
    Domain::parse(text).map_err(|error| Stop::Failed(format!("{text:?} is not a domain: {error}")))
}

/// Hashing takes a while and much memory: not on a thread that serves connections.
async fn off_thread<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, Stop> {
    let done = tokio::task::spawn_blocking(act).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())).map_err(Stop::Failed)
}
