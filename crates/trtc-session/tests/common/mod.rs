//! A session between a scripted server and obedient transports, in virtual time.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]

use std::time::{Duration, Instant};
use trtc_proto::livekit::{self as lk, signal_request::Message as Request, signal_response::Message as Response};
use trtc_proto::{Message as _, jwt};
use trtc_session::{Action, Event, LocalTrack, Session, SessionConfig, Target};
use trtc_types::{CodecKind, MediaKind, TrackSource};

pub struct Rig {
    pub session: Session,
    pub now: Instant,
    pub start: Instant,
    /// Events with their time in ms.
    pub events: Vec<(u64, Event)>,
    /// Requests that went to the server.
    pub sent: Vec<Request>,
    /// Everything else, shortened to its name and what matters.
    pub log: Vec<String>,
    pub data: Vec<(Vec<u8>, bool)>,
    /// Transports come up as soon as they have both descriptions.
    pub transports_work: bool,
    /// Offers asked for are made at once.
    pub auto_offer: bool,
    pub auto_answer: bool,
}

impl Rig {
    pub fn new(audio: bool, video: bool) -> Self {
        let claims = jwt::Claims { iss: "devkey".into(), sub: "me".into(), ..Default::default() };
        let session = Session::new(SessionConfig {
            hide_audience: false,
            token: jwt::sign(&claims, "secret"),
            auto_subscribe_audio: audio,
            auto_subscribe_video: video,
            sdk_version: "0.1.0".into(),
        });
        let now = Instant::now();
        Self {
            session,
            now,
            start: now,
            events: Vec::new(),
            sent: Vec::new(),
            log: Vec::new(),
            data: Vec::new(),
            transports_work: true,
            auto_offer: true,
            auto_answer: true,
        }
    }

    /// Joined to an empty room.
    pub fn joined() -> Self {
        let mut rig = Self::new(true, true);
        rig.with(|s, now| s.connect(now));
        rig.open();
        rig.say(Response::Join(join(&[])));
        rig.say(Response::Offer(sdp("offer", 7)));
        assert!(rig.take_events().iter().any(|e| matches!(e, Event::Joined { .. })), "{:?}", rig.log);
        rig.sent.clear();
        rig.log.clear();
        rig
    }

    pub fn with<R>(&mut self, f: impl FnOnce(&mut Session, Instant) -> R) -> R {
        let result = f(&mut self.session, self.now);
        self.drain();
        result
    }

    pub fn open(&mut self) {
        self.with(|s, now| s.socket_opened(now));
    }

    pub fn say(&mut self, response: Response) {
        let frame = lk::SignalResponse::frame(response);
        self.with(|s, now| s.socket_message(now, &frame));
    }

    /// Lets time pass, ticking when the session wants it.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        let mut ticks = 0;
        while let Some(at) = self.session.timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.with(|s, now| s.tick(now));
            ticks += 1;
            assert!(ticks < 10_000, "the session wants ticks without end");
        }
        self.now = end;
    }

    pub fn ms(&self) -> u64 {
        (self.now - self.start).as_millis() as u64
    }

    pub fn take_events(&mut self) -> Vec<Event> {
        self.events.drain(..).map(|(_, event)| event).collect()
    }

    pub fn take_sent(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.sent)
    }

    pub fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    fn drain(&mut self) {
        while let Some(action) = self.session.poll() {
            let now = self.now;
            match action {
                Action::Event(event) => self.events.push((self.ms(), event)),
                Action::SendSignal(frame) => {
                    let request = lk::SignalRequest::decode(&frame[..]).unwrap().message.unwrap();
                    self.sent.push(request);
                }
                Action::SendData { payload, reliable } => self.data.push((payload, reliable)),
                Action::AcceptOffer { id, .. } => {
                    self.log.push(format!("accept offer {id}"));
                    if self.auto_answer {
                        self.session.local_answer(now, format!("answer to {id}"), id);
                        if self.transports_work {
                            self.session.transport_connected(now, Target::Subscriber);
                        }
                    }
                }
                Action::AcceptAnswer { .. } => {
                    self.log.push("accept answer".into());
                    if self.transports_work {
                        self.session.transport_connected(now, Target::Publisher);
                    }
                }
                Action::CreateOffer { ice_restart } => {
                    self.log.push(format!("create offer{}", if ice_restart { " with restart" } else { "" }));
                    if self.auto_offer {
                        self.session.local_offer(now, "offer".into());
                    }
                }
                Action::OpenSocket { path_and_query, .. } => self.log.push(format!("open {path_and_query}")),
                Action::CloseSocket => self.log.push("close".into()),
                Action::OpenTransports { .. } => self.log.push("transports".into()),
                Action::RenewIceServers { ice_servers } => {
                    let names = ice_servers.iter().map(|server| format!(" {}@{}", server.username, server.urls[0]));
                    self.log.push(format!("servers{}", names.collect::<String>()));
                }
                Action::AddTrack { cid, sid } => self.log.push(format!("add {cid} {sid}")),
                Action::RemoveTrack { cid } => self.log.push(format!("remove {cid}")),
                Action::AddCandidate { target, .. } => self.log.push(format!("candidate {target:?}")),
            }
        }
    }
}

pub fn join(others: &[lk::ParticipantInfo]) -> lk::JoinResponse {
    lk::JoinResponse {
        room: Some(lk::Room { name: "room".into(), ..Default::default() }),
        participant: Some(lk::ParticipantInfo {
            sid: "PA_me".into(),
            identity: "me".into(),
            permission: Some(lk::ParticipantPermission {
                can_subscribe: true,
                can_publish: true,
                can_publish_data: true,
                ..Default::default()
            }),
            ..Default::default()
        }),
        other_participants: others.to_vec(),
        subscriber_primary: true,
        ping_interval: 5,
        ping_timeout: 15,
        ..Default::default()
    }
}

pub fn sdp(kind: &str, id: u32) -> lk::SessionDescription {
    lk::SessionDescription { r#type: kind.into(), sdp: "v=0".into(), id, ..Default::default() }
}

pub fn track(cid: &str) -> LocalTrack {
    LocalTrack {
        cid: cid.into(),
        kind: MediaKind::Video,
        source: TrackSource::Camera,
        name: "cam".into(),
        codec: CodecKind::H264,
        width: 640,
        height: 360,
        muted: false,
        stereo: false,
        layers: Vec::new(),
    }
}

pub fn published(cid: &str, sid: &str) -> Response {
    let track = Some(lk::TrackInfo { sid: sid.into(), ..Default::default() });
    Response::TrackPublished(lk::TrackPublishedResponse { cid: cid.into(), track })
}
