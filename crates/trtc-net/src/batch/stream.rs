//! ICE over TCP (RFC 6544), the side that listens: datagrams behind a length of two bytes (RFC 4571), beside the UDP socket and
//! served by the same wait. A connection has a label that stands for the sender's address in all that is above; who reads too
//! slowly loses datagrams, as on a full path, and costs no more memory than a second of video.
use super::{BATCH, DATAGRAM_MAX};
use crate::frames::{CHUNK, KERNEL_OUTPUT, Output};
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::SockRef;
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

/// Tokens of the connections begin here.
pub(super) const FIRST_TOKEN: usize = 16;
const SWEEP: Duration = Duration::from_secs(1);
/// Mostly no file descriptor is left; some come back soon.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Shortest STUN message.
const STUN_MIN: usize = 20;

/// What a listener takes on.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// Connections at the same time. One that proved nothing makes room for a new one.
    pub connections: usize,
    /// Connections from one IP address (IPv6: one network of 64 bits).
    pub per_address: usize,
    /// A connection must have been answered within this time: only authentic STUN is.
    pub proof: Duration,
    /// A connection that sends nothing for so long is closed. ICE asks every few seconds.
    pub idle: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self { connections: 4096, per_address: 256, proof: Duration::from_secs(10), idle: Duration::from_secs(30) }
    }
}

/// What went through TCP connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Connections now.
    pub open: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once: too many, in all or of one address.
    pub refused: u64,
    /// Connections closed because they sent what is no framed STUN, DTLS or media.
    pub garbage: u64,
    /// Connections closed because they proved nothing in time, or fell silent.
    pub timeouts: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Datagrams queued for readers.
    pub datagrams_out: u64,
    /// Datagrams dropped because their reader was too slow or gone.
    pub dropped: u64,
}

/// Whether an address is the label of a TCP connection.
#[must_use]
pub fn is_stream(address: &SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(v6) if v6.flowinfo() != 0)
}

/// What limits by address count by: an IPv4 address, or the 64 bits of IPv6 that one host chooses its addresses from.
#[must_use]
pub fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        ip => ip,
    }
}

/// All connections of one listener.
pub(super) struct Streams {
    listener: TcpListener,
    registry: Registry,
    limits: StreamLimits,
    slots: Vec<Option<Stream>>,
    /// Connections by address.
    addresses: HashMap<IpAddr, usize>,
    /// Readiness is edge-triggered: connections that may have more.
    readable: Vec<usize>,
    acceptable: bool,
    accept_again: Option<Instant>,
    sweep: Option<Instant>,
    /// Connections with something to send.
    waiting: Vec<usize>,
    generation: u16,
    scratch: Vec<u8>,
    frame: Vec<u8>,
    pub(super) counters: StreamCounters,
}

struct Stream {
    tcp: TcpStream,
    ip: IpAddr,
    label: SocketAddr,
    opened: Instant,
    heard: Instant,
    /// It was answered, so its STUN was authentic.
    proven: bool,
    is_readable: bool,
    is_waiting: bool,
    /// The beginning of a frame.
    input: Vec<u8>,
    output: Output,
}

impl Streams {
    pub(super) fn new(
        mut listener: TcpListener,
        token: Token,
        registry: &Registry,
        limits: StreamLimits,
    ) -> io::Result<Self> {
        registry.register(&mut listener, token, Interest::READABLE)?;
        Ok(Self {
            listener,
            registry: registry.try_clone()?,
            limits: StreamLimits { connections: limits.connections.min(usize::from(u16::MAX) - 1), ..limits },
            slots: Vec::new(),
            addresses: HashMap::new(),
            readable: Vec::new(),
            acceptable: true,
            accept_again: None,
            sweep: None,
            waiting: Vec::new(),
            generation: 0,
            scratch: Vec::new(),
            frame: Vec::with_capacity(DATAGRAM_MAX),
            counters: StreamCounters::default(),
        })
    }

    /// The listener has connections.
    pub(super) fn note_accept(&mut self) {
        self.acceptable = true;
    }

