//! Random histories: the same steps on an engine and on the model, everything visible compared on the way.
//!
//! What an engine may choose freely is matched, not compared: spool ids and mailbox ids by what they stand for, [`ModSeq`]s by their
//! order.

use super::{Subject, accepted, account, attempt, commit};
use crate::directory::LAST_USED_GRAIN;
use crate::memory::Memory;
use crate::{
    AccountName, Adjustment, ApplicationPassword, DeliveryId, Destination, End, Ending, Entry, Error, Flags,
    Hold, IfFull, IfMissing, Keyword, MailboxId, MailboxName, MailboxStatus, Mark, Marked, Marking, Marks,
    ModSeq, NewDelivery, Origin, Originals, Others, Outcome, Pause, PauseScope, Quota, Reader, Result,
    Secret, SharedStore, SpecialUse, SpoolId, Timestamp, Uid,
};
use bytes::Bytes;
use smtp::{Domain, Mailbox};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

/// Both stores and what stands for what.
struct Pair {
    engine: SharedStore,
    model: SharedStore,
    /// The engine's spool id for the model's.
    spools: BTreeMap<SpoolId, SpoolId>,
    random: Random,
    now: i64,
    /// Moments of the past: for a mailbox of the model, the highest ModSeq then, in the model and in the engine.
    moments: Vec<(MailboxId, ModSeq, ModSeq)>,
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

/// Runs one history.
pub(super) async fn run(subject: &dyn Subject, seed: u64, steps: usize) {
    let model = Memory::new(|| Timestamp(1_700_000_000_000));
    let mut pair = Pair {
        engine: subject.open().await,
        model: Arc::new(model),
        spools: BTreeMap::new(),
        random: Random(seed),
        now: 1_000,
        moments: Vec::new(),
    };
    for step in 0..steps {
        pair.step().await;
        if step % 40 == 39 {
            pair.compare().await;
            pair.end_leases().await;
            if let Some(engine) = subject.reopen(&pair.engine).await {
                pair.engine = engine;
                pair.compare().await;
            }
        }
    }
}

impl Pair {
    async fn step(&mut self) {
        self.now += self.random.below(20) as i64;
        match self.random.below(40) {
            0 => self.create_account().await,
            1 => self.remove_account().await,
            2..8 => self.commit().await,
            8..12 => self.mark().await,
            12..15 => self.expunge().await,
            15..19 => self.work_the_queue().await,
            24..26 => self.order().await,
            26 => self.pause_or_resume().await,
            27..29 => self.append().await,
            29..32 => self.copy().await,
            32 => self.expunge_deleted().await,
            33..38 => self.change_layout().await,
            38 | 39 => self.expunge().await,
            19 => self.compare().await,
            _ => self.change_directory().await,
        }
    }

    async fn create_account(&mut self) {
        let origin = [Origin::Caught, Origin::Declared, Origin::Added][self.random.below(3)];
        let name = self.random.account();
        let engine = self.engine.create_account(&name, origin).await.map(|made| (made.name, made.origin));
        let model = self.model.create_account(&name, origin).await.map(|made| (made.name, made.origin));
        same("create_account", engine, model);
    }

    async fn remove_account(&mut self) {
        let name = self.random.account();
        same(
            "remove_account",
            self.engine.remove_account(&name).await,
            self.model.remove_account(&name).await,
        );
    }

