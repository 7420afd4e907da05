//! `posthaste inbox ls`

use super::{Listed, author, subject};
use crate::exit::Exit;
use crate::mail::Mail;
use crate::output::{self, Align, Column, Fit, Format, Row, Table};
use crate::units;
use anstyle::Style;
use jiff::tz::TimeZone;
use server::admin::{MailboxPath, MessageView};
use store::Flags;

pub(super) async fn run(
    mail: Mail<'_>,
    mailbox: Option<&MailboxPath>,
    format: Format,
) -> anyhow::Result<Exit> {
    let messages = match mailbox {
        Some(mailbox) => mail.list(mailbox).await?,
        None => Vec::new(),
    };
    match (format, mailbox) {
        (Format::Json, _) => output::json_list(messages.iter().map(Listed::new))?,
        (Format::Text, None) => output::text("There is no mail yet.")?,
        (Format::Text, Some(MailboxPath { account, mailbox })) if messages.is_empty() => {
            let (account, mailbox) =
                (message::terminal::one_line(account), message::terminal::one_line(mailbox));
            output::text(&format!("There are no messages for {account} in {mailbox}."))?;
        }
        (Format::Text, Some(_)) => {
            output::text(&table(&messages, &TimeZone::system()).render(output::columns()))?;
        }
    }
    Ok(Exit::Done)
}

fn table(messages: &[MessageView], zone: &TimeZone) -> Table {
    let column = |title, align, fit| Column { title, align, fit };
    let row = |message: &MessageView| {
        let is_unread = !message.flags.contains(Flags::SEEN);
        Row {
            cells: vec![
                format!("{}{}", if is_unread { "*" } else { " " }, message.uid),
                units::minute(message.received, zone),
                author(&message.from),
                subject(&message.subject),
                units::size(message.size),
            ],
            style: if is_unread { Style::new().bold() } else { Style::new() },
        }
    };
    Table {
        columns: vec![
            column("N", Align::Right, Fit::Whole),
            column("RECEIVED", Align::Left, Fit::Whole),
            column("FROM", Align::Left, Fit::Shortened),
            column("SUBJECT", Align::Left, Fit::Shortened),
            column("SIZE", Align::Right, Fit::Whole),
        ],
        rows: messages.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(uid: u32, flags: Flags, from: &str, subject: &str, size: u64) -> MessageView {
        MessageView {
            account: "ann@example.org".to_owned(),
            uid,
            received: store::Timestamp(1_795_251_072_000),
            size,
            flags,
            id: "06BX3T9ZQ2V0G".to_owned(),
            from: from.to_owned(),
            to: String::new(),
            subject: subject.to_owned(),
            date: None,
            preview: String::new(),
        }
    }

    #[test]
    fn a_list_fits_eighty_columns() {
        let messages = [
            message(
                7,
                Flags::SEEN,
                "Jürgen Überlang-Doppelname <j@example.org>",
                "Grüße aus dem schönen Köln am Rhein",
                4300,
            ),
            message(12, Flags::default(), "ann@example.org", "\x1b[31mred\r\nX: y", 812),
            message(113, Flags::default(), "", "", 70 << 20),
        ];
        let table = table(&messages, &TimeZone::UTC).render(Some(80));
        assert_eq!(
            anstream::adapter::strip_str(&table).to_string(),
            "   N  RECEIVED          FROM                    SUBJECT                     SIZE\n\
             \x20  7  2026-11-21 08:51  Jürgen Überlang-Doppe…  Grüße aus dem schönen…   4.2 KiB\n\
             \x20*12  2026-11-21 08:51  ann@example.org         ␛[31mred  X: y             812 B\n\
             *113  2026-11-21 08:51  (nobody)                (no subject)              70 MiB"
        );
        assert!(table.contains("\x1b[1m*113"), "what is not read is bold");
    }
}
