//! Sending a report: who wants it (RFC 8460 §3), its bytes (§4.2), and its ways (§5.3, §5.4).

use super::Terms;
use super::tally::{DAY, Range, Report, Tally};
use crate::dsn::{self, Addressed};
use crate::https::Web;
use crate::queue::Outbound;
use crate::resolve::Lookup;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use message::Date;
use message::tls_report::TlsReport;
use smtp::{Domain, Envelope, Mailbox, ReversePath};
use std::io::{self, Write};
use store::Accepted;

/// What became of a report.
pub(super) enum Sent {
    /// It is on its way.
    Yes,
    /// Nobody wants it.
    Unwanted,
    /// It may be possible later.
    Later(String),
}

/// Where a domain wants its reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// By mail.
    Mail(Mailbox),
    /// By HTTPS.
    Https {
        /// From this host, in ASCII.
        host: String,
        /// The path with its query.
        path: String,
    },
}

/// Sends the report on a day (since 1970) to a domain, to each of the places that it names.
pub(super) async fn send(outbound: &Outbound, terms: &Terms, about: (i64, &str, &[Tally])) -> Sent {
    let (day, domain, tallies) = about;
    let texts = match outbound.dns.texts(&format!("_smtp._tls.{domain}")).await.lookup {
        Lookup::Found(texts) => texts,
        Lookup::NoRecords | Lookup::NoName => return Sent::Unwanted,
        Lookup::Failed(why) => return Sent::Later(why),
    };
    let endpoints = endpoints(&texts);
    if endpoints.is_empty() {
        return Sent::Unwanted;
    }
    let (range, host) = (Range::of(day), outbound.host_name.ascii());
    let unique = format!("{:016x}", (outbound.random)());
    let report_id = format!("{range}.{unique}@{host}");
    let contact = terms.contact.to_string();
    let report = Report {
        organization_name: &terms.organization,
        date_range: range,
        contact_info: &contact,
        report_id: &report_id,
        policies: tallies,
    };
    let packed = match pack(&report) {
        Ok(packed) => packed,
        Err(error) => return Sent::Later(error.to_string()),
    };
    let (begin, end) = (day * DAY / 1000, (day + 1) * DAY / 1000 - 1);
    let file_name = format!("{host}!{domain}!{begin}!{end}!{unique}");
    let mut last = None;
    let mut is_sent = false;
    for endpoint in endpoints {
        let sent = match &endpoint {
            Endpoint::Mail(to) => {
                let letter =
                    Letter { from: &contact, to, domain, report_id: &report_id, file_name: &file_name };
                mail(outbound, letter, &packed).await
            }
            Endpoint::Https { host, path } => post(outbound, (host, path), packed.clone()).await,
        };
        match sent {
            Ok(()) => is_sent = true,
            Err(why) => last = Some(why),
        }
    }
    match last {
        Some(why) if !is_sent => Sent::Later(why),
        why => {
            tracing::info!(domain, report = report_id, trouble = why.as_deref(), "reported on TLS");
            Sent::Yes
        }
    }
}

fn pack(report: &Report<'_>) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&serde_json::to_vec(report)?)?;
    Ok(encoder.finish()?.into())
}

/// A report by mail.
struct Letter<'a> {
    from: &'a str,
    to: &'a Mailbox,
    domain: &'a str,
    report_id: &'a str,
    file_name: &'a str,
}

/// Commits the mail like any other, with the null reverse-path: nobody wants a report about a report.
async fn mail(outbound: &Outbound, letter: Letter<'_>, report: &[u8]) -> Result<(), String> {
    let now = (outbound.clock)();
    let Letter { from, to, domain, report_id, file_name } = letter;
    let addressed = dsn::addressed(&outbound.desk(), to, now).await.map_err(|error| error.to_string())?;
    let Addressed { recipients, deliveries, .. } = addressed?;
    let mut stage = outbound.store.stage().map_err(|error| error.to_string())?;
    let id = stage.id().to_string();
    let mail = TlsReport {
        from,
        to: &to.to_string(),
        domain,
        submitter: outbound.host_name.ascii(),
        date: Date::utc(now.0),
        id: &id,
        report_id,
        file_name,
        report,
    };
    let accepted = Accepted {
        received: now,
        envelope: Envelope::new(ReversePath::Null, recipients),
        trace: Bytes::new(),
        deliveries,
    };
    let committed = async {
        stage.append(mail.to_bytes().into()).await?;
        stage.commit(accepted).await
    };
    committed.await.map_err(|error| error.to_string())?;
    outbound.wake.notify_one();
    Ok(())
}

