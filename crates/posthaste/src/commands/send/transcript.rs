//! Shows a conversation as it goes over the wire: `C:` what we say, `S:` what the server says. Long content is shown in part.

use crate::units;
use anstyle::{AnsiColor, Style};
use message::{charset, terminal};
use server::tls::{HandshakeError, TlsSession, Transport};
use std::io::{self, Write};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Where a conversation is shown. Clones show the same one.
#[derive(Clone)]
pub(super) struct Transcript {
    log: Arc<Mutex<Log>>,
}

/// A stream whose bytes are shown both ways.
pub(super) struct Shown<S> {
    stream: S,
    transcript: Option<Transcript>,
}

impl Transcript {
    /// Shows it on standard error.
    pub(super) fn to_standard_error() -> Transcript {
        Transcript::to(Box::new(anstream::stderr()))
    }

    fn to(out: Box<dyn Write + Send>) -> Transcript {
        let log = Log { out, sent: Vec::new(), received: Vec::new(), content: None };
        Transcript { log: Arc::new(Mutex::new(log)) }
    }

    /// Says that what is sent from now on, until the server speaks, is content.
    pub(super) fn content_begins(&self) {
        self.with(|log| {
            log.content.get_or_insert_default();
        });
    }

    fn sent(&self, bytes: &[u8]) {
        self.with(|log| log.sent(bytes));
    }

    fn received(&self, bytes: &[u8]) {
        self.with(|log| log.received(bytes));
    }

    fn with(&self, act: impl FnOnce(&mut Log)) {
        act(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

struct Log {
    out: Box<dyn Write + Send>,
    /// The beginnings of lines that are not whole yet.
    sent: Vec<u8>,
    received: Vec<u8>,
    content: Option<Content>,
}

/// The content at hand.
#[derive(Default)]
struct Content {
    lines: usize,
    /// The last line, when it was not shown.
    held: Option<Vec<u8>>,
}

impl Log {
    fn sent(&mut self, bytes: &[u8]) {
        let mut partial = mem::take(&mut self.sent);
        each_line(&mut partial, bytes, |line| self.client_line(line));
        self.sent = partial;
    }

    fn received(&mut self, bytes: &[u8]) {
        self.content_ends();
        let mut partial = mem::take(&mut self.received);
        each_line(&mut partial, bytes, |line| self.show("S:", line));
        self.received = partial;
    }

    fn client_line(&mut self, line: &[u8]) {
        if let Some(content) = &mut self.content {
            content.lines += 1;
            if content.lines > CONTENT_LINES {
                content.held = Some(line.to_vec());
                return;
            }
        }
        self.show("C:", line);
    }

    /// Says how much was left out, and shows the last line: it is the dot.
    fn content_ends(&mut self) {
        let Some(Content { lines, held: Some(last) }) = self.content.take() else { return };
        let hidden = lines - CONTENT_LINES - 1;
        if hidden > 0 {
            self.show("C:", format!("… {}", units::counted(hidden as u64, "more line")).as_bytes());
        }
        self.show("C:", &last);
    }

    /// What neither side said.
    fn note(&mut self, text: &str) {
        self.show("--", text.as_bytes());
    }

    fn show(&mut self, who: &str, line: &[u8]) {
        let colour = match (who, line.first()) {
            ("C:" | "--", _) => AnsiColor::Cyan,
            (_, Some(b'4')) => AnsiColor::Yellow,
            (_, Some(b'5')) => AnsiColor::Red,
            _ => AnsiColor::Green,
        };
        let style = Style::new().fg_color(Some(colour.into()));
        let text = charset::header_text(line);
        let text = terminal::one_line(&text);
        // when nobody can be shown the conversation the message is delivered all the same
        let space = if text.is_empty() { "" } else { " " };
        if let Err(_closed) = writeln!(self.out, "{style}{who}{style:#}{space}{text}") {
            self.out = Box::new(io::sink());
        }
    }
}

/// Calls `take` with each whole line of what came before and `bytes`; what is left is kept in `partial`. Of a line at most
/// [`LINE_BYTES`] are kept.
fn each_line(partial: &mut Vec<u8>, bytes: &[u8], mut take: impl FnMut(&[u8])) {
    for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
        let room = LINE_BYTES.saturating_sub(partial.len());
        partial.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.ends_with(b"\n") {
            take(partial.trim_ascii_end());
            partial.clear();
        }
    }
}

impl<S> Shown<S> {
    pub(super) fn new(stream: S, transcript: Option<Transcript>) -> Shown<S> {
        Shown { stream, transcript }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Shown<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(transcript) = &self.transcript {
            transcript.received(&buffer.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Shown<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        if let Some(transcript) = &self.transcript {
            transcript.sent(&bytes[..count]);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What goes through TLS is shown as it is said, not as it is sent.
impl<S: Transport> Transport for Shown<S> {
    async fn secure(&mut self) -> Result<TlsSession, HandshakeError> {
        let session = self.stream.secure().await?;
        if let Some(transcript) = &self.transcript {
            transcript.with(|log| log.note(&format!("{} with {}", session.version, session.cipher)));
        }
        Ok(session)
    }
}

/// So many lines of content are shown, and the last one.
const CONTENT_LINES: usize = 30;
/// So much of a line is shown.
const LINE_BYTES: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects what is shown.
    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no test panics while it writes").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shown(act: impl FnOnce(&Transcript)) -> String {
        let screen = Screen::default();
        act(&Transcript::to(Box::new(screen.clone())));
        let bytes = screen.0.lock().expect("no test panics while it writes").clone();
        anstream::adapter::strip_str(&String::from_utf8(bytes).expect("only text is shown")).to_string()
    }

    #[test]
    fn lines_are_shown_as_they_come() {
        let text = shown(|transcript| {
            transcript.received(b"220 mx.exa");
            transcript.received(b"mple\r\n");
            transcript.sent(b"EHLO me\r\nMAIL");
            transcript.sent(b" FROM:<>\r\n\r\n");
            transcript.received(b"250-mx\r\n250 \x1b[31mX\r\n");
        });
        assert_eq!(text, "S: 220 mx.example\nC: EHLO me\nC: MAIL FROM:<>\nC:\nS: 250-mx\nS: 250 ␛[31mX\n");
    }

    #[test]
    fn long_content_is_shown_in_part() {
        let text = shown(|transcript| {
            transcript.sent(b"DATA\r\n");
            for number in 0..100 {
                transcript.content_begins();
                transcript.sent(format!("line {number}\r\n").as_bytes());
            }
            transcript.sent(b".\r\n");
            transcript.received(b"250 ok\r\n");
            transcript.sent(b"QUIT\r\n");
        });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..3], ["C: DATA", "C: line 0", "C: line 1"]);
        assert_eq!(lines[30..], ["C: line 29", "C: … 70 more lines", "C: .", "S: 250 ok", "C: QUIT"]);
    }

    #[test]
    fn a_line_is_bounded() {
        let text = shown(|transcript| transcript.sent(&[&[b'x'; 100_000][..], b"\r\n"].concat()));
        assert_eq!(text.trim_end().len(), "C: ".len() + LINE_BYTES);
    }
}
