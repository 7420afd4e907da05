//! `posthaste up`: a server without configuration.

use crate::exit::{Complaint, Exit};
use crate::logs::LogArgs;
use crate::output::FormatArgs;
use crate::paths::{DirectoryArgs, shell_quoted};
use crate::serving;
use anstyle::Style;
use server::settings::{Catcher, Listener, ListenerTls, Settings, users};
use server::tls::{CertificateView, Origin};
use smtp::Mailbox;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Start a mail server here, without configuration
///
/// It listens on 127.0.0.1:2525 and catches the mail for every address into a mailbox of its own; nothing is ever sent on. With
/// --users it takes mail for the addresses of that file only. Stop it with Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Listen here, as ADDRESS:PORT or PORT (on 127.0.0.1); port 0 takes a free one. May be given several times
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    listen: Vec<SocketAddr>,
    /// Let accounts with a password (`posthaste user passwd`) fetch their mail by POP3 here; written like --listen
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    pop3: Vec<SocketAddr>,
    /// Let accounts with a password read their mail by IMAP here; written like --listen
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    imap: Vec<SocketAddr>,
    /// Speak the protocol of the classroom here (HELO, MAIL FROM:, RCPT TO:, DATA, LIST, GET_MAIL, QUIT; 200 to 500), where everybody
    /// sees all mail but that of accounts made with `posthaste user add`; written like --listen
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    classroom: Vec<SocketAddr>,
    /// Take mail only for the addresses in this file, one on a line
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// How TLS comes to a connection; a self-signed certificate is made for it
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Tls::None)]
    tls: Tls,
    /// Let `posthaste store backup` write below this directory, which must exist, while the server runs
    #[arg(long, value_name = "DIR")]
    backups: Option<PathBuf>,
    #[command(flatten)]
    data: DirectoryArgs,
    #[command(flatten)]
    logs: LogArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// How TLS comes to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Tls {
    /// When the client asks for it
    Starttls,
    /// From the first byte
    Implicit,
    /// Not at all: many clients use TLS when it is offered, and then refuse a self-signed certificate
    None,
}

impl From<Tls> for ListenerTls {
    fn from(tls: Tls) -> ListenerTls {
        match tls {
            Tls::Starttls => ListenerTls::StartTls,
            Tls::Implicit => ListenerTls::Implicit,
            Tls::None => ListenerTls::None,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  posthaste up
      Catch all mail that is sent to 127.0.0.1:2525.
  posthaste up --listen 2626 --data /tmp/mail
      The same on another port, with the mail in /tmp/mail.
  posthaste up --users users.txt
      Refuse mail for addresses that are not in users.txt.
  posthaste up --tls starttls
      Offer STARTTLS, with a self-signed certificate that clients must be told to trust.
  posthaste up --listen 0 --json
      On a free port; the first line says which.";

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let users = match &args.users {
        Some(file) => Some(users::read(file).map_err(|error| Complaint::usage(error.to_string()))?),
        None => None,
    };
    let data = args.data.directory()?;
    let backups = args.backups.as_deref().map(existing_directory).transpose()?;
    let login = args.pop3.iter().map(|address| ("--pop3", address));
    let mut login = login.chain(args.imap.iter().map(|address| ("--imap", address)));
    if let (Tls::None, Some((option, far))) =
        (args.tls, login.find(|(_, address)| !address.ip().is_loopback()))
    {
        let what = format!(
            "{option} {far}: nobody could log in there without TLS; add --tls starttls or --tls implicit"
        );
        return Err(Complaint::usage(what).into());
    }
    let all = [&args.listen, &args.pop3, &args.imap, &args.classroom];
    if let Some(address) = named_twice(all.into_iter().flatten()) {
        return Err(
            Complaint::usage(format!("{address} is named twice; name a port of its own for each")).into()
        );
    }
    let log = args.logs.start();
    let catcher = Catcher {
        listen: args.listen,
        pop3: args.pop3,
        imap: args.imap,
        classroom: args.classroom,
        tls: args.tls.into(),
        data: data.clone(),
        users: users.clone(),
        backups,
    };
    let settings = Settings::catcher(catcher, server::host::name());
    serving::run(settings, log, args.format.format(), |server| {
        let (program, data_option) = (program(), args.data.as_option());
        let (program, data_option, users) = (&program, &data_option, users.as_deref());
        Some(
            Announcement {
                program,
                listeners: server.listeners(),
                certificates: &server.certificates(),
                data: &data,
                data_option,
                users,
            }
            .text(),
        )
    })
}

/// An address that is among these twice; port 0 takes another one each time.
fn named_twice<'a>(addresses: impl Iterator<Item = &'a SocketAddr>) -> Option<SocketAddr> {
    let mut known = std::collections::HashSet::new();
    addresses.copied().find(|address| address.port() != 0 && !known.insert(*address))
}

/// The whole path of a directory that is there.
fn existing_directory(path: &Path) -> anyhow::Result<PathBuf> {
    if path.is_dir() {
        return Ok(std::path::absolute(path)?);
    }
    Err(Complaint::usage(format!("{} is not a directory: backups go below one that exists", path.display()))
        .into())
}

/// How this program is called in a shell: by its path when it was started by one, as `cargo run` does, so that what is printed can
/// be pasted.
fn program() -> String {
    match std::env::args().next() {
        Some(path) if path.contains('/') => shell_quoted(&path),
        _ => "posthaste".to_owned(),
    }
}

/// `ADDRESS:PORT`, or a port on the loopback address.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.parse().map_err(|_| {
        "write it as ADDRESS:PORT, like 127.0.0.1:2525 or [::1]:2525, or as a PORT alone".to_owned()
    })
}

