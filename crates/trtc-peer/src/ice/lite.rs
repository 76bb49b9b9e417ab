//! ICE-lite: answers checks, never makes any (RFC 8445 2.5).
use super::Shared;
use crate::stun::{self, Message};
use std::net::SocketAddr;
use std::time::Instant;

/// Addresses that passed a check; the one unheard for longest makes room.
const MAX_VALIDATED: usize = 8;

/// State of the lite agent.
#[derive(Default)]
pub(super) struct Lite {
    validated: Vec<(SocketAddr, Instant)>,
    /// Of the credentials that the path was nominated with.
    generation: usize,
}

impl Lite {
    pub fn feed(&mut self, shared: &mut Shared, now: Instant, from: SocketAddr, message: &Message<'_>) {
        if message.kind != stun::REQUEST {
            return;
        }
        let Some((password, generation)) = shared.authenticate(message) else { return };
        if message.controlled.is_some() {
            // a lite agent is always controlled
            shared.refuse_role(from, message, &password);
            return;
        }
        shared.respond(from, message, &password);
        shared.last_heard = Some(now);
        self.remember(now, from, shared.path);
        // The first verified address opens the path, a nomination moves it; nothing leads back to an older generation. libwebrtc
        // may stay with its pair of before a restart, whose address changes with the host's.
        if shared.path.is_none() || (message.use_candidate && generation >= self.generation) {
            shared.select(from);
            self.generation = generation;
        }
        if generation == shared.generation {
            shared.restarting = false;
        }
    }

    pub fn is_validated(&self, address: SocketAddr) -> bool {
        self.validated.iter().any(|(known, _)| *known == address)
    }

    fn remember(&mut self, now: Instant, address: SocketAddr, path: Option<SocketAddr>) {
        if let Some((_, heard)) = self.validated.iter_mut().find(|(known, _)| *known == address) {
            *heard = now;
            return;
        }
        if self.validated.len() >= MAX_VALIDATED {
            let oldest = (0..self.validated.len())
                .filter(|at| Some(self.validated[*at].0) != path)
                .min_by_key(|at| self.validated[*at].1);
            if let Some(oldest) = oldest {
                self.validated.swap_remove(oldest);
            }
        }
        self.validated.push((address, now));
    }
}
