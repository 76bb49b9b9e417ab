//! Remote users: what they send, what the host watches.
use crate::events::Event;
use crate::receive::cell::{Cell, RenderCallback};
use crate::receive::video::VideoIn;
use crate::shared::Shared;
use crate::switches::Switches;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use trtc_member::{Member, RemoteTrack, TrackSettings, VideoQuality};
use trtc_types::{Code, MediaKind, NetworkQuality, StreamType, TrackSource, UserId};

/// Video that nobody watches is paused after this time.
const UNWATCHED: Duration = Duration::from_secs(5);

pub(crate) struct Remote {
    shared: Weak<Shared>,
    users: BTreeMap<UserId, User>,
    views: BTreeMap<(UserId, StreamType), View>,
    frozen: Switches<(UserId, StreamType)>,
    /// Users whose small stream is wanted in place of the main one.
    small: Switches<UserId>,
    /// Sound that the host asked for, where it does not come by itself.
    wanted_audio: Switches<UserId>,
}

#[derive(Default)]
struct User {
    /// As the server rates it.
    quality: Option<NetworkQuality>,
    tracks: Vec<Track>,
    video: bool,
    sub: bool,
    audio: bool,
}

struct Track {
    info: RemoteTrack,
    /// We asked the server to pause it.
    paused: bool,
    /// We asked the server for its small layer.
    small: bool,
    since: Instant,
    warned: bool,
}

#[derive(Default)]
struct View {
    cell: Arc<Cell>,
    watching: bool,
    input: Option<(Arc<VideoIn>, Vec<JoinHandle<()>>)>,
}

/// The stream of a video track.
pub(crate) fn stream_of(source: TrackSource) -> StreamType {
    match source {
        TrackSource::ScreenShare | TrackSource::ScreenShareAudio => StreamType::Sub,
        _ => StreamType::Big,
    }
}

/// The view that shows a stream: the small one comes in place of the main one.
pub(crate) fn view_of(stream: StreamType) -> StreamType {
    if stream == StreamType::Small { StreamType::Big } else { stream }
}

impl Remote {
    pub(crate) fn new(shared: Weak<Shared>) -> Self {
        Self {
            shared,
            users: BTreeMap::new(),
            views: BTreeMap::new(),
            frozen: Switches::default(),
            small: Switches::default(),
            wanted_audio: Switches::default(),
        }
    }

    pub(crate) fn rated(&mut self, user: &UserId, quality: NetworkQuality) {
        if let Some(entry) = self.users.get_mut(user) {
            entry.quality = Some(quality);
        }
    }

    /// Those who send, with the server's word on them.
    pub(crate) fn ratings(&self) -> Vec<(UserId, NetworkQuality)> {
        let sends = self.users.iter().filter(|(_, entry)| !entry.tracks.is_empty());
        sends.map(|(user, entry)| (user.clone(), entry.quality.unwrap_or(NetworkQuality::Unknown))).collect()
    }

    pub(crate) fn user_entered(&mut self, user: &UserId) {
        self.users.entry(user.clone()).or_default();
    }

    /// Everything of the user becomes unavailable first.
    pub(crate) fn user_left(&mut self, shared: &Shared, user: &UserId) -> Vec<JoinHandle<()>> {
        let sids: Vec<String> =
            self.users.get(user).map(|u| u.tracks.iter().map(|t| t.info.sid.clone()).collect()).unwrap_or_default();
        let threads = sids.iter().flat_map(|sid| self.track_gone(shared, user, sid)).collect();
        self.users.remove(user);
        threads
    }

