//! Datagrams over TCP: any bytes in any pieces, on a socket that also answers.
use super::bytes::Bytes;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;
use trtc_net::batch::{StreamLimits, UdpBatch};

/// Longest frame that is taken, and then some.
const PIECE_MAX: usize = 4_096;

/// One connection for each input.
pub fn run(data: &[u8]) {
    thread_local! {
        static SOCKET: std::cell::RefCell<(UdpBatch, SocketAddr)> = std::cell::RefCell::new(listen());
    }
    SOCKET.with_borrow_mut(|(batch, at)| connection(batch, *at, Bytes(data)));
}

fn listen() -> (UdpBatch, SocketAddr) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut batch = UdpBatch::bind(any).expect("a free port");
    let limits =
        StreamLimits { proof: Duration::from_millis(50), idle: Duration::from_millis(50), ..Default::default() };
    let at = batch.listen(any, limits).expect("a free port");
    (batch, at)
}

fn connection(batch: &mut UdpBatch, at: SocketAddr, mut bytes: Bytes<'_>) {
    let mut tcp = TcpStream::connect(at).expect("it listens");
    let _ = tcp.set_nodelay(true);
    let mut sent = 0;
    for _ in 0..16 {
        if bytes.is_empty() {
            break;
        }
        let act = bytes.u8();
        let piece = match act % 4 {
            0 => bytes.chunk(PIECE_MAX).to_vec(),
            // A framed datagram: STUN by its first byte, or anything.
            1 | 2 => {
                let datagram = bytes.chunk(1_600);
                [&(datagram.len() as u16).to_be_bytes()[..], datagram].concat()
            }
            _ => [&[0, 20, 0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[act; 12]].concat(),
        };
        sent += piece.len();
        if tcp.write_all(&piece).is_err() {
            break;
        }
        taken(batch, sent, act & 8 == 0);
    }
    drop(tcp);
    taken(batch, sent, false);
}

/// Takes what came; whoever sent it may be answered.
fn taken(batch: &mut UdpBatch, sent: usize, answered: bool) {
    for _ in 0..20 {
        let wake = batch.wait(Some(Duration::from_millis(1))).expect("epoll");
        if !wake.readable {
            break;
        }
        let mut from = Vec::new();
        let count = batch.recv(|address, datagram| {
            assert!(!datagram.is_empty() && datagram.len() <= sent, "{} of {sent} bytes", datagram.len());
            from.push(address);
        });
        assert!(count.is_ok());
        if answered {
            for address in from {
                batch.push(address, |out| out.extend_from_slice(b"an answer"));
            }
            batch.flush();
        }
    }
}
