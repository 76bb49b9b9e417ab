//! `recvmmsg` and `sendmmsg`, which have no safe wrapper among our dependencies: the only file of this crate with `unsafe`.
use super::queue::Slot;
use super::{BATCH, BatchCounters, DATAGRAM_MAX, QUEUE, Receiver, UdpSocket, canonical};
use std::ffi::c_int;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;

/// `UDP_MAX_SEGMENTS` of every kernel that can cut.
pub(super) const TRAIN_MAX: usize = 64;

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

/// The kernel tells with each datagram which of our addresses it came to. Best effort.
pub(super) fn tell_destinations(socket: &UdpSocket, v6: bool) {
    let (level, option) =
        if v6 { (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO) } else { (libc::IPPROTO_IP, libc::IP_PKTINFO) };
    let on: c_int = 1;
    // SAFETY: as in `enlarge_buffers`.
    unsafe {
        let length = size_of::<c_int>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), length);
    }
}

#[cfg(test)]
pub(super) fn without_checksum(socket: &UdpSocket) {
    let on: libc::c_int = 1;
    // SAFETY: as in `enlarge_buffers`.
    let result = unsafe {
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, (&raw const on).cast(), length)
    };
    assert_eq!(result, 0);
}

impl Receiver {
    /// Allocates all buffers.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buffers: vec![0; BATCH * DATAGRAM_MAX],
            names: vec![no_name(); BATCH],
            controls: vec![Control::empty(); BATCH],
            counters: BatchCounters::default(),
        }
    }

    /// Takes at most one batch; `f` gets the sender, the address of ours that it wrote to where the socket tells it, and the
    /// datagram. Returns how many datagrams came, those that were too long included.
    ///
    /// # Errors
    /// Those of `recvmmsg`; an empty socket is `Ok(0)`.
    pub fn receive(
        &mut self,
        socket: &UdpSocket,
        mut f: impl FnMut(SocketAddr, Option<IpAddr>, &mut [u8]),
    ) -> io::Result<usize> {
        let base = self.buffers.as_mut_ptr();
        let mut vectors: [libc::iovec; BATCH] = std::array::from_fn(|i| libc::iovec {
            // SAFETY: `buffers` holds BATCH * DATAGRAM_MAX bytes and i < BATCH, so the result stays inside it.
            iov_base: unsafe { base.add(i * DATAGRAM_MAX) }.cast(),
            iov_len: DATAGRAM_MAX,
        });
        let (names, controls) = (self.names.as_mut_ptr(), self.controls.as_mut_ptr());
        let mut vectors = vectors.each_mut();
        let mut headers: [libc::mmsghdr; BATCH] = std::array::from_fn(|i| {
            // SAFETY: `names` and `controls` hold BATCH elements each, and i < BATCH.
            let (name, control) = unsafe { (names.add(i), controls.add(i)) };
            let mut header = header(name, size_of::<libc::sockaddr_in6>(), std::slice::from_mut(vectors[i]));
            header.msg_hdr.msg_control = control.cast();
            header.msg_hdr.msg_controllen = size_of::<Control>() as _;
            header
        });
        // SAFETY: every header points to one iovec over its own part of `buffers`, to its own name and to its own control
        // buffer; all of them outlive the call and are not touched by Rust code during it.
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
                    f(from, destination(&header.msg_hdr), &mut buffer[..length]);
                }
                _ => self.counters.dropped += 1,
            }
        }
        Ok(taken)
    }
}

/// Sends the datagrams in `slots` as trains of so many; returns how many trains went.
pub(super) fn send(socket: &UdpSocket, slots: &[Slot], trains: &[usize]) -> io::Result<usize> {
    let count = trains.len().min(BATCH);
    let mut names = [no_name(); BATCH];
    let mut lengths = [0; BATCH];
    let mut controls = [Control::empty(); BATCH];
    let mut control_lengths = [0; BATCH];
    let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; QUEUE];
    for (vector, Slot { data, .. }) in vectors.iter_mut().zip(slots) {
        *vector = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    }
    let mut first = 0;
    for (i, &datagrams) in trains[..count].iter().enumerate() {
        (names[i], lengths[i]) = name_of(&slots[first].to);
        // A single datagram may be longer, but is not cut.
        let segment = (datagrams > 1).then_some(slots[first].data.len() as u16);
        control_lengths[i] = controls[i].fill(segment, slots[first].source, slots[first].to.is_ipv6());
        first += datagrams;
    }
    let (names, controls) = (names.as_mut_ptr(), controls.as_mut_ptr());
    let mut vectors = &mut vectors[..];
    let mut headers: [libc::mmsghdr; BATCH] = std::array::from_fn(|i| {
        let datagrams = trains[..count].get(i).copied().unwrap_or(0);
        let (train, rest) = std::mem::take(&mut vectors).split_at_mut(datagrams);
        vectors = rest;
        // SAFETY: `names` and `controls` hold BATCH elements each, and i < BATCH.
        let (name, control) = unsafe { (names.add(i), controls.add(i)) };
        let mut header = header(name, lengths[i], train);
        if control_lengths[i] > 0 {
            header.msg_hdr.msg_control = control.cast();
            header.msg_hdr.msg_controllen = control_lengths[i] as _;
        }
        header
    });
    // SAFETY: the first `count` headers point to names, iovecs and control messages that outlive the call; the iovecs describe
    // live buffers which sendmmsg only reads.
    let sent = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as libc::c_uint, libc::MSG_DONTWAIT as _)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
}

