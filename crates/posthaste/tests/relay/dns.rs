//! A name server on loopback that knows a few records, and says NXDOMAIN for all other names.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// One record.
#[derive(Clone, Copy)]
pub(crate) enum Record {
    /// MX: preference and host.
    Mx(u16, &'static str),
    /// A.
    A(Ipv4Addr),
}

/// A running name server; it stops when dropped.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    pub(crate) fn start(records: &'static [(&'static str, Record)]) -> NameServer {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket option");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while !stopped.load(Ordering::Relaxed) {
                // Without a question in time it looks whether it is to stop.
                let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
                let answer = answer(&buffer[..len], records);
                socket.send_to(&answer, from).expect("loopback takes a datagram");
            }
        });
        NameServer { address, stop, thread: Some(thread) }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the name server does not panic");
        }
    }
}

/// RFC 1035 §4: the question again, and the records that answer it.
fn answer(query: &[u8], records: &[(&str, Record)]) -> Vec<u8> {
    let (name, end) = question(query);
    let kind = u16::from_be_bytes([query[end], query[end + 1]]);
    let exists = records.iter().any(|(known, _)| *known == name);
    let found: Vec<Vec<u8>> = records
        .iter()
        .filter(|(known, _)| *known == name)
        .filter_map(|(_, record)| match (kind, record) {
            (15, Record::Mx(preference, host)) => {
                Some([&preference.to_be_bytes()[..], &encoded(host)].concat())
            }
            (1, Record::A(address)) => Some(address.octets().to_vec()),
            _ => None,
        })
        .collect();
    let code = if exists { 0x8580u16 } else { 0x8583 };
    let mut out = query[..2].to_vec();
    for number in [code, 1, found.len() as u16, 0, 0] {
        out.extend(number.to_be_bytes());
    }
    out.extend(&query[12..end + 4]);
    for data in found {
        // A pointer to the question's name, its type, class IN, a minute to live.
        out.extend([0xC0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 60]);
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
    }
    out
}

/// The name asked about, in lower case, and where it ends.
fn question(query: &[u8]) -> (String, usize) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    (labels.join("."), at + 1)
}

fn encoded(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}
