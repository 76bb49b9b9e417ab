//! The life of the connection: attempts, deadlines, resume and full reconnect.
use crate::session::{Pinger, Session};
use crate::types::{Action, Event, IceServer, Target};
use std::time::{Duration, Instant};
use trtc_proto::livekit::{
    self as lk, SignalRequest, signal_request::Message as Request, signal_response::Message as Response,
};
use trtc_types::{Code, Error};

/// How long a socket may take to open, handshakes included.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the server may take to say `join` or `reconnect`.
const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a transport may take.
const TRANSPORT_TIMEOUT: Duration = Duration::from_secs(15);
/// Delays before reconnect attempts (the ones of LiveKit's JavaScript client); jitter of at most a second is added.
const RETRY_DELAYS_MS: [u64; 10] = [0, 300, 1200, 2700, 4800, 7000, 7000, 7000, 7000, 7000];
/// A connection that breaks sooner after it came up is counted as flapping: the next attempt waits as if it were a further one.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// Delays before further attempts to join for the first time.
const JOIN_DELAYS_MS: [u64; 2] = [300, 600];

/// Time for the word that goes with the end of a transport: the two come on different paths.
const CLOSED_GRACE: Duration = Duration::from_secs(1);

/// How long a server that is out of reach is tried to be told that we leave, and how often: until its own patience with us ends the others
/// see us. LiveKit's clients tell it only while they are connected.
const PARTING_TIMEOUT: Duration = Duration::from_secs(2);
const PARTING_RETRY: Duration = Duration::from_millis(300);

/// `reconnect_reason` values of LiveKit.
const SIGNAL_DISCONNECTED: u8 = 1;
const PUBLISHER_FAILED: u8 = 2;
const SUBSCRIBER_FAILED: u8 = 3;

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Idle,
    /// Until then, nothing; then a new attempt.
    Waiting(Instant),
    /// The socket is being opened.
    Opening(Instant),
    /// The socket is open, `join` or `reconnect` has not come.
    Greeting(Instant),
    /// In the room, the transports are not up (again).
    Connecting(Instant),
    Connected,
    /// For the host it is over. Until then the server may be told; at `again` the socket is opened once more.
    Parting {
        until: Instant,
        again: Option<Instant>,
    },
    Ended,
}

impl Phase {
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Self::Waiting(at) | Self::Opening(at) | Self::Greeting(at) | Self::Connecting(at) => Some(at),
            Self::Parting { until, again } => Some(again.unwrap_or(until).min(until)),
            Self::Idle | Self::Connected | Self::Ended => None,
        }
    }

    /// The host heard its last event.
    pub fn is_left(self) -> bool {
        matches!(self, Self::Parting { .. } | Self::Ended)
    }

    /// The server takes requests.
    pub fn is_signalling(self) -> bool {
        matches!(self, Self::Connecting(_) | Self::Connected)
    }
}

/// What is being attempted, and how often already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    number: usize,
    resume: bool,
    reason: u8,
}

impl Attempt {
    pub fn first() -> Self {
        Self { number: 0, resume: false, reason: 0 }
    }

    pub fn resumes(self) -> bool {
        self.resume
    }
}

