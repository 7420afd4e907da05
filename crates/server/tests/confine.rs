//! A confined server: what it can no longer do, and that it still does its work.
//!
//! Landlock and seccomp hold for the thread that asks for them and for those that it starts, so each test confines a thread of its own.

#![cfg(target_os = "linux")]

use posthaste_server::confine::{Hardening, InForce, Needs, confine};
use posthaste_server::open::Open;
use posthaste_server::settings::{Catcher, Settings};
use posthaste_server::{Server, Sockets};
use rustix::net::AddressFamily;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use store::Timestamp;
use tempfile::TempDir;

/// Runs `work` on a thread that is confined to `data`.
fn confined<T: Send + 'static>(
    data: &Path,
    needs: Needs,
    work: impl FnOnce(InForce) -> T + Send + 'static,
) -> T {
    let data = data.to_owned();
    let thread = std::thread::spawn(move || {
        let in_force = confine(&Hardening::default(), &data, &needs).expect("the thread can be confined");
        work(in_force)
    });
    thread.join().expect("the work is done")
}

/// Whether this kernel restricts `what`. One that does not passes only where somebody has said that it need not.
fn restricts(in_force: &InForce, what: &str) -> bool {
    let is_restricted = in_force.to_string().contains(what);
    let may_be_old = std::env::var_os("POSTHASTE_OLD_KERNEL").is_some();
    assert!(is_restricted || may_be_old, "{in_force}; to test without it set POSTHASTE_OLD_KERNEL");
    is_restricted
}

fn is_refused<T>(result: io::Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

#[test]
fn files_outside_are_out_of_reach() {
    let place = TempDir::new().expect("a directory");
    let (data, outside, certificates) =
        (place.path().join("data"), place.path().join("outside"), place.path().join("certificates"));
    for directory in [&outside, &certificates] {
        fs::create_dir(directory).expect("it can be made");
        fs::write(directory.join("file"), "secret").expect("it can be written");
    }
    let needs = Needs { files: vec![certificates.join("file")], ..Needs::default() };
    confined(&data.clone(), needs, move |in_force| {
        if !restricts(&in_force, "files: data directory and what is needed") {
            return;
        }
        for path in [outside.join("file"), "/etc/shadow".into(), "/root/.profile".into(), outside.clone()] {
            assert!(is_refused(fs::File::open(&path)), "{}", path.display());
        }
        assert!(is_refused(fs::write(outside.join("new"), "x")), "nothing can be put there");
        assert!(is_refused(fs::write(certificates.join("file"), "x")), "what is read is not written");
        assert!(is_refused(fs::hard_link(data.join("x"), outside.join("x")).or_else(not_missing)));
        // Somebody renews the certificate by putting another file in its place.
        assert_eq!(fs::read_to_string(certificates.join("file")).expect("it may be read"), "secret");
        fs::write(data.join("mail"), "x").expect("its own directory can be written");
        fs::rename(data.join("mail"), data.join("moved")).expect("and ordered");
        assert_eq!(fs::read_to_string(data.join("moved")).expect("it may be read"), "x");
        assert!(
            fs::read("/etc/hosts").is_ok() || !Path::new("/etc/hosts").exists(),
            "names can be looked up"
        );
    });
}

/// A link to a file that is not there fails for that reason where nothing else forbids it.
fn not_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::NotFound { Err(ErrorKind::PermissionDenied.into()) } else { Err(error) }
}

#[test]
fn a_replaced_certificate_can_be_read() {
    let place = TempDir::new().expect("a directory");
    let directory = place.path().join("certificates");
    fs::create_dir(&directory).expect("it can be made");
    fs::write(directory.join("chain"), "old").expect("it can be written");
    let needs = Needs { files: vec![directory.join("chain")], ..Needs::default() };
    let (renewed, wait) = std::sync::mpsc::channel::<()>();
    let path = directory.clone();
    let data = place.path().join("data");
    let reader = std::thread::spawn(move || {
        confined(&data, needs, move |_| {
            wait.recv().expect("the other thread goes on");
            fs::read_to_string(path.join("chain")).expect("it may be read")
        })
    });
    fs::write(directory.join("next"), "new").expect("it can be written");
    fs::rename(directory.join("next"), directory.join("chain")).expect("it can be replaced");
    renewed.send(()).expect("the other thread waits");
    assert_eq!(reader.join().expect("it was read"), "new");
}

