//! The sockets that a server listens on, opened before it gives up the rights that ports below 1024 need.
//!
//! A service manager may have opened them already (socket activation, sd_listen_fds(3)): those are recognised by their addresses.

use crate::run::StartError;
use crate::settings::{Listener, Settings};
use crate::tls::acme::Acme;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Open sockets, in the order of the settings.
#[derive(Debug)]
pub struct Sockets {
    pub(crate) sockets: Vec<(TcpListener, Listener)>,
    /// Where an authority checks our names.
    pub(crate) acme: Vec<(TcpListener, SocketAddr)>,
}

/// Connections that the kernel keeps for us while we are busy.
const BACKLOG: i32 = 1024;

impl Sockets {
    /// Takes those of `passed` that the settings name, and opens the others. One that the settings do not name is a mistake: somebody expects it
    /// to be served.
    pub fn open(settings: &Settings, mut passed: Vec<TcpListener>) -> Result<Sockets, StartError> {
        let mut sockets = Vec::with_capacity(settings.listeners.len());
        for listener in &settings.listeners {
            let failed = |cause| StartError::Listen { address: listener.address, cause };
            let is_it =
                |socket: &TcpListener| socket.local_addr().is_ok_and(|address| address == listener.address);
            let socket = match passed.iter().position(is_it) {
                Some(place) => passed.swap_remove(place),
                None => bind(listener.address).map_err(failed)?,
            };
            socket.set_nonblocking(true).map_err(failed)?;
            let address = socket.local_addr().map_err(failed)?;
            sockets.push((socket, Listener { address, ..*listener }));
        }
        let mut acme = Vec::new();
        for address in settings.tls.acme.iter().flat_map(Acme::addresses) {
            let failed = |cause| StartError::Listen { address, cause };
            let socket = bind(address).map_err(failed)?;
            socket.set_nonblocking(true).map_err(failed)?;
            acme.push((socket, address));
        }
        match passed.first() {
            Some(socket) => Err(StartError::Passed(socket.local_addr().ok())),
            None => Ok(Sockets { sockets, acme }),
        }
    }
}

/// Opens a listening socket. IPv6 sockets take IPv6 only, so that both families can be listed.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
