//! XCLIENT: a trusted proxy says for whom it speaks. From then on limits, log and Received fields go by that client.

use super::Inbound;
use crate::door;
use crate::proxied;
use smtp::server::Server;
use smtp::xclient::Attribute;
use smtp::{Reply, replies};
use tracing::info;

impl Inbound {
    /// XCLIENT. Unless it is taken the session ends: a client that is not known must not be served as if it were the proxy, which may be
    /// exempt from limits or allowed to relay.
    pub(super) fn xclient(&mut self, endpoint: &mut Server, attributes: &[Attribute]) {
        match self.speaks_for(attributes) {
            Ok(()) => {
                endpoint.reconfigure(self.config());
                endpoint.reply(replies::OK);
            }
            Err(refusal) => {
                endpoint.reply(refusal);
                endpoint.shut_down(replies::UNKNOWN_CLIENT);
            }
        }
    }

    /// Whether the peer is a proxy, which may have to say for whom it speaks.
    pub(super) fn is_proxy(&self) -> bool {
        self.proxy.is_some() || self.context.proxies.says_xclient(self.peer.address.ip())
    }

    /// Takes what the proxy says; only peers to which XCLIENT was offered get here. The client's name and what it calls itself are not taken
    /// over: names are not believed without a look-up, and the client says EHLO again. Nor is a login: who may send is decided here.
    fn speaks_for(&mut self, attributes: &[Attribute]) -> Result<(), Reply> {
        let proxy = self.proxy.unwrap_or(self.peer.address.ip());
        let mut is_named = self.proxy.is_some();
        let mut peer = self.peer.clone();
        for attribute in attributes {
            match attribute {
                Attribute::Address(address) => {
                    is_named = address.is_some();
                    peer.address.set_ip(address.unwrap_or(proxy));
                }
                Attribute::Port(Some(port)) => peer.address.set_port(*port),
                Attribute::DestinationAddress(Some(address)) => peer.local.set_ip(*address),
                Attribute::DestinationPort(Some(port)) => peer.local.set_port(*port),
                _ => {}
            }
        }
        let client = peer.address.ip();
        if !is_named {
            info!(session = %self.id, %proxy, "XCLIENT names no address");
            return Err(replies::NAMELESS_CLIENT);
        }
        if !proxied::is_believable(client, proxy) {
            info!(session = %self.id, %proxy, %client, "XCLIENT names an address that no client of a proxy has");
            return Err(replies::UNBELIEVABLE_CLIENT);
        }
        // The client before it has gone.
        self.place = None;
        match door::permit_client(&self.context, client) {
            Ok(permit) => self.place = Some(permit),
            Err(denied) => {
                info!(session = %self.id, %proxy, %client, "client turned away: {denied}");
                return Err(denied.closing());
            }
        }
        info!(session = %self.id, %proxy, peer = %client, "the proxy speaks for another client");
        // The TLS is the proxy's: nothing that the client proves can be bound to it.
        self.peer = crate::inbound::Peer { tls: None, ..peer };
        // What the one before has proven is not this one's.
        (self.login, self.grant) = (None, None);
        self.errors = 0;
        self.proxy = Some(proxy);
        Ok(())
    }
}
