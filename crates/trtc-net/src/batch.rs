//! UDP in batches: one system call receives or sends up to [`BATCH`] datagrams, through buffers that live as long as the socket.
//! The only file of this crate with `unsafe`: `recvmmsg` and `sendmmsg` have no safe wrapper among our dependencies.
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Datagrams per system call.
pub const BATCH: usize = 64;
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

/// Send buffers, usable with any socket; flush before changing the socket.
pub struct SendQueue {
    slots: Vec<(SocketAddr, Vec<u8>)>,
    used: usize,
    /// Sent so far.
    pub counters: BatchCounters,
}

impl Default for SendQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl SendQueue {
    /// Allocates all buffers.
    #[must_use]
    pub fn new() -> Self {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let slots = (0..BATCH).map(|_| (nowhere, Vec::with_capacity(DATAGRAM_MAX))).collect();
        Self { slots, used: 0, counters: BatchCounters::default() }
    }

    /// Queues a datagram; see [`UdpSender::push`].
    pub fn push(&mut self, socket: &UdpSocket, to: SocketAddr, fill: impl FnOnce(&mut Vec<u8>)) {
        if self.used == self.slots.len() {
            self.flush(socket);
        }
        let (address, buffer) = &mut self.slots[self.used];
        *address = to;
        buffer.clear();
        fill(buffer);
        if !buffer.is_empty() {
            self.used += 1;
        }
    }

