//! Full ICE on one host socket: checks, nomination, peer-reflexive candidates, consent, role conflicts. Pairs that are no plain
//! UDP wait a moment, and are not tried at all while a better one works.
use super::{Credentials, Shared};
use crate::stun::{self, Builder, Message, TransactionId};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use trtc_types::Way;

const FIRST_RETRY: Duration = Duration::from_millis(50);
/// The retry interval doubles this many times, to 800 ms.
const MAX_DOUBLINGS: u32 = 4;
/// Checks without an answer until a pair is given up (7 s). The path is checked until it is declared dead: a lite agent
/// would never bring it back by itself.
const MAX_TRIES: u32 = 12;
const CONSENT_INTERVAL: Duration = Duration::from_millis(2500);
/// A path silent for so long loses against a pair that answers.
const PATH_STALE: Duration = Duration::from_secs(5);
const MAX_PAIRS: usize = 32;
/// Outstanding checks of a pair whose answers still count: retries are faster than slow round trips.
const MAX_OUTSTANDING: usize = 8;
/// What UDP gets before TCP is tried (RFC 6544 leaves the choice): four checks on a way of 100 ms.
const TCP_AFTER: Duration = Duration::from_millis(400);
/// What they get before the first relay is tried, and this before the next.
const RELAY_AFTER: Duration = Duration::from_millis(800);
/// Priorities of peer-reflexive candidates (RFC 8445 5.1.2): type preference 110 over UDP, 80 over TCP (less than any of UDP,
/// RFC 6544 4.2; the value of libwebrtc), 2 through a relay.
const PRIORITIES: [u32; 3] = [0x6e00_1eff, 0x5000_1eff, 0x0200_1eff];

/// State of the full agent.
pub(super) struct Full {
    controlling: bool,
    tie_breaker: u64,
    /// Local credentials that our checks name: those that the other side knows.
    checking_with: Option<Credentials>,
    pairs: Vec<Pair>,
}

struct Pair {
    address: SocketAddr,
    outstanding: VecDeque<Check>,
    next: Option<Instant>,
    tries: u32,
    /// A check of this generation was answered.
    valid: bool,
    /// An authenticated message came from there, in any generation.
    heard: bool,
    /// The other side nominated it in this generation.
    nominated: bool,
    answered: Option<Instant>,
}

struct Check {
    transaction: TransactionId,
    sent: Instant,
    nominating: bool,
    controlling: bool,
}

impl Full {
    pub fn new(controlling: bool) -> Self {
        Self { controlling, tie_breaker: rand::random(), checking_with: None, pairs: Vec::new() }
    }

    pub fn take_control(&mut self) {
        self.controlling = true;
    }

    pub fn remote_changed(&mut self, now: Instant, local: Credentials, restarted: bool) {
        let renewed = self.checking_with.as_ref().is_some_and(|known| *known != local);
        self.checking_with = Some(local);
        if restarted || renewed {
            self.pairs.retain(|pair| pair.heard);
            for pair in &mut self.pairs {
                pair.valid = false;
                pair.nominated = false;
                pair.outstanding.clear();
                pair.check_at(now);
            }
        }
    }

    pub fn add_pair(&mut self, now: Instant, address: SocketAddr) {
        if self.pairs.iter().any(|pair| pair.address == address) {
            return;
        }
        if self.pairs.len() >= MAX_PAIRS {
            // room only at the expense of a pair that never worked and was tried out
            let Some(hopeless) = self.pairs.iter().position(|pair| !pair.heard && pair.tries >= MAX_TRIES) else {
                return;
            };
            self.pairs.swap_remove(hopeless);
        }
        self.pairs.push(Pair {
            address,
            outstanding: VecDeque::new(),
            next: Some(now + delay(address)),
            tries: 0,
            valid: false,
            heard: false,
            nominated: false,
            answered: None,
        });
    }

    pub fn is_validated(&self, address: SocketAddr) -> bool {
        self.pairs.iter().any(|pair| pair.address == address && pair.heard)
    }

