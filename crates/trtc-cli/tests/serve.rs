//! `trtc serve` as a process: its configuration, its flags, its exit codes.
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use trtc_proto::ticket::{Privileges, Ticket};
use trtc_sdk::types::{RoomId, UserId};

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
    let udp = std::net::UdpSocket::bind("127.0.0.2:0").unwrap().local_addr().unwrap().port().to_string();
    let flags = ["--bind", "127.0.0.2", "--port", "0", "--udp-port", &udp, "--public-ip", "192.0.2.1"];
    let output = trtc().arg("--config").arg(&good).args(flags).arg("--check-config").output().unwrap();
    let (shown, stderr) = text(&output);
    assert!(output.status.success(), "{stderr}");
    let udp_port = format!("udp_port = {udp}\n");
    for wanted in ["bind = \"127.0.0.2\"", "port = 0\n", &udp_port, "public_ips = [\"192.0.2.1\"]", "mine = "] {
        assert!(shown.contains(wanted), "{wanted} in {shown}");
    }
    assert!(!shown.contains(SECRET));
    let mut child = trtc().arg("--config").arg(&good).args(flags).stdout(Stdio::piped()).spawn().unwrap();
    let line = ready(&mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains("\"event\":\"ready\"") && !line.contains("secret"), "{line}");
    assert!(line.contains("//127.0.0.2:") && line.contains(&format!("\"udp\":{udp}")), "{line}");
    std::fs::remove_file(good).unwrap();
}

/// systemd only warns of a setting that it does not know.
#[test]
fn the_unit_is_one_that_systemd_knows() {
    let unit = include_str!("../../../examples/deploy/trtc.service");
    let here = unit.replace("/usr/local/bin/trtc", env!("CARGO_BIN_EXE_trtc"));
    let path = std::env::temp_dir().join(format!("trtc-verify-{}.service", std::process::id()));
    std::fs::write(&path, here).unwrap();
    match Command::new("systemd-analyze").arg("verify").arg(&path).output() {
        Ok(output) => {
            let said = text(&output).1;
            assert!(output.status.success() && !said.contains("Unknown"), "{said}");
        }
        Err(e) => eprintln!("SKIPPED: systemd-analyze: {e}"),
    }
    std::fs::remove_file(path).unwrap();
}

/// Everything that must not be in a log, whatever the level: keys, tokens, passwords, in the open and as they travel.
#[test]
fn logs_have_no_secrets_and_are_what_they_say() {
    const PLANTED: [&str; 4] =
        [SECRET, "planted-password-of-the-turn-server", "planted-shared-secret", "planted-key-of-an-application-of-32"];
    let tables = format!(
        "bind = '127.0.0.1'\n{}[[applications]]\nsdk_app_id = 1400000002\nsecret_key = '{}'\n\
         [[ice_servers]]\nurls = ['turn:a']\nusername = 'u'\ncredential = '{}'\n\
         [[ice_servers]]\nurls = ['turn:b']\nshared_secret = '{}'\n",
        keys(),
        PLANTED[3],
        PLANTED[1],
        PLANTED[2]
    );
    for format in ["json", "text"] {
        let config = file(format, &tables);
        let mut serve = trtc();
        serve.args(["--port", "0", "--log-format", format, "--config"]).arg(&config).env("TRTC_LOG", "trace");
        let mut server = serve.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let line = ready(&mut server);
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let (ws, http) = (ready["ws"].as_str().unwrap(), ready["http"].as_str().unwrap());
        let token = token("planted", "visitor");
        let member = |token: &str| {
            let mut join = Command::new(env!("CARGO_BIN_EXE_trtc"));
            join.args(["join", "--url", ws, "--token", token, "--publish", "pattern", "--subscribe", "--seconds", "3"]);
            join.env("TRTC_LOG", "trace").output().unwrap()
        };
        let joined = member(&token);
        assert!(joined.status.success(), "{:?}", text(&joined));
        let forged = format!("{}x", &token[..token.len() - 2]);
        let refused = member(&forged);
        assert!(!refused.status.success());
        let holder = || Ticket {
            user: UserId::new("u").unwrap(),
            sdk_app_id: 1_400_000_002,
            issued_at_s: std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(),
            expire_s: 600,
        };
        let sig = holder().sign_user_sig(PLANTED[3]);
        let key = holder().sign_private_map_key(PLANTED[3], RoomId::number(1).unwrap(), Privileges::ALL);
        let entry = |sig: &str, key: &str| {
            let fields = r#""sdkAppId":1400000002,"userId":"u","room":1,"role":20"#;
            format!(r#"{{{fields},"userSig":"{sig}","privateMapKey":"{key}"}}"#)
        };
        let no_token = "";
        for (path, bearer, body, status) in [
            (format!("/rtc/validate?access_token={forged}"), no_token, "", " 401 "),
            ("/trtc/v1/token".into(), no_token, &entry("eJplanted-user-sig", "eJplanted-key"), " 401 "),
            ("/trtc/v1/token".into(), no_token, &entry(&sig, &key), " 200 "),
            ("/whip/planted".into(), &token, "no SDP", " 415 "),
            ("/whep/planted".into(), &forged, "no SDP", " 401 "),
        ] {
            let answer = request(http, &path, bearer, body);
            assert!(answer.lines().next().unwrap().contains(status), "{path}: {answer}");
        }
        Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap();
        let output = server.wait_with_output().unwrap();
        assert!(output.status.success(), "drained");
        let logs = text(&output).1;
        assert!(logs.lines().count() > 10, "{logs}");
        for line in logs.lines().filter(|_| format == "json") {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line}"));
            assert!(["time", "level", "target", "message"].iter().all(|field| line[field].is_string()), "{line}");
        }
        let all = [logs, text(&joined).1, text(&refused).1].concat();
        // eyJ begins every JWT, eJ every UserSig.
        for secret in PLANTED.iter().copied().chain(["eyJ", "eJplanted", "ice-pwd", &token, &sig, &key]) {
            let found = all.lines().find(|line| line.contains(secret));
            assert_eq!(found, None, "{secret} is in the log");
        }
        std::fs::remove_file(config).unwrap();
    }
}

fn token(room: &str, identity: &str) -> String {
    use trtc_proto::jwt::{self, Claims, VideoGrant};
    let video = Some(VideoGrant { room_join: true, room: room.into(), ..VideoGrant::default() });
    jwt::sign(&Claims { iss: "mine".into(), sub: identity.into(), video, ..Claims::default() }, SECRET)
}

fn request(base: &str, path: &str, bearer: &str, body: &str) -> String {
    let host = base.split("//").nth(1).unwrap();
    let mut tcp = std::net::TcpStream::connect(host).unwrap();
    let method = if body.is_empty() { "GET" } else { "POST" };
    let head = format!(
        "Host: {host}\r\nConnection: close\r\nAuthorization: Bearer {bearer}\r\nContent-Type: application/json\r\nContent-Length: {}",
        body.len()
    );
    write!(tcp, "{method} {path} HTTP/1.1\r\n{head}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    answer
}
