//! The least that turning a connection away can cost: accepts, says 421, closes. `bench/logins` compares the server with it.
//!
//! `rustc -O bench/shut_door.rs && ./shut_door PORT`

use std::io::Write;
use std::net::TcpListener;

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0u16);
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    for stream in listener.incoming() {
        // Who is gone already needs no reply.
        if let Ok(mut stream) = stream {
            stream.write_all(b"421 4.7.0 Error: too many failed logins from your network address, try again in some minutes\r\n").ok();
        }
    }
    Ok(())
}
