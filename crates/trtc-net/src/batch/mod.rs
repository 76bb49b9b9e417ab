//! UDP in batches: one system call receives up to [`BATCH`] datagrams or sends as many trains of them, through buffers that live
//! as long as the socket. A socket on an IPv6 address speaks IPv4 too; addresses are shown in their own family.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;
mod queue;
mod stream;
#[cfg(test)]
mod tests;

#[cfg(target_os = "linux")]
use linux::{TRAIN_MAX, send};
#[cfg(not(target_os = "linux"))]
use portable::{TRAIN_MAX, send};
pub use queue::SendQueue;
pub use stream::{StreamCounters, StreamLimits, is_stream, network_of};

use crate::frames::next_frame;
use mio::net::{TcpListener, UdpSocket};
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};
use stream::{Streams, Used};

/// Datagrams received, or trains sent, by one system call.
pub const BATCH: usize = 64;
/// Datagrams that a send queue holds.
const QUEUE: usize = 128;
/// Longest datagram in bytes; longer ones are dropped and counted.
pub const DATAGRAM_MAX: usize = 2048;

/// Addresses of ours that are told apart.
const LOCALS_MAX: usize = 256;
/// In a scope id: the rest is a number of one of our addresses. Interfaces have small numbers.
const LOCAL: u32 = 1 << 31;

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);
const LISTENER: Token = Token(2);
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A socket with its buffers and a wait: what a server's media thread runs on.
pub struct UdpBatch {
    socket: Arc<UdpSocket>,
    receiver: Receiver,
    sender: UdpSender,
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    maybe_readable: bool,
}

/// What ended a [`UdpBatch::wait`]; neither is set after a timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// Datagrams may be waiting: call [`UdpBatch::recv`].
    pub readable: bool,
    /// Somebody used the [`UdpBatch::waker`].
    pub woken: bool,
}

/// What went through, for figures and for `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchCounters {
    /// Datagrams.
    pub datagrams: u64,
    /// Bytes of UDP payload.
    pub bytes: u64,
    /// System calls.
    pub calls: u64,
    /// Datagrams given up: too long, no buffer space in the kernel, or an unreachable destination.
    pub dropped: u64,
}

impl UdpBatch {
    /// Binds and asks the kernel for large buffers (best effort).
    ///
    /// # Errors
    /// Those of `bind` and `epoll`.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let mut socket = bind(address)?;
        let poll = Poll::new()?;
        poll.registry().register(&mut socket, SOCKET, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        #[cfg(target_os = "linux")]
        if address.ip().is_unspecified() {
            linux::tell_destinations(&socket, address.is_ipv6());
        }
        let socket = Arc::new(socket);
        Ok(Self {
            sender: UdpSender {
                socket: socket.clone(),
                queue: SendQueue::new(),
                v6: address.is_ipv6(),
                locals: Vec::new(),
                streams: None,
            },
            socket,
            receiver: Receiver::new(),
            poll,
            events: Events::with_capacity(256),
            waker,
            maybe_readable: true,
        })
    }