    /// Sends what is queued; see [`UdpSender::flush`].
    pub fn flush(&mut self, socket: &UdpSocket) {
        let used = std::mem::take(&mut self.used);
        let mut first = 0;
        while first < used {
            self.counters.calls += 1;
            match send(socket, &self.slots[first..used]) {
                Ok(sent) if sent > 0 => {
                    self.counters.datagrams += sent as u64;
                    self.counters.bytes +=
                        self.slots[first..first + sent].iter().map(|s| s.1.len() as u64).sum::<u64>();
                    first += sent;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.counters.dropped += (used - first) as u64;
                    return;
                }
                // The error belongs to the first datagram: an unreachable address must not hold up the others.
                _ => {
                    self.counters.dropped += 1;
                    first += 1;
                }
            }
        }
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

#[cfg(target_os = "linux")]
use linux::send;

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod linux {
    use super::{BATCH, BatchCounters, DATAGRAM_MAX, Receiver, UdpSocket};
    use std::io;
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
    use std::os::fd::AsRawFd;

    static WANTED_BUFFER_BYTES: libc::c_int = 4 << 20;

    pub(super) fn enlarge_buffers(socket: &UdpSocket) {
        for option in [libc::SO_RCVBUF, libc::SO_SNDBUF] {
            // SAFETY: the pointer and the length describe one live c_int; the descriptor is open while `socket` is borrowed.
            // A failure leaves the default size.
            unsafe {
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::SOL_SOCKET,
                    option,
                    (&raw const WANTED_BUFFER_BYTES).cast(),
                    size_of::<libc::c_int>() as libc::socklen_t,
                );
            }
        }
    }

    impl Receiver {
        /// Allocates all buffers.
        #[must_use]
        pub fn new() -> Self {
            Self {
                buffers: vec![0; BATCH * DATAGRAM_MAX],
                names: vec![no_name(); BATCH],
                counters: BatchCounters::default(),
            }
        }

        /// Takes at most one batch. Returns how many datagrams came, those that were too long included.
        ///
        /// # Errors
        /// Those of `recvmmsg`; an empty socket is `Ok(0)`.
        pub fn receive(&mut self, socket: &UdpSocket, mut f: impl FnMut(SocketAddr, &mut [u8])) -> io::Result<usize> {
            let base = self.buffers.as_mut_ptr();
            let mut vectors: [libc::iovec; BATCH] = std::array::from_fn(|i| libc::iovec {
                // SAFETY: `buffers` holds BATCH * DATAGRAM_MAX bytes and i < BATCH, so the result stays inside it.
                iov_base: unsafe { base.add(i * DATAGRAM_MAX) }.cast(),
                iov_len: DATAGRAM_MAX,
            });
            let names = self.names.as_mut_ptr();
            let vectors = vectors.as_mut_ptr();
            let mut headers: [libc::mmsghdr; BATCH] = std::array::from_fn(|i| {
                // SAFETY: `names` and `vectors` hold BATCH elements each, and i < BATCH.
                let (name, vector) = unsafe { (names.add(i), vectors.add(i)) };
                header(name, size_of::<libc::sockaddr_in6>(), vector)
            });
            // SAFETY: every header points to one iovec over its own part of `buffers` and to its own name; all of them outlive
            // the call and are not touched by Rust code during it.
            let taken = unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    headers.as_mut_ptr(),
                    BATCH as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                    std::ptr::null_mut(),
                )
            };
            self.counters.calls += 1;
            if taken < 0 {
                let error = io::Error::last_os_error();
                return match error.kind() {
                    // A refused connection is an ICMP answer to something we sent earlier: nothing to receive, nothing broken.
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused => Ok(0),
                    _ => Err(error),
                };
            }
            let taken = (taken as usize).min(BATCH);
            for ((header, name), buffer) in
                headers.iter().zip(&self.names).zip(self.buffers.chunks_exact_mut(DATAGRAM_MAX)).take(taken)
            {
                let length = header.msg_len as usize;
                let whole = header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0 && length <= DATAGRAM_MAX;
                match address_of(name) {
                    Some(from) if whole => {
                        self.counters.datagrams += 1;
                        self.counters.bytes += length as u64;
                        f(from, &mut buffer[..length]);
                    }
                    _ => self.counters.dropped += 1,
                }
            }
            Ok(taken)
        }
    }

    pub(super) fn send(socket: &UdpSocket, slots: &[(SocketAddr, Vec<u8>)]) -> io::Result<usize> {
        let count = slots.len().min(BATCH);
        let mut names = [no_name(); BATCH];
        let mut lengths = [0; BATCH];
        let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
        for (i, (to, data)) in slots.iter().take(count).enumerate() {
            (names[i], lengths[i]) = name_of(to);
            vectors[i] = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
        }
        let (names, vectors) = (names.as_mut_ptr(), vectors.as_mut_ptr());
        let mut headers: [libc::mmsghdr; BATCH] = std::array::from_fn(|i| {
            // SAFETY: `names` and `vectors` hold BATCH elements each, and i < BATCH.
            let (name, vector) = unsafe { (names.add(i), vectors.add(i)) };
            header(name, lengths[i], vector)
        });
        // SAFETY: the first `count` headers point to names and iovecs that outlive the call; the iovecs describe live buffers
        // which sendmmsg only reads.
        let sent = unsafe {
            libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as libc::c_uint, libc::MSG_DONTWAIT as _)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
    }

    fn header(name: *mut libc::sockaddr_in6, name_length: usize, vector: *mut libc::iovec) -> libc::mmsghdr {
        // SAFETY: mmsghdr is a C struct of integers and pointers; all zero bits are a valid value.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        header.msg_hdr.msg_name = name.cast();
        header.msg_hdr.msg_namelen = name_length as libc::socklen_t;
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        header
    }

    const fn no_name() -> libc::sockaddr_in6 {
        // SAFETY: sockaddr_in6 is a C struct of integers; all zero bits are a valid value.
        unsafe { std::mem::zeroed() }
    }

    fn name_of(address: &SocketAddr) -> (libc::sockaddr_in6, usize) {
        let mut name = no_name();
        match address {
            SocketAddr::V4(v4) => {
                let value = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                    sin_zero: [0; 8],
                };
                // SAFETY: sockaddr_in6 is larger than sockaddr_in and aligned at least as strictly.
                unsafe { (&raw mut name).cast::<libc::sockaddr_in>().write(value) };
                (name, size_of::<libc::sockaddr_in>())
            }
            SocketAddr::V6(v6) => {
                name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                name.sin6_port = v6.port().to_be();
                name.sin6_flowinfo = v6.flowinfo();
                name.sin6_addr.s6_addr = v6.ip().octets();
                name.sin6_scope_id = v6.scope_id();
                (name, size_of::<libc::sockaddr_in6>())
            }
        }
    }

    fn address_of(name: &libc::sockaddr_in6) -> Option<SocketAddr> {
        match libc::c_int::from(name.sin6_family) {
            libc::AF_INET => {
                // SAFETY: as in `name_of`; the family says that the kernel wrote a sockaddr_in.
                let v4 = unsafe { (&raw const *name).cast::<libc::sockaddr_in>().read() };
                Some((Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes()), u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 => {
                let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
                Some(SocketAddrV6::new(ip, u16::from_be(name.sin6_port), name.sin6_flowinfo, name.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

#[cfg(not(target_os = "linux"))]
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
    pub fn receive(&mut self, socket: &UdpSocket, mut f: impl FnMut(SocketAddr, &mut [u8])) -> io::Result<usize> {
        let mut taken = 0;
        while taken < BATCH {
            self.counters.calls += 1;
            match socket.recv_from(&mut self.buffers) {
                Ok((length, from)) => {
                    taken += 1;
                    self.counters.datagrams += 1;
                    self.counters.bytes += length as u64;
                    f(from, &mut self.buffers[..length]);
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

#[cfg(not(target_os = "linux"))]
fn send(socket: &UdpSocket, slots: &[(SocketAddr, Vec<u8>)]) -> io::Result<usize> {
    match slots.first() {
        Some((to, data)) => socket.send_to(data, *to).map(|_| 1),
        None => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(ip: &str) -> (UdpBatch, UdpBatch) {
        let any: SocketAddr = format!("{ip}:0").parse().unwrap();
        (UdpBatch::bind(any).unwrap(), UdpBatch::bind(any).unwrap())
    }

    #[test]
    fn two_hundred_datagrams_arrive_in_few_calls() {
        for ip in ["127.0.0.1", "[::1]"] {
            let (mut a, mut b) = pair(ip);
            let to = b.local_addr().unwrap();
            for i in 0..200_u32 {
                a.push(to, |out| out.extend_from_slice(&i.to_be_bytes()));
            }
            a.push(to, |_| {});
            a.flush();
            assert_eq!((a.sent().datagrams, a.sent().calls, a.sent().dropped), (200, 4, 0));
            let (from, mut next) = (a.local_addr().unwrap(), 0_u32);
            while next < 200 {
                assert!(b.wait(Some(Duration::from_secs(5))).unwrap().readable);
                b.recv(|sender, datagram| {
                    assert_eq!((sender, &datagram[..]), (from, &next.to_be_bytes()[..]));
                    next += 1;
                })
                .unwrap();
            }
            assert!(b.received().calls <= 5, "{:?}", b.received());
        }
    }

    #[test]
    fn too_long_is_counted_and_the_rest_goes_on() {
        let (mut a, mut b) = pair("127.0.0.1");
        let to = b.local_addr().unwrap();
        a.push(to, |out| out.resize(DATAGRAM_MAX + 1, 1));
        a.push("0.0.0.1:9".parse().unwrap(), |out| out.push(0));
        a.push(to, |out| out.push(7));
        a.flush();
        assert_eq!(a.sent().dropped, 1);
        let mut got = Vec::new();
        b.wait(Some(Duration::from_secs(5))).unwrap();
        b.recv(|_, datagram| got.extend_from_slice(datagram)).unwrap();
        assert_eq!((got, b.received().dropped), (vec![7], 1));
    }

    #[test]
    fn the_waker_ends_a_wait_and_a_timeout_is_nothing() {
        let (mut a, _b) = pair("127.0.0.1");
        assert_eq!(a.recv(|_, _| ()).unwrap(), 0);
        assert_eq!(a.wait(Some(Duration::from_millis(1))).unwrap(), Wake::default());
        let waker = a.waker();
        let thread = std::thread::spawn(move || waker.wake());
        assert!(a.wait(Some(Duration::from_secs(5))).unwrap().woken);
        thread.join().unwrap().unwrap();
    }
}
