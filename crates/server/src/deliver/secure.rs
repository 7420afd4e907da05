//! How a connection to a next hop is secured, and what is remembered of hosts' TLS.
//!
//! [`Security`] is chosen for each [`Target`] by whoever found it: a route of the settings, or a policy of the destination. Where nothing is asked for,
//! TLS is used as it comes ([`Level::Opportunistic`]), and [`Memory`] keeps that from being either stubborn or gullible: a host whose TLS is broken
//! gets its mail in clear for a while, one whose TLS worked a moment ago does not.

use crate::resolve::{Address, Target};
use crate::tls::{Authorities, Connector, Dane, Demand};
use smtp::client;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use store::Timestamp;

/// How a connection to a next hop is secured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Security {
    /// What must be.
    pub level: Level,
    /// When TLS begins.
    pub begin: Begin,
}

/// How safe a connection must be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Level {
    /// In clear, whatever is offered.
    Clear,
    /// TLS if the host can do it, with any certificate, else in clear (RFC 7435).
    #[default]
    Opportunistic,
    /// TLS with any certificate: nobody who only listens can read the mail.
    Encrypted,
    /// TLS with a certificate for the host's name from an authority.
    Verified,
    /// TLS with a certificate that DNS names (RFC 7672).
    Dane(Arc<Dane>),
}

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Begin {
    /// By STARTTLS (RFC 3207).
    #[default]
    StartTls,
    /// With the connection (RFC 8314 §3.3): for hosts that the settings name. Such a connection is never in clear, so that
    /// [`Level::Clear`] and [`Level::Opportunistic`] mean [`Level::Encrypted`].
    AtOnce,
}

impl Security {
    /// Whether mail may go in clear.
    pub fn allows_clear(&self) -> bool {
        self.begin == Begin::StartTls && matches!(self.level, Level::Clear | Level::Opportunistic)
    }

    /// Whether the host will have proven who it is, and cannot have been put in by somebody who forges DNS (RFC 8689 §4.2.1).
    pub fn is_verified(&self) -> bool {
        matches!(self.level, Level::Verified | Level::Dane(_))
    }

    /// Whether nothing but clear will do.
    fn is_clear(&self) -> bool {
        self.begin == Begin::StartTls && self.level == Level::Clear
    }

    /// What the client endpoint does about STARTTLS.
    pub fn starttls(&self) -> client::Security {
        match (self.begin, &self.level) {
            (Begin::AtOnce, _) | (Begin::StartTls, Level::Clear) => client::Security::None,
            (Begin::StartTls, Level::Opportunistic) => client::Security::IfOffered,
            (Begin::StartTls, Level::Encrypted | Level::Verified | Level::Dane(_)) => {
                client::Security::Required
            }
        }
    }

    /// Who does the handshake with this host.
    pub fn connector(&self, target: &Target, authorities: &Authorities) -> Option<Connector> {
        let mut name: &str = &target.host;
        let demand = match &self.level {
            _ if self.is_clear() => return None,
            Level::Clear | Level::Opportunistic | Level::Encrypted => Demand::Any,
            Level::Verified => Demand::Authority,
            Level::Dane(dane) => {
                // RFC 7672 §8.1: the host is asked for the name at which the records are.
                name = dane.names.first().map_or(name, String::as_str);
                Demand::Dane(Arc::clone(dane))
            }
        };
        // A socket in the file system is in clear always.
        let address = target.address.ip()?.ip();
        Some(Connector::to_next_hop(name, address, &demand, authorities))
    }
}

/// What is remembered of the TLS of addresses. In memory, and bounded.
#[derive(Debug, Default)]
pub struct Memory {
    known: Mutex<HashMap<Address, Known>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    tls: Tls,
    until: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    Works,
    Broken,
}

impl Memory {
    /// How to secure the next connection to this target: what was chosen, unless that is to take what comes and something is known.
    pub fn security(&self, target: &Target, now: Timestamp) -> Security {
        let chosen = target.security.clone();
        if chosen.level != Level::Opportunistic || chosen.begin == Begin::AtOnce {
            return chosen;
        }
        let known =
            self.known().get(&target.address).filter(|known| known.until > now).map(|known| known.tls);
        let level = match known {
            None => chosen.level,
            Some(Tls::Works) => Level::Encrypted,
            Some(Tls::Broken) => Level::Clear,
        };
        Security { level, ..chosen }
    }