/// Room for the control messages of one datagram or train: an address, and where to cut.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control([u8; 64]);

impl Control {
    const fn empty() -> Self {
        Self([0; 64])
    }

    /// Writes where to cut a train and which address of ours it leaves from; returns the length.
    fn fill(&mut self, segment: Option<u16>, source: Option<IpAddr>, v6: bool) -> usize {
        let mut used = 0;
        if let Some(bytes) = segment {
            used = self.append(used, libc::SOL_UDP, libc::UDP_SEGMENT, &bytes.to_ne_bytes());
        }
        match source {
            // in6_pktinfo: the address, then the interface: any.
            Some(ip) if v6 => {
                let octets = match ip {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                    IpAddr::V6(v6) => v6.octets(),
                };
                let mut info = [0; 20];
                info[..16].copy_from_slice(&octets);
                self.append(used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info)
            }
            // in_pktinfo: any interface, the source address, and one that counts for nothing here.
            Some(IpAddr::V4(v4)) => {
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&v4.octets());
                self.append(used, libc::IPPROTO_IP, libc::IP_PKTINFO, &info)
            }
            Some(IpAddr::V6(_)) | None => used,
        }
    }

    /// Appends a control message (cmsg(3)); returns the new length.
    fn append(&mut self, at: usize, level: c_int, kind: c_int, data: &[u8]) -> usize {
        // SAFETY: CMSG_LEN and CMSG_SPACE only compute.
        let (length, space) =
            unsafe { (libc::CMSG_LEN(data.len() as _) as usize, libc::CMSG_SPACE(data.len() as _) as usize) };
        let head = libc::cmsghdr { cmsg_len: length as _, cmsg_level: level, cmsg_type: kind };
        let room = &mut self.0[at..at + space];
        // SAFETY: `room` begins where cmsghdr is aligned (`at` is 0 or a sum of CMSG_SPACE), and is longer than one.
        unsafe { room.as_mut_ptr().cast::<libc::cmsghdr>().write(head) };
        room[length - data.len()..length].copy_from_slice(data);
        at + space
    }
}

/// Which of our addresses a datagram came to.
fn destination(header: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the header is one that recvmmsg filled; its control buffer is alive, and CMSG_FIRSTHDR and CMSG_NXTHDR stay in it.
    let mut at = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !at.is_null() {
        // SAFETY: `at` points to a whole cmsghdr, whose data is of its kind; reads are unaligned.
        unsafe {
            let data = libc::CMSG_DATA(at);
            match ((*at).cmsg_level, (*at).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    return Some(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    return Some(IpAddr::from(info.ipi6_addr.s6_addr).to_canonical());
                }
                _ => {}
            }
            at = libc::CMSG_NXTHDR(header, at);
        }
    }
    None
}

fn header(name: *mut libc::sockaddr_in6, name_length: usize, vectors: &mut [libc::iovec]) -> libc::mmsghdr {
    // SAFETY: mmsghdr is a C struct of integers and pointers; all zero bits are a valid value.
    let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
    header.msg_hdr.msg_name = name.cast();
    header.msg_hdr.msg_namelen = name_length as libc::socklen_t;
    header.msg_hdr.msg_iov = vectors.as_mut_ptr();
    header.msg_hdr.msg_iovlen = vectors.len() as _;
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
            // Without a flow label: such an address is a TCP connection's.
            Some(canonical(SocketAddrV6::new(ip, u16::from_be(name.sin6_port), 0, name.sin6_scope_id).into()))
        }
        _ => None,
    }
}
