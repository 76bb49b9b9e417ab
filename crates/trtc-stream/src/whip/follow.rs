//! Whom a viewer watches: a named participant, or the first who publishes, as people come and go.
use std::collections::BTreeMap;
use trtc_proto::livekit::participant_info::State;
use trtc_proto::livekit::{ParticipantInfo, TrackSource, TrackType};

/// What a viewer asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Only this participant; none: whoever publishes, video first, the one longest in the room first.
    pub identity: Option<String>,
    /// The screen in place of the camera.
    pub screen: bool,
}

/// What to do with a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Receive this track.
    Subscribe(String),
    /// Not this one any more.
    Unsubscribe(String),
}

/// The choice of one viewer: at most one audio and one video track, of one participant.
#[derive(Debug, Default)]
pub struct Follow {
    wish: Wish,
    /// Those with tracks, by participant id.
    publishers: BTreeMap<String, Publisher>,
    chosen: Option<String>,
    tracks: Vec<String>,
}

#[derive(Debug, PartialEq)]
struct Publisher {
    joined_ms: i64,
    audio: Option<String>,
    video: Option<String>,
}

impl Follow {
    /// A viewer who sees nobody yet.
    #[must_use]
    pub fn new(wish: Wish) -> Self {
        Self { wish, ..Self::default() }
    }

    /// Whom it watches now, by participant id.
    #[must_use]
    pub fn chosen(&self) -> Option<&str> {
        self.chosen.as_deref()
    }

    /// Participants that changed: what follows for the subscriptions, the old ones first.
    pub fn update(&mut self, participants: &[ParticipantInfo]) -> Vec<Change> {
        for participant in participants {
            let publisher = self.publisher(participant);
            match publisher.filter(|_| participant.state() != State::Disconnected) {
                Some(publisher) => self.publishers.insert(participant.sid.clone(), publisher),
                None => self.publishers.remove(&participant.sid),
            };
        }
        self.choose();
        let publisher = self.chosen.as_ref().and_then(|sid| self.publishers.get(sid));
        let tracks: Vec<String> = publisher.into_iter().flat_map(|p| p.audio.iter().chain(&p.video)).cloned().collect();
        let old = std::mem::replace(&mut self.tracks, tracks.clone());
        let gone = old.iter().filter(|sid| !tracks.contains(sid)).cloned().map(Change::Unsubscribe);
        gone.chain(tracks.iter().filter(|sid| !old.contains(sid)).cloned().map(Change::Subscribe)).collect()
    }

    fn publisher(&self, participant: &ParticipantInfo) -> Option<Publisher> {
        if self.wish.identity.as_ref().is_some_and(|wanted| *wanted != participant.identity) {
            return None;
        }
        let track = |kind: TrackType, screen: TrackSource| {
            let fits = participant.tracks.iter().filter(|t| t.r#type() == kind);
            fits.filter(|t| (t.source() == screen) == self.wish.screen).map(|t| t.sid.clone()).next()
        };
        let audio = track(TrackType::Audio, TrackSource::ScreenShareAudio);
        let video = track(TrackType::Video, TrackSource::ScreenShare);
        let joined_ms =
            if participant.joined_at_ms == 0 { participant.joined_at * 1000 } else { participant.joined_at_ms };
        (audio.is_some() || video.is_some()).then_some(Publisher { joined_ms, audio, video })
    }

    /// A participant stays chosen while it shows video, or while nobody does.
    fn choose(&mut self) {
        let shows = |sid: &String| self.publishers.get(sid).is_some_and(|p| p.video.is_some());
        let anybody = self.publishers.values().any(|p| p.video.is_some());
        let stays = self.chosen.take().filter(|sid| self.publishers.contains_key(sid) && (shows(sid) || !anybody));
        let first = || {
            let best = self.publishers.iter().min_by_key(|(sid, p)| (p.video.is_none(), p.joined_ms, sid.as_str()));
            best.map(|(sid, _)| sid.clone())
        };
        self.chosen = stays.or_else(first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trtc_proto::livekit::TrackInfo;

    fn person(sid: &str, joined_at: i64, tracks: &[(&str, TrackSource)]) -> ParticipantInfo {
        let track = |(sid, source): &(&str, TrackSource)| {
            let audio = matches!(source, TrackSource::Microphone | TrackSource::ScreenShareAudio);
            let r#type = if audio { TrackType::Audio } else { TrackType::Video };
            TrackInfo {
                sid: (*sid).to_owned(),
                r#type: r#type.into(),
                source: (*source).into(),
                ..TrackInfo::default()
            }
        };
        ParticipantInfo {
            sid: sid.to_owned(),
            identity: sid.to_lowercase(),
            joined_at,
            tracks: tracks.iter().map(track).collect(),
            ..ParticipantInfo::default()
        }
    }

    fn on(sid: &str) -> Change {
        Change::Subscribe(sid.to_owned())
    }

    fn off(sid: &str) -> Change {
        Change::Unsubscribe(sid.to_owned())
    }

    use TrackSource::{Camera, Microphone, ScreenShare};

    #[test]
    fn the_first_who_shows_video_is_followed_and_kept() {
        let mut follow = Follow::new(Wish::default());
        assert_eq!(follow.update(&[person("A", 1, &[("a", Microphone)])]), [on("a")]);
        let b = person("B", 2, &[("b", Microphone), ("bv", Camera)]);
        assert_eq!(follow.update(&[b]), [off("a"), on("b"), on("bv")], "video wins over sound alone");
        assert_eq!(follow.update(&[person("A", 1, &[("a", Microphone), ("av", Camera)])]), [], "no jumping about");
        let gone = ParticipantInfo { state: State::Disconnected.into(), ..person("B", 2, &[("bv", Camera)]) };
        assert_eq!(follow.update(&[gone]), [off("b"), off("bv"), on("a"), on("av")]);
        assert_eq!(follow.update(&[person("A", 1, &[])]), [off("a"), off("av")]);
        assert_eq!(follow.chosen(), None);
    }

    #[test]
    fn a_named_one_is_waited_for_and_the_screen_is_another_picture() {
        let mut follow = Follow::new(Wish { identity: Some("b".into()), screen: false });
        assert_eq!(follow.update(&[person("A", 1, &[("av", Camera)])]), []);
        let b = person("B", 2, &[("bs", ScreenShare), ("bv", Camera), ("b", Microphone)]);
        assert_eq!(follow.update(std::slice::from_ref(&b)), [on("b"), on("bv")]);
        let mut screen = Follow::new(Wish { identity: Some("b".into()), screen: true });
        assert_eq!(screen.update(&[b]), [on("bs")]);
    }

    #[test]
    fn a_track_that_is_replaced_is_followed() {
        let mut follow = Follow::new(Wish::default());
        follow.update(&[person("A", 1, &[("v1", Camera)])]);
        assert_eq!(follow.update(&[person("A", 1, &[("v2", Camera)])]), [off("v1"), on("v2")]);
    }
}
