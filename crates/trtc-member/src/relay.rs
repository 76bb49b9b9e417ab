//! TURN servers of the join or reconnect response: their URIs (RFC 7065), and what is known of their addresses.
use trtc_net::driver::NetAction;
use trtc_peer::TurnServer;
use trtc_session::IceServer;
use trtc_types::Way;

/// Most URIs that are looked at, and that are used: a peer takes no more.
const URIS_MAX: usize = 64;
const SERVERS_MAX: usize = 4;
/// Of `turn` and `turns`.
const PORTS: (u16, u16) = (3478, 5349);

/// A TURN server by its name.
struct Named {
    host: String,
    port: u16,
    way: Way,
    username: String,
    password: String,
}

/// The servers of the present connection.
#[derive(Default)]
pub(crate) struct Relays {
    servers: Vec<Named>,
    /// Tags of earlier connections mean nothing.
    first_tag: u32,
}

impl Relays {
    /// Those of `servers` that we can use take the place of earlier ones; their names have to be resolved.
    pub fn replace(&mut self, servers: &[IceServer]) -> Vec<NetAction> {
        self.first_tag = self.first_tag.wrapping_add(self.servers.len() as u32);
        let named = servers.iter().flat_map(|server| server.urls.iter().filter_map(|url| Named::parse(url, server)));
        self.servers = choose(named.take(URIS_MAX));
        let asked = self.servers.iter().zip(self.first_tag..);
        let asked = asked.map(|(s, tag)| NetAction::FindServer { tag, host: s.host.clone(), port: s.port, way: s.way });
        asked.collect()
    }

    /// The server whose address was found.
    pub fn found(&self, tag: u32, address: std::net::SocketAddr) -> Option<TurnServer> {
        let Named { username, password, .. } = self.servers.get(tag.wrapping_sub(self.first_tag) as usize)?;
        Some(TurnServer { address, username: username.clone(), password: password.clone() })
    }
}

/// The first of each way, then the second ones: nobody knows which ways are open. UDP is the better way to a relay, too.
fn choose(named: impl Iterator<Item = Named>) -> Vec<Named> {
    let mut ranked: Vec<(usize, Named)> = Vec::new();
    for server in named {
        let before = ranked.iter().filter(|(_, other)| other.way == server.way).count();
        ranked.push((before, server));
    }
    ranked.sort_by_key(|(before, server)| (*before, server.way));
    let mut chosen: Vec<Named> = ranked.into_iter().take(SERVERS_MAX).map(|(_, server)| server).collect();
    chosen.sort_by_key(|server| server.way);
    chosen
}

impl Named {
    /// `turn:host[:port][?transport=udp|tcp]`; the same with `turns:` is TLS, and not for DTLS.
    fn parse(url: &str, server: &IceServer) -> Option<Self> {
        let (scheme, rest) = url.split_once(':')?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let secure = scheme.eq_ignore_ascii_case("turns");
        if !(secure || scheme.eq_ignore_ascii_case("turn")) {
            return None;
        }
        let way = match (secure, query.strip_prefix("transport=")) {
            (false, None | Some("udp")) => Way::Udp,
            (false, Some("tcp")) => Way::TurnTcp,
            (true, None | Some("tcp")) => Way::TurnTls,
            _ => return None,
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(v6) => v6.split_once(']').map(|(host, rest)| (host, rest.strip_prefix(':')))?,
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            Some(port) => port.parse().ok()?,
            None => {
                if secure {
                    PORTS.1
                } else {
                    PORTS.0
                }
            }
        };
        let IceServer { username, credential, .. } = server;
        let named = Self { host: host.to_owned(), port, way, username: username.clone(), password: credential.clone() };
        (!named.host.is_empty() && port > 0).then_some(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(urls: &[&str]) -> IceServer {
        let urls = urls.iter().map(|url| (*url).to_owned()).collect();
        IceServer { urls, username: "u".into(), credential: "c".into() }
    }

    #[test]
    fn uris_are_read_and_udp_goes_first() {
        let urls = [
            "turns:b",
            "turn:[2001:db8::1]:80?transport=tcp",
            "stun:c",
            "turn:a:1?transport=sctp",
            "turn:a:x",
            "turn:",
        ];
        let mut relays = Relays::default();
        let asked = relays.replace(&[server(&urls), server(&["turn:a", "turn:a:99?transport=udp"])]);
        let asked = asked.into_iter().map(|action| match action {
            NetAction::FindServer { tag, host, port, way } => (tag, host, port, way),
            _ => panic!(),
        });
        let wanted =
            [("a", 3478, Way::Udp), ("a", 99, Way::Udp), ("2001:db8::1", 80, Way::TurnTcp), ("b", 5349, Way::TurnTls)];
        let wanted = wanted.into_iter().zip(0..).map(|((host, port, way), tag)| (tag, host.to_owned(), port, way));
        assert!(asked.eq(wanted));
        let address = "192.0.2.1:3478".parse().unwrap();
        assert_eq!(relays.found(3, address).unwrap().username, "u");
        assert!(relays.found(4, address).is_none());
        assert_eq!(relays.replace(&[server(&["turn:d"])]).len(), 1);
        assert!(relays.found(3, address).is_none() && relays.found(4, address).is_some(), "tags are not used again");
    }

    #[test]
    fn every_way_gets_its_turn() {
        let udp: Vec<String> = (0..20).map(|n| format!("turn:udp{n}")).collect();
        let mut urls: Vec<&str> = udp.iter().map(String::as_str).collect();
        urls.extend(["turn:tcp0?transport=tcp", "turn:tcp1?transport=tcp", "turns:tls0", "turns:tls1"]);
        let mut relays = Relays::default();
        relays.replace(&[server(&urls)]);
        let hosts: Vec<&str> = relays.servers.iter().map(|server| server.host.as_str()).collect();
        assert_eq!(hosts, ["udp0", "udp1", "tcp0", "tls0"]);
    }
}
