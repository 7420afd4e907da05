//! Sessions that outlive what they were opened with: a password, an application password, an account.

use crate::common::{PASSWORD, Running, Talk, application_password, name, plain, start_submission};
use crate::imap::{Client, start_imap};
use crate::pop3::{Reader, start_pop3};
use posthaste_server::auth::{self, Costs, Kept, WithScram};
use posthaste_server::settings::Relay;
use sasl::Secret;
use store::{MailboxName, Origin};

const ENDED: &str =
    "421 4.7.0 Error: what this session has logged in with was changed or removed, log in again";

fn kept(password: &str) -> Kept {
    auth::keep(&Secret::new(password), Costs::default(), WithScram::Yes, &auth::system_random())
}

/// Gives bob a password for his phone; what he types there.
async fn phone(running: &Running) -> String {
    let (shown, application) = application_password("phone");
    running.store.add_application_password(&name("bob@b.example"), application).await.expect("bob has room");
    shown.expose().to_owned()
}

/// A session of bob's that has begun and reset a transaction.
async fn session(running: &Running, password: &str) -> Talk {
    let mut talk = Talk::hello(running.address).await;
    assert!(talk.say(&plain("bob", password)).await.starts_with("235 "));
    assert_eq!(talk.say("MAIL FROM:<bob@b.example>").await, "250 2.1.0 Ok");
    assert_eq!(talk.say("RSET").await, "250 2.0.0 Ok");
    talk
}

async fn ends(mut talk: Talk) {
    assert_eq!(talk.say("MAIL FROM:<>").await, ENDED);
    assert!(talk.closed().await);
}

async fn goes_on(talk: &mut Talk) {
    assert_eq!(talk.say("MAIL FROM:<bob@b.example>").await, "250 2.1.0 Ok");
    assert_eq!(talk.say("RSET").await, "250 2.0.0 Ok");
}

#[tokio::test]
async fn a_submission_session_ends_with_the_password_that_opened_it() {
    let running = start_submission(|_| {}).await;
    let bob = name("bob@b.example");
    let phone_password = phone(&running).await;
    let main = session(&running, PASSWORD).await;
    let mut by_phone = session(&running, &phone_password).await;

    let new = kept("another horse");
    running.store.set_password(&bob, new.password, new.scram).await.expect("bob has an account");
    ends(main).await;
    goes_on(&mut by_phone).await;

    let mut main = session(&running, "another horse").await;
    running.store.remove_application_password(&bob, "phone").await.expect("there is one");
    ends(by_phone).await;
    goes_on(&mut main).await;

    // One of the same name is another one.
    let by_phone = session(&running, &phone(&running).await).await;
    running.store.remove_application_password(&bob, "phone").await.expect("there is one");
    phone(&running).await;
    ends(by_phone).await;
}

#[tokio::test]
async fn a_removed_account_sends_nothing_more_not_even_when_one_of_its_name_comes() {
    let running = start_submission(|settings| {
        // Whoever is logged in may relay.
        settings.relay = Some(Relay::default());
    })
    .await;
    let bob = name("bob@b.example");
    let (first, second) = (session(&running, PASSWORD).await, session(&running, PASSWORD).await);
    running.store.remove_account(&bob).await.expect("bob has an account");
    ends(first).await;
    running.store.create_account(&bob, Origin::Added).await.expect("the name is free");
    ends(second).await;
}

#[tokio::test]
async fn a_hash_that_is_made_anew_ends_no_session() {
    let running = start_submission(|_| {}).await;
    let bob = name("bob@b.example");
    let weak = Costs { argon2: auth::password::Cost { memory: 64, passes: 1 }, ..Costs::default() };
    let old = auth::keep(&Secret::new(PASSWORD), weak, WithScram::Yes, &auth::system_random());
    running.store.set_password(&bob, old.password.clone(), old.scram).await.expect("bob has an account");
    let mut talk = session(&running, PASSWORD).await;
    let made = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        while running.store.credentials(&bob).await.expect("bob has an account").password.as_ref()
            == Some(&old.password)
        {
            tokio::task::yield_now().await;
        }
    });
    made.await.expect("it is made while nobody waits for it");
    goes_on(&mut talk).await;
}

