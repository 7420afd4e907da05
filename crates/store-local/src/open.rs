//! Opening a store: take the lock, bring the index up to the end of the log, cut off what a crash has torn, start the writer.

use crate::backup;
use crate::commit::Committer;
use crate::effect::{Committed, Position};
use crate::engine::{Engine, LARGE_WRITES};
use crate::error::io_error;
use crate::file::{Files, Lock};
use crate::index::{Index, Unusable};
use crate::indexer::Indexer;
use crate::large::LargeFiles;
use crate::local::{Options, Recovery, Work};
use crate::log::{self, Log};
use crate::mend::Source;
use crate::prepare::Preparer;
use crate::recover::{self, Damage, Tail, Visitor};
use crate::rolls::Rolls;
use crate::roster::Roster;
use crate::scan::Batch;
use crate::segment;
use crate::segments::Segments;
use crate::sieve::{self, Sieves};
use crate::space::{self, Choice, Space};
use crate::state::{KnownMailbox, State};
use crate::status::Status;
use crate::unfinished;
use crate::usage::Usages;
use crate::view::View;
use crate::writer::Writer;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex};
use store::{Error, Result, SpoolId, SpoolIds};
use tokio::sync::Semaphore;

/// Opens a store; says what had to be done.
pub(crate) fn open(options: Options) -> Result<(Engine, Recovery)> {
    backup::refuse(&*options.files, &options.directory)?;
    let lock = lock(&*options.files, &options.directory)?;
    unfinished::check(&*options.files, &options.directory)?;
    open_held(options, lock)
}

/// The same for who holds the lock already.
pub(crate) fn open_held(options: Options, lock: Box<dyn Lock>) -> Result<(Engine, Recovery)> {
    let files = options.files.clone();
    let segments = Arc::new(Segments::open(files.clone(), options.directory.join(LOG), &options.random)?);
    segments.remove_unfinished()?;
    let large = Arc::new(LargeFiles::open(files.clone(), options.directory.join(LARGE))?);
    let mut recovery = Recovery::default();
    let (index, tail) = recovered_index(&options, &segments, &mut recovery)?;
    recovery.torn = cut_off(tail.as_ref());
    recovery.leftovers = sweep(&index, &large)?;

    let size = options.segment_size.clamp(SEGMENT_SIZE_MIN, SEGMENT_SIZE_MAX);
    let preparer = Preparer::new(segments.clone(), size, options.work);
    let log = Log::open(segments.clone(), preparer, tail)?;
    let segment = log.segment();
    let usages = Arc::new(usages(&index)?);
    let roster = Arc::new(Roster::new(&index.read()?, usages.clone())?);
    let state = state(&index, &roster, usages.clone())?;
    let ids = SpoolIds::above(SpoolId(state.counters.spool), options.node);
    let status = Arc::new(Status::new(
        files.clone(),
        options.directory.clone(),
        options.clock.clone(),
        options.reserve,
    ));
    let source = Source {
        files: files.clone(),
        directory: options.directory.clone(),
        cache: options.index_cache,
        segments: segments.clone(),
    };
    let view = Arc::new(View::new(index, source, (large.clone(), usages), status.clone())?);
    let committer = Committer::new(log, state, roster.clone(), status.clone());
    // The log may have gone on to another segment than the index.
    let indexed = view.read()?.position()?.map_or(segment, |position| position.segment);
    let indexer = Indexer::new(view.clone(), status.clone(), indexed);
    let space = Space::new(segments.clone(), view.clone(), status.clone(), size);
    let space = Arc::new(space);
    let writer = match options.work {
        Work::Caller => Writer::caller(committer, indexer, status.clone()),
        Work::Threads => Writer::threads(committer, indexer, status.clone())
            .map_err(|error| io_error("starting the threads of", &options.directory, error))?,
    };
    if options.work == Work::Threads && options.reclaim_rate > 0 {
        space
            .start(options.reclaim_rate)
            .map_err(|error| io_error("starting the threads of", &options.directory, error))?;
    }
    let sieves = sieves(&options, &view);
    let engine = Engine {
        files: options.files,
        directory: options.directory,
        segments,
        large,
        view,
        roster,
        status,
        writer,
        space,
        sieves,
        rolls: Rolls::default(),
        clock: options.clock,
        work: options.work,
        large_from: options.large_from.min(LARGE_FROM_MAX),
        fates: options.fates,
        ids: Mutex::new(ids),
        large_writes: Semaphore::new(LARGE_WRITES),
        lock: Mutex::new(Some(lock)),
    };
    Ok((engine, recovery))
}

