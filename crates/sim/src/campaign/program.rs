//! The server's process: the real program, or for the negative control one whose syncs do nothing.

use serde_json::Value;
use std::io::{self, BufRead, BufReader, IoSlice};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use store_local::{Disk, File, Files, Lock, Mode};

/// What is run.
#[derive(Debug, Clone)]
pub enum Program {
    /// `posthaste`, at this path.
    Posthaste(PathBuf),
    /// This program's own `serve-unsynced`: the same server and store, on files whose sync does nothing.
    Unsynced(PathBuf),
}

/// A server that runs; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Program {
    /// Starts it on this data and waits until it is ready.
    pub fn start(&self, data: &Path) -> io::Result<Running> {
        let mut command = match self {
            Program::Posthaste(path) => {
                let mut command = Command::new(path);
                command.args(["up", "--listen", "0", "--json"]);
                command
            }
            Program::Unsynced(path) => {
                let mut command = Command::new(path);
                command.arg("serve-unsynced");
                command
            }
        };
        command.arg("--data").arg(data).env("RUST_LOG", "error").stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let address = ready["listeners"][0]["address"].as_str().and_then(|text| text.parse().ok());
        match address {
            Some(address) => Ok(Running { child, address }),
            None => {
                child.kill()?;
                let status = child.wait()?;
                Err(io::Error::other(format!("the server did not start ({status}): {line:?}")))
            }
        }
    }
}

impl Running {
    /// SIGKILL, and waits until the process is gone.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Nothing can be done about a process that cannot be killed.
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// The real file system, but for its syncs: they do nothing. Only the negative control uses it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unsynced;

#[derive(Debug)]
struct UnsyncedFile(Arc<dyn File>);

impl Files for Unsynced {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(UnsyncedFile(Disk.open(path, mode)?)))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        Disk.list(directory)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        Disk.create_dir(path)
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_space(&self, directory: &Path) -> io::Result<u64> {
        Disk.free_space(directory)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        Disk.lock(path)
    }
}

impl File for UnsyncedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.0.write_vectored_at(pieces, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.0.allocate(len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
}
