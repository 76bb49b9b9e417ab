//! Datagrams on their way out. Consecutive ones to one address become a train, which the kernel takes as one datagram and cuts
//! as late as it can (`UDP_SEGMENT`): the way through its layers is most of what sending costs.
use super::{BatchCounters, DATAGRAM_MAX, QUEUE, TRAIN_MAX, send};
use mio::net::UdpSocket;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Bytes of a train: what fits into one datagram of IPv4 with options.
const TRAIN_BYTES: usize = 65_000;
/// So many trains in a row that only went out one by one, and no more are made: a kernel or a device without that ability.
const REFUSALS_MAX: u8 = 16;

/// Send buffers, usable with any socket; flush before changing the socket.
#[derive(Default)]
pub struct SendQueue {
    slots: Vec<Slot>,
    used: usize,
    /// Datagrams of each train; the last one may still grow.
    trains: Vec<usize>,
    refusals: u8,
    /// Sent so far.
    pub counters: BatchCounters,
}

pub(super) struct Slot {
    pub(super) to: SocketAddr,
    /// The address of ours that it leaves from, where the kernel shall not choose.
    pub(super) source: Option<IpAddr>,
    pub(super) data: Vec<u8>,
}

impl SendQueue {
    /// Its buffers come with their first use and stay.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues a datagram; see [`super::UdpSender::push`].
    pub fn push(&mut self, socket: &UdpSocket, to: SocketAddr, fill: impl FnOnce(&mut Vec<u8>)) {
        self.push_from(socket, None, to, fill);
    }

    /// Queues a datagram that leaves from this address of ours.
    pub(super) fn push_from(
        &mut self,
        socket: &UdpSocket,
        source: Option<IpAddr>,
        to: SocketAddr,
        fill: impl FnOnce(&mut Vec<u8>),
    ) {
        if self.used == QUEUE {
            self.flush(socket);
        }
        if self.used == self.slots.len() {
            self.slots.push(Slot { to, source, data: Vec::with_capacity(DATAGRAM_MAX) });
        }
        let slot = &mut self.slots[self.used];
        (slot.to, slot.source) = (to, source);
        slot.data.clear();
        fill(&mut slot.data);
        if slot.data.is_empty() {
            return;
        }
        let longer = self.continues();
        match self.trains.last_mut().filter(|_| longer) {
            Some(datagrams) => *datagrams += 1,
            None => self.trains.push(1),
        }
        self.used += 1;
    }

    /// Does the new datagram belong to the last train? All of a train have one length, only its last may be shorter.
    fn continues(&self) -> bool {
        let Some(&datagrams) = self.trains.last() else { return false };
        let (train, new) = (&self.slots[self.used - datagrams..self.used], &self.slots[self.used]);
        let (first, last) = (&train[0], &train[datagrams - 1]);
        self.refusals < REFUSALS_MAX
            && datagrams < TRAIN_MAX
            && (first.to, first.source) == (new.to, new.source)
            && first.data.len() == last.data.len()
            && first.data.len() >= new.data.len()
            && first.data.len() * (datagrams + 1) <= TRAIN_BYTES
    }

    /// Sends what is queued; see [`super::UdpSender::flush`].
    pub fn flush(&mut self, socket: &UdpSocket) {
        let (mut first, mut train, mut one_by_one) = (0, 0, false);
        while first < self.used {
            self.counters.calls += 1;
            let datagrams = self.trains[train];
            match send(socket, &self.slots[first..self.used], &self.trains[train..]) {
                Ok(sent) if sent > 0 => {
                    let sent = &self.trains[train..train + sent];
                    let datagrams: usize = sent.iter().sum();
                    let gone = &self.slots[first..first + datagrams];
                    self.counters.bytes += gone.iter().map(|slot| slot.data.len() as u64).sum::<u64>();
                    self.counters.datagrams += datagrams as u64;
                    if std::mem::take(&mut one_by_one) {
                        self.refusals = self.refusals.saturating_add(1);
                    } else if sent.iter().any(|datagrams| *datagrams > 1) {
                        self.refusals = 0;
                    }
                    train += sent.len();
                    first += datagrams;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.counters.dropped += (self.used - first) as u64;
                    break;
                }
                // The error belongs to the first train. A path with a small MTU is one reason.
                _ if datagrams > 1 => {
                    self.trains.splice(train..=train, std::iter::repeat_n(1, datagrams));
                    one_by_one = true;
                }
                // An unreachable address must not hold up the others.
                _ => {
                    // Cutting was not what failed.
                    one_by_one = false;
                    self.counters.dropped += 1;
                    train += 1;
                    first += 1;
                }
            }
        }
        self.used = 0;
        self.trains.clear();
    }
}