    /// Changes what belongs to an account, an alias, or a domain.
    async fn change_directory(&mut self) {
        let (name, number) = (self.random.account(), self.random.below(9) as u64);
        let password = ["phone", "laptop"][self.random.below(2)];
        let secret = Secret::new(format!("hash {number}"));
        let domain = Domain::parse(["example.org", "example.net"][self.random.below(2)]).expect("a domain");
        let origin = [Origin::Declared, Origin::Added][self.random.below(2)];
        let alias = account(
            ["team@example.org", "all@example.org", "bob@example.org", "*@example.net"][self.random.below(4)],
        );
        let targets: Vec<Mailbox> = (0..1 + self.random.below(2))
            .map(|_| {
                ["team@example.org", "all+x@example.org", "x@example.net", "alice@example.org"]
                    [self.random.below(4)]
            })
            .map(|target| target.parse().expect("an address"))
            .collect();
        let quota = match number {
            0..4 => Quota::default(),
            4..7 => Quota { bytes: Some(number * 20_000), messages: None },
            _ => Quota { bytes: None, messages: Some(number) },
        };
        let application = ApplicationPassword {
            name: password.to_owned(),
            password: secret.clone(),
            scram: None,
            created: Timestamp(self.now),
            last_used: None,
        };
        let at = Timestamp(self.now * LAST_USED_GRAIN / 50);
        let before = Secret::new(format!("hash {}", self.random.below(10)));
        let step = self.random.below(12);
        let change = async |store: &SharedStore| match step {
            0 => store.set_quota(&name, quota).await,
            1 => store.set_full_name(&name, (number > 3).then(|| format!("Name {number}"))).await,
            2 => store.set_password(&name, secret.clone(), None).await,
            3 => store.add_application_password(&name, application.clone()).await,
            4 => store.remove_application_password(&name, password).await,
            5 | 6 => store.note_use(&name, password, at).await,
            7 => store.set_alias(&alias, &targets, origin).await,
            8 => store.remove_alias(&alias).await,
            9 => store.create_domain(&domain, origin).await,
            10 => store.replace_password(&name, before.clone(), secret.clone(), None).await,
            _ => store.remove_domain(&domain).await,
        };
        same("a change of the directory", change(&self.engine).await, change(&self.model).await);
    }

    async fn commit(&mut self) {
        let size = [0, 10, 90, 900, 900, 5_000, 70_000, 1_200_000][self.random.below(8)];
        let byte = self.random.below(256) as u8;
        let content: Vec<u8> = (0..size).map(|n| byte ^ (n >> 7) as u8).collect();
        let count = 1 + self.random.below(3);
        let deliveries: Vec<NewDelivery> =
            (0..count as u32).map(|recipient| self.delivery(recipient)).collect();
        let recipients = &["a@example.com", "b@example.com", "\"c d\"@EXAMPLE.net"][..count];
        let engine = commit(&self.engine, &content, accepted(recipients, deliveries.clone())).await;
        let model = commit(&self.model, &content, accepted(recipients, deliveries)).await;
        if let (Ok(engine), Ok(model)) = (&engine, &model) {
            self.spools.insert(*model, *engine);
        }
        same("commit", engine.map(drop), model.map(drop));
    }

    fn delivery(&mut self, recipient: u32) -> NewDelivery {
        if self.random.below(2) == 0 {
            let due = Timestamp(self.now + self.random.below(40) as i64);
            return NewDelivery { recipient, destination: Destination::Queue { due } };
        }
        let destination = Destination::Mailbox {
            account: self.random.account(),
            mailbox: self.random.mailbox(),
            if_missing: if self.random.below(4) == 0 { IfMissing::Fail } else { IfMissing::Create },
            if_full: if self.random.below(4) == 0 { IfFull::UseReserve } else { IfFull::Fail },
            trace: Bytes::from(vec![b't'; self.random.below(50)]),
        };
        NewDelivery { recipient, destination }
    }

    async fn mark(&mut self) {
        let Some((model, engine)) = self.some_mailbox().await else { return };
        let uids = self.random.uids();
        let marking = Marking {
            add: self.random.marks(),
            remove: self.random.marks(),
            others: [Others::Stay, Others::Stay, Others::Go][self.random.below(3)],
            unchanged_since: None,
        };
        let (mut ours, mut theirs) = (marking.clone(), marking);
        // Moments are only comparable as such.
        if self.random.below(3) == 0
            && let Some(&(_, model, engine)) = self.moments.get(self.random.below(self.moments.len()))
        {
            (theirs.unchanged_since, ours.unchanged_since) = (Some(model), Some(engine));
        }
        let facts = |marked: Marked| {
            let of = |marks: Vec<Mark>| -> Vec<_> {
                marks.into_iter().map(|mark| (mark.uid, mark.flags, mark.keywords)).collect()
            };
            (of(marked.changed), of(marked.same), marked.failed)
        };
        same(
            "mark",
            self.engine.mark(engine, &uids, ours).await.map(facts),
            self.model.mark(model, &uids, theirs).await.map(facts),
        );
    }

