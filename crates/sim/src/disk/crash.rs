//! The crash: a new file system from what was durable and from some of what was not.

use super::data::Data;
use super::{Content, Disk, Keep, State};
use crate::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

impl Disk {
    /// The file system after a crash.
    pub fn crash(&self, keep: Keep) -> Disk {
        let has_forgotten = !self.state().forgotten.is_empty();
        let disk = if has_forgotten { self.kill() } else { self.clone() };
        let state = disk.state();
        let mut random = Random::new(if let Keep::Some(seed) = keep { seed } else { 0 });
        let mut keeps = || match keep {
            Keep::Nothing => false,
            Keep::Everything => true,
            Keep::Some(_) => random.one_in(2),
        };
        let mut after = State { injected: state.injected, digest: state.digest, ..State::default() };
        after.injected.crashes += 1;
        after.directories = directories(&state, &mut after, &mut keeps);
        after.durable_directories = after.directories.clone();
        let names: BTreeSet<&PathBuf> = state.files.keys().chain(state.durable_files.keys()).collect();
        for path in names {
            let (now, durable) = (state.files.get(path), state.durable_files.get(path));
            let same = now.map(Arc::as_ptr) == durable.map(Arc::as_ptr);
            let data = if same || after.name_is_kept(&mut keeps) { now } else { durable };
            let Some(data) = data else { continue };
            if path.parent().is_none_or(|parent| !after.directories.contains(parent)) {
                continue;
            }
            after.keep_file(path, data, &mut keeps);
        }
        after.durable_files = after.files.clone();
        Disk(Arc::new(Mutex::new(after)))
    }
}

impl Disk {
    /// The file system as the next process finds it when this one was killed: all of it is there, and nothing is more durable than it
    /// was. What the old process still holds open leads nowhere. Names that a failed sync has forgotten are not there.
    pub fn kill(&self) -> Disk {
        let state = self.state();
        let mut copies: Vec<(*const Mutex<Data>, Content)> = Vec::new();
        let mut copy = |files: &BTreeMap<PathBuf, Content>| -> BTreeMap<PathBuf, Content> {
            let mut copied = |data: &Content| {
                if let Some((_, copy)) = copies.iter().find(|(of, _)| *of == Arc::as_ptr(data)) {
                    return copy.clone();
                }
                let copy = Arc::new(Mutex::new(data.lock().unwrap_or_else(PoisonError::into_inner).clone()));
                copies.push((Arc::as_ptr(data), copy.clone()));
                copy
            };
            files.iter().map(|(path, data)| (path.clone(), copied(data))).collect()
        };
        let mut after = State {
            files: copy(&state.files),
            durable_files: copy(&state.durable_files),
            directories: state.directories.clone(),
            durable_directories: state.durable_directories.clone(),
            forgotten: state.forgotten.clone(),
            injected: state.injected,
            digest: state.digest,
            ..State::default()
        };
        after.forget();
        Disk(Arc::new(Mutex::new(after)))
    }
}

fn directories(state: &State, after: &mut State, keeps: &mut dyn FnMut() -> bool) -> BTreeSet<PathBuf> {
    let all = state.directories.union(&state.durable_directories);
    let left = all.filter(|path| {
        let (now, durable) = (state.directories.contains(*path), state.durable_directories.contains(*path));
        if now == durable { now } else { after.name_is_kept(keeps) == now }
    });
    left.cloned().collect()
}

impl State {
    /// Whether an unsynced change of a name is kept.
    fn name_is_kept(&mut self, keeps: &mut dyn FnMut() -> bool) -> bool {
        let kept = keeps();
        *(if kept { &mut self.injected.names_kept } else { &mut self.injected.names_lost }) += 1;
        kept
    }

    fn keep_file(&mut self, path: &std::path::Path, data: &Content, keeps: &mut dyn FnMut() -> bool) {
        let (bytes, torn) = data.lock().unwrap_or_else(PoisonError::into_inner).crashed(keeps);
        self.injected.sectors_kept += torn.kept;
        self.injected.sectors_lost += torn.lost;
        self.injected.files_torn += u64::from(torn.kept > 0 && torn.lost > 0);
        self.files.insert(path.to_owned(), Arc::new(Mutex::new(Data::durably(bytes))));
    }
}
