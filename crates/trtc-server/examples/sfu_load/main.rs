//! Load on the media thread without signalling: one publisher (the shape of H.264 720p30 at 1.9 Mbit/s, Opus at 50 packets a
//! second) and subscribers that decrypt and do not decode, all over loopback in this process. Prints `name=value` lines, which
//! `cargo xtask bench sfu` repeats, compares and explains.
//!
//! `sfu_load [--subscribers 50] [--seconds 10] [--pace-us 0] [--speed 1]` keeps time like a call, or runs faster by a factor. A
//! frame leaves at once, as `trtc-member` sends it, or with so much time between its packets.
//! `sfu_load --remote KIND,PID,...` is the same load on a server in a process of its own: see `remote.rs`.
//! `sfu_load --frames N` sends N frames one after the other as fast as they are forwarded, to be counted by callgrind.
mod allocations;
mod arrival;
mod client;
mod floor;
mod in_process;
mod janus;
mod livekit;
mod process;
mod remote;
mod signalling;
mod source;
mod swarm;
mod threads;

use floor::Floor;
use in_process::InProcess;
use remote::Remote;
use source::Schedule;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::Duration;
use swarm::Swarm;
use threads::{Thread, Time};
use trtc_server::media::{Media, MediaConfig};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// Long enough to fill the retransmission caches, which belong to the track and not to a subscriber.
const WARM_UP: Duration = Duration::from_secs(3);
const SETTLE: Duration = Duration::from_secs(1);
/// The floor is measured before and after the call.
const FLOOR: Duration = Duration::from_secs(2);

struct Options {
    subscribers: usize,
    seconds: u64,
    pace: Duration,
    speed: u32,
    frames: Option<u64>,
    address: IpAddr,
    remote: Option<Remote>,
}

impl Options {
    fn schedule(&self) -> Schedule {
        Schedule::new(self.pace, self.speed)
    }
}

/// Everything that only grows, at one moment.
#[derive(Clone, Copy, Debug)]
struct Totals {
    forwarded: u64,
    waits: u64,
    receives: u64,
    sends: u64,
    allocations: u64,
    time: Time,
}

fn main() -> io::Result<()> {
    allocations::this_thread_is_load();
    let options = options().map_err(io::Error::other)?;
    if let Some(remote) = &options.remote {
        return remote::measure(remote, &options);
    }
    let media = Media::start(MediaConfig::new(SocketAddr::new(options.address, 0)))?;
    let swarm = Swarm::publish(Box::new(InProcess::new(&media)), options.address, options.schedule())?;
    match options.frames {
        Some(frames) => count(&media, swarm, options.subscribers, frames)?,
        None => measure(&media, swarm, &options)?,
    }
    media.stop();
    Ok(())
}

fn options() -> Result<Options, String> {
    let address = IpAddr::from([127, 0, 0, 1]);
    let mut options =
        Options { subscribers: 50, seconds: 10, pace: Duration::ZERO, speed: 1, frames: None, address, remote: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        if name == "--remote" {
            options.remote = Some(Remote::parse(&value)?);
            continue;
        }
        let number: u64 = value.parse().map_err(|_| format!("{name} needs a number, not {value}"))?;
        match name.as_str() {
            "--subscribers" => options.subscribers = number.clamp(1, 400) as usize,
            "--seconds" => options.seconds = number.max(1),
            // The packets of a key frame must be out before the next frame.
            "--pace-us" => options.pace = Duration::from_micros(number.min(1_500)),
            "--speed" => options.speed = number.clamp(1, 20) as u32,
            "--frames" => options.frames = Some(number),
            _ => return Err(format!("unknown option {name}; see the head of examples/sfu_load/main.rs")),
        }
    }
    Ok(options)
}

/// A call of so many seconds.
fn measure(media: &Media, mut swarm: Swarm, options: &Options) -> io::Result<()> {
    let thread = Thread::named("trtc-media-0")?;
    swarm.set_live(true);
    swarm.run_for(WARM_UP)?;
    // Common buffers grow with the first half, at the latest by a key frame in one go; the other half costs what a subscriber
    // costs.
    let half = options.subscribers / 2;
    enter(&mut swarm, half)?;
    swarm.set_live(false);
    swarm.request_key_frame();
    swarm.send_frame()?;
    swarm.set_live(true);
    swarm.run_for(SETTLE)?;
    let with_half = allocations::live_bytes();
    enter(&mut swarm, options.subscribers)?;
    let floor = floor(&mut swarm, options)?;
    let expected = 400 * options.subscribers * options.seconds as usize * options.speed as usize;
    swarm.latencies = Vec::with_capacity(expected);
    let before = totals(media, &thread)?;
    swarm.run_for(Duration::from_secs(options.seconds))?;
    let after = totals(media, &thread)?;
    let memory = (allocations::live_bytes() - with_half) / (options.subscribers - half) as i64;
    let latencies = std::mem::take(&mut swarm.latencies);
    let floor = floor.and(self::floor(&mut swarm, options)?);
    let sent = media.counters().rtp_out.load(Ordering::Relaxed);
    report(options, &before, &after, floor);
    println!("heap_bytes_a_subscriber={memory}");
    report_latencies("", latencies);
    println!("lost={}", sent.saturating_sub(swarm.received()));
    println!("sent={sent}");
    Ok(())
}

