//! The others and their tracks.
use crate::types::{Event, RemoteTrack, SessionConfig};
use std::collections::{BTreeMap, BTreeSet};
use trtc_proto::entry::{ROLE_ATTRIBUTE, role_name};
use trtc_proto::livekit as lk;
use trtc_types::{LeaveReason, MediaKind, Role, TrackSource, UserId};

/// Most others that are kept.
const PARTICIPANTS_MAX: usize = 20_000;
/// Most tracks of one participant that are kept.
const TRACKS_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Roster {
    auto_audio: bool,
    auto_video: bool,
    hide_audience: bool,
    others: BTreeMap<UserId, Participant>,
    /// Owner of every track.
    owners: BTreeMap<String, UserId>,
}

#[derive(Debug)]
struct Participant {
    sid: String,
    version: u32,
    joined_at_ms: i64,
    /// The host knows of it.
    shown: bool,
    tracks: BTreeMap<String, Track>,
}

#[derive(Debug)]
struct Track {
    shown: RemoteTrack,
    settings: Option<lk::UpdateTrackSettings>,
}

/// What an update led to.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub events: Vec<Event>,
    /// Tracks to be subscribed to by request, because the server does it for all kinds or for none.
    pub subscribe: Vec<String>,
    /// Identity that is gone.
    pub gone: Option<UserId>,
    /// Could not be used.
    pub ignored: bool,
}

impl Roster {
    pub fn new(config: &SessionConfig) -> Self {
        Self {
            auto_audio: config.auto_subscribe_audio,
            auto_video: config.auto_subscribe_video,
            hide_audience: config.hide_audience,
            others: BTreeMap::new(),
            owners: BTreeMap::new(),
        }
    }

    /// Takes the state of one participant.
    pub fn update(&mut self, info: &lk::ParticipantInfo) -> Change {
        let mut change = Change::default();
        let Ok(user) = UserId::new(&info.identity) else {
            change.ignored = true;
            return change;
        };
        let known = self.others.get(&user);
        if known.is_some_and(|p| is_old(p, info)) {
            return change;
        }
        if info.state() == lk::participant_info::State::Disconnected {
            if known.is_some_and(|p| p.sid == info.sid) {
                self.remove(&user, leave_reason(info.disconnect_reason()), &mut change);
            }
            return change;
        }
        if known.is_none() && self.others.len() >= PARTICIPANTS_MAX {
            change.ignored = true;
            return change;
        }
        let shown = !self.hide_audience || !only_watches(info);
        let was_shown = known.is_some_and(|p| p.shown);
        if shown && !was_shown {
            change.events.push(Event::UserEntered { user: user.clone() });
        }
        self.merge(user.clone(), info, &mut change);
        if let Some(participant) = self.others.get_mut(&user) {
            participant.shown = shown;
        }
        if was_shown && !shown {
            change.events.push(Event::UserLeft { user, reason: LeaveReason::BecameAudience });
        }
        change
    }

    /// Takes the members of a room that was joined anew: who is not among them has left.
    pub fn replace(&mut self, infos: &[lk::ParticipantInfo]) -> Vec<Change> {
        let present: BTreeSet<&str> = infos.iter().map(|i| i.identity.as_str()).collect();
        let absent: Vec<UserId> = self.others.keys().filter(|u| !present.contains(u.as_str())).cloned().collect();
        let mut changes = Vec::new();
        for user in absent {
            let mut change = Change::default();
            self.remove(&user, LeaveReason::Left, &mut change);
            changes.push(change);
        }
        // Versions start again on a server that was restarted.
        self.others.values_mut().for_each(|p| p.version = 0);
        changes.extend(infos.iter().map(|info| self.update(info)));
        changes
    }

    /// The whole roster as events.
    pub fn everybody(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for (user, participant) in self.others.iter().filter(|(_, p)| p.shown) {
            events.push(Event::UserEntered { user: user.clone() });
            events.extend(participant.tracks.values().map(|t| Event::TrackAvailable(t.shown.clone())));
        }
        events
    }

    pub fn set_subscribed(&mut self, sid: &str, on: bool) -> Option<RemoteTrack> {
        let track = self.track(sid).filter(|t| t.shown.subscribed != on)?;
        track.shown.subscribed = on;
        Some(track.shown.clone())
    }

    /// Remembers settings; `false` for an unknown track.
    pub fn set_settings(&mut self, sid: &str, settings: lk::UpdateTrackSettings) -> bool {
        let Some(track) = self.track(sid) else { return false };
        track.settings = Some(settings);
        true
    }

    /// Sids of the tracks that are (not) subscribed to.
    pub fn subscribed(&self, on: bool) -> Vec<String> {
        self.tracks().filter(|t| t.shown.subscribed == on).map(|t| t.shown.sid.clone()).collect()
    }

    pub fn disabled(&self) -> Vec<String> {
        let disabled = |t: &&Track| t.settings.as_ref().is_some_and(|s| s.disabled);
        self.tracks().filter(disabled).map(|t| t.shown.sid.clone()).collect()
    }

    pub fn settings(&self) -> Vec<lk::UpdateTrackSettings> {
        self.tracks().filter_map(|t| t.settings.clone()).collect()
    }

    /// What the user of a participant sid is called.
    pub fn user_of(&self, participant_sid: &str) -> Option<UserId> {
        self.others.iter().find(|(_, p)| p.sid == participant_sid).map(|(user, _)| user.clone())
    }

