//! A server, and a client that shares no code with it but the message definitions: blocking tungstenite, raw HTTP.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and a test may stop")]

pub mod answer;
pub mod bystanders;
pub mod call;
pub mod door;
pub mod link;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use trtc_proto::Message as _;
use trtc_proto::jwt::{self, Claims, VideoGrant};
use trtc_proto::livekit::leave_request::Action;
use trtc_proto::livekit::signal_request::Message as Ask;
use trtc_proto::livekit::signal_response::Message as Tell;
use trtc_proto::livekit::{
    DisconnectReason, JoinResponse, ParticipantInfo, RequestResponse, SignalRequest, SignalResponse,
};
use trtc_server::{Server, ServerConfig};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

/// Longer than anything here takes on the busiest machine; only what fails waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server on free ports, here with its runtime or in another process.
pub struct TestServer {
    here: Option<(tokio::runtime::Runtime, Server)>,
    pub address: SocketAddr,
    pub udp_port: u16,
    pub config: ServerConfig,
}

impl TestServer {
    pub fn start() -> Self {
        Self::with(ServerConfig::dev(0, 0))
    }

    pub fn with(config: ServerConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = runtime.block_on(Server::start(config.clone())).unwrap();
        Self { address: server.http_addr(), udp_port: server.udp_port(), here: Some((runtime, server)), config }
    }

    /// One that already runs.
    pub fn at(address: SocketAddr, udp_port: u16, config: ServerConfig) -> Self {
        Self { here: None, address, udp_port, config }
    }

    pub fn stop(&mut self) {
        if let Some((runtime, server)) = self.here.take() {
            runtime.block_on(server.shutdown());
        }
    }

    /// Asks the server itself, which must run here.
    pub fn on<T>(&self, act: impl AsyncFnOnce(&Server) -> T) -> T {
        let (runtime, server) = self.here.as_ref().unwrap();
        runtime.block_on(act(server))
    }

    pub fn claims(&self, room: &str, identity: &str) -> Claims {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        Claims {
            iss: self.config.api_key.clone(),
            sub: identity.into(),
            nbf: Some(now),
            exp: Some(now + 600),
            video: Some(VideoGrant { room_join: true, room: room.into(), ..VideoGrant::default() }),
            ..Claims::default()
        }
    }

    pub fn token(&self, claims: &Claims) -> String {
        jwt::sign(claims, &self.config.api_secret)
    }

    pub fn join(&self, room: &str, identity: &str) -> Client {
        self.join_with(&self.claims(room, identity), "")
    }

    pub fn join_with(&self, claims: &Claims, query: &str) -> Client {
        Client::connect(self.address, &self.token(claims), query).expect("upgrade")
    }

