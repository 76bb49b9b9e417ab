//! Benches compare: instruction counts at two sizes, which repeat whatever else the machine does, and ratios to a floor measured in
//! the same run. `benches/README.md` explains the figures.
mod peers;
mod sfu;

use crate::run::{Outcome, cargo, have, run as execute, target};
use std::path::{Path, PathBuf};
use std::process::Command;

const USAGE: &str = "\
cargo xtask bench packet    instructions of the RTP path of a packet, pure logic (callgrind)
cargo xtask bench message   instructions of a custom command message through two sessions (callgrind)
cargo xtask bench sfu       what forwarding costs: the media thread against bare sendto, then whole servers (about 12 minutes)
cargo xtask bench peers     only the whole servers: ours, livekit-server and Janus (about 8 minutes)";

pub(crate) fn run(args: &[String]) -> Outcome {
    let bench: fn() -> Outcome = match args.first().map(String::as_str) {
        Some("packet") => || count("trtc-rtp", "packet_path"),
        Some("message") => || count("trtc-session", "message_path"),
        Some("sfu") => sfu::run,
        Some("peers") => || peers::run(&build("trtc-server", "sfu_load")?, &build_bin("trtc-cli", "trtc")?),
        _ => return Err(USAGE.into()),
    };
    if !have("valgrind") {
        return Err("valgrind is not installed; on Debian: apt-get install valgrind".into());
    }
    bench()
}

/// Runs an example at two sizes under callgrind; the difference is free of start-up cost.
fn count(package: &str, example: &str) -> Outcome {
    let program = build(package, example)?;
    let (small, large) = (1_000_u64, 11_000_u64);
    let difference = instructions(&program, large)?.saturating_sub(instructions(&program, small)?);
    println!(
        "{example}: {:.0} instructions each ({small} against {large}, callgrind, release profile)",
        difference as f64 / (large - small) as f64
    );
    Ok(())
}

/// Builds an example for release; where it lies.
fn build(package: &str, example: &str) -> Outcome<PathBuf> {
    execute(&mut cargo(&["build", "--release", "--package", package, "--example", example]))?;
    Ok(target("release").join("examples").join(example))
}

/// Builds a program for release; where it lies.
fn build_bin(package: &str, name: &str) -> Outcome<PathBuf> {
    execute(&mut cargo(&["build", "--release", "--package", package, "--bin", name]))?;
    Ok(target("release").join(name))
}

fn instructions(program: &Path, n: u64) -> Outcome<u64> {
    let mut command = callgrind(Path::new("/dev/null"));
    command.arg(program).arg(n.to_string());
    let out = command.output().map_err(|e| format!("valgrind: {e}"))?;
    let text = String::from_utf8_lossy(&out.stderr);
    text.lines()
        .find_map(|l| l.split_once("Collected :").and_then(|(_, n)| n.trim().parse().ok()))
        .ok_or_else(|| format!("callgrind gave no count for {}:\n{text}", program.display()))
}

/// `valgrind` that counts; the program and its arguments follow.
fn callgrind(dump: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", &format!("--callgrind-out-file={}", dump.display())]);
    command
}
