//! One session: a room member without a WebSocket. Its task speaks for it in the room and ends with it.
use super::sessions::{Owner, Place};
use crate::auth::Pass;
use crate::ids;
use crate::media::{MediaCommand, MediaEvent};
use crate::metrics::Metrics;
use crate::outbox::{Outbox, OutboxReader, Outgoing};
use crate::registry::Shared;
use crate::room::{FULL, Joiner, RoomHandle, RoomInput, Wire};
use crate::socket::Options;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;
use trtc_proto::Message as _;
use trtc_proto::livekit::request_response::Reason;
use trtc_proto::livekit::signal_request::Message as Ask;
use trtc_proto::livekit::signal_response::Message as Tell;
use trtc_proto::livekit::{
    AddTrackRequest, LeaveRequest, ParticipantInfo, SignalRequest, SignalResponse, TrackSource, TrackType,
    UpdateSubscription, VideoLayer, VideoQuality,
};
use trtc_stream::whip::{Change, Follow, Fragment, Offer, OfferedTrack, Patch, Refusal, Resource, Role, Wish};
use trtc_types::MediaKind;

const EVENTS_CAP: usize = 1024;
const COMMANDS_CAP: usize = 16;

/// What requests on a session's address ask for.
pub enum Command {
    /// PATCH: `If-Match` and the fragment.
    Patch(Option<String>, Fragment, oneshot::Sender<Result<Patched, Refusal>>),
    /// DELETE.
    Delete(oneshot::Sender<()>),
}

/// What a PATCH did.
pub enum Patched {
    /// Candidates were taken.
    Candidates,
    /// ICE restarts: entity tag and fragment.
    Restart(String, String),
}

/// A session that was just made.
pub struct Opened {
    pub id: String,
    pub etag: String,
    pub answer: String,
}

/// Everything that a POST brings.
pub struct Request {
    pub role: Role,
    pub pass: Pass,
    pub token: String,
    pub sdp: String,
    pub offer: Offer,
    pub wish: Wish,
}

struct Session {
    shared: Arc<Shared>,
    role: Role,
    room: RoomHandle,
    wire: Wire,
    outgoing: OutboxReader,
    events: mpsc::Receiver<MediaEvent>,
    kill: Arc<Notify>,
    follow: Follow,
    resource: Resource,
    place: Place,
    offers: u32,
    /// Its connection is gone.
    over: bool,
}

/// The room or the media thread is done with the session.
struct Ended;

/// Joins the room, negotiates and leaves a task behind.
pub async fn open(shared: Arc<Shared>, request: Request) -> Result<Opened, Refusal> {
    let owner = Owner::of(&request.pass);
    let place = shared.whip.enter(owner)?;
    let mut session = Session::join(&shared, &request, place).await?;
    let answer = match session.negotiate(&request).await {
        Ok(answer) => answer,
        Err(refusal) => {
            session.leave().await;
            return Err(refusal);
        }
    };
    let (commands, receiver) = mpsc::channel(COMMANDS_CAP);
    let id = session.place.publish(request.role, request.token, commands);
    let opened = if request.role == Role::Publish { &shared.metrics.whip_opened } else { &shared.metrics.whep_opened };
    Metrics::add(opened);
    let etag = session.resource.etag();
    tokio::spawn(session.run(receiver));
    Ok(Opened { id, etag, answer })
}

impl Session {
    async fn join(shared: &Arc<Shared>, request: &Request, place: Place) -> Result<Self, Refusal> {
        let full = || Refusal::new(503, FULL);
        let mut place = Some(place);
        // A room may end between finding and entering it; the second one is new.
        for _ in 0..3 {
            let room = shared.room(&(request.pass.app, request.pass.room.clone())).ok_or_else(full)?;
            let (outbox, outgoing, kill) = Outbox::new();
            let (events_in, events) = mpsc::channel(EVENTS_CAP);
            let (reply, answer) = oneshot::channel();
            let wire = Wire { member: shared.next_key(), socket: shared.next_key() };
            let (pass, options) = member_of(request);
            let joiner = Joiner { wire, pass, options, outbox, events: events_in, reply };
            if room.send(RoomInput::Join(Box::new(joiner))).await.is_err() {
                continue;
            }
            match answer.await {
                Ok(Ok(())) => {
                    return Ok(Self {
                        shared: shared.clone(),
                        role: request.role,
                        room,
                        wire,
                        outgoing,
                        events,
                        kill,
                        follow: Follow::new(request.wish.clone()),
                        resource: Resource::new(request.sdp.clone(), request.offer.credentials.clone()),
                        place: place.take().ok_or_else(full)?,
                        offers: 0,
                        over: false,
                    });
                }
                Ok(Err(why)) => return Err(Refusal::new(if why == FULL { 503 } else { 403 }, why)),
                Err(_) => {}
            }
        }
        Err(full())
    }