    /// A track is there, or has changed.
    pub(crate) fn track(&mut self, shared: &Shared, member: Option<&Member>, info: RemoteTrack) {
        let user = info.user.clone();
        if let Some(input) = self.video_input(&info.sid) {
            // Most changes are mutes.
            input.expect_pause();
        }
        let entry = self.users.entry(user.clone()).or_default();
        let track = match entry.tracks.iter_mut().position(|t| t.info.sid == info.sid) {
            Some(at) => {
                entry.tracks[at].info = info;
                &mut entry.tracks[at]
            }
            None => {
                entry.tracks.push(Track { info, paused: false, small: false, since: Instant::now(), warned: false });
                let last = entry.tracks.len() - 1;
                &mut entry.tracks[last]
            }
        };
        warn_codec(shared, track);
        let (kind, stream) = (track.info.kind, stream_of(track.info.source));
        if kind == MediaKind::Audio {
            if shared.playout.is_muted(&user) && !track.paused {
                track.pause(member, true);
            } else if self.wanted_audio.is_on(&user) {
                track.subscribe(member);
            }
        }
        if kind == MediaKind::Video && stream == StreamType::Big {
            track.choose(member, self.small.is_on(&user));
        }
        self.tell_changes(shared, &user);
        if kind == MediaKind::Video {
            self.attach(member, &user, stream);
        }
    }

    /// A track is gone.
    pub(crate) fn track_gone(&mut self, shared: &Shared, user: &UserId, sid: &str) -> Vec<JoinHandle<()>> {
        if let Some(entry) = self.users.get_mut(user) {
            entry.tracks.retain(|t| t.info.sid != sid);
        }
        shared.playout.remove(sid);
        let mut threads = Vec::new();
        for view in self.views.values_mut() {
            if view.input.as_ref().is_some_and(|(input, _)| input.sid == sid) {
                threads.extend(view.detach());
            }
        }
        self.tell_changes(shared, user);
        threads
    }

    /// The host watches a stream, now or as soon as it is there.
    pub(crate) fn watch(&mut self, member: Option<&Member>, user: &UserId, stream: StreamType) {
        self.views.entry((user.clone(), stream)).or_default().watching = true;
        self.attach(member, user, stream);
    }

    /// The host stops watching one stream (`Some`) or all.
    pub(crate) fn unwatch(
        &mut self,
        member: Option<&Member>,
        which: Option<(&UserId, StreamType)>,
    ) -> Vec<JoinHandle<()>> {
        let mut threads = Vec::new();
        let mut stopped = Vec::new();
        for ((user, stream), view) in &mut self.views {
            if which.is_some_and(|(u, s)| u != user || s != *stream) || !view.watching {
                continue;
            }
            view.watching = false;
            view.cell.clear();
            threads.extend(view.detach());
            stopped.push((user.clone(), *stream));
        }
        for (user, stream) in stopped {
            self.pause(member, &user, MediaKind::Video, Some(stream), true);
        }
        threads
    }

    /// Takes the small or the main stream of one user (`Some`) or of everybody, later ones included.
    pub(crate) fn choose(&mut self, member: Option<&Member>, which: Option<&UserId>, small: bool) {
        self.small.set(which, small);
        for (user, entry) in &mut self.users {
            let small = self.small.is_on(user);
            let main = |t: &&mut Track| t.info.kind == MediaKind::Video && stream_of(t.info.source) == StreamType::Big;
            entry.tracks.iter_mut().filter(main).for_each(|track| track.choose(member, small));
            let view = self.views.get(&(user.clone(), StreamType::Big));
            if let Some((input, _)) = view.and_then(|view| view.input.as_ref()) {
                input.set_small(small);
            }
        }
    }

    pub(crate) fn set_callback(&mut self, user: &UserId, stream: StreamType, callback: Option<RenderCallback>) {
        self.views.entry((user.clone(), stream)).or_default().cell.set_callback(callback);
    }

    pub(crate) fn cell(&self, user: &UserId, stream: StreamType) -> Option<Arc<Cell>> {
        self.views.get(&(user.clone(), stream)).filter(|v| v.watching).map(|v| v.cell.clone())
    }