    fn merge(&mut self, user: UserId, info: &lk::ParticipantInfo, change: &mut Change) {
        let (auto_audio, auto_video) = (self.auto_audio, self.auto_video);
        let participant = self.others.entry(user.clone()).or_insert_with(|| Participant {
            sid: info.sid.clone(),
            version: 0,
            joined_at_ms: 0,
            shown: false,
            tracks: BTreeMap::new(),
        });
        participant.sid.clone_from(&info.sid);
        participant.version = info.version;
        participant.joined_at_ms = joined_at_ms(info);
        let listed: BTreeSet<&str> = info.tracks.iter().map(|t| t.sid.as_str()).collect();
        let gone: Vec<String> = participant.tracks.keys().filter(|s| !listed.contains(s.as_str())).cloned().collect();
        for sid in gone {
            if let Some(track) = participant.tracks.remove(&sid) {
                self.owners.remove(&sid);
                change.events.push(unavailable(track));
            }
        }
        // The server lists them in random order; events should not depend on it.
        let mut tracks: Vec<_> = info.tracks.iter().collect();
        tracks.sort_by(|a, b| a.sid.cmp(&b.sid));
        for info in tracks {
            let Some(kind) = kind(info) else { continue };
            if let Some(known) = participant.tracks.get_mut(&info.sid) {
                let shown = remote_track(&user, info, kind, known.shown.subscribed);
                if shown != known.shown {
                    known.shown = shown.clone();
                    change.events.push(Event::TrackUpdated(shown));
                }
            } else if info.sid.is_empty()
                || participant.tracks.len() >= TRACKS_MAX
                || self.owners.contains_key(&info.sid)
            {
                change.ignored = true;
            } else {
                let wanted = if kind == MediaKind::Audio { auto_audio } else { auto_video };
                if wanted && !(auto_audio && auto_video) {
                    change.subscribe.push(info.sid.clone());
                }
                let shown = remote_track(&user, info, kind, wanted);
                change.events.push(Event::TrackAvailable(shown.clone()));
                self.owners.insert(info.sid.clone(), user.clone());
                participant.tracks.insert(info.sid.clone(), Track { shown, settings: None });
            }
        }
    }

    fn remove(&mut self, user: &UserId, reason: LeaveReason, change: &mut Change) {
        let Some(participant) = self.others.remove(user) else { return };
        for (sid, track) in participant.tracks {
            self.owners.remove(&sid);
            change.events.push(unavailable(track));
        }
        if participant.shown {
            change.events.push(Event::UserLeft { user: user.clone(), reason });
        }
        change.gone = Some(user.clone());
    }

    fn track(&mut self, sid: &str) -> Option<&mut Track> {
        self.others.get_mut(self.owners.get(sid)?)?.tracks.get_mut(sid)
    }

    fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.others.values().flat_map(|p| p.tracks.values())
    }
}

/// A member of the audience; one with tracks is none, whatever it says.
fn only_watches(info: &lk::ParticipantInfo) -> bool {
    let role = info.attributes.get(ROLE_ATTRIBUTE).map(String::as_str);
    role == Some(role_name(Role::Audience)) && info.tracks.is_empty()
}

pub(crate) fn source(source: lk::TrackSource) -> TrackSource {
    match source {
        lk::TrackSource::Unknown => TrackSource::Unknown,
        lk::TrackSource::Camera => TrackSource::Camera,
        lk::TrackSource::Microphone => TrackSource::Microphone,
        lk::TrackSource::ScreenShare => TrackSource::ScreenShare,
        lk::TrackSource::ScreenShareAudio => TrackSource::ScreenShareAudio,
    }
}

/// An update that was overtaken by a newer one of the same membership, or belongs to an earlier membership.
fn is_old(known: &Participant, info: &lk::ParticipantInfo) -> bool {
    if known.sid == info.sid { info.version < known.version } else { joined_at_ms(info) < known.joined_at_ms }
}

fn joined_at_ms(info: &lk::ParticipantInfo) -> i64 {
    if info.joined_at_ms != 0 { info.joined_at_ms } else { info.joined_at.saturating_mul(1000) }
}

fn kind(info: &lk::TrackInfo) -> Option<MediaKind> {
    match lk::TrackType::try_from(info.r#type) {
        Ok(lk::TrackType::Audio) => Some(MediaKind::Audio),
        Ok(lk::TrackType::Video) => Some(MediaKind::Video),
        _ => None,
    }
}

fn remote_track(user: &UserId, info: &lk::TrackInfo, kind: MediaKind, subscribed: bool) -> RemoteTrack {
    RemoteTrack {
        user: user.clone(),
        sid: info.sid.clone(),
        kind,
        source: source(info.source()),
        codec_mime: info.mime_type.clone(),
        muted: info.muted,
        width: info.width,
        height: info.height,
        subscribed,
    }
}

fn unavailable(track: Track) -> Event {
    let RemoteTrack { user, sid, source, kind, .. } = track.shown;
    Event::TrackUnavailable { user, sid, source, kind }
}

fn leave_reason(reason: lk::DisconnectReason) -> LeaveReason {
    use lk::DisconnectReason as R;
    match reason {
        R::ClientInitiated | R::UnknownReason => LeaveReason::Left,
        R::ParticipantRemoved | R::RoomDeleted | R::RoomClosed | R::DuplicateIdentity => LeaveReason::Kicked,
        _ => LeaveReason::Timeout,
    }
}
