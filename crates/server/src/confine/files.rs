//! Which files and ports the server may open from now on (Landlock, see landlock(7)).
//!
//! Its data directory and the one for backups, for everything but to run programs from them; for reading what the settings name (certificates) and what the system
//! needs to look up names and times. Ports: only those named. Signals and abstract sockets reach no process outside. A kernel that knows
//! less restricts less.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort,
    PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};
use std::path::{Path, PathBuf};

/// What a server needs beyond its data directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Files that are read, also again when they were replaced: so it is their directories that may be read.
    pub files: Vec<PathBuf>,
    /// Directories that are written to.
    pub directories: Vec<PathBuf>,
    /// TCP ports that are listened on after the start.
    pub listen: Vec<u16>,
    /// TCP ports that are connected to.
    pub connect: Vec<u16>,
}

/// What the C library and the Rust standard library read to look up names, times and users, to load what they need for that, and to
/// learn the number of processors.
const SYSTEM: &[&str] = &[
    "/dev/null",
    "/dev/urandom",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/lib",
    "/lib64",
    "/proc/self",
    "/proc/sys/net",
    "/proc/sys/vm/overcommit_memory",
    "/run/systemd/resolve",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/share/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/share/zoneinfo",
];

/// Where else the authorities of the system may be (openssl-env(7), and what reads them here honours it, too).
const AUTHORITIES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The version of Landlock that this was written for: files with truncation and devices, TCP, signals and abstract sockets.
const KNOWN: ABI = ABI::V6;

/// Puts the rules in force for this thread and all that it starts.
pub(super) fn restrict(data: &Path, needs: &Needs) -> Result<String, RulesetError> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?;
    // Nothing here is a program, so nothing may be run.
    let all = AccessFs::from_all(KNOWN) & !BitFlags::from(AccessFs::Execute);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut ruleset = allow(ruleset, data, all)?;
    for directory in &needs.directories {
        ruleset = allow(ruleset, directory, all)?;
    }
    for path in SYSTEM {
        ruleset = allow(ruleset, Path::new(path), read)?;
    }
    for paths in AUTHORITIES.iter().filter_map(std::env::var_os) {
        // SSL_CERT_DIR may name several.
        for path in std::env::split_paths(&paths) {
            ruleset = allow(ruleset, &path, read)?;
        }
    }
    ruleset = allow(ruleset, Path::new("/dev/null"), AccessFs::ReadFile | AccessFs::WriteFile)?;
    for directory in needs.files.iter().flat_map(|file| directories(file)) {
        ruleset = allow(ruleset, &directory, read)?;
    }
    for port in &needs.listen {
        ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
    }
    for port in &needs.connect {
        ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    let RestrictionStatus { ruleset, landlock, .. } = ruleset.restrict_self()?;
    Ok(in_force(ruleset, landlock).to_owned())
}

/// What a kernel with this version of Landlock does of it.
fn in_force(ruleset: RulesetStatus, landlock: LandlockStatus) -> &'static str {
    let version = match (ruleset, landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => {
            return "not restricted, Landlock is not enabled in this kernel";
        }
        (RulesetStatus::NotEnforced, _) => return "not restricted, this kernel has no Landlock",
        (_, LandlockStatus::Available { effective_abi, .. }) => effective_abi,
        (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => ABI::Unsupported,
    };
    match version {
        version if version >= ABI::V6 => "data directory and what is needed, ports and signals (Landlock)",
        version if version >= ABI::V4 => {
            "data directory and what is needed, and ports (Landlock; signals need Linux 6.12)"
        }
        _ => "data directory and what is needed (Landlock; for ports Linux 6.7 is needed)",
    }
}

/// Allows access to what is there; what is not cannot be opened anyway.
fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(opened) = PathFd::new(path) else { return Ok(ruleset) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(KNOWN) };
    ruleset.add_rule(PathBeneath::new(opened, access))
}

/// The directory that names the file, and the one that holds it: a link may be replaced, as programs that renew certificates do.
fn directories(file: &Path) -> Vec<PathBuf> {
    let real = file.canonicalize().ok();
    [Some(file), real.as_deref()]
        .into_iter()
        .filter_map(|file| file?.parent())
        .map(|parent| if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_says_what_an_older_kernel_does_not_restrict() {
        let with = |effective_abi| {
            in_force(
                RulesetStatus::PartiallyEnforced,
                LandlockStatus::Available { effective_abi, kernel_abi: None },
            )
        };
        assert!(with(ABI::V1).ends_with("(Landlock; for ports Linux 6.7 is needed)"));
        assert!(with(ABI::V3).ends_with("(Landlock; for ports Linux 6.7 is needed)"));
        assert!(with(ABI::V4).ends_with(", and ports (Landlock; signals need Linux 6.12)"));
        assert!(with(ABI::V6).ends_with(", ports and signals (Landlock)"));
        let none = in_force(RulesetStatus::NotEnforced, LandlockStatus::NotImplemented);
        assert_eq!(none, "not restricted, this kernel has no Landlock");
        let off = in_force(RulesetStatus::NotEnforced, LandlockStatus::NotEnabled);
        assert_eq!(off, "not restricted, Landlock is not enabled in this kernel");
    }
}
