//! What the settings declare becomes data in the store when a server starts: domains and accounts.
//!
//! The store is what policy asks, so that what commands add and what the file names are one.

use crate::run::StartError;
use crate::settings::{Acceptance, Settings};
use std::sync::Arc;
use store::{DomainRecord, Error, Origin, SharedStore};
use tokio::task::JoinSet;

/// Brings the declared domains of the store up to date with the settings: those that are no longer declared go, unless they were added
/// by command too. Their accounts and mail stay. Returns the settings with a first domain, which may be one of the store's.
pub(crate) async fn domains(settings: &Settings, store: &SharedStore) -> Result<Settings, StartError> {
    let mut settings = settings.clone();
    let Acceptance::Domains { domains: declared, .. } = &mut settings.acceptance else { return Ok(settings) };
    let failed = |what: String| move |error| StartError::Declaration { what, error };
    for domain in declared.iter() {
        match store.create_domain(domain, Origin::Declared).await {
            Ok(()) | Err(Error::Exists(_)) => {}
            Err(error) => return Err(failed(format!("the domain {domain}"))(error)),
        }
    }
    let kept = store.domains().await.map_err(failed("domains".to_owned()))?;
    let is_stale =
        |known: &&DomainRecord| known.origin == Origin::Declared && !declared.contains(&known.name);
    for DomainRecord { name, .. } in kept.iter().filter(is_stale) {
        tracing::warn!(
            "the settings no longer name the domain {name}: mail for it is refused from now on; its accounts and their mail stay"
        );
        store.remove_domain(name).await.map_err(failed(format!("that {name} is gone")))?;
    }
    if declared.is_empty() {
        let added = kept.iter().find(|known| !is_stale(known)).ok_or(StartError::NoDomain)?;
        declared.push(added.name.clone());
    }
    Ok(settings)
}

/// Creates the accounts of the settings, many at a time: they share their syncs.
pub(crate) async fn accounts(settings: &Settings, store: &SharedStore) -> Result<(), StartError> {
    for some in settings.accounts.chunks(AT_ONCE) {
        let mut creations = JoinSet::new();
        for account in some.iter().cloned() {
            let store = Arc::clone(store);
            creations.spawn(async move {
                let created = store.create_account(&account, Origin::Declared).await;
                (account, created)
            });
        }
        while let Some(created) = creations.join_next().await {
            let (account, created) =
                created.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
            match created {
                Ok(_) | Err(Error::Exists(_)) => {}
                Err(error) => {
                    return Err(StartError::Declaration { what: format!("the account {account}"), error });
                }
            }
        }
    }
    Ok(())
}

const AT_ONCE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Catcher;
    use smtp::Domain;
    use store::memory::Memory;
    use store::{AccountName, Timestamp};

    fn domain(text: &str) -> Domain {
        Domain::parse(text).expect(text)
    }

    async fn start(store: &SharedStore, declared: &[&str]) -> Result<Vec<String>, StartError> {
        let declared = declared.iter().map(|text| domain(text)).collect();
        let catcher = Settings::catcher(Catcher::default(), domain("mx.example"));
        let acceptance = Acceptance::Domains { domains: declared, postmaster: None };
        let settings = domains(&Settings { acceptance, ..catcher }, store).await?;
        let Acceptance::Domains { domains, .. } = settings.acceptance else { panic!("it was for domains") };
        Ok(domains.iter().map(|domain| domain.ascii().to_owned()).collect())
    }

    async fn kept(store: &SharedStore) -> Vec<(String, Origin)> {
        let kept = store.domains().await.expect("the domains").into_iter();
        kept.map(|known| (known.name.ascii().to_owned(), known.origin)).collect()
    }

    #[tokio::test]
    async fn domains_follow_the_settings_but_for_those_added() {
        let store: SharedStore = Arc::new(Memory::new(|| Timestamp(0)));
        assert!(matches!(start(&store, &[]).await, Err(StartError::NoDomain)));
        assert_eq!(
            start(&store, &["b.example", "a.example"]).await.expect("it starts"),
            ["b.example", "a.example"]
        );
        let ann = AccountName::parse("ann@b.example").expect("a name");
        store.create_account(&ann, Origin::Added).await.expect("an account");
        store.create_domain(&domain("c.example"), Origin::Added).await.expect("a domain");
        store.create_domain(&domain("a.example"), Origin::Added).await.expect("a stronger origin");

        assert_eq!(start(&store, &["a.example"]).await.expect("it starts"), ["a.example"]);
        let added = |text: &str| (text.to_owned(), Origin::Added);
        assert_eq!(kept(&store).await, [added("a.example"), added("c.example")], "b.example is gone");
        assert!(store.account(&ann).await.expect("an answer").is_some(), "its accounts are not");
        assert_eq!(start(&store, &[]).await.expect("it starts"), ["a.example"], "one of the store's");
    }
}
