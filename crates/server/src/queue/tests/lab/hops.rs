//! The hops of the laboratory: what they answer to connections, to SMTP and to questions over HTTPS.

use super::{OURSELVES, PORT, Say, Shared, Taken, Via};
use crate::deliver::dial::{Connection, Dialer, NoSource, Stream};
use async_trait::async_trait;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, Lines};

/// Connections to the hops.
pub(super) struct Wires(pub(super) Shared);

#[async_trait]
impl Dialer for Wires {
    async fn dial(&self, address: SocketAddr, from: Option<IpAddr>) -> io::Result<Connection> {
        if from == Some(NOT_OURS) {
            return Err(NoSource("it is no address of this machine".to_owned()).into());
        }
        // IPv6 leads nowhere here.
        let IpAddr::V4(v4) = address.ip() else { return std::future::pending().await };
        let hop = v4.octets()[3];
        let first = {
            let mut world = self.0.lock().expect("not poisoned");
            let connections = world.connections.entry(hop).or_default();
            *connections += usize::from(address.port() == PORT);
            let first = *connections == 1;
            world.sources.entry(hop).or_default().push(from);
            first
        };
        let local = match hop {
            55 if first => panic!("a fault of ours, once"),
            65 => return Err(io::ErrorKind::AddrNotAvailable.into()),
            66 => return Err(io::ErrorKind::ConnectionRefused.into()),
            77 => return std::future::pending().await,
            OURSELVES => address,
            _ => SocketAddr::from(([192, 0, 32, 250], 40_000)),
        };
        let latency = self.0.lock().expect("not poisoned").latencies.get(&hop).copied();
        tokio::time::sleep(latency.unwrap_or_default()).await;
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let world = Arc::clone(&self.0);
        if address.port() == 443 {
            tokio::spawn(async move { serve_web(Box::new(theirs), hop, world).await.unwrap_or(()) });
            return Ok(Connection { stream: Box::new(ours), local });
        }
        tokio::spawn(async move {
            // A connection that the other side closed ends the hop; which side was first does not matter here.
            serve(Box::new(theirs), hop, world).await.unwrap_or(());
        });
        Ok(Connection { stream: Box::new(ours), local })
    }
}

/// An address that nothing can come from.
const NOT_OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// One question over HTTPS, answered with what was told whatever it is.
async fn serve_web(stream: Box<dyn Stream>, hop: u8, world: Shared) -> io::Result<()> {
    let web = world.lock().expect("not poisoned").webs.get(&hop).cloned();
    let Some(web) = web else { return Ok(()) };
    let (read, mut write) = tokio::io::split(web.tls.accept(stream).await?);
    let mut lines = BufReader::new(read).lines();
    let question = lines.next_line().await?.unwrap_or_default();
    let mut head = vec![question.clone()];
    while let Some(line) = lines.next_line().await?.filter(|line| !line.is_empty()) {
        head.push(line.to_ascii_lowercase());
    }
    if question.starts_with("POST ") {
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.and_then(|length| length.parse().ok()).expect("its length")];
        lines.get_mut().read_exact(&mut body).await?;
        world.lock().expect("not poisoned").posted.push((head.join("\n"), body));
    } else {
        assert_eq!(question, "GET /.well-known/mta-sts.txt HTTP/1.1");
    }
    if let Some(web) = world.lock().expect("not poisoned").webs.get_mut(&hop) {
        web.asked += 1;
    }
    write.write_all(web.answer.as_bytes()).await?;
    write.shutdown().await
}

/// One connection to a hop.
async fn serve(stream: Box<dyn Stream>, hop: u8, world: Shared) -> io::Result<()> {
    let (read, mut write) = tokio::io::split(stream);
    let mut lines = BufReader::new(read).lines();
    if !answer(&world, hop, "", "220 mx", &mut write).await?.goes_on {
        return Ok(());
    }
    if let Next::Tls = converse(&mut lines, &mut write, (hop, Via::Clear), &world).await? {
        let stream = lines.into_inner().into_inner().unsplit(write);
        let tls = world.lock().expect("not poisoned").tls.get(&hop).cloned().expect("it was offered");
        let (read, mut write) = tokio::io::split(tls.accept(stream).await?);
        let mut lines = BufReader::new(read).lines();
        converse(&mut lines, &mut write, (hop, Via::Tls), &world).await?;
    }
    Ok(())
}

