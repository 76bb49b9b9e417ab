//! ICE (RFC 8445) on one host socket: what the lite and the full agent share.
mod full;
mod lite;

use crate::stun::{self, Builder, Message};
use crate::types::IceRole;
use full::Full;
use lite::Lite;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Without an authenticated message for so long the path is dead (RFC 7675 says 30 s; calls cannot wait).
pub(crate) const DEAD_AFTER: Duration = Duration::from_secs(15);
/// Datagrams waiting to be sent.
const MAX_QUEUE: usize = 128;

/// A user name fragment and its password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub ufrag: String,
    pub password: String,
}

impl Credentials {
    pub fn random() -> Self {
        Self { ufrag: random_text(8), password: random_text(24) }
    }
}

fn random_text(length: usize) -> String {
    const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/";
    (0..length).map(|_| char::from(ALPHABET[usize::from(rand::random::<u8>() & 63)])).collect()
}

/// What both agents need.
struct Shared {
    /// Newest last; two are kept, so that a restart never interrupts media.
    local: Vec<Credentials>,
    /// Of the newest local credentials: how often ICE was restarted.
    generation: usize,
    remote: Option<Credentials>,
    path: Option<SocketAddr>,
    out: VecDeque<(SocketAddr, Vec<u8>)>,
    last_heard: Option<Instant>,
    /// A restart is under way and not verified yet.
    restarting: bool,
    bad: u64,
    dropped: u64,
    moves: u64,
    round_trip: Option<Duration>,
}

impl Shared {
    fn newest(&self) -> &Credentials {
        self.local.last().expect("never empty")
    }

    fn send(&mut self, to: SocketAddr, datagram: Vec<u8>) {
        if self.out.len() < MAX_QUEUE {
            self.out.push_back((to, datagram));
        } else {
            self.dropped += 1;
        }
    }

    fn select(&mut self, address: SocketAddr) {
        if self.path != Some(address) {
            self.moves += u64::from(self.path.is_some());
            self.path = Some(address);
        }
    }

    /// The password of an authenticated request, and the generation of its credentials.
    fn authenticate(&mut self, message: &Message<'_>) -> Option<(String, usize)> {
        let ufrag = message.receiver_ufrag().unwrap_or_default();
        let found = self.local.iter().rposition(|local| local.ufrag == ufrag && message.verify(&local.password));
        let Some(at) = found else {
            self.bad += 1;
            return None;
        };
        Some((self.local[at].password.clone(), self.generation + 1 + at - self.local.len()))
    }

    fn respond(&mut self, to: SocketAddr, message: &Message<'_>, password: &str) {
        let response = Builder::new(stun::SUCCESS, &message.transaction).mapped_address(to).finish(password);
        self.send(to, response);
    }

    fn refuse_role(&mut self, to: SocketAddr, message: &Message<'_>, password: &str) {
        let response = Builder::new(stun::ERROR, &message.transaction).error(stun::ROLE_CONFLICT, "Role Conflict");
        self.send(to, response.finish(password));
    }
}

enum Agent {
    Lite(Lite),
    Full(Full),
}

/// The ICE agent of a peer.
pub(crate) struct Ice {
    shared: Shared,
    agent: Agent,
}

impl Ice {
    pub fn new(role: IceRole) -> Self {
        let shared = Shared {
            local: vec![Credentials::random()],
            generation: 0,
            remote: None,
            path: None,
            out: VecDeque::new(),
            last_heard: None,
            restarting: false,
            bad: 0,
            dropped: 0,
            moves: 0,
            round_trip: None,
        };
        let agent = match role {
            IceRole::Lite => Agent::Lite(Lite::default()),
            IceRole::Controlling => Agent::Full(Full::new(true)),
            IceRole::Controlled => Agent::Full(Full::new(false)),
        };
        Self { shared, agent }
    }

    pub fn is_lite(&self) -> bool {
        matches!(self.agent, Agent::Lite(_))
    }

    /// Newest local credentials.
    pub fn local(&self) -> &Credentials {
        self.shared.newest()
    }

