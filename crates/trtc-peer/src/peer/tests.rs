//! A peer behind TURN servers in virtual time.
use super::*;
use crate::turn::tests::Server;

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 40_000))
}

/// A client, and who offers to it from addresses that only relays reach.
struct Rig {
    now: Instant,
    offerer: Peer,
    client: Peer,
    /// By their addresses.
    servers: Vec<(SocketAddr, Server)>,
}

impl Rig {
    fn new() -> Self {
        let identity = Arc::new(Identity::generate(1_795_000_000).unwrap());
        let config = |ice| Arc::new(Config { ice, ..Config::default() });
        let mut offerer = Peer::new(config(IceRole::Controlling), identity.clone());
        offerer.add_send(SendTrack {
            kind: MediaKind::Audio,
            codec: CodecKind::Opus,
            codec_spec: None,
            stream_id: "s".into(),
            track_id: "t".into(),
            ssrc: 1,
            rtx_ssrc: None,
        });
        let client = Peer::new(config(IceRole::Controlled), identity);
        Self { now: Instant::now(), offerer, client, servers: Vec::new() }
    }

    fn offer_from(&mut self, hosts: std::ops::Range<u8>) {
        let mut config = (*self.offerer.config).clone();
        config.local_candidates = hosts.map(address).collect();
        self.offerer.config = Arc::new(config);
        let offer = self.offerer.create_offer();
        self.client.accept_offer(self.now, &offer).unwrap();
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.client.tick(self.now);
            while let Some((to, datagram)) = self.client.poll_send() {
                let server = self.servers.iter_mut().find(|(address, _)| *address == to);
                if let Some(Err(Some(mut answer))) = server.map(|(_, server)| server.feed(self.now, &datagram)) {
                    self.client.feed(self.now, to, &mut answer);
                }
            }
            self.now += Duration::from_millis(10);
        }
    }

    /// Hosts that a server was asked to relay to.
    fn relayed_to(&self, server: usize) -> Vec<SocketAddr> {
        self.servers[server].1.permissions.iter().map(|(peer, ..)| *peer).collect()
    }
}

fn turn_server(address: SocketAddr, username: &str) -> TurnServer {
    TurnServer { address, username: username.into(), password: "secret".into() }
}

#[test]
fn a_restart_of_ice_forgets_where_the_other_side_was() {
    let mut rig = Rig::new();
    for round in 0..3 {
        let hosts = 20 * (round + 1)..20 * (round + 1) + 10;
        rig.offer_from(hosts.clone());
        assert_eq!(rig.client.relayable.len(), RELAYABLE_MAX);
        let server = address(200 + round);
        rig.servers.push((server, Server::new()));
        rig.client.add_turn_server(rig.now, turn_server(server, "user"));
        rig.run(Duration::from_secs(10));
        for at in 0..=usize::from(round) {
            let new = rig.relayed_to(at).into_iter().filter(|peer| hosts.clone().any(|host| address(host) == *peer));
            assert_eq!(new.count(), RELAYABLE_MAX, "round {round}, server {at}");
        }
        rig.offerer.restart_ice();
    }
}

#[test]
fn a_newer_list_of_servers_takes_the_place_of_the_old_one() {
    let mut rig = Rig::new();
    for last in 201..=205 {
        rig.client.add_turn_server(rig.now, turn_server(address(last), "user"));
    }
    let known = |rig: &Rig| rig.client.turns.iter().map(|turn| turn.address()).collect::<Vec<_>>();
    assert_eq!(known(&rig), [201, 202, 203, 204].map(address), "no more than four");
    rig.servers.push((address(204), Server::new()));
    rig.servers.push((address(206), Server::new()));
    rig.offer_from(20..21);
    rig.run(Duration::from_secs(8));
    assert_eq!(rig.relayed_to(0), [address(20)]);
    rig.client.retire_turn_servers();
    for last in [206, 202] {
        rig.client.add_turn_server(rig.now, turn_server(address(last), "user"));
    }
    assert_eq!(known(&rig), [201, 202, 203, 206].map(address));
    assert!(!rig.client.turns[1].retired && rig.client.turns[2].retired);
    rig.offerer.restart_ice();
    rig.offer_from(30..31);
    rig.run(Duration::from_secs(8));
    assert_eq!(rig.relayed_to(0), [], "given back");
    assert_eq!(rig.relayed_to(1), [address(30)]);
    for last in 207..=220 {
        rig.client.add_turn_server(rig.now, turn_server(address(last), "user"));
    }
    assert_eq!(known(&rig), [208, 202, 207, 206].map(address), "as many as made room");
}