    /// Announces the tracks and has the offer answered.
    async fn negotiate(&mut self, request: &Request) -> Result<String, Refusal> {
        if self.role == Role::Publish {
            for track in &request.offer.tracks {
                self.ask(Ask::AddTrack(announcement(track))).await?;
            }
            self.announced(request.offer.tracks.len()).await?;
        }
        self.exchange(request.sdp.clone()).await
    }

    /// Waits until the room has taken every track.
    async fn announced(&mut self, mut tracks: usize) -> Result<(), Refusal> {
        let patience = self.shared.config.answer_timeout;
        while tracks > 0 {
            let Ok(Some(out)) = timeout(patience, self.outgoing.recv()).await else {
                return Err(Refusal::new(503, "the room does not answer"));
            };
            match said(out) {
                Some(Tell::TrackPublished(_)) => tracks -= 1,
                Some(Tell::RequestResponse(refused)) => {
                    let status = if refused.reason() == Reason::NotAllowed { 403 } else { 409 };
                    return Err(Refusal::new(status, refused.message));
                }
                Some(Tell::Leave(_)) => return Err(Refusal::new(409, "the room sent the participant away")),
                _ => {}
            }
        }
        Ok(())
    }

    /// Has an offer answered by the media thread.
    async fn exchange(&mut self, sdp: String) -> Result<String, Refusal> {
        self.offers += 1;
        let (member, id) = (self.wire.member, self.offers);
        let command = match self.role {
            Role::Publish => MediaCommand::Offer { member, sdp, id },
            Role::Watch => MediaCommand::ViewerOffer { member, sdp, id },
        };
        let busy = |_| Refusal::new(503, "the media thread takes no more work for now");
        self.shared.media.send(command).map_err(busy)?;
        let patience = self.shared.config.answer_timeout;
        loop {
            let Ok(Some(event)) = timeout(patience, self.events.recv()).await else {
                return Err(Refusal::new(503, "the media thread does not answer"));
            };
            match event {
                MediaEvent::Answer { sdp, id: of } if of == id => return Ok(sdp),
                MediaEvent::Answer { .. } => {}
                MediaEvent::BadSdp { reason, .. } => {
                    Metrics::add(&self.shared.metrics.bad_sdp);
                    return Err(Refusal::new(400, format!("the offer could not be used: {reason}")));
                }
                other => {
                    let _ = self.media_event(other).await;
                    if self.over {
                        return Err(Refusal::new(409, "the connection is gone"));
                    }
                }
            }
        }
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let goes_on = tokio::select! {
                Some(command) = commands.recv() => self.command(command).await,
                out = self.outgoing.recv() => match out {
                    Some(out) => self.room_said(out).await,
                    None => Err(Ended),
                },
                Some(event) = self.events.recv() => self.media_event(event).await,
                () = self.kill.notified() => Err(Ended),
            };
            if goes_on.is_err() || self.over {
                break;
            }
        }
        if self.place.is_pending() {
            Metrics::add(&self.shared.metrics.whip_timeouts);
        }
        Metrics::add(&self.shared.metrics.whip_closed);
        self.leave().await;
    }

    async fn command(&mut self, command: Command) -> Result<(), Ended> {
        match command {
            Command::Delete(done) => {
                self.place.connected();
                let _ = done.send(());
                Err(Ended)
            }
            Command::Patch(if_match, fragment, reply) => {
                let _ = reply.send(self.patch(if_match.as_deref(), &fragment).await);
                Ok(())
            }
        }
    }

    async fn patch(&mut self, if_match: Option<&str>, fragment: &Fragment) -> Result<Patched, Refusal> {
        match self.resource.patch(if_match, fragment)? {
            Patch::Candidates(candidates) => {
                for candidate in candidates {
                    let publisher = self.role == Role::Publish;
                    let command = MediaCommand::Candidate { member: self.wire.member, publisher, candidate };
                    // A lite agent learns addresses from the checks; a lost candidate costs nothing.
                    let _ = self.shared.media.send(command);
                }
                Ok(Patched::Candidates)
            }
            Patch::Restart { offer, credentials } => {
                let answer = self.exchange(offer.clone()).await?;
                Metrics::add(&self.shared.metrics.whip_restarts);
                self.resource.restarted(offer, credentials);
                Ok(Patched::Restart(self.resource.etag(), Fragment::of_answer(&answer)))
            }
        }
    }

    async fn room_said(&mut self, out: Outgoing) -> Result<(), Ended> {
        if let Outgoing::Close(..) = out {
            return Err(Ended);
        }
        match said(out) {
            Some(Tell::Leave(_)) => Err(Ended),
            Some(Tell::Join(join)) => self.seen(&join.other_participants).await,
            Some(Tell::Update(update)) => self.seen(&update.participants).await,
            _ => Ok(()),
        }
    }

    /// A viewer subscribes to whom it follows.
    async fn seen(&mut self, participants: &[ParticipantInfo]) -> Result<(), Ended> {
        if self.role == Role::Publish {
            return Ok(());
        }
        for change in self.follow.update(participants) {
            let (sid, subscribe) = match change {
                Change::Subscribe(sid) => (sid, true),
                Change::Unsubscribe(sid) => (sid, false),
            };
            let request = UpdateSubscription { track_sids: vec![sid], subscribe, ..UpdateSubscription::default() };
            self.ask(Ask::Subscription(request)).await.map_err(|_| Ended)?;
        }
        Ok(())
    }

    async fn media_event(&mut self, event: MediaEvent) -> Result<(), Ended> {
        if let MediaEvent::Connected { .. } = event {
            self.place.connected();
        }
        match event {
            MediaEvent::Answer { .. } | MediaEvent::Offer { .. } => return Ok(()),
            // Without consent (RFC 7675) or after a good-bye there is nothing to come back to.
            MediaEvent::Failed { .. } | MediaEvent::Closed { .. } => self.over = true,
            _ => {}
        }
        self.room.send(RoomInput::Media(self.wire.member, event)).await.map_err(|_| Ended)
    }

    async fn ask(&self, message: Ask) -> Result<(), Refusal> {
        let request = Box::new(SignalRequest { message: Some(message) });
        let sent = self.room.send(RoomInput::Signal(self.wire, request)).await;
        sent.map_err(|_| Refusal::new(503, "the room is closed"))
    }

    async fn leave(&self) {
        let _ = self.ask(Ask::Leave(LeaveRequest::default())).await;
    }
}