async fn post(outbound: &Outbound, (host, path): (&str, &str), report: Bytes) -> Result<(), String> {
    let web = Web {
        dns: &*outbound.dns,
        dialer: &outbound.dialer,
        authorities: &outbound.authorities,
        private: &outbound.terms.private,
    };
    let request =
        Request::post(path).header(CONTENT_TYPE, "application/tlsrpt+gzip").body(Full::from(report));
    let request = request.map_err(|error| error.to_string())?;
    let answer = web.ask(host, request, ANSWER_MAX).await.map_err(|error| error.to_string())?;
    match answer.status().is_success() {
        true => Ok(()),
        false => Err(format!("{host} answers {}", answer.status())),
    }
}

/// Where a domain wants its reports: nowhere unless exactly one of its records is of TLSRPT and in order (§3).
pub fn endpoints(texts: &[String]) -> Vec<Endpoint> {
    let of_version = |text: &&String| {
        text.split(';').next().is_some_and(|first| first.trim_end_matches([' ', '\t']) == "v=TLSRPTv1")
    };
    let mut records = texts.iter().filter(of_version);
    let (Some(record), None) = (records.next(), records.next()) else { return Vec::new() };
    let mut fields = record.split(';').filter_map(|field| field.trim_matches([' ', '\t']).split_once('='));
    let Some((_, uris)) = fields.find(|(key, _)| *key == "rua") else { return Vec::new() };
    uris.split(',').filter_map(|uri| endpoint(uri.trim_matches([' ', '\t']))).take(ENDPOINTS_MAX).collect()
}

fn endpoint(uri: &str) -> Option<Endpoint> {
    let (scheme, rest) = uri.split_once(':')?;
    if scheme.eq_ignore_ascii_case("mailto") {
        let address = rest.split('?').next().unwrap_or_default();
        return unescaped(address)?.parse().ok().map(Endpoint::Mail);
    }
    let rest = rest.strip_prefix("//").filter(|_| scheme.eq_ignore_ascii_case("https"))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    // Another port might lead to something else than a web server, which the domain may not even own.
    let host = Domain::parse(authority.strip_suffix(":443").unwrap_or(authority)).ok()?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Some(Endpoint::Https { host: host.ascii().to_owned(), path })
}

/// A text without its percent signs (RFC 3986 §2.1).
fn unescaped(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            octets.push(*first);
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        octets.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(octets).ok()
}

/// So many places get a report.
pub const ENDPOINTS_MAX: usize = 4;
/// What is read of the answer to a report, in octets: nobody looks at it.
const ANSWER_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(texts: &[&str]) -> Vec<Endpoint> {
        endpoints(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn one_record_says_where_reports_go() {
        let mail = |address: &str| Endpoint::Mail(address.parse().expect("an address"));
        let web = |host: &str, path: &str| Endpoint::Https { host: host.to_owned(), path: path.to_owned() };
        for (texts, expected) in [
            (&["v=TLSRPTv1; rua=mailto:a@b.example"][..], vec![mail("a@b.example")]),
            (
                &["v=spf1 -all", "v=TLSRPTv1;rua=mailto:a%2Bb@c.example?subject=x"],
                vec![mail("a+b@c.example")],
            ),
            (
                &["v=TLSRPTv1; x=y; rua=https://R.example/v1/tls?x=1 , mailto:a@b.example;"],
                vec![web("r.example", "/v1/tls?x=1"), mail("a@b.example")],
            ),
            (&["v=TLSRPTv1; rua=HTTPS://r.example:443"], vec![web("r.example", "/")]),
            (&["v=TLSRPTv1; rua=https://r.example:8443/"], vec![]),
            (&["v=TLSRPTv1; rua=https://user@r.example/"], vec![]),
            (&["v=TLSRPTv1; rua=http://r.example/"], vec![]),
            (&["v=TLSRPTv1; rua=mailto:a%2"], vec![]),
            (&["v=TLSRPTv1"], vec![]),
            (&["v=TLSRPTv2; rua=mailto:a@b.example"], vec![]),
            (&["v=TLSRPTv1; rua=mailto:a@b.example", "v=TLSRPTv1; rua=mailto:c@d.example"], vec![]),
            (&[], vec![]),
        ] {
            assert_eq!(found(texts), expected, "{texts:?}");
        }
        let many = format!("v=TLSRPTv1; rua={}", vec!["mailto:a@b.example"; 50].join(","));
        assert_eq!(found(&[&many]).len(), ENDPOINTS_MAX);
    }
}