    /// A connection can be read or written.
    pub(super) fn note(&mut self, token: Token, readable: bool, writable: bool) {
        let index = token.0.wrapping_sub(FIRST_TOKEN);
        let Some(stream) = self.slots.get_mut(index).and_then(Option::as_mut) else { return };
        if readable && !std::mem::replace(&mut stream.is_readable, true) {
            self.readable.push(index);
        }
        if writable && !stream.output.is_empty() && !std::mem::replace(&mut stream.is_waiting, true) {
            self.waiting.push(index);
        }
    }

    /// Something can be done without waiting.
    pub(super) fn is_ready(&self) -> bool {
        self.acceptable || !self.readable.is_empty()
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        [self.sweep, self.accept_again].into_iter().flatten().min()
    }

    /// New connections and overdue ones.
    pub(super) fn tend(&mut self, now: Instant) {
        if self.accept_again.is_some_and(|at| at <= now) {
            self.accept_again = None;
            self.acceptable = true;
        }
        for _ in 0..BATCH {
            if !self.acceptable {
                break;
            }
            match self.listener.accept() {
                Ok((tcp, from)) => self.add(now, tcp, from),
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.acceptable = false,
                Err(e) if e.kind() == ErrorKind::Interrupted || e.kind() == ErrorKind::ConnectionAborted => {}
                Err(e) => {
                    log::warn!("cannot accept a media connection: {e}");
                    self.acceptable = false;
                    self.accept_again = Some(now + ACCEPT_PAUSE);
                }
            }
        }
        if self.sweep.is_some_and(|at| at <= now) {
            self.sweep(now);
        }
    }