/// What speeds up searches. It is derived, and what is wrong with it keeps nobody from the mail.
fn sieves(options: &Options, view: &View) -> Sieves {
    let directory = sieve::directory(&options.directory);
    let sieves = Sieves::new(options.files.clone(), directory, options.searchable.clone());
    sieves.sweep(&|mailbox| view.read()?.mailbox(mailbox), usize::MAX).unwrap_or_else(|error| {
        tracing::warn!(%error, "the files that speed up searches cannot be put in order");
    });
    sieves
}

/// How many bytes of a batch were cut off that was being written when the store stopped.
fn cut_off(tail: Option<&Tail>) -> u64 {
    let Some(&Tail { end, torn: Some(last), segment, .. }) = tail else { return 0 };
    let bytes = last + 1 - end;
    tracing::warn!(segment, end, bytes, "cut off what was being written when the store stopped");
    bytes
}

/// Creates the store's directory and takes its lock.
pub(crate) fn lock(files: &dyn Files, directory: &Path) -> Result<Box<dyn crate::file::Lock>> {
    create_directory(files, directory).map_err(|error| io_error("creating", directory, error))?;
    let path = directory.join(LOCK);
    let lock = files.lock(&path).map_err(|error| match error.kind() {
        ErrorKind::ReadOnlyFilesystem => read_only(directory),
        _ => io_error("locking", &path, error),
    })?;
    lock.ok_or_else(|| {
        let directory = directory.display();
        Error::InUse(format!(
            "{directory} is in use by another process: is a server running on it? Stop that first"
        ))
    })
}

/// What is said of a store that cannot be written because its file system cannot be.
fn read_only(directory: &Path) -> Error {
    Error::Invalid(format!(
        "{} is on a file system that is mounted read-only, as Linux does when a disk fails. `posthaste store verify` says what can be read, and \
         `posthaste store repair NEW-DIR` saves that into a new store on another disk, which can be backed up and exported",
        directory.display()
    ))
}

/// Creates a directory and those above it, durably.
pub(crate) fn create_directory(files: &dyn Files, directory: &Path) -> std::io::Result<()> {
    let is_missing = |path: &&Path| {
        files.list(here_if_empty(path)).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    };
    let missing: Vec<&Path> = directory.ancestors().take_while(is_missing).collect();
    files.create_dir(directory)?;
    let mut parents = missing.iter().filter_map(|path| path.parent()).map(here_if_empty);
    parents.try_for_each(|parent| files.sync_dir(parent))
}

/// The parent of a relative path of one name has no name itself.
fn here_if_empty(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// The index, brought up to the end of the log, and where that is.
fn recovered_index(
    options: &Options,
    segments: &Segments,
    recovery: &mut Recovery,
) -> Result<(Index, Option<Tail>)> {
    let path = options.directory.join(INDEX);
    let files = &*options.files;
    let unfinished = options.directory.join(INDEX_ANEW);
    match files.remove(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(io_error("removing", &unfinished, error));
        }
        _ => {}
    }
    let why = match Index::open(files, &path, options.index_cache)? {
        Ok(index) => {
            let position = index.read().and_then(|snapshot| snapshot.position());
            // An index that is older than the segments proves nothing of them.
            match chosen(&index, segments)? {
                Ok(left_over) => match usable(position, segments)? {
                    Ok(from) => {
                        remove(segments, left_over)?;
                        match replay(segments, (&index, from), recovery) {
                            Ok(tail) => return Ok((index, tail)),
                            // Nothing is wrong with it when there is no room: it must not be removed for that.
                            Err(Failure::Log(error) | Failure::Index(error @ Error::Full(_))) => {
                                return Err(error);
                            }
                            Err(Failure::Index(error)) => error.to_string(),
                        }
                    }
                    Err(why) => why,
                },
                Err(why) => why,
            }
        }
        Err(Unusable::Failed(error @ Error::Full(_))) => return Err(error),
        Err(why) => why.to_string(),
    };
    let begun = !segments.list()?.is_empty();
    *recovery = Recovery { rebuilt: begun.then(|| why.clone()), ..Recovery::default() };
    if begun {
        tracing::warn!(%why, "the index cannot be used and is made anew from the log");
    }
    remove(segments, space::left_over(segments)?)?;
    let index = Index::create(files, &path, options.index_cache)?;
    files.sync_dir(&options.directory).map_err(|error| io_error("syncing", &options.directory, error))?;
    let tail = replay(segments, (&index, None), recovery).map_err(|failure| match failure {
        Failure::Log(error) | Failure::Index(error) => error,
    })?;
    Ok((index, tail))
}

