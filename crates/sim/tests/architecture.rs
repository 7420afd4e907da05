//! The directions between the crates, and what each of them may touch, checked on `cargo metadata` and on the sources.
//!
//! A rule that fails here names the crate, the file or dependency, and what to do instead. The rules themselves, with
//! their reasons, are in `docs/decisions.md`.

#![forbid(unsafe_code)]

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which crates of the workspace each one may use in production code.
const MAY_USE: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("smtp", &["wire"]),
    ("pop3", &["wire"]),
    ("imap", &["wire"]),
    ("classroom", &["wire"]),
    ("message", &[]),
    ("sasl", &[]),
    ("store", &["smtp", "message"]),
    ("store-local", &["store", "smtp"]),
    ("server", &["wire", "smtp", "pop3", "imap", "classroom", "message", "sasl", "store", "store-local"]),
    ("posthaste", &["wire", "smtp", "imap", "message", "sasl", "store", "server"]),
    ("sim", &["wire", "smtp", "pop3", "classroom", "message", "sasl", "store", "store-local", "server"]),
];

/// The crates without sockets, clocks, files and randomness, and the foreign crates that they may use.
/// Each of these computes on bytes it is given; that is what a newcomer to this list has to be, too.
const PURE: &[(&str, &[&str])] = &[
    ("wire", &["bytes", "data-encoding", "memchr"]),
    ("smtp", &["bytes", "data-encoding", "memchr", "thiserror", "idna"]),
    ("pop3", &["bytes", "memchr", "thiserror"]),
    ("imap", &["bytes", "data-encoding", "flate2", "memchr", "thiserror"]),
    ("classroom", &["bytes", "memchr"]),
    ("message", &["bytes", "data-encoding", "memchr", "thiserror", "encoding_rs", "jiff", "mail-builder"]),
    // aws-lc-rs can make random numbers, too; what follows keeps that out.
    ("sasl", &["aws-lc-rs", "data-encoding", "stringprep", "thiserror", "zeroize"]),
];

/// What the source of a pure crate must not name, and what it does instead.
const IMPURE: &[(&str, &str)] = &[
    ("std::fs", "bytes are handed in; files belong to store-* and the programs"),
    ("std::net::Tcp", "bytes are handed in; sockets belong to the server's driver"),
    ("std::net::Udp", "bytes are handed in; sockets belong to the server's driver"),
    ("TcpStream", "bytes are handed in; sockets belong to the server's driver"),
    ("std::os", "nothing of the operating system is needed to speak a protocol"),
    ("std::process", "a protocol core starts and ends no process"),
    ("std::env", "settings are arguments"),
    ("std::thread", "a protocol core is called; it runs nothing by itself"),
    ("::now(", "time is an argument"),
    ("RandomState", "randomness is an argument; use BTreeMap, or a map with a fixed hasher"),
    ("rand::", "randomness is an argument"),
    ("SystemRandom", "randomness is an argument"),
    ("getrandom", "randomness is an argument"),
    ("tokio", "bytes are handed in; the driver in `server` owns the runtime"),
];

/// The engines' own dependencies, which nobody else may use.
const ENGINE_PARTS: &[&str] = &["redb", "postcard", "crc32c"];

