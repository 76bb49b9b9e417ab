//! The sockets of one machine: what they take and bring.
use super::{Input, ROUTE_CHECK, SOCKETS, Slot, WEBSOCKET};
use crate::batch::bind;
use crate::websocket::Progress;
use mio::{Interest, Registry, Token};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

pub(super) fn drive_streams(slot: &mut Slot, registry: &Registry) {
    if slot.streams.ready {
        let (now, machine) = (Instant::now(), &slot.machine);
        slot.streams.drive(registry, |socket, from, data| machine.input(now, Input::Datagram { socket, from, data }));
    }
}

pub(super) fn drive_websocket(slot: &mut Slot, registry: &Registry, id: u32) {
    let Some(mut websocket) = slot.websocket.take() else { return };
    let (now, mut over) = (Instant::now(), false);
    websocket.drive(now, registry, Token((id as usize) << 2 | WEBSOCKET), &mut |progress| match progress {
        Progress::Opened { local, server } => {
            slot.local = local.ip();
            slot.route = (!local.ip().is_loopback()).then(|| (server, now + ROUTE_CHECK));
            slot.machine.input(now, Input::SocketOpened(local.ip()));
        }
        Progress::Message(message) => slot.machine.input(now, Input::SocketMessage(&message)),
        Progress::Failed { status, body } => {
            over = true;
            slot.machine.input(now, Input::SocketFailed { status, body: &body });
        }
        Progress::Closed => {
            over = true;
            slot.machine.input(now, Input::SocketClosed);
        }
    });
    if !over {
        slot.websocket = Some(websocket);
    }
}

pub(super) fn open_udp(slot: &mut Slot, registry: &Registry, id: u32) -> Result<[SocketAddr; SOCKETS], String> {
    let ip = slot.local;
    // A socket on a loopback address cannot reach the outside, one on a network's address can only reach that network.
    let any: IpAddr = match ip {
        IpAddr::V4(v4) if v4.is_loopback() => ip,
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        // Both families: the server may take media over the other one.
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    slot.v6 = any.is_ipv6();
    let mut addresses = [SocketAddr::new(ip, 0); SOCKETS];
    for (index, address) in addresses.iter_mut().enumerate() {
        let mut socket = bind((any, 0).into()).map_err(|e| format!("cannot bind a UDP socket: {e}"))?;
        let registered = registry.register(&mut socket, Token((id as usize) << 2 | index), Interest::READABLE);
        registered.map_err(|e| format!("cannot watch a UDP socket: {e}"))?;
        address.set_port(socket.local_addr().map_err(|e| e.to_string())?.port());
        slot.udp[index] = Some(socket);
        slot.readable[index] = false;
    }
    Ok(addresses)
}