    /// Takes datagrams over TCP too (RFC 6544, RFC 4571); returns the bound address.
    ///
    /// # Errors
    /// Those of `bind`, `listen` and `epoll`.
    pub fn listen(&mut self, address: SocketAddr, limits: StreamLimits) -> io::Result<SocketAddr> {
        let socket = socket(address, Type::STREAM, Protocol::TCP)?;
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into());
        let bound = listener.local_addr()?;
        self.sender.streams = Some(Box::new(Streams::new(listener, LISTENER, self.poll.registry(), limits)?));
        Ok(bound)
    }

    /// The bound address.
    ///
    /// # Errors
    /// Those of `getsockname`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Ends a running or the next [`Self::wait`], from any thread.
    #[must_use]
    pub fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// Sleeps until datagrams come, the waker is used, or `timeout` is over (`None`: no limit).
    ///
    /// # Errors
    /// Those of `epoll_wait`, except interruption.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Wake> {
        let mut streams = self.sender.streams.as_deref_mut();
        // Readiness is edge-triggered: what the last `recv` left behind will not be told again.
        let timeout = if self.maybe_readable || streams.as_ref().is_some_and(|streams| streams.is_ready()) {
            Some(Duration::ZERO)
        } else {
            let due = streams.as_ref().and_then(|streams| streams.timeout());
            timeout.into_iter().chain(due.map(|at| at.saturating_duration_since(Instant::now()))).min()
        };
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(Wake::default()),
            Err(e) => return Err(e),
        }
        let mut wake = Wake::default();
        for event in &self.events {
            match (event.token(), &mut streams) {
                (SOCKET, _) => self.maybe_readable = true,
                (LISTENER, Some(streams)) => streams.note_accept(),
                (token, Some(streams)) if token.0 >= stream::FIRST_TOKEN => {
                    streams.note(token, event.is_readable(), event.is_writable());
                }
                _ => wake.woken = true,
            }
        }
        let due = |streams: &Streams| streams.is_ready() || streams.timeout().is_some_and(|at| at <= Instant::now());
        wake.readable = self.maybe_readable || streams.is_some_and(|streams| due(streams));
        Ok(wake)
    }

    /// Takes at most one batch; `f` may change the datagram in place. Returns how many came.
    ///
    /// # Errors
    /// Those of `recvmmsg`; an empty socket is `Ok(0)`.
    pub fn recv(&mut self, mut f: impl FnMut(SocketAddr, &mut [u8])) -> io::Result<usize> {
        self.recv_and_send(|_, from, datagram| f(from, datagram))
    }

    /// Like [`Self::recv`], with the sender at hand: a forwarder answers each datagram as it sees it.
    ///
    /// # Errors
    /// Those of `recvmmsg`; an empty socket is `Ok(0)`.
    pub fn recv_and_send(&mut self, mut f: impl FnMut(&mut UdpSender, SocketAddr, &mut [u8])) -> io::Result<usize> {
        let over_tcp = self.receive_streams(&mut f);
        if !self.maybe_readable {
            return Ok(over_tcp);
        }
        let sender = &mut self.sender;
        let taken = self.receiver.receive(&self.socket, |from, local, datagram| {
            let from = sender.label(from, local);
            f(sender, from, datagram);
        })?;
        self.maybe_readable = taken == BATCH;
        Ok(taken + over_tcp)
    }

    fn receive_streams(&mut self, f: &mut impl FnMut(&mut UdpSender, SocketAddr, &mut [u8])) -> usize {
        let Some(streams) = &mut self.sender.streams else { return 0 };
        let now = Instant::now();
        streams.tend(now);
        let mut taken = 0;
        for index in streams.take_readable() {
            let Some((label, mut bytes)) = self.sender.streams.as_mut().and_then(|s| s.read(now, index)) else {
                continue;
            };
            let mut used = 0;
            let used = loop {
                let frame = match next_frame(&bytes, used) {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break Used::Bytes(used),
                    Err(()) => break Used::Garbage,
                };
                used = frame.end;
                let datagram = &mut bytes[frame];
                if datagram.is_empty() {
                    continue;
                }
                if !self.sender.streams.as_mut().is_some_and(|streams| streams.admits(index, datagram)) {
                    break Used::Bytes(used);
                }
                f(&mut self.sender, label, datagram);
                taken += 1;
            };
            if let Some(streams) = &mut self.sender.streams {
                streams.done(index, bytes, used);
            }
        }
        taken
    }

    /// The sending half.
    pub fn sender(&mut self) -> &mut UdpSender {
        &mut self.sender
    }

    /// See [`UdpSender::push`].
    pub fn push(&mut self, to: SocketAddr, fill: impl FnOnce(&mut Vec<u8>)) {
        self.sender.push(to, fill);
    }

    /// See [`UdpSender::flush`].
    pub fn flush(&mut self) {
        self.sender.flush();
    }

    /// Received so far.
    #[must_use]
    pub fn received(&self) -> BatchCounters {
        self.receiver.counters
    }

    /// Sent so far.
    #[must_use]
    pub fn sent(&self) -> BatchCounters {
        self.sender.queue.counters
    }

    /// What went over TCP so far.
    #[must_use]
    pub fn streamed(&self) -> StreamCounters {
        self.sender.streams.as_ref().map_or_else(StreamCounters::default, |streams| streams.counters)
    }
}

