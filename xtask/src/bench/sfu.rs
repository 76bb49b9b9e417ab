//! What a forwarded packet costs the server's media thread: a live call, repeated, and instructions under callgrind.
use super::{build, build_bin, callgrind, peers};
use crate::run::{Outcome, output, target};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const RUNS: usize = 3;
/// How the publisher sends, and the options that make the load do it.
const SHAPES: [(&str, &[&str]); 3] = [
    ("each frame in one burst", &[]),
    ("1 ms between a frame's packets", &["--pace-us", "1000"]),
    ("each frame in one burst, five times as fast", &["--speed", "5"]),
];
/// Frames of the two sizes that are counted.
const FRAMES: (u32, u32) = (10, 160);
/// A latency says nothing when the media thread waited longer than this for a processor.
const WAITED_MAX: f64 = 2.0;

/// A line of the table: what the load calls it, what we call it, divisor and digits, what it compares.
struct Row(&'static str, &'static str, f64, usize, &'static str);

const ROWS: [Row; 12] = [
    Row("ratio", "processor time", 1.0, 2, "media thread to bare sendto, a packet"),
    Row("processor_ns", "  media thread", 1e3, 2, "us a packet: all of the thread's time on a processor"),
    Row("bare_sendto_ns", "  bare sendto", 1e3, 2, "us a packet, unsealed, of these lengths at these times"),
    Row("allocations", "allocations", 1.0, 4, "a packet on the media thread; bar 0.5"),
    Row("system_calls", "system calls", 1.0, 4, "a packet on the media thread; bar 0.2"),
    Row("system_calls_wait", "  epoll_wait", 1.0, 4, "a packet"),
    Row("system_calls_receive", "  recvmmsg", 1.0, 4, "a packet"),
    Row("system_calls_send", "  sendmmsg", 1.0, 4, "a packet"),
    Row("heap_bytes_a_subscriber", "memory", 1e3, 1, "KB a subscriber: heap of the second half of them; bar 48"),
    Row("latency_us_p50", "added latency p50", 1.0, 0, "us from the publisher's send to the receiver's socket"),
    Row("latency_us_p95", "added latency p95", 1.0, 0, "us"),
    Row("latency_us_p99", "added latency p99", 1.0, 0, "us"),
];
/// Figures that do not depend on how busy the machine is, and their bars.
const BARS: [(&str, f64); 3] = [("allocations", 0.5), ("system_calls", 0.2), ("heap_bytes_a_subscriber", 48e3)];

pub(super) type Figures = BTreeMap<String, f64>;

pub(super) fn run() -> Outcome {
    let program = build("trtc-server", "sfu_load")?;
    let mut above = Vec::new();
    for (shape, options) in SHAPES {
        let runs = (0..RUNS).map(|_| live(&program, options)).collect::<Outcome<Vec<_>>>()?;
        report(shape, &runs)?;
        for (name, bar) in BARS {
            let [median, ..] = spread(&runs, name)?;
            if median > bar {
                above.push(format!("{shape}: {name} is {median}, the bar is {bar}"));
            }
        }
    }
    instructions(&program)?;
    println!();
    peers::run(&program, &build_bin("trtc-cli", "trtc")?)?;
    if above.is_empty() { Ok(()) } else { Err(above.join("\n")) }
}

/// A call in a process of its own.
fn live(program: &Path, options: &[&str]) -> Outcome<Figures> {
    Ok(figures(&output(Command::new(program).args(options))?))
}

pub(super) fn figures(text: &str) -> Figures {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

/// Median, least and greatest of a figure.
pub(super) fn spread(runs: &[Figures], name: &str) -> Outcome<[f64; 3]> {
    let values = runs.iter().map(|run| run.get(name).copied().ok_or_else(|| format!("the load printed no {name}")));
    let mut values = values.collect::<Outcome<Vec<f64>>>()?;
    values.sort_by(f64::total_cmp);
    Ok([values[values.len() / 2], values[0], values[values.len() - 1]])
}

fn report(shape: &str, runs: &[Figures]) -> Outcome {
    let [subscribers, seconds, forwarded] =
        [spread(runs, "subscribers")?[0], spread(runs, "seconds")?[0], spread(runs, "forwarded")?[0]];
    println!("\n{shape}: 720p30 and Opus to {subscribers} subscribers, {forwarded} packets forwarded in {seconds} s");
    println!("{:<20} {:>9}  {:<18}  compared (median and spread of {RUNS} runs)", "", "median", "least..greatest");
    for Row(name, title, divisor, digits, compared) in ROWS {
        let [median, least, greatest] = spread(runs, name)?.map(|value| value / divisor);
        let range = format!("{least:.digits$}..{greatest:.digits$}");
        println!("{title:<20} {median:>9.digits$}  {range:<18}  {compared}");
    }
    let total = |name| runs.iter().filter_map(|run| run.get(name)).sum::<f64>();
    println!("{:<20} {:>9}  of {} packets in all runs", "lost", total("lost"), total("sent"));
    let [_, least, greatest] = spread(runs, "waited_percent")?;
    let verdict = if greatest > WAITED_MAX { "the machine was busy: latencies are void" } else { "quiet enough" };
    println!("{:<20} {:>9}  {least:.1}..{greatest:.1} %  of the time ready to run; {verdict}", "waited", "");
    Ok(())
}

/// Only the media thread's: callgrind keeps separate books for each thread.
fn instructions(program: &Path) -> Outcome {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let ((packets, count), (more_packets, more)) = (counted(program, FRAMES.0)?, counted(program, FRAMES.1)?);
        runs.push(Figures::from([("instructions".into(), (more - count) / (more_packets - packets).max(1.0))]));
    }
    let [median, least, greatest] = spread(&runs, "instructions")?;
    println!(
        "\n{:<20} {median:>9.0}  {least:.0}..{greatest:.0}  a forwarded packet on the media thread outside the kernel: {} frames \
         against {} under callgrind, {RUNS} times",
        "instructions", FRAMES.0, FRAMES.1
    );
    Ok(())
}

/// Packets forwarded and instructions of the media thread, handshakes included.
fn counted(program: &Path, frames: u32) -> Outcome<(f64, f64)> {
    let folder = target("bench-sfu");
    // Of an earlier run.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut command = callgrind(&folder.join("callgrind"));
    let text = output(command.arg("--separate-threads=yes").arg(program).args(["--frames", &frames.to_string()]))?;
    let packets = figures(&text).get("packets").copied().ok_or("the load printed no packets")?;
    for entry in std::fs::read_dir(&folder).map_err(|e| e.to_string())?.flatten() {
        let dump = std::fs::read_to_string(entry.path()).map_err(|e| e.to_string())?;
        let total = dump.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
        if let Some(total) = total.filter(|_| dump.contains("media::worker::Worker::run")) {
            return Ok((packets, total));
        }
    }
    Err("callgrind saw no media thread".into())
}
