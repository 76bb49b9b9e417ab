//! What members learn of each other's voices and connections: `speakers_changed`, `connection_quality`.
use super::line::Missed;
use super::member::{Member, Track};
use super::messages;
use super::state::Room;
use crate::media::MemberKey;
use bytes::Bytes;
use std::time::{Duration, Instant};
use trtc_proto::livekit::signal_response::Message;
use trtc_proto::livekit::{
    ConnectionQuality, ConnectionQualityInfo, ConnectionQualityUpdate, SpeakerInfo, SpeakersChanged, TrackType,
};
use trtc_rtp::quality::{self, Quality};

/// Connections are rated this often, and told where that changes, as by a LiveKit server.
const RATING_PERIOD: Duration = Duration::from_secs(5);
/// A client's figure above this is none.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(10);

/// How a member's connections are.
#[derive(Default)]
pub struct Vitals {
    /// Loss in percent: up, down.
    loss: [f32; 2],
    round_trip: Duration,
    /// What others were told.
    told: Option<Quality>,
    /// It was told of the others that were here before.
    informed: bool,
}

impl Vitals {
    pub fn lost(&mut self, publisher: bool, percent: f32) {
        self.loss[usize::from(!publisher)] = percent;
    }

    /// As the client measures it by its pings.
    pub fn round_trip(&mut self, measured: Duration) {
        if measured <= ROUND_TRIP_MAX {
            self.round_trip = measured;
        }
    }
}

impl Member {
    /// Loudness in eighths by its loudest track.
    fn speech(&self) -> u8 {
        self.tracks.iter().map(|track| track.speech).max().unwrap_or(0)
    }

    fn as_speaker(&self) -> SpeakerInfo {
        let eighths = self.speech();
        SpeakerInfo { sid: self.sid.clone(), level: f32::from(eighths) / 8.0, active: eighths > 0 }
    }

    fn rating(&self) -> (Quality, f32) {
        if self.line.lost_since().is_some() || !self.health.is_good() {
            return quality::LOST;
        }
        let [up, down] = self.vitals.loss;
        quality::rate(up.max(down), self.vitals.round_trip)
    }

    fn publishes(&self) -> bool {
        !self.pass.grant.hidden && self.tracks.iter().any(|track| track.started)
    }
}

impl Room {
    /// A track begins, goes on louder or quieter, or ceases to speak.
    pub(super) fn speaking(&mut self, key: MemberKey, sid: &str, level: u8) {
        let Some(member) = self.members.get_mut(&key) else { return };
        let before = member.speech();
        let Some(track) = member.track(sid) else { return };
        track.speech = level;
        if member.speech() != before {
            self.tell_speech(key);
        }
    }

    /// Tells a member's speech to itself and to those who hear it.
    pub(super) fn tell_speech(&mut self, key: MemberKey) {
        let Some(member) = self.members.get(&key) else { return };
        let message = speakers(vec![member.as_speaker()]);
        for listener in self.keys() {
            if listener == key || self.hears(listener, key) {
                self.send(listener, message.clone(), Missed::Drop);
            }
        }
    }

    /// Tells somebody who is new, or back, who speaks at the moment.
    pub(super) fn tell_who_speaks(&mut self, key: MemberKey) {
        let speaking = self.members.iter().filter(|(other, m)| m.speech() > 0 && self.hears(key, **other));
        let now: Vec<SpeakerInfo> = speaking.map(|(_, m)| m.as_speaker()).collect();
        if !now.is_empty() {
            self.send(key, speakers(now), Missed::Drop);
        }
    }

    /// Rates all connections when it is time, and tells what changed; to a new member all. Members hear of those who publish
    /// and of themselves.
    pub(super) fn rate_connections(&mut self, now: Instant) {
        if now.saturating_duration_since(self.rated) < RATING_PERIOD {
            return;
        }
        self.rated = now;
        let (mut all, mut changed) = (Vec::new(), Vec::new());
        for (key, member) in &mut self.members {
            let (quality, score) = member.rating();
            let participant_sid = member.sid.clone();
            let info = ConnectionQualityInfo { participant_sid, quality: on_wire(quality).into(), score };
            let news = (*key, member.publishes(), info);
            if member.vitals.told.replace(quality) != Some(quality) {
                changed.push(news.clone());
            }
            all.push(news);
        }
        for key in self.keys() {
            let Some(member) = self.members.get_mut(&key) else { continue };
            let news = if std::mem::replace(&mut member.vitals.informed, true) { &changed } else { &all };
            let known = news.iter().filter(|(other, publishes, _)| *publishes || *other == key);
            let updates: Vec<_> = known.map(|(.., info)| info.clone()).collect();
            if !updates.is_empty() {
                let update = Message::ConnectionQuality(ConnectionQualityUpdate { updates });
                self.send(key, messages::encode(update), Missed::Drop);
            }
        }
    }

    /// Whether one member has another's sound.
    fn hears(&self, key: MemberKey, speaker: MemberKey) -> bool {
        let (Some(member), Some(from)) = (self.members.get(&key), self.members.get(&speaker)) else { return false };
        let has = |track: &Track| {
            let sound = track.started && track.info.r#type() == TrackType::Audio;
            sound && member.wants(&track.info.sid) && self.may_receive(key, from, track)
        };
        key != speaker && !from.pass.grant.hidden && from.tracks.iter().any(has)
    }
}

fn speakers(speakers: Vec<SpeakerInfo>) -> Bytes {
    messages::encode(Message::SpeakersChanged(SpeakersChanged { speakers }))
}

fn on_wire(quality: Quality) -> ConnectionQuality {
    match quality {
        Quality::Lost => ConnectionQuality::Lost,
        Quality::Poor => ConnectionQuality::Poor,
        Quality::Good => ConnectionQuality::Good,
        Quality::Excellent => ConnectionQuality::Excellent,
    }
}
