//! A story in sentences.

use super::reply;
use crate::units::{counted, duration, second, size};
use jiff::tz::TimeZone;
use message::terminal::one_line;
use server::admin::{AttemptView, DeliveryView, EndView, EntryView, OriginView, RecipientView, StoryView};
use std::borrow::Cow;
use store::{Ending, Timestamp};

/// The whole story.
pub(super) fn story(story: &StoryView, now: Timestamp, zone: &TimeZone) -> String {
    let mut lines = vec![
        format!("Message {} from {}, {}", story.id, sender(&story.sender), size(story.size)),
        format!("  {}", accepted(story, zone)),
    ];
    for recipient in &story.recipients {
        lines.push(String::new());
        lines.push(format!("To {}", address(&recipient.recipient)));
        lines.extend(recipient_lines(recipient, now, zone).into_iter().map(|line| format!("  {line}")));
    }
    lines.join("\n")
}

fn accepted(story: &StoryView, zone: &TimeZone) -> String {
    let at = second(story.received, zone);
    let Some(OriginView { client, protocol, tls }) = &story.origin else {
        let about = story.report_on.as_ref().map_or(String::new(), |id| format!(" on message {id}"));
        return format!(
            "{at}  made by this server itself: a report{about}, which nobody is told about (RFC 5321 §6.1)"
        );
    };
    let way = match tls {
        Some(tls) => format!("over TLS, {}", one_line(tls)),
        None => "in clear".to_owned(),
    };
    let login = if protocol.ends_with('A') { ", logged in (RFC 4954)" } else { "" };
    let (client, protocol) = (one_line(client), one_line(protocol));
    format!("{at}  accepted from {client} by {protocol} (RFC 3848), {way}{login}")
}

fn recipient_lines(recipient: &RecipientView, now: Timestamp, zone: &TimeZone) -> Vec<String> {
    let mut lines: Vec<String> = recipient.entries.iter().map(entry).collect();
    match &recipient.delivery {
        Some(delivery) => lines.extend(delivery_lines(delivery, now, zone)),
        None if lines.is_empty() => {
            lines.push(
                "nothing is there any more: its mailbox entry was removed, or its fate is forgotten"
                    .to_owned(),
            );
        }
        None => {}
    }
    lines
}

fn entry(EntryView { account, mailbox, uid }: &EntryView) -> String {
    format!(
        "in {} of {}, number {uid}: stored with the acceptance itself",
        one_line(mailbox),
        one_line(account)
    )
}

fn delivery_lines(delivery: &DeliveryView, now: Timestamp, zone: &TimeZone) -> Vec<String> {
    let mut lines = Vec::new();
    let own = delivery.recipient.rsplit_once('@').map(|(_, domain)| domain);
    if own.is_none_or(|own| !own.eq_ignore_ascii_case(&delivery.destination)) {
        lines.push(format!("sent where mail for {} goes", delivery.destination));
    }
    let left_out = (delivery.attempts as usize).saturating_sub(delivery.history.len());
    for (number, attempt) in delivery.history.iter().enumerate() {
        let is_last = number + 1 == delivery.history.len();
        match is_last && was_told_of_removal(delivery, attempt) {
            true => lines.push(format!(
                "{}  its sender was to hear: {}",
                second(attempt.at, zone),
                one_line(&attempt.reply)
            )),
            false => lines.extend(attempt_lines(attempt, zone)),
        }
        // What was told of a failure is said at its end.
        let failed = delivery.end.is_some_and(|end| matches!(end.ending, Ending::Failed | Ending::Removed));
        let is_end = failed && is_last;
        if let Some(report) = attempt.report.as_ref().filter(|_| !is_end) {
            lines.push(format!("    its sender was told, in message {report} (RFC 3464)"));
        }
        if number == 0 && left_out > 0 {
            lines.push(format!("… {} that are not remembered …", counted(left_out as u64, "attempt")));
        }
    }
    lines.push(match &delivery.end {
        Some(end) => ended(delivery, end, zone),
        None => waits(delivery, now, zone),
    });
    lines
}

/// Whether this is no attempt to deliver, but the word that an operator had sent to the sender with the removal.
fn was_told_of_removal(delivery: &DeliveryView, last: &AttemptView) -> bool {
    delivery.end.is_some_and(|end| end.ending == Ending::Removed)
        && last.host.is_none()
        && last.address.is_none()
        && (last.report.is_some() || last.untold.is_some())
        && last.reply.starts_with("550 5.7.0")
}