#[test]
fn no_program_can_be_started_and_the_system_is_left_alone() {
    let place = TempDir::new().expect("a directory");
    confined(&place.path().join("data"), Needs::default(), |_| {
        assert!(is_refused(Command::new("/bin/true").status()));
        assert!(is_refused(rustix::system::sethostname(b"elsewhere").map_err(Into::into)));
        assert!(is_refused(rustix::process::chroot("/").map_err(Into::into)));
        let socket = |family| rustix::net::socket(family, rustix::net::SocketType::DGRAM, None);
        for family in [AddressFamily::PACKET, AddressFamily::VSOCK, AddressFamily::BLUETOOTH] {
            assert!(is_refused(socket(family).map_err(Into::into)), "{family:?}");
        }
        for family in [AddressFamily::UNIX, AddressFamily::INET, AddressFamily::INET6] {
            assert!(!is_refused(socket(family).map_err(Into::into)), "{family:?}");
        }
    });
}

#[test]
fn ports_that_were_not_named_are_out_of_reach() {
    let place = TempDir::new().expect("a directory");
    let open = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = open.local_addr().expect("an address").port();
    let needs = Needs { connect: vec![port], ..Needs::default() };
    confined(&place.path().join("data"), needs, move |in_force| {
        if !restricts(&in_force, "ports and signals (Landlock)") {
            return;
        }
        assert!(is_refused(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))));
        assert!(is_refused(TcpStream::connect(closed.local_addr().expect("an address"))));
        TcpStream::connect(open.local_addr().expect("an address")).expect("that one was named");
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("name servers are asked over UDP");
    });
}

#[test]
fn mail_is_received_and_kept() {
    let place = TempDir::new().expect("a directory");
    let data = place.path().join("data");
    let catcher = Catcher {
        listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
        data: data.clone(),
        ..Catcher::default()
    };
    let settings = Settings::catcher(catcher, smtp::Domain::parse("mx.example").expect("a domain"));
    let sockets = Sockets::open(&settings, Vec::new()).expect("a port");
    let (started, address) = std::sync::mpsc::channel();
    let (done, wait) = tokio::sync::oneshot::channel::<()>();
    let needs = settings.needs();
    let server = std::thread::spawn(move || {
        confined(&data, needs, move |_| {
            let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
            runtime.block_on(async {
                let open =
                    Open::for_server(&settings.data, 0, store::FateLimits::default()).await.expect("a store");
                let clock = Arc::new(|| Timestamp(1_767_323_045_000));
                let server =
                    Server::start_on(&settings, sockets, open.access(), clock).await.expect("it starts");
                started.send(server.listeners()[0].address).expect("the client waits");
                wait.await.expect("the client is done");
                server.stop().await;
                open.close().await.expect("the store is closed");
            });
        });
    });
    let address = address.recv().expect("the server starts");
    let mut stream = BufReader::new(TcpStream::connect(address).expect("a connection"));
    let dialogue =
        ["", "HELO c.example", "MAIL FROM:<>", "RCPT TO:<bob@b.example>", "DATA", "x\r\n.", "QUIT"];
    for (line, code) in dialogue.iter().zip(["220", "250", "250", "250", "354", "250", "221"]) {
        if !line.is_empty() {
            stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).expect("the server reads");
        }
        let mut reply = String::new();
        stream.read_line(&mut reply).expect("the server answers");
        assert!(reply.starts_with(code), "{line}: {reply}");
    }
    done.send(()).expect("the server waits");
    server.join().expect("it ends in order");
}

#[test]
fn the_data_directory_is_the_owners_alone() {
    let place = TempDir::new().expect("a directory");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let open_to_all = |path: &Path| {
        fs::create_dir(path).expect("it can be made");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    };
    let (new, wide, shared) =
        (place.path().join("new"), place.path().join("wide"), place.path().join("shared"));
    open_to_all(&wide);
    open_to_all(&shared);
    fs::write(shared.join("letter.txt"), "x").expect("it can be written");
    for directory in [&new, &wide] {
        confined(directory, Needs::default(), |_| ());
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
    }
    let refused = std::thread::spawn({
        let shared = shared.clone();
        move || confine(&Hardening::default(), &shared, &Needs::default()).expect_err("it is not for mail")
    });
    let error = refused.join().expect("it was refused").to_string();
    assert!(error.contains("a directory of its own"), "{error}");
    assert_eq!(mode(&shared), 0o755, "and left as it was");
}
