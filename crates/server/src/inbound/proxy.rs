//! XCLIENT: a trusted proxy says for whom it speaks. From then on limits, log and Received fields go by that client.

use super::{Inbound, now};
use crate::proxied;
use smtp::xclient::Attribute;
use smtp::{Reply, replies};
use tracing::info;

impl Inbound {
    /// Takes what the proxy says; only peers to which XCLIENT was offered get here. The client's name and what it calls itself are not taken
    /// over: names are not believed without a look-up, and the client says EHLO again. Nor is a login: who may send is decided here.
    pub(super) fn speaks_for(&mut self, attributes: &[Attribute]) -> Reply {
        let proxy = *self.proxy.get_or_insert(self.peer.address.ip());
        let mut peer = self.peer.clone();
        for attribute in attributes {
            match attribute {
                Attribute::Address(Some(address)) => peer.address.set_ip(*address),
                Attribute::Port(Some(port)) => peer.address.set_port(*port),
                Attribute::DestinationAddress(Some(address)) => peer.local.set_ip(*address),
                Attribute::DestinationPort(Some(port)) => peer.local.set_port(*port),
                _ => {}
            }
        }
        let client = peer.address.ip();
        if !proxied::is_believable(client, proxy) {
            info!(session = %self.id, %proxy, %client, "XCLIENT names an address that no client of a proxy has");
            return replies::UNBELIEVABLE_CLIENT;
        }
        if let Err(refusal) = self.context.abuse.connection(client, now()) {
            info!(session = %self.id, %proxy, %client, "client turned away: {refusal}");
            return refusal.closing();
        }
        info!(session = %self.id, %proxy, peer = %client, "the proxy speaks for another client");
        // The TLS is the proxy's: nothing that the client proves can be bound to it.
        self.peer = crate::inbound::Peer { tls: None, ..peer };
        // What the one before has proven is not this one's.
        (self.login, self.account) = (None, None);
        self.errors = 0;
        replies::OK
    }
}
