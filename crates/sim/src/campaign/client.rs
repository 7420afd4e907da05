//! A client that sends one message after the other until the connection breaks, and writes down what was acknowledged.

use super::{ACCOUNTS, account};
use crate::ledger::Ledger;
use crate::mail::Mail;
use crate::random::Random;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Sends until something fails; that is how it ends. `tokens` are its own.
pub(super) fn send(
    address: SocketAddr,
    mut random: Random,
    mut tokens: std::ops::RangeFrom<u64>,
    ledger: &Mutex<Ledger>,
) {
    // A connection that breaks is what the campaign is about.
    while let Ok(mut connection) = Connection::open(address) {
        for token in tokens.by_ref() {
            let size = match random.below(400) {
                0 => 1_100_000 + random.below(500_000),
                1..100 => 4_000 + random.below(8_000),
                _ => 200 + random.below(1_500),
            };
            let accounts = accounts(&mut random);
            let mail = Mail { token, size: size as u32 };
            match connection.deliver(mail, &accounts) {
                Ok(true) => {
                    ledger.lock().unwrap_or_else(PoisonError::into_inner).acknowledge(token, &accounts);
                }
                Ok(false) => {}
                Err(_) => break,
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

struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Connection> {
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

    /// Whether the message was acknowledged; an error when nobody knows.
    fn deliver(&mut self, mail: Mail, accounts: &[usize]) -> io::Result<bool> {
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
        Ok(self.reply()? == 250)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    fn expect(&mut self, code: u16) -> io::Result<()> {
        let got = self.reply()?;
        if got == code { Ok(()) } else { Err(io::Error::other(format!("{got} instead of {code}"))) }
    }

    fn reply(&mut self) -> io::Result<u16> {
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            // A line that was cut off by the crash acknowledges nothing.
            if !line.ends_with('\n') {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.as_bytes().get(3) == Some(&b' ') {
                return line[..3].parse().map_err(|_| io::Error::other(line));
            }
        }
    }
}
