//! The state of a cloud under its one lock, and what the member tells it.
use crate::events::Event;
use crate::local::Local;
use crate::remote::Remote;
use crate::shared::Shared;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Instant;
use trtc_member::Event as RoomEvent;
use trtc_member::{Member, MemberSink, Privileges, ReceivedAudio, ReceivedVideo};
use trtc_types::{Code, Error, UserId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Idle,
    Entering,
    In,
    Exiting,
}

/// Where the server takes tickets.
pub(crate) struct Door {
    pub(crate) door: trtc_member::Door,
    /// A `switch_role` is under way.
    pub(crate) switching: bool,
}

pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) member: Option<Member>,
    /// Counts memberships; a late word from an earlier one is ignored.
    pub(crate) generation: u64,
    /// When the host asked to enter.
    pub(crate) entered_at: Instant,
    /// A scene with roles.
    pub(crate) live: bool,
    pub(crate) privileges: Option<Privileges>,
    pub(crate) door: Option<Door>,
    /// Requests that are under way end early when it becomes true.
    pub(crate) unwanted: Arc<AtomicBool>,
    pub(crate) user: Option<UserId>,
    /// The connection to the server is broken, for now.
    pub(crate) lost: bool,
    pub(crate) auto_audio: bool,
    pub(crate) auto_video: bool,
    pub(crate) local: Local,
    pub(crate) remote: Remote,
}

impl State {
    pub(crate) fn new(weak: Weak<Shared>) -> Self {
        Self {
            phase: Phase::Idle,
            member: None,
            generation: 0,
            entered_at: Instant::now(),
            live: false,
            privileges: None,
            door: None,
            unwanted: Arc::default(),
            user: None,
            lost: false,
            auto_audio: true,
            auto_video: true,
            local: Local::new(weak.clone()),
            remote: Remote::new(weak),
        }
    }

    /// Stops all threads of the state; the caller waits for them.
    pub(crate) fn stop_all(&mut self) -> Vec<JoinHandle<()>> {
        self.unwanted.store(true, Ordering::Release);
        let mut threads = self.local.stop_all();
        threads.extend(self.remote.stop_all());
        threads
    }

    fn entered(&mut self) {
        let Some(member) = self.member.clone() else { return };
        self.phase = Phase::In;
        self.local.publish_all(&member);
    }

    /// Back to the state before entering; local sources go on running.
    fn idle(&mut self) {
        self.phase = Phase::Idle;
        self.user = None;
        self.lost = false;
        self.member = None;
        self.door = None;
        self.local.left_room();
    }
}

/// Listens to one membership.
pub(crate) struct RoomSink {
    shared: Weak<Shared>,
    generation: u64,
    /// Events that came before `enter_room` had stored the member.
    early: Mutex<Option<Vec<RoomEvent>>>,
}

impl RoomSink {
    pub(crate) fn new(shared: Weak<Shared>, generation: u64) -> Self {
        Self { shared, generation, early: Mutex::new(Some(Vec::new())) }
    }

    /// The member is stored: what came early is handled now, later events at once.
    pub(crate) fn activate(&self) {
        loop {
            let waiting = {
                let mut early = self.early.lock();
                match early.as_mut() {
                    Some(events) if !events.is_empty() => std::mem::take(events),
                    _ => {
                        *early = None;
                        return;
                    }
                }
            };
            for event in waiting {
                self.handle(event);
            }
        }
    }

    fn handle(&self, event: RoomEvent) {
        let Some(shared) = self.shared.upgrade() else { return };
        let mut state = shared.state.lock();
        if state.generation != self.generation || shared.is_closed() {
            return;
        }
        let threads = shared.room_event(&mut state, event);
        drop(state);
        for thread in threads {
            crate::threads::finish(thread, true);
        }
    }

    fn with_remote<R>(&self, act: impl FnOnce(&Shared, &mut State) -> R) -> Option<R> {
        let shared = self.shared.upgrade()?;
        let mut state = shared.state.lock();
        (state.generation == self.generation && !shared.is_closed()).then(|| act(&shared, &mut state))
    }
}

impl MemberSink for RoomSink {
    fn event(&self, event: RoomEvent) {
        {
            let mut early = self.early.lock();
            if let Some(events) = early.as_mut() {
                events.push(event);
                return;
            }
        }
        self.handle(event);
    }

    fn video(&self, frame: ReceivedVideo) {
        let input = self.with_remote(|_, state| state.remote.video_input(&frame.sid)).flatten();
        if let Some(input) = input {
            input.push(frame);
        }
    }

    fn audio(&self, packet: ReceivedAudio) {
        if let Some(shared) = self.shared.upgrade() {
            shared.playout.push(packet);
        }
    }

    fn key_frame_wanted(&self, cid: &str, layer: usize) {
        self.with_remote(|_, state| state.local.want_key(cid, layer));
    }

