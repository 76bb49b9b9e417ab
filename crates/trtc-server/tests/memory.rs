//! What strangers and half-open connections cost a server in memory: printed, and only sanity is asserted.
#![allow(clippy::unwrap_used, reason = "a test may stop")]
mod common;

use common::{TestServer, bystanders::Bystanders};
use rand::{Rng as _, RngCore as _};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use trtc_server::ServerConfig;

const CHILD: &str = "TRTC_TEST_SERVER_PROCESS";

fn config() -> ServerConfig {
    ServerConfig { silence_timeout: Duration::from_secs(3), ..ServerConfig::dev(0, 0) }
}

/// Runs until its parent is gone.
fn serve() {
    let server = TestServer::with(config());
    println!("\nready {} {}", server.address, server.udp_port);
    let _ = std::io::stdin().read(&mut [0]);
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Resident memory now and at most, in kB.
    fn memory(&self) -> [u64; 2] {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        ["VmRSS:", "VmHWM:"].map(|name| {
            let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        })
    }
}

#[test]
fn strangers_and_half_open_sockets_cost_little_memory() {
    if std::env::var_os(CHILD).is_some() {
        return serve();
    }
    let name = "strangers_and_half_open_sockets_cost_little_memory";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture"]).env(CHILD, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process(command.spawn().unwrap());
    // Kept: the child may write for as long as it runs.
    let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
    let ready = lines.by_ref().map_while(Result::ok).find_map(|l| l.strip_prefix("ready ").map(str::to_owned)).unwrap();
    let (address, port) = ready.split_once(' ').unwrap();
    let server = TestServer::at(address.parse().unwrap(), port.parse().unwrap(), config());

    let empty = process.memory();
    let bystanders = Bystanders::start(&server, "r");
    let before = process.memory();
    let strangers = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut rng = rand::rng();
    for i in 0..10_000 {
        let mut bytes = vec![0; rng.random_range(1..1_400)];
        rng.fill_bytes(&mut bytes);
        strangers.send_to(&bytes, ("127.0.0.1", server.udp_port)).unwrap();
        if i % 50 == 49 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    let after_strangers = process.memory();
    println!("resident and largest kB: empty {empty:?}, a call {before:?}, after 10000 strangers {after_strangers:?}");
    let mut largest = Vec::new();
    for round in 1..=3 {
        let half_open: Vec<_> =
            (0..500).map(|i| server.join(&format!("room {}", i % 50), &format!("ghost {i}"))).collect();
        server.wait_metric("trtc_members", 502);
        let with_half_open = process.memory();
        server.wait_metric("trtc_silent_sockets_total", 500 * round);
        drop(half_open);
        server.wait_metric("trtc_leaves_total", 500 * round);
        std::thread::sleep(Duration::from_secs(1));
        let afterwards = process.memory();
        println!("with 500 half-open WebSockets {with_half_open:?}, after their end {afterwards:?}");
        largest.push(afterwards[1]);
    }
    assert!(after_strangers[0] < before[0] + 50_000, "10,000 datagrams cost 50 MB");
    assert!(largest[0] < before[0] + 250_000, "500 half-open sockets cost half a megabyte each");
    assert!(largest[2] < largest[0] + 25_000, "their memory is not used again");
    bystanders.undisturbed(&server);
}
