//! Simulcast layers: which of them members want, and what publishers are told to send (LiveKit's dynacast).
use super::line::Missed;
use super::member::{Member, Setting};
use super::messages;
use super::state::Room;
use crate::media::{LayerInfo, MediaCommand, MemberKey};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use trtc_proto::livekit::signal_response::Message;
use trtc_proto::livekit::{
    StreamState, StreamStateInfo, StreamStateUpdate, SubscribedCodec, SubscribedQuality, SubscribedQualityUpdate,
    TrackInfo, TrackSource, TrackType, UpdateTrackSettings, VideoQuality,
};

/// A layer that nobody wants goes on for this long: users change their minds. With the room's tick it stops within 5 s,
/// as with a LiveKit server.
const DOWN_DELAY: Duration = Duration::from_millis(3_500);
/// Heights of the layers of a publisher that announced none (LiveKit's defaults).
const DEFAULT_HEIGHTS: [u32; 2] = [180, 360];

/// Of tracks whose subscriber sets none; a LiveKit server has the same.
const PRIORITY_SCREEN: u8 = 255;
const PRIORITY_CAMERA: u8 = 1;

/// Of a member's budget for changes, for each track that it names: 128 a second remain.
const SETTING_COST: usize = 1 << 9;

/// What is known of the demand for a track.
#[derive(Default)]
pub struct Demand {
    /// The highest layer that the publisher was told to send; nothing until somebody subscribes.
    told: Option<Option<u8>>,
    /// Since when less is wanted than that.
    less_since: Option<Instant>,
}

impl Room {
    /// A subscriber says how it shows a track.
    pub(super) fn track_setting(&mut self, key: MemberKey, request: &UpdateTrackSettings) {
        let now = self.now;
        let sids: BTreeSet<&String> = request.track_sids.iter().collect();
        for sid in sids {
            let Some(member) = self.members.get_mut(&key) else { return };
            if !member.updates.take(now, SETTING_COST) {
                return self.too_many_updates(key);
            }
            let publisher =
                self.members.iter().find(|(k, m)| **k != key && m.tracks.iter().any(|t| t.info.sid == *sid));
            let track = publisher.and_then(|(_, m)| m.tracks.iter().find(|t| t.info.sid == *sid && t.started));
            let Some(track) = track else { continue };
            let layer = (!request.disabled).then(|| wanted_layer(&track.info, request));
            let priority = u8::try_from(request.priority).ok().filter(|priority| *priority > 0);
            let setting = Setting { layer, priority };
            let Some(member) = self.members.get_mut(&key).filter(|m| m.wants(sid)) else { continue };
            // Who says the same again says nothing.
            if member.settings.insert(sid.clone(), setting) == Some(setting) {
                continue;
            }
            self.send_setting(key, sid);
            self.demand_changed(sid);
        }
    }

    /// Tells the media thread what a subscriber wants of a track.
    pub(super) fn send_setting(&mut self, key: MemberKey, sid: &str) {
        let Some(member) = self.members.get(&key) else { return };
        let Setting { layer, priority } = member.setting(sid);
        let mut tracks = self.members.values().flat_map(|m| &m.tracks);
        let screen = tracks.any(|t| t.info.sid == sid && t.info.source() == TrackSource::ScreenShare);
        let priority = priority.unwrap_or(if screen { PRIORITY_SCREEN } else { PRIORITY_CAMERA });
        self.media(key, MediaCommand::TrackSetting { member: key, sid: sid.to_owned(), layer, priority });
    }

    /// Tells a subscriber that a track is paused for want of room on its link, or goes on.
    pub(super) fn stream_state(&mut self, key: MemberKey, sid: &str, paused: bool) {
        let publisher = self.members.values().find(|m| m.tracks.iter().any(|t| t.info.sid == sid));
        let Some(participant_sid) = publisher.map(|m| m.sid.clone()) else { return };
        let state = if paused { StreamState::Paused } else { StreamState::Active };
        let info = StreamStateInfo { participant_sid, track_sid: sid.to_owned(), state: state.into() };
        let update = StreamStateUpdate { stream_states: vec![info] };
        self.send(key, messages::encode(Message::StreamStateUpdate(update)), Missed::Keep);
    }

