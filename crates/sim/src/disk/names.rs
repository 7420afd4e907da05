//! Names: what a sync of a directory makes durable, and what a failed one forgets.

use super::{Content, State};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl State {
    /// From now on a name stands for this file, or for nothing.
    pub(super) fn name(&mut self, path: &Path, content: Option<Content>) {
        self.forgotten.remove(path);
        match content {
            Some(content) => drop(self.files.insert(path.to_owned(), content)),
            None => drop(self.files.remove(path)),
        }
    }

    /// Makes the names in a directory durable.
    pub(super) fn sync_names(&mut self, directory: &Path) {
        for path in self.unsynced(directory) {
            if !self.forgotten.contains(&path) {
                self.sync_name(path);
            }
        }
        // The directories above the store are somebody else's, and there.
        self.durable_directories.extend(directory.ancestors().map(Path::to_owned));
    }

    /// Makes every second name that has changed durable, and forgets the others.
    pub(super) fn sync_names_badly(&mut self, directory: &Path) {
        for (number, path) in self.unsynced(directory).into_iter().enumerate() {
            if number % 2 == 0 {
                self.forgotten.insert(path);
            } else if !self.forgotten.contains(&path) {
                self.sync_name(path);
            }
        }
    }

    /// What was forgotten is not there for the next process.
    pub(super) fn forget(&mut self) {
        for path in std::mem::take(&mut self.forgotten) {
            if self.directories.contains(&path) {
                // Whatever was in it is gone with it.
                self.directories.retain(|name| !name.starts_with(&path));
                self.durable_directories.retain(|name| !name.starts_with(&path));
                self.files.retain(|name, _| !name.starts_with(&path));
                self.durable_files.retain(|name, _| !name.starts_with(&path));
            } else if let Some(content) = self.durable_files.get(&path).cloned() {
                self.files.insert(path, content);
            } else {
                self.files.remove(&path);
            }
        }
    }

    fn sync_name(&mut self, path: PathBuf) {
        if self.directories.contains(&path) {
            self.durable_directories.insert(path);
            return;
        }
        match self.files.get(&path).cloned() {
            Some(content) => drop(self.durable_files.insert(path, content)),
            None => drop(self.durable_files.remove(&path)),
        }
    }

    /// The names in a directory that a sync would change.
    fn unsynced(&self, directory: &Path) -> BTreeSet<PathBuf> {
        let inside = |path: &&PathBuf| path.parent() == Some(directory);
        let made = self.directories.difference(&self.durable_directories).filter(inside);
        let files = self.files.keys().chain(self.durable_files.keys()).filter(inside).filter(|path| {
            self.files.get(*path).map(Arc::as_ptr) != self.durable_files.get(*path).map(Arc::as_ptr)
        });
        made.chain(files).cloned().collect()
    }
}