/// How a conversation goes on.
enum Next {
    /// With TLS.
    Tls,
    /// Not.
    End,
}

async fn converse<R, W>(
    lines: &mut Lines<BufReader<R>>,
    mut write: &mut W,
    (hop, via): (u8, Via),
    world: &Shared,
) -> io::Result<Next>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (mut from, mut to) = (String::new(), Vec::new());
    let mut is_lmtp = false;
    while let Some(line) = lines.next_line().await? {
        world.lock().expect("not poisoned").said.entry(hop).or_default().push(line.clone());
        let path =
            || line.split_once(':').map_or("", |(_, rest)| rest.split(' ').next().unwrap_or("")).to_owned();
        let offers_tls = via == Via::Clear && world.lock().expect("not poisoned").tls.contains_key(&hop);
        let (command, usual) = match line.split(' ').next().unwrap_or("").to_ascii_uppercase().as_str() {
            "EHLO" if offers_tls => ("EHLO", "250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 STARTTLS"),
            "EHLO" if via == Via::Tls => {
                ("EHLO", "250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 REQUIRETLS")
            }
            "EHLO" => ("EHLO", "250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES"),
            "HELO" => ("HELO", "250 mx"),
            "LHLO" => ("LHLO", "250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES"),
            "AUTH" => ("AUTH", "235 2.7.0 welcome"),
            "STARTTLS" if offers_tls => ("STARTTLS", "220 2.0.0 go"),
            "MAIL" => ("MAIL", "250 2.1.0 ok"),
            "RCPT" => ("RCPT", "250 2.1.5 ok"),
            "DATA" if to.is_empty() => ("DATA", "554 5.5.1 no valid recipients"),
            "DATA" => ("DATA", "354 go"),
            "RSET" => ("RSET", "250 2.0.0 ok"),
            "QUIT" => ("QUIT", "221 2.0.0 bye"),
            _ => ("?", "500 5.5.2 what?"),
        };
        let said = answer(world, hop, command, usual, &mut write).await?;
        match command {
            "STARTTLS" if said.positive => return Ok(Next::Tls),
            "LHLO" => is_lmtp = true,
            "MAIL" => (from, to) = (path(), Vec::new()),
            "RCPT" if said.positive => to.push(path()),
            "QUIT" => return Ok(Next::End),
            "DATA" if said.intermediate => {
                let mut content = String::new();
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    content.push_str(line.strip_prefix('.').unwrap_or(&line));
                    content.push_str("\r\n");
                }
                let (from, all) = (std::mem::take(&mut from), std::mem::take(&mut to));
                // LMTP answers for each.
                let groups = if is_lmtp { all.chunks(1) } else { all.chunks(all.len()) };
                for to in groups {
                    let said = answer(world, hop, ".", "250 2.0.0 taken", &mut write).await?;
                    if said.positive {
                        let (from, to, content) = (from.clone(), to.to_vec(), content.clone());
                        world.lock().expect("not poisoned").taken.push(Taken { hop, from, to, content, via });
                    }
                    if !said.goes_on {
                        return Ok(Next::End);
                    }
                }
            }
            _ => {}
        }
        if !said.goes_on {
            return Ok(Next::End);
        }
    }
    Ok(Next::End)
}

struct Said {
    positive: bool,
    intermediate: bool,
    goes_on: bool,
}

async fn answer(
    world: &Shared,
    hop: u8,
    command: &'static str,
    usual: &'static str,
    to: &mut (impl AsyncWriteExt + Unpin),
) -> io::Result<Said> {
    let scripted = world
        .lock()
        .expect("not poisoned")
        .scripts
        .get_mut(&(hop, command))
        .and_then(VecDeque::pop_front)
        .unwrap_or(Say::Default);
    let (text, goes_on) = match scripted {
        Say::Default => (usual, true),
        Say::Reply(text) => (text, true),
        Say::After(time, text) => {
            tokio::time::sleep(time).await;
            (text, true)
        }
        Say::Close(text) => (text, false),
        Say::Hangup => return Ok(Said { positive: false, intermediate: false, goes_on: false }),
    };
    to.write_all(format!("{text}\r\n").as_bytes()).await?;
    // Of the first reply, if there are several, the last line.
    let last = text.lines().find(|line| line.as_bytes().get(3) != Some(&b'-')).unwrap_or(text);
    Ok(Said { positive: last.starts_with('2'), intermediate: last.starts_with('3'), goes_on })
}
