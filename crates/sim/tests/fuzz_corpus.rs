//! Replays the inputs of `fuzz/corpus` through what the fuzz targets do: an input that once broke something
//! stays mended.

#![forbid(unsafe_code)]

use sim::random::Random;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("the folder can be read").path()).collect()
}

/// Blind, but of every target, in every run of the tests: those of the server are fuzzed with coverage only when somebody asks for it.
#[test]
fn what_is_near_a_kept_input_holds() {
    for (target, body) in bodies::TARGETS {
        let mut inputs = corpus(target);
        inputs.sort();
        let inputs: Vec<Vec<u8>> =
            inputs.iter().map(|path| fs::read(path).expect("it can be read")).collect();
        let mut random = Random::new(target.len() as u64);
        for number in 0..300 {
            let mut input = inputs[number % inputs.len()].clone();
            for _ in 0..1 + random.below(4) {
                change(&mut input, &inputs, &mut random);
            }
            let held = panic::catch_unwind(|| body(&input));
            assert!(held.is_ok(), "{target}: change {number}: {:?}", String::from_utf8_lossy(&input));
        }
    }
}

fn change(input: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() as u64 + 1) as usize;
    match random.below(5) {
        0 => input.insert(at, random.next() as u8),
        1 => input.truncate(at),
        2 if at < input.len() => input[at] ^= 1 << random.below(8),
        3 if at < input.len() => drop(input.remove(at)),
        _ => {
            let other = &others[random.below(others.len() as u64) as usize];
            let from = random.below(other.len() as u64 + 1) as usize;
            let piece = other[from..].iter().take(40).copied();
            drop(input.splice(at..at, piece).collect::<Vec<u8>>());
        }
    }
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
