//! How many workers a site gets, and when.

use super::*;

fn name(text: &str) -> QueueName {
    text.parse().expect("a domain")
}

fn sites(most: usize) -> Sites {
    let site = SiteLimits { connections: most, ..SiteLimits::default() };
    Sites::new(&Bounds { site, ..Bounds::default() })
}

fn limits(most: usize) -> SiteLimits {
    SiteLimits { connections: most, ..SiteLimits::default() }
}

fn begin(sites: &Sites, queue: &str, pauses: u64) -> Option<Slot> {
    match sites.begin(&name(queue), pauses) {
        Begin::Now(slot) => Some(slot),
        Begin::No | Begin::Later(_) => None,
    }
}

fn worker_with(sites: &Sites, queue: &str, site: &str, limits: &SiteLimits) -> Option<Slot> {
    let mut slot = begin(sites, queue, 0)?;
    let site: Arc<str> = site.into();
    slot.belongs_to(&site, [Arc::clone(&site)].into_iter());
    let entered = slot.enter(site, limits);
    slot.claimed();
    entered.then_some(slot)
}

fn worker(sites: &Sites, queue: &str, site: &str) -> Option<Slot> {
    worker_with(sites, queue, site, &limits(4))
}

#[test]
fn one_worker_looks_before_others_follow() {
    let sites = sites(10);
    let first = begin(&sites, "a.example", 0).expect("room");
    assert!(begin(&sites, "a.example", 0).is_none(), "it has claimed nothing yet");
    assert!(begin(&sites, "b.example", 0).is_some());
    first.claimed();
    assert!(begin(&sites, "a.example", 0).is_some());
}

#[test]
fn destinations_share_the_limit_of_their_site() {
    let sites = sites(10);
    let first = worker(&sites, "a.example", "mx");
    let second = worker(&sites, "b.example", "mx");
    assert!(first.is_some() && second.is_some());
    assert!(worker(&sites, "c.example", "mx").is_none());
    assert!(begin(&sites, "c.example", 0).is_none(), "known by now");
    assert!(worker(&sites, "d.example", "other").is_some());
    drop(first);
    assert!(worker(&sites, "c.example", "mx").is_some());
}

#[test]
fn limits_grow_slowly_and_shrink_fast() {
    let sites = sites(4);
    let slot = worker(&sites, "a.example", "mx").expect("room");
    let limit = || lock(&sites.inner).sites["mx"].limit;
    assert_eq!(limit(), FIRST_LIMIT);
    let mut limits = Vec::new();
    for _ in 0..12 {
        slot.went(Mood::Well);
        limits.push(limit());
    }
    assert_eq!(limits, [2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4]);
    slot.went(Mood::Badly);
    assert_eq!(limit(), 2);
    slot.went(Mood::Badly);
    slot.went(Mood::Badly);
    assert_eq!(limit(), 1);
}

#[test]
fn a_paused_destination_waits_for_another_version_of_the_pauses() {
    let sites = sites(4);
    let slot = begin(&sites, "a.example", 3).expect("room");
    slot.pause(3);
    drop(slot);
    assert!(begin(&sites, "a.example", 3).is_none());
    assert!(begin(&sites, "a.example", 4).is_some());
}

#[test]
fn memory_is_bounded() {
    let sites = sites(4);
    let kept = worker(&sites, "kept.example", "kept").expect("room");
    for number in 0..KNOWN_MAX + 10 {
        drop(worker(&sites, &format!("d{number}.example"), &format!("mx{number}")));
    }
    assert!(lock(&sites.inner).queues.len() <= KNOWN_MAX);
    drop(kept);
    assert_eq!(lock(&sites.inner).sites["kept"].active, 0);
}

#[tokio::test(start_paused = true)]
async fn a_busy_site_is_left_alone_for_a_while() {
    let sites = sites(4);
    let slot = worker(&sites, "a.example", "mx").expect("room");
    slot.went(Mood::Busy);
    let began = Instant::now();
    let Begin::Later(until) = sites.begin(&name("a.example"), 0) else { panic!("it is paused") };
    assert_eq!(until - began, SiteLimits::default().pause);
    assert!(!slot.take_connection(), "nor does who is there already connect anew");
    assert_eq!(sites.of(&name("a.example")).expect("known").wait, Some(until - began));
    drop(slot);
    tokio::time::sleep_until(until).await;
    assert!(begin(&sites, "a.example", 0).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_silent_site_is_left_alone_longer_and_longer() {
    let sites = sites(4);
    let queue = name("a.example");
    let longest = 5 * SILENCE;
    let pause = |mood| {
        let slot = worker(&sites, "a.example", "mx").expect("room");
        slot.went(mood);
        slot.went(mood);
        sites.of(&queue).expect("known").wait.map_or(0, |wait| wait.as_secs())
    };
    for expected in [60, 120, 240, 300, 300] {
        assert_eq!(pause(Mood::Silent(longest)), expected);
        tokio::time::sleep(Duration::from_secs(expected)).await;
    }
    assert_eq!(pause(Mood::Well), 0);
    assert_eq!(pause(Mood::Silent(longest)), 60, "it had spoken again");
    sites.look_again([&queue].into_iter());
    assert_eq!(sites.of(&queue).expect("known").wait, None);
    assert_eq!(pause(Mood::Busy), 60);
    sites.look_again([&queue].into_iter());
    assert!(sites.of(&queue).expect("known").wait.is_some(), "what it asked for is kept to");
}

#[tokio::test(start_paused = true)]
async fn rates_are_kept() {
    let sites = sites(4);
    let rate = |amount| Some(Rate { amount, window: Duration::from_secs(60) });
    let limits = SiteLimits { connection_rate: rate(2), message_rate: rate(3), ..limits(4) };
    let slot = worker_with(&sites, "a.example", "mx", &limits).expect("room");
    assert_eq!([(); 4].map(|()| slot.take_message()), [true, true, true, false]);
    let Begin::Later(until) = sites.begin(&name("a.example"), 0) else { panic!("none are left") };
    assert_eq!(until - Instant::now(), Duration::from_secs(20), "a third of a minute for each");
    tokio::time::sleep_until(until).await;
    assert!(slot.take_message());
    assert_eq!([(); 3].map(|()| slot.take_connection()), [true, true, false]);
    assert!(matches!(sites.begin(&name("a.example"), 0), Begin::Later(_)));
}

#[tokio::test(start_paused = true)]
async fn a_site_teaches_how_many_messages_a_connection_carries() {
    let sites = sites(4);
    let slot = worker(&sites, "a.example", "mx").expect("room");
    assert_eq!(slot.wear().messages, 100);
    slot.went(Mood::Enough(3));
    assert_eq!(slot.wear().messages, 3);
    tokio::time::sleep(ENOUGH_FOR).await;
    assert_eq!(slot.wear().messages, 100, "it may have changed its mind");
}