    async fn append(&mut self) {
        let Some((model, engine)) = self.some_mailbox().await else { return };
        let (mut ours, mut theirs, mut spools) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..1 + self.random.below(3) {
            let content = vec![b'a' + number as u8; [0, 10, 2_000, 1_100_000][self.random.below(4)]];
            let marks = if self.random.below(2) == 0 { self.random.marks() } else { Marks::default() };
            ours.push(super::new_message(&self.engine, &content, marks.clone()).await);
            theirs.push(super::new_message(&self.model, &content, marks).await);
            spools.push((theirs[number].stage.id(), ours[number].stage.id()));
        }
        let engine = self.engine.append(engine, ours).await.map(|appended| appended.uids);
        let model = self.model.append(model, theirs).await.map(|appended| appended.uids);
        if engine.is_ok() && model.is_ok() {
            self.spools.extend(spools);
        }
        same("append", engine, model);
    }

    async fn copy(&mut self) {
        let Some((model, engine)) = self.some_mailbox().await else { return };
        let Some((model_to, engine_to)) = self.some_mailbox().await else { return };
        let uids = self.random.uids();
        let originals = [Originals::Stay, Originals::Go][self.random.below(2)];
        let engine = self.engine.copy(engine, &uids, engine_to, originals).await;
        let model = self.model.copy(model, &uids, model_to, originals).await;
        same("copy", engine.map(|copied| copied.pairs), model.map(|copied| copied.pairs));
    }

    async fn expunge_deleted(&mut self) {
        let Some((model, engine)) = self.some_mailbox().await else { return };
        let first = Uid(self.random.below(12) as u32);
        let ranges = [Uid(1)..=first, Uid(first.0 + 3)..=Uid(first.0 + 9)];
        let engine = self.engine.expunge_deleted(engine, &ranges).await;
        same("expunge_deleted", engine, self.model.expunge_deleted(model, &ranges).await);
    }

    /// Changes mailboxes as such, or subscriptions.
    async fn change_layout(&mut self) {
        let (account, name, other) = (self.random.account(), self.random.mailbox(), self.random.mailbox());
        let special_use = [None, Some(SpecialUse::Sent), Some(SpecialUse::Trash)][self.random.below(3)];
        let step = self.random.below(10);
        let change = async |store: &SharedStore| match step {
            0..3 => store.create_mailbox(&account, &name, special_use).await.map(drop),
            3..6 => store.rename_mailbox(&account, &name, &other).await,
            6 => store.delete_mailbox(&account, &name).await,
            7 => store.set_special_use(&account, &name, special_use).await,
            8 => store.subscribe(&account, &name).await,
            _ => store.unsubscribe(&account, &name).await,
        };
        same("a change of the layout", change(&self.engine).await, change(&self.model).await);
    }

    async fn expunge(&mut self) {
        let Some((model, engine)) = self.some_mailbox().await else { return };
        let uids = self.random.uids();
        same("expunge", self.engine.expunge(engine, &uids).await, self.model.expunge(model, &uids).await);
    }

    /// Claims some deliveries on both sides and settles some of those.
    async fn work_the_queue(&mut self) {
        let (now, lease) = (Timestamp(self.now), Timestamp(self.now + 30));
        let limit = self.random.below(5);
        let waiting = self.model.waiting(now, None, 3).await.unwrap();
        assert_eq!(self.engine.waiting(now, None, 3).await.unwrap(), waiting);
        assert_eq!(self.engine.latest(now, 3).await.unwrap(), self.model.latest(now, 3).await.unwrap());
        let Some(last) = waiting.last() else { return };
        let rest = self.model.waiting(now, Some(last), 3).await.unwrap();
        assert_eq!(self.engine.waiting(now, Some(last), 3).await.unwrap(), rest);
        let queue = &waiting[self.random.below(waiting.len())].queue;
        let engine = self.engine.claim(queue, now, limit, lease).await.unwrap();
        let model = self.model.claim(queue, now, limit, lease).await.unwrap();
        assert_eq!(engine.len(), model.len(), "claims");
        for (engine, model) in engine.into_iter().zip(model) {
            let mut expected = model.delivery.clone();
            expected.id.spool = self.spools[&expected.id.spool];
            assert_eq!(engine.delivery, expected);
            let outcome = match self.random.below(3) {
                0 => continue,
                1 => Outcome::Done(End {
                    at: now,
                    ending: [Ending::Delivered, Ending::Failed][self.random.below(2)],
                    attempt: (self.random.below(4) > 0).then(|| attempt(self.now, self.random.below(9))),
                }),
                _ => {
                    let due = Timestamp(self.now + self.random.below(60) as i64);
                    Outcome::Deferred { due, attempt: attempt(self.now, self.random.below(9)) }
                }
            };
            let settled = self.engine.settle(engine.delivery.id, outcome.clone()).await;
            same("settle", settled, self.model.settle(model.delivery.id, outcome).await);
        }
    }

