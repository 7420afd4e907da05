//! One order at an authority: an account, answers to its checks, a certificate.

use super::super::connect::{authorities, system};
use super::super::files::{read, write_private};
use super::super::{TlsError, VERSIONS, provider};
use super::answers::Answers;
use crate::settings::{Acme, Challenge};
use bytes::Bytes;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use instant_acme::{
    Account, AccountBuilder, AccountCredentials, AuthorizationHandle, AuthorizationStatus, BodyWrapper,
    ChallengeType, Error, Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// The authority, or the way to it.
    #[error("{}", plain(.0))]
    Authority(#[from] Error),
    /// The authority's check of a name failed.
    #[error("the authority could not check {name}: {reason}")]
    Check { name: String, reason: String },
    /// The authority offers no way of checking that the settings allow.
    #[error("the authority offers none of the challenges of the settings for {0}")]
    NoChallenge(String),
    /// The order came to nothing.
    #[error("the order came to nothing: it is {0:?}")]
    Order(OrderStatus),
    /// Our own files or keys.
    #[error("{0}")]
    Own(#[from] TlsError),
}

/// What is kept of an account.
#[derive(Serialize, Deserialize)]
struct Kept {
    directory: String,
    account: AccountCredentials,
}

/// Gets a certificate; key and chain as PEM, the key first.
pub(super) async fn order(settings: &Acme, account: &Path, answers: &Answers) -> Result<String, OrderError> {
    let names = settings.domains.iter().map(|domain| Identifier::Dns(domain.ascii().to_owned()));
    let names: Vec<Identifier> = names.collect();
    let known = match kept(settings, account).await? {
        Some(known) => known,
        None => create(settings, account).await?,
    };
    let mut order = match known.new_order(&NewOrder::new(&names)).await {
        Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(UNKNOWN_ACCOUNT) => {
            tracing::warn!("ACME: the authority does not know the account any more; making another");
            create(settings, account).await?.new_order(&NewOrder::new(&names)).await?
        }
        ordered => ordered?,
    };
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        answer(settings, authorization?, answers).await?;
    }
    match order.poll_ready(&POLLING).await? {
        OrderStatus::Ready => {}
        OrderStatus::Invalid => return Err(why_invalid(&mut order).await),
        other => return Err(OrderError::Order(other)),
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&POLLING).await?;
    Ok(format!("{key}{chain}"))
}

/// The account of an earlier order at this authority.
async fn kept(settings: &Acme, file: &Path) -> Result<Option<Account>, OrderError> {
    if !file.exists() {
        return Ok(None);
    }
    match serde_json::from_slice::<Kept>(&read(file)?) {
        Ok(kept) if kept.directory == settings.directory => {
            Ok(Some(builder(settings)?.from_credentials(kept.account).await?))
        }
        Ok(_) => {
            tracing::info!("ACME: another authority than before; making an account there");
            Ok(None)
        }
        Err(error) => {
            tracing::warn!(%error, "ACME: the account cannot be read; making another");
            Ok(None)
        }
    }
}

/// Makes an account and keeps it.
async fn create(settings: &Acme, file: &Path) -> Result<Account, OrderError> {
    let contact: Vec<String> = settings.contact.iter().map(|mailbox| format!("mailto:{mailbox}")).collect();
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let directory = settings.directory.clone();
    let (account, credentials) = builder(settings)?.create(&new, directory.clone(), None).await?;
    let kept = Kept { directory, account: credentials };
    write_private(file, &serde_json::to_vec_pretty(&kept).map_err(Error::from)?)?;
    Ok(account)
}

fn builder(settings: &Acme) -> Result<AccountBuilder, OrderError> {
    // One client, whoever has signed the authority's certificate: `Account::builder` has another verifier, and
    // `Account::builder_with_root` reads the first certificate of the file and no other.
    let roots = match &settings.directory_ca {
        Some(file) => authorities(file)?,
        None => system()?,
    };
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .map_err(|error| TlsError::Internal(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build();
    let client: Client<_, BodyWrapper<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    Ok(Account::builder_with_http(Box::new(client)))
}

/// Gives the answer to a check and says that it may come.
async fn answer(
    settings: &Acme,
    mut authorization: AuthorizationHandle<'_>,
    answers: &Answers,
) -> Result<(), OrderError> {
    let name = authorization.identifier().to_string();
    if authorization.status == AuthorizationStatus::Valid {
        return Ok(());
    }
    let offered = |challenge: &&Challenge| {
        let kind = kind(**challenge);
        authorization.challenges.iter().any(|offered| offered.r#type == kind)
    };
    let Some(chosen) = settings.challenges.iter().find(offered).copied() else {
        return Err(OrderError::NoChallenge(name));
    };
    let Some(mut challenge) = authorization.challenge(kind(chosen)) else {
        return Err(OrderError::NoChallenge(name));
    };
    let proof = challenge.key_authorization();
    match chosen {
        Challenge::Http01 => answers.add_file(&challenge.token, proof.as_str()),
        Challenge::TlsAlpn01 => answers.add_certificate(&name, proof.digest().as_ref())?,
    }
    tracing::info!("ACME: the authority checks {name} by {chosen}");
    challenge.set_ready().await?;
    Ok(())
}

/// What the authority says of the check that failed.
async fn why_invalid(order: &mut Order) -> OrderError {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        // What is known of it is as old as the order.
        if let Err(error) = authorization.refresh().await {
            return error.into();
        }
        let failed = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(problem) = failed {
            let name = authorization.identifier().to_string();
            return OrderError::Check { name, reason: problem.to_string() };
        }
    }
    OrderError::Order(OrderStatus::Invalid)
}

fn kind(challenge: Challenge) -> ChallengeType {
    match challenge {
        Challenge::Http01 => ChallengeType::Http01,
        Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
    }
}

/// An error with its causes: the outermost alone often says little.
fn plain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

/// An authority may take a minute or two for its checks.
const POLLING: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(180));

/// RFC 8555 §6.7.
const UNKNOWN_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";