/// What a person reads who has started the server.
struct Announcement<'a> {
    /// How the program is called in a shell.
    program: &'a str,
    listeners: &'a [Listener],
    certificates: &'a [CertificateView],
    data: &'a Path,
    data_option: &'a str,
    users: Option<&'a [Mailbox]>,
}

impl Announcement<'_> {
    fn text(&self) -> String {
        let bold = Style::new().bold();
        let mut text = format!("{bold}Posthaste {} is up{bold:#}\n\n", env!("CARGO_PKG_VERSION"));
        // writing to a String cannot fail
        for Listener { address, service, tls, .. } in self.listeners {
            let tls = match tls {
                ListenerTls::StartTls => ", STARTTLS",
                ListenerTls::Implicit => ", TLS",
                ListenerTls::None => "",
            };
            let note = if address.ip().is_loopback() { "" } else { "  (reachable from other computers)" };
            writeln!(text, "  {service}  {address}{tls}{note}").expect("a String takes everything");
        }
        let takes = match self.users {
            Some([_]) => "the one address of the users file; others are refused".to_owned(),
            Some(users) => format!("the {} addresses of the users file; others are refused", users.len()),
            None => "every address; nothing is sent on".to_owned(),
        };
        let (send, read) = self.first_commands();
        let login = match self.listeners.iter().any(|listener| listener.service.is_for_accounts()) {
            true => format!(
                "\n\nGive the account a password, to read with a mail program:\n\n  {bold}{}{bold:#}",
                self.password_command()
            ),
            false => String::new(),
        };
        for certificate in self.certificates {
            let kind = match certificate.origin {
                Origin::SelfSigned => "self-signed certificate",
                Origin::Files | Origin::Acme => "certificate",
            };
            writeln!(text, "  TLS   {kind} {}", certificate.file.display())
                .expect("a String takes everything");
            writeln!(text, "        SHA-256 {}", certificate.fingerprint).expect("a String takes everything");
        }
        write!(
            text,
            "  for   {}\n  data  {}\n\nSend the first message:\n\n  {bold}{send}{bold:#}\n\n\
             Read it:\n\n  {bold}{read}{bold:#}{login}\n\nStop with Ctrl-C.\n",
            takes,
            self.data.display()
        )
        .expect("a String takes everything");
        text
    }

    /// The account that the first message is for, as one word of a shell.
    fn first_account(&self) -> String {
        let first = self.users.and_then(|users| users.first());
        shell_quoted(&first.map_or("you@example.org".to_owned(), Mailbox::to_string))
    }

    /// A command to be pasted when the account is there: without a password nobody can log in.
    fn password_command(&self) -> String {
        format!("{} user passwd {}{}", self.program, self.first_account(), self.data_option)
    }

    /// Commands to be pasted: one that sends the first message, one that lists it.
    fn first_commands(&self) -> (String, String) {
        let to = self.first_account();
        let program = self.program;
        let server = match self.listeners.first() {
            Some(listener) if listener.address != SocketAddr::from(([127, 0, 0, 1], 2525)) => {
                format!(" --server {}", reachable(listener.address))
            }
            _ => String::new(),
        };
        let tls = match self.listeners.first() {
            Some(listener) if listener.tls == ListenerTls::Implicit => " --tls implicit --insecure",
            _ => "",
        };
        let send = format!(
            "{program} send{server}{tls} --from me@example.org --to {to} \\\n      --subject Hello --text 'It works'"
        );
        (send, format!("{program} inbox ls --account {to}{}", self.data_option))
    }
}

