//! The room itself: who is in, who learns of what, and what happens with time.
use super::line::Missed;
use super::member::Member;
use super::{Joiner, Refused, RoomInput, messages};
use crate::auth;
use crate::media::{MediaCommand, MediaEvent, MemberKey, RoomKey};
use crate::metrics::Metrics;
use crate::registry::{RoomName, Shared};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trtc_proto::livekit::leave_request::Action;
use trtc_proto::livekit::participant_info::State;
use trtc_proto::livekit::request_response::Reason;
use trtc_proto::livekit::signal_response::Message;
use trtc_proto::livekit::{
    Codec, DisconnectReason, IceServer, JoinResponse, ParticipantInfo, Room as RoomInfo, ServerInfo, SessionDescription,
};
use trtc_proto::ticket::Privileges;

/// Protocol version that we report. From 18 on clients would expect data channels with negotiated ids.
const PROTOCOL: i32 = 16;
/// Clients refuse a server without a version.
const VERSION: &str = env!("CARGO_PKG_VERSION");
const PING_INTERVAL_S: i32 = 5;
const PING_TIMEOUT_S: i32 = 15;
const PUBLISH_CODECS: [&str; 5] = ["video/VP8", "video/H264", "video/VP9", "video/AV1", "audio/opus"];

pub const FULL: Refused = "the room takes no more members";

/// A room.
pub struct Room {
    pub(super) shared: Arc<Shared>,
    pub(super) members: BTreeMap<MemberKey, Member>,
    pub(super) name: RoomName,
    key: RoomKey,
    sid: String,
    created_unix_ms: u64,
    empty_since: Option<Instant>,
    /// When connections were last rated.
    pub(super) rated: Instant,
    /// Somebody who may create it was in: until then it is not open to others.
    created: bool,
    /// When the present input is handled.
    pub(super) now: Instant,
    /// Members that cannot stay; removed after the present input.
    failed: Vec<(MemberKey, Failure)>,
    /// Removals that the media thread has not taken yet.
    media_removals: Vec<MemberKey>,
    shutdown: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    SlowReader,
    MediaQueue,
    Updates,
}

impl Room {
    pub fn new(shared: Arc<Shared>, name: RoomName, key: RoomKey, now: Instant) -> Self {
        log::info!("room {name:?}: opened");
        Self {
            shared,
            members: BTreeMap::new(),
            name,
            key,
            sid: crate::ids::room_sid(),
            created_unix_ms: auth::unix_ms(),
            empty_since: Some(now),
            rated: now,
            created: false,
            now,
            failed: Vec::new(),
            media_removals: Vec::new(),
            shutdown: false,
        }
    }

    /// Reacts to one input. False when the room has ended.
    pub fn handle(&mut self, now: Instant, input: RoomInput) -> bool {
        self.now = now;
        match input {
            RoomInput::Join(joiner) => self.join(now, *joiner),
            RoomInput::Resume(comeback) => self.resume(now, *comeback),
            RoomInput::Signal(wire, request) => self.signal(wire, *request),
            RoomInput::Media(member, event) => self.media_event(now, member, event),
            RoomInput::SocketClosed { wire, may_resume } => self.socket_closed(wire, may_resume),
            RoomInput::ChangeRole(change) => self.change_role(*change),
            RoomInput::Look(reply) => {
                let _ = reply.send(self.visible());
            }
            RoomInput::Shutdown => {
                self.shutdown = true;
                for member in self.keys() {
                    self.remove(
                        member,
                        DisconnectReason::ServerShutdown,
                        Some((Action::Reconnect, "the server stops")),
                    );
                }
            }
        }
        self.reap();
        if self.members.is_empty() {
            self.empty_since.get_or_insert(now);
        } else {
            self.empty_since = None;
        }
        !self.shutdown
    }