    /// The connections that may be read now.
    pub(super) fn take_readable(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.readable)
    }

    /// Reads once from a connection. Whole frames are left in the returned buffer, to be given back to [`Self::done`].
    pub(super) fn read(&mut self, now: Instant, index: usize) -> Option<(SocketAddr, Vec<u8>)> {
        let stream = self.slots.get_mut(index)?.as_mut()?;
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        bytes.append(&mut stream.input);
        let have = bytes.len();
        bytes.resize(have + CHUNK, 0);
        let taken = stream.tcp.read(&mut bytes[have..]);
        bytes.truncate(have + taken.as_ref().map_or(0, |n| *n));
        match taken {
            Ok(0) => self.close(index),
            Ok(_) => {
                stream.heard = now;
                self.readable.push(index);
                return Some((stream.label, bytes));
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                stream.is_readable = false;
                stream.input.extend_from_slice(&bytes);
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {
                stream.input.extend_from_slice(&bytes);
                self.readable.push(index);
            }
            Err(_) => self.close(index),
        }
        self.scratch = bytes;
        None
    }

    /// Whether a connection may send this datagram: before its proof, STUN only.
    pub(super) fn admits(&mut self, index: usize, datagram: &[u8]) -> bool {
        let Some(stream) = self.slots.get(index).and_then(Option::as_ref) else { return false };
        let stun = datagram.len() >= STUN_MIN && datagram[0] < 4;
        if stun || stream.proven {
            self.counters.datagrams_in += 1;
            return true;
        }
        self.counters.garbage += 1;
        self.close(index);
        false
    }

    /// The frames of [`Self::read`] were taken up to `used`.
    pub(super) fn done(&mut self, index: usize, bytes: Vec<u8>, used: Used) {
        if let Some(stream) = self.slots.get_mut(index).and_then(Option::as_mut) {
            match used {
                Used::Bytes(used) => stream.input.extend_from_slice(&bytes[used..]),
                Used::Garbage => {
                    self.counters.garbage += 1;
                    self.close(index);
                }
            }
        }
        self.scratch = bytes;
    }

    /// Queues a datagram for the connection of that label.
    pub(super) fn push(&mut self, to: SocketAddr, fill: impl FnOnce(&mut Vec<u8>)) {
        self.frame.clear();
        fill(&mut self.frame);
        let index = slot_of(&to);
        let stream = self.slots.get_mut(index).and_then(Option::as_mut).filter(|stream| stream.label == to);
        let Some(stream) = stream.and_then(|stream| stream.output.push_frame(&self.frame).then_some(stream)) else {
            self.counters.dropped += 1;
            return;
        };
        stream.proven = true;
        self.counters.datagrams_out += 1;
        if !std::mem::replace(&mut stream.is_waiting, true) {
            self.waiting.push(index);
        }
    }

    /// Sends what connections take.
    pub(super) fn flush(&mut self) {
        while let Some(index) = self.waiting.pop() {
            let Some(stream) = self.slots.get_mut(index).and_then(Option::as_mut) else { continue };
            stream.is_waiting = false;
            if stream.output.write(&mut stream.tcp).is_err() {
                self.close(index);
            }
        }
    }

    fn add(&mut self, now: Instant, mut tcp: TcpStream, from: SocketAddr) {
        let ip = network_of(from.ip());
        let of_address = self.addresses.get(&ip).copied().unwrap_or(0);
        if of_address >= self.limits.per_address || !self.make_room() {
            self.counters.refused += 1;
            return;
        }
        let free = self.slots.iter().position(Option::is_none);
        let index = free.unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.registry.register(&mut tcp, Token(FIRST_TOKEN + index), interest).is_err() {
            self.counters.refused += 1;
            return;
        }
        let _ = tcp.set_nodelay(true);
        let _ = SockRef::from(&tcp).set_send_buffer_size(KERNEL_OUTPUT);
        // Labels of generation 0 are those of `Way`.
        self.generation = self.generation.wrapping_add(1).max(1);
        self.slots[index] = Some(Stream {
            tcp,
            ip,
            label: label(from, index, self.generation),
            opened: now,
            heard: now,
            proven: false,
            is_readable: false,
            is_waiting: false,
            input: Vec::new(),
            output: Output::default(),
        });
        *self.addresses.entry(ip).or_default() += 1;
        self.counters.accepted += 1;
        self.counters.open += 1;
        self.sweep.get_or_insert(now + SWEEP);
    }

    /// The oldest connection that proved nothing goes when there are too many.
    fn make_room(&mut self) -> bool {
        if self.counters.open < self.limits.connections as u64 {
            return true;
        }
        let unproven = self.slots.iter().enumerate().filter_map(|(index, slot)| Some((index, slot.as_ref()?)));
        let oldest = unproven.filter(|(_, s)| !s.proven).min_by_key(|(_, s)| s.opened).map(|(index, _)| index);
        oldest.into_iter().for_each(|index| self.close(index));
        oldest.is_some()
    }

    fn sweep(&mut self, now: Instant) {
        let StreamLimits { proof, idle, .. } = self.limits;
        for index in 0..self.slots.len() {
            let Some(stream) = &self.slots[index] else { continue };
            let late = !stream.proven && now.saturating_duration_since(stream.opened) >= proof;
            if late || now.saturating_duration_since(stream.heard) >= idle {
                self.counters.timeouts += 1;
                self.close(index);
            }
        }
        self.sweep = (self.counters.open > 0).then_some(now + SWEEP);
    }

    fn close(&mut self, index: usize) {
        let Some(mut stream) = self.slots.get_mut(index).and_then(Option::take) else { return };
        let _ = self.registry.deregister(&mut stream.tcp);
        self.counters.open -= 1;
        if let Some(count) = self.addresses.get_mut(&stream.ip) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&stream.ip);
            }
        }
    }
}

/// How far a buffer of frames was used.
pub(super) enum Used {
    Bytes(usize),
    /// A frame longer than any datagram: another protocol, or an attack.
    Garbage,
}

/// No socket gives an address with a flow label, so one with both is a TCP connection's.
fn label(from: SocketAddr, index: usize, generation: u16) -> SocketAddr {
    let ip = match from.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    SocketAddrV6::new(ip, from.port(), u32::from(generation) << 16 | (index as u32 + 1), 0).into()
}

fn slot_of(label: &SocketAddr) -> usize {
    match label {
        SocketAddr::V6(v6) => (v6.flowinfo() as u16 as usize).wrapping_sub(1),
        SocketAddr::V4(_) => usize::MAX,
    }
}
