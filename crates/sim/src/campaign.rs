//! Campaigns against the real program: it is killed, or its disk loses power, at random moments while many clients send; then what it
//! had acknowledged is read back.

mod client;
mod crash;
mod image;
mod program;

pub use crash::{Failure, Figures, crash, power_cut};
pub use image::{Image, Switch};
pub use program::{Program, Running, Unsynced};

use crate::ledger::Ledger;
use store::AccountName;

/// How many mailboxes a campaign fills.
const ACCOUNTS: usize = 8;

fn account(number: usize) -> String {
    format!("user{number}@example.org")
}

fn ledger() -> Ledger {
    let name = |number| AccountName::parse(&account(number)).expect("a valid name");
    Ledger::new((0..ACCOUNTS).map(name).collect())
}
