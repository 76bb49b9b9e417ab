//! HTTP requests with headers and a body of any kind.
use super::{PATIENCE, TestServer};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let line = |l: &str| l.split_once(": ").is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        let found = self.head.lines().find(|l| line(l)).unwrap_or_else(|| panic!("no {name} in {}", self.head));
        found.split_once(": ").unwrap().1
    }
}

impl TestServer {
    pub fn ask(&self, method: &str, path: &str, token: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut tcp = TcpStream::connect(self.address).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        if !token.is_empty() {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let _ = write!(tcp, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        let mut text = Vec::new();
        // A refused body may be cut off with a reset behind the answer.
        let _ = tcp.read_to_end(&mut text);
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub fn post_sdp(&self, path: &str, token: &str, body: &str) -> Answer {
        self.ask("POST", path, token, &[("Content-Type", "application/sdp")], body)
    }
}
