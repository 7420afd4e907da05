use super::*;
use crate::abuse::{Cause, Measure, Scope};
use crate::settings::Proxied;
use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;

fn refused() -> Denied {
    Denied::Refused(Refusal {
        cause: Cause::Banned(Measure::FailedLogins),
        scope: Scope::Source("192.0.2.7/32".parse().expect("a network")),
        wait: Some(Duration::from_secs(600)),
    })
}

fn caller(service: Service, tls: ListenerTls) -> Caller {
    let address = "127.0.0.1:25".parse().expect("an address");
    let listener = Listener { address, service, tls, proxied: Proxied::No };
    Caller { address: "192.0.2.7".parse().expect("an address"), listener }
}

fn smtp() -> Caller {
    caller(Service::Smtp, ListenerTls::None)
}

/// Both ends of a connection, ours first.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let theirs = TcpStream::connect(listener.local_addr().expect("it has one")).expect("it listens");
    (listener.accept().expect("a connection").0, theirs)
}

/// What is there to be read now, without waiting; `None` as long as the connection is open and silent.
fn heard(stream: &mut TcpStream) -> Option<String> {
    stream.set_nonblocking(true).expect("it can be set");
    let mut text = String::new();
    match stream.read_to_string(&mut text) {
        Ok(_) => Some(text),
        Err(_) => (!text.is_empty()).then_some(text),
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_are_banned_hear_it_a_moment_later_and_others_at_once() {
    let door = Arc::new(Door::new(100, Duration::from_secs(5)));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let theirs = Arc::clone(&door);
    let keeper = tokio::spawn(async move { theirs.keep(async { drop(stopped.await) }).await });
    let ((ours, mut banned), (other, mut crowded)) = (connection(), connection());
    door.turn_away(ours, smtp(), refused());
    door.turn_away(other, smtp(), Denied::Full(Excess::Address));
    assert_eq!(
        heard(&mut crowded).as_deref(),
        Some("421 4.7.0 Error: too many connections from your address\r\n")
    );
    tokio::time::sleep(WAIT - Duration::from_millis(1)).await;
    assert_eq!(heard(&mut banned), None);
    tokio::time::sleep(Duration::from_millis(2)).await;
    let said = heard(&mut banned).expect("it was let go");
    assert!(said.starts_with("421 4.7.0 Error: too many failed logins"), "{said}");

    // At a stop nobody waits.
    let (ours, mut banned) = connection();
    door.turn_away(ours, smtp(), refused());
    stop.send(()).expect("it runs");
    keeper.await.expect("it ends");
    assert!(heard(&mut banned).is_some());
}

#[test]
fn no_more_wait_than_there_are_places_and_nobody_where_that_is_off() {
    let door = Door::new(16, Duration::from_secs(5));
    let mut clients: Vec<TcpStream> = Vec::new();
    for _ in 0..3 {
        let (ours, theirs) = connection();
        door.turn_away(ours, smtp(), refused());
        clients.push(theirs);
    }
    let heard_now: Vec<bool> = clients.iter_mut().map(|client| heard(client).is_some()).collect();
    assert_eq!(heard_now, [false, false, true], "two of sixteen wait");
    let (ours, mut theirs) = connection();
    Door::new(16, Duration::ZERO).turn_away(ours, smtp(), refused());
    assert!(heard(&mut theirs).is_some());
}

#[test]
fn each_protocol_hears_it_in_its_own_words() {
    for (service, tls, start) in [
        (Service::Submission, ListenerTls::StartTls, "421 4.7.0 Error: "),
        (Service::Pop3, ListenerTls::None, "-ERR [SYS/TEMP] "),
        (Service::Classroom, ListenerTls::None, "500 SERVER ERROR"),
    ] {
        let said = refused().said_by(caller(service, tls).listener);
        assert!(said.starts_with(start.as_bytes()), "{said:?}");
    }
    assert!(refused().said_by(caller(Service::Submission, ListenerTls::Implicit).listener).is_empty());
}

#[test]
fn many_are_a_few_lines_and_then_one_for_each_window() {
    let mut tally = Tally::default();
    let (peer, start) = (smtp().address, Instant::now());
    let logged = (0..1000).filter(|_| tally.note(peer, refused(), start)).count();
    assert_eq!(logged, LINES as usize);
    assert_eq!(tally.ended(start + WINDOW - Duration::from_millis(1)), None);
    assert_eq!(tally.ended(start + WINDOW), Some((990, (peer, refused()))));
    assert_eq!(tally.ended(start + 2 * WINDOW), None);
    assert!(tally.note(peer, refused(), start + WINDOW), "a new window");
    assert_eq!(tally.ended(start + 3 * WINDOW), None, "what was logged is not told again");
}
