//! Whether a queued delivery is one of those that a filter names.

use super::views::{HoldState, QueueFilter, bare};
use crate::queue::SiteHosts;
use store::{Delivery, PauseScope, QueueName, SpoolId, Timestamp, Unreadable};

/// A filter that was understood.
pub(super) struct Wanted {
    /// The messages; all when there are none.
    pub(super) ids: Vec<SpoolId>,
    filter: QueueFilter,
}

impl QueueFilter {
    /// Whether it says nothing, so that everything is meant.
    pub fn is_empty(&self) -> bool {
        *self == QueueFilter::default()
    }

    /// The filter as it is used; an error says what cannot be understood.
    pub(super) fn understood(mut self) -> Result<Wanted, String> {
        // What a script left empty must not come to mean everything.
        let words = [&self.sender, &self.recipient, &self.domain, &self.site, &self.reason];
        if words.into_iter().flatten().any(String::is_empty) {
            return Err("a filter is empty: leave it out, or say what it is for (the null sender is \"<>\")"
                .to_owned());
        }
        let parse = |id: &String| {
            id.parse::<SpoolId>().map_err(|error| format!("{id:?}: {error}; `posthaste queue ls` shows them"))
        };
        let mut ids = self.ids.iter().map(parse).collect::<Result<Vec<SpoolId>, String>>()?;
        ids.sort_unstable();
        ids.dedup();
        if let Some(domain) = &self.domain {
            let name = domain.parse::<store::QueueName>();
            let name = name.map_err(|_| format!("{domain:?} is neither a domain nor an address literal"))?;
            self.domain = Some(name.to_string());
        }
        self.reason = self.reason.map(|reason| reason.to_lowercase());
        Ok(Wanted { ids, filter: self })
    }
}

impl Wanted {
    /// Whether a delivery is meant, but for its id. `site` says what a running queue knows of a destination.
    pub(super) fn has(
        &self,
        delivery: &Delivery,
        now: Timestamp,
        site: impl Fn(&QueueName) -> Option<SiteHosts>,
    ) -> bool {
        let filter = &self.filter;
        let age = now.0.saturating_sub(delivery.received.0);
        let said = || delivery.last_reply().map(str::to_lowercase).unwrap_or_default();
        is_at(&filter.sender, || bare(&delivery.reverse_path))
            && is_at(&filter.recipient, || bare(&delivery.recipient.forward_path))
            && filter.domain.as_ref().is_none_or(|domain| domain == delivery.queue.as_str())
            && filter.site.as_ref().is_none_or(|wanted| is_of_site(wanted, delivery, site(&delivery.queue)))
            && filter.older.is_none_or(|least| age >= least)
            && filter.younger.is_none_or(|most| age <= most)
            && filter.reason.as_ref().is_none_or(|reason| said().contains(reason))
            && filter.state.is_none_or(|state| (state == HoldState::Held) == delivery.held.is_some())
    }
}

impl Wanted {
    /// Whether a delivery is meant whose message cannot be read. Nobody knows from whom to whom it is, so who asks for that does not mean it.
    pub(super) fn has_unreadable(&self, delivery: &Unreadable, now: Timestamp) -> bool {
        let QueueFilter { sender, recipient, domain, site, older, younger, reason, state, ids: _ } =
            &self.filter;
        let age = now.0.saturating_sub(delivery.id.spool.time().0);
        let unknown = [sender, recipient, site, reason];
        (self.ids.is_empty() || self.ids.contains(&delivery.id.spool))
            && unknown.into_iter().all(Option::is_none)
            && domain.as_ref().is_none_or(|domain| domain == delivery.queue.as_str())
            && older.is_none_or(|least| age >= least)
            && younger.is_none_or(|most| age <= most)
            && state.is_none_or(|state| (state == HoldState::Held) == delivery.held.is_some())
    }
}

/// Whether a delivery goes to the site with this host, or with one below it. As long as nobody has looked the site up, the host counts that was
/// tried last.
fn is_of_site(wanted: &str, delivery: &Delivery, known: Option<SiteHosts>) -> bool {
    let scope = PauseScope::Host(wanted.to_ascii_lowercase());
    let tried = || delivery.history.last().and_then(|attempt| attempt.host.as_deref());
    match known {
        Some(SiteHosts { site, hosts }) => *site == *wanted || hosts.iter().any(|host| scope.has_host(host)),
        None => tried().is_some_and(|host| scope.has_host(host)),
    }
}

