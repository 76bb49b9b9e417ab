//! The client against a server made of RFC 8656 in virtual time.
use super::*;

const REALM: &[u8] = b"example.org";
const WRONG_CREDENTIALS: u16 = 441;

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 3478))
}

/// Answers, loses, forgets.
pub(crate) struct Server {
    nonce: String,
    username: &'static str,
    password: &'static str,
    lifetime: Duration,
    /// Until when our allocation lives, and a permission for each peer.
    allocation: Option<Instant>,
    /// Who asked for it.
    owner: &'static str,
    pub permissions: Vec<(SocketAddr, u16, Instant)>,
    /// Every request that it understood, by method, with what it answered: 0 for success.
    log: Vec<(u16, u16)>,
    refused_peer: Option<SocketAddr>,
}

impl Server {
    pub fn new() -> Self {
        Self {
            nonce: "first".into(),
            username: "user",
            password: "secret",
            lifetime: Duration::from_secs(600),
            allocation: None,
            owner: "",
            permissions: Vec::new(),
            log: Vec::new(),
            refused_peer: None,
        }
    }

    /// Bytes of a datagram that is relayed, with its peer, or an answer.
    pub fn feed(&mut self, now: Instant, datagram: &[u8]) -> Result<(SocketAddr, Vec<u8>), Option<Vec<u8>>> {
        if self.allocation.is_some_and(|end| end <= now) {
            (self.allocation, self.permissions) = (None, Vec::new());
        }
        if datagram[0] & 0xc0 == 0x40 {
            let number = u16::from_be_bytes([datagram[0], datagram[1]]);
            let length = usize::from(u16::from_be_bytes([datagram[2], datagram[3]]));
            let bound = self.permissions.iter().find(|(_, known, end)| *known == number && *end > now);
            return bound.map(|(peer, ..)| (*peer, datagram[4..4 + length].to_vec())).ok_or(None);
        }
        let message = Message::parse(datagram).unwrap();
        let error = self.judge(now, &message, datagram);
        self.log.push((message.kind, error));
        let key = self.key();
        Err(Some(match error {
            0 => Builder::new(message.kind | SUCCESS, &message.transaction)
                .attribute(stun::LIFETIME, &(self.lifetime.as_secs() as u32).to_be_bytes())
                .finish_with(&key),
            _ => Builder::new(message.kind | ERROR, &message.transaction)
                .error(error, "no")
                .attribute(stun::REALM, REALM)
                .attribute(stun::NONCE, self.nonce.as_bytes())
                .finish_open(),
        }))
    }

    /// Of whoever may ask; who has asked knows the same password.
    fn key(&self) -> [u8; 16] {
        stun::long_term_key(self.username.as_bytes(), REALM, self.password.as_bytes())
    }

    fn judge(&mut self, now: Instant, message: &Message<'_>, raw: &[u8]) -> u16 {
        let named = message.username == Some(self.username);
        let owns = message.username == Some(self.owner);
        let owner = stun::long_term_key(self.owner.as_bytes(), REALM, self.password.as_bytes());
        if !(named && message.verify_with(&self.key()) || owns && message.verify_with(&owner)) {
            return UNAUTHENTICATED;
        }
        if message.nonce != Some(self.nonce.as_bytes()) {
            return STALE_NONCE;
        }
        match message.kind {
            ALLOCATE if self.allocation.is_some() => return ALLOCATION_MISMATCH,
            ALLOCATE => (self.allocation, self.owner) = (Some(now + self.lifetime), self.username),
            _ if self.allocation.is_none() => return ALLOCATION_MISMATCH,
            _ if !owns => return WRONG_CREDENTIALS,
            REFRESH if message.lifetime == Some(0) => (self.allocation, self.permissions) = (None, Vec::new()),
            REFRESH => self.allocation = Some(now + self.lifetime),
            CHANNEL_BIND if message.peer == self.refused_peer => return 403,
            CHANNEL_BIND => {
                let at = raw.windows(4).position(|w| w == [0, 0x0c, 0, 4]).unwrap() + 4;
                let number = u16::from_be_bytes([raw[at], raw[at + 1]]);
                self.permissions.retain(|(_, known, _)| *known != number);
                self.permissions.push((message.peer.unwrap(), number, now + Duration::from_secs(300)));
            }
            other => panic!("{other:#x}"),
        }
        0
    }

    fn count(&self, method: u16, answer: u16) -> usize {
        self.log.iter().filter(|entry| **entry == (method, answer)).count()
    }
}

struct Rig {
    turn: Turn,
    server: Server,
    now: Instant,
    alive: bool,
    /// Datagrams that came out at peers.
    relayed: Vec<(SocketAddr, Vec<u8>)>,
    sent: usize,
}

impl Rig {
    fn new() -> Self {
        let login = TurnServer { address: address(1), username: "user".into(), password: "secret".into() };
        let (turn, now) = (Turn::new(login), Instant::now());
        Self { turn, server: Server::new(), now, alive: true, relayed: Vec::new(), sent: 0 }
    }

