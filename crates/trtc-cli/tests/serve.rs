//! `trtc serve` as a process: its configuration, its flags, its exit codes.
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

const SECRET: &str = "planted-secret-of-thirty-two-characters";

fn trtc() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trtc"));
    command.arg("serve").env_remove("TRTC_LOG");
    command
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("trtc-serve-{}-{name}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

fn keys() -> String {
    format!("[keys]\nmine = '{SECRET}'\n")
}

/// The ready line of a server that is still running.
fn ready(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line
}

fn text(output: &Output) -> (String, String) {
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (utf8(&output.stdout), utf8(&output.stderr))
}

#[test]
fn a_bad_configuration_is_refused_with_its_own_exit_code() {
    let bad = file("bad", &format!("{}[limits]\nrooms = 0\n", keys()));
    let output = trtc().arg("--config").arg(&bad).output().unwrap();
    let (stdout, stderr) = text(&output);
    assert_eq!((output.status.code(), stdout.as_str()), (Some(78), ""));
    assert!(stderr.contains(":4: limits.rooms: must be an integer from 1 to 1000000"), "{stderr}");
    for (flags, wanted) in
        [(&[][..], "needs --config"), (&["--dev", "--bind", "0.0.0.0"][..], "--bind: must be a loopback")]
    {
        let output = trtc().args(flags).output().unwrap();
        assert_eq!(output.status.code(), Some(78));
        assert!(text(&output).1.contains(wanted), "{:?}", text(&output).1);
    }
    std::fs::remove_file(bad).unwrap();
}

#[test]
fn flags_go_before_the_file_and_secrets_are_not_shown() {
    let good = file("good", &format!("port = 1\nbind = '127.0.0.1'\n{}", keys()));
    let flags = ["--port", "0", "--public-ip", "192.0.2.1"];
    let output = trtc().arg("--config").arg(&good).args(flags).arg("--check-config").output().unwrap();
    let (shown, stderr) = text(&output);
    assert!(output.status.success(), "{stderr}");
    for wanted in ["port = 0\n", "udp_port = 0\n", "public_ips = [\"192.0.2.1\"]", "mine = "] {
        assert!(shown.contains(wanted), "{wanted} in {shown}");
    }
    assert!(!shown.contains(SECRET));
    let mut child = trtc().arg("--config").arg(&good).args(flags).stdout(Stdio::piped()).spawn().unwrap();
    let line = ready(&mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains("\"event\":\"ready\"") && !line.contains("secret"), "{line}");
    std::fs::remove_file(good).unwrap();
}
