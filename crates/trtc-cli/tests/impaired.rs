//! A whole call over a bad path: two `trtc join` processes, a server in this one, and a relay between them that loses 1 % of the
//! datagrams of every hop, lets others overtake by three and wanders by 50 ms. Judged by content, like every call.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#[path = "common/relay.rs"]
mod relay;

use relay::{Path, Relay};
use serde_json::Value;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use trtc_server::{Server, ServerConfig};

const SECONDS: &str = "10";

fn member(url: &str, user: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trtc"));
    command.args([
        "join",
        "--url",
        url,
        "--dev",
        "--room",
        "bad-path",
        "--user",
        user,
        "--publish",
        "pattern",
        "--subscribe",
    ]);
    command.args(["--seconds", SECONDS, "--json"]).stdout(Stdio::piped());
    command.spawn().expect("trtc join")
}

fn summary(child: Child) -> Value {
    let output = child.wait_with_output().expect("trtc join ends");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.rfind(|line| line["event"] == "summary").unwrap_or_else(|| panic!("no summary in {text}"))
}

fn call(path: Path) -> ([Value; 2], Relay) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listen = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut config = ServerConfig::dev(0, 0);
    config.public_candidates = vec![listen.local_addr().unwrap()];
    let server = runtime.block_on(Server::start(config)).expect("server");
    let relay = Relay::start(listen, ([127, 0, 0, 1], server.udp_port()).into(), path, 20_261_121);
    let url = format!("ws://{}", server.http_addr());
    let members = ["anna", "bert"].map(|user| member(&url, user));
    let summaries = members.map(summary);
    runtime.block_on(server.shutdown());
    (summaries, relay)
}

#[test]
fn loss_reordering_and_jitter() {
    let path = Path {
        loss_percent: 1.0,
        overtaken_every: 25,
        delay: Duration::from_millis(10),
        jitter: Duration::from_millis(50),
    };
    let (summaries, relay) = call(path);
    let figures = relay.figures();
    println!("{figures:?}");
    assert!(figures.lost.load(Relaxed) > 20 && figures.overtaken.load(Relaxed) > 100, "{figures:?}");
    for summary in &summaries {
        println!("{summary}");
    }
    if figures.late.load(Relaxed) * 100 > figures.passed.load(Relaxed) {
        println!("void: the relay itself was late for more than 1 % of the datagrams");
        return;
    }
    for summary in &summaries {
        let remote = &summary["remote"][0];
        let (video, audio) = (&remote["video"], &remote["audio"]);
        assert!(video["seen_ratio"].as_f64().unwrap() >= 0.95, "{summary}");
        assert!(video["psnr_db"].as_f64().unwrap() >= 28.0, "{summary}");
        assert!((audio["tone_hz"].as_f64().unwrap() - 440.0).abs() <= 2.0, "{summary}");
        assert!(audio["longest_gap_ms"].as_f64().unwrap() <= 60.0, "{summary}");
        assert_eq!(summary["messages"]["missed"], 0, "{summary}");
    }
}
