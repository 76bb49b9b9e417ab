//! What the server says.
use crate::roster::Change;
use crate::session::Session;
use crate::types::{Action, Event, IceServer, Privileges, Target};
use std::time::{Duration, Instant};
use trtc_proto::livekit::{self as lk, SignalResponse, signal_request, signal_response::Message as Response};
use trtc_proto::{Message as _, jwt};
use trtc_types::{Code, Error, NetworkQuality, UserId};

/// Most ratings of one message that are read.
const RATINGS_MAX: usize = 1_000;
/// Most ICE servers that are passed on.
const ICE_SERVERS_MAX: usize = 32;

impl Session {
    /// A binary frame of the WebSocket. Garbage is counted and otherwise ignored.
    pub fn socket_message(&mut self, now: Instant, frame: &[u8]) {
        use crate::reconnect::Phase;
        let greeting = matches!(self.phase, Phase::Greeting(_));
        let parting = matches!(self.phase, Phase::Parting { .. });
        if !greeting && !parting && !self.phase.is_signalling() {
            return;
        }
        let Ok(SignalResponse { message }) = SignalResponse::decode(frame) else {
            self.counters.malformed += 1;
            return;
        };
        self.ping.last_heard = Some(now);
        match message {
            Some(message) if parting => self.parting_message(message),
            Some(Response::Leave(leave)) => self.told_to_leave(now, &leave),
            Some(Response::Join(join)) if greeting => self.join(now, join),
            Some(Response::Reconnect(message)) if greeting && self.attempt.resumes() => {
                self.restart_pings(now);
                self.resumed(now, message.last_message_seq, ice_servers(message.ice_servers));
            }
            Some(Response::RefreshToken(token)) => self.refresh_token(token),
            // Nothing else can be the first message.
            Some(_) if greeting => self.counters.malformed += 1,
            Some(message) => self.running(now, message),
            None => {}
        }
    }

    fn running(&mut self, now: Instant, message: Response) {
        match message {
            Response::Update(update) => self.update(now, &update.participants),
            Response::Offer(offer) => self.offered(offer),
            Response::Answer(answer) => self.answered(now, answer),
            Response::Trickle(trickle) => self.trickled(&trickle),
            Response::TrackPublished(published) => self.track_published(now, published),
            Response::TrackUnpublished(unpublished) => self.track_unpublished(now, &unpublished.track_sid),
            Response::Mute(mute) => self.muted_by_server(&mute.sid, mute.muted),
            Response::RequestResponse(response) => self.request_answered(now, response),
            Response::SubscribedQualityUpdate(update) => self.qualities_wanted(&update),
            Response::ConnectionQuality(update) => self.connections_rated(&update),
            Response::PongResp(pong) => {
                self.mutes_arrived(pong.last_ping_timestamp);
                let sent = u64::try_from(self.millis(now).saturating_sub(pong.last_ping_timestamp));
                if let Some(ms) = sent.ok().filter(|ms| *ms <= 60_000 && pong.last_ping_timestamp > 0) {
                    self.ping.rtt = Some(Duration::from_millis(ms));
                }
            }
            Response::SubscriptionResponse(response) => {
                log::warn!("cannot subscribe to {}: {:?}", response.track_sid, response.err());
            }
            // Speakers and room data: measured locally, or of no use yet. `join` and `reconnect` only greet.
            _ => {}
        }
    }

    fn join(&mut self, now: Instant, join: lk::JoinResponse) {
        let again = self.joined;
        let Some((me, user)) = join.participant.and_then(|p| UserId::new(&p.identity).ok().map(|user| (p, user)))
        else {
            self.counters.malformed += 1;
            let error = Error::new(Code::SERVER_PROCESS_FAILED, "the server's greeting names no participant");
            let event = if again { Event::Left { reason: 3 } } else { Event::JoinFailed(error) };
            return self.end(event);
        };
        self.room = join.room.map(|room| room.name).unwrap_or_default();
        self.sid.clone_from(&me.sid);
        self.me = Some(user);
        self.subscriber_primary = join.subscriber_primary;
        self.joined_room(now, ice_servers(join.ice_servers));
        self.start_pings(now, join.ping_interval, join.ping_timeout);
        self.take_privileges(self.granted(me.permission.as_ref()));
        let changes = self.roster.replace(&join.other_participants);
        changes.into_iter().for_each(|change| self.roster_changed(change));
        if again {
            self.resubscribe();
        }
        if !self.subscriber_primary {
            // Without a server offer, the connection stands or falls with ours.
            self.renegotiate(now, false);
        }
        self.resend_attributes();
        self.resend_tracks(now, true);
    }

