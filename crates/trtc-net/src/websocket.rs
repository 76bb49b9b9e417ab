//! A client WebSocket that never blocks: driven by readiness events and a deadline. Names are resolved on a short-lived thread,
//! because the system's resolver knows no other way.
use crate::lookup;
use crate::tls::Stream;
use crate::url::ServerUrl;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token, Waker};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};
use tungstenite::Message;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::protocol::WebSocketConfig;

/// Time for name, TCP, TLS and HTTP together.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest message in either direction, bytes.
pub const MESSAGE_MAX: usize = 4 << 20;

/// What a [`WebSocket::drive`] brought.
pub enum Progress {
    /// Ready for messages.
    Opened {
        /// Our address on the way to the server.
        local: SocketAddr,
        /// The server's.
        server: SocketAddr,
    },
    /// Could not be opened; final. The HTTP status and body when the server answered by HTTP, else a sentence in `body`.
    Failed {
        /// HTTP status.
        status: Option<u16>,
        /// Body of the answer, or the reason.
        body: String,
    },
    /// A message, binary or text.
    Message(Vec<u8>),
    /// Was open and is no more; final.
    Closed,
}

/// One connection attempt and, if it succeeds, the connection.
pub struct WebSocket {
    url: ServerUrl,
    token: String,
    request: tungstenite::handshake::client::Request,
    state: State,
    deadline: Option<Instant>,
    broken: bool,
}

enum State {
    Resolving(Receiver<io::Result<Vec<SocketAddr>>>),
    /// To one address, until then; the others have their turn after it.
    Connecting(TcpStream, Vec<SocketAddr>, Instant),
    Handshaking(MidHandshake<ClientHandshake<Stream>>),
    Open(Box<tungstenite::WebSocket<Stream>>),
    Over,
}

impl WebSocket {
    /// Starts.
    ///
    /// # Errors
    /// A sentence when the URL or the token cannot stand in a request.
    pub fn open(base: &ServerUrl, url: &str, token: &str, now: Instant, waker: &Arc<Waker>) -> Result<Self, String> {
        let mut request = url.into_client_request().map_err(|e| e.to_string())?;
        let bearer =
            format!("Bearer {token}").parse().map_err(|_| "the token has characters that no HTTP header may have")?;
        request.headers_mut().insert(http::header::AUTHORIZATION, bearer);
        let (sender, receiver) = sync_channel(1);
        if base.ip().is_some() {
            let _ = sender.send(base.resolve());
        } else {
            let (base, waker) = (base.clone(), waker.clone());
            let started = lookup::start(move || {
                let _ = sender.send(base.resolve());
                let _ = waker.wake();
            });
            started.map_err(|e| e.to_string())?;
        }
        Ok(Self {
            url: base.clone(),
            token: token.to_owned(),
            request,
            state: State::Resolving(receiver),
            deadline: Some(now + OPEN_TIMEOUT),
            broken: false,
        })
    }

