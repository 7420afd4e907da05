//! Resolved settings as a person reads them: what `serve --check` prints.

use super::values::QuotaText;
use super::{Acceptance, ListenerTls, Settings, Size, Span};
use std::fmt;

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "host name                {}", self.host_name.as_str())?;
        writeln!(f, "data                     {}", self.data.display())?;
        for listener in &self.listeners {
            writeln!(f, "listens on               {listener}")?;
        }
        match &self.acceptance {
            Acceptance::Everyone => writeln!(f, "takes mail for           every address")?,
            Acceptance::Named(names) => {
                writeln!(f, "takes mail for           {} named addresses", names.len())?
            }
            Acceptance::Domains { domains, postmaster } => {
                let domains: Vec<&str> = domains.iter().map(|domain| domain.as_str()).collect();
                let named = match domains.as_slice() {
                    [] => "the domains added by command".to_owned(),
                    domains => format!("{}, and domains added by command", domains.join(", ")),
                };
                writeln!(f, "takes mail for           accounts in {named}")?;
                let postmaster = postmaster.as_ref().map_or("postmaster@DOMAIN", |name| name.as_str());
                writeln!(f, "postmaster               {postmaster}")?;
            }
        }
        for account in &self.accounts {
            writeln!(f, "account                  {account}")?;
        }
        self.show_tls(f)?;
        let limits = &self.limits;
        let size = match limits.message_size {
            0 => "no limit".to_owned(),
            size => Size(size).to_string(),
        };
        writeln!(f, "largest message          {size}")?;
        writeln!(f, "recipients of a message  {}", limits.recipients)?;
        writeln!(f, "hosts passed at most     {}", limits.hops)?;
        writeln!(f, "errors in a session      {}", limits.errors)?;
        writeln!(f, "silence ends after       {}", Span(limits.idle))?;
        writeln!(f, "connections              {}", limits.connections)?;
        writeln!(f, "  from one address       {}", limits.connections_per_address)?;
        let exempt: Vec<String> = limits.exempt.iter().map(ToString::to_string).collect();
        writeln!(f, "    but not from         {}", exempt.join(", "))?;
        writeln!(f, "sessions of one account  {}", limits.sessions_per_account)?;
        writeln!(f, "between logins by POP3   {}", Span(limits.login_delay))?;
        super::abuse::show(&self.abuse, f)?;
        for account in &self.classroom {
            writeln!(f, "the classroom shows      {account}")?;
        }
        super::auth::show(&self.auth, f)?;
        super::submission::show(&self.submission, f)?;
        super::proxies::show(&self.proxies, f)?;
        super::hardening::show(&self.hardening, f)?;
        if let Some(relay) = &self.relay {
            let submitters = crate::ready::takes_submissions(self).then_some("accounts that log in");
            super::relay::show(relay, submitters, f)?;
        }
        writeln!(f, "quota of an account      {}", QuotaText(limits.quota))?;
        writeln!(f, "disk kept free           {}", Size(limits.disk_reserve))?;
        write!(f, "a stop waits             {}", Span(limits.stop))
    }
}

impl Settings {
    fn show_tls(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for files in &self.tls.certificates {
            writeln!(f, "certificate              {}", files.chain.display())?;
        }
        if let Some(acme) = &self.tls.acme {
            let domains: Vec<&str> = acme.domains.iter().map(|domain| domain.ascii()).collect();
            writeln!(f, "certificate by ACME      for {} from {}", domains.join(", "), acme.directory)?;
            let challenges: Vec<String> = acme.challenges.iter().map(ToString::to_string).collect();
            writeln!(f, "  names are checked by   {}", challenges.join(", "))?;
            for address in &acme.http {
                writeln!(f, "listens on               {address} (HTTP, only for ACME)")?;
            }
            for address in &acme.tls_alpn {
                writeln!(f, "listens on               {address} (TLS, only for ACME)")?;
            }
        } else if self.tls.certificates.is_empty() && self.uses_tls() {
            writeln!(f, "certificate              self-signed, made at the first start")?;
        }
        match &self.tls.client_ca {
            Some(file) => writeln!(f, "client certificates by   {}", file.display()),
            None => Ok(()),
        }
    }

    /// Whether a listener needs a certificate.
    pub fn uses_tls(&self) -> bool {
        self.listeners.iter().any(|listener| listener.tls != ListenerTls::None)
    }
}
