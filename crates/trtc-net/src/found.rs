//! Where servers are that datagrams go to, and where the way to them starts.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use trtc_types::Way;

/// The answer to a [`crate::driver::NetAction::FindServer`].
pub(crate) struct Found {
    pub tag: u32,
    pub host: String,
    pub address: Option<SocketAddr>,
}

impl Found {
    /// May block for seconds, unless the host is an address.
    pub fn look_up(tag: u32, host: String, port: u16, way: Way) -> Self {
        let found: Vec<SocketAddr> = (host.as_str(), port).to_socket_addrs().map(Iterator::collect).unwrap_or_default();
        let address = found.iter().find(|address| address.is_ipv4()).or(found.first()).map(|address| way.to(*address));
        Self { tag, host, address }
    }
}

/// The address that datagrams to `server` start from. Connecting a UDP socket sends nothing; it only asks the routing table.
pub(crate) fn source_address(server: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect(server).ok()?;
    socket.local_addr().ok().map(|a| a.ip())
}