    /// Adjusts a delivery on both sides.
    async fn order(&mut self) {
        let queued = self.model.deliveries(None, usize::MAX).await.unwrap();
        if queued.is_empty() {
            return;
        }
        let model = queued[self.random.below(queued.len())].id;
        let engine = DeliveryId { spool: self.spools[&model.spool], ..model };
        let adjustment = match self.random.below(6) {
            0 => Adjustment::Hold(Hold { since: Timestamp(self.now), reason: "why".to_owned() }),
            1 | 2 => Adjustment::Release,
            3 | 4 => Adjustment::Due(Timestamp(self.now + self.random.below(40) as i64)),
            _ => Adjustment::Reroute(
                ["example.com", "[192.0.2.7]"][self.random.below(2)].parse().expect("one"),
            ),
        };
        let adjusted = self.engine.adjust(&[engine], adjustment.clone()).await;
        same("adjust", adjusted, self.model.adjust(&[model], adjustment).await);
        if self.random.below(3) == 0 {
            self.engine.let_go(&[engine]).await.unwrap();
            self.model.let_go(&[model]).await.unwrap();
        }
    }

    async fn pause_or_resume(&mut self) {
        let scope = PauseScope::Destination(["example.com", "Example.NET"][self.random.below(2)].to_owned());
        if self.random.below(3) > 0 {
            same("resume", self.engine.resume(&scope).await, self.model.resume(&scope).await);
            return;
        }
        let pause = Pause { scope, since: Timestamp(self.now), reason: String::new() };
        same("pause", self.engine.pause(pause.clone()).await, self.model.pause(pause).await);
    }

    /// A mailbox that exists on both sides: the model's id, the engine's.
    async fn some_mailbox(&mut self) -> Option<(MailboxId, MailboxId)> {
        let (account, name) = (self.random.account(), self.random.mailbox());
        let engine = self.engine.mailbox(&account, &name).await;
        let model = self.model.mailbox(&account, &name).await;
        if let (Ok(engine), Ok(model)) = (&engine, &model) {
            self.moments.push((model.id, model.highest_modseq, engine.highest_modseq));
        }
        same("mailbox", engine.as_ref().map(drop), model.as_ref().map(drop));
        Some((model.ok()?.id, engine.ok()?.id))
    }

    /// Lets every lease on both sides end, as those of an engine that is opened anew do.
    async fn end_leases(&mut self) {
        self.now += 1_000;
        let (now, limit) = (Timestamp(self.now), usize::MAX);
        for queue in ["example.com", "example.net", "[192.0.2.7]"] {
            let queue = queue.parse().expect("a domain");
            self.engine.claim(&queue, now, limit, now).await.unwrap();
            self.model.claim(&queue, now, limit, now).await.unwrap();
        }
    }

    async fn compare(&mut self) {
        let accounts = self.model.accounts().await.unwrap();
        let name_and_origin = |accounts: &[crate::Account]| -> Vec<(AccountName, Origin)> {
            accounts.iter().map(|account| (account.name.clone(), account.origin)).collect()
        };
        let engine = self.engine.accounts().await.unwrap();
        assert_eq!(name_and_origin(&engine), name_and_origin(&accounts));
        self.compare_directory().await;
        let mut ids = BTreeMap::new();
        for account in &accounts {
            let engine = self.engine.mailboxes(&account.name).await.unwrap();
            let model = self.model.mailboxes(&account.name).await.unwrap();
            assert_eq!(engine.len(), model.len(), "mailboxes of {}", account.name);
            for (engine, model) in engine.iter().zip(&model) {
                // What engines may choose freely is made the same.
                let MailboxStatus { id, account, uid_validity, highest_modseq, history_from, .. } = *model;
                let expected = MailboxStatus {
                    id,
                    account,
                    uid_validity,
                    highest_modseq,
                    history_from,
                    ..engine.clone()
                };
                assert_eq!(expected, *model);
                self.compare_mailbox(engine, model).await;
                ids.insert(model.id, engine.id);
            }
        }
        for &(model_id, model_since, engine_since) in &self.moments {
            let Some(engine_id) = ids.get(&model_id) else { continue };
            let engine = self.engine.changes(*engine_id, engine_since, usize::MAX).await.unwrap();
            let model = self.model.changes(model_id, model_since, usize::MAX).await.unwrap();
            assert!(engine.windows(2).all(|pair| pair[0].modseq < pair[1].modseq));
            let kinds =
                |changes: Vec<crate::Change>| -> Vec<_> { changes.iter().map(|c| (c.uid, c.kind)).collect() };
            assert_eq!(kinds(engine), kinds(model));
        }
        self.compare_queue().await;
    }

