//! What a client takes from a web server and from its user: HTTP answers and addresses.
use trtc_net::{ServerUrl, http};

/// Bytes for both.
pub fn run(data: &[u8]) {
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
