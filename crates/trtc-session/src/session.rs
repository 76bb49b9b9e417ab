//! The session: its state, its inputs, its output queue.
use crate::data::Data;
use crate::publish::Publications;
use crate::reconnect::{Attempt, Phase, leave};
use crate::roster::Roster;
use crate::types::{Action, Event, LocalTrack, Privileges, SessionConfig, Target, TrackSettings, VideoQuality};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use trtc_proto::livekit::{self as lk, SignalRequest, signal_request::Message as Request};
use trtc_types::{Code, Error, Result, UserId};

/// Most signals kept while the connection is being resumed.
const HELD_SIGNALS_MAX: usize = 256;
/// Most server offers waiting for the answer to an earlier one.
const OFFERS_MAX: usize = 16;

/// One membership of one room. After every input, drain [`Session::poll`].
pub struct Session {
    pub(crate) config: SessionConfig,
    pub(crate) token: String,
    pub(crate) actions: VecDeque<Action>,
    pub(crate) phase: Phase,
    pub(crate) attempt: Attempt,
    /// When `connect` was called; also the zero of ping timestamps.
    pub(crate) epoch: Option<Instant>,
    /// There is no connection.
    pub(crate) lost: bool,
    /// When the connection came up last, and how often in a row it broke soon after.
    pub(crate) up_since: Option<Instant>,
    pub(crate) flaps: usize,
    /// `Event::Joined` was told.
    pub(crate) joined: bool,
    pub(crate) me: Option<UserId>,
    pub(crate) sid: String,
    pub(crate) room: String,
    pub(crate) privileges: Privileges,
    pub(crate) subscriber_primary: bool,
    pub(crate) connected: BTreeMap<Target, bool>,
    /// A transport that the server closed, and until when its word may come.
    pub(crate) closed: Option<(Instant, Target)>,
    pub(crate) ping: Pinger,
    pub(crate) roster: Roster,
    pub(crate) publications: Publications,
    pub(crate) data: Data,
    offers: VecDeque<(String, u32, BTreeMap<String, String>)>,
    answering: Option<u32>,
    pub(crate) last_answer: Option<lk::SessionDescription>,
    pub(crate) last_offer: Option<lk::SessionDescription>,
    held: VecDeque<Request>,
    /// Attributes that the host has set since the first join; an empty value deletes one.
    attributes: BTreeMap<String, String>,
    pub(crate) counters: Counters,
}

/// What was dropped, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames and packets that are no protobuf, or lack what they must have.
    pub malformed: u64,
    /// Participants beyond the cap, or with unusable ids.
    pub participants_ignored: u64,
    /// Requests dropped because there was no connection and no room to keep them.
    pub signals_dropped: u64,
    /// Server offers dropped because earlier ones were not answered.
    pub offers_dropped: u64,
    /// Data packets that came twice.
    pub data_duplicates: u64,
    /// Data packets that could not be kept until the channel opened.
    pub data_dropped: u64,
    /// Reliable data packets sent again after a resume.
    pub data_replayed: u64,
    /// Connections that broke soon after they had come up.
    pub flaps: u64,
}

/// Liveness of the signalling connection.
#[derive(Debug, Default)]
pub(crate) struct Pinger {
    pub interval: Duration,
    pub timeout: Duration,
    pub next: Option<Instant>,
    pub last_heard: Option<Instant>,
    pub rtt: Option<Duration>,
}

impl Session {
    /// A session that does nothing until [`Session::connect`].
    #[must_use]
    pub fn new(config: SessionConfig) -> Self {
        Self {
            token: config.token.clone(),
            roster: Roster::new(&config),
            config,
            actions: VecDeque::new(),
            phase: Phase::Idle,
            attempt: Attempt::first(),
            epoch: None,
            lost: false,
            up_since: None,
            flaps: 0,
            joined: false,
            me: None,
            sid: String::new(),
            room: String::new(),
            privileges: Privileges {
                can_publish: true,
                can_subscribe: true,
                can_publish_data: true,
                can_update_metadata: false,
            },
            subscriber_primary: true,
            connected: BTreeMap::new(),
            closed: None,
            ping: Pinger::default(),
            publications: Publications::default(),
            data: Data::default(),
            offers: VecDeque::new(),
            answering: None,
            last_answer: None,
            last_offer: None,
            held: VecDeque::new(),
            attributes: BTreeMap::new(),
            counters: Counters::default(),
        }
    }

