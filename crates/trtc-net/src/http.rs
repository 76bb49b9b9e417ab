//! A small blocking HTTP/1.1 client for calls that happen once: tokens, roles, tests. Never called on the net thread.
use crate::lookup;
use crate::tls;
use crate::url::ServerUrl;
use rustls::StreamOwned;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// How often a waiting request looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Longest answer that is read, bytes.
pub const ANSWER_MAX: usize = 8 << 20;

/// A server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// `GET path_and_query`.
///
/// # Errors
/// Those of the network; `InvalidData` for what is no HTTP, or above [`ANSWER_MAX`].
pub fn get(base: &ServerUrl, path_and_query: &str, timeout: Duration) -> io::Result<Answer> {
    let asked = Request { method: "GET", path: path_and_query, body: &[], content_type: "", bearer: None };
    request(base, &asked, &Patience { until: Instant::now() + timeout, unwanted: None })
}

/// `POST path_and_query` with a body.
///
/// # Errors
/// As [`get`].
pub fn post(
    base: &ServerUrl,
    path_and_query: &str,
    content_type: &str,
    body: &[u8],
    timeout: Duration,
) -> io::Result<Answer> {
    let asked = Request { method: "POST", path: path_and_query, body, content_type, bearer: None };
    request(base, &asked, &Patience { until: Instant::now() + timeout, unwanted: None })
}

/// `POST path` of JSON, which ends early with `ConnectionAborted` when `unwanted` becomes true.
///
/// # Errors
/// As [`get`]; `TimedOut` after `timeout` in all.
pub fn post_json(
    base: &ServerUrl,
    path: &str,
    bearer: Option<&str>,
    body: &[u8],
    timeout: Duration,
    unwanted: &AtomicBool,
) -> io::Result<Answer> {
    let asked = Request { method: "POST", path, body, content_type: "application/json", bearer };
    request(base, &asked, &Patience { until: Instant::now() + timeout, unwanted: Some(unwanted) })
}

struct Request<'a> {
    method: &'a str,
    path: &'a str,
    body: &'a [u8],
    content_type: &'a str,
    bearer: Option<&'a str>,
}

/// How long a request may take, all of it.
#[derive(Clone, Copy)]
struct Patience<'a> {
    until: Instant,
    unwanted: Option<&'a AtomicBool>,
}

impl Patience<'_> {
    /// What is left, at most a look.
    fn slice(&self) -> io::Result<Duration> {
        if self.unwanted.is_some_and(|unwanted| unwanted.load(Ordering::Acquire)) {
            // Not `Interrupted`, which readers and writers take for "try again".
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the request is not wanted any more"));
        }
        match self.until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::Error::new(io::ErrorKind::TimedOut, "the server did not answer in time")),
            left => Ok(left.min(LOOK_EVERY)),
        }
    }
}

/// A stream that waits as long as there is patience.
struct Patient<'a> {
    stream: TcpStream,
    patience: Patience<'a>,
}