impl Session {
    /// The WebSocket is open.
    pub fn socket_opened(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Opening(_)) {
            self.phase = Phase::Greeting(now + FIRST_MESSAGE_TIMEOUT);
        }
    }

    /// The WebSocket could not be opened. `http_status` and `body` are the server's answer, if there was one.
    pub fn socket_failed(&mut self, now: Instant, http_status: Option<u16>, body: &str) {
        if let Phase::Parting { until, .. } = self.phase {
            // The server knows nothing of us.
            let over = http_status.is_some_and(|status| (400..500).contains(&status));
            return if over { self.over() } else { self.part_again(now, until) };
        }
        if !matches!(self.phase, Phase::Opening(_) | Phase::Greeting(_)) {
            return;
        }
        let said: String = body.chars().filter(|c| !c.is_control()).take(200).collect();
        match http_status {
            // The server will not change its mind about this token and room.
            Some(status @ 400..=499) => {
                let code = match status {
                    401 | 403 => Code::USER_SIG_CHECK_FAILED,
                    _ => Code::ENTER_ROOM_FAILED,
                };
                if self.attempt.resume {
                    self.retry_in_full(now);
                } else {
                    self.give_up(Error::new(code, format!("the server answered HTTP {status}: {said}")));
                }
            }
            Some(status) => {
                let text = format!("the server answered HTTP {status}: {said}");
                self.attempt_failed(now, Error::new(Code::SERVER_PROCESS_FAILED, text));
            }
            None => {
                let text = format!("no connection to the server: {said}");
                self.attempt_failed(now, Error::new(Code::CONNECT_SERVER_TIMEOUT, text));
            }
        }
    }

    /// The WebSocket is closed, by whomever.
    pub fn socket_closed(&mut self, now: Instant) {
        match self.phase {
            Phase::Opening(_) | Phase::Greeting(_) => {
                let error = Error::new(Code::CONNECT_SERVER_TIMEOUT, "the server closed the connection");
                self.attempt_failed(now, error);
            }
            Phase::Connecting(_) | Phase::Connected => self.signal_lost(now),
            Phase::Parting { until, .. } => self.part_again(now, until),
            Phase::Idle | Phase::Waiting(_) | Phase::Ended => {}
        }
    }

    /// ICE and DTLS of a transport are up.
    pub fn transport_connected(&mut self, now: Instant, target: Target) {
        self.connected.insert(target, true);
        if self.phase.is_signalling() && self.transports_are_up() {
            self.came_up(now);
        }
    }

    /// Our network address is another one: the old path is gone, even if nothing has failed yet, and so is an attempt from there.
    pub fn network_changed(&mut self, now: Instant) {
        match self.phase {
            Phase::Connected => self.signal_lost(now),
            Phase::Waiting(_) => self.open_socket(now),
            Phase::Opening(_) | Phase::Greeting(_) | Phase::Connecting(_) => {
                self.act(Action::CloseSocket);
                self.open_socket(now);
            }
            Phase::Idle | Phase::Parting { .. } | Phase::Ended => {}
        }
    }

    /// The server closed a transport. Why comes by the WebSocket, as a leave or as its end; if neither comes soon, we join anew:
    /// what is closed cannot be resumed.
    pub fn transport_closed(&mut self, now: Instant, target: Target) {
        self.closed.get_or_insert((now + CLOSED_GRACE, target));
    }

    pub(crate) fn tick_closed(&mut self, now: Instant) {
        match self.closed.take_if(|(at, _)| *at <= now) {
            Some(_) if self.phase == Phase::Connected => self.retry_in_full(now),
            Some((_, target)) => self.transport_failed(now, target),
            None => {}
        }
    }

    /// A transport failed for good.
    pub fn transport_failed(&mut self, now: Instant, target: Target) {
        let was_up = self.connected.insert(target, false) == Some(true);
        let reason = if target == Target::Publisher { PUBLISHER_FAILED } else { SUBSCRIBER_FAILED };
        match self.phase {
            Phase::Connected => self.lose(now, Attempt { number: 0, resume: true, reason }),
            // Failing while it comes up, or during a resume, needs new transports.
            Phase::Connecting(_) if was_up || target == self.primary() || self.lost => {
                let error = Error::new(Code::CONNECT_SERVER_TIMEOUT, "the media connection failed");
                self.transports_hopeless(now, error);
            }
            _ => {}
        }
    }

    pub(crate) fn open_socket(&mut self, now: Instant) {
        self.phase = Phase::Opening(now + OPEN_TIMEOUT);
        self.ask_for_socket();
    }

    fn ask_for_socket(&mut self) {
        log::debug!("attempt {} to {}", self.attempt.number, if self.attempt.resume { "resume" } else { "join" });
        let action = Action::OpenSocket { path_and_query: self.path_and_query(), token: self.token.clone() };
        self.act(action);
    }

    /// `join` came: transports and room are new.
    pub(crate) fn joined_room(&mut self, now: Instant, ice_servers: Vec<IceServer>) {
        self.phase = Phase::Connecting(now + TRANSPORT_TIMEOUT);
        self.attempt.resume = false;
        self.connected.clear();
        self.closed = None;
        self.forget_offers();
        self.forget_held();
        self.last_answer = None;
        self.last_offer = None;
        self.data.transports_renewed();
        self.publisher_renewed();
        self.act(Action::OpenTransports { ice_servers });
    }

    /// `reconnect` came: the server kept us; it restarts ICE of the subscriber, we of the publisher. A server that names no ICE servers
    /// leaves us those that we have.
    pub(crate) fn resumed(&mut self, now: Instant, last_message_seq: u32, ice_servers: Vec<IceServer>) {
        self.phase = Phase::Connecting(now + TRANSPORT_TIMEOUT);
        if !ice_servers.is_empty() {
            self.act(Action::RenewIceServers { ice_servers });
        }
        self.forget_offers();
        // Both restart ICE, and are up when that is verified.
        self.connected.values_mut().for_each(|up| *up = false);
        let state = self.sync_state();
        self.request(Request::SyncState(state));
        self.renegotiate_after_resume(now);
        self.resend_tracks(now, false);
        self.send_held();
        // What the server was told last may have gone into a connection that was dead already.
        self.resend_mutes(now);
        self.resend_settings();
        self.resend_attributes();
        self.replay_data_after(last_message_seq);
        if self.transports_are_up() {
            self.came_up(now);
        }
    }

    /// What a `leave` of the server asks for.
    pub(crate) fn told_to_leave(&mut self, now: Instant, leave: &lk::LeaveRequest) {
        use lk::leave_request::Action as Wanted;
        match leave.action() {
            Wanted::Resume if self.phase.is_signalling() => self.signal_lost(now),
            Wanted::Resume | Wanted::Reconnect => self.retry_in_full(now),
            Wanted::Disconnect if leave.can_reconnect => self.retry_in_full(now),
            Wanted::Disconnect => {
                let reason = leave.reason();
                if self.joined {
                    self.end(Event::Left { reason: left_reason(reason) });
                } else {
                    let text = format!("the server refused the join: {reason:?}");
                    self.end(Event::JoinFailed(Error::new(Code::ENTER_ROOM_FAILED, text)));
                }
            }
        }
    }

    pub(crate) fn deadline_passed(&mut self, now: Instant) {
        let late = |what: &str| Error::new(Code::CONNECT_SERVER_TIMEOUT, format!("{what} timed out"));
        match self.phase {
            Phase::Waiting(_) => self.open_socket(now),
            Phase::Opening(_) => self.attempt_failed(now, late("opening the connection")),
            Phase::Greeting(_) => self.attempt_failed(now, late("the server's greeting")),
            Phase::Connecting(_) => self.transports_hopeless(now, late("the media connection")),
            Phase::Parting { until, .. } if until <= now => self.over(),
            Phase::Parting { until, .. } => {
                self.phase = Phase::Parting { until, again: None };
                self.ask_for_socket();
            }
            Phase::Idle | Phase::Connected | Phase::Ended => {}
        }
    }

    pub(crate) fn start_pings(&mut self, now: Instant, interval_s: i32, timeout_s: i32) {
        let seconds = |value: i32, default: u64| {
            Duration::from_secs(u64::try_from(value).ok().filter(|s| (1..=3600).contains(s)).unwrap_or(default))
        };
        self.ping = Pinger {
            interval: seconds(interval_s, 5),
            timeout: seconds(timeout_s, 15),
            rtt: self.ping.rtt,
            ..Pinger::default()
        };
        self.restart_pings(now);
    }

    pub(crate) fn restart_pings(&mut self, now: Instant) {
        self.ping.next = Some(now + self.ping.interval);
        self.ping.last_heard = Some(now);
    }

    pub(crate) fn ping_due(&self) -> Option<Instant> {
        let silent = self.ping.last_heard.map(|at| at + self.ping.timeout);
        [self.ping.next, silent].into_iter().flatten().min()
    }

    pub(crate) fn tick_ping(&mut self, now: Instant) {
        if !self.phase.is_signalling() {
            return;
        }
        if self.ping.last_heard.is_some_and(|at| now >= at + self.ping.timeout) {
            return self.signal_lost(now);
        }
        if self.ping.next.is_some_and(|at| at <= now) {
            self.ping.next = Some(now + self.ping.interval);
            let rtt = self.ping.rtt.map_or(0, |d| d.as_millis() as i64);
            self.request(Request::PingReq(lk::Ping { timestamp: self.millis(now), rtt }));
        }
    }

    pub(crate) fn millis(&self, now: Instant) -> i64 {
        // From 1, so that a peer that takes zero for "absent" is no trap.
        self.epoch.map_or(1, |epoch| 1 + now.saturating_duration_since(epoch).as_millis() as i64)
    }

    /// Publisher answer overdue, or the signalling connection is gone: the transports may still be fine.
    pub(crate) fn signal_lost(&mut self, now: Instant) {
        if self.joined && self.phase == Phase::Connected {
            self.lose(now, Attempt { number: 0, resume: true, reason: SIGNAL_DISCONNECTED });
        } else {
            let error = Error::new(Code::CONNECT_SERVER_TIMEOUT, "the connection broke");
            self.attempt_failed(now, error);
        }
    }

    /// Over: nothing follows `event`.
    pub(crate) fn end(&mut self, event: Event) {
        self.over();
        self.act(Action::Event(event));
    }

    fn over(&mut self) {
        self.phase = Phase::Ended;
        self.act(Action::CloseSocket);
    }

    /// The host leaves while the connection is being restored. A server that kept us takes the leave of who resumes.
    pub(crate) fn part(&mut self, now: Instant) {
        let resuming = self.attempt.resume && matches!(self.phase, Phase::Opening(_) | Phase::Greeting(_));
        self.act(Action::Event(Event::Left { reason: 0 }));
        self.phase = Phase::Parting { until: now + PARTING_TIMEOUT, again: None };
        if !resuming {
            self.attempt = Attempt { number: 0, resume: true, reason: SIGNAL_DISCONNECTED };
            self.ask_for_socket();
        }
    }

    fn part_again(&mut self, now: Instant, until: Instant) {
        self.phase = Phase::Parting { until, again: Some(now + PARTING_RETRY) };
    }

    /// The server's first word while we part: it has us, or it does not.
    pub(crate) fn parting_message(&mut self, message: Response) {
        match message {
            Response::Reconnect(_) => {
                self.act(Action::SendSignal(SignalRequest::frame(leave())));
                self.over();
            }
            Response::Leave(_) => self.over(),
            _ => {}
        }
    }

    fn lose(&mut self, now: Instant, attempt: Attempt) {
        self.act(Action::CloseSocket);
        self.lost = true;
        self.tell(Event::ConnectionLost);
        self.tell(Event::TryToReconnect);
        let stable = self.up_since.is_none_or(|at| now.saturating_duration_since(at) >= STABLE_AFTER);
        self.flaps = if stable { 0 } else { (self.flaps + 1).min(RETRY_DELAYS_MS.len() / 2) };
        self.counters.flaps += u64::from(!stable);
        self.attempt = Attempt { number: self.flaps, ..attempt };
        self.wait_for_attempt(now);
    }

    /// Resuming makes no sense (any more): join again with everything new.
    fn retry_in_full(&mut self, now: Instant) {
        if self.phase == Phase::Connected {
            return self.lose(now, Attempt { number: 0, resume: false, reason: 0 });
        }
        let was_resume = self.attempt.resume;
        self.attempt.resume = false;
        if was_resume {
            self.act(Action::CloseSocket);
            self.attempt.number = 0;
            self.wait_for_attempt(now);
        } else {
            self.attempt_failed(now, Error::new(Code::SERVER_PROCESS_FAILED, "the server refused the join"));
        }
    }

    fn transports_hopeless(&mut self, now: Instant, error: Error) {
        let was_resume = self.attempt.resume;
        self.attempt.resume = false;
        if was_resume {
            self.act(Action::CloseSocket);
            self.wait_for_attempt(now);
        } else {
            self.attempt_failed(now, error);
        }
    }

    fn attempt_failed(&mut self, now: Instant, error: Error) {
        self.act(Action::CloseSocket);
        self.attempt.number += 1;
        let attempts = if self.joined { RETRY_DELAYS_MS.len() } else { JOIN_DELAYS_MS.len() + 1 };
        if self.attempt.number >= attempts {
            self.give_up(error);
        } else {
            self.wait_for_attempt(now);
        }
    }

    fn give_up(&mut self, error: Error) {
        log::warn!("giving up: {error}");
        self.end(if self.joined { Event::Left { reason: 3 } } else { Event::JoinFailed(error) });
    }

    fn wait_for_attempt(&mut self, now: Instant) {
        let base = if self.joined {
            RETRY_DELAYS_MS.get(self.attempt.number).copied().unwrap_or(7000)
        } else {
            // The first attempt is not waited for.
            self.attempt.number.checked_sub(1).and_then(|n| JOIN_DELAYS_MS.get(n)).copied().unwrap_or(0)
        };
        let delay = base + self.jitter_ms(base.min(1000));
        if delay == 0 {
            self.open_socket(now);
        } else {
            self.phase = Phase::Waiting(now + Duration::from_millis(delay));
        }
    }

    /// Spreads the clients of a server that went down, without a random source: FNV-1a of sid and attempt.
    fn jitter_ms(&self, most: u64) -> u64 {
        let bytes = self.sid.bytes().chain([self.attempt.number as u8]);
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        if most == 0 { 0 } else { (hash >> 32) % (most + 1) }
    }

    fn came_up(&mut self, now: Instant) {
        let first_up = self.phase != Phase::Connected;
        self.phase = Phase::Connected;
        self.attempt = Attempt::first();
        if first_up && self.joined {
            self.up_since = Some(now);
        }
        if !self.joined {
            self.joined = true;
            if let Some(user) = self.me.clone() {
                let elapsed = self.epoch.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
                let (room, privileges) = (self.room.clone(), self.privileges);
                self.tell(Event::Joined { user, room, elapsed, privileges });
            }
            let everybody = self.roster.everybody();
            self.tell_all(everybody);
        }
        if self.lost {
            self.lost = false;
            self.tell(Event::ConnectionRecovered);
        }
        self.send_waiting_data(now);
    }

    fn primary(&self) -> Target {
        if self.subscriber_primary { Target::Subscriber } else { Target::Publisher }
    }

    /// The primary transport is up, and none that was up is down.
    fn transports_are_up(&self) -> bool {
        self.connected.get(&self.primary()) == Some(&true) && self.connected.values().all(|up| *up)
    }

    fn path_and_query(&self) -> String {
        let auto = self.config.auto_subscribe_audio && self.config.auto_subscribe_video;
        let version: String =
            self.config.sdk_version.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).collect();
        let mut path = format!("/rtc?protocol=15&sdk=trtc&version={version}&auto_subscribe={}", u8::from(auto));
        if self.attempt.resume {
            let sid: String = self.sid.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            path += &format!("&reconnect=1&sid={sid}&reconnect_reason={}", self.attempt.reason);
        }
        path
    }

    fn sync_state(&self) -> lk::SyncState {
        let auto = self.config.auto_subscribe_audio && self.config.auto_subscribe_video;
        lk::SyncState {
            answer: self.last_answer.clone(),
            offer: self.last_offer.clone(),
            subscription: Some(lk::UpdateSubscription {
                track_sids: self.roster.subscribed(!auto),
                subscribe: !auto,
                participant_tracks: Vec::new(),
            }),
            publish_tracks: self.publications.published(),
            data_channels: self.data.channels(),
            track_sids_disabled: self.roster.disabled(),
            datachannel_receive_states: self.data.receive_states(),
        }
    }
}

/// TRTC's `onExitRoom` reason.
fn left_reason(reason: lk::DisconnectReason) -> i32 {
    use lk::DisconnectReason as R;
    match reason {
        R::ClientInitiated => 0,
        R::DuplicateIdentity | R::ParticipantRemoved => 1,
        R::RoomDeleted | R::RoomClosed => 2,
        _ => 3,
    }
}

pub(crate) fn leave() -> Request {
    let reason = lk::DisconnectReason::ClientInitiated as i32;
    Request::Leave(lk::LeaveRequest { reason, ..Default::default() })
}
