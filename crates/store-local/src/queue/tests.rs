use super::*;

fn name(text: &str) -> QueueName {
    text.parse().expect("a destination")
}

fn id(spool: u64) -> DeliveryId {
    DeliveryId { spool: SpoolId(spool), recipient: 0 }
}

fn loaded(spool: u64, queue: &str, sender: u32, due: i64) -> Loaded {
    Loaded { id: id(spool), queue: name(queue), sender, due: Timestamp(due), attempts: 0, held: false }
}

fn spools(ids: &[DeliveryId]) -> Vec<u64> {
    ids.iter().map(|id| id.spool.0).collect()
}

/// What is loaded behaves as what came one by one.
#[test]
fn loading_is_adding() {
    let all: Vec<Loaded> = (1..60)
        .map(|n| loaded(n, ["a.example", "b.example"][n as usize % 2], n as u32 % 5, 60 - n as i64))
        .collect();
    let mut at_once = Queue::load(all.clone());
    let mut one_by_one = Queue::default();
    for Loaded { id, queue, sender, due, .. } in all {
        one_by_one.add(id, &queue, sender, due);
    }
    for now in [10, 20, 30, 59] {
        let now = Timestamp(now);
        assert_eq!(at_once.waiting(now, None, 9), one_by_one.waiting(now, None, 9));
        for queue in ["a.example", "b.example"] {
            let (ours, theirs) = (
                at_once.claim(&name(queue), now, 4, Timestamp(1_000)),
                one_by_one.claim(&name(queue), now, 4, Timestamp(1_000)),
            );
            assert_eq!(ours, theirs);
        }
        assert_eq!(at_once.next_due(), one_by_one.next_due());
    }
}

#[test]
fn one_sender_with_much_does_not_hold_up_another() {
    let mut many: Vec<Loaded> = (1..=1_000).map(|n| loaded(n, "a.example", 7, 1)).collect();
    many.push(loaded(2_000, "a.example", 8, 5));
    many.push(loaded(2_001, "a.example", 8, 6));
    many.push(loaded(2_002, "a.example", 9, 50));
    let mut queue = Queue::load(many);
    let claimed = queue.claim(&name("a.example"), Timestamp(10), 6, Timestamp(100));
    assert_eq!(spools(&claimed), [1, 2_000, 2, 2_001, 3, 4]);
}

#[test]
fn what_leaves_a_lane_leaves_nothing_behind() {
    let mut queue = Queue::load([loaded(1, "a.example", 1, 1), loaded(2, "b.example", 1, 2)]);
    queue.remove(id(1));
    assert_eq!(queue.lanes.iter().flatten().count(), 1);
    queue.add(id(3), &name("c.example"), 1, Timestamp(3));
    assert_eq!(queue.lanes.len(), 2, "the number is used again");
    let waiting = queue.waiting(Timestamp(9), None, 9);
    assert_eq!(waiting.iter().map(|one| one.queue.as_str()).collect::<Vec<_>>(), ["b.example", "c.example"]);
    queue.remove(id(2));
    queue.remove(id(3));
    assert!(queue.ready.is_empty() && queue.numbers.is_empty() && queue.next_due().is_none());
}

#[test]
fn a_paused_destination_is_not_seen() {
    let scope = PauseScope::Destination("a.example".to_owned());
    let mut queue = Queue::load([loaded(1, "a.example", 1, 1), loaded(2, "b.example", 1, 2)]);
    let seen = |queue: &mut Queue| queue.waiting(Timestamp(9), None, 9).len();
    assert_eq!(queue.claim(&name("a.example"), Timestamp(9), 9, Timestamp(20)).len(), 1);
    queue.pause(&scope);
    assert_eq!(seen(&mut queue), 1);
    assert_eq!(queue.next_due(), Some(Timestamp(2)), "the end of that lease would free nothing");
    queue.add(id(3), &name("a.example"), 1, Timestamp(0));
    assert_eq!(seen(&mut queue), 1);
    assert!(queue.claim(&name("a.example"), Timestamp(99), 9, Timestamp(100)).is_empty());
    queue.set_paused(&scope, false);
    assert_eq!(seen(&mut queue), 2);
    assert_eq!(queue.next_due(), Some(Timestamp(0)));
}

#[test]
fn a_delivery_takes_little_memory() {
    assert!(size_of::<(DeliveryId, Queued)>() <= 64, "{}", size_of::<(DeliveryId, Queued)>());
    assert!(size_of::<Place>() <= 32);
}