fn enter(swarm: &mut Swarm, subscribers: usize) -> io::Result<()> {
    swarm.subscribe(subscribers)?;
    swarm.until("media at every subscriber", |s| s.everybody_receives())?;
    swarm.run_for(SETTLE)
}

/// While the call pauses; what is under way arrives first. The probes stay open, because the kernel notes the time of every
/// datagram as long as one socket wants it.
fn floor(swarm: &mut Swarm, options: &Options) -> io::Result<Floor> {
    swarm.set_live(false);
    swarm.run_for(Duration::from_millis(200))?;
    let floor = floor::measure(options.subscribers, options.schedule(), FLOOR)?;
    swarm.set_live(true);
    Ok(floor)
}

fn report(options: &Options, before: &Totals, after: &Totals, floor: Floor) {
    let packets = (after.forwarded - before.forwarded).max(1);
    let each = |n: u64| n as f64 / packets as f64;
    let ran = each(after.time.ran - before.time.ran);
    let bare = floor.nanoseconds as f64 / floor.packets.max(1) as f64;
    let waited = (after.time.waited - before.time.waited) as f64 / (options.seconds as f64 * 1e9);
    println!("subscribers={}", options.subscribers);
    println!("seconds={}", options.seconds);
    println!("forwarded={packets}");
    println!("processor_ns={ran:.0}");
    println!("bare_sendto_ns={bare:.0}");
    println!("ratio={:.3}", ran / bare);
    println!("waited_percent={:.2}", 100.0 * waited);
    println!("allocations={:.4}", each(after.allocations - before.allocations));
    let [waits, receives, sends] =
        [after.waits - before.waits, after.receives - before.receives, after.sends - before.sends];
    println!("system_calls={:.4}", each(waits + receives + sends));
    println!("system_calls_wait={:.4}", each(waits));
    println!("system_calls_receive={:.4}", each(receives));
    println!("system_calls_send={:.4}", each(sends));
}

fn report_latencies(prefix: &str, mut latencies: Vec<u32>) {
    latencies.sort_unstable();
    let last = latencies.len().max(1) - 1;
    for (name, share) in [("p50", 50), ("p95", 95), ("p99", 99)] {
        let value = latencies.get((latencies.len() * share / 100).min(last)).copied().unwrap_or(0);
        println!("{prefix}latency_us_{name}={value}");
    }
    println!("{prefix}latency_samples={}", latencies.len());
}

fn totals(media: &Media, thread: &Thread) -> io::Result<Totals> {
    let counters = media.counters();
    Ok(Totals {
        forwarded: counters.rtp_out.load(Ordering::Relaxed),
        waits: counters.wait_calls.load(Ordering::Relaxed),
        receives: counters.receive_calls.load(Ordering::Relaxed),
        sends: counters.send_calls.load(Ordering::Relaxed),
        allocations: allocations::calls(),
        time: thread.time()?,
    })
}

/// So many frames, each sent when the one before it has arrived everywhere.
fn count(media: &Media, mut swarm: Swarm, subscribers: usize, frames: u64) -> io::Result<()> {
    let counters = media.counters();
    // The first packets start the tracks, so that they stand in the subscribers' first offer.
    swarm.send_frame()?;
    swarm.until("the first frame", |_| counters.rtp_in.load(Ordering::Relaxed) > 20)?;
    swarm.subscribe(subscribers)?;
    swarm.request_key_frame();
    for _ in 0..frames {
        swarm.send_frame()?;
        let in_all = swarm.sent();
        swarm.until("a frame at the server", |_| counters.rtp_in.load(Ordering::Relaxed) == in_all)?;
        swarm.until("a frame at every subscriber", |s| s.received() == counters.rtp_out.load(Ordering::Relaxed))?;
    }
    println!("packets={}", counters.rtp_out.load(Ordering::Relaxed));
    Ok(())
}