    /// Somebody wants more or less of a track. More is told to its publisher at once, less after a while.
    pub(super) fn demand_changed(&mut self, sid: &str) {
        let now = self.now;
        let Some((publisher, wanted)) = self.demand(sid) else { return };
        let track = self.members.get_mut(&publisher).and_then(|m| m.track(sid));
        let Some(track) = track.filter(|t| t.info.r#type() == TrackType::Video) else { return };
        match (track.demand.told, wanted) {
            (None, None) => {}
            (Some(told), wanted) if wanted.flatten() < told => {
                track.demand.less_since.get_or_insert(now);
            }
            (Some(told), wanted) if wanted.flatten() == told => track.demand.less_since = None,
            (_, wanted) => self.tell_demand(publisher, sid, wanted.flatten()),
        }
    }

    /// A member that subscribed to anything left.
    pub(super) fn demand_for_all_changed(&mut self) {
        let tracks = self.members.values().flat_map(|m| m.tracks.iter().filter(|t| t.demand.told.is_some()));
        let sids: Vec<String> = tracks.map(|t| t.info.sid.clone()).collect();
        sids.iter().for_each(|sid| self.demand_changed(sid));
    }

    /// Less was wanted for long enough.
    pub(super) fn lower_demands(&mut self, now: Instant) {
        let late = |d: &Demand| d.less_since.is_some_and(|since| now.duration_since(since) >= DOWN_DELAY);
        let tracks = self.members.values().flat_map(|m| m.tracks.iter().filter(|t| late(&t.demand)));
        let sids: Vec<String> = tracks.map(|t| t.info.sid.clone()).collect();
        for sid in sids {
            if let Some((publisher, wanted)) = self.demand(&sid) {
                self.tell_demand(publisher, &sid, wanted.flatten());
            }
        }
    }

    /// Publisher of a track and the highest layer that any subscriber wants, if there is a subscriber.
    fn demand(&self, sid: &str) -> Option<(MemberKey, Option<Option<u8>>)> {
        let track_of = |m: &'_ Member| m.tracks.iter().position(|t| t.info.sid == sid && t.started);
        let (&publisher, from, at) = self.members.iter().find_map(|(key, m)| Some((key, m, track_of(m)?)))?;
        let receives = |key| self.may_receive(key, from, &from.tracks[at]);
        let subscribers = self.members.iter().filter(|(key, m)| **key != publisher && m.wants(sid) && receives(**key));
        Some((publisher, subscribers.map(|(_, m)| m.setting(sid).layer).max()))
    }

    fn tell_demand(&mut self, publisher: MemberKey, sid: &str, wanted: Option<u8>) {
        let Some(track) = self.members.get_mut(&publisher).and_then(|m| m.track(sid)) else { return };
        track.demand = Demand { told: Some(wanted), less_since: None };
        let codec = track.info.mime_type.rsplit('/').next().unwrap_or_default().to_lowercase();
        // All below the highest too: links that carry less fall back to them.
        let qualities = [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High];
        let subscribed_qualities: Vec<_> = (0..)
            .zip(qualities)
            .map(|(layer, quality)| SubscribedQuality { quality: quality.into(), enabled: Some(layer) <= wanted })
            .collect();
        let update = SubscribedQualityUpdate {
            track_sid: sid.to_owned(),
            subscribed_codecs: vec![SubscribedCodec { codec, qualities: subscribed_qualities.clone() }],
            subscribed_qualities,
        };
        self.send(publisher, messages::encode(Message::SubscribedQualityUpdate(update)), Missed::Keep);
    }

    /// The description or the first packets tell what a track is made of; others learn of it with the next update.
    pub(super) fn track_layers(&mut self, key: MemberKey, sid: &str, mid: &str, layers: &[LayerInfo]) {
        let Some(track) = self.members.get_mut(&key).and_then(|m| m.track(sid)) else { return };
        let info = &mut track.info;
        mid.clone_into(&mut info.mid);
        let lists = std::iter::once(&mut info.layers).chain(info.codecs.first_mut().map(|codec| {
            mid.clone_into(&mut codec.mid);
            &mut codec.layers
        }));
        for list in lists {
            list.sort_by_key(|layer| layer.quality);
            for ((spatial_layer, known), layer) in (0..).zip(list).zip(layers) {
                known.spatial_layer = spatial_layer;
                known.rid.clone_from(&layer.rid);
                (known.ssrc, known.repair_ssrc) = (layer.ssrc, layer.repair_ssrc);
            }
        }
    }
}

/// The smallest layer that fills nine tenths of the wanted height, as with a LiveKit server; by quality where no size is
/// given.
fn wanted_layer(track: &TrackInfo, request: &UpdateTrackSettings) -> u8 {
    if request.width == 0 {
        return request.quality.clamp(0, 2) as u8;
    }
    // Layers are announced by their height, which in portrait is the longer side.
    let portrait = track.width < track.height;
    let side = |width: u32, height: u32| if portrait { width } else { height };
    let mut sizes: Vec<u32> = track.layers.iter().map(|l| side(l.width, l.height)).filter(|size| *size > 0).collect();
    if sizes.is_empty() {
        sizes = DEFAULT_HEIGHTS.to_vec();
        sizes.push(side(track.width, track.height));
    }
    sizes.sort_unstable();
    let wanted = u64::from(side(request.width, request.height)) * 9 / 10;
    let fits = sizes.iter().position(|size| u64::from(*size) >= wanted);
    fits.unwrap_or(sizes.len() - 1).min(2) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use trtc_proto::livekit::VideoLayer;

    fn layer(track: &TrackInfo, width: u32, height: u32) -> u8 {
        wanted_layer(track, &UpdateTrackSettings { width, height, ..UpdateTrackSettings::default() })
    }

    #[test]
    fn the_smallest_layer_that_nearly_fills_the_view() {
        let sized = |(width, height)| VideoLayer { width, height, ..VideoLayer::default() };
        let layers = [(1280, 720), (320, 180), (640, 360)].map(sized).to_vec();
        let track = TrackInfo { width: 1280, height: 720, layers, ..TrackInfo::default() };
        let sizes = [(160, 90), (320, 180), (355, 200), (360, 202), (640, 360), (720, 405), (4000, 4000)];
        assert_eq!(sizes.map(|(width, height)| layer(&track, width, height)), [0, 0, 0, 1, 1, 2, 2]);
        let tall = TrackInfo { width: 720, height: 1280, ..TrackInfo::default() };
        assert_eq!([(180, 320), (360, 640), (720, 1280)].map(|(w, h)| layer(&tall, w, h)), [0, 1, 2]);
        let by_quality = UpdateTrackSettings { quality: 1, ..UpdateTrackSettings::default() };
        assert_eq!(wanted_layer(&track, &by_quality), 1);
        assert_eq!(wanted_layer(&track, &UpdateTrackSettings { quality: 99, ..by_quality }), 2);
    }
}