    /// When [`Self::drive`] must be called even without an event.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Connecting(_, rest, until) if !rest.is_empty() => Some(*until),
            _ => self.deadline,
        }
    }

    /// Does what can be done without waiting. Call after an event of `token`, after [`Self::send`], and at the deadline.
    pub fn drive(&mut self, now: Instant, registry: &Registry, token: Token, told: &mut dyn FnMut(Progress)) {
        if let Err(progress) = self.steps(now, registry, token, told) {
            self.finish(registry);
            told(progress);
        } else if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.finish(registry);
            told(failed("connecting took longer than 5 s"));
        }
    }

    /// Queues a message; it leaves with the next [`Self::drive`].
    pub fn send(&mut self, message: Vec<u8>) {
        if let State::Open(socket) = &mut self.state {
            match socket.write(Message::Binary(message.into())) {
                Err(tungstenite::Error::Io(e)) if would_block(&e) => {}
                Err(e) => {
                    log::debug!("websocket: {e}");
                    self.broken = true;
                }
                Ok(()) => {}
            }
        }
    }

    /// Says goodbye as far as the socket takes it at once, and closes it.
    pub fn close(&mut self, registry: &Registry) {
        if let State::Open(socket) = &mut self.state {
            let _ = socket.close(None);
            let _ = socket.flush();
        }
        self.finish(registry);
    }

    fn finish(&mut self, registry: &Registry) {
        self.deadline = None;
        match std::mem::replace(&mut self.state, State::Over) {
            State::Connecting(mut stream, ..) => drop(registry.deregister(&mut stream)),
            State::Handshaking(mut handshake) => drop(registry.deregister(handshake.get_mut().get_mut().tcp())),
            State::Open(mut socket) => drop(registry.deregister(socket.get_mut().tcp())),
            State::Resolving(_) | State::Over => {}
        }
    }

    fn steps(
        &mut self,
        now: Instant,
        registry: &Registry,
        token: Token,
        told: &mut dyn FnMut(Progress),
    ) -> Result<(), Progress> {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Resolving(receiver) => match receiver.try_recv() {
                    Ok(Ok(addresses)) => self.connect(now, addresses, registry, token)?,
                    Ok(Err(e)) => return Err(failed(&format!("{}: {e}", self.url.host))),
                    Err(TryRecvError::Disconnected) => return Err(failed("the resolver thread died")),
                    Err(TryRecvError::Empty) => {
                        self.state = State::Resolving(receiver);
                        return Ok(());
                    }
                },
                State::Connecting(mut stream, rest, until) => {
                    let error = match (stream.take_error(), stream.peer_addr()) {
                        (Ok(None), Ok(_)) => {
                            self.state = self.handshake(stream)?;
                            continue;
                        }
                        (Ok(None), Err(e)) if e.kind() == io::ErrorKind::NotConnected => {
                            if rest.is_empty() || now < until {
                                self.state = State::Connecting(stream, rest, until);
                                return Ok(());
                            }
                            io::ErrorKind::TimedOut.into()
                        }
                        (Ok(Some(e)) | Err(e), _) | (_, Err(e)) => e,
                    };
                    let _ = registry.deregister(&mut stream);
                    if rest.is_empty() {
                        return Err(failed(&format!("{}: {error}", self.url.authority())));
                    }
                    self.connect(now, rest, registry, token)?;
                }
                State::Handshaking(handshake) => match handshake.handshake() {
                    Ok((socket, _)) => {
                        self.deadline = None;
                        let local = socket.get_ref().local_addr().map_err(|e| failed(&e.to_string()))?;
                        let server = socket.get_ref().peer_addr().map_err(|e| failed(&e.to_string()))?;
                        self.state = State::Open(Box::new(socket));
                        told(Progress::Opened { local, server });
                    }
                    Err(HandshakeError::Interrupted(handshake)) => {
                        self.state = State::Handshaking(handshake);
                        return Ok(());
                    }
                    Err(HandshakeError::Failure(e)) => return Err(refused(e, &self.token)),
                },
                State::Open(mut socket) => {
                    let alive = !self.broken && read_all(&mut socket, told);
                    self.state = State::Open(socket);
                    return if alive { Ok(()) } else { Err(Progress::Closed) };
                }
                State::Over => return Ok(()),
            }
        }
    }

    /// To the first address that takes a connection; each may have its share of the time that is left.
    fn connect(
        &mut self,
        now: Instant,
        addresses: Vec<SocketAddr>,
        registry: &Registry,
        token: Token,
    ) -> Result<(), Progress> {
        let mut last = failed(&format!("{} has no address", self.url.host));
        let mut rest = addresses.into_iter();
        while let Some(address) = rest.next() {
            let mut stream = match TcpStream::connect(address) {
                Ok(stream) => stream,
                Err(e) => {
                    last = failed(&format!("{address}: {e}"));
                    continue;
                }
            };
            registry
                .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)
                .map_err(|e| failed(&e.to_string()))?;
            let left = self.deadline.map_or(OPEN_TIMEOUT, |deadline| deadline.saturating_duration_since(now));
            let until = now + left / (1 + u32::try_from(rest.len()).unwrap_or(u32::MAX - 1));
            self.state = State::Connecting(stream, rest.collect(), until);
            return Ok(());
        }
        Err(last)
    }

    fn handshake(&self, stream: TcpStream) -> Result<State, Progress> {
        // Signalling is small messages that somebody waits for.
        let _ = stream.set_nodelay(true);
        let stream = if self.url.secure {
            Stream::secure(&self.url.host, stream).map_err(|e| failed(&e.to_string()))?
        } else {
            Stream::Plain(stream)
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX))
            .write_buffer_size(0)
            .max_write_buffer_size(2 * MESSAGE_MAX);
        let start = ClientHandshake::start(stream, self.request.clone(), Some(config));
        start.map(State::Handshaking).map_err(|e| failed(&e.to_string()))
    }
}