#[test]
fn crates_use_only_what_the_design_allows() {
    let workspace = Workspace::load();
    let mut faults = Vec::new();
    for package in &workspace.packages {
        let name = folder(package);
        let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
            faults.push(format!("crates/{name} is not in MAY_USE: say there which crates it may use"));
            continue;
        };
        for used in workspace.own_dependencies(package) {
            if !allowed.contains(&used.as_str()) {
                faults.push(format!("{name} depends on {used}; it may use only {allowed:?}"));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn pure_crates_depend_on_pure_crates_only() {
    let workspace = Workspace::load();
    let mut faults = Vec::new();
    for (name, allowed) in PURE {
        for used in workspace.foreign_dependencies(workspace.package(name)) {
            if !allowed.contains(&used.as_str()) {
                faults.push(format!(
                    "{name} depends on {used}, which is not in PURE: no runtime, socket, file, clock or randomness \
                     may come in; if {used} only computes, add it there and to docs/decisions.md"
                ));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn pure_crates_name_no_socket_file_clock_or_randomness() {
    let workspace = Workspace::load();
    let mut faults = Vec::new();
    for (name, _) in PURE {
        for file in workspace.sources(name) {
            for (number, line) in production_lines(&file.text) {
                for (word, instead) in IMPURE.iter().filter(|(word, _)| line.contains(word)) {
                    faults.push(format!("{}:{number}: `{word}`: {instead}", file.path.display()));
                }
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn only_engines_know_how_mail_is_kept() {
    let workspace = Workspace::load();
    let mut faults = Vec::new();
    for package in &workspace.packages {
        let name = folder(package);
        if name.starts_with("store-") {
            continue;
        }
        for used in workspace.foreign_dependencies(package) {
            if ENGINE_PARTS.contains(&used.as_str()) {
                faults.push(format!(
                    "{name} depends on {used}; only a store-* crate may know how mail is kept"
                ));
            }
        }
    }
    for file in workspace.sources("store") {
        for (number, line) in production_lines(&file.text) {
            if line.contains("std::fs") || line.contains("tokio::fs") || line.contains("std::path") {
                faults.push(format!(
                    "{}:{number}: `store` names files; its traits must fit any engine",
                    file.path.display()
                ));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn the_server_names_a_concrete_store_in_one_file_only() {
    let workspace = Workspace::load();
    let mut naming = BTreeSet::new();
    for file in workspace.sources("server") {
        if production_lines(&file.text).any(|(_, line)| line.contains("store_local")) {
            naming.insert(file.path.file_name().expect("a source file has a name").to_owned());
        }
    }
    let expected = BTreeSet::from(["open.rs".into()]);
    assert_eq!(
        naming, expected,
        "files of `server` that name store_local: open.rs opens an engine, all others use traits"
    );
}

#[test]
fn every_crate_forbids_unsafe_code() {
    let workspace = Workspace::load();
    let mut faults = Vec::new();
    for package in &workspace.packages {
        for target in package.targets.iter().filter(|target| !target.is_test()) {
            let text = read(target.src_path.as_std_path());
            if !text.contains("#![forbid(unsafe_code)]") {
                faults.push(format!("{}: `#![forbid(unsafe_code)]` is missing", target.src_path));
            }
        }
    }
    assert_none(&faults);
}

/// The packages of this workspace as cargo sees them.
struct Workspace {
    root: PathBuf,
    packages: Vec<Package>,
}

/// A source file with its path below the root.
struct Source {
    path: PathBuf,
    text: String,
}

impl Workspace {
    fn load() -> Workspace {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
        let metadata: Metadata = MetadataCommand::new()
            .manifest_path(manifest)
            .no_deps()
            .exec()
            .expect("cargo metadata reads the workspace that this test was built from");
        Workspace { root: metadata.workspace_root.clone().into_std_path_buf(), packages: metadata.packages }
    }

    fn package(&self, name: &str) -> &Package {
        self.packages
            .iter()
            .find(|package| folder(package) == name)
            .unwrap_or_else(|| panic!("there is no crates/{name}"))
    }

    /// The crates of this workspace that production code of `package` uses, by folder.
    fn own_dependencies(&self, package: &Package) -> BTreeSet<String> {
        dependencies(package)
            .filter_map(|name| self.packages.iter().find(|other| *other.name == name))
            .map(folder)
            .collect()
    }

    /// The crates from elsewhere that production code of `package` uses.
    fn foreign_dependencies(&self, package: &Package) -> BTreeSet<String> {
        dependencies(package).filter(|name| !self.packages.iter().any(|other| *other.name == *name)).collect()
    }

    /// The sources of production code of one crate.
    fn sources(&self, name: &str) -> Vec<Source> {
        let mut found = Vec::new();
        collect(&self.root.join("crates").join(name).join("src"), &mut found);
        assert!(!found.is_empty(), "crates/{name}/src holds sources");
        found
            .into_iter()
            .map(|path| {
                let text = read(&path);
                Source {
                    path: path.strip_prefix(&self.root).expect("it was found below the root").to_owned(),
                    text,
                }
            })
            .collect()
    }
}

/// The name of a crate's folder, which is how the design calls it.
fn folder(package: &Package) -> String {
    package.manifest_path.parent().and_then(|path| path.file_name()).expect("a crate has a folder").to_owned()
}

fn dependencies(package: &Package) -> impl Iterator<Item = String> + '_ {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == DependencyKind::Normal)
        .map(|dependency| dependency.name.clone())
}

/// Adds the `.rs` files below `place` but those of tests.
fn collect(place: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    for entry in entries {
        let path = entry.expect("a folder of sources can be read").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if stem == "tests" || stem.ends_with("_tests") {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The numbered lines without comments, up to a module of tests at the end of the file.
fn production_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let end = lines
        .windows(2)
        .position(|pair| pair[0].trim() == "#[cfg(test)]" && pair[1].trim_end().ends_with('{'))
        .unwrap_or(lines.len());
    lines
        .into_iter()
        .take(end)
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