    /// Freezes or thaws one stream (`Some`) or all, and stops pulling it.
    pub(crate) fn freeze(&mut self, member: Option<&Member>, which: Option<(&UserId, StreamType)>, frozen: bool) {
        let which = which.map(|(user, stream)| (user.clone(), stream));
        self.frozen.set(which.as_ref(), frozen);
        let keys: Vec<_> = self.views.iter().filter(|(_, v)| v.watching).map(|(k, _)| k.clone()).collect();
        for (user, stream) in keys {
            let key = (user.clone(), stream);
            let frozen = self.frozen.is_on(&key);
            let input = self.views.get(&key).and_then(|v| v.input.as_ref().map(|(i, _)| i.clone()));
            let Some(input) = input else { continue };
            if !input.freeze(frozen) {
                continue;
            }
            self.pause(member, &user, MediaKind::Video, Some(stream), frozen);
            if let (Some(member), false) = (member, frozen) {
                member.request_key_frame(&input.sid);
            }
        }
    }

    /// Pulls, or stops pulling, sound: of one user or of all, later ones included.
    pub(crate) fn pull_audio(&mut self, member: Option<&Member>, user: Option<&UserId>, on: bool) {
        self.wanted_audio.set(user, on);
        let users: Vec<UserId> = user.map_or_else(|| self.users.keys().cloned().collect(), |u| vec![u.clone()]);
        for user in users {
            self.pause(member, &user, MediaKind::Audio, None, !on);
        }
    }

    pub(crate) fn video_input(&self, sid: &str) -> Option<Arc<VideoIn>> {
        self.views.values().find_map(|v| v.input.as_ref().filter(|(i, _)| i.sid == sid).map(|(i, _)| i.clone()))
    }

    pub(crate) fn inputs(&self) -> Vec<Arc<VideoIn>> {
        self.views.values().filter_map(|v| v.input.as_ref().map(|(i, _)| i.clone())).collect()
    }

    /// Pauses video that nobody has watched for a while.
    pub(crate) fn pause_unwatched(&mut self, member: &Member, now: Instant) {
        for (user, entry) in &mut self.users {
            for track in entry.tracks.iter_mut().filter(|t| t.info.kind == MediaKind::Video && t.info.subscribed) {
                let key = (user.clone(), stream_of(track.info.source));
                let watched = self.views.get(&key).is_some_and(|v| v.watching);
                if !watched && !track.paused && now.saturating_duration_since(track.since) > UNWATCHED {
                    track.pause(Some(member), true);
                }
            }
        }
    }

    /// Forgets the room. Render callbacks stay; watching and freezing do not.
    pub(crate) fn left_room(&mut self) -> Vec<JoinHandle<()>> {
        self.users.clear();
        self.frozen = Switches::default();
        self.small.forget_each();
        self.wanted_audio = Switches::default();
        let mut threads = Vec::new();
        for view in self.views.values_mut() {
            view.watching = false;
            view.cell.clear();
            threads.extend(view.detach());
        }
        threads
    }

    pub(crate) fn stop_all(&mut self) -> Vec<JoinHandle<()>> {
        let threads = self.left_room();
        self.views.clear();
        threads
    }

    /// Starts decoding when a watched stream is there.
    fn attach(&mut self, member: Option<&Member>, user: &UserId, stream: StreamType) {
        let key = (user.clone(), stream);
        let frozen = self.frozen.is_on(&key);
        let Some(view) = self.views.get_mut(&key).filter(|v| v.watching) else { return };
        let Some(track) = self.users.get_mut(user).and_then(|u| {
            u.tracks.iter_mut().find(|t| t.info.kind == MediaKind::Video && stream_of(t.info.source) == stream)
        }) else {
            return;
        };
        let sid = track.info.sid.clone();
        if !frozen {
            track.subscribe(member);
        }
        if track.paused != frozen {
            track.pause(member, frozen);
            if let (Some(member), false) = (member, frozen) {
                member.request_key_frame(&sid);
            }
        }
        if view.input.is_some() || !decodable(&track.info) {
            return;
        }
        match VideoIn::start(self.shared.clone(), user.clone(), stream, sid, view.cell.clone(), frozen) {
            Ok((input, threads)) => {
                input.set_small(stream == StreamType::Big && self.small.is_on(user));
                view.input = Some((input, threads));
            }
            Err(error) => log::error!("cannot start a decode thread: {error}"),
        }
    }

