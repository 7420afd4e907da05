use super::*;
use std::sync::mpsc::{Receiver, Sender, channel};

/// A reader that takes a piece when it is told to.
struct Reader {
    asks: Sender<()>,
    may: Receiver<()>,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // When the test has let go of its ends everything is taken at once.
        self.asks.send(()).ok();
        self.may.recv().ok();
        self.taken.lock().expect("nobody panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a test holds of a reader.
struct Held {
    asked: Receiver<()>,
    /// Dropped, it lets everything through.
    permit: Sender<()>,
    taken: Arc<Mutex<Vec<u8>>>,
}

fn reader() -> (Reader, Held) {
    let ((asks, asked), (permit, may)) = (channel(), channel());
    let taken = Arc::default();
    (Reader { asks, may, taken: Arc::clone(&taken) }, Held { asked, permit, taken })
}

#[test]
fn a_reader_that_takes_nothing_holds_up_nobody_and_hears_what_was_dropped() {
    const LINES: usize = 3 * CAPACITY / 1024;
    let (reader, Held { asked, permit, taken }) = reader();
    let (tell, told) = channel();
    let mut lines = Lines::to(reader);
    let writing = lines.in_background(move |dropped| tell.send(dropped).expect("heard")).expect("it runs");
    let line = [&[b'x'; 1023][..], b"\n"].concat();
    lines.write_all(&line).expect("it takes all");
    asked.recv().expect("the first is written at once");
    for _ in 1..LINES {
        lines.write_all(&line).expect("it takes all");
    }
    drop((permit, asked));
    let dropped = told.recv().expect("it says so");
    drop(writing);
    let taken = taken.lock().expect("nobody panics");
    assert!(taken.len() <= CAPACITY + line.len(), "{} were kept", taken.len());
    assert!(dropped > 0 && taken.chunks(line.len()).all(|kept| kept == line), "only whole lines are dropped");
    assert_eq!(taken.len() / line.len() + usize::try_from(dropped).expect("few"), LINES);
}

#[test]
fn nothing_is_lost_at_the_end() {
    let (reader, Held { asked, permit, taken }) = reader();
    let mut lines = Lines::to(reader);
    let writing = lines.in_background(|dropped| panic!("{dropped} were dropped")).expect("it runs");
    let ending = thread::spawn(move || {
        for number in 0..1000 {
            writeln!(lines, "line {number}").expect("it takes all");
        }
        drop(writing);
        lines.write_all(b"after it\n").expect("it takes all");
    });
    // The first piece is taken late: the end waits for it.
    asked.recv().expect("it writes");
    drop((permit, asked));
    ending.join().expect("it ends");
    let taken = String::from_utf8(taken.lock().expect("nobody panics").clone()).expect("text");
    assert!(taken.starts_with("line 0\nline 1\n") && taken.ends_with("line 999\nafter it\n"), "{taken}");
    assert_eq!(taken.lines().count(), 1001);
}

#[test]
fn the_end_does_not_wait_for_ever() {
    let (reader, Held { asked, permit, .. }) = reader();
    let mut lines = Lines::to(reader);
    let writing = lines.with_patience(|_| {}, Duration::from_millis(50)).expect("it runs");
    lines.write_all(b"a line\n").expect("it takes all");
    asked.recv().expect("it writes");
    drop(writing);
    drop(permit);
}
