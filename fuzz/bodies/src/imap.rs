//! Commands of IMAP: any octets, in any cut.

use crate::Random;
use imap::{Append, Assembled, Assembler, Command, LINE_MAX, LITERALS_MAX};

/// Reads commands. The first octet cuts, the rest is what the client sends.
///
/// Holds: no panic; what is buffered stays within the limits; what is found does not depend on how the input was cut; a fault is
/// within the command.
pub fn imap_command(input: &[u8]) {
    let [seed, octets @ ..] = input else { return };
    let whole = found(octets.chunks(wire::READ_MAX));
    assert_eq!(found(Random::new(u64::from(*seed)).cut(octets).into_iter()), whole, "cuts matter");
    for one in whole {
        let (command, fault) = match &one {
            Assembled::Command(command) => (command, Command::parse(command).err()),
            Assembled::Append(command) => {
                assert!(Append::parse_next(command).is_err(), "it begins with a tag");
                (command, Command::parse(command).err())
            }
            Assembled::Continue => continue,
            Assembled::TooLong(start) => (start, None),
        };
        assert!(fault.is_none_or(|fault| fault.at <= command.len()));
    }
}

/// What comes of these pieces. Messages are taken as if they had 3 octets.
fn found<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Assembled> {
    let mut assembler = Assembler::new();
    let (mut all, mut text) = (Vec::new(), 0);
    for piece in pieces {
        assembler.receive(piece);
        loop {
            let now = text.min(assembler.len());
            drop(assembler.raw().split_to(now));
            text -= now;
            if text > 0 {
                break;
            }
            let Some(one) = assembler.next_command() else { break };
            if let Assembled::Append(_) = one {
                text = 3;
            }
            all.push(one);
        }
        assert!(assembler.len() <= LINE_MAX + LITERALS_MAX + wire::READ_MAX);
    }
    all
}
