use super::*;
use trtc_types::Way;

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 5000))
}

struct Pairing {
    a: Ice,
    b: Ice,
    now: Instant,
}

impl Pairing {
    fn new(a: IceRole, b: IceRole) -> Self {
        let mut pairing = Self { a: Ice::new(a), b: Ice::new(b), now: Instant::now() };
        pairing.exchange();
        if pairing.b.is_lite() {
            pairing.a.remote_is_lite();
        }
        pairing.a.add_remote_candidate(pairing.now, address(2));
        pairing
    }

    fn exchange(&mut self) {
        let (a, b) = (self.a.local().clone(), self.b.local().clone());
        self.a.set_remote(self.now, b);
        self.b.set_remote(self.now, a);
    }

    /// Lets `time` pass in steps of 10 ms.
    fn run(&mut self, time: Duration, lose: bool) {
        self.run_where(time, |to| !lose && to == address(2));
    }

    /// Datagrams of `a` pass where `open` says so; all of `b` that are for where one came from.
    fn run_where(&mut self, time: Duration, open: impl Fn(SocketAddr) -> bool) {
        let end = self.now + time;
        while self.now < end {
            self.a.tick(self.now);
            self.b.tick(self.now);
            loop {
                let mut moved = false;
                while let Some((to, datagram)) = self.a.poll_send() {
                    moved = true;
                    if open(to) {
                        self.b.feed(self.now, Way::of(to).to(address(1)), &datagram);
                    }
                }
                while let Some((to, datagram)) = self.b.poll_send() {
                    moved = true;
                    let from = Way::of(to).to(address(2));
                    if open(from) {
                        self.a.feed(self.now, from, &datagram);
                    }
                }
                if !moved {
                    break;
                }
            }
            self.now += Duration::from_millis(10);
        }
    }

    fn assert_connected(&self) {
        assert_eq!((self.a.path(), self.b.path()), (Some(address(2)), Some(address(1))));
        assert!(self.a.is_validated(address(2)) && self.b.is_validated(address(1)));
        assert!(!self.a.is_validated(address(9)));
    }
}

#[test]
fn full_and_lite_connect_and_restart() {
    let mut pair = Pairing::new(IceRole::Controlled, IceRole::Lite);
    pair.run(Duration::from_millis(30), false);
    pair.assert_connected();
    let old = pair.b.local().ufrag.clone();
    pair.a.restart();
    pair.b.restart();
    pair.exchange();
    assert!(pair.b.owns(&old) && pair.b.owns(&pair.b.local().ufrag.clone()));
    assert!(pair.a.is_restarting() && pair.b.is_restarting());
    pair.assert_connected();
    pair.run(Duration::from_millis(30), false);
    assert!(!pair.a.is_restarting() && !pair.b.is_restarting());
    pair.assert_connected();
}

#[test]
fn a_path_follows_the_newest_generation_that_was_nominated() {
    let mut pair = Pairing::new(IceRole::Controlled, IceRole::Lite);
    pair.run(Duration::from_millis(30), false);
    let nominate = |pair: &mut Pairing, with: &Credentials, from: u8| {
        let request = Builder::new(stun::REQUEST, &[from; 12])
            .attribute(stun::USERNAME, format!("{}:x", with.ufrag).as_bytes())
            .attribute(stun::ICE_CONTROLLING, &[0; 8])
            .attribute(stun::USE_CANDIDATE, &[])
            .finish(&with.password);
        pair.b.feed(pair.now, address(from), &request);
        pair.b.path()
    };
    let old = pair.b.local().clone();
    pair.b.restart();
    let new = pair.b.local().clone();
    assert_eq!(nominate(&mut pair, &old, 3), Some(address(3)), "a pair of before the restart has moved");
    assert!(pair.b.is_restarting());
    assert_eq!(nominate(&mut pair, &new, 4), Some(address(4)));
    assert!(!pair.b.is_restarting());
    assert_eq!(nominate(&mut pair, &old, 3), Some(address(4)), "what is late does not lead back");
    assert_eq!(nominate(&mut pair, &new, 5), Some(address(5)));
}

