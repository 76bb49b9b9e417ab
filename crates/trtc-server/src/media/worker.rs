//! The media thread: waits for datagrams, commands and deadlines, and lets the state act on them.
use super::api::{MediaCommand, MediaConfig, MediaCounters};
use super::relay::MESSAGE_MAX;
use super::state::State;
use crossbeam_channel::Receiver;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use trtc_net::batch::UdpBatch;
use trtc_peer::{Config, IceRole, Identity, Setup};

/// Commands between two looks at the socket, and the time after which the rest waits for the next turn.
const COMMANDS_A_TURN: usize = 64;
const COMMANDS_TIME: Duration = Duration::from_millis(1);

pub(super) struct Worker {
    udp: UdpBatch,
    udp_port: u16,
    tcp_port: Option<u16>,
    commands: Receiver<MediaCommand>,
    stop: Arc<AtomicBool>,
    state: State,
}

impl Worker {
    pub(super) fn new(
        config: &MediaConfig,
        commands: Receiver<MediaCommand>,
        stop: Arc<AtomicBool>,
        counters: Arc<MediaCounters>,
    ) -> io::Result<Self> {
        let mut udp = UdpBatch::bind(config.bind)?;
        let bound = udp.local_addr()?;
        let tcp = config.tcp.map(|at| udp.listen(at, config.stream_limits)).transpose()?;
        let local_candidates = candidates(config, bound);
        let tcp_candidates = tcp.map(|tcp| on_port(&local_candidates, tcp.port())).unwrap_or_default();
        let unix_now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let identity = Identity::generate(unix_now).map_err(|e| io::Error::other(e.to_string()))?;
        let publisher = Config {
            ice: IceRole::Lite,
            local_candidates,
            tcp_candidates,
            active_tcp: false,
            answer_setup: Setup::Passive,
            transport_cc: true,
            remb: false,
            accept_any_codec: true,
            answer_rids: true,
            max_message_bytes: MESSAGE_MAX.into(),
            audio_redundancy: true,
        };
        // Receivers tell when packets came; those that cannot tell their estimate by REMB, as with a LiveKit server.
        let subscriber = Config { remb: true, answer_rids: false, ..publisher.clone() };
        let (identity, answer_timeout) = (Arc::new(identity), config.answer_timeout);
        let state = State::new(identity, Arc::new(publisher), Arc::new(subscriber), counters, answer_timeout);
        let tcp_port = tcp.map(|tcp| tcp.port());
        Ok(Self { udp, udp_port: bound.port(), tcp_port, commands, stop, state })
    }

    pub(super) fn udp_port(&self) -> u16 {
        self.udp_port
    }

    pub(super) fn tcp_port(&self) -> Option<u16> {
        self.tcp_port
    }

    pub(super) fn waker(&self) -> Arc<mio::Waker> {
        self.udp.waker()
    }

    pub(super) fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            if let Err(e) = self.turn() {
                log::error!("media socket: {e}");
                // An error that stays must not turn into a busy loop.
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.state.close_all(Instant::now(), self.udp.sender());
        self.udp.flush();
    }

    fn turn(&mut self) -> io::Result<()> {
        let timeout = if self.commands.is_empty() {
            self.state.timeout().map(|at| at.saturating_duration_since(Instant::now()))
        } else {
            Some(Duration::ZERO)
        };
        // epoll counts whole milliseconds: round up, or the last one is spent in a busy loop.
        let timeout = timeout.map(|t| if t.is_zero() { t } else { t + Duration::from_micros(999) });
        let wake = self.udp.wait(timeout)?;
        let now = Instant::now();
        let state = &mut self.state;
        state.begin(now);
        let received = if wake.readable {
            self.udp.recv_and_send(|sender, from, datagram| state.datagram(now, sender, from, datagram)).map(|_| ())
        } else {
            Ok(())
        };
        state.forward(now, self.udp.sender());
        let began = Instant::now();
        for _ in 0..COMMANDS_A_TURN {
            let Ok(command) = self.commands.try_recv() else { break };
            state.command(now, self.udp.sender(), command);
            // A large description takes milliseconds; media waits for one of them, not for all.
            if began.elapsed() > COMMANDS_TIME {
                break;
            }
        }
        state.run_timers(now);
        state.service(now, self.udp.sender());
        self.udp.flush();
        let (received_so_far, sent) = (self.udp.received(), self.udp.sent());
        let counters = state.counters();
        MediaCounters::add(&counters.wait_calls, 1);
        counters.receive_calls.store(received_so_far.calls, Ordering::Relaxed);
        counters.send_calls.store(sent.calls, Ordering::Relaxed);
        counters.datagrams_in.store(received_so_far.datagrams, Ordering::Relaxed);
        counters.bytes_in.store(received_so_far.bytes, Ordering::Relaxed);
        counters.datagrams_out.store(sent.datagrams, Ordering::Relaxed);
        counters.bytes_out.store(sent.bytes, Ordering::Relaxed);
        counters.send_errors.store(sent.dropped, Ordering::Relaxed);
        counters.streamed(&self.udp.streamed());
        received
    }
}

/// What clients are told to send to.
fn candidates(config: &MediaConfig, bound: SocketAddr) -> Vec<SocketAddr> {
    let with_port = |ip: IpAddr, port: u16| SocketAddr::new(ip, if port == 0 { bound.port() } else { port });
    if !config.public_candidates.is_empty() {
        return config.public_candidates.iter().map(|a| with_port(a.ip(), a.port())).collect();
    }
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let outward = [IpAddr::from(TEST_NET_V4), IpAddr::from(TEST_NET_V6)].map(outward);
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].map(Some);
    let takes = |ip: &IpAddr| ip.is_ipv4() || bound.is_ipv6();
    outward.into_iter().chain(loopback).flatten().filter(takes).map(|ip| with_port(ip, 0)).collect()
}

/// Reserved for documentation (RFC 5737, RFC 3849): a place beyond the default route.
const TEST_NET_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const TEST_NET_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// Our address on the way to another. Connecting a UDP socket sends nothing; it only asks the routing table.
fn outward(to: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((to, 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

/// The same hosts, each once, on another port.
fn on_port(addresses: &[SocketAddr], port: u16) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = addresses.iter().map(|a| SocketAddr::new(a.ip(), port)).collect();
    found.dedup();
    found
}
