use super::*;
use store::memory::Memory as MemoryStore;
use store::{AccountName, Flags, MailboxName, Marks, NewMessage, Origin, Timestamp};

/// An INBOX with so many messages, whose texts are their UIDs.
async fn inbox(messages: u32) -> (SharedStore, MailboxId) {
    let store: SharedStore = Arc::new(MemoryStore::new(|| Timestamp(0)));
    let name = AccountName::parse("alice@example.org").expect("a name");
    store.create_account(&name, Origin::Added).await.expect("an account");
    let inbox = store.mailbox(&name, &MailboxName::inbox()).await.expect("an INBOX").id;
    for uid in 1..=messages {
        let mut stage = store.stage().expect("a stage");
        stage.append(uid.to_string().into()).await.expect("room");
        let marks = Marks::from(Flags::default());
        let message = NewMessage { stage, received: Timestamp(0), marks };
        store.append(inbox, vec![message]).await.expect("it is taken");
    }
    (store, inbox)
}

fn wanted(uids: impl IntoIterator<Item = u32>) -> impl Iterator<Item = Wanted> {
    uids.into_iter().map(|uid| Wanted { uid: Uid(uid), size: 1 })
}

/// What the first of these messages says.
async fn read(
    ahead: &mut Ahead,
    memory: &Memory,
    (store, inbox): (&SharedStore, MailboxId),
    uids: impl IntoIterator<Item = u32>,
) -> Option<String> {
    let plan = ahead.plan(memory, wanted(uids)).expect("there is one");
    let mut reader = ahead.text(store, inbox, plan).await.expect("it can be read")?;
    let piece = reader.content.next().await.expect("it can be read").expect("it says something");
    Some(String::from_utf8(piece.to_vec()).expect("digits"))
}

#[tokio::test]
async fn texts_come_as_they_are_asked_for() {
    let (store, inbox) = inbox(9).await;
    let (memory, mut ahead) = (Memory::default(), Ahead::default());
    store.expunge(inbox, &[Uid(3), Uid(9)]).await.expect("they go");
    let mut said = Vec::new();
    for uid in 1..=9 {
        said.push(read(&mut ahead, &memory, (&store, inbox), uid..=9).await);
    }
    let there = |uid: u32| (uid != 3 && uid != 9).then(|| uid.to_string());
    assert_eq!(said, (1..=9).map(there).collect::<Vec<_>>());

    // A client that changes its mind gets what it asks for, whatever was read ahead.
    for uid in [2, 7, 4, 4, 3, 1, 8] {
        let said =
            read(&mut ahead, &memory, (&store, inbox), (uid..=9).filter(|uid| uid % 2 == 0 || *uid < 8))
                .await;
        assert_eq!(said, there(uid), "{uid}");
    }
}

#[tokio::test]
async fn what_was_read_ahead_needs_no_second_look() {
    let (store, inbox) = inbox(3).await;
    let (memory, mut ahead) = (Memory::default(), Ahead::default());
    assert_eq!(read(&mut ahead, &memory, (&store, inbox), 1..=3).await.as_deref(), Some("1"));
    store.expunge(inbox, &[Uid(2), Uid(3)]).await.expect("they go");
    assert_eq!(read(&mut ahead, &memory, (&store, inbox), 2..=3).await.as_deref(), Some("2"));
    assert_eq!(memory.ahead.available_permits(), AHEAD as usize - 1, "the room is held as long as a text is");
    assert_eq!(read(&mut ahead, &memory, (&store, inbox), 3..=3).await.as_deref(), Some("3"));
    assert_eq!(memory.ahead.available_permits(), AHEAD as usize);
}

#[tokio::test]
async fn without_room_texts_are_read_one_by_one() {
    let (store, inbox) = inbox(3).await;
    let (memory, mut ahead) = (Memory::default(), Ahead::default());
    let taken = Arc::clone(&memory.ahead).try_acquire_many_owned(AHEAD).expect("all the room");
    assert_eq!(read(&mut ahead, &memory, (&store, inbox), 1..=3).await.as_deref(), Some("1"));
    store.expunge(inbox, &[Uid(2)]).await.expect("it goes");
    assert_eq!(read(&mut ahead, &memory, (&store, inbox), 2..=3).await, None);
    drop(taken);
    assert_eq!(read(&mut ahead, &memory, (&store, inbox), 3..=3).await.as_deref(), Some("3"));
}

#[tokio::test]
async fn only_a_little_is_read_ahead() {
    let mut ahead = Ahead::default();
    let memory = Memory::default();
    let sizes = |size: u64| (1..=1000).map(move |uid| Wanted { uid: Uid(uid), size });
    let many = ahead.plan(&memory, sizes(1)).expect("there are some");
    assert_eq!(many.uids.len(), TEXTS);
    let long = ahead.plan(&memory, sizes(OCTETS / 4)).expect("there are some");
    assert_eq!(long.uids.len(), 4);
    let huge = ahead.plan(&memory, sizes(OCTETS + 1)).expect("there are some");
    assert_eq!(huge.uids.len(), 1);
}
