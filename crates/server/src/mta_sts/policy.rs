//! What a domain's MTA-STS says: its TXT record (RFC 8461 §3.1), its policy (§3.2), and which hosts fit (§4.1). Pure functions of text.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A domain's policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What happens when it is not met.
    pub mode: Mode,
    /// The hosts that may take the domain's mail, lower case: names, or `*.` and a name.
    pub hosts: Vec<String>,
    /// How long it counts from when it was fetched.
    pub max_age: Duration,
}

/// What happens when a policy is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// No mail is sent.
    Enforce,
    /// The domain would like to hear of it; mail is sent as if there were no policy.
    Testing,
    /// Nothing: there is no policy any more.
    None,
}

impl Policy {
    /// Reads a policy, or says what is wrong with it. What is not known is passed over, and of what comes twice the first counts (§3.2).
    pub fn parse(text: &str) -> Result<Policy, &'static str> {
        let (mut version, mut mode, mut max_age, mut hosts) = (None, None, None, Vec::new());
        for line in text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)) {
            let Some((key, value)) = line.split_once(':') else { continue };
            let value = value.trim_matches([' ', '\t']);
            match key.trim_matches([' ', '\t']) {
                "version" => _ = version.get_or_insert(value),
                "mode" => _ = mode.get_or_insert(value),
                "max_age" => _ = max_age.get_or_insert(value),
                "mx" if hosts.len() >= HOSTS_MAX => return Err("it names more hosts than any domain has"),
                "mx" => hosts.push(pattern(value).ok_or("one of its hosts is none")?),
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err("it is not of version STSv1");
        }
        let mode = match mode {
            Some("enforce") => Mode::Enforce,
            Some("testing") => Mode::Testing,
            Some("none") => Mode::None,
            _ => return Err("its mode is none that there is"),
        };
        let digits = max_age.filter(|age| age.len() <= 10 && age.bytes().all(|byte| byte.is_ascii_digit()));
        let seconds: u64 =
            digits.and_then(|age| age.parse().ok()).ok_or("it does not say how long it counts")?;
        if hosts.is_empty() && mode != Mode::None {
            return Err("it names no hosts");
        }
        Ok(Policy { mode, hosts, max_age: Duration::from_secs(seconds.min(AGE_MAX)) })
    }

    /// The policy as lines (§3.2).
    pub fn lines(&self) -> Vec<String> {
        let mode = match self.mode {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        };
        let mut lines = vec!["version: STSv1".to_owned(), format!("mode: {mode}")];
        lines.extend(self.hosts.iter().map(|host| format!("mx: {host}")));
        lines.push(format!("max_age: {}", self.max_age.as_secs()));
        lines
    }

    /// Whether a host may take the domain's mail: a wildcard stands for exactly one label (§4.1).
    pub fn allows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.hosts.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(parent) => {
                host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent)
            }
            None => *pattern == host,
        })
    }
}

/// The identifier in a domain's TXT records; `None` unless exactly one of them is of MTA-STS and in order (§3.1).
pub fn identifier(texts: &[String]) -> Option<String> {
    let mut records = texts.iter().filter(|text| {
        text.split(';').next().is_some_and(|first| first.trim_end_matches([' ', '\t']) == "v=STSv1")
    });
    let (record, None) = (records.next()?, records.next()) else { return None };
    let mut fields = record.split(';').filter_map(|field| field.trim_matches([' ', '\t']).split_once('='));
    let (_, id) = fields.find(|(key, _)| *key == "id")?;
    let sound = (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    sound.then(|| id.to_owned())
}

fn pattern(value: &str) -> Option<String> {
    let name = value.strip_prefix("*.").unwrap_or(value);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    (value.len() <= 255 && name.split('.').all(label)).then(|| value.to_ascii_lowercase())
}

/// The most hosts in one policy.
const HOSTS_MAX: usize = 64;
/// About a year, in seconds (§3.2).
const AGE_MAX: u64 = 31_557_600;

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(mode: &str, hosts: &str) -> String {
        format!("version: STSv1\r\nmode: {mode}\r\n{hosts}max_age: 604800\r\n")
    }

    #[test]
    fn a_policy_reads() {
        let read =
            Policy::parse(&policy("enforce", "mx: mail.example.com\r\nmx: *.Example.NET\r\n")).expect("good");
        assert_eq!(read.hosts, ["mail.example.com", "*.example.net"]);
        assert_eq!((read.mode, read.max_age.as_secs()), (Mode::Enforce, 604_800));
        let loose = "version:STSv1\nmode:\ttesting \nmx:a.example\nmax_age:99999999\nfuture: x\nmode: none\n";
        let read = Policy::parse(loose).expect("good");
        assert_eq!(
            (read.mode, read.max_age.as_secs()),
            (Mode::Testing, AGE_MAX),
            "the first counts, and a year at most"
        );
        assert_eq!(Policy::parse(&policy("none", "")).map(|read| read.mode), Ok(Mode::None));
    }

    #[test]
    fn a_policy_that_is_none_is_refused() {
        let many = "mx: a.example\r\n".repeat(HOSTS_MAX + 1);
        for text in [
            "",
            "<html>404</html>",
            &policy("enforce", ""),
            &policy("strict", "mx: a.example\r\n"),
            &policy("enforce", "mx: a..example\r\n"),
            &policy("enforce", "mx: *.*.example\r\n"),
            &policy("enforce", "mx: mail*.example\r\n"),
            &policy("enforce", &many),
            "version: STSv2\nmode: enforce\nmx: a.example\nmax_age: 1\n",
            "version: STSv1\nmode: enforce\nmx: a.example\n",
            "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: -1\n",
            "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 99999999999999999999\n",
        ] {
            assert!(Policy::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn hosts_fit_or_not() {
        let read =
            Policy::parse(&policy("enforce", "mx: mail.example.com\nmx: *.example.net\n")).expect("good");
        for (host, fits) in [
            ("mail.example.com", true),
            ("MAIL.Example.COM", true),
            ("mail2.example.com", false),
            ("a.mail.example.com", false),
            ("a.example.net", true),
            ("a.b.example.net", false),
            ("example.net", false),
            (".example.net", false),
            ("evil-example.net", false),
        ] {
            assert_eq!(read.allows(host), fits, "{host}");
        }
    }

    #[test]
    fn one_record_names_the_policy() {
        let id =
            |texts: &[&str]| identifier(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(id(&["v=STSv1; id=20160831085700Z;"]).as_deref(), Some("20160831085700Z"));
        assert_eq!(id(&["v=spf1 -all", "v=STSv1;id=1"]).as_deref(), Some("1"));
        assert_eq!(id(&["v=STSv1; future=x; id=1; id=2"]).as_deref(), Some("1"));
        for none in [
            &["v=STSv1; id=1", "v=STSv1; id=2"][..],
            &["v=STSv1"],
            &["v=STSv1; id="],
            &["v=STSv1; id=a-b"],
            &["v=STSv1; id=123456789012345678901234567890123"],
            &["v=STSv10; id=1"],
            &["id=1; v=STSv1"],
            &[],
        ] {
            assert_eq!(id(none), None, "{none:?}");
        }
    }
}
