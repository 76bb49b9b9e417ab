//! Local tracks and the publisher's negotiation: one outstanding offer at a time.
use crate::session::Session;
use crate::types::{Action, Event, LocalLayer, LocalTrack, RIDS};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use trtc_proto::livekit::{self as lk, request_response, signal_request::Message as Request};
use trtc_types::{Code, Error, MediaKind, Result, TrackSource};

/// How long the server may take to give a track its sid (official clients wait as long).
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the server may take to answer an offer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Most local tracks.
const TRACKS_MAX: usize = 32;

#[derive(Debug, Default)]
pub(crate) struct Publications {
    tracks: BTreeMap<String, Publication>,
    offer: Offer,
    /// Ids are counted from 1 and never reused, so that a late answer cannot be mistaken.
    last_offer_id: u32,
    /// There was an offer on these transports.
    negotiated: bool,
    /// Another offer is needed after this one; `Some(true)` with an ICE restart.
    again: Option<bool>,
}

#[derive(Debug)]
struct Publication {
    track: LocalTrack,
    state: State,
    /// When the server was told of the present `muted`, in [`Session::millis`], until it is known to have heard.
    mute_told: Option<i64>,
    /// The host has withdrawn it before the server knew it. A server forgets what is announced only with its section, so it is offered
    /// once.
    withdrawn: bool,
}