#[tokio::test]
async fn a_reader_s_session_ends_too() {
    let (running, address) = start_imap().await;
    let mut idle = Client::inbox(address).await;
    let mut client = Client::inbox(address).await;
    idle.send("i IDLE\r\n").await;
    assert!(idle.line().await.starts_with("+ "));
    let new = kept("another horse");
    running.store.set_password(&name("bob@b.example"), new.password, new.scram).await.expect("bob is there");
    client.send("x FETCH 1:* FLAGS\r\n").await;
    let said = client.line().await;
    assert!(said.starts_with("* BYE ") && said.ends_with("log in again"), "{said}");
    // Nothing else need happen for whoever idles to hear of it.
    let said = idle.line().await;
    assert!(said.starts_with("* BYE ") && said.ends_with("log in again"), "{said}");

    let (running, address) = start_pop3().await;
    deliver(&running).await;
    let mut reading = Reader::bob(address).await;
    let new = kept("another horse");
    running.store.set_password(&name("bob@b.example"), new.password, new.scram).await.expect("bob is there");
    let said = reading.say("RETR 1").await;
    assert!(said.starts_with("-ERR ") && said.ends_with("log in again"), "{said}");
    assert!(reading.closed().await);

    let (running, address) = start_pop3().await;
    deliver(&running).await;
    let mut removing = Reader::bob(address).await;
    assert!(removing.say("DELE 1").await.starts_with("+OK "));
    let new = kept("another horse");
    running.store.set_password(&name("bob@b.example"), new.password, new.scram).await.expect("bob is there");
    let said = removing.say("QUIT").await;
    assert!(said.starts_with("-ERR ") && said.contains("log in again"), "{said}");
    assert!(removing.closed().await);
    let inbox = running.store.mailbox(&name("bob@b.example"), &MailboxName::inbox()).await.expect("an INBOX");
    assert_eq!(inbox.messages, 1, "nothing was removed");
}

/// Without a mailbox, too.
#[tokio::test]
async fn whoever_idles_hears_at_once_that_the_account_is_gone() {
    let (running, address) = start_imap().await;
    let mut sessions = [Client::bob(address).await, Client::inbox(address).await];
    for idle in &mut sessions {
        idle.send("i IDLE\r\n").await;
        assert!(idle.line().await.starts_with("+ "));
    }
    running.store.remove_account(&name("bob@b.example")).await.expect("bob is there");
    for idle in &mut sessions {
        let said = idle.line().await;
        assert!(said.starts_with("* BYE ") && said.ends_with("log in again"), "{said}");
    }
}

/// Where nobody can tell whether a login is still good, nothing is done for it.
#[tokio::test]
async fn a_login_that_cannot_be_looked_at_is_good_for_nothing() {
    let (running, address) = start_imap().await;
    deliver(&running).await;
    let (mut client, mut idle) = (Client::inbox(address).await, Client::inbox(address).await);
    running.memory.set_health(Err(store::Error::Closed));
    let (told, status) = client.say("FETCH 1 (UID)").await;
    assert!(told.is_empty() && status.starts_with("NO [UNAVAILABLE] "), "{told:?} {status}");
    idle.send("i IDLE\r\n").await;
    assert_eq!(idle.line().await, "+ idling");
    assert!(idle.line().await.starts_with("* BYE [UNAVAILABLE] "));
    running.memory.set_health(Ok(()));
    assert_eq!(client.ok("FETCH 1 (UID)").await, ["* 1 FETCH (UID 1)"]);

    let (running, address) = start_pop3().await;
    deliver(&running).await;
    let mut reading = Reader::bob(address).await;
    running.memory.set_health(Err(store::Error::Closed));
    assert!(reading.say("RETR 1").await.starts_with("-ERR [SYS/TEMP] "));
    assert!(reading.say("DELE 1").await.starts_with("+OK "));
    assert!(reading.say("QUIT").await.starts_with("-ERR [SYS/TEMP] "));
    let inbox = running.store.mailbox(&name("bob@b.example"), &MailboxName::inbox()).await.expect("an INBOX");
    assert_eq!(inbox.messages, 1, "nothing was removed");
}

/// A message from a stranger for bob.
async fn deliver(running: &Running) {
    let mut talk = Talk::hello(running.address).await;
    assert!(talk.say("MAIL FROM:<a@a.example>").await.starts_with("250 "));
    assert!(talk.say("RCPT TO:<bob@b.example>").await.starts_with("250 "));
    assert!(talk.say("DATA").await.starts_with("354 "));
    assert!(talk.say("x\r\n.").await.starts_with("250 "));
}
