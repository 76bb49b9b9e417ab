//! What a forwarded packet costs whole servers: ours, livekit-server and Janus (streaming plugin) under the same load in the same
//! run, in shuffled order, each pinned to one processor while the load has the other.
use super::sfu::{Figures, figures, spread};
use crate::foreign::{cache_dir, livekit_server};
use crate::run::{Outcome, have, output, target};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const RUNS: usize = 3;
/// Of each call; the load has three in a run.
const SECONDS: &str = "8";
const STAGES: [u32; 3] = [10, 50, 100];
/// Processors of the servers and of the load.
const SERVER_CPU: &str = "1";
const LOAD_CPU: &str = "0";
const LIVEKIT_KEY: (&str, &str) = ("devkey", "secretsecretsecretsecretsecretse");
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, PartialEq)]
enum Peer {
    Ours,
    LiveKit,
    Janus,
}

const PEERS: [(Peer, &str); 3] =
    [(Peer::Ours, "trtc serve"), (Peer::LiveKit, "livekit-server 1.13.5"), (Peer::Janus, "Janus 1.1.2")];

/// A line of the table: what the load calls it, what we call it, divisor and digits.
struct Row(&'static str, &'static str, f64, usize);

const ROWS: [Row; 8] = [
    Row("processor_ns", "processor time, us a packet", 1e3, 2),
    Row("to_bare_sendto", "- times a bare sendto", 1.0, 2),
    Row("memory", "memory of the process, MB", 1e6, 1),
    Row("latency_us_p50", "added latency p50, us", 1.0, 0),
    Row("latency_us_p95", "- p95", 1.0, 0),
    Row("latency_us_p99", "- p99", 1.0, 0),
    Row("system_calls", "system calls a packet", 1.0, 3),
    Row("lost_percent", "lost, %", 1.0, 3),
];

/// Ours may be at most so many times another's, at every number of subscribers.
struct Bar {
    peer: Peer,
    name: &'static str,
    times: f64,
}

const BARS: [Bar; 5] = [
    Bar { peer: Peer::LiveKit, name: "processor_ns", times: 0.5 },
    Bar { peer: Peer::Janus, name: "processor_ns", times: 1.0 },
    Bar { peer: Peer::Janus, name: "memory_a_subscriber", times: 0.5 },
    Bar { peer: Peer::LiveKit, name: "latency_us_p95", times: 1.0 },
    Bar { peer: Peer::Janus, name: "latency_us_p95", times: 1.0 },
];

impl Bar {
    /// The figures that are above it.
    fn missed(&self, ours: &[Figures], theirs: &[Figures]) -> Vec<String> {
        let each = STAGES.map(|stage| format!("{stage}.{}", self.name));
        let names = if self.name == "memory_a_subscriber" { vec![self.name.to_owned()] } else { each.to_vec() };
        let median = |runs: &[Figures], name: &str| spread(runs, name).map_or(f64::NAN, |[median, ..]| median);
        let over = |name: &String| {
            let (ours, theirs) = (median(ours, name), median(theirs, name));
            (ours > theirs * self.times)
                .then(|| format!("{name} is {ours:.0}, {theirs:.0} there; the bar is {}", self.times))
        };
        names.iter().filter_map(over).collect()
    }
}