    pub fn feed(&mut self, shared: &mut Shared, now: Instant, from: SocketAddr, message: &Message<'_>) {
        match message.kind {
            stun::REQUEST => self.request(shared, now, from, message),
            stun::SUCCESS => self.success(shared, now, from, message),
            stun::ERROR if message.error == stun::ROLE_CONFLICT => self.conflict(shared, now, from, message),
            _ => {}
        }
        self.tick(shared, now);
    }

    pub fn timeout(&self) -> Option<Instant> {
        self.pairs.iter().filter_map(|pair| pair.next).min()
    }

    pub fn stop(&mut self) {
        self.pairs.iter_mut().for_each(|pair| pair.next = None);
    }

    pub fn tick(&mut self, shared: &mut Shared, now: Instant) {
        self.leave_stale_path(shared, now);
        for at in 0..self.pairs.len() {
            if self.pairs[at].next.is_some_and(|next| next <= now) {
                if self.is_spare(now, at) {
                    self.pairs[at].next = Some(now + CONSENT_INTERVAL);
                } else {
                    self.check(shared, now, at);
                }
            }
        }
    }

    /// A better pair works. The way of this one is not kept open for nothing.
    fn is_spare(&self, now: Instant, at: usize) -> bool {
        let rank_here = rank(self.pairs[at].address);
        rank_here > 0 && self.pairs.iter().any(|pair| rank(pair.address) < rank_here && pair.is_fresh(now))
    }

    fn check(&mut self, shared: &mut Shared, now: Instant, at: usize) {
        let (Some(remote), Some(local)) = (&shared.remote, &self.checking_with) else { return };
        let pair = &mut self.pairs[at];
        let on_path = shared.path == Some(pair.address);
        if pair.tries >= MAX_TRIES && !on_path {
            pair.next = None;
            return;
        }
        let nominating = self.controlling && pair.valid && on_path;
        let transaction: TransactionId = rand::random();
        let role = if self.controlling { stun::ICE_CONTROLLING } else { stun::ICE_CONTROLLED };
        let mut request = Builder::new(stun::REQUEST, &transaction)
            .attribute(stun::USERNAME, format!("{}:{}", remote.ufrag, local.ufrag).as_bytes())
            .attribute(stun::PRIORITY, &PRIORITIES[rank(pair.address).min(2)].to_be_bytes())
            .attribute(role, &self.tie_breaker.to_be_bytes());
        if nominating {
            request = request.attribute(stun::USE_CANDIDATE, &[]);
        }
        let datagram = request.finish(&remote.password);
        pair.outstanding.truncate(MAX_OUTSTANDING - 1);
        let controlling = self.controlling;
        pair.outstanding.push_front(Check { transaction, sent: now, nominating, controlling });
        pair.next = Some(now + FIRST_RETRY * (1 << pair.tries.min(MAX_DOUBLINGS)));
        pair.tries += 1;
        let address = pair.address;
        shared.send(address, datagram);
    }

    fn request(&mut self, shared: &mut Shared, now: Instant, from: SocketAddr, message: &Message<'_>) {
        let Some((password, generation)) = shared.authenticate(message) else { return };
        if !self.settle_roles(shared, from, message, &password) {
            return;
        }
        shared.respond(from, message, &password);
        shared.last_heard = Some(now);
        self.add_pair(now, from);
        let Some(pair) = self.pairs.iter_mut().find(|pair| pair.address == from) else { return };
        pair.heard = true;
        pair.nominated |= message.use_candidate && generation == shared.generation;
        // A triggered check. While controlled and not nominated every request is answered with one: pion (LiveKit)
        // nominates on it, else only on its 200 ms tick.
        if !pair.valid || (!self.controlling && !pair.nominated) {
            pair.check_at(now);
        }
        if pair.valid && pair.nominated && message.use_candidate && !self.controlling {
            shared.select(from);
            shared.restarting = false;
        }
    }

