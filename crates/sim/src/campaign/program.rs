//! The server's process: the real program, or for the negative control one whose syncs do nothing.

use serde_json::Value;
use std::io::{self, BufRead, BufReader, IoSlice};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
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
    /// What it says on its standard error, behind what servers before it said.
    errors: PathBuf,
    /// How long that file was when it began.
    before: u64,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Program {
    /// Starts it on this data and waits until it is ready. What it says on its standard error is added to the file `errors`.
    pub fn start(&self, data: &Path, errors: &Path) -> io::Result<Running> {
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
        launch(command, errors)
    }
}

/// Runs a server and waits until it says where it listens.
fn launch(mut command: Command, errors: &Path) -> io::Result<Running> {
    let file = std::fs::File::options().create(true).append(true).open(errors)?;
    // What earlier ones have said is not about this one.
    let before = file.metadata()?.len();
    let mut child = command.stdout(Stdio::piped()).stderr(file).spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let ready: Value = serde_json::from_str(&line).unwrap_or_default();
    let address = ready["listeners"][0]["address"].as_str().and_then(|text| text.parse().ok());
    match address {
        Some(address) => Ok(Running { child, errors: errors.to_owned(), before, address }),
        None => {
            child.kill()?;
            let status = child.wait()?;
            Err(said(errors, &format!("the server did not start ({status}): {line:?}")))
        }
    }
}

impl Running {
    /// That it still runs and that nothing in it has panicked: what comes after that would prove nothing of a kill or a power cut.
    pub fn check(&mut self) -> io::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            return Err(self.ended(status));
        }
        // Its own threads catch some panics: the process lives on.
        let said_all = std::fs::read(&self.errors)?;
        let said_now = said_all.get(self.before as usize..).unwrap_or_default();
        match said_now.windows(PANICKED.len()).any(|words| words == PANICKED) {
            true => Err(said(&self.errors, "the server has panicked")),
            false => Ok(()),
        }
    }

    /// SIGKILL, and waits until the process is gone. Fails when it ended by something else, or has panicked before.
    pub fn kill(mut self) -> io::Result<()> {
        self.check()?;
        match self.end()? {
            status if status.signal() == Some(SIGKILL) => Ok(()),
            status => Err(self.ended(status)),
        }
    }

    /// SIGKILL to a process whose disk is gone, and waits until it is gone, too: how it took that matters to nobody.
    pub fn put_away(mut self) -> io::Result<()> {
        self.end().map(drop)
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    fn ended(&self, status: ExitStatus) -> io::Error {
        said(&self.errors, &format!("the server ended before it was killed ({status})"))
    }
}

/// What a panic says (`std::panic`).
const PANICKED: &[u8] = b"panicked at";

/// `kill -9`, as `wait` tells it.
const SIGKILL: i32 = 9;

/// Something that happened to a server, with where its own words are.
fn said(errors: &Path, what: &str) -> io::Error {
    io::Error::other(format!("{what}; what it said is in {}", errors.display()))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says that it is ready, and does this next.
    fn server(directory: &Path, then: &str) -> Running {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!(r#"echo '{{"listeners":[{{"address":"127.0.0.1:1"}}]}}'; {then}"#));
        launch(command, &directory.join("errors")).expect("it says that it is ready")
    }

    #[test]
    fn a_server_counts_as_killed_only_when_it_was() {
        let directory = tempfile::tempdir().expect("a directory");
        server(directory.path(), "exec cat /dev/zero >/dev/null").kill().expect("it ran until it was killed");
        for end in ["exit 0", "exit 101", "kill -ABRT $$", "kill -KILL $$"] {
            let mut running = server(directory.path(), end);
            // Nothing else is there to wait for: the process is gone when its end can be learnt.
            while running.child.try_wait().expect("a child").is_none() {
                std::thread::yield_now();
            }
            let error = running.kill().expect_err("it ended by itself").to_string();
            assert!(
                error.contains("ended before it was killed") && error.contains("errors"),
                "{end}: {error}"
            );
        }
    }

    #[test]
    fn a_panic_is_noticed_though_the_process_lives_on() {
        let directory = tempfile::tempdir().expect("a directory");
        let then = "echo \"thread 'worker' panicked at x.rs:1:2\" >&2; exec cat /dev/zero >/dev/null";
        let mut running = server(directory.path(), then);
        while running.check().is_ok() {
            std::thread::yield_now();
        }
        let error = running.kill().expect_err("it has panicked").to_string();
        assert!(error.contains("the server has panicked"), "{error}");
    }
}
