//! Hostile HTTP and connections that lead nowhere, beside a call that goes on.
#![allow(clippy::unwrap_used, reason = "a test may stop")]
mod common;

use common::{TestServer, beside};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use trtc_server::ServerConfig;

/// Says something and reads until the server closes.
fn say(server: &TestServer, bytes: &[u8]) -> String {
    let mut tcp = TcpStream::connect(server.address).unwrap();
    tcp.set_read_timeout(Some(common::PATIENCE)).unwrap();
    // The server may have closed before it heard everything.
    let _ = tcp.write_all(bytes);
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(length @ 1..) = tcp.read(&mut chunk) {
        answer.extend_from_slice(&chunk[..length]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn requests_that_are_none_are_answered_with_an_error() {
    beside(ServerConfig::dev(0, 0), |server| {
        let long =
            |name: &str, length: usize| format!("GET / HTTP/1.1\r\nHost: x\r\n{name}: {}\r\n\r\n", "h".repeat(length));
        let many: String = (0..200).map(|i| format!("h{i}: 1\r\n")).collect();
        let cases: [(&str, Vec<u8>, &str); 9] = [
            ("garbage", (0..255u8).cycle().skip(128).take(4_000).collect(), "400"),
            ("no method", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), "400"),
            ("no version", b"GET / HTTP/9.9\r\n\r\n".to_vec(), "400"),
            ("a name with a space", b"GET / HTTP/1.1\r\nbad name: x\r\n\r\n".to_vec(), "400"),
            ("two lengths", b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_vec(), "400"),
            ("a header of a megabyte", long("x", 1 << 20).into_bytes(), "431"),
            ("200 headers", format!("GET / HTTP/1.1\r\n{many}\r\n").into_bytes(), "431"),
            ("a long path", format!("GET /{} HTTP/1.1\r\n\r\n", "p".repeat(70_000)).into_bytes(), "414"),
            ("a long head", format!("GET / HTTP/1.1\r\n{}", "x: y\r\n".repeat(40_000)).into_bytes(), "431"),
        ];
        for (name, request, status) in cases {
            let answer = server.counts("trtc_bad_requests_total", || say(server, &request));
            // Of a request that is cut off the answer may be lost in the reset.
            let cut = request.len() > 100_000 && answer.is_empty();
            assert!(cut || answer.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {answer}");
        }
    });
}

#[test]
fn nothing_but_the_routes_is_served() {
    beside(ServerConfig::dev(0, 0), |server| {
        let paths = [
            "/../../../../etc/passwd",
            "/rtc/../../etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/rtc/v1/..%2f..%2fetc/passwd",
            "//etc/passwd",
            "/metrics/../../../etc/passwd",
            "/.env",
            "/rtc/validate/../../Cargo.toml",
        ];
        for path in paths {
            let answer = server.http("GET", path, None);
            assert!(answer.starts_with("HTTP/1.1 404") && !answer.contains("root:"), "{path}: {answer}");
        }
        for (method, path) in
            [("POST", "/metrics"), ("DELETE", "/rtc"), ("PUT", "/"), ("TRACE", "/"), ("BREW", "/rtc/validate")]
        {
            let answer = server.http(method, path, None);
            assert!(answer.starts_with("HTTP/1.1 405"), "{method} {path}: {answer}");
        }
        // A token that is none, in every place and of every size that a request may have.
        for token in ["..", "a.b.c", &"x".repeat(60_000), "%00%ff", "eyJhbGciOiJub25lIn0.e30."] {
            let by_query = server.counts("trtc_joins_refused_total", || {
                server.http("GET", &format!("/rtc/validate?access_token={token}"), None)
            });
            assert!(by_query.starts_with("HTTP/1.1 401"), "{by_query}");
            let by_header =
                server.counts("trtc_joins_refused_total", || server.http("GET", "/rtc/validate", Some(token)));
            assert!(by_header.starts_with("HTTP/1.1 401"), "{by_header}");
        }
    });
}

#[test]
fn requests_that_never_end_time_out() {
    beside(ServerConfig { request_timeout: Duration::from_secs(2), ..ServerConfig::dev(0, 0) }, |server| {
        let before = server.metric("trtc_http_timeouts_total");
        let kinds: [&[u8]; 4] =
            [b"", b"GET", b"GET /rtc HTTP/1.1\r\nHost: x\r\nUpgr", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"];
        let half_open: Vec<TcpStream> = (0..300)
            .map(|i| {
                let mut tcp = TcpStream::connect(server.address).unwrap();
                tcp.set_read_timeout(Some(common::PATIENCE)).unwrap();
                tcp.write_all(kinds[i % kinds.len()]).unwrap();
                tcp
            })
            .collect();
        server.wait_metric("trtc_http_timeouts_total", before + 300);
        for mut tcp in half_open {
            let mut rest = Vec::new();
            // Closed, whether politely or not.
            let _ = tcp.read_to_end(&mut rest);
            assert_eq!(tcp.read(&mut [0; 1]).unwrap_or(0), 0);
        }
        // One byte at a time does not buy time.
        let mut drip = TcpStream::connect(server.address).unwrap();
        server.counts("trtc_http_timeouts_total", || {
            let end = Instant::now() + common::PATIENCE;
            while drip.write_all(b"G").is_ok() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(50));
            }
            assert!(Instant::now() < end, "still connected");
        });
    });
}

#[test]
fn half_open_websockets_time_out() {
    beside(ServerConfig { silence_timeout: Duration::from_secs(3), ..ServerConfig::dev(0, 0) }, |server| {
        let before = ["trtc_silent_sockets_total", "trtc_leaves_total"].map(|name| server.metric(name));
        let half_open: Vec<_> =
            (0..300).map(|i| server.join(if i < 20 { "r" } else { "elsewhere" }, &format!("ghost {i}"))).collect();
        server.wait_metric("trtc_silent_sockets_total", before[0] + 300);
        server.wait_metric("trtc_leaves_total", before[1] + 300);
        assert_eq!(server.metric("trtc_members"), 2, "only the bystanders are left");
        // Read below the WebSocket, which would answer the pings: the reset for an answer can swallow the rest.
        for mut ghost in half_open {
            let mut all = Vec::new();
            ghost.socket.get_mut().read_to_end(&mut all).unwrap();
            let frame = [&[0x88, 22, 0x03, 0xf0][..], b"the client is silent"].concat();
            assert!(all.ends_with(&frame), "{}", String::from_utf8_lossy(&all));
        }
    });
}