    fn bitrate_estimate(&self, bps: u32) {
        self.with_remote(|_, state| state.local.set_estimate(bps));
    }
}

impl Shared {
    /// Changes the state and queues the host's events; returns threads that ended.
    pub(crate) fn room_event(&self, state: &mut State, event: RoomEvent) -> Vec<JoinHandle<()>> {
        let mut threads = Vec::new();
        match event {
            RoomEvent::Joined { user, privileges, .. } => {
                state.user = Some(user);
                state.privileges = Some(privileges);
                state.local.set_privilege(privileges.can_publish);
                // 0 is never produced.
                self.emit(Event::EnterRoom((state.entered_at.elapsed().as_millis() as i32).max(1)));
                state.entered();
                self.start_speaker();
            }
            // The host does not wait for it any more.
            RoomEvent::JoinFailed(_) if state.phase == Phase::Exiting => threads = self.left(state, 0),
            RoomEvent::JoinFailed(error) => self.enter_failed(state, &error),
            RoomEvent::Left { reason } => threads = self.left(state, reason),
            RoomEvent::UserEntered { user } => {
                state.remote.user_entered(&user);
                self.emit(Event::RemoteUserEnterRoom(user));
            }
            RoomEvent::UserLeft { user, reason } => {
                threads = state.remote.user_left(self, &user);
                self.emit(Event::RemoteUserLeaveRoom(user, reason));
            }
            RoomEvent::TrackAvailable(track) | RoomEvent::TrackUpdated(track) => {
                let member = state.member.clone();
                state.remote.track(self, member.as_ref(), track);
            }
            RoomEvent::TrackUnavailable { user, sid, .. } => threads = state.remote.track_gone(self, &user, &sid),
            RoomEvent::LocalTrackPublished { cid, .. } => {
                if let Some(member) = state.member.clone() {
                    state.local.published(&self.capture, &member, &cid);
                }
            }
            RoomEvent::LocalTrackFailed { cid, error } => {
                state.local.publish_failed(&self.capture, &cid);
                self.emit(Event::Error { code: error.code, message: error.message });
            }
            RoomEvent::LocalTrackMuted { cid, muted } => {
                let member = state.member.clone();
                let what = state.local.muted_by_server(&self.capture, member.as_ref(), &cid, muted);
                if let (Some(what), true) = (what, muted) {
                    self.emit(Event::Error { code: Code::REFUSED, message: format!("the server has muted {what}") });
                }
            }
            RoomEvent::LocalLayersWanted { cid, wanted } => state.local.layers_wanted(&cid, &wanted),
            RoomEvent::ConnectionQuality { user, quality } => state.remote.rated(&user, quality),
            RoomEvent::PrivilegesChanged(privileges) => {
                state.privileges = Some(privileges);
                state.local.set_privilege(privileges.can_publish);
                if let (Some(member), true) = (state.member.clone(), state.phase == Phase::In) {
                    state.local.publish_all(&member);
                }
            }
            RoomEvent::Data { from, topic, payload, reliable } => {
                self.emit(Event::UserData { from, topic, data: payload, reliable });
            }
            RoomEvent::Command { from, cmd_id, seq, data } => {
                self.emit(Event::RecvCustomCmdMsg { user: from, cmd_id, seq, data });
            }
            RoomEvent::CommandsMissed { from, cmd_id, missed } => {
                let missed = i32::try_from(missed).unwrap_or(i32::MAX);
                self.emit(Event::MissCustomCmdMsg { user: from, cmd_id, error: -1, missed });
            }
            RoomEvent::ConnectionLost => {
                state.lost = true;
                self.emit(Event::ConnectionLost);
            }
            RoomEvent::TryToReconnect => self.emit(Event::TryToReconnect),
            RoomEvent::ConnectionRecovered => {
                state.lost = false;
                self.emit(Event::ConnectionRecovery);
            }
        }
        threads
    }

    /// Out of the room: what the host wished about remote users is forgotten, local sources go on. Returns threads that ended.
    pub(crate) fn left(&self, state: &mut State, reason: i32) -> Vec<JoinHandle<()>> {
        let was = state.phase;
        state.idle();
        let threads = state.remote.left_room();
        self.capture.set_sending(None);
        self.playout.clear();
        self.stop_speaker();
        if was != Phase::Idle {
            self.emit(Event::ExitRoom(reason));
        }
        threads
    }

    /// What the host wished about remote users stays for the next attempt.
    pub(crate) fn enter_failed(&self, state: &mut State, error: &Error) {
        state.idle();
        self.emit(Event::Error { code: error.code, message: error.message.clone() });
        self.emit(Event::EnterRoom(if error.code.0 < 0 { error.code.0 } else { Code::ENTER_ROOM_FAILED.0 }));
    }
}
