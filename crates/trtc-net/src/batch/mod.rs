//! UDP in batches: one system call receives up to [`BATCH`] datagrams or sends as many trains of them, through buffers that live
//! as long as the socket.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;
mod queue;
#[cfg(test)]
mod tests;

#[cfg(target_os = "linux")]
use linux::{TRAIN_MAX, send};
#[cfg(not(target_os = "linux"))]
use portable::{TRAIN_MAX, send};
pub use queue::SendQueue;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Datagrams received, or trains sent, by one system call.
pub const BATCH: usize = 64;
/// Datagrams that a send queue holds.
const QUEUE: usize = 128;
/// Longest datagram in bytes; longer ones are dropped and counted.
pub const DATAGRAM_MAX: usize = 2048;

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);

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
        let socket = Arc::new(socket);
        Ok(Self {
            sender: UdpSender { socket: socket.clone(), queue: SendQueue::new() },
            socket,
            receiver: Receiver::new(),
            poll,
            events: Events::with_capacity(4),
            waker,
            maybe_readable: true,
        })
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
        // Readiness is edge-triggered: what the last `recv` left behind will not be told again.
        let timeout = if self.maybe_readable { Some(Duration::ZERO) } else { timeout };
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(Wake::default()),
            Err(e) => return Err(e),
        }
        let mut wake = Wake::default();
        for event in &self.events {
            match event.token() {
                SOCKET => self.maybe_readable = true,
                _ => wake.woken = true,
            }
        }
        wake.readable = self.maybe_readable;
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
        let sender = &mut self.sender;
        let taken = self.receiver.receive(&self.socket, |from, datagram| f(sender, from, datagram))?;
        self.maybe_readable = taken == BATCH;
        Ok(taken)
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
}

/// A send queue with its socket.
pub struct UdpSender {
    socket: Arc<UdpSocket>,
    queue: SendQueue,
}

impl UdpSender {
    /// Queues a datagram that `fill` writes into an empty buffer (left empty: nothing is queued). A full batch goes out at once.
    pub fn push(&mut self, to: SocketAddr, fill: impl FnOnce(&mut Vec<u8>)) {
        self.queue.push(&self.socket, to, fill);
    }

    /// Sends what is queued. Datagrams that the kernel refuses are dropped and counted, as the network would do.
    pub fn flush(&mut self) {
        self.queue.flush(&self.socket);
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
    /// Received so far.
    pub counters: BatchCounters,
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

/// A non-blocking socket with large kernel buffers.
///
/// # Errors
/// Those of `bind`.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    #[cfg(target_os = "linux")]
    linux::enlarge_buffers(&socket);
    Ok(socket)
}