/// Where to go on from an index's position; the inner error says why that is not possible.
///
/// A batch reaches the index only when it is durable. So where the log does not have what the index has seen, something acknowledged
/// is damaged, however much it looks like a torn end.
fn usable(
    position: Result<Option<Position>>,
    segments: &Segments,
) -> Result<std::result::Result<Option<Position>, String>> {
    match position {
        Err(error) => Ok(Err(error.to_string())),
        Ok(None) => Ok(Ok(None)),
        Ok(Some(position)) if recover::has(segments, position)? => Ok(Ok(Some(position))),
        Ok(Some(Position { segment, start, end })) => Err(refusal(&format!(
            "segment {} at {start}: acknowledged records from here to {end} are missing or damaged; the index has seen them",
            segment::name(segment)
        ))),
    }
}

/// The segments that a reclamation of space has left over; the inner error says why the index does not go with the segments.
fn chosen(index: &Index, segments: &Segments) -> Result<std::result::Result<Vec<u64>, String>> {
    let known = match index.read().and_then(|snapshot| snapshot.segments()) {
        Ok(known) => known,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let known: Vec<u64> = known.into_iter().map(|(segment, _)| segment).collect();
    match space::choose(&segments.all()?, &known) {
        Choice::Fits(left_over) => Ok(Ok(left_over)),
        Choice::Stale => Ok(Err("it is older than the segments of the log".to_owned())),
        Choice::Missing(segment) => Err(refusal(&format!("segment {} is missing", segment::name(segment)))),
    }
}

/// Removes segments, durably: a file that came back later could not be told from one that counts.
fn remove(segments: &Segments, left_over: Vec<u64>) -> Result<()> {
    if left_over.is_empty() {
        return Ok(());
    }
    left_over.into_iter().try_for_each(|segment| segments.remove(segment))?;
    segments.sync()
}

/// What is said when a store is not opened because of damage.
fn refusal(damage: &str) -> Error {
    Error::Damaged(format!(
        "{damage}. No mail was changed. `posthaste store verify` lists all that is wrong. Put back this file from a copy, or save \
         what is intact into a new store with `posthaste store repair NEW-DIR`"
    ))
}

/// Why the log could not be applied to the index.
enum Failure {
    Log(Error),
    Index(Error),
}

/// Applies the log from a position on.
fn replay(
    segments: &Segments,
    (index, from): (&Index, Option<Position>),
    recovery: &mut Recovery,
) -> std::result::Result<Option<Tail>, Failure> {
    let mut replay = Replay { index, recovery, waiting: Vec::new(), effects: 0, failed: None };
    let walked = recover::walk(segments, from, &mut replay);
    // The last batch comes into the index only now: what is in there may become durable at any time, also when the index is dropped.
    let flushed = walked.and_then(|tail| {
        tail.as_ref().map_or(Ok(()), |tail| log::settle(segments, tail))?;
        replay.flush().map(|()| tail)
    });
    let failed = replay.failed.take();
    let tail = flushed.map_err(|error| failed.map_or(Failure::Log(error), Failure::Index))?;
    if recovery.replayed > 0 {
        index.checkpoint().map_err(Failure::Index)?;
    }
    Ok(tail)
}

struct Replay<'a> {
    index: &'a Index,
    recovery: &'a mut Recovery,
    waiting: Vec<Committed>,
    effects: usize,
    /// What the index said when it failed.
    failed: Option<Error>,
}

