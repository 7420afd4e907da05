//! What becomes of a delivery after an attempt: done, tried again, or given up, with whatever report its sender is owed.
//!
//! The order matters: a report is committed before the delivery that it is about is settled. A crash in between may send the report
//! twice, and loses no failure.

use super::{Shared, unsettled};
use crate::deliver::relay::{Letter, NextHop};
use crate::dsn::{self, Host, Kind, Notice};
use crate::route::Route;
use crate::schedule::{Mail, Next, Schedule};
use smtp::{Reply, ReversePath, Severity};
use std::net::SocketAddr;
use std::sync::Arc;
use store::{Attempt, Delivery, End, Ending, Outcome, Timestamp, Tls, Told};
use tokio::task::JoinSet;

/// With whom an attempt was made, and since when.
#[derive(Debug, Clone)]
pub(super) struct Tried {
    pub(super) host: Option<String>,
    pub(super) address: Option<SocketAddr>,
    /// Of the connection, if there is one and it has any.
    pub(super) tls: Option<Tls>,
    /// Why it was this host.
    pub(super) choice: Option<String>,
    pub(super) began: Timestamp,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The next hop has it.
    Delivered,
    /// It is tried again then.
    Retry { due: Timestamp, late: Late },
    /// It never will be delivered.
    Failed(Why),
}

/// Whether the sender is to be told that it takes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Late {
    Now,
    No,
}

/// Whether the sender's report about a failure is committed, as far as one is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reported {
    Yes,
    No,
}

