//! Floods against a server in a process of its own, beside a call of two honest members. Memory has bars; processor time is
//! printed. `TRTC_LOAD=long` (`cargo xtask hostile`) takes the full numbers.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may stop")]
#[path = "../../trtc-server/tests/common/mod.rs"]
mod common;

use common::TestServer;
use common::bystanders::Bystanders;
use common::call::Call;
use livekit_protocol as lk;
use lk::signal_request::Message as Ask;
use serde_json::json;
use socket2::{Domain, Socket, Type};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use trtc_rtp::{RtpPacket, rtcp};
use trtc_server::ServerConfig;
use trtc_testkit::client::Client;
use trtc_testkit::token;

const CHILD: &str = "TRTC_TEST_SERVER_PROCESS";
const NAME: &str = "floods_cost_little_and_the_call_beside_stays_clean";

fn config() -> ServerConfig {
    ServerConfig {
        // The half-open ones are to stay; who does not read, and who is gone, is to go soon.
        silence_timeout: Duration::from_secs(600),
        join_timeout: Duration::from_secs(600),
        answer_timeout: Duration::from_secs(600),
        send_timeout: Duration::from_secs(2),
        resume_grace: Duration::from_secs(1),
        ..ServerConfig::dev(0, 0)
    }
}

/// How much of everything.
struct Scale {
    sockets: usize,
    requests: usize,
    readers: usize,
    storm: Duration,
    tracks: usize,
}

/// Numbers of 10,000 sockets need more descriptors than a shell gives.
fn raise_descriptors() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a live struct, read or written during the call.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
    }
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// The server's process.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Bytes of living allocations; whatever the allocator keeps besides is given back to the system.
fn in_use_kb() -> usize {
    // SAFETY: both may be called at any time.
    let info = unsafe {
        let info = libc::mallinfo2();
        libc::malloc_trim(0);
        info
    };
    (info.uordblks + info.hblkhd) / 1024
}

impl Process {
    fn resident_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// User and system time so far.
    fn processor(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        // Behind the name, which may hold anything: fields 14 and 15 are at 11 and 12.
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        // USER_HZ is 100 on Linux.
        Duration::from_millis(ticks * 10)
    }
}

struct Rig {
    process: Process,
    server: TestServer,
    rows: Vec<String>,
    /// The harness in the process writes again when a minute is over, and must not find the pipe closed.
    told: BufReader<ChildStdout>,
}

impl Rig {
    fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([NAME, "--exact", "--nocapture"]).env(CHILD, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process(command.spawn().unwrap());
        let mut told = BufReader::new(process.0.stdout.take().unwrap());
        let lines = told.by_ref().lines();
        let ready = lines.map_while(Result::ok).find_map(|l| l.strip_prefix("ready ").map(str::to_owned)).unwrap();
        let (address, port) = ready.split_once(' ').unwrap();
        let server = TestServer::at(address.parse().unwrap(), port.parse().unwrap(), config());
        Self { process, server, rows: Vec::new(), told }
    }

    /// Memory in use, in kB; what is resident afterwards is not more than that needs.
    fn in_use_kb(&mut self) -> u64 {
        self.process.0.stdin.as_mut().unwrap().write_all(b"?").unwrap();
        let lines = self.told.by_ref().lines();
        let mut answers = lines.map_while(Result::ok).filter_map(|l| l.strip_prefix("in use ")?.parse().ok());
        answers.next().expect("an account")
    }

    /// An act, what it grew the server by, and the bar for that.
    fn act(&mut self, what: &str, most_kb: u64, act: impl FnOnce(&TestServer) -> String) {
        let (memory, processor, start) = (self.process.resident_kb(), self.process.processor(), Instant::now());
        let told = act(&self.server);
        let grown = self.process.resident_kb().saturating_sub(memory);
        let (busy, took) = ((self.process.processor() - processor).as_secs_f64(), start.elapsed().as_secs_f64());
        self.rows.push(format!("| {what} | {told} | {grown} kB of {most_kb} | {busy:.2} s in {took:.1} s |"));
        assert!(grown <= most_kb, "{what}: {grown} kB, at most {most_kb}");
    }
}

fn token(server: &TestServer, room: &str, identity: &str) -> String {
    token::sign(&token::claims(&server.config.api_key, room, identity), &server.config.api_secret)
}

/// Connects from one of many addresses of this machine.
fn from(source: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

fn source(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, 1 + (index % 16) as u8)
}

