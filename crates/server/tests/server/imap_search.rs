//! SEARCH in a mailbox on the disk: the answers are the same, whether the store can say what need not be read or not.

use crate::disk;
use crate::imap::Client;

/// As many messages as two of the store's sieves are for, and some more.
const MESSAGES: u32 = 1100;

/// One in ten is from Zoë, one in a hundred has a word that no other has; the tens are sent on other days.
fn message(number: u32) -> String {
    let from = if number % 10 == 3 { "=?utf-8?q?Zo=C3=AB?= <zoe@a.example>" } else { "Ann <ann@a.example>" };
    let rare = if number % 100 == 7 { "zanzibar" } else { "madagascar" };
    let day = number % 10 + 1;
    format!(
        "From: {from}\r\nTo: bob@b.example\r\nSubject: letter {number} of many\r\nDate: Fri, {day} Jan 2026 12:00:00 +0000\r\n\
         X-Number: {number}\r\n\r\nthe island of {rare}\r\n"
    )
}

/// What is searched for, and which messages have it.
type Case = (&'static str, fn(u32) -> bool);

const CASES: [Case; 21] = [
    ("FROM {4+}\r\nzo\u{eb}", |number| number % 10 == 3),
    ("FROM example", |_| true),
    ("NOT FROM zoe", |number| number % 10 != 3),
    ("SUBJECT \"letter 77 \"", |number| number == 77),
    ("SUBJECT of", |_| true),
    ("SUBJECT q", |_| false),
    ("TO bob", |_| true),
    ("BCC \"\"", |_| false),
    ("HEADER X-Number 1099", |number| number == 1099),
    ("HEADER X-Nothing \"\"", |_| false),
    ("SENTON 4-Jan-2026", |number| number % 10 == 3),
    ("SENTBEFORE 3-Jan-2026", |number| number % 10 < 2),
    ("SENTSINCE 10-Jan-2026", |number| number % 10 == 9),
    ("TEXT zanzibar", |number| number % 100 == 7),
    ("NOT BODY madagascar", |number| number % 100 == 7),
    ("TEXT zo", |number| number % 10 == 3),
    ("TEXT e", |_| true),
    ("BODY qx", |_| false),
    ("OR TEXT zanzibar FROM zoe", |number| number % 100 == 7 || number % 10 == 3),
    ("OR BODY zanzibar (SENTON 4-Jan-2026 SUBJECT \"letter 3 \")", |number| number % 100 == 7 || number == 3),
    ("500:520 TEXT zanzibar", |number| number == 507),
];

async fn search_all(client: &mut Client) {
    for (key, is_meant) in CASES {
        let expected: Vec<String> =
            (1..=MESSAGES).filter(|number| is_meant(*number)).map(|number| format!(" {number}")).collect();
        let told = client.ok(&format!("SEARCH CHARSET UTF-8 {key}")).await;
        assert_eq!(told, [format!("* SEARCH{}", expected.concat())], "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_need_not_be_read_is_found_all_the_same() {
    let disk = disk::start(1).await;
    let mut client = Client::bob(disk.imap[0]).await;
    let all: Vec<u32> = (1..=MESSAGES).collect();
    for some in all.chunks(220) {
        let messages = some.iter().map(|number| message(*number));
        let literals = messages.map(|text| format!(" {{{}+}}\r\n{text}", text.len()));
        client.ok(&format!("APPEND INBOX{}", literals.collect::<String>())).await;
    }
    client.ok("SELECT INBOX").await;
    search_all(&mut client).await;
    while disk.files("sieve").iter().filter(|file| file.extension().is_none()).count() < 2 {
        client.ok("SEARCH TEXT zanzibar").await;
    }
    search_all(&mut client).await;
}
