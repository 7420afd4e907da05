//! Clients behind a proxy: the PROXY protocol's header before everything else (versions 1 and 2, HAProxy's proxy-protocol.txt), and what
//! may be believed of what a proxy says.
//!
//! Only the listeners and the XCLIENT of a session come here, and only for peers in the networks that the operator listed: whoever
//! may say where a connection comes from can say that it comes from anywhere.

use proxy_header::{ParseConfig, ProxyHeader};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Both ends of a connection as the proxy saw them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The client.
    pub source: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
}

/// What is wrong with a header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// None came in time.
    #[error("no PROXY header within {} s", TIMEOUT.as_secs())]
    TimedOut,
    /// The connection broke.
    #[error("no PROXY header: {0}")]
    Io(#[from] io::Error),
    /// It is none, or longer than 4,096 octets.
    #[error("not a PROXY header")]
    Malformed,
    /// It names an address that no client can have there.
    #[error("the PROXY header names {0}, which is no client's address")]
    Unbelievable(IpAddr),
}

/// How long a proxy may take: it has nothing to wait for.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest header: one of version 2 may have fields that are passed over, such as a certificate's names.
const LENGTH_MAX: usize = 4096;

/// The shortest header of version 1 is `PROXY UNKNOWN<CRLF>`; the fixed part of version 2 is one octet longer.
const SHORTEST: usize = 15;
const FIXED: usize = 16;
/// The longest header of version 1, with its CRLF.
const LINE_MAX: usize = 107;

/// Reads the header that this proxy sends, and not an octet more. `None` when the proxy speaks for itself, as in a check whether the server is well.
pub async fn header<S>(stream: &mut S, proxy: IpAddr) -> Result<Option<Ends>, HeaderError>
where
    S: AsyncRead + Unpin,
{
    let octets = tokio::time::timeout(TIMEOUT, read(stream)).await.map_err(|_| HeaderError::TimedOut)??;
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    let (header, length) = ProxyHeader::parse(&octets, config).map_err(|_| HeaderError::Malformed)?;
    if length != octets.len() {
        return Err(HeaderError::Malformed);
    }
    let Some(address) = header.proxied_address() else { return Ok(None) };
    if !is_believable(address.source.ip(), proxy) {
        return Err(HeaderError::Unbelievable(address.source.ip()));
    }
    Ok(Some(Ends { source: address.source, destination: address.destination }))
}

/// Whether a client of this proxy can have the address. One of this machine's own would be exempt from limits: only a proxy on this machine
/// may name it.
pub(crate) fn is_believable(client: IpAddr, proxy: IpAddr) -> bool {
    let (client, proxy) = (client.to_canonical(), proxy.to_canonical());
    !client.is_unspecified() && !client.is_multicast() && (!client.is_loopback() || proxy.is_loopback())
}

/// The octets of a header, as far as its own form says where it ends.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, HeaderError> {
    let mut octets = vec![0; SHORTEST];
    stream.read_exact(&mut octets).await?;
    match octets[0] {
        b'P' => {
            // What follows the line belongs to the client, so it is read octet by octet.
            while octets.last() != Some(&b'\n') {
                if octets.len() >= LINE_MAX {
                    return Err(HeaderError::Malformed);
                }
                octets.push(stream.read_u8().await?);
            }
        }
        b'\r' => {
            octets.push(stream.read_u8().await?);
            let length = FIXED + usize::from(u16::from_be_bytes([octets[14], octets[15]]));
            if length > LENGTH_MAX {
                return Err(HeaderError::Malformed);
            }
            octets.resize(length, 0);
            stream.read_exact(&mut octets[FIXED..]).await?;
        }
        _ => return Err(HeaderError::Malformed),
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    /// What becomes of these octets, and what is left of them.
    async fn read_from(octets: &[u8]) -> (Result<Option<Ends>, HeaderError>, Vec<u8>) {
        let mut rest = octets;
        let header = header(&mut rest, PROXY).await;
        (header, rest.to_vec())
    }

    fn version_2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).expect("a short body").to_be_bytes();
        [SIGNATURE, &[command, family], &length, body].concat()
    }

    #[tokio::test]
    async fn both_versions_name_the_client_and_leave_what_it_sent() {
        let v4 = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\nEHLO x\r\n".to_vec();
        let v6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 25\r\nEHLO x\r\n".to_vec();
        let body = [192, 0, 2, 7, 198, 51, 100, 1, 0x9C, 0x40, 0, 25, 0x20, 0, 1, 0];
        let binary = [version_2(0x21, 0x11, &body), b"EHLO x\r\n".to_vec()].concat();
        for (octets, source) in
            [(v4, "192.0.2.7:40000"), (v6, "[2001:db8::7]:40000"), (binary, "192.0.2.7:40000")]
        {
            let (header, rest) = read_from(&octets).await;
            let ends = header.expect("a header").expect("a client");
            assert_eq!(ends.source.to_string(), source);
            assert_eq!(ends.destination.port(), 25);
            assert_eq!(rest, b"EHLO x\r\n");
        }
    }

    #[tokio::test]
    async fn a_proxy_may_speak_for_itself() {
        for octets in [b"PROXY UNKNOWN\r\n".to_vec(), version_2(0x20, 0, b""), version_2(0x21, 0, b"")] {
            assert!(matches!(read_from(&octets).await.0, Ok(None)), "{octets:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused_after_a_bounded_read() {
        let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 9000]].concat();
        for octets in [
            b"EHLO client.example\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7\r\n25".to_vec(),
            b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 99999\r\n".to_vec(),
            long.clone(),
            version_2(0x21, 0x11, &[0; 4]),
            version_2(0x31, 0x11, &[1; 12]),
            version_2(0x21, 0x11, &[1; 5000]),
        ] {
            let before = octets.len();
            let (header, rest) = read_from(&octets).await;
            assert!(matches!(header, Err(HeaderError::Malformed)), "{header:?}");
            assert!(before - rest.len() <= LENGTH_MAX);
        }
        assert!(matches!(read_from(b"PROXY TCP4 192.0").await.0, Err(HeaderError::Io(_))), "cut off");
    }

    #[tokio::test]
    async fn an_address_of_this_machine_is_not_believed_from_outside() {
        for address in ["127.0.0.1", "0.0.0.0", "224.0.0.1"] {
            let octets = format!("PROXY TCP4 {address} 198.51.100.1 40000 25\r\n");
            let (header, _) = read_from(octets.as_bytes()).await;
            assert!(matches!(header, Err(HeaderError::Unbelievable(_))), "{address}");
        }
        let (loopback, mapped) = ("127.0.0.1".parse().expect("it"), "::ffff:127.0.0.9".parse().expect("it"));
        assert!(is_believable(loopback, mapped) && !is_believable(mapped, PROXY));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_proxy_is_not_waited_for_long() {
        let (_proxy, mut stream) = tokio::io::duplex(100);
        let before = tokio::time::Instant::now();
        assert!(matches!(header(&mut stream, PROXY).await, Err(HeaderError::TimedOut)));
        assert_eq!(before.elapsed(), TIMEOUT);
    }
}
