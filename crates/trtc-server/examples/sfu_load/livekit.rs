//! A server that speaks LiveKit's signalling: ours as a process of its own, and livekit-server.
use crate::signalling::{KINDS, Server, Signalling, Told};
use crate::source::cid;
use prost::Message as _;
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use trtc_proto::jwt::{self, Claims, VideoGrant};
use trtc_proto::livekit as lk;
use trtc_types::MediaKind;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

const ROOM: &str = "bench";
/// A server answers a join within this time even when it is busy with a hundred others.
const PATIENCE: Duration = Duration::from_secs(10);

/// How to get in.
pub(crate) struct LiveKit {
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) members: u32,
}

/// A member's WebSocket.
struct Member {
    socket: WebSocket<TcpStream>,
    /// Which of the two connections is used here.
    target: lk::SignalTarget,
    /// Said before somebody asked.
    early: VecDeque<lk::signal_response::Message>,
    offer_id: u32,
}

impl LiveKit {
    fn enter(&mut self, target: lk::SignalTarget) -> io::Result<Member> {
        let identity = format!("member{}", self.members);
        self.members += 1;
        // Who may not subscribe has one connection only.
        let can_subscribe = Some(target == lk::SignalTarget::Subscriber);
        let video = VideoGrant { room_join: true, room: ROOM.into(), can_subscribe, ..VideoGrant::default() };
        let claims = Claims { iss: self.key.clone(), sub: identity, video: Some(video), ..Claims::default() };
        let token = jwt::sign(&claims, &self.secret);
        let url =
            format!("ws://{}/rtc?protocol=15&auto_subscribe=1&sdk=rust&version=1&access_token={token}", self.address);
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = url.into_client_request().map_err(io::Error::other)?;
        let (socket, _) = tungstenite::client(request, stream).map_err(|e| io::Error::other(e.to_string()))?;
        let mut member = Member { socket, target, early: VecDeque::new(), offer_id: 0 };
        member.wait("the join response", |message| matches!(message, lk::signal_response::Message::Join(_)))?;
        Ok(member)
    }
}

impl Server for LiveKit {
    fn publisher(&mut self) -> io::Result<Option<Box<dyn Signalling>>> {
        let mut member = self.enter(lk::SignalTarget::Publisher)?;
        for kind in KINDS {
            let (r#type, source) = match kind {
                MediaKind::Video => (lk::TrackType::Video, lk::TrackSource::Camera),
                MediaKind::Audio => (lk::TrackType::Audio, lk::TrackSource::Microphone),
            };
            let (r#type, source, cid) = (r#type as i32, source as i32, cid(kind).to_owned());
            let track =
                lk::AddTrackRequest { cid, r#type, source, disable_red: true, ..lk::AddTrackRequest::default() };
            member.say(lk::signal_request::Message::AddTrack(track))?;
            member.wait("a published track", |m| matches!(m, lk::signal_response::Message::TrackPublished(_)))?;
        }
        member.socket.get_ref().set_nonblocking(true)?;
        Ok(Some(Box::new(member)))
    }

    fn subscriber(&mut self) -> io::Result<Box<dyn Signalling>> {
        let member = self.enter(lk::SignalTarget::Subscriber)?;
        member.socket.get_ref().set_nonblocking(true)?;
        Ok(Box::new(member))
    }
}

impl Member {
    fn say(&mut self, message: lk::signal_request::Message) -> io::Result<()> {
        let bytes = lk::SignalRequest { message: Some(message) }.encode_to_vec();
        self.socket.send(Message::Binary(bytes.into())).map_err(|e| io::Error::other(e.to_string()))
    }

    /// The next message, or `None` when there is none now.
    fn hear(&mut self) -> io::Result<Option<lk::signal_response::Message>> {
        loop {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => {
                    if let Some(message) = lk::SignalResponse::decode(&bytes[..]).map_err(io::Error::other)?.message {
                        return Ok(Some(message));
                    }
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(e) => return Err(io::Error::other(e.to_string())),
            }
        }
    }

    /// Blocks until a message comes; others are kept.
    fn wait(&mut self, what: &str, wanted: impl Fn(&lk::signal_response::Message) -> bool) -> io::Result<()> {
        loop {
            let message = self.hear()?.ok_or_else(|| io::Error::other(format!("{what} did not come")))?;
            if wanted(&message) {
                return Ok(());
            }
            self.early.push_back(message);
        }
    }
}

impl Signalling for Member {
    fn poll(&mut self) -> io::Result<Option<Told>> {
        use lk::signal_response::Message as Said;
        loop {
            let message = match self.early.pop_front() {
                Some(message) => message,
                None => match self.hear()? {
                    Some(message) => message,
                    None => return Ok(None),
                },
            };
            match message {
                Said::Offer(offer) => return Ok(Some(Told::Offer { sdp: offer.sdp, id: offer.id })),
                Said::Answer(answer) => return Ok(Some(Told::Answer { sdp: answer.sdp })),
                Said::Trickle(trickle) if trickle.target == self.target as i32 => {
                    let init: serde_json::Value = serde_json::from_str(&trickle.candidate_init)?;
                    if let Some(line) = init["candidate"].as_str().filter(|line| !line.is_empty()) {
                        return Ok(Some(Told::Candidate(line.to_owned())));
                    }
                }
                Said::Leave(leave) => return Err(io::Error::other(format!("the server sent us away: {leave:?}"))),
                _ => {}
            }
        }
    }

    fn offer(&mut self, sdp: String) -> io::Result<()> {
        self.offer_id += 1;
        self.say(lk::signal_request::Message::Offer(description("offer", sdp, self.offer_id)))
    }

    fn answer(&mut self, sdp: String, id: u32) -> io::Result<()> {
        self.say(lk::signal_request::Message::Answer(description("answer", sdp, id)))
    }
}

fn description(r#type: &str, sdp: String, id: u32) -> lk::SessionDescription {
    lk::SessionDescription { r#type: r#type.into(), sdp, id, ..lk::SessionDescription::default() }
}
