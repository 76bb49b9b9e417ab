//! How datagrams travel to an address. Addresses that are no plain UDP address carry it in their flow label, so that all that
//! handles addresses handles them too: no socket gives an address with a flow label.
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// The way to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// UDP.
    Udp,
    /// A TCP connection of ours on which each datagram stands behind its length (RFC 4571).
    Tcp,
    /// A TCP connection of ours to a TURN server: STUN messages and channel data (RFC 8656 section 12.5).
    TurnTcp,
    /// The same inside TLS.
    TurnTls,
    /// Through the TURN server with this number.
    Relay(u8),
}

const TCP: u32 = 1;
const TURN_TCP: u32 = 2;
const TURN_TLS: u32 = 3;
const RELAY: u32 = 0x100;

impl Way {
    /// The address with this way to it.
    #[must_use]
    pub fn to(self, address: SocketAddr) -> SocketAddr {
        let label = match self {
            Self::Udp => return plain(address),
            Self::Tcp => TCP,
            Self::TurnTcp => TURN_TCP,
            Self::TurnTls => TURN_TLS,
            Self::Relay(server) => RELAY | u32::from(server),
        };
        let (ip, scope) = match address {
            SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
            SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
        };
        SocketAddrV6::new(ip, address.port(), label, scope).into()
    }

    /// The way to an address.
    #[must_use]
    pub fn of(address: SocketAddr) -> Self {
        let SocketAddr::V6(v6) = address else { return Self::Udp };
        match v6.flowinfo() {
            TCP => Self::Tcp,
            TURN_TCP => Self::TurnTcp,
            TURN_TLS => Self::TurnTls,
            label if label & !0xff == RELAY => Self::Relay(label as u8),
            _ => Self::Udp,
        }
    }
}

/// The address alone, in its own family.
#[must_use]
pub fn plain(address: SocketAddr) -> SocketAddr {
    match (address.ip().to_canonical(), address) {
        (IpAddr::V6(ip), SocketAddr::V6(v6)) => SocketAddrV6::new(ip, v6.port(), 0, v6.scope_id()).into(),
        (ip, _) => SocketAddr::new(ip, address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_kept_beside_its_address() {
        for text in ["192.0.2.1:7881", "[2001:db8::1]:7881", "[fe80::1%3]:7881"] {
            let address: SocketAddr = text.parse().expect("an address");
            for way in [Way::Udp, Way::Tcp, Way::TurnTcp, Way::TurnTls, Way::Relay(0), Way::Relay(255)] {
                let labelled = way.to(address);
                assert_eq!((Way::of(labelled), plain(labelled)), (way, address));
                assert_eq!(way == Way::Udp, labelled == address);
            }
        }
    }
}
