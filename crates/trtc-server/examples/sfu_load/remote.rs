//! The same load on a server in a process of its own, so that different servers can be compared: how much time on the processor,
//! memory and latency it takes the whole process, for growing numbers of subscribers.
use crate::janus::Janus;
use crate::livekit::LiveKit;
use crate::process::{Process, counted};
use crate::signalling::Server;
use crate::swarm::Swarm;
use crate::{Options, SETTLE, WARM_UP, floor, report_latencies};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// The numbers of subscribers.
const STAGES: [usize; 3] = [10, 50, 100];
/// System calls are counted apart from the call that is measured.
const COUNTING_S: u64 = 2;
/// What is under way arrives.
const DRAIN: Duration = Duration::from_millis(300);

/// `livekit,PID,ADDRESS,KEY,SECRET` or `janus,PID,ADDRESS,VIDEO,AUDIO` (the addresses of the plugin's ports).
pub(crate) struct Remote {
    process: u32,
    door: Door,
}

enum Door {
    LiveKit { address: SocketAddr, key: String, secret: String },
    Janus { address: SocketAddr, video: SocketAddr, audio: SocketAddr },
}

impl Remote {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split(',').collect();
        let [kind, process, address, a, b] = fields[..] else { return Err(format!("five fields, not {text}")) };
        let socket = |text: &str| text.parse::<SocketAddr>().map_err(|e| format!("{text}: {e}"));
        let address = socket(address)?;
        let door = match kind {
            "livekit" => Door::LiveKit { address, key: a.into(), secret: b.into() },
            "janus" => Door::Janus { address, video: socket(a)?, audio: socket(b)? },
            _ => return Err(format!("livekit or janus, not {kind}")),
        };
        Ok(Self { process: process.parse().map_err(|_| format!("{process} is no process"))?, door })
    }

    fn open(&self) -> io::Result<Box<dyn Server>> {
        Ok(match &self.door {
            Door::LiveKit { address, key, secret } => {
                Box::new(LiveKit { address: *address, key: key.clone(), secret: secret.clone(), members: 0 })
            }
            Door::Janus { address, video, audio } => Box::new(Janus::connect(*address, *video, *audio)?),
        })
    }
}

/// The address that the system would send from: Janus gathers no loopback candidates. What is sent there from here does not leave
/// the machine either.
fn routed_address() -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // Of RFC 5737; to connect a datagram socket sends nothing.
    socket.connect((Ipv4Addr::new(198, 51, 100, 1), 9))?;
    Ok(socket.local_addr()?.ip())
}

/// Prints `N.name=value` for every number of subscribers.
pub(crate) fn measure(remote: &Remote, options: &Options) -> io::Result<()> {
    let process = Process::new(remote.process);
    let address = match remote.door {
        Door::LiveKit { .. } => options.address,
        Door::Janus { .. } => routed_address()?,
    };
    let mut swarm = Swarm::publish(remote.open()?, address, options.schedule())?;
    swarm.set_live(true);
    swarm.run_for(WARM_UP)?;
    println!("alone.memory={}", process.memory()?);
    for subscribers in STAGES {
        swarm.subscribe(subscribers)?;
        swarm.request_key_frame();
        swarm.until("media at every subscriber", |s| s.everybody_receives())?;
        swarm.run_for(SETTLE)?;
        call(&process, &mut swarm, subscribers, options)?;
    }
    Ok(())
}

fn call(process: &Process, swarm: &mut Swarm, subscribers: usize, options: &Options) -> io::Result<()> {
    pause(swarm)?;
    swarm.latencies = Vec::with_capacity(400 * subscribers * options.seconds as usize);
    let (sent, received, time) = (swarm.sent(), swarm.received(), process.time()?);
    swarm.set_live(true);
    swarm.run_for(Duration::from_secs(options.seconds))?;
    pause(swarm)?;
    let latencies = std::mem::take(&mut swarm.latencies);
    let (sent, received) = ((swarm.sent() - sent) * subscribers as u64, swarm.received() - received);
    let (after, packets) = (process.time()?, received.max(1) as f64);
    let window = (Duration::from_secs(options.seconds) + DRAIN).as_nanos() as f64;
    let each = |name: &str, value: f64| println!("{subscribers}.{name}={value:.4}");
    each("processor_ns", (after.ran - time.ran) as f64 / packets);
    each("processor_percent", 100.0 * (after.ran - time.ran) as f64 / window);
    each("waited_percent", 100.0 * (after.waited - time.waited) as f64 / window);
    each("forwarded", received as f64);
    each("lost", sent.saturating_sub(received) as f64);
    each("memory", process.memory()? as f64);
    report_latencies(&format!("{subscribers}."), latencies);
    if let Some(calls) = calls(process, swarm)? {
        each("system_calls", calls);
    }
    pause(swarm)?;
    let bare = floor::measure(subscribers, options.schedule(), crate::FLOOR)?;
    each("bare_sendto_ns", bare.nanoseconds as f64 / bare.packets.max(1) as f64);
    swarm.set_live(true);
    Ok(())
}

fn pause(swarm: &mut Swarm) -> io::Result<()> {
    swarm.set_live(false);
    swarm.run_for(DRAIN)
}

/// A packet's system calls.
fn calls(process: &Process, swarm: &mut Swarm) -> io::Result<Option<f64>> {
    swarm.set_live(true);
    let Some(perf) = process.count_calls(COUNTING_S) else { return Ok(None) };
    let received = swarm.received();
    swarm.run_for(Duration::from_secs(COUNTING_S))?;
    let received = swarm.received() - received;
    // `perf` started a little later and counts a little longer.
    swarm.run_for(SETTLE)?;
    Ok(counted(perf).map(|calls| calls as f64 / received.max(1) as f64))
}
