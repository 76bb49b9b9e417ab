//! What a client takes from a web server and from its user: HTTP answers and addresses.
use super::bytes::Bytes;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener};
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use trtc_net::{ServerUrl, http};

/// Bytes for both; behind `@` a server says them.
pub fn run(data: &[u8]) {
    if let Some(said) = data.strip_prefix(b"@") {
        return served(&mut Bytes(said));
    }
    if let Ok(answer) = http::parse(data) {
        assert!(answer.body.len() <= data.len());
    }
    let text = String::from_utf8_lossy(data);
    if let Ok(url) = ServerUrl::parse(&text) {
        assert!(!url.host.is_empty());
        let again = ServerUrl::parse(&url.websocket("/")).expect("our own address");
        assert_eq!((again.secure, again.port, again.is_loopback()), (url.secure, url.port, url.is_loopback()));
        if url.ip().is_some() {
            assert!(url.resolve().is_ok());
        }
    }
}

/// Each kind of request, with or without TLS, to a server that answers with anything and is gone.
fn served(bytes: &mut Bytes<'_>) {
    let kind = bytes.u8();
    let answer = bytes.rest();
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
    let at = listener.local_addr().expect("a socket");
    let scheme = if kind & 8 == 0 { "http" } else { "https" };
    let url = ServerUrl::parse(&format!("{scheme}://{at}")).expect("an address");
    let patience = Duration::from_secs(20);
    let got = std::thread::scope(|scope| {
        scope.spawn(|| {
            let Ok((mut tcp, _)) = listener.accept() else { return };
            let _ = tcp.read(&mut [0; 2_048]);
            let _ = tcp.write_all(answer);
            let _ = tcp.shutdown(Shutdown::Write);
            while tcp.read(&mut [0; 2_048]).is_ok_and(|length| length > 0) {}
        });
        match kind % 4 {
            0 => http::get(&url, "/rtc/validate?access_token=x", patience),
            1 => http::post(&url, "/whip", "application/sdp", b"v=0\r\n", patience),
            2 => http::post_json(&url, "/trtc/v1/role", Some("a.b.c"), b"{}", patience, &AtomicBool::new(false)),
            _ => http::post_json(&url, "/trtc/v1/token", None, b"{}", patience, &AtomicBool::new(false)),
        }
    });
    match got {
        Ok(got) => assert!(kind & 8 == 0 && got.body.len() <= answer.len()),
        Err(e) => assert_ne!(e.kind(), std::io::ErrorKind::TimedOut, "waits for a server that is gone"),
    }
}