    /// A host's TLS works.
    pub fn works(&self, address: &Address, now: Timestamp) {
        self.note(address, Tls::Works, now, WORKS_FOR);
    }

    /// A host offers TLS, and then fails at it.
    pub fn broken(&self, address: &Address, now: Timestamp) {
        self.note(address, Tls::Broken, now, BROKEN_FOR);
    }

    fn note(&self, address: &Address, tls: Tls, now: Timestamp, time: i64) {
        let mut known = self.known();
        if known.len() >= KNOWN_MAX && !known.contains_key(address) {
            known.retain(|_, known| known.until > now);
            // None of it is needed for mail to flow: forgetting all of it is better than keeping who came first.
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
        }
        known.insert(address.clone(), Known { tls, until: Timestamp(now.0.saturating_add(time)) });
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Address, Known>> {
        self.known.lock().expect("no holder of this lock panics")
    }
}

/// The most addresses that are remembered: less than a megabyte.
const KNOWN_MAX: usize = 8192;
/// How long a host whose TLS works gets no mail in clear, in milliseconds: whoever wants to read along must keep TLS away for longer. So short that
/// senders do not hear of a delay, for a host may also have given TLS up.
const WORKS_FOR: i64 = 2 * 3600 * 1000;
/// How long a host whose TLS is broken gets its mail in clear at once, in milliseconds.
const BROKEN_FOR: i64 = 3600 * 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn target(level: Level, begin: Begin) -> Target {
        Target {
            host: "mx.example".into(),
            preference: 10,
            address: SocketAddr::from(([192, 0, 2, 1], 25)).into(),
            security: Security { level, begin },
            hop: None,
            origin: Arc::default(),
        }
    }

    #[test]
    fn only_what_nobody_asked_for_is_changed_by_what_is_remembered() {
        let (works, broken) = (Memory::default(), Memory::default());
        let address = target(Level::Clear, Begin::StartTls).address;
        works.works(&address, Timestamp(0));
        broken.broken(&address, Timestamp(0));
        for (level, begin, after_works, after_broken) in [
            (Level::Clear, Begin::StartTls, Level::Clear, Level::Clear),
            (Level::Opportunistic, Begin::StartTls, Level::Encrypted, Level::Clear),
            (Level::Opportunistic, Begin::AtOnce, Level::Opportunistic, Level::Opportunistic),
            (Level::Encrypted, Begin::StartTls, Level::Encrypted, Level::Encrypted),
            (Level::Verified, Begin::StartTls, Level::Verified, Level::Verified),
            (Level::Verified, Begin::AtOnce, Level::Verified, Level::Verified),
        ] {
            let target = target(level, begin);
            assert_eq!(works.security(&target, Timestamp(1)).level, after_works, "{:?}", target.security);
            assert_eq!(broken.security(&target, Timestamp(1)).level, after_broken, "{:?}", target.security);
        }
    }

    #[test]
    fn it_is_forgotten_in_time() {
        let memory = Memory::default();
        let target = target(Level::Opportunistic, Begin::StartTls);
        let level = |now| memory.security(&target, Timestamp(now)).level;
        memory.broken(&target.address, Timestamp(0));
        assert_eq!((level(BROKEN_FOR - 1), level(BROKEN_FOR)), (Level::Clear, Level::Opportunistic));
        memory.works(&target.address, Timestamp(0));
        assert_eq!((level(WORKS_FOR - 1), level(WORKS_FOR)), (Level::Encrypted, Level::Opportunistic));
    }

    #[test]
    fn memory_is_bounded() {
        let memory = Memory::default();
        for number in 0..3 * KNOWN_MAX as u32 {
            memory.works(&SocketAddr::from((number.to_be_bytes(), 25)).into(), Timestamp(i64::from(number)));
        }
        assert!(memory.known().len() <= KNOWN_MAX);
    }

    #[test]
    fn clear_is_never_a_way_out_of_what_was_asked_for() {
        for (level, begin, clear) in [
            (Level::Clear, Begin::StartTls, true),
            (Level::Opportunistic, Begin::StartTls, true),
            (Level::Encrypted, Begin::StartTls, false),
            (Level::Verified, Begin::StartTls, false),
            (Level::Clear, Begin::AtOnce, false),
            (Level::Opportunistic, Begin::AtOnce, false),
        ] {
            let security = Security { level, begin };
            assert_eq!(security.allows_clear(), clear, "{security:?}");
        }
    }
}
