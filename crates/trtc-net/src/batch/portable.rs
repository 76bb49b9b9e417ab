//! A system call for each datagram, where the batches of Linux do not exist.
use super::queue::Slot;
use super::{BATCH, BatchCounters, DATAGRAM_MAX, Receiver, UdpSocket, canonical};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// No trains.
pub(super) const TRAIN_MAX: usize = 1;

impl Receiver {
    /// Allocates all buffers.
    #[must_use]
    pub fn new() -> Self {
        Self { buffers: vec![0; DATAGRAM_MAX], counters: BatchCounters::default() }
    }

    /// Takes at most one batch, a system call each. Returns how many datagrams came.
    ///
    /// # Errors
    /// Those of `recvfrom`; an empty socket is `Ok(0)`.
    pub fn receive(
        &mut self,
        socket: &UdpSocket,
        mut f: impl FnMut(SocketAddr, Option<IpAddr>, &mut [u8]),
    ) -> io::Result<usize> {
        let mut taken = 0;
        while taken < BATCH {
            self.counters.calls += 1;
            match socket.recv_from(&mut self.buffers) {
                Ok((length, from)) => {
                    taken += 1;
                    self.counters.datagrams += 1;
                    self.counters.bytes += length as u64;
                    f(canonical(from), None, &mut self.buffers[..length]);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // Some systems report an unreachable peer, or a datagram that was too long, here.
                Err(_) => {
                    taken += 1;
                    self.counters.dropped += 1;
                }
            }
        }
        Ok(taken)
    }
}

pub(super) fn send(socket: &UdpSocket, slots: &[Slot], _: &[usize]) -> io::Result<usize> {
    match slots.first() {
        Some(Slot { to, data, .. }) => socket.send_to(data, *to).map(|_| 1),
        None => Ok(0),
    }
}