#[derive(Debug)]
enum State {
    /// Not told to the server (again).
    Waiting,
    /// Told; it must answer by then.
    Requested(Instant),
    Published(Box<lk::TrackInfo>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Offer {
    #[default]
    None,
    /// `CreateOffer` was given out.
    Creating,
    /// Sent; the server must answer by then.
    Sent { id: u32, until: Instant },
}

impl Publications {
    pub fn deadline(&self) -> Option<Instant> {
        let tracks = self.tracks.values().filter_map(|p| match p.state {
            State::Requested(until) => Some(until),
            _ => None,
        });
        let offer = match self.offer {
            Offer::Sent { until, .. } => Some(until),
            _ => None,
        };
        tracks.chain(offer).min()
    }

    pub fn published(&self) -> Vec<lk::TrackPublishedResponse> {
        let response = |(cid, p): (&String, &Publication)| match &p.state {
            State::Published(info) => {
                Some(lk::TrackPublishedResponse { cid: cid.clone(), track: Some((**info).clone()) })
            }
            _ => None,
        };
        self.tracks.iter().filter_map(response).collect()
    }

    fn by_sid(&self, sid: &str) -> Option<String> {
        let is = |p: &Publication| matches!(&p.state, State::Published(info) if info.sid == sid);
        self.tracks.iter().find(|(_, p)| is(p)).map(|(cid, _)| cid.clone())
    }
}

impl Session {
    /// The offer that [`Action::CreateOffer`] asked for.
    pub fn local_offer(&mut self, now: Instant, sdp: String) {
        if self.publications.offer != Offer::Creating {
            return;
        }
        if !self.phase.is_signalling() {
            // It would be stale when the connection is back, which asks for a new one.
            self.publications.offer = Offer::None;
            return;
        }
        let id = self.publications.last_offer_id.wrapping_add(1).max(1);
        self.publications.last_offer_id = id;
        self.publications.offer = Offer::Sent { id, until: now + ANSWER_TIMEOUT };
        let offer = lk::SessionDescription { r#type: "offer".into(), sdp, id, mid_to_track_id: BTreeMap::new() };
        self.last_offer = Some(offer.clone());
        self.request(Request::Offer(offer));
    }

    /// Ends a publication.
    pub fn unpublish(&mut self, now: Instant, cid: &str) {
        let Some(publication) = self.publications.tracks.get_mut(cid) else { return };
        match publication.state {
            State::Requested(_) => publication.withdrawn = true,
            State::Waiting | State::Published(_) => self.remove_track(now, cid),
        }
    }

    /// Mutes or unmutes a local track. The host stops sending by itself.
    pub fn set_muted(&mut self, now: Instant, cid: &str, muted: bool) {
        let Some(publication) = self.publications.tracks.get_mut(cid) else { return };
        publication.track.muted = muted;
        if let State::Published(info) = &mut publication.state
            && info.muted != muted
        {
            info.muted = muted;
            self.tell_muted(now, cid);
        }
    }

    fn tell_muted(&mut self, now: Instant, cid: &str) {
        let told = self.millis(now);
        let Some(publication) = self.publications.tracks.get_mut(cid) else { return };
        let State::Published(info) = &publication.state else { return };
        publication.mute_told = Some(told);
        let (sid, muted) = (info.sid.clone(), info.muted);
        self.request(Request::Mute(lk::MuteTrackRequest { sid, muted }));
    }

    /// The answer to a ping of then: what was sent before it has arrived.
    pub(crate) fn mutes_arrived(&mut self, ping_millis: i64) {
        for publication in self.publications.tracks.values_mut() {
            publication.mute_told.take_if(|told| *told < ping_millis);
        }
    }

    /// What may have gone into a dead connection. The rest is left alone: meanwhile the server may have muted it by itself.
    pub(crate) fn resend_mutes(&mut self, now: Instant) {
        let told = self.publications.tracks.iter().filter(|(_, p)| p.mute_told.is_some());
        let cids: Vec<String> = told.map(|(cid, _)| cid.clone()).collect();
        cids.iter().for_each(|cid| self.tell_muted(now, cid));
    }

    fn remove_track(&mut self, now: Instant, cid: &str) {
        let Some(publication) = self.publications.tracks.remove(cid) else { return };
        self.act(Action::RemoveTrack { cid: cid.to_owned() });
        if matches!(publication.state, State::Published(_)) {
            self.renegotiate(now, false);
        }
    }

    /// Removes what the host does not want any more, as far as `done` with it.
    fn remove_withdrawn(&mut self, now: Instant, done: impl Fn(&State) -> bool) {
        let over = self.publications.tracks.iter().filter(|(_, p)| p.withdrawn && done(&p.state));
        let cids: Vec<String> = over.map(|(cid, _)| cid.clone()).collect();
        cids.iter().for_each(|cid| self.remove_track(now, cid));
    }

    /// The track could not be published.
    fn track_failed(&mut self, now: Instant, cid: String, error: Error) {
        let withdrawn = self.publications.tracks.get(&cid).is_some_and(|p| p.withdrawn);
        self.remove_track(now, &cid);
        if !withdrawn {
            self.tell(Event::LocalTrackFailed { cid, error });
        }
    }

    pub(crate) fn publish_track(&mut self, now: Instant, track: LocalTrack) -> Result<()> {
        if track.cid.is_empty() || track.cid.contains(char::is_whitespace) {
            return Err(Error::invalid("cid must be text without white space"));
        }
        if track.layers.len() == 1 || track.layers.len() > RIDS.len() {
            return Err(Error::invalid(format!(
                "layers must be none, 2 or {}, got {}",
                RIDS.len(),
                track.layers.len()
            )));
        }
        if self.publications.tracks.contains_key(&track.cid) {
            return Err(Error::invalid(format!("cid must be new, {} is in use", track.cid)));
        }
        if self.publications.tracks.len() >= TRACKS_MAX {
            return Err(Error::invalid(format!("at most {TRACKS_MAX} tracks can be published")));
        }
        let cid = track.cid.clone();
        let publication = Publication { track, state: State::Waiting, mute_told: None, withdrawn: false };
        self.publications.tracks.insert(cid.clone(), publication);
        if self.phase.is_signalling() {
            self.add_track(now, &cid);
        }
        Ok(())
    }

    /// Tells the server about the tracks it does not know; after a full reconnect that is all of them.
    pub(crate) fn resend_tracks(&mut self, now: Instant, all: bool) {
        if all {
            self.remove_withdrawn(now, |_| true);
        }
        let unknown = |p: &Publication| all || !(p.withdrawn || matches!(p.state, State::Published(_)));
        let tracks = self.publications.tracks.iter().filter(|(_, p)| unknown(p));
        let cids: Vec<String> = tracks.map(|(cid, _)| cid.clone()).collect();
        cids.iter().for_each(|cid| self.add_track(now, cid));
    }

    /// A new publisher transport, or a resumed one: whatever was under way is void.
    pub(crate) fn renegotiate_after_resume(&mut self, now: Instant) {
        self.publications.offer = Offer::None;
        self.publications.again = None;
        if self.publications.negotiated {
            self.renegotiate(now, true);
        }
    }

    pub(crate) fn publisher_renewed(&mut self) {
        self.publications.offer = Offer::None;
        self.publications.again = None;
        self.publications.negotiated = false;
    }

    /// Makes sure that the publisher's transport, which carries our data, exists.
    pub(crate) fn ensure_publisher(&mut self, now: Instant) {
        if !self.publications.negotiated {
            self.renegotiate(now, false);
        }
    }

    pub(crate) fn renegotiate(&mut self, _now: Instant, ice_restart: bool) {
        if !self.phase.is_signalling() {
            // Resuming and joining ask again.
            return;
        }
        let publications = &mut self.publications;
        if publications.offer == Offer::None {
            publications.offer = Offer::Creating;
            publications.negotiated = true;
            self.act(Action::CreateOffer { ice_restart });
        } else {
            publications.again = Some(ice_restart || publications.again == Some(true));
        }
    }

    pub(crate) fn answered(&mut self, now: Instant, answer: lk::SessionDescription) {
        // Id 0 comes from servers that do not number.
        let Offer::Sent { id, .. } = self.publications.offer else { return };
        if answer.id != id && answer.id != 0 {
            return;
        }
        self.publications.offer = Offer::None;
        self.act(Action::AcceptAnswer { sdp: answer.sdp });
        if let Some(ice_restart) = self.publications.again.take() {
            self.renegotiate(now, ice_restart);
        } else {
            self.remove_withdrawn(now, |state| matches!(state, State::Published(_)));
        }
    }

    pub(crate) fn track_published(&mut self, now: Instant, published: lk::TrackPublishedResponse) {
        let Some(info) = published.track.filter(|t| !t.sid.is_empty()) else {
            self.counters.malformed += 1;
            return;
        };
        let cid = published.cid;
        let Some(publication) = self.publications.tracks.get_mut(&cid) else { return };
        let sid = info.sid.clone();
        let (was_muted, muted) = (info.muted, publication.track.muted);
        if matches!(&publication.state, State::Published(known) if known.sid == sid) {
            return;
        }
        publication.state = State::Published(Box::new(lk::TrackInfo { muted, ..info }));
        let withdrawn = publication.withdrawn;
        self.act(Action::AddTrack { cid: cid.clone(), sid: sid.clone() });
        if !withdrawn {
            self.tell(Event::LocalTrackPublished { cid: cid.clone(), sid });
        }
        if was_muted != muted {
            self.tell_muted(now, &cid);
        }
        self.renegotiate(now, false);
    }

    /// The server removed a track of ours, for example with the right to publish.
    pub(crate) fn track_unpublished(&mut self, now: Instant, sid: &str) {
        let Some(cid) = self.publications.by_sid(sid) else { return };
        self.track_failed(now, cid, Error::new(Code::REFUSED, "the server removed the track"));
    }

    pub(crate) fn muted_by_server(&mut self, sid: &str, muted: bool) {
        let Some(cid) = self.publications.by_sid(sid) else { return };
        let Some(publication) = self.publications.tracks.get_mut(&cid) else { return };
        if let State::Published(info) = &mut publication.state {
            info.muted = muted;
        }
        publication.mute_told = None;
        if publication.track.muted != muted {
            publication.track.muted = muted;
            self.tell(Event::LocalTrackMuted { cid, muted });
        }
    }

    /// Dynacast: which qualities somebody wants. A quality between two layers belongs to the upper one.
    pub(crate) fn qualities_wanted(&mut self, update: &lk::SubscribedQualityUpdate) {
        let Some(cid) = self.publications.by_sid(&update.track_sid) else { return };
        let Some(publication) = self.publications.tracks.get(&cid) else { return };
        let codec = publication.track.codec.name();
        let of_codec = update.subscribed_codecs.iter().find(|known| known.codec.eq_ignore_ascii_case(codec));
        let qualities = of_codec.map_or(&update.subscribed_qualities, |known| &known.qualities);
        let layers = publication.track.layers.len();
        if layers == 0 || qualities.is_empty() {
            return;
        }
        let mut wanted = vec![false; layers];
        for quality in qualities.iter().filter(|quality| quality.enabled) {
            let at = (0..layers).find(|index| layer_quality(*index, layers - 1) >= quality.quality());
            wanted[at.unwrap_or(layers - 1)] = true;
        }
        self.tell(Event::LocalLayersWanted { cid, wanted });
    }

    pub(crate) fn request_answered(&mut self, now: Instant, response: lk::RequestResponse) {
        use request_response::{Reason, Request as Asked};
        let reason = response.reason();
        let Some(Asked::AddTrack(asked)) = response.request else { return };
        if matches!(reason, Reason::Ok | Reason::Queued) {
            return;
        }
        let Some(publication) = self.publications.tracks.get(&asked.cid) else { return };
        if !matches!(publication.state, State::Requested(_)) {
            return;
        }
        let code = match reason {
            Reason::LimitExceeded if publication.track.source == TrackSource::ScreenShare => {
                Code::SCREEN_SHARE_OCCUPIED
            }
            Reason::NotAllowed => Code::REFUSED,
            _ => Code::SERVER_PROCESS_FAILED,
        };
        let text = if response.message.is_empty() { format!("{reason:?}") } else { response.message };
        let error = Error::new(code, format!("the server refused the track: {text}"));
        self.track_failed(now, asked.cid, error);
    }

    pub(crate) fn tick_publications(&mut self, now: Instant) {
        let late = |p: &Publication| matches!(p.state, State::Requested(until) if until <= now);
        let tracks = self.publications.tracks.iter().filter(|(_, p)| late(p));
        let cids: Vec<String> = tracks.map(|(cid, _)| cid.clone()).collect();
        for cid in cids {
            if !self.phase.is_signalling() {
                // Nobody could answer; the connection will tell it again.
                if let Some(publication) = self.publications.tracks.get_mut(&cid) {
                    publication.state = State::Waiting;
                }
                self.remove_withdrawn(now, |state| matches!(state, State::Waiting));
                continue;
            }
            let error = Error::new(Code::REQUEST_SERVER_TIMEOUT, "the server did not answer to the new track");
            self.track_failed(now, cid, error);
        }
        if matches!(self.publications.offer, Offer::Sent { until, .. } if until <= now) {
            self.publications.offer = Offer::None;
            if self.phase.is_signalling() {
                self.signal_lost(now);
            }
        }
    }

    fn add_track(&mut self, now: Instant, cid: &str) {
        let Some(publication) = self.publications.tracks.get_mut(cid) else { return };
        publication.state = State::Requested(now + PUBLISH_TIMEOUT);
        publication.mute_told = None;
        let request = add_track_request(&publication.track);
        self.request(Request::AddTrack(request));
    }
}

fn add_track_request(track: &LocalTrack) -> lk::AddTrackRequest {
    let screen = matches!(track.source, TrackSource::ScreenShare | TrackSource::ScreenShareAudio);
    let mut request = lk::AddTrackRequest {
        cid: track.cid.clone(),
        name: track.name.clone(),
        muted: track.muted,
        source: track.source as i32,
        stream: if screen { "screen" } else { "camera" }.into(),
        ..Default::default()
    };
    match track.kind {
        MediaKind::Audio => {
            request.r#type = lk::TrackType::Audio as i32;
            request.stereo = track.stereo;
            // We send plain Opus.
            request.disable_red = true;
            if track.stereo {
                request.audio_features.push(lk::AudioTrackFeature::TfStereo as i32);
            }
        }
        MediaKind::Video => {
            request.r#type = lk::TrackType::Video as i32;
            request.width = track.width;
            request.height = track.height;
            request.layers = video_layers(track);
            if !track.layers.is_empty() {
                // Without it a server that counts layers by codec takes the track for a single stream.
                request.simulcast_codecs.push(lk::SimulcastCodec {
                    codec: track.codec.name().to_owned(),
                    cid: track.cid.clone(),
                    layers: request.layers.clone(),
                    ..Default::default()
                });
            }
        }
    }
    request
}

/// The smallest layer is LOW and the largest HIGH.
fn video_layers(track: &LocalTrack) -> Vec<lk::VideoLayer> {
    let (width, height) = (track.width, track.height);
    let single = lk::VideoLayer { quality: lk::VideoQuality::High as i32, width, height, ..Default::default() };
    if track.layers.is_empty() {
        return vec![single];
    }
    let last = track.layers.len() - 1;
    let layer = |(index, layer): (usize, &LocalLayer)| lk::VideoLayer {
        quality: layer_quality(index, last) as i32,
        width: layer.width,
        height: layer.height,
        bitrate: layer.bitrate_bps,
        ..Default::default()
    };
    track.layers.iter().enumerate().map(layer).collect()
}

fn layer_quality(index: usize, last: usize) -> lk::VideoQuality {
    match index {
        _ if index == last => lk::VideoQuality::High,
        0 => lk::VideoQuality::Low,
        _ => lk::VideoQuality::Medium,
    }
}