    /// Lets time pass, sending a datagram to a peer in every `every`.
    fn run(&mut self, time: Duration, to: Option<SocketAddr>, every: Duration) {
        let (end, mut next) = (self.now + time, self.now);
        while self.now < end {
            self.turn.tick(self.now);
            assert!(self.turn.timeout().is_none_or(|at| at > self.now), "nothing is due after its tick");
            if let Some(to) = to.filter(|_| self.now >= next) {
                next = self.now + every;
                let mut datagram = b"hello".to_vec();
                if self.turn.wrap(to, &mut datagram) {
                    assert_eq!(datagram.len(), 12, "padded");
                    self.deliver(&datagram);
                }
            }
            while let Some(datagram) = self.turn.poll_send() {
                self.deliver(&datagram);
            }
            let timer = self.turn.timeout().into_iter().chain(to.map(|_| next)).min();
            self.now = timer.unwrap_or(end).clamp(self.now + Duration::from_millis(1), end);
        }
    }

    fn send(&mut self, seconds: u64, to: SocketAddr) -> usize {
        let before = self.relayed.len();
        self.run(Duration::from_secs(seconds), Some(to), Duration::from_secs(1));
        self.relayed.len() - before
    }

    fn deliver(&mut self, datagram: &[u8]) {
        self.sent += 1;
        if !self.alive {
            return;
        }
        match self.server.feed(self.now, datagram) {
            Ok(relayed) => self.relayed.push(relayed),
            Err(Some(answer)) => assert_eq!(self.turn.feed(self.now, &answer), None),
            Err(None) => {}
        }
    }
}

#[test]
fn nothing_is_asked_before_it_is_needed_and_what_is_idle_is_given_back() {
    let mut rig = Rig::new();
    rig.run(Duration::from_secs(3600), None, Duration::ZERO);
    assert_eq!(rig.sent, 0);
    assert!(rig.send(5, address(9)) >= 2);
    assert_eq!(rig.relayed[0], (address(9), b"hello".to_vec()));
    let expected = [(ALLOCATE, UNAUTHENTICATED), (ALLOCATE, 0), (CHANNEL_BIND, 0)];
    assert_eq!(rig.server.log, expected);
    let mut back = [&CHANNELS.to_be_bytes()[..], &[0, 3], b"abc", &[0]].concat();
    assert_eq!(rig.turn.feed(rig.now, &back), Some((address(9), 4..7)));
    back[1] = 1;
    assert_eq!(rig.turn.feed(rig.now, &back), None, "nobody's channel");
    rig.run(Duration::from_secs(61), None, Duration::ZERO);
    assert!(rig.server.allocation.is_none() && rig.turn.timeout().is_none());
    assert!(rig.send(5, address(9)) >= 2, "and asked for again");
}

#[test]
fn an_hour_long_call_keeps_its_allocation_and_its_permissions() {
    let mut rig = Rig::new();
    rig.server.lifetime = Duration::from_secs(300);
    let (mut peers, mut got) = ([address(8), address(9)].into_iter().cycle(), 0);
    for _ in 0..360 {
        got += rig.send(10, peers.next().unwrap());
    }
    assert!(got > 3590, "{got}");
    assert_eq!((rig.server.count(ALLOCATE, 0), rig.server.count(REFRESH, ALLOCATION_MISMATCH)), (1, 0));
    assert!(rig.server.count(CHANNEL_BIND, 0) >= 28 && rig.server.count(REFRESH, 0) >= 14);
}

#[test]
fn a_lifetime_of_nothing_is_renewed_each_second() {
    let mut rig = Rig::new();
    rig.server.lifetime = Duration::ZERO;
    rig.send(10, address(9));
    assert!(rig.sent < 60, "{}", rig.sent);
}

#[test]
fn a_stale_nonce_is_replaced_and_a_fickle_one_given_up() {
    let mut rig = Rig::new();
    assert!(rig.send(5, address(9)) >= 2);
    for number in 0..10 {
        rig.server.nonce = format!("nonce {number}");
        assert_eq!(rig.send(300, address(9)), 300);
    }
    assert_eq!(rig.server.count(ALLOCATE, 0), 1);
    assert!(rig.server.count(CHANNEL_BIND, STALE_NONCE) + rig.server.count(REFRESH, STALE_NONCE) >= 10);
    // A nonce that is stale whenever it is used.
    let mut rig = Rig::new();
    for _ in 0..100 {
        rig.turn.tick(rig.now);
        rig.turn.wrap(address(9), &mut vec![1]);
        while let Some(datagram) = rig.turn.poll_send() {
            rig.server.nonce += "x";
            rig.deliver(&datagram);
        }
    }
    assert!(matches!(rig.turn.state, State::Failed(_)));
    assert_eq!(rig.sent, 2 + usize::from(MAX_CHALLENGES) - 1);
}

