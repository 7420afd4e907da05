//! The transcripts of `crates/sim/tests/chat` over TCP, against the real program.

mod common;

use common::{Data, Server};
use sim::chat::{Chat, Comparison, Turn};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// How the client's octets are written.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// A turn at once.
    Whole,
    /// Each octet by itself.
    Octets,
}

#[test]
fn every_chat_that_needs_no_special_server_holds_over_tcp() {
    let data = Data::new();
    let server = Server::up(&data, &[]);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/tests/chat");
    let chats = Chat::read_all(&directory).unwrap_or_else(|failure| panic!("{failure}"));
    let usual = Chat::parse(Path::new("usual"), "S: 220 ...").expect("a chat").setup().clone();
    let chats: Vec<&Chat> =
        chats.iter().filter(|chat| !chat.needs_endpoint() && *chat.setup() == usual).collect();
    assert!(chats.len() >= 30, "only {} chats were found", chats.len());
    for chat in chats {
        for pace in [Pace::Whole, Pace::Octets] {
            if let Err(what) = hold(chat, &server.address(0), pace) {
                panic!("{}:{what}\n({pace:?})", chat.name());
            }
        }
    }
}

/// Says the client's part and holds the server to its own.
fn hold(chat: &Chat, address: &str, pace: Pace) -> Result<(), String> {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("a TCP option");
    // Only a server that says nothing more meets this; the transcript is then not met.
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a TCP option");
    for turn in chat.turns() {
        match write(&mut stream, &turn.client, pace) {
            // It closes before it has read everything: what it said before must still come.
            Err(error) if turn.closes && error.kind() != ErrorKind::TimedOut => {}
            result => result.map_err(|error| format!("{}: cannot send: {error}", turn.line))?,
        }
        answered(&mut stream, turn)?;
    }
    Ok(())
}

fn write(stream: &mut TcpStream, bytes: &[u8], pace: Pace) -> std::io::Result<()> {
    match pace {
        Pace::Whole => stream.write_all(bytes),
        Pace::Octets => bytes.iter().try_for_each(|byte| stream.write_all(&[*byte])),
    }
}

fn answered(stream: &mut TcpStream, turn: &Turn) -> Result<(), String> {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match turn.compare(&received) {
            Comparison::Different { line, expected, got } => {
                return Err(format!("{line}: expected {expected:?}, got {got:?}"));
            }
            Comparison::Same if !turn.closes => return Ok(()),
            Comparison::Same | Comparison::Incomplete => {}
        }
        let got = stream.read(&mut buffer).map_err(|error| {
            format!("{}: {error} after {:?}", turn.line, String::from_utf8_lossy(&received))
        })?;
        if got == 0 {
            return match (turn.compare(&received), turn.closes) {
                (Comparison::Same, true) => Ok(()),
                _ => Err(format!(
                    "{}: the server closed after {:?}",
                    turn.line,
                    String::from_utf8_lossy(&received)
                )),
            };
        }
        received.extend_from_slice(&buffer[..got]);
    }
}