/// An attempt in some lines.
pub(in crate::commands) fn attempt_lines(attempt: &AttemptView, zone: &TimeZone) -> Vec<String> {
    let mut host = match (&attempt.host, attempt.address) {
        (Some(host), Some(address)) => format!("{} at {address}", one_line(host)),
        (Some(host), None) => one_line(host).into_owned(),
        (None, _) => "no host".to_owned(),
    };
    if attempt.address.is_some() {
        host.push_str(&match &attempt.tls {
            Some(tls) => format!(", {}", one_line(&tls.to_string())),
            None => ", in clear".to_owned(),
        });
    }
    let took = match attempt.took {
        0..1_000 => format!("{} ms", attempt.took),
        _ => duration(attempt.at, Timestamp(attempt.at.0 + i64::from(attempt.took))),
    };
    let mut lines = vec![format!("{}  {host}, {took}", second(attempt.at, zone))];
    if let Some(choice) = &attempt.choice {
        lines.push(format!("    chosen: {}", one_line(choice)));
    }
    lines.push(format!("    said: {}", one_line(&attempt.reply)));
    if let Some(meaning) = reply::class(&attempt.reply) {
        lines.push(format!("    {meaning}"));
    }
    if let Some(meaning) = reply::status(&attempt.reply) {
        lines.push(format!("    {meaning}"));
    }
    lines
}

fn ended(delivery: &DeliveryView, EndView { at, ending }: &EndView, zone: &TimeZone) -> String {
    let (when, age) = (second(*at, zone), duration(delivery.received, *at));
    let last = delivery.history.last();
    let told = match last.map(|last| (&last.report, &last.untold)) {
        _ if delivery.sender.is_empty() => "it had no sender to tell (RFC 5321 §6.1)".to_owned(),
        Some((Some(report), _)) => {
            format!("its sender was told, in message {report} (RFC 5321 §6.1, RFC 3464)")
        }
        Some((None, Some(why))) => format!("its sender was not told: {}", one_line(why)),
        _ => {
            "its sender was told, unless it did not want to be (RFC 5321 §6.1, RFC 3461, RFC 3464)".to_owned()
        }
    };
    match ending {
        Ending::Delivered => format!("{when}  delivered to the next host, {age} after it was accepted"),
        Ending::Failed => format!("{when}  failed after {age}; {told}"),
        Ending::Removed if last.is_some_and(|last| last.report.is_some() || last.untold.is_some()) => {
            format!("{when}  removed from the queue by an operator, after {age}; {told}")
        }
        Ending::Removed => format!("{when}  removed from the queue by an operator, after {age}"),
        Ending::Discarded => format!("{when}  discarded, as a rule of this server says"),
    }
}

fn waits(delivery: &DeliveryView, now: Timestamp, zone: &TimeZone) -> String {
    let reason = |reason: &str| match reason {
        "" => String::new(),
        reason => format!(": {}", one_line(reason)),
    };
    if let Some(hold) = &delivery.held {
        return format!("on hold since {}{}", second(hold.since, zone), reason(&hold.reason));
    }
    if let Some(pause) = &delivery.paused {
        return format!(
            "all mail for {} waits since {}{}",
            delivery.destination,
            second(pause.since, zone),
            reason(&pause.reason)
        );
    }
    match delivery.due > now {
        true => format!(
            "waits in the queue; tried next at {}, in {}",
            second(delivery.due, zone),
            duration(now, delivery.due)
        ),
        false => "in the queue: its turn has come, or it is being delivered".to_owned(),
    }
}

fn sender(sender: &str) -> Cow<'_, str> {
    if sender.is_empty() { "<>".into() } else { address(sender) }
}

