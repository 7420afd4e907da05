//! `posthaste send`: writes a message, or takes a ready one, and hands it to a server.
//!
//! [`letter`] makes envelope and content from the arguments, [`deliver`] speaks with the server, [`transcript`] shows what is said,
//! [`report`] says what became of it.

mod deliver;
mod letter;
mod report;
mod transcript;

use super::block_on;
use crate::exit::Exit;
use crate::output::FormatArgs;
use letter::{Author, Party};
pub(super) use report::trust_hint;
use server::tls::Trust;
use std::path::PathBuf;
use std::time::Duration;

/// Send a message
///
/// Composes a message and delivers it to one server, or delivers a ready message from a file. Prints one line for each recipient:
/// accepted, refused or to be tried later, with the server's reply.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("composed").multiple(true).conflicts_with("message"))]
pub(crate) struct Args {
    /// The server to deliver to
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2525", value_parser = server)]
    server: String,
    /// The author, also where reports go; with --message: only where reports go ('<>' for nowhere)
    #[arg(long, value_name = "ADDRESS", required_unless_present = "message")]
    from: Option<Author>,
    /// A recipient; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<Party>,
    /// A recipient of a copy
    #[arg(long, value_name = "ADDRESS")]
    cc: Vec<Party>,
    /// A recipient of a copy that nobody else learns of
    #[arg(long, value_name = "ADDRESS")]
    bcc: Vec<Party>,
    /// What it is about
    #[arg(long, value_name = "TEXT", group = "composed")]
    subject: Option<String>,
    /// The text; without any content given it is read from standard input
    #[arg(long, value_name = "TEXT", group = "composed", conflicts_with = "text_file")]
    text: Option<String>,
    /// The text, from a file; - is standard input
    #[arg(long, value_name = "FILE", group = "composed")]
    text_file: Option<PathBuf>,
    /// The same as HTML
    #[arg(long, value_name = "HTML", group = "composed", conflicts_with = "html_file")]
    html: Option<String>,
    /// The same as HTML, from a file
    #[arg(long, value_name = "FILE", group = "composed")]
    html_file: Option<PathBuf>,
    /// Attach a file; may be given several times
    #[arg(long, value_name = "FILE", group = "composed")]
    attach: Vec<PathBuf>,
    /// Send a ready message from a file; - is standard input. Without --from and --to its fields say who
    #[arg(long, value_name = "FILE")]
    message: Option<PathBuf>,
    /// The name to greet the server with [default: the name of this computer]
    #[arg(long, value_name = "NAME", value_parser = helo)]
    helo: Option<smtp::Host>,
    /// Speak LMTP
    #[arg(long)]
    lmtp: bool,
    /// How TLS is used
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Tls::Try)]
    tls: Tls,
    /// Trust the certificate authorities in this PEM file, or the server's own certificate in it, instead of those of this system
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// Take any certificate: listeners are kept out, but not somebody in the middle
    #[arg(long)]
    insecure: bool,
    /// How long to wait for a connection and for each reply, like 30s or 5m [default: as RFC 5321 asks]
    #[arg(long, value_name = "TIME", value_parser = timeout)]
    timeout: Option<Duration>,
    /// Show what is said: C: by us, S: by the server
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    format: FormatArgs,
}

/// How TLS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tls {
    /// Not at all
    None,
    /// If the server offers it; without --ca any certificate will do
    Try,
    /// With STARTTLS, or not at all
    Require,
    /// From the first byte, as on port 465
    Implicit,
}

const USAGE: &str = "posthaste send --from <ADDRESS> --to <ADDRESS>... [OPTIONS]
       posthaste send --message <FILE> [OPTIONS]";

const EXAMPLES: &str = "\
Examples:
  posthaste send --from me@example.org --to you@example.org --text 'It works'
      Send a message to the server that `posthaste up` started.
  posthaste send --from 'Ann <ann@example.org>' --to bob@example.net \\
      --cc eve@example.net --subject Report --attach figures.pdf
      Two recipients and an attachment.
  posthaste send --server mail.example.net:25 --message ready.eml -v
      A ready message, to whom its fields say; with the whole conversation.
  posthaste send --server mail.example.net:465 --tls implicit \\
      --message ready.eml
      Only to the real mail.example.net, by its certificate.
  date | posthaste send --from me@example.org --to you@example.org
      The text from standard input.

Exit status: 0 accepted for every recipient, 1 refused for one at least,
2 wrong usage, 75 not now but perhaps later.";

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let format = args.format.format();
    let letter = letter::write(&args)?;
    let route = deliver::Route {
        server: args.server,
        protocol: if args.lmtp { smtp::Protocol::Lmtp } else { smtp::Protocol::Smtp },
        hello_name: match args.helo {
            Some(host) => host.to_string(),
            None => server::host::name().ascii().to_owned(),
        },
        timeout: args.timeout,
        tls: args.tls,
        trust: match args.ca {
            Some(file) => Trust::File(file),
            // Against somebody in the middle it would not help: who can show another certificate can also hide the offer.
            None if args.insecure || args.tls == Tls::Try => Trust::Anything,
            None => Trust::System,
        },
    };
    let transcript = args.verbose.then(transcript::Transcript::to_standard_error);
    let recipients: Vec<_> = letter.envelope.recipients.iter().map(|r| r.forward_path.clone()).collect();
    let ending = block_on(async { Ok(deliver::deliver(&route, letter, transcript).await) })?;
    report::print(&route.server, &recipients, &ending, format)?;
    Ok(report::exit(&ending))
}

fn server(text: &str) -> Result<String, String> {
    let wrong = || "write it as HOST:PORT, like mail.example.org:25 or [::1]:2525".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let is_host = !host.is_empty() && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')));
    match port.parse::<u16>() {
        Ok(port) if port > 0 && is_host => Ok(text.to_owned()),
        _ => Err(wrong()),
    }
}

fn helo(text: &str) -> Result<smtp::Host, String> {
    text.parse().map_err(|error| {
        format!("{error}; write a name like client.example.org or a literal like [192.0.2.1]")
    })
}

fn timeout(text: &str) -> Result<Duration, String> {
    match text.parse::<server::settings::Span>() {
        Ok(span) if !span.0.is_zero() => Ok(span.0),
        Ok(_) => Err("it must be more than nothing".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        for right in ["127.0.0.1:2525", "[::1]:25", "mail.example.org:25"] {
            assert_eq!(server(right).as_deref(), Ok(right));
        }
        for wrong in ["mail.example.org", "::1:25", ":25", "host:", "host:0", "host:70000", "host:smtp"] {
            assert!(server(wrong).is_err_and(|error| error.contains("HOST:PORT")), "{wrong}");
        }
    }

    #[test]
    fn timeouts() {
        assert_eq!(timeout("1m30s"), Ok(Duration::from_secs(90)));
        assert!(timeout("0s").is_err());
        assert!(timeout("5").is_err_and(|error| error.contains("\"5m\"")));
    }
}
