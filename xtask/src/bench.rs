//! Instruction counts: the same binary and input give the same number, whatever else the machine does.
use crate::run::{Outcome, cargo, run as execute, target};
use std::process::Command;

pub(crate) fn run(args: &[String]) -> Outcome {
    match args.first().map(String::as_str) {
        Some("packet") => count("trtc-rtp", "packet_path"),
        Some("message") => count("trtc-session", "message_path"),
        _ => Err("usage: cargo xtask bench packet|message".into()),
    }
}

/// Runs an example at two sizes under callgrind; the difference is free of start-up cost.
fn count(package: &str, example: &str) -> Outcome {
    run_build(package, example)?;
    let program = target("release").join("examples").join(example);
    let (small, large) = (1_000_u64, 11_000_u64);
    let difference = instructions(&program, large)?.saturating_sub(instructions(&program, small)?);
    println!(
        "{example}: {:.0} instructions each ({small} against {large}, callgrind)",
        difference as f64 / (large - small) as f64
    );
    Ok(())
}

fn run_build(package: &str, example: &str) -> Outcome {
    execute(&mut cargo(&["build", "--release", "--package", package, "--example", example]))
}

fn instructions(program: &std::path::Path, n: u64) -> Outcome<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program).arg(n.to_string());
    let out = command.output().map_err(|e| format!("valgrind: {e}"))?;
    let text = String::from_utf8_lossy(&out.stderr);
    text.lines()
        .find_map(|l| l.split_once("Collected :").and_then(|(_, n)| n.trim().parse().ok()))
        .ok_or_else(|| format!("callgrind gave no count for {}:\n{text}", program.display()))
}
