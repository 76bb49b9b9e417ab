//! Datagrams with the time at which the kernel put them into the socket: what the load's own thread does meanwhile does not count
//! as latency of the server.
use mio::net::UdpSocket;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Room for control messages, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 128]);

/// From now on the kernel notes the time of every datagram.
pub(crate) fn note(socket: &UdpSocket) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the pointer and the length describe one live c_int; the descriptor is open while `socket` is borrowed.
    let result = unsafe {
        let (value, length) = ((&raw const on).cast(), size_of::<libc::c_int>() as libc::socklen_t);
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, value, length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The next datagram of an IPv4 socket: its length, its sender, and its arrival as Unix time. `None`: nothing waits.
pub(crate) fn next(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Option<(usize, SocketAddr, Duration)>> {
    let mut control = Control([0; 128]);
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: both are C structs of integers and pointers; all zero bits are valid values.
    let (mut name, mut header): (libc::sockaddr_in, libc::msghdr) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    header.msg_name = (&raw mut name).cast();
    header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len();
    // SAFETY: every pointer in the header leads to a live local of the length given beside it.
    let taken = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    let Ok(length) = usize::try_from(taken) else {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
    };
    let mut arrival = Duration::ZERO;
    // SAFETY: the kernel filled `control` and set its length; the macros stay inside it. A message of this type carries a timespec.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(&raw const header);
        while !message.is_null() {
            if (*message).cmsg_level == libc::SOL_SOCKET && (*message).cmsg_type == libc::SCM_TIMESTAMPNS {
                let time = libc::CMSG_DATA(message).cast::<libc::timespec>().read_unaligned();
                arrival = Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
            }
            message = libc::CMSG_NXTHDR(&raw const header, message);
        }
    }
    let from = (Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes()), u16::from_be(name.sin_port));
    Ok(Some((length, from.into(), arrival)))
}
