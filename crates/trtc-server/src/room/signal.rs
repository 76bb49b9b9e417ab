//! What clients may ask for.
use super::line::Missed;
use super::state::Room;
use super::{Wire, messages};
use crate::auth;
use crate::media::{MediaCommand, MemberKey};
use crate::metrics::Metrics;
use trtc_proto::livekit::leave_request::Action;
use trtc_proto::livekit::request_response::{Reason, Request};
use trtc_proto::livekit::signal_request::Message as Ask;
use trtc_proto::livekit::signal_response::Message;
use trtc_proto::livekit::{
    DisconnectReason, Pong, SessionDescription, SignalRequest, SignalTarget, TrickleRequest, UpdateParticipantMetadata,
};

/// Largest description; real ones of a few hundred sections stay below.
const SDP_MAX_BYTES: usize = 256 * 1024;
const CANDIDATE_MAX_BYTES: usize = 2 * 1024;
/// Metadata and attributes travel in the refreshed token, hence in a URL, which HTTP libraries limit to 65,534 bytes.
const TOKEN_MAX_BYTES: usize = 60_000;
const NAME_MAX_BYTES: usize = 256;

impl Room {
    pub(super) fn signal(&mut self, wire: Wire, request: SignalRequest) {
        let key = wire.member;
        // Nothing of a WebSocket that was replaced: it would undo what the new one said.
        if !self.members.get(&key).is_some_and(|m| m.line.is(wire.socket)) {
            return;
        }
        let Some(message) = request.message else {
            // A newer client's message: it goes on without.
            Metrics::add(&self.shared.metrics.unknown_messages);
            return self.refuse(key, 0, Reason::UnsupportedType, "this server does not know the message", None);
        };
        match message {
            Ask::Offer(offer) => self.description(key, offer, true),
            Ask::Answer(answer) => self.description(key, answer, false),
            Ask::Trickle(trickle) => self.trickle(key, trickle),
            Ask::AddTrack(request) => self.add_track(key, request),
            Ask::Mute(request) => self.mute(key, request),
            Ask::Subscription(request) => self.subscription(key, &request),
            Ask::TrackSetting(request) => self.track_setting(key, &request),
            Ask::UpdateAudioTrack(request) => self.update_audio_track(key, request),
            Ask::UpdateVideoTrack(request) => self.update_video_track(key, request),
            Ask::UpdateMetadata(request) => self.update_metadata(key, request),
            Ask::Leave(_) => self.remove(key, DisconnectReason::ClientInitiated, Some((Action::Disconnect, "left"))),
            Ask::Ping(_) => self.send(key, messages::encode(Message::Pong(unix_ms())), Missed::Drop),
            Ask::PingReq(ping) => {
                let pong = Pong { last_ping_timestamp: ping.timestamp, timestamp: unix_ms() };
                if let (Some(member), Ok(rtt_ms)) = (self.members.get_mut(&key), u64::try_from(ping.rtt)) {
                    member.vitals.round_trip(std::time::Duration::from_millis(rtt_ms));
                }
                self.send(key, messages::encode(Message::PongResp(pong)), Missed::Drop);
            }
            Ask::SyncState(state) => self.sync_state(key, &state),
            Ask::SubscriptionPermission(permission) => self.subscription_permission(key, permission),
            // Advisory.
            Ask::UpdateLayers(_) | Ask::Simulate(_) => {}
        }
    }

    fn description(&mut self, key: MemberKey, description: SessionDescription, is_offer: bool) {
        let SessionDescription { sdp, id, .. } = description;
        log::trace!("member {key}: {} {id}\n{}", if is_offer { "offers" } else { "answers" }, without_password(&sdp));
        if sdp.len() > SDP_MAX_BYTES {
            Metrics::add(&self.shared.metrics.oversize_sdp);
            let text = format!("the description has {} bytes, at most {SDP_MAX_BYTES} are allowed", sdp.len());
            self.refuse(key, 0, Reason::LimitExceeded, &text, None);
            self.remove(
                key,
                DisconnectReason::StateMismatch,
                Some((Action::Disconnect, "the description is too large")),
            );
        } else if is_offer {
            self.media(key, MediaCommand::Offer { member: key, sdp, id });
        } else {
            self.media(key, MediaCommand::Answer { member: key, sdp, id });
        }
    }

    fn trickle(&mut self, key: MemberKey, trickle: TrickleRequest) {
        let parsed = if trickle.candidate_init.len() > CANDIDATE_MAX_BYTES {
            Err("the candidate is too long".to_owned())
        } else {
            serde_json::from_str::<Candidate>(&trickle.candidate_init).map_err(|e| e.to_string())
        };
        match parsed {
            // An empty candidate says that there are no more.
            Ok(Candidate { candidate }) if candidate.is_empty() => {}
            Ok(Candidate { candidate }) => {
                let publisher = trickle.target() == SignalTarget::Publisher;
                self.media(key, MediaCommand::Candidate { member: key, publisher, candidate });
            }
            Err(text) => {
                let request = TrickleRequest { candidate_init: clip(&trickle.candidate_init, 256), ..trickle };
                self.refuse(key, 0, Reason::UnclassifiedError, &text, Some(Request::Trickle(request)));
            }
        }
    }

    fn update_metadata(&mut self, key: MemberKey, request: UpdateParticipantMetadata) {
        let Some(member) = self.members.get_mut(&key) else { return };
        let id = request.request_id;
        let mut claims = member.pass.claims.clone();
        for (name, value) in &request.attributes {
            // An empty value deletes.
            if value.is_empty() {
                claims.attributes.remove(name)
            } else {
                claims.attributes.insert(name.clone(), value.clone())
            };
        }
        if !request.metadata.is_empty() {
            claims.metadata.clone_from(&request.metadata);
        }
        if !request.name.is_empty() {
            claims.name.clone_from(&request.name);
        }
        let refusal = if !member.pass.grant.can_update_own_metadata.unwrap_or(false) {
            Some((Reason::NotAllowed, "does not have permission to update own metadata"))
        } else if request.name.len() > NAME_MAX_BYTES {
            Some((Reason::LimitExceeded, "name is longer than 256 bytes"))
        } else if auth::refreshed(&self.shared.config, &claims).len() > TOKEN_MAX_BYTES {
            Some((Reason::LimitExceeded, "metadata and attributes make the token longer than 60000 bytes"))
        } else {
            None
        };
        if let Some((reason, text)) = refusal {
            // Not the request itself: it may be the very thing that is too large.
            let echo = UpdateParticipantMetadata { request_id: id, ..UpdateParticipantMetadata::default() };
            return self.refuse(key, id, reason, text, Some(Request::UpdateMetadata(echo)));
        }
        member.pass.claims = claims;
        member.touch();
        self.tell_all(key);
        self.send_token(key);
        if id != 0 {
            let response = messages::request_response(id, Reason::Ok, "", Some(Request::UpdateMetadata(request)));
            self.send(key, response, Missed::Keep);
        }
    }
}

/// `RTCIceCandidateInit`, as far as we need it: everything is bundled, so that mid and index say nothing.
#[derive(serde::Deserialize)]
struct Candidate {
    #[serde(default)]
    candidate: String,
}

/// A description for the log.
fn without_password(sdp: &str) -> String {
    clip(sdp, 16_384).lines().filter(|line| !line.contains("ice-pwd")).collect::<Vec<_>>().join("\n")
}

fn unix_ms() -> i64 {
    i64::try_from(auth::unix_ms()).unwrap_or(i64::MAX)
}

fn clip(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}
