//! Publishing, muting and subscribing.
use super::line::Missed;
use super::member::{Track, source_name};
use super::messages;
use super::state::Room;
use crate::ids;
use crate::media::{MediaCommand, MemberKey};
use crate::metrics::Metrics;
use std::time::Duration;
use trtc_proto::livekit::encryption::Type as Encryption;
use trtc_proto::livekit::request_response::{Reason, Request};
use trtc_proto::livekit::signal_response::Message;
use trtc_proto::livekit::{
    AddTrackRequest, AudioTrackFeature, MuteTrackRequest, TrackPublishedResponse, TrackSource, TrackSubscribed,
    TrackType, TrackUnpublishedResponse, UpdateLocalAudioTrack, UpdateLocalVideoTrack, UpdateSubscription,
};
use trtc_types::MediaKind;

/// Tracks of one member; a phone call needs two.
const TRACKS_MAX: usize = 32;
/// Wishes about tracks that a member may leave behind.
const WANTED_MAX: usize = 10_000;
const TEXT_MAX_BYTES: usize = 256;
/// How long an announced sub stream without media keeps the room's place from others.
const UNSTARTED_HOLDS: Duration = Duration::from_secs(30);

impl Room {
    pub(super) fn add_track(&mut self, key: MemberKey, request: AddTrackRequest) {
        if let Some((reason, text)) = self.track_refusal(key, &request) {
            return self.refuse(key, 0, reason, &text, Some(Request::AddTrack(request)));
        }
        let Some(member) = self.members.get_mut(&key) else { return };
        Metrics::add(&self.shared.metrics.tracks_announced);
        let sid = ids::track_sid(request.r#type(), request.source());
        let track = Track::announced(&request, sid.clone(), self.now);
        let published = TrackPublishedResponse { cid: request.cid.clone(), track: Some(track.info.clone()) };
        member.tracks.push(track);
        let kind = if request.r#type() == TrackType::Video { MediaKind::Video } else { MediaKind::Audio };
        let codec = wanted_codec(&request);
        let (cid, muted) = (request.cid, request.muted);
        self.media(key, MediaCommand::ExpectTrack { member: key, cid, sid, kind, muted, codec });
        self.send(key, messages::encode(Message::TrackPublished(published)), Missed::Keep);
    }

    fn track_refusal(&self, key: MemberKey, request: &AddTrackRequest) -> Option<(Reason, String)> {
        let member = self.members.get(&key)?;
        let (kind, source) = (request.r#type(), request.source());
        let fits = match source {
            TrackSource::Camera | TrackSource::ScreenShare => kind == TrackType::Video,
            TrackSource::Microphone | TrackSource::ScreenShareAudio => kind == TrackType::Audio,
            TrackSource::Unknown => kind != TrackType::Data,
        };
        let no = |reason, text: &str| Some((reason, text.to_owned()));
        if !member.pass.grant.publishes_source(source_name(source)) {
            return no(Reason::NotAllowed, "does not have permission to publish from this source");
        }
        // A source of the other kind would get around the permission, and clients abort on a kind that changes.
        if !fits {
            return no(Reason::InvalidRequest, "the track's type does not fit its source");
        }
        if request.cid.is_empty()
            || [&request.cid, &request.name, &request.stream].iter().any(|t| t.len() > TEXT_MAX_BYTES)
        {
            return no(Reason::InvalidRequest, "cid must be 1..=256 bytes, name and stream at most 256");
        }
        if request.layers.len() > 8 || request.simulcast_codecs.len() > 8 {
            return no(Reason::InvalidRequest, "at most 8 layers and 8 codecs");
        }
        if member.tracks.iter().any(|t| t.cid == request.cid) {
            return no(Reason::Queued, "");
        }
        // Not the reason of a taken sub stream, which clients turn into an error of its own.
        if member.tracks.len() >= TRACKS_MAX {
            return no(Reason::NotAllowed, "a member may publish at most 32 tracks");
        }
        if source == TrackSource::ScreenShare {
            // Not by the member itself, which announces another before the offer that ends the first.
            let holds = |t: &Track| t.started || self.now.saturating_duration_since(t.announced) < UNSTARTED_HOLDS;
            let taken = |t: &Track| t.info.source() == TrackSource::ScreenShare && holds(t);
            let mut others = self.members.iter().filter(|(other, _)| **other != key).map(|(_, m)| m);
            if let Some(owner) = others.find(|m| m.tracks.iter().any(taken)) {
                let text = format!("the sub stream of the room is taken by {}", owner.identity());
                return Some((Reason::LimitExceeded, text));
            }
        }
        None
    }

    /// Whether another member's sub stream is live.
    fn others_share(&self, key: MemberKey) -> bool {
        let live = |t: &Track| t.started && t.info.source() == TrackSource::ScreenShare;
        self.members.iter().any(|(other, m)| *other != key && m.tracks.iter().any(live))
    }

    /// A track ends that its member may not have (any more).
    pub(super) fn withdraw_track(&mut self, key: MemberKey, sid: &str) {
        self.falls_silent(key, sid);
        let Some(member) = self.members.get_mut(&key) else { return };
        member.tracks.retain(|track| track.info.sid != sid);
        self.forget_track(sid);
        self.media(key, MediaCommand::RemoveTrack { member: key, sid: sid.to_owned() });
        let unpublished = TrackUnpublishedResponse { track_sid: sid.to_owned() };
        self.send(key, messages::encode(Message::TrackUnpublished(unpublished)), Missed::Keep);
    }

    /// Media arrived: the room learns of the track, then the subscribers' offers follow.
    pub(super) fn track_started(&mut self, key: MemberKey, sid: &str, codec_mime: &str) {
        let Some(member) = self.members.get_mut(&key) else { return };
        let Some(track) = member.track(sid) else { return };
        // A muted track is told of before its first packet, and a packet may tell another codec than the description.
        let again = track.started;
        if again && track.info.mime_type == codec_mime {
            return;
        }
        let screen = track.info.source() == TrackSource::ScreenShare;
        if screen && !again && self.others_share(key) {
            return self.withdraw_track(key, sid);
        }
        let Some(member) = self.members.get_mut(&key) else { return };
        let Some(track) = member.track(sid) else { return };
        track.start(codec_mime);
        member.touch();
        let (publisher, hidden) = (member.sid.clone(), member.pass.grant.hidden);
        self.tell_all(key);
        if again {
            return;
        }
        Metrics::add(&self.shared.metrics.tracks_started);
        if hidden {
            return;
        }
        for subscriber in self.keys() {
            if subscriber != key {
                self.subscribe_if_wanted(subscriber, &publisher, sid);
            }
        }
    }

    /// The publisher withdrew a track.
    pub(super) fn track_ended(&mut self, key: MemberKey, sid: &str) {
        self.falls_silent(key, sid);
        let Some(member) = self.members.get_mut(&key) else { return };
        let before = member.tracks.len();
        member.tracks.retain(|t| t.info.sid != sid);
        if member.tracks.len() == before {
            return;
        }
        member.touch();
        self.forget_track(sid);
        self.tell_all(key);
    }

    /// Nobody speaks over a track that ends.
    pub(super) fn falls_silent(&mut self, key: MemberKey, sid: &str) {
        let track = self.members.get_mut(&key).and_then(|member| member.track(sid));
        if track.is_some_and(|track| std::mem::take(&mut track.speech) > 0) {
            self.tell_speech(key);
        }
    }

    /// Nobody can want a track that is gone.
    pub(super) fn forget_track(&mut self, sid: &str) {
        for member in self.members.values_mut() {
            member.wanted.remove(sid);
            member.settings.remove(sid);
        }
    }

    /// Started tracks of visible members other than `key`: participant sid and track sid.
    pub(super) fn started_tracks(&self, key: MemberKey) -> Vec<(String, String)> {
        let visible = self.members.iter().filter(|(k, m)| **k != key && !m.pass.grant.hidden);
        visible
            .flat_map(|(_, m)| m.tracks.iter().filter(|t| t.started).map(|t| (m.sid.clone(), t.info.sid.clone())))
            .collect()
    }

    /// Puts a track on a member's subscriber connection; the update that names it must have been sent.
    pub(super) fn subscribe_if_wanted(&mut self, key: MemberKey, publisher_sid: &str, sid: &str) {
        if !self.members.get(&key).is_some_and(|m| m.wants(sid)) {
            return;
        }
        let publisher = self.members.values().find(|m| m.sid == publisher_sid);
        let track = publisher.and_then(|m| m.tracks.iter().find(|t| t.info.sid == sid));
        let allowed = publisher.zip(track).is_some_and(|(from, track)| self.may_receive(key, from, track));
        self.tell_permission(key, publisher_sid, sid, allowed);
        if !allowed {
            return;
        }
        self.set_subscription(key, publisher_sid, sid, true);
        let publisher = self.members.iter().find(|(_, m)| m.sid == publisher_sid).map(|(key, _)| *key);
        if let Some(publisher) = publisher {
            let first = TrackSubscribed { track_sid: sid.to_owned() };
            if self
                .members
                .get_mut(&publisher)
                .and_then(|m| m.track(sid))
                .is_some_and(|t| !std::mem::replace(&mut t.heard, true))
            {
                self.send(publisher, messages::encode(Message::TrackSubscribed(first)), Missed::Keep);
            }
        }
    }

    pub(super) fn set_subscription(&mut self, key: MemberKey, publisher_sid: &str, sid: &str, on: bool) {
        // Its own stream, by which clients know it: a section that carried another track keeps that one's name in browsers.
        let (track, stream_id) = (sid.to_owned(), format!("{publisher_sid}|{sid}"));
        self.media(key, MediaCommand::Subscribe { member: key, sid: track, stream_id, on });
        if on {
            self.send_setting(key, sid);
        } else if let Some(member) = self.members.get_mut(&key) {
            member.settings.remove(sid);
        }
        self.demand_changed(sid);
    }

    pub(super) fn subscription(&mut self, key: MemberKey, request: &UpdateSubscription) {
        let nested = request.participant_tracks.iter().flat_map(|p| p.track_sids.iter());
        let sids: Vec<String> = request.track_sids.iter().chain(nested).take(WANTED_MAX).cloned().collect();
        let known = self.started_tracks(key);
        for sid in sids {
            // Like the real server we say nothing about unknown tracks: they may just have ended.
            let Some((publisher, _)) = known.iter().find(|(_, s)| *s == sid) else { continue };
            let Some(member) = self.members.get_mut(&key) else { return };
            let before = member.wants(&sid);
            if member.wanted.len() < WANTED_MAX {
                member.wanted.insert(sid.clone(), request.subscribe);
            }
            match (before, request.subscribe) {
                (false, true) => self.subscribe_if_wanted(key, publisher, &sid),
                (true, false) => {
                    self.set_subscription(key, publisher, &sid, false);
                }
                _ => {}
            }
        }
    }

    pub(super) fn mute(&mut self, key: MemberKey, request: MuteTrackRequest) {
        let Some(member) = self.members.get_mut(&key) else { return };
        let Some(track) = member.track(&request.sid) else {
            return self.refuse(key, 0, Reason::NotFound, "", Some(Request::Mute(request)));
        };
        if track.info.muted == request.muted {
            return;
        }
        track.info.muted = request.muted;
        member.touch();
        self.media(key, MediaCommand::MuteTrack { sid: request.sid, muted: request.muted });
        self.tell_all(key);
    }

    pub(super) fn update_audio_track(&mut self, key: MemberKey, request: UpdateLocalAudioTrack) {
        let Some(member) = self.members.get_mut(&key) else { return };
        let Some(track) = member.track(&request.track_sid).filter(|t| t.info.r#type() == TrackType::Audio) else {
            return self.refuse(key, 0, Reason::NotFound, "", Some(Request::UpdateAudioTrack(request)));
        };
        let has = |feature: AudioTrackFeature| request.features.contains(&i32::from(feature));
        track.info.stereo = has(AudioTrackFeature::TfStereo);
        track.info.disable_dtx = has(AudioTrackFeature::TfNoDtx);
        track.info.audio_features = request.features.iter().copied().take(16).collect();
        member.touch();
        self.tell_all(key);
    }

    pub(super) fn update_video_track(&mut self, key: MemberKey, request: UpdateLocalVideoTrack) {
        let Some(member) = self.members.get_mut(&key) else { return };
        let Some(track) = member.track(&request.track_sid).filter(|t| t.info.r#type() == TrackType::Video) else {
            return self.refuse(key, 0, Reason::NotFound, "", Some(Request::UpdateVideoTrack(request)));
        };
        (track.info.width, track.info.height) = (request.width, request.height);
        member.touch();
        self.tell_all(key);
    }
}

/// The codec that a publisher shall send in, when it says so. Of several the first is that one, others are backups. Sound without
/// repetitions is asked for by the name of its codec.
fn wanted_codec(request: &AddTrackRequest) -> Option<String> {
    if request.r#type() == TrackType::Audio {
        let plain = request.disable_red || request.encryption() != Encryption::None;
        return plain.then(|| "opus".to_owned());
    }
    let first = request.simulcast_codecs.first()?;
    first.codec.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_lowercase)
}