#[test]
fn floods_cost_little_and_the_call_beside_stays_clean() {
    let descriptors = raise_descriptors();
    if std::env::var_os(CHILD).is_some() {
        let server = TestServer::with(config());
        println!("\nready {} {}", server.address, server.udp_port);
        // Each byte asks for the account of the memory; the end of them is ours.
        while std::io::stdin().read(&mut [0]).is_ok_and(|asked| asked == 1) {
            println!("\nin use {}", in_use_kb());
        }
        return;
    }
    let long = std::env::var_os("TRTC_LOAD").is_some_and(|v| v == "long");
    let mut scale = if long {
        Scale { sockets: 10_000, requests: 100_000, readers: 50, storm: Duration::from_secs(10), tracks: 10_000 }
    } else {
        Scale { sockets: 1_000, requests: 20_000, readers: 5, storm: Duration::from_secs(2), tracks: 2_000 }
    };
    // Where the system gives fewer descriptors, fewer sockets.
    scale.sockets = scale.sockets.min(descriptors.saturating_sub(200));

    let mut rig = Rig::start();
    let bystanders = Bystanders::start(&rig.server, "r");
    let (alone, alone_in_use) = (rig.process.resident_kb(), rig.in_use_kb());
    rig.act(&format!("{} datagrams of strangers", scale.requests), 20_000, |server| strangers(server, scale.requests));
    rig.act(&format!("{} half-open HTTP requests", scale.sockets / 2), scale.sockets as u64 * 20, |server| {
        half_open_http(server, scale.sockets / 2)
    });
    let mut ghosts = Vec::new();
    rig.act(&format!("{} half-open WebSockets", scale.sockets), 20_000 + scale.sockets as u64 * 50, |server| {
        ghosts = half_open(server, scale.sockets);
        format!("{} members", server.metric("trtc_members"))
    });
    rig.act(&format!("{} slow readers", scale.readers), 20_000 + scale.readers as u64 * 3_000, |server| {
        slow_readers(server, scale.readers)
    });
    rig.act("a subscriber that NACKs everything", 50_000, |server| nack_everything(server, scale.storm));
    rig.act(&format!("a publisher of {} tracks", scale.tracks), 50_000, |server| many_tracks(server, scale.tracks));
    let with_ghosts = rig.process.resident_kb();
    drop(ghosts);
    rig.server.wait_for("the end of all but the bystanders", |server| server.metric("trtc_members") == 2);
    println!("| tried | refused with | memory | processor time |\n| --- | --- | --- | --- |\n{}", rig.rows.join("\n"));
    let afterwards = rig.process.resident_kb();
    // What is in use now was in use before, but for tables that have grown; the rest is the allocator's.
    let in_use = rig.in_use_kb();
    println!("resident kB: {alone} with the call alone, {with_ghosts} at most, {afterwards} afterwards");
    println!(
        "in use kB: {alone_in_use} before, {in_use} afterwards; {} resident when trimmed",
        rig.process.resident_kb()
    );
    assert!(in_use < alone_in_use + 10_000 + scale.sockets as u64 * 2, "{in_use} kB are kept");
    bystanders.undisturbed(&rig.server);
}

/// Binding requests that nobody's password has signed, and noise, in turn.
fn strangers(server: &TestServer, count: usize) -> String {
    let media = SocketAddr::from((Ipv4Addr::LOCALHOST, server.udp_port));
    let sockets: Vec<UdpSocket> = (0..16).map(|n| UdpSocket::bind((source(n), 0)).unwrap()).collect();
    let names = ["bad_stun", "unknown_source"].map(|n| format!("trtc_media_{n}_total"));
    let counted = || names.iter().map(|name| server.metric(name)).sum::<u64>() as usize;
    let before = counted();
    server.flood(count as u32, |n| {
        let mut datagram = vec![0, 1, 0, 36, 0x21, 0x12, 0xa4, 0x42];
        datagram.extend(u64::from(n).to_be_bytes());
        datagram.extend([7; 4]);
        datagram.extend([0, 6, 0, 8]);
        datagram.extend(format!("{:04x}:abc", n % 65_536).into_bytes());
        datagram.extend([0, 8, 0, 20]);
        datagram.extend([0xab; 20]);
        if n % 2 == 1 {
            datagram = (0..n % 1_400).map(|at| (at.wrapping_mul(n) >> 5) as u8 ^ n as u8).collect();
        }
        let _ = sockets[n as usize % 16].send_to(&datagram, media);
    });
    server.wait_for("all of them", |_| counted() - before >= count * 9 / 10);
    let counted = counted() - before;
    let mut answers = 0;
    for socket in &sockets {
        socket.set_nonblocking(true).unwrap();
        answers += usize::from(socket.recv(&mut [0; 64]).is_ok());
    }
    assert_eq!(answers, 0, "strangers are answered");
    format!("{counted} dropped and counted, none answered")
}

/// Connections that never finish their request.
fn half_open_http(server: &TestServer, count: usize) -> String {
    let open: Vec<TcpStream> = (0..count)
        .map(|n| {
            let mut tcp = from(source(n), server.address);
            let _ = tcp.write_all(b"GET /rtc HTTP/1.1\r\nHost: x\r\nUpgr");
            tcp
        })
        .collect();
    assert!(server.http("GET", "/", None).starts_with("HTTP/1.1 200"), "others are served");
    format!("{} wait for the time limit; others are served", open.len())
}