/// An address to connect to: a server that listens on all addresses is reached on the loopback one.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use server::settings::{ListenerTls, Proxied, Service};
    use server::tls::Fingerprint;
    use store::Timestamp;

    #[test]
    fn listen_addresses() {
        assert_eq!(listen_address("2626"), Ok(SocketAddr::from(([127, 0, 0, 1], 2626))));
        assert_eq!(listen_address("0.0.0.0:25"), Ok(SocketAddr::from(([0, 0, 0, 0], 25))));
        assert!(listen_address("[::1]:0").is_ok());
        for wrong in ["", "localhost:25", "127.0.0.1", "70000", ":25"] {
            assert!(
                listen_address(wrong).is_err_and(|error| error.contains("like 127.0.0.1:2525")),
                "{wrong}"
            );
        }
    }

    #[test]
    fn an_address_is_for_one_listener() {
        let addresses = ["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:2627", "[::1]:2627", "127.0.0.1:2627"]
            .map(|text| text.parse().expect("an address"));
        assert_eq!(named_twice(addresses[..4].iter()), None);
        assert_eq!(named_twice(addresses.iter()), Some(addresses[2]));
    }

    fn announcement(address: &str, data_option: &str, users: Option<&[Mailbox]>) -> String {
        let address = address.parse().expect("an address");
        let listeners =
            [Listener { address, service: Service::Smtp, tls: ListenerTls::StartTls, proxied: Proxied::No }];
        let certificates = [CertificateView {
            names: vec!["localhost".to_owned()],
            fingerprint: Fingerprint([0xAB; 32]),
            expires: Timestamp(0),
            origin: Origin::SelfSigned,
            file: "/data/self-signed.crt".into(),
        }];
        let data = Path::new("/home/ann/.local/share/posthaste");
        let text = Announcement {
            program: "posthaste",
            listeners: &listeners,
            certificates: &certificates,
            data,
            data_option,
            users,
        }
        .text();
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn the_announcement_shows_where_and_how() {
        assert_eq!(
            announcement("127.0.0.1:2525", "", None),
            format!(
                "Posthaste {} is up\n\n  SMTP  127.0.0.1:2525, STARTTLS\n  TLS   self-signed certificate /data/self-signed.crt\n        SHA-256 {}\n  for   every address; nothing is sent on\n  \
                 data  /home/ann/.local/share/posthaste\n\nSend the first message:\n\n  \
                 posthaste send --from me@example.org --to you@example.org \\\n      --subject Hello --text 'It works'\n\n\
                 Read it:\n\n  posthaste inbox ls --account you@example.org\n\nStop with Ctrl-C.\n",
                env!("CARGO_PKG_VERSION"),
                Fingerprint([0xAB; 32])
            )
        );
    }

    #[test]
    fn where_people_log_in_it_says_how_they_get_a_password() {
        let address = "127.0.0.1:1143".parse().expect("an address");
        let listener = |service| Listener { address, service, tls: ListenerTls::None, proxied: Proxied::No };
        let text = |listeners: &[Listener]| {
            Announcement {
                program: "posthaste",
                listeners,
                certificates: &[],
                data: Path::new("/tmp/mail"),
                data_option: " --data /tmp/mail",
                users: None,
            }
            .text()
        };
        let command = "posthaste user passwd you@example.org --data /tmp/mail";
        assert!(text(&[listener(Service::Smtp), listener(Service::Imap)]).contains(command));
        assert!(!text(&[listener(Service::Smtp)]).contains("passwd"));
    }

    #[test]
    fn its_commands_name_what_is_not_the_default() {
        let users = ["o'neil@example.org".parse().expect("an address")];
        let text = announcement("[::]:2626", " --data /tmp/mail", Some(&users));
        assert!(text.contains(
            "posthaste send --server [::1]:2626 --from me@example.org --to 'o'\\''neil@example.org' "
        ));
        assert!(text.contains(" --data /tmp/mail\n"));
        assert!(text.contains("[::]:2626, STARTTLS  (reachable from other computers)"));
        assert!(text.contains("the one address of the users file"));
    }
}
