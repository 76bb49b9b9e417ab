//! The net thread against a plain WebSocket server: open, refuse, echo, close, UDP, a panicking machine, and the end of the thread.
#![allow(clippy::unwrap_used)]
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use trtc_net::ServerUrl;
use trtc_net::driver::{Handle, Input, Machine, NetAction, register, shutdown};
use trtc_types::Way;

/// Nothing here takes this long on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Probe {
    seen: Mutex<Vec<String>>,
    changed: Condvar,
    todo: Mutex<Vec<NetAction>>,
    explode: Mutex<bool>,
    dropped: Mutex<u64>,
    heard: Mutex<Vec<(usize, SocketAddr, Vec<u8>)>>,
}

impl Probe {
    fn note(&self, what: String) {
        self.seen.lock().push(what);
        self.changed.notify_all();
    }

    fn wait_for(&self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen.lock();
        while !seen.iter().any(|s| s.starts_with(what)) {
            assert!(!self.changed.wait_until(&mut seen, deadline).timed_out(), "no {what:?} in {seen:?}");
        }
    }
}

impl Machine for Probe {
    fn input(&self, _: Instant, input: Input<'_>) {
        match input {
            Input::UdpOpened(addresses) => {
                let [a, b] = addresses.unwrap();
                self.todo.lock().push(NetAction::Send { socket: 0, to: b, data: Bytes::from_static(b"ping") });
                self.note(format!("udp {}", a.ip()));
            }
            Input::ServerFound { tag, address } => self.note(format!("found {tag} {address:?}")),
            Input::Dropped(datagrams) => {
                *self.dropped.lock() += datagrams;
                self.note(format!("dropped {datagrams}"));
            }
            Input::SocketOpened(_) => self.note("opened".into()),
            Input::NetworkChanged => self.note("network changed".into()),
            Input::SocketFailed { status, body } => self.note(format!("failed {status:?} {body}")),
            Input::SocketClosed => self.note("closed".into()),
            Input::SocketMessage(message) => self.note(format!("message {}", String::from_utf8_lossy(message))),
            Input::Datagram { socket, from, data } => {
                self.heard.lock().push((socket, from, data.to_vec()));
                self.note(format!("datagram {socket} {}", String::from_utf8_lossy(data)));
            }
        }
    }

    fn advance(&self, _: Instant, actions: &mut Vec<NetAction>) -> Option<Instant> {
        assert!(!*self.explode.lock(), "asked to");
        actions.append(&mut self.todo.lock());
        None
    }

    fn crashed(&self) {
        self.note("crashed".into());
    }
}

/// Sends on a way and waits until so many datagrams came back.
fn send(probe: &Probe, handle: &Handle, to: SocketAddr, data: &[u8], until: usize) {
    probe.todo.lock().push(NetAction::Send { socket: 1, to, data: Bytes::copy_from_slice(data) });
    handle.wake();
    let deadline = Instant::now() + PATIENCE;
    let mut seen = probe.seen.lock();
    while probe.heard.lock().len() < until {
        assert!(!probe.changed.wait_until(&mut seen, deadline).timed_out(), "{seen:?}");
    }
}

fn take(from: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).unwrap();
    bytes
}