impl Fate {
    /// Without its report a failure would be lost: it is tried again, soon, though not at once.
    fn as_reported(self, reported: Reported, schedule: &Schedule, now: Timestamp) -> Fate {
        match (self, reported) {
            (Fate::Failed(_), Reported::No) => Fate::Retry { due: schedule.soon(now), late: Late::No },
            (fate, _) => fate,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// A host said so.
    Refused,
    /// It was tried for too long.
    Expired,
}

/// Settles a letter whose recipients got these replies.
pub(super) async fn settle(
    shared: &Arc<Shared>,
    letter: Letter,
    replies: Vec<Reply>,
    (tried, next_hop): (Tried, NextHop),
) {
    let outbound = &shared.outbound;
    let now = (outbound.clock)();
    let mail = match letter.envelope.reverse_path {
        ReversePath::Null => Mail::Bounce,
        ReversePath::Mailbox(_) => Mail::Ordinary,
    };
    let fates: Vec<Fate> = letter
        .deliveries
        .iter()
        .zip(&replies)
        .map(|(delivery, reply)| fate(&outbound.schedule, mail, delivery, reply, (now, (outbound.random)())))
        .collect();
    for ((delivery, reply), fate) in letter.deliveries.iter().zip(&replies).zip(&fates) {
        tell(delivery, reply, *fate, (&tried, next_hop), now);
    }
    let (reported, told) = report(shared, &letter, &replies, &fates, (&tried, next_hop, now)).await;
    let mut settling = JoinSet::new();
    for (((delivery, reply), fate), told) in letter.deliveries.iter().zip(&replies).zip(fates).zip(told) {
        let attempt = Attempt { told, ..attempt(&tried, reply, now) };
        let fate = fate.as_reported(reported, &outbound.schedule, now);
        let outcome = outcome(fate, next_hop, attempt, now);
        // Together, so that they share a sync.
        settling.spawn(unsettled::settle(Arc::clone(shared), delivery.id, outcome, letter.lease));
    }
    while let Some(ended) = settling.join_next().await {
        super::report(ended);
    }
    outbound.wake.notify_one();
}

/// What the store is to make of it.
fn outcome(fate: Fate, next_hop: NextHop, attempt: Attempt, now: Timestamp) -> Outcome {
    let ending = match fate {
        Fate::Retry { due, .. } => return Outcome::Deferred { due, attempt },
        Fate::Delivered if next_hop == NextHop::Nowhere => Ending::Discarded,
        Fate::Delivered => Ending::Delivered,
        Fate::Failed(_) => Ending::Failed,
    };
    Outcome::Done(End { at: now, ending, attempt: Some(attempt) })
}

/// Decides. `chance` is any number, each as likely.
fn fate(
    schedule: &Schedule,
    mail: Mail,
    delivery: &Delivery,
    reply: &Reply,
    (now, chance): (Timestamp, u64),
) -> Fate {
    match reply.severity() {
        Severity::Positive => Fate::Delivered,
        Severity::Permanent => Fate::Failed(Why::Refused),
        // A reply in between ends nothing, so it is treated as "later".
        Severity::Intermediate | Severity::Transient => {
            let attempts = delivery.attempts.saturating_add(1);
            match schedule.next(mail, delivery.received, attempts, now, chance) {
                Next::GiveUp => Fate::Failed(Why::Expired),
                Next::Retry(due) => {
                    let previous = delivery.history.last().map(Attempt::ended);
                    let late = match schedule.is_newly_late(delivery.received, previous, now) {
                        true => Late::Now,
                        false => Late::No,
                    };
                    Fate::Retry { due, late }
                }
            }
        }
    }
}

fn attempt(tried: &Tried, reply: &Reply, now: Timestamp) -> Attempt {
    Attempt {
        at: tried.began,
        took: u32::try_from(now.0.saturating_sub(tried.began.0)).unwrap_or(0),
        host: tried.host.clone(),
        address: tried.address,
        tls: tried.tls.clone(),
        choice: tried.choice.clone(),
        reply: cut(reply.to_string()),
        told: None,
    }
}

/// As much of a reply as is kept: hosts may say very much.
fn cut(mut reply: String) -> String {
    if reply.len() > REPLY_MAX {
        reply.truncate((0..=REPLY_MAX).rev().find(|end| reply.is_char_boundary(*end)).unwrap_or(0));
        reply.push_str(" ...");
    }
    reply
}

/// Commits the reports that the sender is owed; says whether those about failures are, or none is needed, and what the sender hears of each recipient.
async fn report(
    shared: &Arc<Shared>,
    letter: &Letter,
    replies: &[Reply],
    fates: &[Fate],
    (tried, next_hop, now): (&Tried, NextHop, Timestamp),
) -> (Reported, Vec<Option<Told>>) {
    let outbound = &shared.outbound;
    let Delivery { received, queue, .. } = &letter.deliveries[0];
    let host = tried.host.as_deref();
    let host = match outbound.routes.of(&queue.host()) {
        Route::Mx => Host::Public(host),
        Route::Hops(_) | Route::Discard => Host::Private(host),
    };
    let (mut reported, mut told) = (Reported::Yes, vec![None; fates.len()]);
    for kind in [Kind::Failed, Kind::Delayed, Kind::Relayed, Kind::Delivered] {
        let about = |fate: &Fate| match fate {
            Fate::Failed(_) => kind == Kind::Failed,
            Fate::Retry { late: Late::Now, .. } => kind == Kind::Delayed,
            Fate::Delivered => match next_hop {
                // It reports itself (RFC 3461 §5.2.2). Of what is thrown away nothing good can be said.
                NextHop::WithReports | NextHop::Nowhere => false,
                NextHop::WithoutReports => kind == Kind::Relayed,
                NextHop::Mailboxes => kind == Kind::Delivered,
            },
            Fate::Retry { late: Late::No, .. } => false,
        };
        let recipients: Vec<(usize, &Reply)> =
            replies.iter().enumerate().filter(|(place, _)| about(&fates[*place])).collect();
        let end = outbound.schedule.end(Mail::Ordinary, *received);
        let notice = Notice {
            kind,
            id: letter.spool,
            envelope: &letter.envelope,
            received: *received,
            recipients,
            host,
            retry_until: (kind == Kind::Delayed).then_some(end),
            now,
        };
        match (dsn::send(&outbound.desk(), notice).await, kind) {
            (Ok(all), Kind::Failed) => all.into_iter().for_each(|(place, what)| told[place] = Some(what)),
            // That they hear nothing of it is as it should be.
            (Ok(all), _) => all.into_iter().for_each(|(place, what)| {
                told[place] = Some(what).filter(|what| matches!(what, Told::Report(_)));
            }),
            (Err(error), kind) => {
                tracing::error!(id = %letter.spool, %error, "a report to the sender cannot be stored");
                if kind == Kind::Failed {
                    reported = Reported::No;
                }
            }
        }
    }
    (reported, told)
}

/// Writes the line that an operator looks for.
fn tell(
    delivery: &Delivery,
    reply: &Reply,
    fate: Fate,
    (tried, next_hop): (&Tried, NextHop),
    now: Timestamp,
) {
    let id = delivery.id.spool;
    let to = crate::inbound::shown(&delivery.recipient.forward_path);
    let host = tried.host.as_deref().unwrap_or("-");
    let address = tried.address.map_or("-".to_owned(), |address| address.to_string());
    let tls = tried.tls.as_ref().map_or("-".to_owned(), ToString::to_string);
    let age = now.0.saturating_sub(delivery.received.0);
    match fate {
        Fate::Delivered if next_hop == NextHop::Nowhere => {
            tracing::info!(%id, %to, age, "discarded: {reply}")
        }
        Fate::Delivered => {
            tracing::info!(%id, %to, host, address, tls, age, "delivered: {reply}");
        }
        Fate::Retry { due, .. } => {
            let seconds = due.0.saturating_sub(now.0) / 1000;
            tracing::info!(%id, %to, host, address, tls, age, "put off for {seconds} s: {reply}");
        }
        Fate::Failed(Why::Refused) => tracing::warn!(%id, %to, host, address, tls, age, "failed: {reply}"),
        Fate::Failed(Why::Expired) => {
            tracing::warn!(%id, %to, host, address, tls, age, "given up after too long: {reply}");
        }
    }
}

/// The octets of a reply that are kept with an attempt.
const REPLY_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use smtp::Status;
    use store::DeliveryId;

    const HOUR: i64 = 3_600_000;

    fn delivery(attempts: u32, previous: Option<i64>) -> Delivery {
        let attempt = |at| Attempt { at: Timestamp(at), ..Attempt::default() };
        Delivery {
            id: DeliveryId { spool: store::SpoolId(1), recipient: 0 },
            received: Timestamp(0),
            reverse_path: ReversePath::Null,
            recipient: smtp::Recipient::new("<a@example.com>".parse().expect("a path")),
            forward: None,
            size: 0,
            queue: "example.com".parse().expect("a destination"),
            due: Timestamp(0),
            held: None,
            attempts,
            history: previous.map(attempt).into_iter().collect(),
        }
    }

    #[test]
    fn replies_decide_and_age_ends_it() {
        let reply = |code| Reply::new(code, Some(Status { subject: 2, detail: 2 }), "");
        for (code, mail, now, expected) in [
            (250, Mail::Ordinary, 1, Fate::Delivered),
            (550, Mail::Ordinary, 1, Fate::Failed(Why::Refused)),
            (450, Mail::Ordinary, 1, Fate::Retry { due: Timestamp(HOUR + 300_000), late: Late::No }),
            (354, Mail::Ordinary, 1, Fate::Retry { due: Timestamp(HOUR + 300_000), late: Late::No }),
            (450, Mail::Ordinary, 4, Fate::Retry { due: Timestamp(4 * HOUR + 300_000), late: Late::Now }),
            (450, Mail::Ordinary, 120, Fate::Failed(Why::Expired)),
            (450, Mail::Bounce, 48, Fate::Failed(Why::Expired)),
        ] {
            let got = fate(
                &Schedule::default(),
                mail,
                &delivery(0, None),
                &reply(code),
                (Timestamp(now * HOUR), 100),
            );
            assert_eq!(got, expected, "{code} after {now} h");
        }
    }

    #[test]
    fn a_failure_that_nobody_could_be_told_of_is_tried_again_soon() {
        let now = Timestamp(HOUR);
        for (fate, reported, expected) in [
            (Fate::Failed(Why::Refused), Reported::No, Some(Timestamp(HOUR + 300_000))),
            (Fate::Failed(Why::Expired), Reported::No, Some(Timestamp(HOUR + 300_000))),
            (Fate::Failed(Why::Refused), Reported::Yes, None),
            (Fate::Delivered, Reported::No, None),
        ] {
            let fate = fate.as_reported(reported, &Schedule::default(), now);
            let due = match outcome(fate, NextHop::WithoutReports, Attempt::default(), now) {
                Outcome::Deferred { due, .. } => Some(due),
                Outcome::Done(_) => None,
            };
            assert_eq!(due, expected, "{fate:?} {reported:?}");
        }
    }

    #[test]
    fn a_very_long_reply_is_kept_in_part() {
        assert_eq!(cut("550 no".to_owned()), "550 no");
        let kept = cut(format!("550 {}", "\u{fc}".repeat(40_000) + "!"));
        assert!(kept.starts_with("550 \u{fc}") && kept.ends_with("\u{fc} ..."), "{kept}");
        assert!(kept.len() <= REPLY_MAX + 4, "{}", kept.len());
    }

    #[test]
    fn a_sender_hears_of_a_delay_once() {
        let reply = Reply::new(450, None, "later");
        let late = |previous, now| {
            let delivery = delivery(5, Some(previous * HOUR));
            fate(&Schedule::default(), Mail::Ordinary, &delivery, &reply, (Timestamp(now * HOUR), 100))
        };
        assert!(matches!(late(3, 5), Fate::Retry { late: Late::Now, .. }));
        assert!(matches!(late(5, 9), Fate::Retry { late: Late::No, .. }));
    }
}
