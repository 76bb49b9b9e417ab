//! Members without a WebSocket for a while, and how they come back.
use super::line::Missed;
use super::member::Member;
use super::state::Room;
use super::{Comeback, Wire, messages};
use crate::media::{MediaCommand, MemberKey};
use crate::metrics::Metrics;
use std::time::{Duration, Instant};
use trtc_proto::livekit::leave_request::Action;
use trtc_proto::livekit::participant_info::State;
use trtc_proto::livekit::signal_response::Message;
use trtc_proto::livekit::{DisconnectReason, ParticipantInfo, ReconnectResponse, RoomUpdate, SyncState};

/// How long a failed connection is left to a client that is leaving: it closes its connections first, its leave is on the way.
const FAILURE_GRACE: Duration = Duration::from_secs(1);
/// How long a resumed member may take to bring its connection up again. Clients give up after 15 s themselves.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(20);
/// Resumes of one member: at once, then a second. Clients wait longer from attempt to attempt.
pub(super) const RESUMES: (u32, u32) = (10, 1);

/// What a member's connections are like.
#[derive(Default)]
pub struct Health {
    /// When each one failed: publisher, subscriber.
    failed: [Option<Instant>; 2],
    /// The client said good-bye on the connection that carries its membership.
    closed: bool,
    /// A resumed member without a connection: until when it may try.
    recovering: Option<Instant>,
}

impl Health {
    pub fn connected(&mut self, publisher: bool) {
        self.failed[usize::from(!publisher)] = None;
        self.recovering = None;
    }

    pub fn failed(&mut self, now: Instant, publisher: bool) {
        self.failed[usize::from(!publisher)].get_or_insert(now);
    }

    /// No connection has failed.
    pub fn is_good(&self) -> bool {
        self.failed_at().is_none() && !self.closed
    }

    fn failed_at(&self) -> Option<Instant> {
        self.failed.iter().flatten().min().copied()
    }
}

impl Member {
    /// Whether a resume could bring everything back; one that never was connected has nothing to keep.
    fn may_resume(&self) -> bool {
        self.state == State::Active && !self.served && !self.line.has_overflowed() && !self.health.closed
    }
}

impl Room {
    /// A member's WebSocket is gone. What has come up is kept for the client to come back to.
    pub(super) fn socket_closed(&mut self, wire: Wire, may_resume: bool) {
        let Some(member) = self.members.get_mut(&wire.member).filter(|m| m.line.is(wire.socket)) else { return };
        if !may_resume || member.state == State::Joined || member.health.closed {
            return self.remove(wire.member, DisconnectReason::SignalClose, None);
        }
        log::info!("room {:?} {:?}: has lost its signalling", self.name, member.identity());
        Metrics::add(&self.shared.metrics.signals_lost);
        member.line.lose(self.now);
    }

    /// The client closed the connection that carries its membership.
    pub(super) fn transport_closed(&mut self, key: MemberKey, publisher: bool) {
        let Some(member) = self.members.get_mut(&key) else { return };
        if publisher != member.pass.grant.subscribes() {
            member.health.closed = true;
            if member.line.lost_since().is_some() {
                self.remove(key, DisconnectReason::SignalClose, None);
            }
        }
    }

    /// A client wants its member back on a new WebSocket.
    pub(super) fn resume(&mut self, now: Instant, comeback: Comeback) {
        let Comeback { socket, identity, sid, outbox, reply } = comeback;
        let mut found = self.members.iter_mut().find(|(_, m)| m.identity() == identity && m.sid == sid);
        let granted = found.as_mut().is_some_and(|(_, m)| m.may_resume() && m.resumes.take(now, 1));
        let Some((&key, member)) = found.filter(|_| granted && !reply.is_closed()) else {
            Metrics::add(&self.shared.metrics.resumes_declined);
            let _ = reply.send(None);
            return;
        };
        log::info!("room {:?} {:?}: resumes", self.name, member.identity());
        member.line.take_over(socket, outbox);
        if member.health.failed_at().is_some() {
            member.health = Health { recovering: Some(now + RECOVERY_TIMEOUT), ..Health::default() };
        }
        let _ = reply.send(Some(key));
        self.media(key, MediaCommand::Resume { member: key });
    }

    /// The media thread restarts the member's connection: the client is told what it missed. The offer follows.
    pub(super) fn resumed(&mut self, key: MemberKey, last_message_seq: u32) {
        let reconnect = messages::encode(Message::Reconnect(ReconnectResponse {
            ice_servers: self.ice_servers(key),
            server_info: Some(super::state::server_info()),
            last_message_seq,
            ..ReconnectResponse::default()
        }));
        let visible = |(other, member): &(&MemberKey, &Member)| **other == key || !member.pass.grant.hidden;
        let everybody: Vec<ParticipantInfo> = self.members.iter().filter(visible).map(|(_, m)| m.info()).collect();
        let room = self.info();
        let Some(member) = self.members.get_mut(&key) else { return };
        match member.line.greet(reconnect) {
            Ok(true) => {}
            // Another resume came in between, and was told everything.
            Ok(false) => return,
            Err(_) => return self.too_slow(key),
        }
        Metrics::add(&self.shared.metrics.resumes);
        self.send(key, messages::update(everybody), Missed::Drop);
        self.send(key, messages::encode(Message::RoomUpdate(RoomUpdate { room: Some(room) })), Missed::Drop);
        self.send_token(key);
        self.tell_who_speaks(key);
    }

    /// What the client believes after a resume. Its transports and their messages have survived here, so only wishes count
    /// that it may have uttered to a dead WebSocket; SCTP brings what its channels missed.
    pub(super) fn sync_state(&mut self, key: MemberKey, state: &SyncState) {
        if let Some(subscription) = &state.subscription {
            self.subscription(key, subscription);
        }
        let disabled = trtc_proto::livekit::UpdateTrackSettings {
            track_sids: state.track_sids_disabled.clone(),
            disabled: true,
            ..Default::default()
        };
        self.track_setting(key, &disabled);
    }

    /// What time does to a member whose connection or WebSocket is gone.
    pub(super) fn tick_health(&mut self, now: Instant, key: MemberKey) {
        let Some(member) = self.members.get_mut(&key) else { return };
        let over = |since: Option<Instant>, limit| since.is_some_and(|at| now.saturating_duration_since(at) >= limit);
        let config = &self.shared.config;
        let failed = member.health.failed_at();
        let lost = member.line.lost_since();
        if member.health.recovering.is_some_and(|until| until <= now) {
            Metrics::add(&self.shared.metrics.transport_failures);
            let last = Some((Action::Reconnect, "the connection did not come back"));
            return self.remove(key, DisconnectReason::ConnectionTimeout, last);
        }
        if lost.is_some() {
            let both = failed.is_some() && over(failed.max(lost), config.resume_grace);
            if both || over(lost, config.signal_timeout) {
                Metrics::add(&self.shared.metrics.resumes_expired);
                self.remove(key, DisconnectReason::ConnectionTimeout, None);
            }
        } else if over(failed, FAILURE_GRACE) {
            Metrics::add(&self.shared.metrics.transport_failures);
            let leave = messages::leave(DisconnectReason::ConnectionTimeout, Action::Resume);
            member.line.close(leave, "the connection failed");
            member.line.lose(now);
        }
    }
}
