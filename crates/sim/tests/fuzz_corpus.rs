//! Replays the inputs of `fuzz/corpus` through what the fuzz targets do: an input that once broke something
//! stays mended.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("the folder can be read").path()).collect()
}

#[test]
fn every_kept_input_holds() {
    for (target, body) in bodies::TARGETS {
        let inputs = corpus(target);
        assert!(!inputs.is_empty(), "{target} has no inputs");
        for path in inputs {
            let input = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            // The name, in case the body panics.
            println!("{}", path.display());
            body(&input);
        }
    }
}
