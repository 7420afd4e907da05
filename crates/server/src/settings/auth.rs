//! `[auth]`: how people and programs prove who they are when they submit mail.

use super::file::Text;
use super::{At, SettingsError};
use crate::auth::token::TokenRules;
use sasl::Mechanism;
use sasl::server::OAuthHints;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use store::AccountName;
use toml::Spanned;

/// `[auth]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// The mechanisms that are offered.
    mechanisms: Option<Spanned<Vec<Spanned<Text<Mechanism>>>>>,
    /// Who may log in without TLS.
    in_clear: InClear,
    /// Whose certificates are whose.
    certificates: BTreeMap<String, Spanned<Text<smtp::Mailbox>>>,
    /// Where bearer tokens come from.
    oauth: Option<Spanned<OAuthFile>>,
}

/// `[auth.oauth]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OAuthFile {
    keys: Option<PathBuf>,
    introspection: Option<String>,
    client_id: Option<String>,
    client_secret: Option<PathBuf>,
    issuer: Option<String>,
    audience: Option<String>,
    scopes: Vec<String>,
    account_claim: Option<String>,
    openid_configuration: Option<String>,
}

/// How a client may prove who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSettings {
    /// The mechanisms that are offered where they can work: EXTERNAL to a client with a certificate, PLUS where the channel can be
    /// bound, those for tokens when there is somewhere to check them.
    pub mechanisms: Vec<Mechanism>,
    /// Who may log in without TLS.
    pub in_clear: InClear,
    /// The accounts of client certificates, by the address in the certificate or its fingerprint, in lower case.
    pub certificates: BTreeMap<String, AccountName>,
    /// Where bearer tokens come from.
    pub oauth: Option<OAuth>,
}

/// Who may log in without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InClear {
    /// Nobody.
    #[default]
    Never,
    /// Clients on this machine.
    Loopback,
}

/// Where bearer tokens come from, and what they must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth {
    /// How a token is checked.
    pub source: TokenSource,
    /// What it must say.
    pub rules: TokenRules,
    /// What a client hears whose token is refused.
    pub hints: OAuthHints,
}

/// How a token is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// By its signature, with a key of the set in this file.
    Keys(PathBuf),
    /// By asking the authorization server.
    Introspection {
        /// Where.
        url: String,
        /// The name that this server is registered under there, and the file with its secret.
        client: Option<(String, PathBuf)>,
    },
}

impl Default for AuthSettings {
    fn default() -> AuthSettings {
        let all = Mechanism::ALL.into_iter();
        AuthSettings {
            mechanisms: all.collect(),
            in_clear: InClear::Never,
            certificates: BTreeMap::new(),
            oauth: None,
        }
    }
}

/// Whether a text can stand for a client certificate: an address in it, or the fingerprint of it.
fn names_certificate(key: &str) -> bool {
    let octets: Vec<&str> = key.split(':').collect();
    let is_octet = |octet: &&str| octet.len() == 2 && octet.bytes().all(|digit| digit.is_ascii_hexdigit());
    (octets.len() == 32 && octets.iter().all(is_octet)) || key.parse::<smtp::Mailbox>().is_ok()
}

impl File {
    /// What it means, with the defaults for what is not written.
    pub(super) fn resolve(
        &self,
        client_ca: Option<&Path>,
        wrong: At<'_>,
    ) -> Result<AuthSettings, SettingsError> {
        let mechanisms = self.mechanisms(client_ca, wrong)?;
        if let Some((key, account)) = self.certificates.iter().find(|(key, _)| !names_certificate(key)) {
            // Passed over, its certificate would count as that of whomever its addresses name.
            let message = format!(
                "{key:?} is neither an address nor a SHA-256 fingerprint; write that like \"AB:CD:…\", 32 octets"
            );
            return Err(wrong(account.span(), message));
        }
        if let (Some((_, account)), None) = (self.certificates.first_key_value(), client_ca) {
            let message = "no client is asked for a certificate: name the authorities that sign them as `client_ca` in [tls]";
            return Err(wrong(account.span(), message.to_owned()));
        }
        let certificates = self.certificates.iter().map(|(certificate, account)| {
            (certificate.to_lowercase(), AccountName::of(&account.get_ref().0))
        });
        Ok(AuthSettings {
            mechanisms,
            in_clear: self.in_clear,
            certificates: certificates.collect(),
            oauth: self
                .oauth
                .as_ref()
                .map(|written| written.get_ref().resolve(written.span(), wrong))
                .transpose()?,
        })
    }
}