fn address(address: &str) -> Cow<'_, str> {
    one_line(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Hold;

    const AT: Timestamp = Timestamp(1_795_251_072_345);

    fn later(seconds: i64) -> Timestamp {
        Timestamp(AT.0 + seconds * 1_000)
    }

    fn attempt(seconds: i64, reply: &str) -> AttemptView {
        AttemptView {
            at: later(seconds),
            took: 212,
            host: Some("mx1.example.com".to_owned()),
            address: "198.51.100.3:25".parse().ok(),
            tls: None,
            choice: None,
            reply: reply.to_owned(),
            report: None,
            untold: None,
        }
    }

    fn delivery(history: Vec<AttemptView>) -> DeliveryView {
        DeliveryView {
            id: "06JGV6XS9G000".to_owned(),
            received: AT,
            sender: "alice@example.org".to_owned(),
            recipient: "bob@example.com".to_owned(),
            size: 4_300,
            destination: "example.com".to_owned(),
            due: later(600),
            held: None,
            paused: None,
            attempts: history.len() as u32,
            history,
            end: None,
            readable: server::admin::Readable::Yes,
        }
    }

    fn told(delivery: DeliveryView) -> String {
        let origin = OriginView {
            client: "laptop.example.org ([192.0.2.7])".to_owned(),
            protocol: "ESMTPSA".to_owned(),
            tls: Some("TLS_AES_128_GCM_SHA256 (TLSv1.3)".to_owned()),
        };
        let recipients = vec![
            RecipientView {
                recipient: "bob@example.com".to_owned(),
                entries: Vec::new(),
                delivery: Some(delivery),
            },
            RecipientView {
                recipient: "carol@example.org".to_owned(),
                entries: vec![EntryView {
                    account: "carol@example.org".to_owned(),
                    mailbox: "INBOX".to_owned(),
                    uid: 7,
                }],
                delivery: None,
            },
        ];
        let view = StoryView {
            id: "06JGV6XS9G000".to_owned(),
            received: AT,
            sender: "alice@example.org".to_owned(),
            size: 4_300,
            origin: Some(origin),
            report_on: None,
            recipients,
        };
        story(&view, later(400), &TimeZone::UTC)
    }

    #[test]
    fn a_story_goes_from_acceptance_to_fate() {
        let mut done = delivery(vec![attempt(0, "451 4.7.1 Greylisted"), attempt(310, "250 2.0.0 Ok")]);
        done.end = Some(EndView { at: later(311), ending: Ending::Delivered });
        let expected = "\
Message 06JGV6XS9G000 from alice@example.org, 4.2 KiB
  2026-11-21 08:51:12  accepted from laptop.example.org ([192.0.2.7]) by ESMTPSA (RFC 3848), over TLS, TLS_AES_128_GCM_SHA256 (TLSv1.3), logged in (RFC 4954)

To bob@example.com
  2026-11-21 08:51:12  mx1.example.com at 198.51.100.3:25, in clear, 212 ms
      said: 451 4.7.1 Greylisted
      not taken for now; it is tried again (RFC 5321 §4.2.1, §4.5.4.1)
      the other host's policy does not want it, or not yet (RFC 3463 §3.8)
  2026-11-21 08:56:22  mx1.example.com at 198.51.100.3:25, in clear, 212 ms
      said: 250 2.0.0 Ok
      taken: the other host is responsible for it from then on (RFC 5321 §4.2.5)
  2026-11-21 08:56:23  delivered to the next host, 5 min 11 s after it was accepted

To carol@example.org
  in INBOX of carol@example.org, number 7: stored with the acceptance itself";
        assert_eq!(told(done), expected);
    }

    #[test]
    fn who_was_told_of_a_failure_is_said_and_a_report_names_its_message() {
        let failed = |report: Option<&str>, untold: Option<&str>| {
            let (report, untold) = (report.map(str::to_owned), untold.map(str::to_owned));
            let mut done =
                delivery(vec![AttemptView { report, untold, ..attempt(0, "550 5.1.1 No such user") }]);
            done.end = Some(EndView { at: later(1), ending: Ending::Failed });
            told(done)
        };
        for (report, untold, expected) in [
            (Some("06JGV6XS9G001"), None, "failed after 1 s; its sender was told, in message 06JGV6XS9G001"),
            (None, Some("it wanted none"), "failed after 1 s; its sender was not told: it wanted none"),
            (None, None, "failed after 1 s; its sender was told, unless"),
        ] {
            let text = failed(report, untold);
            assert!(text.contains(expected), "{text}");
            assert_eq!(text.matches("06JGV6XS9G001").count(), usize::from(report.is_some()));
        }
        let report = StoryView {
            id: "06JGV6XS9G001".to_owned(),
            received: AT,
            sender: String::new(),
            size: 900,
            origin: None,
            report_on: Some("06JGV6XS9G000".to_owned()),
            recipients: Vec::new(),
        };
        let text = story(&report, AT, &TimeZone::UTC);
        assert!(text.contains("made by this server itself: a report on message 06JGV6XS9G000,"), "{text}");
    }

    #[test]
    fn what_is_not_over_says_why_it_waits() {
        let waiting = told(delivery(vec![attempt(0, "451 4.7.1 Greylisted")]));
        assert!(
            waiting.contains("waits in the queue; tried next at 2026-11-21 09:01:12, in 3 min 20 s"),
            "{waiting}"
        );
        let hold = Hold { since: later(5), reason: "looks\nodd".to_owned() };
        let held = told(DeliveryView { held: Some(hold), ..delivery(Vec::new()) });
        assert!(held.contains("on hold since 2026-11-21 08:51:17: looks"), "{held}");
        assert!(!held.contains("looks\nodd"));
        let elsewhere = DeliveryView {
            destination: "[192.0.2.9]".to_owned(),
            attempts: 20,
            ..delivery(vec![attempt(0, "421 x"), attempt(9, "421 y")])
        };
        let text = told(elsewhere);
        assert!(text.contains("sent where mail for [192.0.2.9] goes"), "{text}");
        assert!(text.contains("… 18 attempts that are not remembered …"), "{text}");
    }
}