    async fn compare_directory(&self) {
        let aliases = async |store: &SharedStore| -> Vec<_> {
            let all = store.aliases().await.unwrap().into_iter();
            all.map(|alias| (alias.name, alias.targets, alias.origin)).collect()
        };
        assert_eq!(aliases(&self.engine).await, aliases(&self.model).await);
        let domains = async |store: &SharedStore| -> Vec<_> {
            let all = store.domains().await.unwrap().into_iter();
            all.map(|domain| (domain.name, domain.origin)).collect()
        };
        assert_eq!(domains(&self.engine).await, domains(&self.model).await);
        for account in self.model.accounts().await.unwrap() {
            let standing = async |store: &SharedStore| {
                let standing = store.standing(&account.name).await.unwrap().expect("the account is there");
                (standing.full_name, standing.quota, standing.usage)
            };
            assert_eq!(standing(&self.engine).await, standing(&self.model).await, "{}", account.name);
            let (engine, model) =
                (self.engine.subscriptions(&account.name), self.model.subscriptions(&account.name));
            assert_eq!(engine.await.unwrap(), model.await.unwrap(), "{}", account.name);
            let (engine, model) =
                (self.engine.credentials(&account.name), self.model.credentials(&account.name));
            assert_eq!(engine.await.unwrap(), model.await.unwrap(), "{}", account.name);
        }
    }

    async fn compare_mailbox(&self, engine: &crate::MailboxStatus, model: &crate::MailboxStatus) {
        let (engine_id, model_id) = (engine.id, model.id);
        let engine_entries = self.engine.entries(engine_id, Uid(0), usize::MAX).await.unwrap();
        let model_entries = self.model.entries(model_id, Uid(0), usize::MAX).await.unwrap();
        assert_eq!(engine_entries.len(), model_entries.len());
        let roll = self.engine.roll(engine_id).await.unwrap();
        assert!(roll.marks.iter().copied().eq(engine_entries.iter().map(Entry::mark)));
        let uids = engine_entries.iter().map(|entry| entry.uid).chain([engine.uid_next]).collect::<Vec<_>>();
        let texts = self.engine.fetch_several(engine_id, &uids).await.unwrap();
        assert_eq!(texts.len(), engine_entries.len());
        for ((got, expected), (entry, text)) in engine_entries.iter().zip(&model_entries).zip(texts) {
            let facts = |entry: &Entry| {
                let Entry { uid, flags, keywords, received, size, delivery, .. } = *entry;
                (uid, flags, keywords, received, size, delivery)
            };
            assert_eq!(facts(got), facts(expected));
            assert_eq!(got.spool, self.spools[&expected.spool]);
            assert!(got.modseq <= engine.highest_modseq);
            let (_, model) = self.model.fetch(model_id, got.uid).await.unwrap();
            assert_eq!(entry, *got);
            same_text(text, model).await;
        }
        if let Some(last) = engine_entries.last() {
            let (entry, engine) = self.engine.fetch(engine_id, last.uid).await.unwrap();
            let (_, model) = self.model.fetch(model_id, last.uid).await.unwrap();
            assert_eq!(entry, *last);
            same_text(engine, model).await;
        }
    }