    /// Timers. False when the room has ended.
    pub fn tick(&mut self, now: Instant) -> bool {
        self.now = now;
        for member in std::mem::take(&mut self.media_removals) {
            self.tell_media_of_removal(member);
        }
        self.lower_demands(now);
        let refresh = self.shared.config.token_refresh;
        for key in self.keys() {
            let Some(member) = self.members.get_mut(&key) else { continue };
            let late = now.duration_since(member.joined) > self.shared.config.join_timeout;
            if member.state == State::Joined && late {
                Metrics::add(&self.shared.metrics.join_timeouts);
                self.remove(key, DisconnectReason::JoinFailure, Some((Action::Disconnect, "no connection came up")));
            } else if now.duration_since(member.token_at) >= refresh {
                member.token_at = now;
                self.send_token(key);
            }
            self.tick_health(now, key);
        }
        self.rate_connections(now);
        self.reap();
        match self.empty_since {
            Some(since) => now.duration_since(since) < self.shared.config.departure_timeout,
            None => true,
        }
    }

    /// Last words; the registry forgets the room.
    pub fn end(&mut self) {
        for member in self.keys() {
            self.remove(member, DisconnectReason::RoomClosed, Some((Action::Disconnect, "the room is closed")));
        }
        // The media thread takes commands again soon, or it is gone and so are its members.
        for member in std::mem::take(&mut self.media_removals) {
            let _ = self.shared.media.send(MediaCommand::RemoveMember { member });
        }
        self.shared.forget(&self.name, self.key);
        log::info!("room {:?}: closed", self.name);
    }

    fn join(&mut self, now: Instant, joiner: Joiner) {
        let key = joiner.wire.member;
        let same = self.members.iter().find(|(_, m)| m.identity() == joiner.pass.identity).map(|(key, _)| *key);
        if let Some(refused) = self.join_refusal(&joiner, same.is_some()) {
            Metrics::add(&self.shared.metrics.joins_refused);
            let _ = joiner.reply.send(Err(refused));
            return;
        }
        if let Some(old) = same {
            Metrics::add(&self.shared.metrics.duplicate_identities);
            self.remove(
                old,
                DisconnectReason::DuplicateIdentity,
                Some((Action::Disconnect, "the identity joined again")),
            );
        }
        let member = Member::new(&joiner, crate::ids::participant_sid(), now);
        log::info!("room {:?} {:?}: joins as {}", self.name, member.identity(), member.sid);
        let subscribes = member.pass.grant.subscribes();
        let add = MediaCommand::AddMember {
            room: self.key,
            member: key,
            identity: member.identity().to_owned(),
            sid: member.sid.clone(),
            can_publish_data: member.pass.grant.publishes_data(),
            events: joiner.events,
        };
        if self.shared.media.send(add).is_err() {
            Metrics::add(&self.shared.metrics.media_queue_full);
            let _ = joiner.reply.send(Err(FULL));
            return;
        }
        self.created = true;
        let others = self.visible();
        self.members.insert(key, member);
        self.shared.count_members(1);
        Metrics::add(&self.shared.metrics.joins);
        let _ = joiner.reply.send(Ok(()));
        self.send(key, self.join_response(key, others), Missed::Keep);
        self.send_token(key);
        if subscribes {
            // Tracks that are already here stand in the first offer.
            for (publisher, sid) in self.started_tracks(key) {
                self.subscribe_if_wanted(key, &publisher, &sid);
            }
            if !joiner.options.viewer {
                self.media(key, MediaCommand::StartSubscriber { member: key });
            }
        }
        self.tell_others(key);
        self.tell_who_speaks(key);
    }

    /// Why a client may not join; who takes the place of its own former member needs no other.
    fn join_refusal(&self, joiner: &Joiner, takes_over: bool) -> Option<Refused> {
        let privileges = joiner.pass.privileges();
        if self.shutdown || self.members.len() - usize::from(takes_over) >= self.shared.config.max_members {
            Some(FULL)
        } else if !privileges.allow(Privileges::ENTER_ROOM) {
            Some("no right to enter the room")
        } else if !self.created && !privileges.allow(Privileges::CREATE_ROOM) {
            Some("no right to create the room")
        } else {
            None
        }
    }