#[test]
fn wrong_credentials_are_tried_twice_a_minute() {
    let mut rig = Rig::new();
    rig.server.password = "another";
    assert_eq!(rig.send(60, address(9)), 0);
    assert_eq!(rig.server.log, [(ALLOCATE, UNAUTHENTICATED); 4]);
}

#[test]
fn a_dead_server_costs_little_and_is_asked_again() {
    let mut rig = Rig::new();
    rig.alive = false;
    assert_eq!(rig.send(30, address(9)), 0);
    assert_eq!(rig.sent, MAX_TRIES as usize);
    rig.alive = true;
    assert!(rig.send(60, address(9)) > 10);
}

#[test]
fn what_an_outage_left_on_the_server_is_given_back() {
    let mut rig = Rig::new();
    assert!(rig.send(5, address(9)) >= 2);
    rig.alive = false;
    assert_eq!(rig.send(30, address(9)), 0);
    rig.alive = true;
    assert!(rig.send(60, address(9)) > 30);
    assert_eq!((rig.server.count(ALLOCATE, ALLOCATION_MISMATCH), rig.server.count(ALLOCATE, 0)), (1, 2));
}

#[test]
fn a_server_that_forgot_us_is_noticed() {
    let mut rig = Rig::new();
    assert!(rig.send(5, address(9)) >= 2);
    rig.server = Server { nonce: "of another life".into(), ..Server::new() };
    assert!(rig.send(20, address(9)) >= 10);
    assert_eq!(rig.server.count(REFRESH, ALLOCATION_MISMATCH), 1);
}

#[test]
fn a_forbidden_peer_is_left_alone_and_others_are_not() {
    let mut rig = Rig::new();
    rig.server.refused_peer = Some(address(7));
    assert_eq!(rig.send(20, address(7)), 0);
    assert_eq!(rig.server.count(CHANNEL_BIND, 403), 1);
    assert!(rig.send(20, address(9)) >= 18);
}

/// The server gives out credentials for a while; whoever has later ones cannot use what the earlier ones asked for.
#[test]
fn new_credentials_are_taken_up_at_once() {
    let later = || TurnServer { address: address(1), username: "later".into(), password: "secret".into() };
    for lost in [false, true] {
        let mut rig = Rig::new();
        assert!(rig.send(5, address(9)) >= 2);
        rig.turn.renew(TurnServer { username: "user".into(), ..later() });
        assert_eq!(rig.send(5, address(9)), 5, "the same ones change nothing");
        rig.server.username = "later";
        rig.alive = !lost;
        rig.turn.renew(later());
        while let Some(datagram) = rig.turn.poll_send() {
            rig.deliver(&datagram);
        }
        assert_eq!(rig.server.allocation.is_some(), lost, "given back by whom it belonged to");
        rig.alive = true;
        assert!(rig.send(10, address(9)) >= 8, "lost: {lost}");
        assert_eq!(rig.server.owner, "later");
        assert_eq!(rig.server.count(ALLOCATE, ALLOCATION_MISMATCH), usize::from(lost));
        assert_eq!(rig.server.count(REFRESH, WRONG_CREDENTIALS), 0);
        assert!(rig.turn.parting.is_none());
    }
}

#[test]
fn new_credentials_end_the_pause_after_refused_ones() {
    let mut rig = Rig::new();
    rig.server.username = "later";
    assert_eq!(rig.send(3, address(9)), 0);
    rig.turn.renew(TurnServer { address: address(1), username: "later".into(), password: "secret".into() });
    assert!(rig.send(3, address(9)) >= 1);
}

#[test]
fn answers_without_a_proof_count_for_nothing() {
    let mut rig = Rig::new();
    rig.turn.tick(rig.now);
    assert!(!rig.turn.wrap(address(9), &mut vec![1]));
    let request = rig.turn.poll_send().unwrap();
    let transaction = Message::parse(&request).unwrap().transaction;
    let forged = Builder::new(ALLOCATE | SUCCESS, &transaction).finish("guess");
    assert_eq!(rig.turn.feed(rig.now, &forged), None);
    assert_eq!(rig.turn.state, State::Asked);
    let strange = Builder::new(ALLOCATE | SUCCESS, &[0; 12]).finish_open();
    for datagram in [&strange[..], b"", b"\x40", b"\x40\x00\xff\xff", &[0x4f; 20], &[0; 20], &[0xff; 3000]] {
        assert_eq!(rig.turn.feed(rig.now, datagram), None);
    }
    let indication = Builder::new(DATA_INDICATION, &[0; 12]).address(stun::XOR_PEER_ADDRESS, address(6));
    let indication = indication.attribute(0x0013, b"data").finish_open();
    assert_eq!(rig.turn.feed(rig.now, &indication), None, "without an allocation");
    rig.deliver(&request);
    assert!(rig.send(3, address(9)) >= 1);
    let (peer, range) = rig.turn.feed(rig.now, &indication).unwrap();
    assert_eq!((peer, &indication[range]), (address(6), &b"data"[..]));
}