/// The member that a client becomes: an ingress, or a viewer whom nobody sees and who may be in a room many times.
fn member_of(request: &Request) -> (Pass, Options) {
    let mut pass = request.pass.clone();
    let mut options = Options::parse(&BTreeMap::new());
    options.auto_subscribe = false;
    options.served = true;
    match request.role {
        Role::Publish => {
            pass.claims.kind = "ingress".to_owned();
            pass.grant.can_subscribe = Some(false);
        }
        Role::Watch => {
            pass.identity = ids::with_prefix(&format!("{}/whep/", pass.identity), 8);
            pass.grant.hidden = true;
            pass.grant.can_publish = Some(false);
            options.viewer = true;
        }
    }
    pass.grant.can_publish_data = Some(false);
    (pass, options)
}

fn announcement(track: &OfferedTrack) -> AddTrackRequest {
    let (r#type, source) = match track.kind {
        MediaKind::Audio => (TrackType::Audio, TrackSource::Microphone),
        MediaKind::Video => (TrackType::Video, TrackSource::Camera),
    };
    // By the names that LiveKit's clients use; others have no place in its three qualities.
    let quality = |rid: &String| match rid.as_str() {
        "q" => Some(VideoQuality::Low),
        "h" => Some(VideoQuality::Medium),
        "f" => Some(VideoQuality::High),
        _ => None,
    };
    let layers = track.rids.iter().filter_map(quality);
    let layers = layers.map(|quality| VideoLayer { quality: quality.into(), ..VideoLayer::default() }).collect();
    AddTrackRequest {
        cid: track.track_id.clone(),
        r#type: r#type.into(),
        source: source.into(),
        layers,
        ..AddTrackRequest::default()
    }
}

fn said(out: Outgoing) -> Option<Tell> {
    match out {
        Outgoing::Message(bytes) => SignalResponse::decode(bytes).ok()?.message,
        Outgoing::Close(..) => None,
    }
}