    /// Restores what differs from what the server does by itself; tracks that stayed have kept their sids.
    fn resubscribe(&mut self) {
        let auto = self.config.auto_subscribe_audio && self.config.auto_subscribe_video;
        let track_sids = self.roster.subscribed(!auto);
        if !track_sids.is_empty() {
            self.request(signal_request::Message::Subscription(lk::UpdateSubscription {
                track_sids,
                subscribe: !auto,
                participant_tracks: Vec::new(),
            }));
        }
        self.resend_settings();
    }

    /// How the tracks are shown.
    pub(crate) fn resend_settings(&mut self) {
        for settings in self.roster.settings() {
            self.request(signal_request::Message::TrackSetting(settings));
        }
    }

    fn update(&mut self, _now: Instant, participants: &[lk::ParticipantInfo]) {
        for info in participants {
            if info.sid == self.sid || self.me.as_ref().is_some_and(|me| me.as_str() == info.identity) {
                // Another membership of ours does not concern this one.
                if info.sid == self.sid && info.permission.is_some() {
                    self.take_privileges(self.granted(info.permission.as_ref()));
                }
                continue;
            }
            let change = self.roster.update(info);
            self.roster_changed(change);
        }
    }

    fn roster_changed(&mut self, change: Change) {
        self.counters.participants_ignored += u64::from(change.ignored);
        if let Some(user) = &change.gone {
            self.data.forget(user);
        }
        if !change.subscribe.is_empty() {
            self.request(signal_request::Message::Subscription(lk::UpdateSubscription {
                track_sids: change.subscribe,
                subscribe: true,
                participant_tracks: Vec::new(),
            }));
        }
        self.tell_all(change.events);
    }

    /// The server's word, or else the token's.
    fn granted(&self, permission: Option<&lk::ParticipantPermission>) -> Privileges {
        if let Some(p) = permission {
            return Privileges {
                can_publish: p.can_publish,
                can_subscribe: p.can_subscribe,
                can_publish_data: p.can_publish_data,
                can_update_metadata: p.can_update_metadata,
            };
        }
        let grant = jwt::decode_unverified(&self.token).ok().and_then(|claims| claims.video).unwrap_or_default();
        Privileges {
            can_publish: grant.publishes(),
            can_subscribe: grant.subscribes(),
            can_publish_data: grant.publishes_data(),
            can_update_metadata: grant.can_update_own_metadata.unwrap_or(false),
        }
    }

    fn take_privileges(&mut self, privileges: Privileges) {
        if self.privileges != privileges {
            self.privileges = privileges;
            self.tell_all(vec![Event::PrivilegesChanged(privileges)]);
        }
    }

    fn connections_rated(&mut self, update: &lk::ConnectionQualityUpdate) {
        for info in update.updates.iter().take(RATINGS_MAX) {
            let Some(user) = self.roster.user_of(&info.participant_sid) else { continue };
            let quality = match info.quality() {
                lk::ConnectionQuality::Excellent => NetworkQuality::Excellent,
                lk::ConnectionQuality::Good => NetworkQuality::Good,
                lk::ConnectionQuality::Poor => NetworkQuality::Poor,
                lk::ConnectionQuality::Lost => NetworkQuality::Down,
            };
            self.tell_all(vec![Event::ConnectionQuality { user, quality }]);
        }
    }

    fn refresh_token(&mut self, token: String) {
        if (1..=jwt::TOKEN_MAX_BYTES).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic()) {
            self.token = token;
        } else {
            self.counters.malformed += 1;
        }
    }

    fn trickled(&mut self, trickle: &lk::TrickleRequest) {
        let Some(candidate) = crate::candidate::parse(trickle) else { return };
        let target = match trickle.target() {
            lk::SignalTarget::Publisher => Target::Publisher,
            lk::SignalTarget::Subscriber => Target::Subscriber,
        };
        self.act(Action::AddCandidate { target, candidate });
    }
}

fn ice_servers(servers: Vec<lk::IceServer>) -> Vec<IceServer> {
    let server = |lk::IceServer { urls, username, credential }| IceServer { urls, username, credential };
    servers.into_iter().take(ICE_SERVERS_MAX).map(server).collect()
}
