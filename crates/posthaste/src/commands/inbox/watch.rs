//! `posthaste inbox watch`

use super::{Listed, author, subject};
use crate::exit::Exit;
use crate::mail::Mail;
use crate::output::{self, Format};
use crate::units;
use anyhow::bail;
use jiff::tz::TimeZone;
use server::admin::MessageView;

pub(super) async fn run(mail: Mail<'_>, account: Option<&str>, format: Format) -> anyhow::Result<Exit> {
    let mut watch = mail.watch(account).await?;
    anstream::eprintln!("Waiting for new mail; stop with Ctrl-C.");
    let zone = TimeZone::system();
    loop {
        let message = tokio::select! {
            message = watch.next() => message?,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                return Ok(Exit::Done);
            }
        };
        match (message, format) {
            (None, _) => bail!("the server has stopped"),
            (Some(message), Format::Json) => output::json(&Listed::new(&message))?,
            (Some(message), Format::Text) => output::text(&line(&message, &zone))?,
        }
    }
}

fn line(message: &MessageView, zone: &TimeZone) -> String {
    let at = units::minute(message.received, zone);
    let (account, uid) = (message::terminal::one_line(&message.account), message.uid);
    format!("{at}  {account} {uid}  {}: {}", author(&message.from), subject(&message.subject))
}
