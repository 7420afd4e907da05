//! `posthaste inbox show`

use super::Listed;
use crate::exit::Exit;
use crate::mail::Mail;
use crate::output::{self, Format};
use crate::units;
use anstyle::Style;
use anyhow::ensure;
use message::{Attachment, View, terminal};
use serde::Serialize;
use server::admin::{MailboxPath, Mark, MessageView};
use std::fmt::Write;

pub(super) async fn run(
    mail: Mail<'_>,
    mailbox: &MailboxPath,
    number: u32,
    format: Format,
) -> anyhow::Result<Exit> {
    let mut bytes = Vec::new();
    let message = mail
        .fetch(mailbox, number, Mark::Seen, |piece| {
            ensure!(
                bytes.len() + piece.len() <= MAX,
                "message {number} is larger than {}; read it with `posthaste inbox raw`",
                units::size(MAX as u64)
            );
            bytes.extend_from_slice(&piece);
            Ok(())
        })
        .await?;
    let view = View::of(&bytes);
    match format {
        Format::Json => output::json(&Shown::new(&message, &view))?,
        Format::Text => output::text(&text(&view))?,
    }
    Ok(Exit::Done)
}

/// Headers, text and the list of attachments, safe for a terminal.
fn text(view: &View) -> String {
    let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
    let mut text = String::new();
    for (name, value) in &view.headers {
        let value = terminal::one_line(value);
        writeln!(text, "{dim}{:<10}{dim:#}{bold}{value}{bold:#}", format!("{name}:")).expect(INFALLIBLE);
    }
    write!(text, "\n{}", terminal::lines(view.text.trim_end())).expect(INFALLIBLE);
    if view.is_cut {
        write!(text, "\n{dim}… the text goes on; `posthaste inbox raw` has all of it{dim:#}")
            .expect(INFALLIBLE);
    }
    if !view.attachments.is_empty() {
        write!(text, "\n\n{dim}Attachments:{dim:#}").expect(INFALLIBLE);
    }
    for attachment in &view.attachments {
        let name = terminal::one_line(attachment.name.as_deref().unwrap_or("(no name)"));
        let media_type = terminal::one_line(&attachment.media_type);
        write!(text, "\n  {name}  ({media_type}, {})", units::size(attachment.size as u64))
            .expect(INFALLIBLE);
    }
    text
}

/// A message for programs.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    listed: Listed<'a>,
    headers: serde_json::Map<String, serde_json::Value>,
    text: &'a str,
    text_is_cut: bool,
    attachments: Vec<ShownAttachment<'a>>,
}

#[derive(Serialize)]
struct ShownAttachment<'a> {
    name: Option<&'a str>,
    media_type: &'a str,
    size: usize,
}

impl Shown<'_> {
    fn new<'a>(message: &'a MessageView, view: &'a View) -> Shown<'a> {
        let attachment = |attachment: &'a Attachment| ShownAttachment {
            name: attachment.name.as_deref(),
            media_type: &attachment.media_type,
            size: attachment.size,
        };
        let header = |(name, value): &(&str, String)| ((*name).to_owned(), value.as_str().into());
        Shown {
            listed: Listed { seen: true, ..Listed::new(message) },
            headers: view.headers.iter().map(header).collect(),
            text: &view.text,
            text_is_cut: view.is_cut,
            attachments: view.attachments.iter().map(attachment).collect(),
        }
    }
}

const INFALLIBLE: &str = "a String takes everything";
/// Larger messages are not taken into memory to be shown.
const MAX: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_on_a_screen() {
        let message = "From: =?utf-8?Q?J=C3=BCrgen?= <j@example.org>\r\nSubject: \x1b]0;owned\x07\r\n\
            Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello \x1b[2J\r\n\r\n--b\r\n\
            Content-Type: image/png; name=\"a\x07.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n";
        let text = text(&View::of(message.as_bytes()));
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "From:     Jürgen <j@example.org>\nSubject:  ␛]0;owned␇\n\nHello ␛[2J\n\n\
             Attachments:\n  a␇.png  (image/png, 3 B)"
        );
    }
}