    /// Everybody who does not hide.
    fn visible(&self) -> Vec<ParticipantInfo> {
        self.members.values().filter(|m| !m.pass.grant.hidden).map(Member::info).collect()
    }

    fn join_response(&self, key: MemberKey, other_participants: Vec<ParticipantInfo>) -> Bytes {
        let member = self.members.get(&key);
        messages::encode(Message::Join(JoinResponse {
            room: Some(self.info()),
            participant: member.map(Member::info),
            other_participants,
            ice_servers: self.ice_servers(key),
            server_version: VERSION.to_owned(),
            subscriber_primary: member.is_some_and(|m| m.pass.grant.subscribes()),
            ping_timeout: PING_TIMEOUT_S,
            ping_interval: PING_INTERVAL_S,
            server_info: Some(server_info()),
            sif_trailer: self.shared.sif_trailer.clone(),
            enabled_publish_codecs: codecs(),
            fast_publish: true,
            ..JoinResponse::default()
        }))
    }

    /// STUN and TURN servers for a member.
    pub(super) fn ice_servers(&self, key: MemberKey) -> Vec<IceServer> {
        let name = self.members.get(&key).map_or("", |member| &member.sid);
        crate::ice::servers(&self.shared.config.ice_servers, name, auth::unix_ms() / 1000)
    }

    pub(super) fn info(&self) -> RoomInfo {
        let visible = self.members.values().filter(|m| !m.pass.grant.hidden);
        let publishers = visible.clone().filter(|m| m.tracks.iter().any(|t| t.started)).count();
        let created_ms = i64::try_from(self.created_unix_ms).unwrap_or(i64::MAX);
        RoomInfo {
            sid: self.sid.clone(),
            name: self.name.1.clone(),
            empty_timeout: 300,
            departure_timeout: u32::try_from(self.shared.config.departure_timeout.as_secs()).unwrap_or(u32::MAX),
            creation_time: created_ms / 1000,
            creation_time_ms: created_ms,
            enabled_codecs: codecs(),
            num_participants: u32::try_from(visible.count()).unwrap_or(u32::MAX),
            num_publishers: u32::try_from(publishers).unwrap_or(u32::MAX),
            ..RoomInfo::default()
        }
    }