    fn pause(
        &mut self,
        member: Option<&Member>,
        user: &UserId,
        kind: MediaKind,
        stream: Option<StreamType>,
        pause: bool,
    ) {
        let Some(entry) = self.users.get_mut(user) else { return };
        for track in entry.tracks.iter_mut().filter(|t| t.info.kind == kind) {
            if stream.is_some_and(|s| s != stream_of(track.info.source)) {
                continue;
            }
            if !pause {
                track.subscribe(member);
            }
            track.pause(member, pause);
        }
    }

    /// Tells what became available or unavailable; a muted track is unavailable.
    fn tell_changes(&mut self, shared: &Shared, user: &UserId) {
        let Some(entry) = self.users.get_mut(user) else { return };
        let has = |kind, stream: Option<StreamType>| {
            entry
                .tracks
                .iter()
                .any(|t| t.info.kind == kind && !t.info.muted && stream.is_none_or(|s| s == stream_of(t.info.source)))
        };
        let video = has(MediaKind::Video, Some(StreamType::Big));
        let sub = has(MediaKind::Video, Some(StreamType::Sub));
        let audio = has(MediaKind::Audio, None);
        if std::mem::replace(&mut entry.audio, audio) != audio {
            shared.emit(Event::UserAudioAvailable(user.clone(), audio));
        }
        if std::mem::replace(&mut entry.video, video) != video {
            shared.emit(Event::UserVideoAvailable(user.clone(), video));
        }
        if std::mem::replace(&mut entry.sub, sub) != sub {
            shared.emit(Event::UserSubStreamAvailable(user.clone(), sub));
        }
    }
}

impl Track {
    /// Asks for it, where tracks do not come by themselves.
    fn subscribe(&mut self, member: Option<&Member>) {
        if let (Some(member), false) = (member, self.info.subscribed) {
            member.subscribe(&self.info.sid, true);
            self.info.subscribed = true;
        }
    }

    /// Tells the server to hold it back, or no longer.
    fn pause(&mut self, member: Option<&Member>, pause: bool) {
        self.paused = pause;
        self.tell(member);
    }

    /// Tells the server which layer is wanted, where that changes.
    fn choose(&mut self, member: Option<&Member>, small: bool) {
        if std::mem::replace(&mut self.small, small) != small {
            self.tell(member);
        }
    }

    fn tell(&self, member: Option<&Member>) {
        let quality = if self.small { VideoQuality::Low } else { VideoQuality::High };
        if let Some(member) = member {
            let settings = TrackSettings { disabled: self.paused, quality, ..TrackSettings::default() };
            member.track_settings(&self.info.sid, settings);
        }
    }
}

impl View {
    fn detach(&mut self) -> Vec<JoinHandle<()>> {
        self.input
            .take()
            .map(|(input, threads)| {
                input.stop();
                threads
            })
            .unwrap_or_default()
    }
}

fn decodable(track: &RemoteTrack) -> bool {
    let codec = track.codec_mime.to_ascii_lowercase();
    codec.is_empty()
        || match track.kind {
            MediaKind::Video => codec.contains("h264"),
            MediaKind::Audio => codec.contains("opus") || codec.contains("red"),
        }
}

/// A codec that we cannot decode is told once; nothing fails.
fn warn_codec(shared: &Shared, track: &mut Track) {
    if track.warned || decodable(&track.info) {
        return;
    }
    track.warned = true;
    let code = match track.info.kind {
        MediaKind::Video => Code::WARN_VIDEO_FRAME_DECODE_FAIL,
        MediaKind::Audio => Code::WARN_AUDIO_FRAME_DECODE_FAIL,
    };
    shared.warn(code, format!("{} sends {}, which cannot be decoded here", track.info.user, track.info.codec_mime));
}