impl File {
    /// Those that are named, if somebody can use them; all by default, which are offered where they can work.
    fn mechanisms(&self, client_ca: Option<&Path>, wrong: At<'_>) -> Result<Vec<Mechanism>, SettingsError> {
        let Some(written) = &self.mechanisms else { return Ok(AuthSettings::default().mechanisms) };
        if written.get_ref().is_empty() {
            let message = "nobody could log in: name one mechanism at least, or leave `mechanisms` away";
            return Err(wrong(written.span(), message.to_owned()));
        }
        for mechanism in written.get_ref() {
            let missing = match mechanism.get_ref().0 {
                Mechanism::External if client_ca.is_none() => {
                    "the authorities that sign client certificates, as `client_ca` in [tls]"
                }
                Mechanism::OAuthBearer | Mechanism::XOAuth2 if self.oauth.is_none() => {
                    "where tokens are checked, in [auth.oauth]"
                }
                _ => continue,
            };
            let message = format!("nobody could use {} without {missing}", mechanism.get_ref().0);
            return Err(wrong(mechanism.span(), message));
        }
        Ok(written.get_ref().iter().map(|mechanism| mechanism.get_ref().0).collect())
    }
}

impl OAuthFile {
    fn resolve(&self, span: std::ops::Range<usize>, wrong: At<'_>) -> Result<OAuth, SettingsError> {
        let refuse = |message: &str| Err(wrong(span.clone(), message.to_owned()));
        let source = match (&self.keys, &self.introspection) {
            (Some(file), None) => {
                // A signature says who made a token, not for whom.
                if self.issuer.is_none() || self.audience.is_none() {
                    return refuse("with `keys` the tokens' `issuer` and `audience` must be named");
                }
                if self.client_id.is_some() || self.client_secret.is_some() {
                    return refuse(
                        "`client_id` and `client_secret` are for `introspection`: with `keys` nobody is asked",
                    );
                }
                TokenSource::Keys(file.clone())
            }
            (None, Some(url)) => {
                let client = match (&self.client_id, &self.client_secret) {
                    (Some(id), Some(file)) => Some((id.clone(), file.clone())),
                    (None, None) => None,
                    _ => return refuse("`client_id` and `client_secret` go together"),
                };
                TokenSource::Introspection { url: url.clone(), client }
            }
            (Some(_), Some(_)) => return refuse("`keys` or `introspection`, not both"),
            (None, None) => return refuse("`keys` or `introspection` is missing: how is a token checked?"),
        };
        Ok(OAuth {
            source,
            rules: TokenRules {
                issuer: self.issuer.clone(),
                audience: self.audience.clone(),
                scopes: self.scopes.clone(),
                account_claim: self.account_claim.clone().unwrap_or_else(|| "email".to_owned()),
            },
            hints: OAuthHints {
                scope: (!self.scopes.is_empty()).then(|| self.scopes.join(" ")),
                openid_configuration: self.openid_configuration.clone(),
            },
        })
    }
}

/// The lines of `serve --check`.
pub(super) fn show(auth: &AuthSettings, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let names: Vec<&str> = auth.mechanisms.iter().map(|mechanism| mechanism.as_str()).collect();
    writeln!(f, "mechanisms               {}", names.join(" "))?;
    let in_clear = match auth.in_clear {
        InClear::Never => "nobody",
        InClear::Loopback => "clients on this machine",
    };
    writeln!(f, "  without TLS            {in_clear}")?;
    let tokens = match auth.oauth.as_ref().map(|oauth| &oauth.source) {
        None => "none".to_owned(),
        Some(TokenSource::Keys(file)) => format!("signed with a key in {}", file.display()),
        Some(TokenSource::Introspection { url, .. }) => format!("checked at {url}"),
    };
    writeln!(f, "  bearer tokens          {tokens}")
}
