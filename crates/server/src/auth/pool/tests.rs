use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

fn client(network: [u8; 4], standing: Standing) -> Client {
    Client { network: Network::around(std::net::IpAddr::from(network), 24), standing }
}

fn stranger() -> Client {
    client([192, 0, 2, 0], Standing::Stranger)
}

/// A pool of one thread that is held up until the sender says that it may go on, with what it is held up by.
async fn held_up(queue: usize) -> (Arc<Pool>, mpsc::Sender<()>, tokio::task::JoinHandle<Result<u8, Busy>>) {
    let pool = Arc::new(Pool::new(1, queue).expect("a thread"));
    let (release, held) = mpsc::channel::<()>();
    let (started, starts) = mpsc::channel();
    let busy = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move {
            pool.run(stranger(), move |_| {
                started.send(()).expect("the test waits");
                held.recv().expect("the test lets go");
                1
            })
            .await
        }
    });
    tokio::task::spawn_blocking(move || starts.recv()).await.expect("no panic").expect("it started");
    (pool, release, busy)
}

#[tokio::test]
async fn what_does_not_fit_is_put_off_and_what_fits_is_done() {
    let (pool, release, busy) = held_up(2).await;
    let mut waiting: Vec<_> = (0..2).map(|number| Box::pin(pool.run(stranger(), move |_| number))).collect();
    for job in &mut waiting {
        assert!(futures_poll(job).is_none(), "there is a place in the queue");
    }
    assert_eq!(pool.run(stranger(), |_| 0).await, Err(Busy));
    release.send(()).expect("the thread waits");
    assert_eq!(busy.await.expect("no panic"), Ok(1));
    for (number, job) in waiting.into_iter().enumerate() {
        assert_eq!(job.await, Ok(number));
    }
}

#[tokio::test]
async fn owners_come_before_strangers_and_a_flood_leaves_others_their_turn() {
    let (pool, release, busy) = held_up(8).await;
    let owner = client([198, 51, 100, 0], Standing::Familiar);
    let order = Arc::new(Mutex::new(Vec::new()));
    let ask = |client: Client, name: &'static str| {
        let (pool, order) = (Arc::clone(&pool), Arc::clone(&order));
        let mut asked =
            Box::pin(
                async move { pool.run(client, move |_| order.lock().expect("no panic").push(name)).await },
            );
        assert!(futures_poll(&mut asked).is_none_or(|said| said == Err(Busy)));
        asked
    };
    let mut flood: Vec<_> = (0..8).map(|_| ask(stranger(), "flood")).collect();
    let other = ask(client([203, 0, 113, 0], Standing::Stranger), "other");
    let owners = [ask(owner, "owner"), ask(owner, "owner"), ask(owner, "owner")];
    let last = flood.pop().expect("eight");
    assert_eq!(last.await, Err(Busy), "the newest of the flood makes room for the other");
    release.send(()).expect("the thread waits");
    assert_eq!(busy.await.expect("no panic"), Ok(1));
    for asked in flood.into_iter().chain([other]).chain(owners) {
        assert_eq!(asked.await, Ok(()));
    }
    let order = order.lock().expect("no panic").clone();
    assert_eq!(
        order[..6],
        ["owner", "owner", "owner", "flood", "other", "flood"],
        "one in four is a stranger's"
    );
}

#[tokio::test]
async fn nothing_is_done_for_those_who_left_and_a_panic_ends_nothing() {
    let pool = Pool::new(1, 8).expect("a thread");
    let done = Arc::new(AtomicUsize::new(0));
    let (release, held) = mpsc::channel::<()>();
    let mut first = Box::pin(pool.run(stranger(), move |_| held.recv().is_ok()));
    assert!(futures_poll(&mut first).is_none());
    let count = Arc::clone(&done);
    let mut left = Box::pin(pool.run(stranger(), move |_| count.fetch_add(1, Ordering::SeqCst)));
    assert!(futures_poll(&mut left).is_none());
    drop(left);
    release.send(()).expect("the thread waits");
    assert_eq!(first.await, Ok(true));
    assert_eq!(pool.run(stranger(), |_| -> u8 { panic!("as a test") }).await, Err(Busy));
    assert_eq!(pool.run(stranger(), |_| 7).await, Ok(7));
    assert_eq!(done.load(Ordering::SeqCst), 0);
}

/// Polls once: what it returned, if it is ready.
fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