    /// Status line, headers and body of a plain request.
    pub fn http(&self, method: &str, path: &str, token: Option<&str>) -> String {
        let mut tcp = TcpStream::connect(self.address).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let authorization = token.map_or(String::new(), |t| format!("Authorization: Bearer {t}\r\n"));
        write!(tcp, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}\r\n").unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Status and body of a POST.
    pub fn post(&self, path: &str, body: &[u8], token: Option<&str>) -> (u16, serde_json::Value) {
        let mut tcp = TcpStream::connect(self.address).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let authorization = token.map_or(String::new(), |t| format!("Authorization: Bearer {t}\r\n"));
        let (host, length) = (self.address, body.len());
        write!(tcp, "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{authorization}Content-Length: {length}\r\n\r\n").unwrap();
        let _ = tcp.write_all(body);
        let mut answer = String::new();
        let _ = tcp.read_to_string(&mut answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap();
        (status, serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}")))
    }

    pub fn metric(&self, name: &str) -> u64 {
        let page = self.http("GET", "/metrics", None);
        let line = page.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        line.unwrap_or_else(|| panic!("no {name} in {page}"))
    }

    /// An act must move a counter.
    pub fn counts<T>(&self, name: &str, act: impl FnOnce() -> T) -> T {
        let before = self.metric(name);
        let result = act();
        self.wait_metric(name, before + 1);
        result
    }

    /// Counters are written after the client was told; wait for them.
    pub fn wait_metric(&self, name: &str, at_least: u64) {
        self.wait_for(&format!("{name} of {at_least}"), |server| server.metric(name) >= at_least);
    }

    pub fn wait_for(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < end, "{what} did not come");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends many datagrams, no faster than the server takes them: a kernel that drops some of a flood drops those of honest
    /// members as well, and how many depends on the machine.
    pub fn flood(&self, count: u32, mut send: impl FnMut(u32)) {
        const AT_ONCE: u32 = 100;
        for first in (0..count).step_by(AT_ONCE as usize) {
            let (before, last) = (self.metric("trtc_media_datagrams_in_total"), count.min(first + AT_ONCE));
            (first..last).for_each(&mut send);
            self.wait_metric("trtc_media_datagrams_in_total", before + u64::from(last - first));
        }
    }
}

/// Runs an act beside two honest members, who must not notice.
pub fn beside(config: ServerConfig, act: impl FnOnce(&TestServer)) {
    let server = TestServer::with(config);
    let bystanders = bystanders::Bystanders::start(&server, "r");
    act(&server);
    bystanders.undisturbed(&server);
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One WebSocket that speaks protobuf.
pub struct Client {
    pub socket: WebSocket<TcpStream>,
}

impl Client {
    /// The status and body when the upgrade is refused.
    pub fn connect(address: SocketAddr, token: &str, query: &str) -> Result<Self, (u16, String)> {
        let mut request = format!("ws://{address}/rtc?protocol=15&sdk=test{query}").into_client_request().unwrap();
        request.headers_mut().insert("Authorization", format!("Bearer {token}").parse().unwrap());
        let tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        match tungstenite::client(request, tcp) {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                let body = response.body().clone().unwrap_or_default();
                Err((response.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
            }
            Err(e) => panic!("{e}"),
        }
    }

    pub fn send(&mut self, ask: Ask) {
        self.send_frame(SignalRequest { message: Some(ask) }.encode_to_vec());
    }

    pub fn send_frame(&mut self, frame: Vec<u8>) {
        // The server may be closing already: what it says is read afterwards.
        let _ = self.socket.send(Message::Binary(frame.into()));
    }

    /// The next message or how the socket was closed.
    pub fn next(&mut self) -> Result<Tell, Option<CloseFrame>> {
        loop {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => {
                    if let Some(message) = SignalResponse::decode(bytes).unwrap().message {
                        return Ok(message);
                    }
                }
                Ok(Message::Close(frame)) => return Err(frame),
                Ok(_) => {}
                Err(tungstenite::Error::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing came"),
                Err(_) => return Err(None),
            }
        }
    }

    /// The first message that `pick` wants, skipping others.
    pub fn wait<T>(&mut self, what: &str, mut pick: impl FnMut(Tell) -> Option<T>) -> T {
        loop {
            match self.next() {
                Ok(message) => {
                    if let Some(found) = pick(message) {
                        return found;
                    }
                }
                Err(frame) => panic!("closed with {frame:?} while waiting for {what}"),
            }
        }
    }

    pub fn joined(&mut self) -> JoinResponse {
        match self.next() {
            Ok(Tell::Join(join)) => join,
            other => panic!("first message is {other:?}"),
        }
    }

    /// The next update about an identity.
    pub fn update_of(&mut self, identity: &str) -> ParticipantInfo {
        self.wait("an update", |m| match m {
            Tell::Update(u) => u.participants.into_iter().find(|p| p.identity == identity),
            _ => None,
        })
    }

    /// The next refusal.
    pub fn refusal(&mut self) -> RequestResponse {
        self.wait("a request_response", |m| if let Tell::RequestResponse(r) = m { Some(r) } else { None })
    }

    /// The reason, the action and the close code and text with which the server ends this client.
    pub fn end(&mut self) -> (DisconnectReason, Action, u16, String) {
        let (messages, close) = self.rest();
        let leave = messages.iter().find_map(|m| if let Tell::Leave(l) = m { Some(l) } else { None });
        let (leave, close) = leave.zip(close).unwrap_or_else(|| panic!("no leave or no close after {messages:?}"));
        (leave.reason(), leave.action(), close.code.into(), close.reason.to_string())
    }

    /// Proof that this client is still served.
    pub fn is_served(&mut self) {
        self.send(Ask::Ping(1));
        self.wait("pong", |m| matches!(m, Tell::Pong(_)).then_some(()));
    }

    /// Everything until the close, then the close.
    pub fn rest(&mut self) -> (Vec<Tell>, Option<CloseFrame>) {
        let mut messages = Vec::new();
        loop {
            match self.next() {
                Ok(message) => messages.push(message),
                Err(frame) => return (messages, frame),
            }
        }
    }
}
