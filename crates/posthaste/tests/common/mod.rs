//! Runs the real program: servers on ports of their own, commands with their output.

#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use tempfile::TempDir;

/// The program with a clean environment; its commands find nothing of the person who runs the tests.
pub(crate) fn posthaste(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posthaste"));
    command.args(args).env_clear().env("COLUMNS", "80").env("TZ", "UTC").stdin(Stdio::null());
    command
}

/// What a command did.
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {:?}", self.stdout))
    }
}

/// Runs a command to its end.
pub(crate) fn run(args: &[&str]) -> Ran {
    ran(posthaste(args).output().expect("the program starts"))
}

/// The same with something on standard input.
pub(crate) fn run_with_input(args: &[&str], input: &[u8]) -> Ran {
    let mut child = posthaste(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(input).expect("the program reads its input");
    ran(child.wait_with_output().expect("the program ends"))
}

/// Standard output as it is.
pub(crate) fn output_bytes(args: &[&str]) -> Vec<u8> {
    posthaste(args).output().expect("the program starts").stdout
}

fn ran(output: Output) -> Ran {
    let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
    Ran {
        status: output.status.code().expect("the program ends by itself"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A data directory, which goes when the test ends.
pub(crate) struct Data {
    directory: TempDir,
}

impl Data {
    pub(crate) fn new() -> Data {
        Data { directory: TempDir::new().expect("a temporary directory") }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn text(&self) -> String {
        self.path().to_str().expect("temporary directories have plain names").to_owned()
    }

    /// Makes a file beside the data.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).expect("the file can be written");
        path.to_str().expect("temporary directories have plain names").to_owned()
    }

    /// The path of something beside the data, which goes with it.
    pub(crate) fn beside(&self, name: &str) -> String {
        let path = self.directory.path().join(name);
        path.to_str().expect("temporary directories have plain names").to_owned()
    }

    /// Runs a command on this data.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        run(&[args, &["--data", &self.text()]].concat())
    }
}

/// A running server; killed when the test ends.
pub(crate) struct Server {
    child: Child,
    /// What it said when it was ready.
    pub(crate) ready: serde_json::Value,
}

impl Server {
    /// `posthaste up` on a free port.
    pub(crate) fn up(data: &Data, args: &[&str]) -> Server {
        let data = data.text();
        Server::start(&[&["up", "--listen", "0", "--data", &data, "--json"], args].concat())
    }

    /// Starts a server and reads the line that says that it is ready.
    pub(crate) fn start(args: &[&str]) -> Server {
        Server::start_logging(args, Stdio::null())
    }

    /// The same, and its log goes there.
    pub(crate) fn start_logging(args: &[&str], log: Stdio) -> Server {
        let mut child =
            posthaste(args).stdout(Stdio::piped()).stderr(log).spawn().expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line of output");
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        Server { child, ready }
    }

    /// Where its n-th listener is.
    pub(crate) fn address(&self, listener: usize) -> String {
        self.ready["listeners"][listener]["address"].as_str().expect("an address").to_owned()
    }

    /// Its log, when that is a pipe.
    pub(crate) fn log(&mut self) -> ChildStderr {
        self.child.stderr.take().expect("its log is a pipe")
    }

    /// Sends a message to it.
    pub(crate) fn send(&self, args: &[&str]) -> Ran {
        run(&[&["send", "--server", &self.address(0)], args].concat())
    }

    /// Asks it to stop and returns its exit status.
    pub(crate) fn stop(mut self) -> i32 {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("it runs");
        self.child.wait().expect("it ends").code().expect("it ends by itself")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // a server that was stopped is gone already
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().expect("a running child can be killed");
            self.child.wait().expect("a killed child ends");
        }
    }
}

/// A command that runs beside the test; killed when the test ends.
pub(crate) struct Beside {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Beside {
    /// Starts it and waits for the first line on standard error.
    pub(crate) fn start(args: &[&str]) -> Beside {
        let mut child = posthaste(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stderr.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Beside { child, lines }
    }

    /// The next line on standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line of output");
        line
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().expect("a running child can be killed");
            self.child.wait().expect("a killed child ends");
        }
    }
}

/// Compares with a file beside the tests. Where they differ, the new text is put beside the file as `NAME.new`.
pub(crate) fn assert_file(path: &Path, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path);
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if expected == actual {
        return;
    }
    let new = path.with_extension("txt.new");
    std::fs::write(&new, actual).expect("the new text can be written");
    panic!("{} is not what the program prints now; if {} is right, rename it", path.display(), new.display());
}

/// Turns over one bit where a file of this directory holds `content`.
pub(crate) fn damage(directory: &std::path::Path, content: &[u8]) {
    for file in std::fs::read_dir(directory).expect("a directory") {
        let path = file.expect("a file").path();
        let mut bytes = std::fs::read(&path).expect("the file can be read");
        if let Some(place) = bytes.windows(content.len()).position(|window| window == content) {
            bytes[place] ^= 1;
            std::fs::write(&path, bytes).expect("the file can be written");
            return;
        }
    }
    panic!("no file in {} holds the content", directory.display());
}
