//! Datagrams over TCP beside UDP: framing, both families of addresses, and what hostile connections cost.
#![allow(clippy::unwrap_used)]
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use trtc_net::batch::{StreamCounters, StreamLimits, UdpBatch, is_stream};

const PATIENCE: Duration = Duration::from_secs(60);

/// An echo over both, one turn at a time.
struct Echo {
    batch: UdpBatch,
    tcp: SocketAddr,
    /// Answers only what begins like STUN and says so, as a server answers only authentic STUN.
    seen: Vec<(SocketAddr, Vec<u8>)>,
}

impl Echo {
    fn new(at: &str, limits: StreamLimits) -> Self {
        let mut batch = UdpBatch::bind(at.parse().unwrap()).unwrap();
        let mut tcp = batch.listen(at.parse().unwrap(), limits).unwrap();
        if tcp.ip().is_unspecified() {
            tcp.set_ip("::1".parse().unwrap());
        }
        Self { batch, tcp, seen: Vec::new() }
    }

    fn turn(&mut self) {
        if self.batch.wait(Some(Duration::from_millis(5))).unwrap().readable {
            let seen = &mut self.seen;
            self.batch
                .recv_and_send(|sender, from, datagram| {
                    seen.push((from, datagram.to_vec()));
                    if datagram[1] == 1 {
                        sender.push(from, |out| out.extend_from_slice(datagram));
                    }
                })
                .unwrap();
        }
        self.batch.flush();
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "{what} did not happen: {:?}", self.batch.streamed());
            self.turn();
        }
    }

    fn counters(&self) -> StreamCounters {
        self.batch.streamed()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.tcp).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    }

    /// What comes back, to its whole length.
    fn read(&mut self, stream: &mut TcpStream, length: usize) -> Vec<u8> {
        let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
        let deadline = Instant::now() + PATIENCE;
        while bytes.len() < length {
            assert!(Instant::now() < deadline, "only {} bytes came back", bytes.len());
            self.turn();
            match stream.read(&mut chunk) {
                Ok(0) => panic!("closed"),
                Ok(count) => bytes.extend_from_slice(&chunk[..count]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => panic!("{e}"),
            }
        }
        bytes
    }

    fn until_closed(&mut self, stream: &mut TcpStream) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "still open");
            self.turn();
            match stream.read(&mut [0; 64]) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

/// A frame that begins like STUN; `answered` ones are echoed.
fn frame(length: usize, answered: bool) -> Vec<u8> {
    let mut frame = u16::try_from(length).unwrap().to_be_bytes().to_vec();
    frame.extend((0..length).map(|at| if at < 2 { u8::from(answered && at == 1) } else { at as u8 }));
    frame
}

#[test]
fn frames_arrive_whole_however_they_are_cut() {
    let mut echo = Echo::new("127.0.0.1:0", StreamLimits::default());
    let mut stream = echo.connect();
    let mut sent = frame(20, true);
    sent.extend([0, 0]);
    sent.extend(frame(2048, true));
    sent.extend(frame(21, true));
    for piece in sent.chunks(7) {
        stream.write_all(piece).unwrap();
        echo.turn();
    }
    let back = echo.read(&mut stream, sent.len() - 2);
    let wanted = [frame(20, true), frame(2048, true), frame(21, true)].concat();
    assert_eq!(back, wanted);
    assert_eq!(echo.seen.len(), 3, "an empty frame is no datagram");
    let label = echo.seen[0].0;
    assert!(is_stream(&label) && label.port() == stream.local_addr().unwrap().port());
    assert_eq!(label.ip().to_canonical(), stream.local_addr().unwrap().ip());
}

#[test]
fn one_socket_speaks_both_families() {
    let mut echo = Echo::new("[::]:0", StreamLimits::default());
    let port = echo.batch.local_addr().unwrap().port();
    for host in ["127.0.0.1", "::1"] {
        let at = SocketAddr::new(host.parse().unwrap(), 0);
        let udp = UdpSocket::bind(at).unwrap();
        udp.set_read_timeout(Some(PATIENCE)).unwrap();
        udp.send_to(&frame(20, true)[2..], (host, port)).unwrap();
        echo.seen.clear();
        echo.until("a datagram", |echo| !echo.seen.is_empty());
        assert_eq!(echo.seen[0].0, udp.local_addr().unwrap(), "in its own family, no label");
        let mut back = [0; 64];
        assert_eq!(udp.recv(&mut back).unwrap(), 20);
        let mut stream = TcpStream::connect((host, echo.tcp.port())).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.write_all(&frame(20, true)).unwrap();
        assert_eq!(echo.read(&mut stream, 22), frame(20, true));
    }
}