/// RFC 4571 for media, messages as they are for TURN; opened by STUN only, and again after the end.
fn datagrams_travel_over_tcp() {
    let probe = Arc::new(Probe::default());
    let handle = register(probe.clone()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let stun = |tag: u8| [&[0, 1, 0, 4][..], &[tag; 20]].concat();
    let framed = |data: &[u8]| [&(data.len() as u16).to_be_bytes()[..], data].concat();
    let ((count, counted), (read, was_read)) = (channel(), channel());
    let echo = std::thread::spawn(move || {
        for round in 0..2 {
            let (mut tcp, _) = listener.accept().unwrap();
            assert_eq!(take(&mut tcp, 26), framed(&stun(round)), "no media before it");
            tcp.write_all(&[&framed(&stun(8))[..], &[0, 0], &framed(b"media")[..4]].concat()).unwrap();
            tcp.write_all(&framed(b"media")[4..]).unwrap();
        }
        let (mut tcp, _) = listener.accept().unwrap();
        assert_eq!(take(&mut tcp, 24), stun(3));
        tcp.write_all(&[&[0x40, 0, 0, 2, 7, 7, 0, 0][..], &stun(9)].concat()).unwrap();
        let (mut slow, _) = listener.accept().unwrap();
        let taken: usize = counted.recv().unwrap();
        (0..taken).for_each(|_| assert_eq!(take(&mut slow, 1_202), framed(&[1; 1_200]), "what was taken is whole"));
        read.send(()).unwrap();
        assert_eq!(take(&mut tcp, 24), stun(5), "a farewell");
        assert_eq!(take(&mut slow, 26), framed(&stun(6)), "a farewell");
        for mut tcp in [tcp, slow] {
            assert_eq!(tcp.read(&mut [0; 8]).unwrap(), 0, "closed with its machine");
        }
    });
    for (tag, host) in ["127.0.0.1", "localhost", "no-such-name.invalid"].into_iter().enumerate() {
        let (tag, host) = (tag as u32, host.to_owned());
        probe.todo.lock().push(NetAction::FindServer { tag, host, port: 9, way: Way::Udp });
    }
    handle.wake();
    for wanted in ["found 0 Some(127.0.0.1:9)", "found 1 Some(", "found 2 None"] {
        probe.wait_for(wanted);
    }
    let (over_tcp, to_turn) = (Way::Tcp.to(at), Way::TurnTcp.to(at));
    send(&probe, &handle, over_tcp, b"\x80media", 0);
    handle.wake();
    probe.wait_for("dropped 1");
    send(&probe, &handle, over_tcp, &stun(0), 2);
    // The other end is closed by now, or will be: ICE asks until it is heard.
    let deadline = Instant::now() + PATIENCE;
    while probe.heard.lock().len() < 4 {
        assert!(Instant::now() < deadline);
        send(&probe, &handle, over_tcp, &stun(1), 2);
        std::thread::sleep(Duration::from_millis(20));
    }
    send(&probe, &handle, to_turn, &stun(3), 6);
    let heard = std::mem::take(&mut *probe.heard.lock());
    let wanted = [&stun(8), &b"media"[..], &stun(8), b"media", &[0x40, 0, 0, 2, 7, 7, 0, 0], &stun(9)];
    for (at, ((socket, from, data), wanted)) in heard.iter().zip(wanted).enumerate() {
        assert_eq!((*socket, *from, &data[..]), (1, if at < 4 { over_tcp } else { to_turn }, wanted));
    }
    // Nobody reads: a second of video waits, the rest is dropped and told.
    let to = |socket, to, data: &[u8]| NetAction::Send { socket, to, data: Bytes::copy_from_slice(data) };
    probe.todo.lock().extend((0..1_000).map(|_| to(0, over_tcp, &[1; 1_200])));
    handle.wake();
    let deadline = Instant::now() + Duration::from_secs(10);
    while *probe.dropped.lock() == 1 {
        assert!(Instant::now() < deadline);
        handle.wake();
        std::thread::sleep(Duration::from_millis(5));
    }
    let taken = 1_001 - *probe.dropped.lock() as usize;
    assert_eq!(taken, 256 * 1024 / 1_202);
    count.send(taken).unwrap();
    was_read.recv().unwrap();
    let last = [to(1, to_turn, &stun(5)), to(0, over_tcp, &stun(6)), NetAction::Closed];
    probe.todo.lock().extend(last);
    handle.wake();
    echo.join().unwrap();
}

fn open(address: SocketAddr, path: &str) -> NetAction {
    let base = ServerUrl::parse(&format!("http://{address}")).unwrap();
    NetAction::OpenWebSocket { base, path_and_query: path.into(), token: "secret".into() }
}

fn echo_once() -> (SocketAddr, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut socket = tungstenite::accept(stream).unwrap();
        let message = socket.read().unwrap();
        socket.send(message).unwrap();
        socket.close(None).unwrap();
        while socket.read().is_ok() {}
    });
    (address, server)
}

fn refuse_once(answer: &'static str) -> (SocketAddr, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 2048];
        let length = stream.read(&mut request).unwrap();
        assert!(
            String::from_utf8_lossy(&request[..length]).to_ascii_lowercase().contains("authorization: bearer secret")
        );
        stream.write_all(answer.as_bytes()).unwrap();
    });
    (address, server)
}

#[test]
fn a_machine_lives_and_the_thread_ends_with_the_last() {
    let probe = Arc::new(Probe::default());
    let handle = register(probe.clone()).unwrap();
    let act = |action| {
        probe.todo.lock().push(action);
        handle.wake();
    };

    let (address, server) =
        refuse_once("HTTP/1.1 401 Unauthorized\r\ncontent-length: 25\r\n\r\ninvalid API key: nobody  ");
    act(open(address, "/rtc"));
    probe.wait_for("failed Some(401) invalid API key: nobody");
    server.join().unwrap();

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    act(open(free, "/rtc"));
    probe.wait_for("failed None");

    let (address, server) = echo_once();
    act(open(address, "/rtc?x=1"));
    probe.wait_for("opened");
    act(NetAction::OpenUdp);
    probe.wait_for("udp 127.0.0.1");
    handle.wake();
    probe.wait_for("datagram 1 ping");
    act(NetAction::SendWebSocket(b"hello".to_vec()));
    probe.wait_for("message hello");
    probe.wait_for("closed");
    server.join().unwrap();

    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    let to = receiver.local_addr().unwrap();
    let last_word = |data| NetAction::Send { socket: 0, to, data: Bytes::from_static(data) };
    act(last_word(b"first"));
    let (_, old) = receiver.recv_from(&mut [0; 16]).unwrap();
    probe.todo.lock().extend([last_word(b"last"), NetAction::OpenUdp]);
    handle.wake();
    assert_eq!(receiver.recv_from(&mut [0; 16]).unwrap(), (4, old), "a farewell leaves from the old socket");

    let bomb = Arc::new(Probe::default());
    *bomb.explode.lock() = true;
    let _other = register(bomb.clone()).unwrap();
    bomb.wait_for("crashed");

    datagrams_travel_over_tcp();

    assert!(!shutdown(Duration::from_millis(20)), "a machine is still there");
    act(NetAction::Closed);
    assert!(shutdown(PATIENCE));
    assert_eq!(Arc::strong_count(&probe), 1);

    // It starts again, as often as wanted.
    for _ in 0..20 {
        let again = Arc::new(Probe::default());
        again.todo.lock().push(NetAction::Closed);
        register(again.clone()).unwrap();
        assert!(shutdown(PATIENCE));
    }
}