/// A server that runs, and what the load must know of it.
struct Running {
    child: Child,
    remote: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Compares; `load` is the built example.
pub(super) fn run(load: &Path, ours: &Path) -> Outcome {
    if !have("taskset") {
        return Err("taskset is not installed; on Debian: apt-get install util-linux".into());
    }
    let servers: Vec<(Peer, &str)> = PEERS.into_iter().filter(|(peer, name)| available(*peer, name)).collect();
    let mut runs: Vec<Vec<Figures>> = vec![Vec::new(); servers.len()];
    for round in 1..=RUNS {
        for at in shuffled(servers.len()) {
            let (peer, name) = servers[at];
            println!("round {round} of {RUNS}: {name}");
            runs[at].push(leg(peer, load, ours).map_err(|e| format!("{name}: {e}"))?);
        }
    }
    let names: Vec<&str> = servers.iter().map(|(_, name)| *name).collect();
    report(&names, &runs);
    let of = |peer: Peer| servers.iter().position(|(known, _)| *known == peer).map(|at| &runs[at][..]);
    let missed = |bar: &Bar| Some(bar.missed(of(Peer::Ours)?, of(bar.peer)?));
    let missed: Vec<String> = BARS.iter().filter_map(missed).flatten().collect();
    if missed.is_empty() { Ok(()) } else { Err(missed.join("\n")) }
}

fn available(peer: Peer, name: &str) -> bool {
    let missing = match peer {
        Peer::Ours => return true,
        Peer::LiveKit => livekit_server(&cache_dir()).err(),
        Peer::Janus => (!have("janus")).then(|| "not installed; on Debian: apt-get install janus".to_owned()),
    };
    if let Some(why) = &missing {
        println!("SKIPPED {name}: {why}");
    }
    missing.is_none()
}

/// One server, started for this, under load for all stages.
fn leg(peer: Peer, load: &Path, ours: &Path) -> Outcome<Figures> {
    let server = match peer {
        Peer::Ours => start_ours(ours)?,
        Peer::LiveKit => start_livekit()?,
        Peer::Janus => start_janus()?,
    };
    let mut command = pinned(LOAD_CPU, load);
    let mut figures = figures(&output(command.args(["--seconds", SECONDS, "--remote", &server.remote]))?);
    for stage in STAGES {
        let value = |name: &str| figures.get(&format!("{stage}.{name}")).copied().unwrap_or(f64::NAN);
        let to_bare = value("processor_ns") / value("bare_sendto_ns");
        let lost = 100.0 * value("lost") / (value("lost") + value("forwarded"));
        figures.insert(format!("{stage}.to_bare_sendto"), to_bare);
        figures.insert(format!("{stage}.lost_percent"), lost);
    }
    let value = |name: &str| figures.get(name).copied().unwrap_or(f64::NAN);
    let slope = (value("100.memory") - value("10.memory")) / 90.0;
    figures.insert("memory_a_subscriber".into(), slope);
    Ok(figures)
}

fn pinned(processor: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", processor]).arg(program);
    command
}

fn start_ours(program: &Path) -> Outcome<Running> {
    let mut child = spawn(pinned(SERVER_CPU, program).args(["serve", "--dev", "--port", "0"]).stdout(Stdio::piped()))?;
    let mut line = String::new();
    let out = child.stdout.take().ok_or("no standard output")?;
    BufReader::new(out).read_line(&mut line).map_err(|e| e.to_string())?;
    let field = |name: &str| {
        let rest = line.split_once(&format!("\"{name}\":\"")).map(|(_, rest)| rest);
        rest.and_then(|rest| rest.split_once('"'))
            .map(|(value, _)| value.to_owned())
            .ok_or(format!("no {name}: {line}"))
    };
    let address = field("http")?.trim_start_matches("http://").to_owned();
    let remote = format!("livekit,{},{address},{},{}", child.id(), field("api_key")?, field("api_secret")?);
    Ok(Running { child, remote })
}

fn start_livekit() -> Outcome<Running> {
    let (port, udp) = (free_port()?, free_port()?);
    let (key, secret) = LIVEKIT_KEY;
    let config = folder()?.join("livekit.yaml");
    let text = format!(
        "port: {port}\nbind_addresses: ['127.0.0.1']\nkeys: {{{key}: {secret}}}\nlogging: {{level: error}}\n\
         rtc: {{udp_port: {udp}, tcp_port: 0, use_external_ip: false, node_ip: 127.0.0.1, enable_loopback_candidate: true,\
         \x20interfaces: {{includes: [lo]}}, stun_servers: ['127.0.0.1:3478']}}\n"
    );
    std::fs::write(&config, text).map_err(|e| e.to_string())?;
    let program = livekit_server(&cache_dir())?;
    let child = spawn(quiet(pinned(SERVER_CPU, &program).arg("--config").arg(&config)))?;
    let remote = format!("livekit,{},127.0.0.1:{port},{key},{secret}", child.id());
    opened(Running { child, remote }, port)
}

fn start_janus() -> Outcome<Running> {
    let (port, video, audio) = (free_port()?, free_port()?, free_port()?);
    let dir = folder()?;
    let plugins = "/usr/lib/x86_64-linux-gnu/janus/plugins";
    let transports = "/usr/lib/x86_64-linux-gnu/janus/transports";
    let general = format!(
        "general: {{ configs_folder = \"{0}\" plugins_folder = \"{plugins}\" transports_folder = \"{transports}\" debug_level = 1 }}\n\
         plugins: {{ disable = \"{1}\" }}\ntransports: {{ disable = \"{2}\" }}\n",
        dir.display(),
        others(plugins, "libjanus_streaming.so")?,
        others(transports, "libjanus_websockets.so")?,
    );
    let door = format!("general: {{ ws = true ws_port = {port} ws_ip = \"127.0.0.1\" wss = false }}\n");
    let stream = format!(
        "bench: {{ type = \"rtp\" id = 1 audio = true audioport = {audio} audiopt = 111 audiocodec = \"opus\" video = true \
         videoport = {video} videopt = 96 videocodec = \"h264\" \
         videofmtp = \"profile-level-id=42e01f;packetization-mode=1\" }}\n"
    );
    for (name, text) in
        [("janus.jcfg", general), ("janus.transport.websockets.jcfg", door), ("janus.plugin.streaming.jcfg", stream)]
    {
        std::fs::write(dir.join(name), text).map_err(|e| format!("{name}: {e}"))?;
    }
    let mut command = pinned(SERVER_CPU, Path::new("janus"));
    let child = spawn(quiet(command.arg("-C").arg(dir.join("janus.jcfg")).arg("-F").arg(&dir)))?;
    let remote = format!("janus,{},127.0.0.1:{port},127.0.0.1:{video},127.0.0.1:{audio}", child.id());
    opened(Running { child, remote }, port)
}

/// Everything in a folder of Janus but one, as its configuration wants it.
fn others(folder: &str, but: &str) -> Outcome<String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{folder}: {e}"))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let names: Vec<String> = names.filter(|name| name.ends_with(".so") && name != but).collect();
    Ok(names.join(","))
}