impl Visitor for Replay<'_> {
    fn batch(&mut self, segment: u64, batch: &Batch) -> Result<()> {
        let committed = match Committed::read(segment, batch) {
            Ok(committed) => committed,
            Err(error) => {
                let (offset, what) = (batch.start, error.to_string());
                return self.damage(Damage { segment, offset, what, content_only: false });
            }
        };
        if self.effects >= EFFECTS_MAX {
            self.flush()?;
        }
        self.recovery.replayed += 1;
        self.effects += committed.effects.len();
        self.waiting.push(committed);
        Ok(())
    }

    fn damage(&mut self, damage: Damage) -> Result<()> {
        let Damage { segment, offset, what, content_only } = damage;
        let text = format!("segment {} at {offset}: {what}", segment::name(segment));
        // The message is there and says that its content is damaged when it is read. Not opening would help nobody.
        if content_only {
            tracing::error!(damage = %text, "acknowledged data are damaged");
            self.recovery.damage.push(text);
            return Ok(());
        }
        Err(refusal(&text))
    }
}

impl Replay<'_> {
    fn flush(&mut self) -> Result<()> {
        self.effects = 0;
        let applied = self.index.apply(self.waiting.drain(..).collect::<Vec<_>>().iter());
        applied.map(drop).inspect_err(|error| self.failed = Some(error.clone()))
    }
}

/// How much each account holds.
fn usages(index: &Index) -> Result<Usages> {
    let mailboxes = index.read()?.all_mailboxes()?.into_iter();
    Ok(Usages::new(mailboxes.map(|mailbox| {
        let store::MailboxStatus { account, bytes, messages, .. } = mailbox;
        (account, store::Usage { bytes, messages })
    })))
}

/// What the writer must know.
fn state(index: &Index, roster: &Roster, usages: Arc<Usages>) -> Result<State> {
    let snapshot = index.read()?;
    let mut state = State::new(snapshot.counters()?, snapshot.last_fate()?, usages);
    let accounts = snapshot.accounts()?;
    let names: HashMap<_, _> = accounts.iter().map(|account| (account.id, account.name.clone())).collect();
    accounts.into_iter().for_each(|account| state.add_account(account));
    for mailbox in snapshot.all_mailboxes()? {
        if let Some(owner) = names.get(&mailbox.account) {
            let known = KnownMailbox {
                owner: owner.clone(),
                validity: mailbox.uid_validity,
                last: store::Uid(mailbox.uid_next.0 - 1),
                touched: store::ModSeq(0),
                special_use: mailbox.special_use,
                keywords: mailbox.keywords,
            };
            state.add_mailbox(mailbox.id, mailbox.name, known);
        }
    }
    for (account, name) in &names {
        for subscription in snapshot.subscriptions(*account)? {
            state.add_subscription(name, subscription);
        }
    }
    for (account, belongings) in snapshot.all_belongings()? {
        if let Some(name) = names.get(&account) {
            state.add_quota(name, belongings.quota);
        }
    }
    roster.aliases().into_iter().for_each(|alias| state.add_alias(alias.name, alias.targets));
    roster.domains().into_iter().for_each(|domain| state.add_domain(domain));
    Ok(state)
}

/// Removes large content that no message names; returns how many files.
fn sweep(index: &Index, large: &LargeFiles) -> Result<u64> {
    let snapshot = index.read()?;
    let mut removed = 0;
    for spool in large.list()? {
        if snapshot.message(SpoolId(spool))?.is_none() {
            large.remove(spool)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// The names in a store's directory.
pub(crate) const LOG: &str = "log";
pub(crate) const LARGE: &str = "large";
pub(crate) const INDEX: &str = "index.redb";
/// An index that takes its place when it is whole.
pub(crate) const INDEX_ANEW: &str = "index.redb.new";
pub(crate) const LOCK: &str = "lock";

/// What is kept in the log is read in one piece.
const LARGE_FROM_MAX: usize = 64 << 20;

/// A record says where its batch begins in units of eight bytes, as a 32-bit number.
const SEGMENT_SIZE_MAX: u64 = 16 << 30;
const SEGMENT_SIZE_MIN: u64 = 4 << 10;

/// About how many effects are applied in one transaction.
const EFFECTS_MAX: usize = 32 * 1024;
