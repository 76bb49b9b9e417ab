//! One allocation on a TURN server (RFC 8656) with long-term credentials. Nothing is asked of the server before something is to be
//! sent, and an allocation that nothing is sent through is given back. A channel is bound to each peer, which is its permission.
use crate::stun::{self, Builder, Message, TransactionId};
use crate::types::TurnServer;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};
use trtc_types::way::plain;

const ALLOCATE: u16 = 0x0003;
const REFRESH: u16 = 0x0004;
const CHANNEL_BIND: u16 = 0x0009;
const DATA_INDICATION: u16 = 0x0017;
const SUCCESS: u16 = 0x0100;
const ERROR: u16 = 0x0110;

const UNAUTHENTICATED: u16 = 401;
const ALLOCATION_MISMATCH: u16 = 437;
const STALE_NONCE: u16 = 438;

/// UDP, in REQUESTED-TRANSPORT.
const UDP: [u8; 4] = [17, 0, 0, 0];
/// First channel number (RFC 8656 section 12).
const CHANNELS: u16 = 0x4000;
const CHANNELS_MAX: usize = 32;
/// A permission lives for 5 minutes, a channel for 10; binding renews both.
const RENEW: Duration = Duration::from_secs(240);
/// An allocation is renewed so long before its end.
const MARGIN: Duration = Duration::from_secs(60);
/// And not more often than that, however short the server makes it.
const RENEW_MIN: Duration = Duration::from_secs(1);
/// Lifetime that is counted with where the server names none, and the longest.
const LIFETIME: Duration = Duration::from_secs(600);
/// Nothing was sent through it for so long: it is given back.
const IDLE: Duration = Duration::from_secs(60);
/// Nothing was heard for so long: does the server still know us?
const SILENCE: Duration = Duration::from_secs(5);
/// RFC 8489 section 6.2.1 starts with 500 ms; calls cannot wait.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// The last one goes 7.75 s after the first.
const MAX_TRIES: u32 = 6;
/// Answers to one request that only say how to ask again: logins, stale nonces, an allocation of before.
const MAX_CHALLENGES: u8 = 3;
/// A server that failed is left alone for so long.
const PAUSE: Duration = Duration::from_secs(30);
/// REALM and NONCE have fewer bytes (RFC 8489 sections 14.9 and 14.10).
const TEXT_MAX: usize = 763;
/// Datagrams waiting to be sent.
const MAX_QUEUE: usize = 64;

pub(crate) struct Turn {
    server: TurnServer,
    /// A newer list of servers is awaited, and this one was not in it so far.
    pub retired: bool,
    state: State,
    /// REALM and NONCE of the server, and the key that follows from them.
    login: Option<Login>,
    channels: Vec<Channel>,
    requests: Vec<Request>,
    /// What gives back the allocation of earlier credentials, until there is a new one.
    parting: Option<Vec<u8>>,
    out: VecDeque<Vec<u8>>,
    /// The newest time that we were told.
    now: Option<Instant>,
    used: Option<Instant>,
    heard: Option<Instant>,
    /// Requests that the queue had no room for.
    pub dropped: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Asked,
    /// To be renewed then.
    Allocated(Instant),
    /// Not asked before then.
    Failed(Instant),
}

struct Login {
    realm: Vec<u8>,
    nonce: Vec<u8>,
    key: [u8; 16],
}

struct Channel {
    peer: SocketAddr,
    state: Bound,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Asked,
    /// To be renewed then.
    Until(Instant),
    /// The server does not relay to this peer.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Allocate,
    Refresh,
    /// The index of a channel.
    Bind(usize),
}

struct Request {
    wish: Wish,
    transaction: TransactionId,
    bytes: Vec<u8>,
    next: Instant,
    tries: u32,
    challenges: u8,
}

