//! Full ICE on one host socket: checks, nomination, peer-reflexive candidates, consent, role conflicts.
use super::{Credentials, Shared};
use crate::stun::{self, Builder, Message, TransactionId};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

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
/// Priority of a peer-reflexive candidate (RFC 8445 5.1.2: type preference 110).
const PRIORITY: u32 = 0x6e00_1eff;

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
            next: Some(now),
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
                self.check(shared, now, at);
            }
        }
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
            .attribute(stun::PRIORITY, &PRIORITY.to_be_bytes())
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
            if shared.path.is_none() {
                // the first success carries DTLS at once; the nomination follows
                shared.select(from);
            } else if first && shared.restarting {
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
        let fresh = |pair: &Pair| pair.valid && pair.answered.is_some_and(|at| now < at + PATH_STALE);
        let Some(path) = shared.path.filter(|_| self.controlling) else { return };
        if self.pairs.iter().any(|pair| pair.address == path && fresh(pair)) {
            return;
        }
        if let Some(pair) = self.pairs.iter_mut().find(|pair| fresh(pair)) {
            shared.select(pair.address);
            pair.check_at(now);
        }
    }
}

impl Pair {
    fn check_at(&mut self, now: Instant) {
        self.tries = 0;
        self.next = Some(now);
    }
}
