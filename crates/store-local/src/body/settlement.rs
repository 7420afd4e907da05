//! How a settlement stands in the log: attempts first had five fields and no room for more, and records from then are still read.

use super::{AttemptRecord, Settlement};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use store::{Attempt, Timestamp};

/// A settlement as it is written. The order of the variants is part of the format.
#[derive(Serialize, Deserialize)]
pub(super) enum SettlementRecord {
    Done {
        spool: u64,
        recipient: u32,
    },
    /// Read only.
    DeferredBeforeTls {
        spool: u64,
        recipient: u32,
        due: Timestamp,
        attempts: u32,
        attempt: AttemptBeforeTls,
    },
    Deferred {
        spool: u64,
        recipient: u32,
        due: Timestamp,
        attempts: u32,
        attempt: AttemptRecord,
    },
}

#[derive(Serialize, Deserialize)]
pub(super) struct AttemptBeforeTls {
    pub(super) at: Timestamp,
    pub(super) took: u32,
    pub(super) host: Option<String>,
    pub(super) address: Option<SocketAddr>,
    pub(super) reply: String,
}

impl From<SettlementRecord> for Settlement {
    fn from(record: SettlementRecord) -> Settlement {
        match record {
            SettlementRecord::Done { spool, recipient } => Settlement::Done { spool, recipient },
            SettlementRecord::DeferredBeforeTls { spool, recipient, due, attempts, attempt } => {
                let AttemptBeforeTls { at, took, host, address, reply } = attempt;
                let attempt = Box::new(Attempt { at, took, host, address, reply, ..Attempt::default() });
                Settlement::Deferred { spool, recipient, due, attempts, attempt }
            }
            SettlementRecord::Deferred { spool, recipient, due, attempts, attempt } => {
                let attempt = Box::new(Attempt::from(&attempt));
                Settlement::Deferred { spool, recipient, due, attempts, attempt }
            }
        }
    }
}

impl From<Settlement> for SettlementRecord {
    fn from(settlement: Settlement) -> SettlementRecord {
        match settlement {
            Settlement::Done { spool, recipient } => SettlementRecord::Done { spool, recipient },
            Settlement::Deferred { spool, recipient, due, attempts, attempt } => {
                let attempt = AttemptRecord::from(&*attempt);
                SettlementRecord::Deferred { spool, recipient, due, attempts, attempt }
            }
        }
    }
}