    /// Whether a request with this ufrag is for us; old credentials stay valid during a restart.
    pub fn owns(&self, ufrag: &str) -> bool {
        self.shared.local.iter().any(|local| local.ufrag == ufrag)
    }

    /// New local credentials beside the present ones.
    pub fn restart(&mut self) {
        self.shared.local.push(Credentials::random());
        self.shared.generation += 1;
        if self.shared.local.len() > 2 {
            self.shared.local.remove(0);
        }
        self.shared.restarting = self.shared.path.is_some();
    }

    /// Credentials of the other side. True when they replace others: it restarted ICE.
    pub fn set_remote(&mut self, now: Instant, remote: Credentials) -> bool {
        let restarted = self.shared.remote.as_ref().is_some_and(|known| *known != remote);
        self.shared.remote = Some(remote);
        if restarted {
            self.shared.last_heard = self.shared.last_heard.map(|_| now);
        }
        if let Agent::Full(full) = &mut self.agent {
            full.remote_changed(now, self.shared.newest().clone(), restarted);
        }
        restarted
    }

    /// The other side is lite: only we can nominate.
    pub fn remote_is_lite(&mut self) {
        if let Agent::Full(full) = &mut self.agent {
            full.take_control();
        }
    }

    pub fn add_remote_candidate(&mut self, now: Instant, address: SocketAddr) {
        if let Agent::Full(full) = &mut self.agent {
            full.add_pair(now, address);
        }
    }

    /// A datagram that looks like STUN.
    pub fn feed(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let Some(message) = Message::parse(datagram) else {
            self.shared.bad += 1;
            return;
        };
        match &mut self.agent {
            Agent::Lite(lite) => lite.feed(&mut self.shared, now, from, &message),
            Agent::Full(full) => full.feed(&mut self.shared, now, from, &message),
        }
    }

    /// Media from a validated address shows that the other side lives; a lite agent makes no checks of its own.
    pub fn heard_media(&mut self, now: Instant) {
        if self.is_lite() {
            self.shared.last_heard = Some(now);
        }
    }

    /// Whether the address passed an authenticated check.
    pub fn is_validated(&self, address: SocketAddr) -> bool {
        match &self.agent {
            Agent::Lite(lite) => lite.is_validated(address),
            Agent::Full(full) => full.is_validated(address),
        }
    }

    /// Where datagrams go.
    pub fn path(&self) -> Option<SocketAddr> {
        self.shared.path
    }

    /// When the other side was last heard; `None` after [`Self::give_up`].
    pub fn heard_at(&self) -> Option<Instant> {
        self.shared.last_heard
    }

    /// A restart is announced but not verified.
    pub fn is_restarting(&self) -> bool {
        self.shared.restarting
    }

    pub fn is_dead(&self, now: Instant) -> bool {
        self.dead_at().is_some_and(|at| at <= now)
    }

    pub fn timeout(&self) -> Option<Instant> {
        let checks = match &self.agent {
            Agent::Full(full) if self.shared.remote.is_some() => full.timeout(),
            _ => None,
        };
        checks.into_iter().chain(self.dead_at()).min()
    }

    pub fn tick(&mut self, now: Instant) {
        if let Agent::Full(full) = &mut self.agent {
            full.tick(&mut self.shared, now);
        }
    }

    /// No more checks until the other side is heard of or restarts; the death is told once.
    pub fn give_up(&mut self) {
        self.shared.last_heard = None;
        if let Agent::Full(full) = &mut self.agent {
            full.stop();
        }
    }

    pub fn poll_send(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.shared.out.pop_front()
    }

    pub fn round_trip(&self) -> Option<Duration> {
        self.shared.round_trip
    }

    /// Bad messages, dropped datagrams, path moves.
    pub fn counters(&self) -> (u64, u64, u64) {
        (self.shared.bad, self.shared.dropped, self.shared.moves)
    }

    fn dead_at(&self) -> Option<Instant> {
        self.shared.path?;
        Some(self.shared.last_heard? + DEAD_AFTER)
    }
}

#[cfg(test)]
mod tests;