    async fn compare_queue(&self) {
        let engine = self.engine.deliveries(None, usize::MAX).await.unwrap();
        let mut model = self.model.deliveries(None, usize::MAX).await.unwrap();
        if let [first, _, ..] = &model[..] {
            let rest = self.model.deliveries(Some(first.id), 2).await.unwrap();
            assert_eq!(rest.iter().map(|one| one.id).collect::<Vec<_>>(), ids(&model[1..model.len().min(3)]));
            let rest = self.engine.deliveries(Some(engine[0].id), 2).await.unwrap();
            assert_eq!(rest, engine[1..engine.len().min(3)]);
        }
        for delivery in &mut model {
            let (engine, model) = (self.spools[&delivery.id.spool], delivery.id.spool);
            let envelope = self.engine.envelope(engine).await.unwrap();
            assert_eq!(envelope, self.model.envelope(model).await.unwrap());
            same_text(self.engine.content(engine).await.unwrap(), self.model.content(model).await.unwrap())
                .await;
            delivery.id.spool = engine;
        }
        assert_eq!(engine, model);
        self.compare_fates().await;
        let engine = self.engine.destinations(3).await.unwrap();
        let mut model = self.model.destinations(3).await.unwrap();
        model.iter_mut().for_each(|one| one.oldest.spool = self.spools[&one.oldest.spool]);
        assert_eq!(engine, model);
        assert_eq!(self.engine.pauses().await.unwrap(), self.model.pauses().await.unwrap());
        // What is overdue is overdue, whether the due time or the end of a lease was the later one.
        let next = |due: Option<Timestamp>| due.map(|due| due.0.max(self.now));
        assert_eq!(next(self.engine.next_due().await.unwrap()), next(self.model.next_due().await.unwrap()));
    }
}

impl Pair {
    async fn compare_fates(&self) {
        let engine = self.engine.fates(None, usize::MAX).await.unwrap();
        let mut model = self.model.fates(None, usize::MAX).await.unwrap();
        for fate in &mut model {
            fate.delivery.id.spool = self.spools[&fate.delivery.id.spool];
        }
        assert_eq!(engine, model);
    }
}

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn account(&mut self) -> AccountName {
        account(["alice@example.org", "bob@example.org", "carol@example.net"][self.below(3)])
    }

    fn mailbox(&mut self) -> MailboxName {
        let name = match self.below(5) {
            0 | 1 => "INBOX",
            2 | 3 => "Archive",
            _ => ["Archive/a", "Archive/a/b", "b"][self.below(3)],
        };
        MailboxName::new(name).expect("a valid name")
    }

    fn marks(&mut self) -> Marks {
        let names = ["$Forwarded", "one", "two"].map(|name| Keyword::new(name).expect("a keyword"));
        let keywords = names.into_iter().filter(|_| self.below(5) == 0).collect();
        Marks { flags: Flags(self.below(32) as u8), keywords }
    }

    fn uids(&mut self) -> Vec<Uid> {
        (0..self.below(5)).map(|_| Uid(1 + self.below(12) as u32)).collect()
    }
}

fn ids(deliveries: &[crate::Delivery]) -> Vec<crate::DeliveryId> {
    deliveries.iter().map(|delivery| delivery.id).collect()
}

/// Both succeeded with the same value or failed for the same reason.
fn same<T: PartialEq + Debug, E: std::borrow::Borrow<Error>>(
    what: &str,
    engine: std::result::Result<T, E>,
    model: std::result::Result<T, E>,
) {
    match (engine, model) {
        (Ok(engine), Ok(model)) => assert_eq!(engine, model, "{what}"),
        (Err(engine), Err(model)) => {
            let (engine, model) = (engine.borrow(), model.borrow());
            let kind = std::mem::discriminant::<Error>;
            assert_eq!(kind(engine), kind(model), "{what}: the engine says {engine}, the model {model}");
        }
        (engine, model) => {
            let outcome =
                |error: Option<E>| error.map_or("success".to_owned(), |error| error.borrow().to_string());
            panic!("{what}: the engine says {}, the model {}", outcome(engine.err()), outcome(model.err()));
        }
    }
}

async fn same_text(engine: Reader, model: Reader) {
    let (engine, model): (Result<Vec<u8>>, _) =
        (engine.read_all(1 << 30).await, model.read_all(1 << 30).await);
    assert!(engine.expect("readable") == model.expect("readable"), "the texts differ");
}
