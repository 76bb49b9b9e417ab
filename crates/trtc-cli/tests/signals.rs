//! `trtc serve` and the signals of an operator: a new certificate, a drain, the end; a member's end. All are processes here.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// A process that says JSON lines.
struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    fn start(arguments: &[&str], trusted: Option<&PathBuf>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trtc"));
        command.args(arguments).env_remove("TRTC_LOG").stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(path) = trusted {
            command.env("SSL_CERT_FILE", path);
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line with this event; null when the process ends without it.
    fn wait_for(&mut self, event: &str) -> serde_json::Value {
        let mut line = String::new();
        while self.lines.read_line(&mut line).unwrap() > 0 {
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            if value["event"] == event {
                return value;
            }
            line.clear();
        }
        serde_json::Value::Null
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    fn end(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A development server, its WebSocket address, and its address.
fn serve(options: &[&str]) -> (Running, String, String) {
    let mut server = Running::start(&[&["serve", "--dev", "--port", "0"], options].concat(), None);
    let ready = server.wait_for("ready");
    let ws = ready["ws"].as_str().unwrap().to_owned();
    let host = ws.split("//").nth(1).unwrap().to_owned();
    (server, ws, host)
}

fn join(ws: &str, user: &str, seconds: &str, trusted: Option<&PathBuf>) -> Running {
    let options = ["join", "--json", "--dev", "--url", ws, "--user", user, "--seconds", seconds, "--subscribe"];
    Running::start(&[&options[..], &["--publish", "pattern"]].concat(), trusted)
}

/// The status line of an answer.
fn status(host: &str, path: &str) -> String {
    let mut tcp = std::net::TcpStream::connect(host).unwrap();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    write!(tcp, "GET {path} HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(tcp).read_line(&mut line).unwrap();
    line
}

fn token(user: &str) -> String {
    let options = ["token", "jwt", "--room", "hello", "--identity", user];
    let output = Command::new(env!("CARGO_BIN_EXE_trtc")).args(options).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn sigterm_lets_calls_end_and_takes_no_new_ones() {
    let (server, ws, host) = serve(&["--drain-timeout", "3600"]);
    let mut members = ["alice", "bob"].map(|user| join(&ws, user, "15", None));
    members.iter_mut().for_each(|member| assert!(!member.wait_for("joined").is_null()));
    let entry = format!("/rtc?access_token={}", token("carol"));
    assert!(status(&host, &entry).contains(" 101 "));
    server.signal("-TERM");
    // The signal is on its way.
    while status(&host, "/healthz").contains(" 200 ") {}
    assert!(status(&host, "/healthz").contains(" 503 "));
    assert!(status(&host, &entry).contains(" 503 "), "{}", status(&host, &entry));
    let mut late = join(&ws, "dave", "60", None);
    assert!(late.wait_for("joined").is_null() && !late.end().success());
    for mut member in members {
        let summary = member.wait_for("summary");
        let frames = summary["remote"][0]["video"]["frames"].as_u64().unwrap_or(0);
        assert!(frames > 100, "{summary}");
        assert!(member.end().success());
    }
    assert_eq!(server.end().code(), Some(0), "the last member is gone");
}

#[test]
fn a_member_leaves_at_a_signal() {
    let (server, ws, _) = serve(&[]);
    let mut stays = join(&ws, "alice", "600", None);
    assert!(!stays.wait_for("joined").is_null());
    for signal in ["-INT", "-TERM"] {
        let mut leaves = join(&ws, "bob", "600", None);
        assert!(!leaves.wait_for("joined").is_null() && !stays.wait_for("user_entered").is_null());
        leaves.signal(signal);
        assert!(!leaves.wait_for("summary").is_null() && leaves.end().success(), "{signal}");
        assert_eq!(stays.wait_for("user_left")["reason"], 0, "{signal}: it said so");
    }
    server.signal("-INT");
}

#[test]
fn a_drain_ends_when_its_time_is_over_or_at_the_second_signal() {
    for (timeout, signals) in
        [("1", &["-TERM"][..]), ("3600", &["-TERM", "-TERM"]), ("3600", &["-TERM", "-INT"]), ("3600", &["-INT"])]
    {
        let (server, ws, host) = serve(&["--drain-timeout", timeout]);
        let mut member = join(&ws, "alice", "600", None);
        assert!(!member.wait_for("joined").is_null());
        for (at, signal) in signals.iter().enumerate() {
            if at > 0 {
                // The first one was heard.
                while status(&host, "/healthz").contains(" 200 ") {}
            }
            server.signal(signal);
        }
        // The leave invites to come back.
        assert!(!member.wait_for("connection_lost").is_null(), "{signals:?}");
        assert_eq!(server.end().code(), Some(0), "{signals:?}");
    }
}

#[test]
fn sighup_puts_a_new_certificate_in_force() {
    let at = |end: &str| std::env::temp_dir().join(format!("trtc-signals-{}.{end}", std::process::id()));
    let (cert, key, old, new) = (at("cert"), at("key"), at("old"), at("new"));
    let issue = |copy: &PathBuf| {
        let issued = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        std::fs::write(&cert, issued.cert.pem()).unwrap();
        std::fs::write(copy, issued.cert.pem()).unwrap();
        std::fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
    };
    issue(&old);
    let files = ["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let (server, ws, _) = serve(&files);
    let ws = ws.replace("127.0.0.1", "localhost");
    let mut early = join(&ws, "alice", "600", Some(&old));
    assert!(!early.wait_for("joined").is_null());
    issue(&new);
    server.signal("-HUP");
    // Until it is in force, who trusts only the new one is refused.
    let joined = (0..50).any(|_| !join(&ws, "bob", "1", Some(&new)).wait_for("joined").is_null());
    assert!(joined, "the new certificate is shown");
    assert!(join(&ws, "carol", "1", Some(&old)).wait_for("joined").is_null(), "the old one is not shown any more");
    // A key that is not the certificate's: refused, and the one before stays.
    std::fs::write(&key, "nonsense").unwrap();
    server.signal("-HUP");
    assert!(!join(&ws, "dave", "1", Some(&new)).wait_for("joined").is_null());
    // Connections that are up keep theirs: the early one saw everybody come.
    assert!(!early.wait_for("user_entered").is_null());
    server.signal("-INT");
    assert_eq!(server.end().code(), Some(0));
    [cert, key, old, new].iter().for_each(|path| std::fs::remove_file(path).unwrap());
}