    /// Starts to join. Only the first call counts.
    pub fn connect(&mut self, now: Instant) {
        if self.phase == Phase::Idle {
            self.epoch = Some(now);
            self.open_socket(now);
        }
    }

    /// A candidate gathered by one of the peers.
    pub fn local_candidate(&mut self, _now: Instant, target: Target, candidate: &str, mid: &str, index: u32) {
        self.request(Request::Trickle(lk::TrickleRequest {
            candidate_init: crate::candidate::init(candidate, mid, index),
            target: match target {
                Target::Publisher => lk::SignalTarget::Publisher,
                Target::Subscriber => lk::SignalTarget::Subscriber,
            } as i32,
            r#final: false,
        }));
    }

    /// The answer to [`Action::AcceptOffer`] number `offer_id`.
    pub fn local_answer(&mut self, _now: Instant, sdp: String, offer_id: u32) {
        let answer =
            lk::SessionDescription { r#type: "answer".into(), sdp, id: offer_id, mid_to_track_id: BTreeMap::new() };
        self.last_answer = Some(answer.clone());
        self.request(Request::Answer(answer));
        if self.answering == Some(offer_id) {
            self.answering = None;
            self.next_offer();
        }
    }

    /// Announces a track; it is offered once the server has given it a sid, and again after every reconnect.
    ///
    /// # Errors
    /// `REFUSED` when publishing is not allowed or the session is over, `INVALID_PARAMETER` for a used or empty `cid`.
    pub fn publish(&mut self, now: Instant, track: LocalTrack) -> Result<()> {
        if self.phase.is_left() {
            return Err(Error::new(Code::REFUSED, "not in a room"));
        }
        if self.sid.is_empty() || self.privileges.can_publish {
            self.publish_track(now, track)
        } else {
            Err(Error::new(Code::REFUSED, "publishing is not allowed for this role"))
        }
    }

    /// Subscribes to a track or ends the subscription.
    pub fn subscribe(&mut self, _now: Instant, sid: &str, on: bool) {
        let Some(track) = self.roster.set_subscribed(sid, on) else { return };
        self.request(Request::Subscription(lk::UpdateSubscription {
            track_sids: vec![sid.to_owned()],
            subscribe: on,
            participant_tracks: Vec::new(),
        }));
        self.tell(Event::TrackUpdated(track));
    }

    /// Tells how a subscribed track is shown.
    pub fn track_settings(&mut self, _now: Instant, sid: &str, wanted: TrackSettings) {
        let quality = match wanted.quality {
            VideoQuality::Low => lk::VideoQuality::Low,
            VideoQuality::Medium => lk::VideoQuality::Medium,
            VideoQuality::High => lk::VideoQuality::High,
        };
        let settings = lk::UpdateTrackSettings {
            track_sids: vec![sid.to_owned()],
            disabled: wanted.disabled,
            quality: quality as i32,
            width: wanted.width,
            height: wanted.height,
            ..Default::default()
        };
        if self.roster.set_settings(sid, settings.clone()) {
            self.request(Request::TrackSetting(settings));
        }
    }

    /// Sets attributes of the own participant; an empty value deletes. The server refuses without the right to do so. They are set
    /// again after every reconnect, since a new membership starts with those of the token.
    pub fn set_attributes(&mut self, _now: Instant, attributes: BTreeMap<String, String>) {
        self.attributes.extend(attributes.clone());
        self.request(Request::UpdateMetadata(lk::UpdateParticipantMetadata { attributes, ..Default::default() }));
    }

    pub(crate) fn resend_attributes(&mut self) {
        if !self.attributes.is_empty() {
            let attributes = self.attributes.clone();
            self.request(Request::UpdateMetadata(lk::UpdateParticipantMetadata { attributes, ..Default::default() }));
        }
    }

    /// Leaves. `Event::Left` with reason 0 follows, and nothing after it. While the connection is being restored the server is still
    /// tried to be told, for two seconds at most: [`Self::is_over`] says when.
    pub fn leave(&mut self, now: Instant) {
        if self.phase.is_left() {
            return;
        }
        if self.joined && !self.phase.is_signalling() {
            return self.part(now);
        }
        if self.phase.is_signalling() {
            self.request(leave());
        }
        self.end(Event::Left { reason: 0 });
    }

    /// Nothing more is to be done.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// When [`Session::tick`] is due.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        if self.phase.is_left() {
            return self.phase.deadline();
        }
        let ping = self.phase.is_signalling().then(|| self.ping_due()).flatten();
        let closed = self.closed.map(|(at, _)| at);
        [self.phase.deadline(), ping, self.publications.deadline(), closed].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant) {
        if !self.phase.is_left() {
            self.tick_publications(now);
            self.tick_ping(now);
            self.tick_closed(now);
        }
        if self.phase.deadline().is_some_and(|at| at <= now) {
            self.deadline_passed(now);
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The newest token the server gave us, or the first one.
    #[must_use]
    pub fn refreshed_token(&self) -> &str {
        &self.token
    }

    /// Round trip of the signalling connection, once measured.
    #[must_use]
    pub fn signal_rtt(&self) -> Option<Duration> {
        self.ping.rtt
    }

    /// What was dropped so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(crate) fn tell(&mut self, event: Event) {
        if !self.phase.is_left() {
            self.act(Action::Event(event));
        }
    }

    /// Tells it unless the host does not know yet that it is in the room; then the roster is told with `Joined`.
    pub(crate) fn tell_all(&mut self, events: Vec<Event>) {
        if self.joined {
            events.into_iter().for_each(|event| self.tell(event));
        }
    }

    /// Sends a request now, or keeps it while the connection is being resumed.
    pub(crate) fn request(&mut self, message: Request) {
        if self.phase.is_signalling() {
            self.act(Action::SendSignal(SignalRequest::frame(message)));
        } else if self.attempt.resumes() && self.held.len() < HELD_SIGNALS_MAX {
            // Descriptions and candidates of a broken connection are stale by then; the others are told anew from what is known.
            let kept = !matches!(
                message,
                Request::Offer(_)
                    | Request::Answer(_)
                    | Request::Trickle(_)
                    | Request::Mute(_)
                    | Request::TrackSetting(_)
                    | Request::UpdateMetadata(_)
            );
            if kept {
                self.held.push_back(message);
            }
        } else {
            self.counters.signals_dropped += 1;
        }
    }

    pub(crate) fn send_held(&mut self) {
        for message in std::mem::take(&mut self.held) {
            self.request(message);
        }
    }

    pub(crate) fn offered(&mut self, offer: lk::SessionDescription) {
        if self.offers.len() >= OFFERS_MAX {
            self.counters.offers_dropped += 1;
            return;
        }
        self.offers.push_back((offer.sdp, offer.id, offer.mid_to_track_id));
        self.next_offer();
    }

    /// Forgets unanswered offers of the server and what was kept for it.
    pub(crate) fn forget_offers(&mut self) {
        self.offers.clear();
        self.answering = None;
    }

    pub(crate) fn forget_held(&mut self) {
        self.counters.signals_dropped += self.held.len() as u64;
        self.held.clear();
    }

    fn next_offer(&mut self) {
        if self.answering.is_some() {
            return;
        }
        if let Some((sdp, id, mid_to_track)) = self.offers.pop_front() {
            self.answering = Some(id);
            self.act(Action::AcceptOffer { sdp, id, mid_to_track });
        }
    }
}
