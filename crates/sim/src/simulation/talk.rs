//! A raw connection: lines out, replies in, no rules kept.

use crate::net::End;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One end, and what was read and not looked at.
pub(super) struct Talk {
    end: End,
    read: Vec<u8>,
}

impl Talk {
    pub(super) fn new(end: End) -> Talk {
        Talk { end, read: Vec::new() }
    }

    pub(super) async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.end.write_all(bytes).await
    }

    /// Nothing more will be said.
    pub(super) fn half_close(&self) {
        self.end.half_close();
    }

    /// The code of the next reply; a line that was cut off is none.
    pub(super) async fn reply(&mut self) -> io::Result<u16> {
        loop {
            let line = self.line().await?;
            if line.get(3) != Some(&b'-') {
                let code = line.get(..3).and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
                return code.ok_or_else(|| io::Error::other("no reply"));
            }
        }
    }

    /// The next line, with its end.
    pub(super) async fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.read[searched..].iter().position(|byte| *byte == b'\n') {
                return Ok(self.read.drain(..=searched + at).collect());
            }
            searched = self.read.len();
            self.more().await?;
        }
    }

    /// So many octets.
    pub(super) async fn octets(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < count {
            self.more().await?;
        }
        Ok(self.read.drain(..count).collect())
    }

    async fn more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 2048];
        match self.end.read(&mut buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.read.extend_from_slice(&buffer[..count]);
                Ok(())
            }
        }
    }

    /// Reads until the server has closed.
    pub(super) async fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0; 2048];
        while self.end.read(&mut buffer).await? > 0 {}
        Ok(())
    }

    pub(super) async fn expect(&mut self, code: u16) -> io::Result<()> {
        let got = self.reply().await?;
        if got == code { Ok(()) } else { Err(io::Error::other(format!("{got}"))) }
    }
}
