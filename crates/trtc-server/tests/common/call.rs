//! A client down to its datagrams: what a dishonest one can do and a library would not.
pub use super::link::Link;
use super::{Client, PATIENCE, TestServer};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use trtc_peer::{IceRole, SectionId, SendTrack};
use trtc_proto::jwt::Claims;
use trtc_proto::livekit::signal_request::Message as Ask;
use trtc_proto::livekit::signal_response::Message as Tell;
use trtc_proto::livekit::{AddTrackRequest, SessionDescription, TrackSource, TrackType};
use trtc_types::{CodecKind, MediaKind};
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;

/// A member with both connections.
pub struct Call {
    pub client: Client,
    pub sid: String,
    pub publisher: Link,
    pub subscriber: Link,
    pub media_port: SocketAddr,
    /// Everything that the server said, but offers and answers.
    pub heard: Vec<Tell>,
    /// How the socket was closed.
    pub closed: Option<Option<CloseFrame>>,
    /// Answer the server's offers.
    pub answers: bool,
    /// Offers of the server.
    pub offers: Vec<SessionDescription>,
    /// Answers of the server.
    pub answered: usize,
}

impl Call {
    /// Joins; both connections and the data channels are up.
    pub fn connect(server: &TestServer, claims: &Claims) -> Self {
        Self::connect_with(server, &server.token(claims))
    }

    /// The same with a token that was made elsewhere.
    pub fn connect_with(server: &TestServer, token: &str) -> Self {
        let mut call = Self::join_with(server, token);
        call.publisher.peer.create_channel(Instant::now(), "_reliable", true, None);
        call.publisher.peer.create_channel(Instant::now(), "_lossy", false, Some(0));
        call.negotiate();
        call.until("both connections", |call| call.subscriber.open.len() == 2 && call.publisher.open.len() == 2);
        call
    }

    /// Joins and has said nothing yet.
    pub fn join(server: &TestServer, claims: &Claims) -> Self {
        Self::join_with(server, &server.token(claims))
    }

    /// The same with a token that was made elsewhere.
    pub fn join_with(server: &TestServer, token: &str) -> Self {
        let mut client = Client::connect(server.address, token, "").expect("upgrade");
        let sid = client.joined().participant.unwrap().sid;
        client.socket.get_ref().set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        Self {
            client,
            sid,
            publisher: Link::new(IceRole::Controlling),
            subscriber: Link::new(IceRole::Controlled),
            media_port: SocketAddr::new(server.address.ip(), server.udp_port),
            heard: Vec::new(),
            closed: None,
            answers: true,
            offers: Vec::new(),
            answered: 0,
        }
    }

    /// Comes back on a new WebSocket, as `sid` or as itself; both connections stay.
    pub fn resume(&mut self, server: &TestServer, claims: &Claims) {
        self.client = server.join_with(claims, &format!("&reconnect=1&sid={}", self.sid));
        self.client.socket.get_ref().set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        self.closed = None;
        self.heard.clear();
        self.offers.clear();
    }

    /// Offers what the publisher has and waits for the answer and the connection.
    pub fn negotiate(&mut self) {
        let (sdp, before) = (self.publisher.peer.create_offer(), self.answered);
        self.offer(sdp);
        self.until("an answer", |call| call.answered > before && call.publisher.connected);
    }

    pub fn offer(&mut self, sdp: String) {
        self.client.send(Ask::Offer(SessionDescription { r#type: "offer".into(), sdp, ..Default::default() }));
    }

    /// Announces a track and puts it into the next offer.
    pub fn add_track(&mut self, cid: &str, kind: MediaKind, ssrc: u32, muted: bool) -> SectionId {
        let (r#type, source, codec) = match kind {
            MediaKind::Video => (TrackType::Video, TrackSource::Camera, CodecKind::H264),
            MediaKind::Audio => (TrackType::Audio, TrackSource::Microphone, CodecKind::Opus),
        };
        let (r#type, source) = (r#type.into(), source.into());
        self.client.send(Ask::AddTrack(AddTrackRequest {
            cid: cid.into(),
            r#type,
            source,
            muted,
            ..Default::default()
        }));
        self.publisher.peer.add_send(SendTrack {
            kind,
            codec,
            codec_spec: None,
            stream_id: "-".into(),
            track_id: cid.into(),
            ssrc,
            rtx_ssrc: None,
        })
    }

    /// Lets everything act once.
    pub fn turn(&mut self) {
        while self.closed.is_none() {
            match self.client.socket.read() {
                Ok(Message::Binary(bytes)) => self.take(&bytes),
                Ok(Message::Close(frame)) => self.closed = Some(frame),
                Ok(_) => {}
                Err(tungstenite::Error::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => self.closed = Some(None),
            }
        }
        self.publisher.turn();
        self.subscriber.turn();
    }

    fn take(&mut self, bytes: &[u8]) {
        use trtc_proto::Message as _;
        match trtc_proto::livekit::SignalResponse::decode(bytes).unwrap().message {
            Some(Tell::Offer(offer)) => {
                if self.answers {
                    let (r#type, id) = ("answer".into(), offer.id);
                    let sdp = self.subscriber.peer.accept_offer(Instant::now(), &offer.sdp).unwrap();
                    self.client.send(Ask::Answer(SessionDescription { r#type, sdp, id, ..Default::default() }));
                }
                self.offers.push(offer);
            }
            Some(Tell::Answer(answer)) => {
                // Hostile: it sends longer data messages than the server says that it takes.
                let sdp = answer.sdp.replace("a=max-message-size:65535", "a=max-message-size:262144");
                self.publisher.peer.accept_answer(Instant::now(), &sdp).unwrap();
                self.answered += 1;
            }
            Some(other) => self.heard.push(other),
            None => {}
        }
    }

    /// Acts until something is true.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(
                Instant::now() < deadline,
                "{what} did not happen; closed {:?}, heard {:?}",
                self.closed,
                self.heard
            );
            self.turn();
        }
    }

    /// Acts for a while.
    pub fn turn_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn();
        }
    }

    /// The texts of all refusals so far.
    pub fn refusals(&self) -> Vec<&str> {
        let mut texts = Vec::new();
        for message in &self.heard {
            if let Tell::RequestResponse(refused) = message {
                texts.push(refused.message.as_str());
            }
        }
        texts
    }
}