#[test]
fn garbage_and_wrong_lengths_are_cut_off() {
    let mut echo = Echo::new("127.0.0.1:0", StreamLimits::default());
    let lengths = [2049u16, u16::MAX].map(|length| [&length.to_be_bytes()[..], &[0, 1]].concat());
    let mut media_first = vec![0, 20];
    media_first.extend([0x80; 20]);
    let short_stun = vec![0, 4, 0, 1, 0, 0];
    let other = [b"GET / HTTP/1.1\r\n\r\n".to_vec(), b"\x16\x03\x01\x02\x00\x01\x00".to_vec(), media_first, short_stun];
    let attempts: Vec<Vec<u8>> = lengths.into_iter().chain(other).collect();
    for (at, attempt) in attempts.iter().enumerate() {
        let mut stream = echo.connect();
        stream.write_all(attempt).unwrap();
        echo.until_closed(&mut stream);
        assert_eq!(echo.counters().garbage, at as u64 + 1);
    }
    assert!(echo.seen.is_empty() && echo.counters().open == 0);
}

#[test]
fn who_proves_nothing_or_falls_silent_is_closed() {
    let limits = StreamLimits { proof: Duration::ZERO, idle: Duration::from_secs(2), ..StreamLimits::default() };
    let mut echo = Echo::new("127.0.0.1:0", limits);
    let (mut honest, mut mute, mut liar) = (echo.connect(), echo.connect(), echo.connect());
    honest.write_all(&frame(20, true)).unwrap();
    liar.write_all(&frame(20, false)).unwrap();
    echo.read(&mut honest, 22);
    echo.until_closed(&mut mute);
    echo.until_closed(&mut liar);
    echo.until_closed(&mut honest);
    assert_eq!((echo.counters().timeouts, echo.counters().open), (3, 0));
}

#[test]
fn a_thousand_idle_connections_do_not_keep_an_honest_one_out() {
    let limits = StreamLimits { connections: 100, per_address: 10_000, ..StreamLimits::default() };
    let mut echo = Echo::new("127.0.0.1:0", limits);
    let mut early = echo.connect();
    early.write_all(&frame(20, true)).unwrap();
    echo.read(&mut early, 22);
    let mut idle = Vec::new();
    for _ in 0..1000 {
        idle.push(echo.connect());
        echo.turn();
        if idle.len() > 300 {
            idle.remove(0);
        }
    }
    echo.until("all seen", |echo| echo.counters().accepted == 1001);
    assert!(echo.counters().open <= 100);
    let mut late = echo.connect();
    for stream in [&mut late, &mut early] {
        stream.write_all(&frame(30, true)).unwrap();
        assert_eq!(echo.read(stream, 32), frame(30, true));
    }
}

#[test]
fn connections_of_one_address_are_counted() {
    let mut echo = Echo::new("127.0.0.1:0", StreamLimits { per_address: 3, ..StreamLimits::default() });
    let streams: Vec<TcpStream> = (0..5).map(|_| echo.connect()).collect();
    echo.until("refusals", |echo| echo.counters().refused == 2);
    assert_eq!(echo.counters().open, 3);
    drop(streams);
    echo.until("closes", |echo| echo.counters().open == 0);
    let mut again = echo.connect();
    again.write_all(&frame(20, true)).unwrap();
    echo.read(&mut again, 22);
}

#[test]
fn a_slow_reader_loses_datagrams_not_our_memory() {
    let mut echo = Echo::new("127.0.0.1:0", StreamLimits::default());
    let mut stream = echo.connect();
    stream.write_all(&frame(20, true)).unwrap();
    echo.until("a datagram", |echo| !echo.seen.is_empty());
    let label = echo.seen[0].0;
    let datagram = [7; 1200];
    for _ in 0..20_000 {
        echo.batch.push(label, |out| out.extend_from_slice(&datagram));
        echo.batch.flush();
    }
    let counters = echo.counters();
    assert!(counters.dropped > 10_000, "{counters:?}");
    // What was not dropped is whole and in its place, once the reader reads.
    let whole = 22 + (counters.datagrams_out as usize - 1) * 1202;
    let back = echo.read(&mut stream, whole);
    assert!(back[22..].chunks(1202).all(|frame| frame[..2] == [4, 176] && frame[2..] == datagram));
    drop(stream);
    echo.until("the close", |echo| echo.counters().open == 0);
    echo.batch.push(label, |out| out.extend_from_slice(&datagram));
    assert_eq!(echo.counters().dropped, counters.dropped + 1, "a gone reader");
}