/// Members that joined and then do nothing at all, in a hundred rooms.
fn half_open(server: &TestServer, count: usize) -> Vec<Client> {
    let threads = 8;
    std::thread::scope(|scope| {
        let join = |thread: usize| {
            let join = move |n: usize| {
                let token = token(server, &format!("room {}", n % 100), &format!("ghost {n}"));
                Client::over(from(source(n), server.address), server.address, &token, "").unwrap()
            };
            scope.spawn(move || (thread..count).step_by(threads).map(join).collect::<Vec<_>>())
        };
        let handles: Vec<_> = (0..threads).map(join).collect();
        handles.into_iter().flat_map(|handle| handle.join().unwrap()).collect()
    })
}

/// Members that ask for long answers and take none.
fn slow_readers(server: &TestServer, count: usize) -> String {
    let before = server.metric("trtc_members");
    let mut readers: Vec<Client> = (0..count)
        .map(|n| Client::connect(server.address, &token(server, "slow", &format!("slow {n}")), "").unwrap())
        .collect();
    for reader in &mut readers {
        reader.socket.get_ref().set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        for _ in 0..400 {
            reader.send(Ask::Mute(lk::MuteTrackRequest { sid: "x".repeat(4_000), muted: true }));
        }
    }
    server.wait_for("the end of who does not read", |server| server.metric("trtc_members") <= before);
    format!("{count} removed: the client does not read")
}

/// Asks again and again for every packet that ever came.
fn nack_everything(server: &TestServer, time: Duration) -> String {
    let mut call = Call::connect(server, &server.claims("r", "impatient"));
    call.until("Ann's tracks", |call| call.subscriber.rtp.len() > 50);
    let names = ["nacks", "nack_misses", "rtx_out"].map(|n| format!("trtc_media_{n}_total"));
    let read = || names.each_ref().map(|name| server.metric(name));
    let (before, end) = (read(), Instant::now() + time);
    while Instant::now() < end {
        let recent = call.subscriber.rtp.iter().rev().take(100).filter_map(|p| RtpPacket::parse(p));
        let newest: BTreeMap<u32, u16> = recent.map(|p| (p.header().ssrc, p.header().sequence)).rev_newest();
        for (ssrc, newest) in newest {
            let mut compound = Vec::new();
            for part in 0..30u16 {
                let first = newest.wrapping_sub(part * 17 + 16);
                let lost: Vec<u16> = (0..17).map(|n| first.wrapping_add(n)).collect();
                rtcp::nack(&mut compound, 1, ssrc, &lost);
            }
            call.subscriber.send_rtcp(&compound);
        }
        call.turn();
    }
    let after = read();
    let grown: Vec<u64> = after.iter().zip(before).map(|(a, b)| a - b).collect();
    assert!(grown[0] > 1_000 && grown[1] > grown[2], "{grown:?}");
    format!("{} packets asked for, {} refused, {} sent again", grown[0], grown[1], grown[2])
}

/// Newest sequence number of each source.
trait Newest: Iterator<Item = (u32, u16)> + Sized {
    fn rev_newest(self) -> BTreeMap<u32, u16> {
        let mut newest = BTreeMap::new();
        for (ssrc, sequence) in self {
            newest.entry(ssrc).or_insert(sequence);
        }
        newest
    }
}
impl<I: Iterator<Item = (u32, u16)>> Newest for I {}

/// Announces tracks until the server has had enough, and comes back.
fn many_tracks(server: &TestServer, count: usize) -> String {
    let (mut asked, mut published, mut ended) = (0, 0, BTreeMap::<String, usize>::new());
    while asked < count {
        let claims = token::changed(token::claims(&server.config.api_key, "r", "hydra"), &json!({ "name": "n" }));
        let mut client =
            Client::connect(server.address, &token::sign(&claims, &server.config.api_secret), "").unwrap().joined();
        let some = 1_000.min(count - asked);
        for n in 0..some {
            let (r#type, source) = (lk::TrackType::Audio.into(), lk::TrackSource::Microphone.into());
            client.send(Ask::AddTrack(lk::AddTrackRequest {
                cid: n.to_string(),
                r#type,
                source,
                ..Default::default()
            }));
        }
        asked += some;
        client.send(Ask::Leave(lk::LeaveRequest::default()));
        let mut mine = 0;
        let end = loop {
            match client.hear() {
                Ok(lk::signal_response::Message::TrackPublished(_)) => mine += 1,
                Ok(_) => {}
                Err((_, reason)) => break reason,
            }
        };
        assert!(mine <= 32, "{mine} tracks");
        published += mine;
        *ended.entry(end).or_default() += 1;
    }
    format!("{published} of {count} published, at most 32 at a time; closed with {ended:?}")
}
