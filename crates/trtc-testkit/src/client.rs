//! One WebSocket that says whatever it likes.
use crate::PATIENCE;
use livekit_protocol as lk;
use lk::signal_request::Message as Ask;
use lk::signal_response::Message as Tell;
use prost::Message as _;
use std::io::ErrorKind::WouldBlock;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

/// A member by its WebSocket alone.
pub struct Client {
    /// For frames that are none.
    pub socket: WebSocket<TcpStream>,
    /// What came with the join.
    pub join: Option<lk::JoinResponse>,
}

impl Client {
    /// Joins with a token; `query` is appended to the path.
    ///
    /// # Errors
    /// Status and text when the upgrade is refused.
    pub fn connect(server: SocketAddr, token: &str, query: &str) -> Result<Self, (u16, String)> {
        Self::over(TcpStream::connect(server).unwrap(), server, token, query)
    }

    /// The same over a connection that is there.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn over(tcp: TcpStream, server: SocketAddr, token: &str, query: &str) -> Result<Self, (u16, String)> {
        let mut request = format!("ws://{server}/rtc?protocol=15{query}").into_client_request().unwrap();
        if !token.is_empty() {
            request.headers_mut().insert("Authorization", format!("Bearer {token}").parse().unwrap());
        }
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        match tungstenite::client(request, tcp) {
            Ok((socket, _)) => Ok(Self { socket, join: None }),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                let body = response.body().clone().unwrap_or_default();
                Err((response.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
            }
            Err(e) => Err((0, e.to_string())),
        }
    }

    /// Sends a message; a closed connection is noticed when reading.
    pub fn send(&mut self, ask: Ask) {
        let frame = lk::SignalRequest { message: Some(ask) }.encode_to_vec();
        let _ = self.socket.send(Message::Binary(frame.into()));
    }

    /// The next message; how the socket was closed when it was.
    ///
    /// # Errors
    /// Code and reason of the close; 0 without one.
    pub fn hear(&mut self) -> Result<Tell, (u16, String)> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.poll()? {
                Some(message) => return Ok(message),
                None => assert!(Instant::now() < end, "nothing came"),
            }
        }
    }

    /// The next message unless none is there within the socket's time-out.
    ///
    /// # Errors
    /// As [`Self::hear`].
    pub fn poll(&mut self) -> Result<Option<Tell>, (u16, String)> {
        loop {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => match lk::SignalResponse::decode(bytes).unwrap().message {
                    Some(Tell::Join(join)) => {
                        self.join = Some(join.clone());
                        return Ok(Some(Tell::Join(join)));
                    }
                    Some(message) => return Ok(Some(message)),
                    None => {}
                },
                Ok(Message::Close(frame)) => {
                    return Err(frame.map_or((0, String::new()), |f| (f.code.into(), f.reason.to_string())));
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(e)) if e.kind() == WouldBlock => return Ok(None),
                Err(e) => return Err((0, e.to_string())),
            }
        }
    }

    /// The first message that fits.
    pub fn wait<T>(&mut self, what: &str, mut pick: impl FnMut(Tell) -> Option<T>) -> T {
        loop {
            let message = self.hear().unwrap_or_else(|end| panic!("closed with {end:?} instead of {what}"));
            if let Some(found) = pick(message) {
                return found;
            }
        }
    }

    /// Everything that the server says until it has acted on all that was sent.
    pub fn settled(&mut self) -> Vec<Tell> {
        self.send(Ask::Ping(4));
        let mut heard = Vec::new();
        loop {
            match self.hear() {
                Ok(Tell::Pong(_)) | Err(_) => return heard,
                Ok(message) => heard.push(message),
            }
        }
    }

    /// Waits until the join has come.
    pub fn joined(mut self) -> Self {
        self.wait("join", |m| matches!(m, Tell::Join(_)).then_some(()));
        self
    }

    /// Own sid, as the server said it.
    #[must_use]
    pub fn sid(&self) -> String {
        self.join.as_ref().and_then(|j| j.participant.as_ref()).unwrap().sid.clone()
    }

    /// Reads are given up after this time.
    pub fn patience(&self, time: Duration) {
        self.socket.get_ref().set_read_timeout(Some(time)).unwrap();
    }

    /// Announces a track.
    ///
    /// # Errors
    /// The server's reason and text.
    pub fn add_track(
        &mut self,
        cid: &str,
        kind: lk::TrackType,
        source: lk::TrackSource,
    ) -> Result<lk::TrackInfo, String> {
        let (r#type, source) = (kind.into(), source.into());
        self.send(Ask::AddTrack(lk::AddTrackRequest { cid: cid.into(), r#type, source, ..Default::default() }));
        self.wait("an answer to add_track", |message| match message {
            Tell::TrackPublished(published) => Some(Ok(published.track.unwrap())),
            Tell::RequestResponse(refused) => Some(Err(refusal(&refused))),
            _ => None,
        })
    }
}

/// Reason and text.
#[must_use]
pub fn refusal(response: &lk::RequestResponse) -> String {
    let text = format!("{} {}", response.reason().as_str_name(), response.message);
    text.trim_end().to_owned()
}