fn spawn(command: &mut Command) -> Outcome<Child> {
    command.spawn().map_err(|e| format!("{command:?}: {e}"))
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdout(Stdio::null()).stderr(Stdio::null())
}

fn opened(mut server: Running, port: u16) -> Outcome<Running> {
    let end = std::time::Instant::now() + PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if let Ok(Some(status)) = server.child.try_wait() {
            return Err(format!("ended: {status}"));
        }
        if std::time::Instant::now() > end {
            return Err("did not open its port".into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(server)
}

/// Free for both TCP and UDP a moment ago.
fn free_port() -> Outcome<u16> {
    for _ in 0..20 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| e.to_string())?;
        let port = listener.local_addr().map_err(|e| e.to_string())?.port();
        if UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port".into())
}

fn folder() -> Outcome<PathBuf> {
    let folder = target("bench-peers");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    Ok(folder)
}

/// The numbers below `count` in an order that the clock chooses.
fn shuffled(count: usize) -> Vec<usize> {
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64 | 1;
    let mut order: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        // xorshift64 (Marsaglia 2003).
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        order.swap(at, (seed % (at as u64 + 1)) as usize);
    }
    order
}

fn report(names: &[&str], runs: &[Vec<Figures>]) {
    for stage in STAGES {
        println!("\n1 -> {stage} (median and spread of {RUNS} runs)");
        println!("{:<28} {}", "", names.iter().map(|name| format!("{name:<30}")).collect::<String>());
        for Row(name, title, divisor, digits) in ROWS {
            let cells = runs.iter().map(|runs| cell(runs, &format!("{stage}.{name}"), divisor, digits));
            println!("{title:<28} {}", cells.collect::<String>());
        }
        let waited = runs.iter().map(|runs| cell(runs, &format!("{stage}.waited_percent"), 1.0, 1));
        println!("{:<28} {}", "threads waited, %", waited.collect::<String>());
    }
    let slopes = runs.iter().map(|runs| cell(runs, "memory_a_subscriber", 1e3, 1));
    println!("\n{:<28} {}", "memory, KB a subscriber", slopes.collect::<String>());
}

/// Median and spread, or that there is none.
fn cell(runs: &[Figures], name: &str, divisor: f64, digits: usize) -> String {
    let text = spread(runs, name).map(|values| {
        let [median, least, greatest] = values.map(|value| value / divisor);
        format!("{median:.digits$} ({least:.digits$}..{greatest:.digits$})")
    });
    format!("{:<30}", text.unwrap_or_else(|_| "-".into()))
}
