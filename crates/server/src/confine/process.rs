//! The process itself: its user, and that its memory is not written to a disk when it crashes.

use super::ConfineError;
use nix::unistd::User;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::process::{geteuid, getuid};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, lchown};
use std::path::Path;

/// Passwords and private keys are in memory: no core dump, and no other process of the same user may look into it.
pub(super) fn no_core_dumps() -> rustix::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// Whether this machine knows a user of this name.
pub fn user_exists(name: &str) -> io::Result<bool> {
    Ok(User::from_name(name)?.is_some())
}

/// Makes the data directory, where there is none, for `user`, who may not write in the one above it: only root can, and only before it becomes
/// that user. What is there stays as it is.
pub(super) fn make_for(user: &str, directory: &Path) -> io::Result<()> {
    if !geteuid().is_root() || directory.exists() {
        return Ok(());
    }
    // One that nobody knows is refused in `run_as`.
    let Some(user) = User::from_name(user)? else { return Ok(()) };
    let above = directory.ancestors().skip(1).find(|above| above.exists());
    // Where others can put links in the way, root makes nothing: the user does it itself, if it may.
    let is_roots = |about: std::fs::Metadata| about.uid() == 0 && about.mode() & 0o022 == 0;
    if !above.map(std::fs::metadata).transpose()?.is_some_and(is_roots) {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(directory)?;
    lchown(directory, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
}

/// Becomes `user`, with its groups, if one is named; says who the process is then.
pub(super) fn run_as(user: Option<&str>) -> Result<String, ConfineError> {
    let Some(user) = user else {
        if geteuid().is_root() {
            tracing::warn!(
                "running as root, of which a server needs no more than its ports: start it as another user, or with `user` in [hardening] of the settings"
            );
        }
        return Ok(format!("unchanged ({})", getuid().as_raw()));
    };
    if !geteuid().is_root() {
        return Err(ConfineError::NotRoot { user: user.to_owned() });
    }
    privdrop::PrivDrop::default()
        .user(user)
        .apply()
        .map_err(|cause| ConfineError::User { user: user.to_owned(), cause })?;
    // A change of user makes a process that may be looked into again.
    no_core_dumps().map_err(ConfineError::CoreDumps)?;
    Ok(format!("{user} ({})", getuid().as_raw()))
}