    /// RFC 8445 7.3.1.1. False: refused, the other side has to change.
    fn settle_roles(&mut self, shared: &mut Shared, from: SocketAddr, message: &Message<'_>, password: &str) -> bool {
        let claimed = if self.controlling { message.controlling } else { message.controlled };
        let Some(theirs) = claimed else { return true };
        let we_keep = self.tie_breaker >= theirs;
        if we_keep == self.controlling {
            shared.refuse_role(from, message, password);
            return false;
        }
        self.controlling = !self.controlling;
        true
    }

    fn success(&mut self, shared: &mut Shared, now: Instant, from: SocketAddr, message: &Message<'_>) {
        let Some((at, check)) = self.take_check(shared, from, message) else { return };
        let pair = &mut self.pairs[at];
        let first = !pair.valid;
        pair.valid = true;
        pair.heard = true;
        pair.tries = 0;
        pair.answered = Some(now);
        pair.next = Some(now + CONSENT_INTERVAL);
        let sample = now.saturating_duration_since(check.sent);
        shared.round_trip = Some(shared.round_trip.map_or(sample, |known| (known * 3 + sample) / 4));
        shared.last_heard = Some(now);
        if self.controlling {
            // the first success carries DTLS at once, and a new generation takes over; the nomination follows
            let is_better = |path| rank(from) < rank(path) + usize::from(shared.restarting);
            if shared.path.is_none_or(|path| first && is_better(path)) {
                shared.select(from);
            }
            if check.nominating {
                shared.restarting = false;
            } else if shared.path == Some(from) {
                pair.next = Some(now);
            }
        } else if pair.nominated {
            // a controlled agent waits for the nomination: pion drops DTLS that comes before it
            shared.select(from);
            shared.restarting = false;
        }
    }

    fn conflict(&mut self, shared: &mut Shared, now: Instant, from: SocketAddr, message: &Message<'_>) {
        let Some((at, check)) = self.take_check(shared, from, message) else { return };
        if check.controlling == self.controlling {
            self.controlling = !self.controlling;
        }
        self.pairs[at].check_at(now);
    }

    /// The check that an authenticated response answers.
    fn take_check(&mut self, shared: &mut Shared, from: SocketAddr, message: &Message<'_>) -> Option<(usize, Check)> {
        let password = &shared.remote.as_ref()?.password;
        let at = self.pairs.iter().position(|pair| pair.address == from)?;
        let outstanding = &mut self.pairs[at].outstanding;
        let which = outstanding.iter().position(|check| check.transaction == message.transaction)?;
        if !message.verify(password) {
            shared.bad += 1;
            return None;
        }
        let check = outstanding.remove(which)?;
        Some((at, check))
    }

    /// Moves to a pair that answers when the path does not (any more) and we may nominate.
    fn leave_stale_path(&mut self, shared: &mut Shared, now: Instant) {
        let Some(path) = shared.path.filter(|_| self.controlling) else { return };
        if self.pairs.iter().any(|pair| pair.address == path && pair.is_fresh(now)) {
            return;
        }
        let fresh = self.pairs.iter_mut().filter(|pair| pair.is_fresh(now));
        if let Some(pair) = fresh.min_by_key(|pair| rank(pair.address)) {
            shared.select(pair.address);
            pair.check_at(now);
        }
    }
}

/// 0 is the best way.
fn rank(address: SocketAddr) -> usize {
    match Way::of(address) {
        Way::Udp => 0,
        Way::Tcp | Way::TurnTcp | Way::TurnTls => 1,
        Way::Relay(number) => 2 + usize::from(number),
    }
}

/// How long better ways have it for themselves.
fn delay(address: SocketAddr) -> Duration {
    match Way::of(address) {
        Way::Udp => Duration::ZERO,
        Way::Tcp | Way::TurnTcp | Way::TurnTls => TCP_AFTER,
        Way::Relay(number) => RELAY_AFTER * (u32::from(number) + 1),
    }
}

impl Pair {
    /// It answered lately.
    fn is_fresh(&self, now: Instant) -> bool {
        self.valid && self.answered.is_some_and(|at| now < at + PATH_STALE)
    }

    fn check_at(&mut self, now: Instant) {
        self.tries = 0;
        self.next = Some(now);
    }
}
