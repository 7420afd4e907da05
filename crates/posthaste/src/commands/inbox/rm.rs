//! `posthaste inbox rm`

use crate::exit::Exit;
use crate::mail::Mail;
use crate::output::{self, Format};
use crate::units;
use serde::Serialize;
use server::admin::MailboxPath;

pub(super) async fn run(
    mail: Mail<'_>,
    mailbox: &MailboxPath,
    numbers: &[u32],
    format: Format,
) -> anyhow::Result<Exit> {
    let mut wanted = numbers.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    let removed = mail.remove(mailbox, &wanted).await?;
    let missing = (wanted.len() as u64).saturating_sub(removed);
    match format {
        Format::Json => output::json(&Removed { removed, missing })?,
        Format::Text => output::text(&sentence(removed, missing))?,
    }
    Ok(if missing == 0 { Exit::Done } else { Exit::Refused })
}

fn sentence(removed: u64, missing: u64) -> String {
    let messages = units::counted(removed, "message");
    match missing {
        0 => format!("Removed {messages}."),
        1 => format!("Removed {messages}; the other one is not there."),
        _ => format!("Removed {messages}; the other {missing} are not there."),
    }
}

#[derive(Serialize)]
struct Removed {
    removed: u64,
    missing: u64,
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn what_was_removed_and_what_not() {
        assert_eq!(sentence(1, 0), "Removed 1 message.");
        assert_eq!(sentence(0, 1), "Removed 0 messages; the other one is not there.");
        assert_eq!(sentence(2, 3), "Removed 2 messages; the other 3 are not there.");
    }
}
