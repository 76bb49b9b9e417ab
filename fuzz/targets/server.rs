//! A running server: any bytes over HTTP, and any requests of a member over its WebSocket.
use super::MY_TRACK;
use super::bytes::Bytes;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::runtime::Runtime;
use trtc_proto::Message as _;
use trtc_proto::jwt::{self, Claims, VideoGrant};
use trtc_proto::livekit::signal_request::Message as Ask;
use trtc_proto::livekit::signal_response::Message as Tell;
use trtc_proto::livekit::{SignalRequest, SignalResponse};
use trtc_server::{Server, ServerConfig};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

/// One for all inputs.
fn server() -> SocketAddr {
    static SERVER: OnceLock<(Runtime, Server)> = OnceLock::new();
    let (_, server) = SERVER.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let server = runtime.block_on(Server::start(ServerConfig::dev(0, 0))).expect("free ports");
        (runtime, server)
    });
    server.http_addr()
}

/// The first byte chooses.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    match bytes.u8() % 2 {
        0 => http(bytes.rest()),
        _ => member(&mut bytes),
    }
}

fn connect() -> TcpStream {
    let tcp = TcpStream::connect(server()).expect("the server listens");
    tcp.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    tcp.set_nodelay(true).expect("a socket");
    tcp
}

/// Says it, and reads until the server has answered everything.
fn http(request: &[u8]) {
    let mut tcp = connect();
    let _ = tcp.write_all(request);
    let _ = tcp.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let ended = tcp.read_to_end(&mut answer);
    assert!(!matches!(ended, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock), "the server does not answer");
}

fn token(rights: u8, identity: &str) -> String {
    let bit = |n: u8| Some(rights >> n & 1 == 0);
    let video = VideoGrant {
        room_join: true,
        room: if rights & 64 == 0 { "r".into() } else { "n/7".into() },
        can_publish: bit(0),
        can_subscribe: bit(1),
        can_publish_data: bit(2),
        can_update_own_metadata: bit(3),
        ..VideoGrant::default()
    };
    let claims = Claims { iss: "devkey".into(), sub: identity.into(), video: Some(video), ..Claims::default() };
    jwt::sign(&claims, ServerConfig::dev_keys().1)
}

/// Frames of a member, each answered before the next.
fn member(bytes: &mut Bytes<'_>) {
    let rights = bytes.u8();
    let query = if rights & 128 == 0 { String::new() } else { query(bytes.chunk(60)) };
    let url = format!("ws://{}/rtc?protocol=15{query}", server());
    let Ok(mut request) = url.into_client_request() else { return };
    let identity = format!("member {}", rights >> 4 & 3);
    let bearer = format!("Bearer {}", token(rights, &identity)).parse().expect("a header");
    request.headers_mut().insert("Authorization", bearer);
    let Ok((mut socket, _)) = tungstenite::client(request, connect()) else { return };
    let mut mine = MY_TRACK.to_owned();
    for _ in 0..20 {
        if bytes.is_empty() || !answered(&mut socket, &mut mine) {
            break;
        }
        let mut frame = bytes.chunk(8_192).to_vec();
        while let Some(at) = frame.windows(MY_TRACK.len()).position(|w| w == MY_TRACK.as_bytes()) {
            if mine == MY_TRACK || mine.len() != MY_TRACK.len() {
                break;
            }
            frame[at..at + mine.len()].copy_from_slice(mine.as_bytes());
        }
        let message = if frame.first() == Some(&b'{') {
            Message::Text(String::from_utf8_lossy(&frame).into_owned().into())
        } else {
            Message::Binary(frame.into())
        };
        if socket.send(message).is_err() {
            break;
        }
    }
    let _ = answered(&mut socket, &mut mine);
    let _ = socket.close(None);
    // The server may have closed first; the rest of what it said does not matter.
    while socket.read().is_ok() {}
}

/// Bytes as the rest of a query.
fn query(bytes: &[u8]) -> String {
    bytes.iter().map(|b| if b.is_ascii_alphanumeric() || b"&=_-.%/".contains(b) { *b as char } else { '_' }).collect()
}

/// Waits until the server has acted on everything before; `false` when it has ended the connection.
fn answered(socket: &mut WebSocket<TcpStream>, mine: &mut String) -> bool {
    let ping = SignalRequest { message: Some(Ask::Ping(7)) }.encode_to_vec();
    if socket.send(Message::Binary(ping.into())).is_err() {
        return false;
    }
    loop {
        match socket.read() {
            Ok(Message::Binary(frame)) => match SignalResponse::decode(frame).expect("the server's frames").message {
                Some(Tell::Pong(_)) => return true,
                Some(Tell::TrackPublished(p)) => *mine = p.track.map(|track| track.sid).unwrap_or_default(),
                _ => {}
            },
            Ok(Message::Close(_)) => return false,
            Ok(_) => {}
            Err(tungstenite::Error::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer"),
            Err(_) => return false,
        }
    }
}
