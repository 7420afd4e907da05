//! The parameters of MAIL and RCPT.

use super::{Fault, Syntax, Verb};
use crate::{Body, EnvelopeId, Notify, OriginalRecipient, Return, Submitter};
use std::fmt;

/// The parameters of MAIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailParameters {
    /// SIZE=: the size of the content that will follow, in octets (RFC 1870 §6).
    pub size: Option<u64>,
    /// BODY= (RFC 6152, RFC 3030).
    pub body: Body,
    /// SMTPUTF8 (RFC 6531 §3.4).
    pub smtputf8: bool,
    /// RET= (RFC 3461 §4.3).
    pub ret: Option<Return>,
    /// ENVID= (RFC 3461 §4.4).
    pub envelope_id: Option<EnvelopeId>,
    /// AUTH= (RFC 4954 §5).
    pub auth: Option<Submitter>,
    /// REQUIRETLS (RFC 8689 §2).
    pub require_tls: bool,
}

/// The parameters of RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RcptParameters {
    /// NOTIFY= (RFC 3461 §4.1).
    pub notify: Option<Notify>,
    /// ORCPT= (RFC 3461 §4.2).
    pub original: Option<OriginalRecipient>,
}

impl MailParameters {
    /// Reads the parameters that follow the path, each after one or more spaces.
    pub(super) fn parse(text: &str) -> Result<MailParameters, Syntax> {
        let mut parameters = MailParameters::default();
        each(Verb::Mail, text, |keyword, value| match keyword {
            "SIZE" => decimal(value)
                .map(|size| parameters.size = Some(size))
                .ok_or(invalid("SIZE", "SIZE=octets, up to 20 digits")),
            "BODY" => body(value)
                .map(|body| parameters.body = body)
                .ok_or(invalid("BODY", "BODY=7BIT, 8BITMIME or BINARYMIME")),
            "SMTPUTF8" => value
                .is_none()
                .then(|| parameters.smtputf8 = true)
                .ok_or(invalid("SMTPUTF8", "SMTPUTF8 without a value")),
            "REQUIRETLS" => value
                .is_none()
                .then(|| parameters.require_tls = true)
                .ok_or(invalid("REQUIRETLS", "REQUIRETLS without a value")),
            "RET" => {
                ret(value).map(|ret| parameters.ret = Some(ret)).ok_or(invalid("RET", "RET=FULL or RET=HDRS"))
            }
            "ENVID" => value
                .and_then(|text| text.parse().ok())
                .map(|id| parameters.envelope_id = Some(id))
                .ok_or(invalid("ENVID", "ENVID=xtext, up to 100 characters")),
            "AUTH" => value
                .and_then(|text| text.parse().ok())
                .map(|submitter| parameters.auth = Some(submitter))
                .ok_or(invalid("AUTH", "AUTH=mailbox in xtext, or AUTH=<>")),
            _ => Err(Fault::UnknownParameter(keyword.to_owned())),
        })?;
        Ok(parameters)
    }
}

impl RcptParameters {
    /// Reads the parameters that follow the path, each after one or more spaces.
    pub(super) fn parse(text: &str) -> Result<RcptParameters, Syntax> {
        let mut parameters = RcptParameters::default();
        each(Verb::Rcpt, text, |keyword, value| match keyword {
            "NOTIFY" => notify(value)
                .map(|notify| parameters.notify = Some(notify))
                .ok_or(invalid("NOTIFY", "NOTIFY=NEVER, or a list of SUCCESS, FAILURE, DELAY")),
            "ORCPT" => value
                .and_then(|text| text.parse().ok())
                .map(|original| parameters.original = Some(original))
                .ok_or(invalid("ORCPT", "ORCPT=type;xtext, up to 500 characters")),
            _ => Err(Fault::UnknownParameter(keyword.to_owned())),
        })?;
        Ok(parameters)
    }
}

/// Calls `take` with each keyword, in upper case, and its value.
fn each(
    verb: Verb,
    text: &str,
    mut take: impl FnMut(&str, Option<&str>) -> Result<(), Fault>,
) -> Result<(), Syntax> {
    let syntax = |fault| Syntax { verb: Some(verb), fault };
    if !text.is_empty() && !text.starts_with(' ') {
        return Err(syntax(Fault::Form("a space comes before each parameter")));
    }
    let mut seen: Vec<String> = Vec::new();
    for parameter in text.split(' ').filter(|parameter| !parameter.is_empty()) {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (parameter, None),
        };
        let keyword = keyword.to_ascii_uppercase();
        let well_formed = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
            && keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && value.is_none_or(|value| !value.is_empty() && !value.contains('='));
        if !well_formed {
            return Err(syntax(Fault::Form("a parameter is KEYWORD or KEYWORD=value")));
        }
        if seen.contains(&keyword) {
            return Err(syntax(Fault::DuplicateParameter(keyword)));
        }
        take(&keyword, value).map_err(syntax)?;
        seen.push(keyword);
    }
    Ok(())
}

fn invalid(keyword: &'static str, expected: &'static str) -> Fault {
    Fault::Parameter { keyword, expected }
}

/// A number of up to 20 digits (RFC 1870 §6). What does not fit into 64 bits is more than anybody takes, so
/// it becomes the largest number.
pub(super) fn decimal(text: Option<&str>) -> Option<u64> {
    let text = text?;
    let digits = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn body(value: Option<&str>) -> Option<Body> {
    match value?.to_ascii_uppercase().as_str() {
        "7BIT" => Some(Body::SevenBit),
        "8BITMIME" => Some(Body::EightBitMime),
        "BINARYMIME" => Some(Body::BinaryMime),
        _ => None,
    }
}

fn ret(value: Option<&str>) -> Option<Return> {
    match value?.to_ascii_uppercase().as_str() {
        "FULL" => Some(Return::Full),
        "HDRS" => Some(Return::Headers),
        _ => None,
    }
}

fn notify(value: Option<&str>) -> Option<Notify> {
    let value = value?.to_ascii_uppercase();
    if value == "NEVER" {
        return Some(Notify::Never);
    }
    let (mut success, mut failure, mut delay) = (false, false, false);
    for word in value.split(',') {
        match word {
            "SUCCESS" => success = true,
            "FAILURE" => failure = true,
            "DELAY" => delay = true,
            _ => return None,
        }
    }
    Some(Notify::On { success, failure, delay })
}

impl fmt::Display for MailParameters {
    /// Each after a space; nothing at all when none is set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(size) = self.size {
            write!(f, " SIZE={size}")?;
        }
        if self.body != Body::SevenBit {
            write!(f, " BODY={}", self.body)?;
        }
        if self.smtputf8 {
            f.write_str(" SMTPUTF8")?;
        }
        if let Some(ret) = self.ret {
            write!(f, " RET={ret}")?;
        }
        if let Some(id) = &self.envelope_id {
            write!(f, " ENVID={id}")?;
        }
        if let Some(submitter) = &self.auth {
            write!(f, " AUTH={submitter}")?;
        }
        if self.require_tls {
            f.write_str(" REQUIRETLS")?;
        }
        Ok(())
    }
}

impl fmt::Display for RcptParameters {
    /// Each after a space; nothing at all when none is set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(notify) = self.notify {
            write!(f, " NOTIFY={notify}")?;
        }
        if let Some(original) = &self.original {
            write!(f, " ORCPT={original}")?;
        }
        Ok(())
    }
}