    fn media_event(&mut self, now: Instant, key: MemberKey, event: MediaEvent) {
        let Some(member) = self.members.get_mut(&key) else { return };
        match &event {
            // They have the password of the connection.
            MediaEvent::Answer { id, .. } | MediaEvent::Offer { id, .. } => {
                log::trace!("member {key}: description {id}")
            }
            event => log::trace!("member {key}: {event:?}"),
        }
        match event {
            MediaEvent::Answer { sdp, id } => {
                let answer =
                    SessionDescription { r#type: "answer".to_owned(), sdp, id, ..SessionDescription::default() };
                self.send(key, messages::encode(Message::Answer(answer)), Missed::Drop);
            }
            MediaEvent::Offer { sdp, id, mid_to_track } => {
                let mid_to_track_id = mid_to_track.into_iter().collect();
                let offer = SessionDescription { r#type: "offer".to_owned(), sdp, id, mid_to_track_id };
                self.send(key, messages::encode(Message::Offer(offer)), Missed::Drop);
            }
            MediaEvent::TrackStarted { sid, codec_mime } => self.track_started(key, &sid, &codec_mime),
            MediaEvent::TrackLayers { sid, mid, layers } => self.track_layers(key, &sid, &mid, &layers),
            MediaEvent::StreamState { sid, paused } => self.stream_state(key, &sid, paused),
            MediaEvent::Speaking { sid, level } => self.speaking(key, &sid, level),
            MediaEvent::Loss { publisher, percent } => member.vitals.lost(publisher, percent),
            MediaEvent::TrackEnded { sid } => self.track_ended(key, &sid),
            MediaEvent::Resumed { last_sequence } => self.resumed(key, last_sequence),
            MediaEvent::Closed { publisher } => self.transport_closed(key, publisher),
            MediaEvent::Connected { publisher } => {
                member.health.connected(publisher);
                let primary = publisher != member.pass.grant.subscribes();
                if primary && member.state == State::Joined {
                    member.state = State::Active;
                    member.touch();
                    log::info!("room {:?} {:?}: is connected", self.name, member.identity());
                    self.tell_all(key);
                }
            }
            MediaEvent::Failed { publisher, reason } => {
                let which = if publisher { "publisher" } else { "subscriber" };
                log::info!("room {:?} {:?}: {which} connection failed: {reason}", self.name, member.identity());
                if reason.contains("answered") {
                    Metrics::add(&self.shared.metrics.answer_timeouts);
                    let last = Some((Action::Reconnect, "an offer was not answered in time"));
                    self.remove(key, DisconnectReason::StateMismatch, last);
                } else {
                    member.health.failed(now, publisher);
                }
            }
            MediaEvent::BadSdp { publisher, reason } => {
                Metrics::add(&self.shared.metrics.bad_sdp);
                log::warn!("room {:?} {:?}: unusable description: {reason}", self.name, member.identity());
                if publisher {
                    self.refuse(
                        key,
                        0,
                        Reason::InvalidRequest,
                        &format!("the offer could not be used: {reason}"),
                        None,
                    );
                } else {
                    let last = Some((Action::Reconnect, "the answer could not be used"));
                    self.remove(key, DisconnectReason::StateMismatch, last);
                }
            }
            MediaEvent::DataRejected { reason } => {
                Metrics::add(&self.shared.metrics.data_rejected);
                // One answer a second is enough for a client that floods.
                if member.told_data_rejected.is_none_or(|at| now.duration_since(at) >= Duration::from_secs(1)) {
                    member.told_data_rejected = Some(now);
                    self.refuse(key, 0, Reason::LimitExceeded, &reason, None);
                }
            }
        }
    }

    /// Takes a member out. The client is told what to do next and why, unless its socket is already gone.
    pub(super) fn remove(
        &mut self,
        key: MemberKey,
        reason: DisconnectReason,
        last_words: Option<(Action, &'static str)>,
    ) {
        let Some(mut member) = self.members.remove(&key) else { return };
        log::info!("room {:?} {:?}: leaves: {reason:?}", self.name, member.identity());
        Metrics::add(&self.shared.metrics.leaves);
        self.shared.count_members(-1);
        self.tell_media_of_removal(key);
        for track in &member.tracks {
            self.forget_track(&track.info.sid);
        }
        self.demand_for_all_changed();
        if let Some((action, why)) = last_words {
            member.line.close(messages::leave(reason, action), why);
        }
        if !member.pass.grant.hidden {
            let update = messages::update(vec![member.farewell(reason)]);
            self.broadcast(&update, None, Missed::Keep);
        }
    }

    /// A refusal that names the request.
    pub(super) fn refuse(
        &mut self,
        key: MemberKey,
        request_id: u32,
        reason: Reason,
        text: &str,
        request: Option<trtc_proto::livekit::request_response::Request>,
    ) {
        Metrics::add(&self.shared.metrics.requests_refused);
        self.send(key, messages::request_response(request_id, reason, text, request), Missed::Keep);
    }

    /// The participant's present state to everybody, itself included.
    pub(super) fn tell_all(&mut self, key: MemberKey) {
        let Some(update) = self.update_about(key) else { return };
        if self.members.get(&key).is_some_and(|m| m.pass.grant.hidden) {
            self.send(key, update, Missed::Drop);
        } else {
            self.broadcast(&update, None, Missed::Drop);
        }
    }

    /// The participant's present state to everybody else.
    fn tell_others(&mut self, key: MemberKey) {
        let Some(update) = self.update_about(key) else { return };
        if self.members.get(&key).is_some_and(|m| !m.pass.grant.hidden) {
            self.broadcast(&update, Some(key), Missed::Drop);
        }
    }

    /// The present state of a member, unless that changes so often that others would suffer.
    fn update_about(&mut self, key: MemberKey) -> Option<Bytes> {
        let member = self.members.get_mut(&key)?;
        let update = messages::update(vec![member.info()]);
        if member.updates.take(self.now, update.len()) {
            return Some(update);
        }
        self.too_many_updates(key);
        None
    }

    /// A member whose changes cost the others too much is sent away after the present input.
    pub(super) fn too_many_updates(&mut self, key: MemberKey) {
        self.failed.push((key, Failure::Updates));
    }

    fn broadcast(&mut self, message: &Bytes, except: Option<MemberKey>, missed: Missed) {
        for key in self.keys() {
            if Some(key) != except {
                self.send(key, message.clone(), missed);
            }
        }
    }

    /// A message for a member's client, now or when it resumes.
    pub(super) fn send(&mut self, key: MemberKey, message: Bytes, missed: Missed) {
        let Some(member) = self.members.get_mut(&key) else { return };
        Metrics::add(&self.shared.metrics.signal_out);
        if member.line.send(message, missed).is_err() {
            self.too_slow(key);
        }
    }

    pub(super) fn too_slow(&mut self, key: MemberKey) {
        self.failed.push((key, Failure::SlowReader));
    }

    pub(super) fn send_token(&mut self, key: MemberKey) {
        let Some(member) = self.members.get(&key) else { return };
        let token = auth::refreshed(&self.shared.config, &member.pass.claims);
        self.send(key, messages::encode(Message::RefreshToken(token)), Missed::Drop);
    }

    /// A command about a member. When the media thread does not take it the member is sent away, to start over.
    pub(super) fn media(&mut self, key: MemberKey, command: MediaCommand) {
        if self.shared.media.send(command).is_err() {
            Metrics::add(&self.shared.metrics.media_queue_full);
            self.failed.push((key, Failure::MediaQueue));
        }
    }

    fn tell_media_of_removal(&mut self, member: MemberKey) {
        if self.shared.media.send(MediaCommand::RemoveMember { member }).is_err() {
            Metrics::add(&self.shared.metrics.media_queue_full);
            self.media_removals.push(member);
        }
    }

    fn reap(&mut self) {
        while let Some((key, failure)) = self.failed.pop() {
            if !self.members.contains_key(&key) {
                continue;
            }
            match failure {
                Failure::SlowReader => {
                    Metrics::add(&self.shared.metrics.slow_readers);
                    // It would not read its last words either.
                    if let Some(member) = self.members.get(&key) {
                        member.line.kill();
                    }
                    self.remove(key, DisconnectReason::ConnectionTimeout, None);
                }
                Failure::MediaQueue => {
                    let last = Some((Action::Reconnect, "the media thread does not take commands"));
                    self.remove(key, DisconnectReason::MediaFailure, last);
                }
                Failure::Updates => {
                    Metrics::add(&self.shared.metrics.update_floods);
                    let last = Some((Action::Disconnect, "too many changes"));
                    self.remove(key, DisconnectReason::StateMismatch, last);
                }
            }
        }
    }

    pub(super) fn keys(&self) -> Vec<MemberKey> {
        self.members.keys().copied().collect()
    }
}

pub(super) fn server_info() -> ServerInfo {
    ServerInfo {
        version: VERSION.to_owned(),
        protocol: PROTOCOL,
        node_id: "ND_trtc".to_owned(),
        ..ServerInfo::default()
    }
}

fn codecs() -> Vec<Codec> {
    PUBLISH_CODECS.iter().map(|mime| Codec { mime: (*mime).to_owned(), ..Codec::default() }).collect()
}