#[test]
fn a_restart_does_not_lead_to_a_worse_way() {
    let [tcp, _] = other_ways();
    let mut pair = Pairing::new(IceRole::Controlling, IceRole::Lite);
    pair.a.add_remote_candidate(pair.now, tcp);
    pair.run_where(Duration::from_secs(1), |to| to == tcp);
    pair.run(Duration::from_secs(3), false);
    pair.assert_connected();
    pair.a.restart();
    pair.b.restart();
    pair.exchange();
    // UDP answers first, TCP before the nomination.
    pair.a.tick(pair.now);
    while let Some((to, datagram)) = pair.a.poll_send() {
        pair.b.feed(pair.now, Way::of(to).to(address(1)), &datagram);
    }
    let mut answers: Vec<_> = std::iter::from_fn(|| pair.b.poll_send()).collect();
    answers.sort_by_key(|(to, _)| Way::of(*to));
    assert!(answers.iter().any(|(to, _)| Way::of(*to) == Way::Tcp));
    for (to, datagram) in answers {
        pair.a.feed(pair.now, Way::of(to).to(address(2)), &datagram);
        assert_eq!(pair.a.path(), Some(address(2)));
    }
}

#[test]
fn full_and_full_connect() {
    let mut pair = Pairing::new(IceRole::Controlling, IceRole::Controlled);
    pair.run(Duration::from_millis(30), false);
    pair.assert_connected();
}

#[test]
fn role_conflicts_are_settled() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        for _ in 0..20 {
            let mut pair = Pairing::new(role, role);
            pair.run(Duration::from_millis(500), false);
            pair.assert_connected();
        }
    }
}

#[test]
fn consent_keeps_a_path_alive_and_silence_kills_it() {
    let mut pair = Pairing::new(IceRole::Controlling, IceRole::Lite);
    pair.run(Duration::from_secs(60), false);
    assert!(!pair.a.is_dead(pair.now) && !pair.b.is_dead(pair.now));
    pair.run(Duration::from_secs(12), true);
    assert!(!pair.a.is_dead(pair.now) && !pair.b.is_dead(pair.now));
    pair.run(Duration::from_secs(4), true);
    assert!(pair.a.is_dead(pair.now) && pair.b.is_dead(pair.now));
}

#[test]
fn unauthenticated_requests_open_nothing() {
    let mut pair = Pairing::new(IceRole::Controlling, IceRole::Lite);
    let ufrag = pair.b.local().ufrag.clone();
    let forged = Builder::new(stun::REQUEST, &[1; 12])
        .attribute(stun::USERNAME, format!("{ufrag}:x").as_bytes())
        .attribute(stun::USE_CANDIDATE, &[])
        .finish("guess");
    pair.b.feed(pair.now, address(9), &forged);
    assert!(pair.b.path().is_none() && pair.b.poll_send().is_none() && !pair.b.is_validated(address(9)));
    assert_eq!(pair.b.counters().0, 1);
}

/// The other side's address over TCP and through a relay.
fn other_ways() -> [SocketAddr; 2] {
    [Way::Tcp.to(address(2)), Way::Relay(0).to(address(2))]
}

#[test]
fn worse_ways_are_left_alone_while_udp_works() {
    for role in [IceRole::Lite, IceRole::Controlled] {
        let mut pair = Pairing::new(IceRole::Controlling, role);
        other_ways().into_iter().for_each(|way| pair.a.add_remote_candidate(pair.now, way));
        let only_udp = |to: SocketAddr| {
            assert_eq!(Way::of(to), Way::Udp, "nothing else is tried");
            true
        };
        pair.run_where(Duration::from_secs(60), only_udp);
        pair.assert_connected();
    }
}

#[test]
fn without_udp_the_next_best_way_is_taken_and_left_again() {
    for (role, [tcp, relay]) in [(IceRole::Lite, other_ways()), (IceRole::Controlled, other_ways())] {
        let mut pair = Pairing::new(IceRole::Controlling, role);
        pair.a.add_remote_candidate(pair.now, relay);
        pair.run_where(Duration::from_millis(500), |to| to == relay);
        assert_eq!(pair.a.path(), None, "UDP and TCP go before it");
        pair.run_where(Duration::from_secs(1), |to| to == relay);
        assert_eq!(pair.a.path(), Some(relay));
        pair.a.add_remote_candidate(pair.now, tcp);
        pair.run_where(Duration::from_secs(1), |to| to != address(2));
        assert_eq!(pair.a.path(), Some(tcp));
        pair.run_where(Duration::from_secs(2), |_| true);
        pair.assert_connected();
        // UDP dies: the others were not kept open, and are tried again.
        pair.run_where(Duration::from_secs(12), |to| to == tcp);
        assert_eq!((pair.a.path(), pair.b.path()), (Some(tcp), Some(Way::Tcp.to(address(1)))));
        assert!(!pair.a.is_dead(pair.now) && !pair.b.is_dead(pair.now));
    }
}
