//! A file system that stops at one rename until it is told to go on.

use posthaste_store_local::{Disk, File, Files, Lock, Mode};
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// The real file system, with a gate.
#[derive(Debug)]
pub(crate) struct Gate {
    /// The first rename to a path that contains this waits.
    name: &'static str,
    closed: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

impl Gate {
    /// Tells that the gate is reached through the first that is returned, and waits there for the second.
    pub(crate) fn before(name: &'static str) -> (Arc<Gate>, Receiver<()>, Sender<()>) {
        let ((reached, is_reached), (open, is_open)) = (channel(), channel());
        let gate = Gate { name, closed: Mutex::new(Some((reached, is_open))) };
        (Arc::new(gate), is_reached, open)
    }
}

impl Files for Gate {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn File>> {
        Disk.open(path, mode)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        Disk.list(directory)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if to.to_string_lossy().contains(self.name) {
            let closed = self.closed.lock().expect("no holder of this lock panics").take();
            if let Some((reached, is_open)) = closed {
                reached.send(()).map_err(io::Error::other)?;
                is_open.recv().map_err(io::Error::other)?;
            }
        }
        Disk.rename(from, to)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        Disk.create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        Disk.sync_dir(path)
    }

    fn free_space(&self, directory: &Path) -> io::Result<u64> {
        Disk.free_space(directory)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        Disk.lock(path)
    }
}