fn read_all(socket: &mut tungstenite::WebSocket<Stream>, told: &mut dyn FnMut(Progress)) -> bool {
    loop {
        match socket.read() {
            Ok(Message::Binary(data)) => told(Progress::Message(data.into())),
            Ok(Message::Text(text)) => told(Progress::Message(text.as_bytes().to_vec())),
            Ok(_) => {}
            Err(tungstenite::Error::Io(e)) if would_block(&e) => break,
            Err(e) => {
                log::debug!("websocket: {e}");
                return false;
            }
        }
    }
    match socket.flush() {
        Err(tungstenite::Error::Io(e)) if would_block(&e) => true,
        result => result.is_ok(),
    }
}

fn would_block(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn failed(reason: &str) -> Progress {
    Progress::Failed { status: None, body: reason.to_owned() }
}

fn refused(error: tungstenite::Error, token: &str) -> Progress {
    match error {
        tungstenite::Error::Http(answer) => {
            let body = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            Progress::Failed { status: Some(answer.status().as_u16()), body: redacted(body.trim(), token) }
        }
        other => failed(&other.to_string()),
    }
}

/// LiveKit's server quotes a token that it refuses, whole or cut off; it must not end in logs.
fn redacted(body: &str, token: &str) -> String {
    let Some(start) = token.get(..16).and_then(|start| body.find(start)) else { return body.to_owned() };
    let end = body[start..]
        .find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c))
        .map_or(body.len(), |n| start + n);
    format!("{}<token>{}", &body[..start], &body[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_token_is_cut_out() {
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJkZXYifQ.c2ln-_";
        assert_eq!(redacted(&format!("invalid token: {token}, error: x"), token), "invalid token: <token>, error: x");
        assert_eq!(redacted(&format!("invalid token: {}", &token[..30]), token), "invalid token: <token>");
        assert_eq!(redacted("no room name", token), "no room name");
        assert_eq!(redacted("short", "t"), "short");
    }

    /// Drives at that many seconds until something can be told; every event is taken.
    fn outcome(addresses: Vec<SocketAddr>, seconds: &[u64]) -> String {
        let mut poll = mio::Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(9)).unwrap());
        let (base, start) = (ServerUrl::parse("http://127.0.0.1:1").unwrap(), Instant::now());
        let mut socket = WebSocket::open(&base, &base.websocket("/"), "t", start, &waker).unwrap();
        let (sender, receiver) = sync_channel(1);
        sender.send(Ok(addresses)).unwrap();
        socket.state = State::Resolving(receiver);
        let mut told = String::new();
        for second in seconds {
            let now = start + Duration::from_secs(*second);
            // At most: an attempt that is refused, one that is taken, and the request.
            for _ in 0..4 {
                socket.drive(now, poll.registry(), Token(1), &mut |progress| match progress {
                    Progress::Failed { status, body } => told = format!("{status:?} {body}"),
                    _ => told = "else".into(),
                });
                let wait = if socket.deadline().is_some_and(|at| at <= now) { 0 } else { 200 };
                poll.poll(&mut mio::Events::with_capacity(8), Some(Duration::from_millis(wait))).unwrap();
            }
        }
        if matches!(socket.state, State::Handshaking(_)) { "handshake".into() } else { told }
    }

    #[test]
    fn every_address_of_a_server_is_tried() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = taken.local_addr().map(|at| (taken, at)).unwrap();
        let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        // What no connection can be made to fails at once.
        let broadcast: SocketAddr = "255.255.255.255:9".parse().unwrap();
        assert_eq!(outcome(vec![broadcast, refused, taken.1], &[0]), "handshake");
        assert!(outcome(vec![refused, broadcast], &[0]).starts_with("None 255.255.255.255:9: "));
        assert_eq!(outcome(vec![], &[0]), "None 127.0.0.1 has no address");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_address_that_never_answers_has_its_share_of_the_time() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = crate::silent::Silent::new();
        let addresses = vec![silent.address, taken.local_addr().unwrap()];
        assert_eq!(outcome(addresses.clone(), &[0, 2]), "", "it has half of 5 s");
        assert_eq!(outcome(addresses, &[0, 3]), "handshake");
    }
}
