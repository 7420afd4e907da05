//! How many connections there are to other hosts, and how they are used: part of `[queue]`, and `[[site]]`.

use super::file::Text;
use super::relay::{QueueFile, number};
use super::route::OneOrMore;
use super::values::{RateText, Span};
use super::{At, SettingsError};
use crate::deliver::pool::Idle;
use crate::queue::{Bounds, OwnSite, SiteLimits};
use crate::route::Pattern;
use serde::Deserialize;
use std::fmt;
use std::time::Duration;
use toml::Spanned;

/// One `[[site]]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteFile {
    /// Mail for these domains.
    pub domain: Option<Spanned<OneOrMore<Text<Pattern>>>>,
    /// Mail that goes to these hosts.
    pub mx: Option<Spanned<OneOrMore<Text<Pattern>>>>,
    /// Connections at the same time.
    pub connections: Option<Spanned<u32>>,
    /// Messages over one connection.
    pub messages_per_connection: Option<Spanned<u32>>,
    /// New connections.
    pub connection_rate: Option<Text<RateText>>,
    /// Messages.
    pub message_rate: Option<Text<RateText>>,
    /// How long it is left alone when it has no time.
    pub pause: Option<Text<Span>>,
}

/// What `[queue]` and the `[[site]]` tables say of connections.
pub(super) fn bounds(
    queue: &QueueFile,
    sites: &[Spanned<SiteFile>],
    wrong: At<'_>,
) -> Result<Bounds, SettingsError> {
    let default = Bounds::default();
    let span =
        |written: &Option<Text<Span>>, default: Duration| written.as_ref().map_or(default, |span| span.0.0);
    let site = SiteLimits {
        connections: number(&queue.connections_per_site, default.site.connections, wrong)?,
        messages: messages(&queue.messages_per_connection, default.site.messages, wrong)?,
        pause: span(&queue.site_pause, default.site.pause),
        ..default.site
    };
    Ok(Bounds {
        connections: number(&queue.connections, default.connections, wrong)?,
        idle: Idle {
            most: queue.idle_connections.map_or(default.idle.most, |most| most as usize),
            time: span(&queue.connection_idle, default.idle.time),
        },
        age: span(&queue.connection_age, default.age),
        own: sites.iter().map(|table| own(table, &site, wrong)).collect::<Result<_, _>>()?,
        site,
    })
}

/// One table; what it does not say is as for all sites.
fn own(table: &Spanned<SiteFile>, default: &SiteLimits, wrong: At<'_>) -> Result<OwnSite, SettingsError> {
    let written = table.get_ref();
    let patterns = |list: &Option<Spanned<OneOrMore<Text<Pattern>>>>| {
        let Some(list) = list else { return Ok(Vec::new()) };
        let patterns: Vec<Pattern> = list.get_ref().0.iter().map(|Text(pattern)| pattern.clone()).collect();
        if patterns.contains(&Pattern::Any) {
            let message =
                "all hosts of the world are no one site; what holds for each of them stands in [queue]";
            return Err(wrong(list.span(), message.to_owned()));
        }
        Ok(patterns)
    };
    let (domains, hosts) = (patterns(&written.domain)?, patterns(&written.mx)?);
    if domains.is_empty() && hosts.is_empty() {
        return Err(wrong(table.span(), "which site? Name a `domain`, or hosts as `mx`".to_owned()));
    }
    let rate = |written: &Option<Text<RateText>>| written.as_ref().and_then(|rate| rate.0.0);
    let limits = SiteLimits {
        connections: number(&written.connections, default.connections, wrong)?,
        messages: messages(&written.messages_per_connection, default.messages, wrong)?,
        connection_rate: rate(&written.connection_rate),
        message_rate: rate(&written.message_rate),
        pause: written.pause.as_ref().map_or(default.pause, |pause| pause.0.0),
    };
    Ok(OwnSite { domains, hosts, limits })
}

fn messages(written: &Option<Spanned<u32>>, default: u32, wrong: At<'_>) -> Result<u32, SettingsError> {
    Ok(u32::try_from(number(written, default as usize, wrong)?).unwrap_or(u32::MAX))
}

/// What `serve --check` prints.
pub(super) fn show(bounds: &Bounds, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Bounds { connections, idle, site, own, .. } = bounds;
    writeln!(
        f,
        "connections out          {connections}, {} to one site, {} idle for {}",
        site.connections,
        idle.most,
        Span(idle.time)
    )?;
    for own in own {
        let SiteLimits { connections, messages, connection_rate, message_rate, pause } = &own.limits;
        write!(f, "  to {:<21} {connections}, {messages} messages over each", own.to_string())?;
        if connection_rate.is_some() {
            write!(f, ", {} new", RateText(*connection_rate))?;
        }
        if message_rate.is_some() {
            write!(f, ", {} messages in all", RateText(*message_rate))?;
        }
        writeln!(f, "; left alone for {} when it is busy", Span(*pause))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::abuse::Rate;
    use crate::deliver::pool::Idle;
    use crate::queue::{Bounds, OwnSite, SiteLimits};
    use crate::settings::Settings;
    use smtp::Domain;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    fn parse(rest: &str) -> Result<Bounds, String> {
        let host_name = Domain::parse("host.example").expect("a domain");
        let text = format!("domains = [\"a.example\"]\n{rest}");
        let settings = Settings::parse(Path::new("posthaste.toml"), &text, host_name, PathBuf::from("/data"));
        settings.map(|settings| settings.relay.expect("it relays").bounds).map_err(|error| error.to_string())
    }

    #[test]
    fn a_table_changes_what_it_says_and_no_more() {
        let bounds = parse(
            "[queue]\nconnections_per_site = 7\nmessages_per_connection = 30\nconnection_idle = \"20s\"\nidle_connections = 0\n\
             [[site]]\ndomain = \"b.example\"\nmx = [\".big.example\", \"mx.c.example\"]\nmessage_rate = \"100/m\"\npause = \"5m\"",
        );
        let site = SiteLimits { connections: 7, messages: 30, ..SiteLimits::default() };
        let rate = Rate { amount: 100, window: Duration::from_secs(60) };
        let limits = SiteLimits { message_rate: Some(rate), pause: Duration::from_secs(300), ..site.clone() };
        let pattern = |text: &str| text.parse().expect("a pattern");
        let own = OwnSite {
            domains: vec![pattern("b.example")],
            hosts: vec![pattern(".big.example"), pattern("mx.c.example")],
            limits,
        };
        let idle = Idle { most: 0, time: Duration::from_secs(20) };
        assert_eq!(bounds, Ok(Bounds { site, idle, own: vec![own], ..Bounds::default() }));
    }

    #[test]
    fn what_makes_no_sense_is_refused_where_it_stands() {
        for (text, part) in [
            ("[[site]]\nconnections = 3", "posthaste.toml:2:1: which site?"),
            ("[[site]]\ndomain = \"*\"", "posthaste.toml:3:10: all hosts of the world"),
            ("[[site]]\nmx = []", "which site?"),
            ("[[site]]\nmx = \"a.example\"\nconnections = 0", "at least 1"),
            ("[[site]]\nmx = \"a.example\"\nrate = 0", "rate"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
    }
}
