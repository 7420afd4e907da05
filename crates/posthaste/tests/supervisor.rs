//! The program under a service manager: sockets that are passed to it, and what it says of itself.

mod common;

use common::{Data, posthaste, run};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A child that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.0.kill().expect("a running child can be killed");
            self.0.wait().expect("a killed child ends");
        }
    }
}

#[test]
fn it_says_when_it_is_ready_that_it_lives_and_that_it_stops() {
    let data = Data::new();
    let socket_path = data.path().with_file_name("notify");
    let socket = UnixDatagram::bind(&socket_path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let child = posthaste(&["up", "--listen", "0", "--data", &data.text()])
        .env("NOTIFY_SOCKET", &socket_path)
        .env("WATCHDOG_USEC", "200000")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let child = Running(child);
    let told = || {
        let mut message = [0; 100];
        let length = socket.recv(&mut message).expect("the program tells something");
        String::from_utf8_lossy(&message[..length]).trim().to_owned()
    };
    assert_eq!(told(), "READY=1");
    assert_eq!((told(), told()), ("WATCHDOG=1".to_owned(), "WATCHDOG=1".to_owned()));
    let process = rustix::process::Pid::from_child(&child.0);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("it runs");
    let last = (0..1000).map(|_| told()).find(|message| message != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
}

/// Starts the program with a listening socket as systemd passes it: the third file descriptor, and two variables.
fn activated(socket: TcpListener, args: &[&str]) -> Running {
    let mut command = Command::new("/bin/sh");
    let script = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_posthaste")]).args(args).env_clear();
    let child = command
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    Running(child)
}

#[test]
fn a_socket_that_was_passed_is_served() {
    let data = Data::new();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address").to_string();
    let args = ["up", "--listen", &address, "--data", &data.text(), "--json"];
    let mut server = activated(socket, &args);
    let mut line = String::new();
    BufReader::new(server.0.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
    assert!(line.contains(&address), "{line}");
    let args = ["--from", "a@example.org", "--to", "ann@example.org", "--text", "x"];
    let sent = run(&[&["send", "--server", &address], &args[..]].concat());
    assert_eq!(sent.status, 0, "{}", sent.stderr);
}

#[test]
fn a_socket_that_nobody_expects_is_a_mistake() {
    let data = Data::new();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address").to_string();
    let mut server = activated(socket, &["up", "--listen", "0", "--data", &data.text()]);
    let mut told = String::new();
    let mut stderr = BufReader::new(server.0.stderr.take().expect("a pipe"));
    std::io::Read::read_to_string(&mut stderr, &mut told).expect("what it says");
    assert!(told.contains(&format!("a socket was passed for {address} that no listener")), "{told}");
    assert_eq!(server.0.wait().expect("it ends").code(), Some(1));
}
