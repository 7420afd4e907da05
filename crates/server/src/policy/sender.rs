//! Which sender addresses an account may use when it submits mail (RFC 6409 §6.1).
//!
//! The null reverse-path is everybody's: receipts and automatic answers need it (RFC 8098 §3, RFC 3834 §3.3), and who sent them
//! shows in the From field, which is checked like any other.

use super::Verdict;
use serde::Deserialize;
use smtp::{Host, Mailbox, ReversePath, replies};
use std::str::FromStr;
use store::AccountName;

/// What a verdict on senders depends on, for a whole server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Which addresses an account may use.
    pub senders: Senders,
    /// Whether the From field is held to that, too.
    pub from: HeaderFrom,
    /// Whether HELO must name the sender's domain.
    pub hello: HelloName,
}

/// Which addresses an account may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Senders {
    /// Those that lead to it: its name, with or without a tag, and the aliases that reach it.
    #[default]
    Own,
    /// Any address in a domain of ours.
    Domains,
    /// Any address at all.
    Any,
}

/// Whether the From field is held to the same rule as the reverse-path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderFrom {
    /// It is. From is what people see, so that the other check is worth little without this one.
    #[default]
    Checked,
    /// It is not; a message that names somebody else there gets a Sender field with the account (RFC 6409 §8.1).
    Unchecked,
}

/// What HELO and EHLO must name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HelloName {
    /// Anything: a program at home has no name that means something.
    #[default]
    Any,
    /// The domain of the reverse-path. It proves nothing, but catches programs that are set up wrong.
    SendersDomain,
}

/// How an address stands to the account that wants to use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Mail for it reaches the account.
    Own,
    /// It is in a domain of ours.
    Ours,
    /// It is somebody else's.
    Foreign,
}

/// Decides on the reverse-path of a submission; `ownership` is that of its mailbox.
pub fn reverse_path(
    rules: &Rules,
    path: &ReversePath,
    ownership: Ownership,
    account: &AccountName,
    hello: &str,
) -> Verdict<()> {
    let Some(mailbox) = path.as_mailbox() else { return Verdict::Accept(()) };
    if !may_use(rules.senders, ownership) {
        return Verdict::Reject(replies::sender_not_owned(mailbox, account.as_str()));
    }
    if rules.hello == HelloName::SendersDomain && !names_domain_of(hello, mailbox) {
        return Verdict::Reject(replies::hello_not_of_sender(mailbox.host()));
    }
    Verdict::Accept(())
}

/// Whether an address of that standing may be used.
pub fn may_use(senders: Senders, ownership: Ownership) -> bool {
    match senders {
        Senders::Own => ownership == Ownership::Own,
        Senders::Domains => ownership != Ownership::Foreign,
        Senders::Any => true,
    }
}

fn names_domain_of(hello: &str, mailbox: &Mailbox) -> bool {
    Host::from_str(hello).is_ok_and(|host| host == *mailbox.host())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(rules: Rules, path: &str, ownership: Ownership, hello: &str) -> String {
        let path = match path {
            "" => ReversePath::Null,
            path => ReversePath::Mailbox(path.parse().expect("an address")),
        };
        let account = AccountName::parse("bob@b.example").expect("a name");
        match reverse_path(&rules, &path, ownership, &account, hello) {
            Verdict::Accept(()) => "accept".to_owned(),
            Verdict::Defer(reply) | Verdict::Reject(reply) => reply.to_string(),
        }
    }

    #[test]
    fn an_account_uses_its_own_addresses_unless_it_is_let() {
        use Ownership::{Foreign, Ours, Own};
        use Senders::{Any, Domains};
        for (senders, ownership, accepted) in [
            (Senders::Own, Own, true),
            (Senders::Own, Ours, false),
            (Senders::Own, Foreign, false),
            (Domains, Own, true),
            (Domains, Ours, true),
            (Domains, Foreign, false),
            (Any, Own, true),
            (Any, Ours, true),
            (Any, Foreign, true),
        ] {
            let rules = Rules { senders, ..Rules::default() };
            let said = decide(rules, "alice@b.example", ownership, "laptop");
            match accepted {
                true => assert_eq!(said, "accept", "{senders:?} {ownership:?}"),
                false => assert_eq!(
                    said, "550 5.7.1 Sender refused: alice@b.example is not an address of bob@b.example",
                    "{senders:?} {ownership:?}"
                ),
            }
        }
    }

    #[test]
    fn the_null_reverse_path_is_everybodys() {
        let strict = Rules { hello: HelloName::SendersDomain, ..Rules::default() };
        assert_eq!(decide(strict, "", Ownership::Foreign, "laptop"), "accept");
    }

    #[test]
    fn hello_may_have_to_name_the_senders_domain() {
        let strict = Rules { hello: HelloName::SendersDomain, ..Rules::default() };
        let refused = "550 5.7.1 Sender refused: say HELO or EHLO with the sender's domain, b.example";
        for (path, hello, said) in [
            ("bob@b.example", "b.example", "accept"),
            ("bob@b.example", "B.Example", "accept"),
            ("bob@b.example", "mail.b.example", refused),
            ("bob@b.example", "laptop", refused),
            ("bob@b.example", "", refused),
            ("bob@b.example", "not a name", refused),
            ("bob@[192.0.2.1]", "[192.0.2.1]", "accept"),
        ] {
            assert_eq!(decide(strict, path, Ownership::Own, hello), said, "{hello}");
        }
        assert_eq!(decide(Rules::default(), "bob@b.example", Ownership::Own, "laptop"), "accept");
    }
}