impl Turn {
    pub fn new(server: TurnServer) -> Self {
        Self {
            server,
            retired: false,
            state: State::Idle,
            login: None,
            channels: Vec::new(),
            requests: Vec::new(),
            parting: None,
            out: VecDeque::new(),
            now: None,
            used: None,
            heard: None,
            dropped: 0,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The same server with other credentials. An allocation belongs to those that it was made with (441, RFC 8656 section 5): while they
    /// are good it is given back, and the next datagram asks for a new one.
    pub fn renew(&mut self, server: TurnServer) {
        self.retired = false;
        if (&self.server.username, &self.server.password) == (&server.username, &server.password) {
            return;
        }
        if self.login.is_some() {
            let parting = self.give_back();
            self.parting = Some(parting);
        }
        self.forget();
        self.server = server;
    }

    /// Wraps a datagram for a peer in place. False while that is not possible; what it needs is asked for.
    pub fn wrap(&mut self, peer: SocketAddr, datagram: &mut Vec<u8>) -> bool {
        let Some(now) = self.now else { return false };
        self.used = Some(now);
        match self.state {
            State::Failed(until) if now < until => {}
            State::Idle | State::Failed(_) => {
                self.state = State::Asked;
                self.ask(now, Wish::Allocate, 0);
            }
            State::Asked => {}
            State::Allocated(_) => {
                if self.heard.is_some_and(|at| now >= at + SILENCE) {
                    self.ask(now, Wish::Refresh, 0);
                }
                return self.channel(now, plain(peer)).is_some_and(|number| {
                    let ([a, b], [c, d]) = (number.to_be_bytes(), (datagram.len() as u16).to_be_bytes());
                    datagram.splice(0..0, [a, b, c, d]);
                    // Padding is for TCP, and allowed over UDP.
                    datagram.resize(datagram.len().next_multiple_of(4), 0);
                    true
                });
            }
        }
        false
    }

    /// A datagram of the server. Returns its peer and where the peer's datagram lies in it, if it has one.
    pub fn feed(&mut self, now: Instant, datagram: &[u8]) -> Option<(SocketAddr, Range<usize>)> {
        self.now = Some(now);
        if let [0x40..=0x4f, ..] = datagram {
            let head = datagram.get(..4)?;
            let number = u16::from_be_bytes([head[0], head[1]]);
            let end = 4 + usize::from(u16::from_be_bytes([head[2], head[3]]));
            let peer = self.channels.get(usize::from(number - CHANNELS))?.peer;
            self.heard = Some(now);
            return (end <= datagram.len()).then_some((peer, 4..end));
        }
        let message = Message::parse(datagram)?;
        if message.kind == DATA_INDICATION {
            // From a port of the other side that no channel is bound to, yet.
            let allocated = matches!(self.state, State::Allocated(_));
            return message.peer.zip(message.data.clone()).filter(|_| allocated);
        }
        self.answered(now, &message);
        None
    }

    pub fn timeout(&self) -> Option<Instant> {
        let requests = self.requests.iter().map(|request| request.next);
        let State::Allocated(renew) = self.state else { return requests.min() };
        // What is being renewed has the timer of its request.
        let renew = Some(renew).filter(|_| !self.asks(Wish::Refresh));
        let channels = self.channels.iter().enumerate().filter_map(|(index, channel)| match channel.state {
            Bound::Until(at) if !self.asks(Wish::Bind(index)) => Some(at),
            _ => None,
        });
        requests.chain(channels).chain(renew).chain(self.used.map(|at| at + IDLE)).min()
    }

    pub fn tick(&mut self, now: Instant) {
        self.now = Some(now);
        self.repeat(now);
        let State::Allocated(renew) = self.state else { return };
        if self.used.is_none_or(|at| at + IDLE <= now) {
            return self.release();
        }
        if renew <= now {
            self.ask(now, Wish::Refresh, 0);
        }
        for index in 0..self.channels.len() {
            if matches!(self.channels[index].state, Bound::Until(at) if at <= now) {
                self.ask(now, Wish::Bind(index), 0);
            }
        }
    }

    /// Gives the allocation back. Lost on the way, it ends by itself.
    pub fn release(&mut self) {
        if let State::Allocated(_) = self.state {
            self.give_back();
        }
        self.forget();
    }

    fn give_back(&mut self) -> Vec<u8> {
        let (bytes, _) = self.request(REFRESH, |request| request.attribute(stun::LIFETIME, &[0; 4]));
        self.send(bytes.clone());
        bytes
    }

    /// The next datagram for the server.
    pub fn poll_send(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    fn channel(&mut self, now: Instant, peer: SocketAddr) -> Option<u16> {
        let known = self.channels.iter().position(|channel| channel.peer == peer);
        if let Some(index) = known {
            return matches!(self.channels[index].state, Bound::Until(_)).then_some(CHANNELS + index as u16);
        }
        if self.channels.len() < CHANNELS_MAX {
            self.channels.push(Channel { peer, state: Bound::Asked });
            self.ask(now, Wish::Bind(self.channels.len() - 1), 0);
        }
        None
    }

    fn asks(&self, wish: Wish) -> bool {
        self.requests.iter().any(|request| request.wish == wish)
    }

    /// Asks for something, unless that is being asked for.
    fn ask(&mut self, now: Instant, wish: Wish, challenges: u8) {
        if self.asks(wish) {
            return;
        }
        let (bytes, transaction) = match wish {
            Wish::Allocate => self.request(ALLOCATE, |request| request.attribute(stun::REQUESTED_TRANSPORT, &UDP)),
            Wish::Refresh => self.request(REFRESH, |request| request),
            Wish::Bind(index) => {
                let [high, low] = (CHANNELS + index as u16).to_be_bytes();
                let peer = self.channels[index].peer;
                self.request(CHANNEL_BIND, |request| {
                    let request = request.attribute(stun::CHANNEL_NUMBER, &[high, low, 0, 0]);
                    request.address(stun::XOR_PEER_ADDRESS, peer)
                })
            }
        };
        let next = now + FIRST_RETRY;
        self.requests.push(Request { wish, transaction, bytes: bytes.clone(), next, tries: 1, challenges });
        self.send(bytes);
    }

    fn request(&self, method: u16, fill: impl FnOnce(Builder) -> Builder) -> (Vec<u8>, TransactionId) {
        let transaction: TransactionId = rand::random();
        let request = fill(Builder::new(method, &transaction));
        let bytes = match &self.login {
            None => request.finish_open(),
            Some(login) => request
                .attribute(stun::USERNAME, self.server.username.as_bytes())
                .attribute(stun::REALM, &login.realm)
                .attribute(stun::NONCE, &login.nonce)
                .finish_with(&login.key),
        };
        (bytes, transaction)
    }

    fn send(&mut self, bytes: Vec<u8>) {
        if self.out.len() < MAX_QUEUE {
            self.out.push_back(bytes);
        } else {
            self.dropped += 1;
        }
    }

    fn repeat(&mut self, now: Instant) {
        let mut due = Vec::new();
        for request in self.requests.iter_mut().filter(|request| request.next <= now) {
            if request.tries >= MAX_TRIES {
                return self.fail(now, "no answer");
            }
            request.next = now + FIRST_RETRY * (1 << request.tries);
            request.tries += 1;
            due.push(request.bytes.clone());
        }
        due.into_iter().for_each(|bytes| self.send(bytes));
    }

    fn answered(&mut self, now: Instant, message: &Message<'_>) {
        let answers = |request: &Request| request.transaction == message.transaction;
        let Some(at) = self.requests.iter().position(answers) else { return };
        let success = message.kind == self.requests[at].wish.method() | SUCCESS;
        // What the server says without a proof can only be that it wants one.
        let authentic = self.login.as_ref().is_some_and(|login| message.verify_with(&login.key));
        let challenge = matches!(message.error, UNAUTHENTICATED | STALE_NONCE);
        if !(success || message.kind == self.requests[at].wish.method() | ERROR) || (success && !authentic) {
            return;
        }
        let request = self.requests.swap_remove(at);
        self.heard = Some(now);
        match request.wish {
            _ if !success && challenge => self.challenged(now, &request, message),
            Wish::Allocate if !success && message.error == ALLOCATION_MISMATCH => {
                if request.challenges >= MAX_CHALLENGES {
                    return self.fail(now, "it does not let go of an allocation that we know nothing of");
                }
                match self.parting.clone() {
                    // Giving it back was lost on the way.
                    Some(parting) => self.send(parting),
                    // Ours from before an outage: it still keeps it.
                    None => drop(self.give_back()),
                }
                self.ask(now, Wish::Allocate, request.challenges + 1);
            }
            _ if !success && message.error == ALLOCATION_MISMATCH => {
                // It forgot us, or our connection to it is another one.
                self.forget();
                self.state = State::Asked;
                self.ask(now, Wish::Allocate, 0);
            }
            Wish::Bind(index) => {
                let state = if success { Bound::Until(now + RENEW) } else { Bound::Refused };
                self.channels[index].state = state;
            }
            _ if !success => self.fail(now, &format!("error {}", message.error)),
            Wish::Allocate | Wish::Refresh => {
                self.parting = None;
                let lifetime = message.lifetime.map_or(LIFETIME, |s| Duration::from_secs(s.into())).min(LIFETIME);
                self.state = State::Allocated(now + lifetime.saturating_sub(MARGIN).max(lifetime / 2).max(RENEW_MIN));
            }
        }
    }

    fn challenged(&mut self, now: Instant, request: &Request, message: &Message<'_>) {
        let usable = |text: &&[u8]| (1..=TEXT_MAX).contains(&text.len());
        let known = self.login.as_ref().map(|login| &login.realm[..]);
        let (realm, nonce) = (message.realm.or(known).filter(usable), message.nonce.filter(usable));
        let (Some(realm), Some(nonce)) = (realm, nonce) else {
            return self.fail(now, "it wants a login without saying which");
        };
        // The same question after an answer: the answer is wrong.
        let refused = message.error == UNAUTHENTICATED && self.login.is_some();
        if refused || request.challenges >= MAX_CHALLENGES {
            return self.fail(now, "the credentials are refused");
        }
        let TurnServer { username, password, .. } = &self.server;
        let key = stun::long_term_key(username.as_bytes(), realm, password.as_bytes());
        self.login = Some(Login { realm: realm.to_vec(), nonce: nonce.to_vec(), key });
        self.ask(now, request.wish, request.challenges + 1);
    }

    fn fail(&mut self, now: Instant, reason: &str) {
        log::debug!("TURN server {}: {reason}", plain(self.server.address));
        self.forget();
        self.state = State::Failed(now + PAUSE);
    }

    fn forget(&mut self) {
        self.state = State::Idle;
        self.login = None;
        self.channels.clear();
        self.requests.clear();
        self.heard = None;
    }
}

impl Wish {
    fn method(self) -> u16 {
        match self {
            Self::Allocate => ALLOCATE,
            Self::Refresh => REFRESH,
            Self::Bind(_) => CHANNEL_BIND,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