impl Patient<'_> {
    fn wait<T>(&mut self, mut act: impl FnMut(&mut TcpStream) -> io::Result<T>) -> io::Result<T> {
        loop {
            let slice = self.patience.slice()?;
            self.stream.set_read_timeout(Some(slice))?;
            self.stream.set_write_timeout(Some(slice))?;
            match act(&mut self.stream) {
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                done => return done,
            }
        }
    }
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait(|stream| stream.read(buffer))
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait(|stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn request(base: &ServerUrl, asked: &Request<'_>, patience: &Patience<'_>) -> io::Result<Answer> {
    let Request { method, path, body, content_type, bearer } = asked;
    if path.contains(|c: char| c.is_control() || c == ' ') || content_type.contains(char::is_control) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "control characters or spaces in a request"));
    }
    let mut head =
        format!("{method} {}{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", base.path, base.authority());
    if let Some(token) = bearer {
        if !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the token has characters that no header may have",
            ));
        }
        head.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    if *method == "POST" {
        head.push_str(&format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let stream = Patient { stream: connect(base, patience)?, patience: *patience };
    let mut answer = Vec::new();
    if base.secure {
        exchange(StreamOwned::new(tls::connection(&base.host)?, stream), &head, body, &mut answer)?;
    } else {
        exchange(stream, &head, body, &mut answer)?;
    }
    parse(&answer)
}

/// To the first address that takes a connection; each may have its share of the time that is left.
fn connect(base: &ServerUrl, patience: &Patience<'_>) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    let mut addresses = resolve(base, patience)?.into_iter();
    while let Some(address) = addresses.next() {
        let left = patience.until.saturating_duration_since(Instant::now());
        let share = left / (1 + u32::try_from(addresses.len()).unwrap_or(u32::MAX - 1));
        match connect_to(address, Instant::now() + share, patience) {
            Ok(stream) => return Ok(stream),
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => return Err(e),
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn resolve(base: &ServerUrl, patience: &Patience<'_>) -> io::Result<Vec<SocketAddr>> {
    if base.ip().is_some() {
        return base.resolve();
    }
    let (sender, receiver) = sync_channel(1);
    let asked = base.clone();
    lookup::start(move || drop(sender.send(asked.resolve())))?;
    loop {
        match receiver.recv_timeout(patience.slice()?) {
            Ok(found) => return found,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("the resolver thread died")),
        }
    }
}

/// The standard library's connect cannot be told meanwhile that it is not wanted any more.
fn connect_to(address: SocketAddr, until: Instant, patience: &Patience<'_>) -> io::Result<TcpStream> {
    let mut stream = mio::net::TcpStream::connect(address)?;
    let mut poll = mio::Poll::new()?;
    poll.registry().register(&mut stream, mio::Token(0), mio::Interest::WRITABLE)?;
    let mut events = mio::Events::with_capacity(1);
    loop {
        let slice = patience.slice()?.min(until.saturating_duration_since(Instant::now()));
        match poll.poll(&mut events, Some(slice)) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => return Err(e),
            _ => {}
        }
        if let Some(e) = stream.take_error()? {
            return Err(e);
        }
        match stream.peer_addr() {
            Ok(_) => break,
            Err(e) if e.kind() != io::ErrorKind::NotConnected => return Err(e),
            Err(_) if Instant::now() >= until => return Err(io::ErrorKind::TimedOut.into()),
            Err(_) => {}
        }
    }
    poll.registry().deregister(&mut stream)?;
    let stream = TcpStream::from(stream);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn exchange(mut stream: impl Read + Write, head: &str, body: &[u8], answer: &mut Vec<u8>) -> io::Result<()> {
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()?;
    match stream.take(ANSWER_MAX as u64 + 1).read_to_end(answer) {
        Ok(_) if answer.len() > ANSWER_MAX => Err(bad("the answer is too long")),
        // Many servers close TLS without saying so; the length is checked below.
        Err(e) if e.kind() != io::ErrorKind::UnexpectedEof => Err(e),
        _ => Ok(()),
    }
}

/// Reads a whole HTTP/1 answer.
///
/// # Errors
/// `InvalidData`, naming what is wrong.
pub fn parse(answer: &[u8]) -> io::Result<Answer> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(|| bad("no HTTP answer"))?;
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| bad("the HTTP head is not text"))?;
    let body = &answer[end + 4..];
    let mut lines = head.split("\r\n");
    let status =
        lines.next().filter(|line| line.starts_with("HTTP/1.")).and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| bad("no HTTP status"))?;
    let header = |name: &str| {
        let all = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        all.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    };
    let body = if header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        unchunk(body).ok_or_else(|| bad("bad chunks"))?
    } else if let Some(length) = header("content-length") {
        let length: usize = length.parse().map_err(|_| bad("bad content-length"))?;
        body.get(..length).ok_or_else(|| bad("the answer was cut off"))?.to_vec()
    } else {
        body.to_vec()
    };
    Ok(Answer { status, body })
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|w| w == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[line + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

fn bad(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_silent_server_costs_no_more_than_the_patience() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = ServerUrl::parse(&format!("http://{}", silent.local_addr().unwrap())).unwrap();
        let unwanted = AtomicBool::new(false);
        let ask = |timeout| post_json(&base, "/x", Some("token"), b"{}", timeout, &unwanted).unwrap_err().kind();
        assert_eq!(ask(Duration::from_millis(120)), io::ErrorKind::TimedOut);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| ask(Duration::from_secs(600)));
            unwanted.store(true, Ordering::Release);
            assert_eq!(waiting.join().unwrap(), io::ErrorKind::ConnectionAborted);
        });
        unwanted.store(false, Ordering::Release);
        let with_space = post_json(&base, "/x", Some("a b"), b"{}", Duration::from_secs(1), &unwanted);
        assert_eq!(with_space.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_request_that_waits_for_its_answer_can_be_given_up() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = server.local_addr().unwrap().to_string();
        for scheme in ["http", "https"] {
            let base = ServerUrl::parse(&format!("{scheme}://{authority}")).unwrap();
            let unwanted = Arc::new(AtomicBool::new(false));
            let (ended, end) = sync_channel(1);
            let asked = unwanted.clone();
            // Not in a scope: a test that fails must not wait for it.
            std::thread::spawn(move || {
                let answer = post_json(&base, "/x", None, b"{}", Duration::from_secs(600), &asked);
                let _ = ended.send(answer.unwrap_err().kind());
            });
            // What comes first has been written whole, so that the client reads by now.
            let (mut stream, _) = server.accept().unwrap();
            let mut first = [0; 5];
            stream.read_exact(&mut first).unwrap();
            std::thread::sleep(2 * LOOK_EVERY);
            unwanted.store(true, Ordering::Release);
            assert_eq!(end.recv_timeout(Duration::from_secs(60)), Ok(io::ErrorKind::ConnectionAborted), "{scheme}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_request_that_waits_for_its_connection_can_be_given_up() {
        let silent = crate::silent::Silent::new();
        let base = ServerUrl::parse(&format!("http://{}", silent.address)).unwrap();
        let unwanted = AtomicBool::new(false);
        let patience = Patience { until: Instant::now() + Duration::from_millis(200), unwanted: Some(&unwanted) };
        let kind = |patience: &Patience<'_>| connect(&base, patience).unwrap_err().kind();
        assert_eq!(kind(&patience), io::ErrorKind::TimedOut);
        let patience = Patience { until: Instant::now() + Duration::from_secs(600), ..patience };
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| kind(&patience));
            std::thread::sleep(2 * LOOK_EVERY);
            unwanted.store(true, Ordering::Release);
            assert_eq!(waiting.join().unwrap(), io::ErrorKind::ConnectionAborted);
        });
    }

    #[test]
    fn answers_are_read_and_lies_refused() {
        let plain = parse(b"HTTP/1.1 401 No\r\nContent-Length: 3\r\n\r\nbad").unwrap();
        assert_eq!(plain, Answer { status: 401, body: b"bad".to_vec() });
        let chunked =
            parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x\r\nabc\r\n1\r\nd\r\n0\r\n\r\n").unwrap();
        assert_eq!(chunked.body, b"abcd");
        assert_eq!(parse(b"HTTP/1.0 200 OK\r\n\r\nto the end").unwrap().body, b"to the end");
        for lie in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"[..],
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
            b"HTTP/1.1 OK\r\n\r\n",
            b"SSH-2.0\r\n\r\n",
            b"",
        ] {
            assert!(parse(lie).is_err());
        }
    }
}
