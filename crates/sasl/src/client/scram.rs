//! SCRAM on the client.

use super::ChannelBinding;
use crate::gs2::{self, Flag};
use crate::scram::{
    ClientFinal, ClientFirst, ClientKeys, ServerFinal, ServerFirst, TLS_EXPORTER, auth_message, is_nonce,
};
use crate::{Failure, Iterations, Mechanism, Secret, prepare};
use std::fmt;

/// The client's part of an exchange.
pub(super) struct Scram {
    gs2: String,
    bare: String,
    nonce: String,
    /// GS2 header and channel binding data.
    channel_binding: Vec<u8>,
    stage: Stage,
}

enum Stage {
    ServerFirst,
    ServerFinal { keys: ClientKeys, signed: String },
    Verified,
    Failed,
}

impl Scram {
    pub(super) fn new(
        mechanism: Mechanism,
        user: &str,
        authorization: Option<&str>,
        nonce: &str,
        binding: ChannelBinding,
    ) -> Result<Scram, Failure> {
        let (flag, data) = match (mechanism, &binding) {
            (Mechanism::ScramSha256Plus, ChannelBinding::TlsExporter(data)) => {
                (Flag::Used(TLS_EXPORTER), &data.0[..])
            }
            (Mechanism::ScramSha256Plus, _) => return Err(Failure::ChannelBinding("PLUS needs one")),
            (_, ChannelBinding::NotOffered) => (Flag::NotOffered, &[][..]),
            // One that could and was offered PLUS but does not use it says that it cannot: `y` would be refused.
            (_, ChannelBinding::Unsupported | ChannelBinding::TlsExporter(_)) => (Flag::Unsupported, &[][..]),
        };
        if !is_nonce(nonce) {
            return Err(Failure::Malformed("the client's nonce"));
        }
        let gs2 = gs2::header(flag, authorization);
        Ok(Scram {
            channel_binding: [gs2.as_bytes(), data].concat(),
            bare: ClientFirst::write(&prepare(user), nonce),
            gs2,
            nonce: nonce.to_owned(),
            stage: Stage::ServerFirst,
        })
    }

    pub(super) fn first(&self) -> String {
        format!("{}{}", self.gs2, self.bare)
    }

    pub(super) fn respond(&mut self, challenge: &str, password: &Secret) -> Result<String, Failure> {
        match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::ServerFirst => self.prove(challenge, password),
            Stage::ServerFinal { keys, signed } => {
                let last = ServerFinal::parse(challenge)?;
                if !keys.expects(&signed, &last.signature) {
                    return Err(Failure::Server);
                }
                self.stage = Stage::Verified;
                Ok(String::new())
            }
            Stage::Verified | Stage::Failed => Err(Failure::OutOfOrder),
        }
    }

    pub(super) fn is_verified(&self) -> bool {
        matches!(self.stage, Stage::Verified)
    }

    fn prove(&mut self, challenge: &str, password: &Secret) -> Result<String, Failure> {
        let first = ServerFirst::parse(challenge)?;
        if !first.nonce.starts_with(&self.nonce) || first.nonce.len() == self.nonce.len() {
            return Err(Failure::Server);
        }
        let iterations = Iterations::new(first.iterations).ok_or(Failure::Iterations(first.iterations))?;
        let without_proof = ClientFinal::write_without_proof(&self.channel_binding, first.nonce);
        let signed = auth_message(&self.bare, challenge, &without_proof);
        let keys = ClientKeys::derive(password.expose(), &first.salt, iterations);
        let message = ClientFinal::write(&without_proof, &keys.proof(&signed));
        self.stage = Stage::ServerFinal { keys, signed };
        Ok(message)
    }
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scram").field("first", &self.bare).finish_non_exhaustive()
    }
}