/// A send queue with its socket, and the TCP connections beside it.
pub struct UdpSender {
    socket: Arc<UdpSocket>,
    queue: SendQueue,
    v6: bool,
    /// Addresses of ours that datagrams came to, where we are bound to all: answers leave from there.
    locals: Vec<IpAddr>,
    streams: Option<Box<Streams>>,
}

impl UdpSender {
    /// The sender's address, marked with ours when that is not the first of its family that anybody wrote to.
    fn label(&mut self, from: SocketAddr, local: Option<IpAddr>) -> SocketAddr {
        let Some(local) = local else { return from };
        let known = self.locals.iter().position(|known| *known == local);
        let index = known.unwrap_or(self.locals.len());
        if index >= LOCALS_MAX || is_link_local(&from) {
            return from;
        }
        if known.is_none() {
            self.locals.push(local);
        }
        if self.first_local(&from) == Some(local) {
            return from;
        }
        let ip = match from.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        SocketAddrV6::new(ip, from.port(), 0, LOCAL | index as u32).into()
    }

    /// An address without the mark, and ours that belongs to it.
    fn unlabel(&self, to: SocketAddr) -> (SocketAddr, Option<IpAddr>) {
        match to {
            SocketAddr::V6(v6) if v6.scope_id() & LOCAL != 0 => {
                let to = canonical(SocketAddrV6::new(*v6.ip(), v6.port(), 0, 0).into());
                (to, self.locals.get((v6.scope_id() & !LOCAL) as usize).copied())
            }
            _ if is_link_local(&to) => (to, None),
            _ => (to, self.first_local(&to)),
        }
    }

    /// Ours for addresses of this family that have no mark.
    fn first_local(&self, address: &SocketAddr) -> Option<IpAddr> {
        self.locals.iter().find(|local| local.is_ipv4() == address.is_ipv4()).copied()
    }

    /// Queues a datagram that `fill` writes into an empty buffer (left empty: nothing is queued). A full batch goes out at once.
    pub fn push(&mut self, to: SocketAddr, fill: impl FnOnce(&mut Vec<u8>)) {
        match &mut self.streams {
            Some(streams) if is_stream(&to) => streams.push(to, fill),
            _ => {
                let (to, source) = self.unlabel(to);
                self.queue.push_from(&self.socket, source, if self.v6 { mapped(to) } else { to }, fill);
            }
        }
    }

    /// Sends what is queued. Datagrams that the kernel refuses are dropped and counted, as the network would do.
    pub fn flush(&mut self) {
        self.queue.flush(&self.socket);
        if let Some(streams) = &mut self.streams {
            streams.flush();
        }
    }

    /// Sent so far.
    #[must_use]
    pub fn counters(&self) -> BatchCounters {
        self.queue.counters
    }
}

/// Receive buffers, usable with any socket.
pub struct Receiver {
    buffers: Vec<u8>,
    #[cfg(target_os = "linux")]
    names: Vec<libc::sockaddr_in6>,
    #[cfg(target_os = "linux")]
    controls: Vec<linux::Control>,
    /// Received so far.
    pub counters: BatchCounters,
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

/// A non-blocking socket with large kernel buffers; on an IPv6 address for both families.
///
/// # Errors
/// Those of `bind`.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    socket.bind(&address.into())?;
    let socket = UdpSocket::from_std(socket.into());
    #[cfg(target_os = "linux")]
    linux::enlarge_buffers(&socket);
    Ok(socket)
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // Not every system has it as the default.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// An address as a socket of IPv6 wants it (RFC 4291 section 2.5.5.2).
pub(crate) fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(v4) => SocketAddr::new(v4.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Such an address means something on one interface only, which chooses the source too.
fn is_link_local(address: &SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local())
}

/// An address in its own family.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}
