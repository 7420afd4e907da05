//! SCRAM on the server: the first message read, the verifier offered, the proof checked.

use super::{Identity, Terms};
use crate::gs2::{Flag, Header};
use crate::scram::{
    ClientFinal, ClientFirst, ServerFinal, ServerFirst, TLS_EXPORTER, auth_message, is_nonce,
};
use crate::{Failure, Mechanism, NAME_MAX, ScramVerifier, TlsExporter, prepare};
use std::fmt;

/// What the client said first.
pub(super) struct Scram {
    user: String,
    authorization: Option<String>,
    /// `client-first-message-bare`, which both sides sign.
    bare: String,
    /// What `c=` must say: the GS2 header, and the channel binding data with PLUS.
    channel_binding: Vec<u8>,
    nonce: String,
}

/// What the server said to it.
#[derive(Debug)]
pub(super) struct Offer {
    message: String,
    verifier: ScramVerifier,
    user: User,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    Known,
    Unknown,
}

impl Scram {
    pub(super) fn first(mechanism: Mechanism, terms: &Terms, message: &str) -> Result<Scram, Failure> {
        let (header, bare) = Header::parse(message)?;
        let data = channel_binding(mechanism, terms.channel_binding, header.flag)?;
        let first = ClientFirst::parse(bare)?;
        if !is_nonce(&terms.nonce) {
            return Err(Failure::Malformed("the server's nonce"));
        }
        if header.authorization.as_ref().is_some_and(|name| name.len() > NAME_MAX) {
            return Err(Failure::TooLong);
        }
        let gs2 = &message[..message.len() - bare.len()];
        Ok(Scram {
            user: prepare(&first.user).into_owned(),
            authorization: header.authorization.map(|name| prepare(&name).into_owned()),
            bare: bare.to_owned(),
            channel_binding: [gs2.as_bytes(), data.as_ref().map_or(&[], |data| &data.0[..])].concat(),
            nonce: format!("{}{}", first.nonce, terms.nonce),
        })
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn offer(&self, verifier: ScramVerifier) -> Offer {
        self.say(verifier, User::Known)
    }

    /// Goes on as if the user existed; no proof will be good.
    pub(super) fn decoy(&self, decoy: ScramVerifier) -> Offer {
        self.say(decoy, User::Unknown)
    }

    /// Checks the client's last message; the server's last one, and who the client is.
    pub(super) fn proof(self, offer: Offer, message: &str) -> Result<(String, Identity), Failure> {
        let last = ClientFinal::parse(message)?;
        if last.nonce != self.nonce {
            return Err(Failure::Malformed("another nonce"));
        }
        if last.channel_binding != self.channel_binding {
            return Err(Failure::ChannelBinding("the client sees another channel"));
        }
        let signed = auth_message(&self.bare, &offer.message, last.without_proof);
        let is_good = offer.verifier.accepts(&signed, &last.proof);
        let signature = offer.verifier.signature(&signed);
        // The same was computed for a user that does not exist.
        if offer.user == User::Unknown || !is_good {
            return Err(Failure::Refused);
        }
        let identity = Identity { authentication: self.user, authorization: self.authorization };
        Ok((ServerFinal::write(&signature), identity))
    }

    fn say(&self, verifier: ScramVerifier, user: User) -> Offer {
        let message = ServerFirst::write(&self.nonce, verifier.salt(), verifier.iterations());
        Offer { message, verifier, user }
    }
}

impl fmt::Debug for Scram {
    // What the channel is bound with is a secret of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scram").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Offer {
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

/// The data that the channel is bound with, if it is to be (RFC 5802 §6).
fn channel_binding(
    mechanism: Mechanism,
    exporter: Option<TlsExporter>,
    flag: Flag<'_>,
) -> Result<Option<TlsExporter>, Failure> {
    match (mechanism == Mechanism::ScramSha256Plus, flag, exporter) {
        (true, Flag::Used(TLS_EXPORTER), Some(exporter)) => Ok(Some(exporter)),
        (true, Flag::Used(TLS_EXPORTER), None) => Err(Failure::ChannelBinding("there is no channel to bind")),
        (_, Flag::Used(_), _) if mechanism == Mechanism::ScramSha256Plus => {
            Err(Failure::ChannelBinding("only tls-exporter is known"))
        }
        (true, ..) => Err(Failure::ChannelBinding("PLUS needs one")),
        (false, Flag::Used(_), _) => Err(Failure::ChannelBinding("only PLUS has one")),
        (false, Flag::NotOffered, Some(_)) => Err(Failure::Downgrade),
        (false, Flag::NotOffered | Flag::Unsupported, _) => Ok(None),
    }
}
