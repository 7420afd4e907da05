//! A client that sends one message after the other until the connection breaks, and writes down what was acknowledged.

use super::{ACCOUNTS, account};
use crate::ledger::Ledger;
use crate::mail::Mail;
use crate::random::Random;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Sends until nobody answers any more; that is how it ends. `tokens` are its own. Returns what was last refused, if anything was.
pub(super) fn send(
    address: SocketAddr,
    mut random: Random,
    mut tokens: std::ops::RangeFrom<u64>,
    ledger: &Mutex<Ledger>,
) -> Option<String> {
    let mut refused = None;
    // A connection that breaks is what the campaign is about.
    loop {
        let mut connection = match Connection::open(address) {
            Ok(connection) => connection,
            Err(Lost::Refused(reply)) => {
                refused = Some(reply);
                continue;
            }
            Err(Lost::Broken) => return refused,
        };
        for token in tokens.by_ref() {
            let size = match random.below(400) {
                0 => 1_100_000 + random.below(500_000),
                1..100 => 4_000 + random.below(8_000),
                _ => 200 + random.below(1_500),
            };
            let accounts = accounts(&mut random);
            let mail = Mail { token, size: size as u32 };
            match connection.deliver(mail, &accounts) {
                Ok(()) => {
                    ledger.lock().unwrap_or_else(PoisonError::into_inner).acknowledge(token, &accounts);
                }
                Err(Lost::Refused(reply)) => {
                    refused = Some(reply);
                    break;
                }
                Err(Lost::Broken) => break,
            }
        }
    }
}

/// One to three different accounts.
fn accounts(random: &mut Random) -> Vec<usize> {
    let count = 1 + random.below(3) as usize;
    let first = random.below(ACCOUNTS as u64) as usize;
    (first..first + count).map(|number| number % ACCOUNTS).collect()
}

/// Why nobody knows of a message, or has it.
enum Lost {
    /// The connection broke.
    Broken,
    /// The server said something else than it should.
    Refused(String),
}

impl From<io::Error> for Lost {
    fn from(_: io::Error) -> Lost {
        Lost::Broken
    }
}

struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Connection, Lost> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_write_timeout(Some(Duration::from_secs(20)))?;
        let mut connection = Connection { reader: BufReader::new(stream) };
        connection.expect(220)?;
        connection.write(b"EHLO client.example\r\n")?;
        connection.expect(250)?;
        Ok(connection)
    }

    /// Sends a message until it is acknowledged.
    fn deliver(&mut self, mail: Mail, accounts: &[usize]) -> Result<(), Lost> {
        let mut envelope = "MAIL FROM:<sender@example.net>\r\n".to_owned();
        for number in accounts {
            envelope += &format!("RCPT TO:<{}>\r\n", account(*number));
        }
        envelope += "DATA\r\n";
        self.write(envelope.as_bytes())?;
        for _ in 0..=accounts.len() {
            self.expect(250)?;
        }
        self.expect(354)?;
        self.write(&mail.stuffed())?;
        self.expect(250)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    fn expect(&mut self, code: u16) -> Result<(), Lost> {
        let line = self.reply()?;
        if line.starts_with(&code.to_string()) {
            Ok(())
        } else {
            Err(Lost::Refused(line.trim_end().to_owned()))
        }
    }

    /// The last line of the next reply.
    fn reply(&mut self) -> io::Result<String> {
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            // A line that was cut off by the crash acknowledges nothing.
            if !line.ends_with('\n') {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.as_bytes().get(3) == Some(&b' ') {
                return Ok(line);
            }
        }
    }
}
