//! Development commands. `./x` installs what is missing and calls these; each can be run alone with `cargo xtask NAME`.
mod bench;
mod camera_vm;
mod demo;
mod files;
mod foreign;
mod fuzz;
mod header;
mod hostile;
mod layers;
mod run;
mod stage;
mod symbols;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask layers               arrows between crates point down only
cargo xtask files                no source file over 1,000 lines (a note above 600), fuzz/Cargo.lock up to date
cargo xtask header [--check]     write include/trtc.h, or compare it
cargo xtask stage DIR [--dev]    lay out include, lib, pkg-config and CMake files
cargo xtask symbols DIR          only trtc_* leaves the staged .so and .a
cargo xtask check                fmt, clippy, layers, files, header, fast tests
cargo xtask test                 everything
cargo xtask demo [--input FILE]  a two-way call through our server, measured
cargo xtask fuzz [--seconds N] [--target T] [--keep]
                                 each parser under libFuzzer, and how much of it is reached
cargo xtask foreign [WORD]       the suites with foreign programs, or those whose names contain WORD
cargo xtask hostile              forbidden acts and floods, at full length
cargo xtask camera-vm            the camera test in a qemu guest with a virtual camera
cargo xtask bench NAME           packet, message or sfu: instruction counts, and the cost of forwarding

Environment, for what is longer or elsewhere than `cargo xtask test`:
TRTC_LOAD=long                   the floods of trtc-testkit at full length, as `hostile` has them
TRTC_TEST_URL=http://HOST:PORT   trtc-member's loopback test on a server that runs (TRTC_TEST_KEY, TRTC_TEST_SECRET, TRTC_TEST_SECONDS)
TRTC_RESUME_BASELINE=1           `foreign resume`: what foreign clients do on livekit-server, to compare with
TRTC_RESUME_ONLY=TEXT            `foreign resume`: only the pairs whose names contain it
TRTC_NO_BROWSER=1                ./x does not install Chromium; what needs it is skipped and told at the end
TRTC_TEST_LOGS=DIR               where the programs of foreign suites log, else the temporary directory";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    let outcome = match args.first().map(String::as_str) {
        Some("layers") => layers::run(),
        Some("files") => files::run(),
        Some("header") => header::run(rest.iter().any(|a| a == "--check")),
        Some("stage") => stage::run(rest),
        Some("symbols") => symbols::run(rest),
        Some("check") => test::check(),
        Some("test") => test::run_everything(),
        Some("foreign") => foreign::some(rest),
        Some("camera-vm") => camera_vm::run(),
        Some("demo") => demo::run(rest),
        Some("hostile") => hostile::hostile(),
        Some("fuzz") => fuzz::fuzz(rest),
        Some("bench") => bench::run(rest),
        _ => Err(HELP.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