/// Whether an address is the one that is wanted, or in the domain that is.
fn is_at(wanted: &Option<String>, address: impl FnOnce() -> String) -> bool {
    let Some(wanted) = wanted else { return true };
    let address = address();
    // "<>" is how an operator writes the null reverse-path.
    if wanted == "<>" {
        return address.is_empty();
    }
    let wanted = wanted.strip_prefix('@').unwrap_or(wanted);
    match wanted.contains('@') {
        true => address.eq_ignore_ascii_case(wanted),
        false => address.rsplit_once('@').is_some_and(|(_, domain)| domain.eq_ignore_ascii_case(wanted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{Attempt, DeliveryId, Hold};

    fn delivery() -> Delivery {
        let attempt = Attempt {
            host: Some("mx1.example.net".to_owned()),
            reply: "451 4.7.1 Greylisted, please wait".to_owned(),
            ..Attempt::default()
        };
        Delivery {
            id: DeliveryId { spool: SpoolId(7), recipient: 0 },
            received: Timestamp(1_000),
            reverse_path: "<Alice@example.org>".parse().expect("a path"),
            recipient: smtp::Recipient::new("<bob@Example.com>".parse().expect("a path")),
            forward: None,
            size: 12,
            queue: "example.com".parse().expect("a destination"),
            due: Timestamp(9_000),
            held: None,
            attempts: 1,
            history: vec![attempt],
        }
    }

    #[test]
    fn every_word_of_a_filter_counts() {
        let text = |text: &str| Some(text.to_owned());
        let filter = QueueFilter::default;
        for (filter, expected) in [
            (filter(), true),
            (QueueFilter { sender: text("alice@EXAMPLE.org"), ..filter() }, true),
            (QueueFilter { sender: text("example.org"), ..filter() }, true),
            (QueueFilter { sender: text("@example.org"), ..filter() }, true),
            (QueueFilter { sender: text("ample.org"), ..filter() }, false),
            (QueueFilter { sender: text("<>"), ..filter() }, false),
            (QueueFilter { recipient: text("bob@example.com"), ..filter() }, true),
            (QueueFilter { recipient: text("alice@example.org"), ..filter() }, false),
            (QueueFilter { domain: text("EXAMPLE.com"), ..filter() }, true),
            (QueueFilter { domain: text("example.org"), ..filter() }, false),
            (QueueFilter { site: text("Example.NET"), ..filter() }, true),
            (QueueFilter { site: text("mx2.example.net"), ..filter() }, false),
            (QueueFilter { older: Some(4_000), ..filter() }, true),
            (QueueFilter { older: Some(4_001), ..filter() }, false),
            (QueueFilter { younger: Some(4_000), ..filter() }, true),
            (QueueFilter { younger: Some(3_999), ..filter() }, false),
            (QueueFilter { reason: text("GREYlisted"), ..filter() }, true),
            (QueueFilter { reason: text("quota"), ..filter() }, false),
            (QueueFilter { state: Some(HoldState::Waiting), ..filter() }, true),
            (QueueFilter { state: Some(HoldState::Held), ..filter() }, false),
            (QueueFilter { sender: text("example.org"), reason: text("quota"), ..filter() }, false),
        ] {
            let shown = format!("{filter:?}");
            let wanted = filter.understood().expect("it makes sense");
            assert_eq!(wanted.has(&delivery(), Timestamp(5_000), |_| None), expected, "{shown}");
        }
        let hold = Hold { since: Timestamp(0), reason: String::new() };
        let held = Delivery { held: Some(hold), ..delivery() };
        let filter = QueueFilter { state: Some(HoldState::Held), ..filter() };
        assert!(filter.understood().expect("it makes sense").has(&held, Timestamp(0), |_| None));
    }

    #[test]
    fn a_site_is_what_the_queue_knows_and_else_the_host_that_was_tried() {
        // What was tried last is mx1.example.net.
        let site = || SiteHosts {
            site: "big".into(),
            hosts: ["a.mx.example.org".into(), "b.mx.example.org".into()].into(),
        };
        for (wanted, known, unknown) in [
            ("mx1.example.net", false, true),
            ("b.MX.example.org", true, false),
            ("mx.example.org", true, false),
            ("x.example.org", false, false),
            ("big", true, false),
        ] {
            let filter = QueueFilter { site: Some(wanted.to_owned()), ..QueueFilter::default() };
            let filter = filter.understood().expect("it makes sense");
            assert_eq!(filter.has(&delivery(), Timestamp(0), |_| Some(site())), known, "{wanted}");
            assert_eq!(filter.has(&delivery(), Timestamp(0), |_| None), unknown, "{wanted}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let refused = |filter: QueueFilter| filter.understood().err().expect("it is refused");
        assert!(
            refused(QueueFilter { ids: vec!["12".to_owned()], ..QueueFilter::default() }).contains("\"12\"")
        );
        let reason = Some(String::new());
        assert!(refused(QueueFilter { reason, ..QueueFilter::default() }).contains("empty"));
        let domain = Some("no such.name".to_owned());
        assert!(refused(QueueFilter { domain, ..QueueFilter::default() }).contains("no such.name"));
    }
}
