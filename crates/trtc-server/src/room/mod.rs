//! Rooms as actors: one task owns a room's members, tracks and subscriptions; everything reaches it through one bounded
//! queue, and it never waits for a client or for the media thread.
mod layers;
#[cfg(test)]
mod layers_tests;
mod line;
mod member;
pub mod messages;
mod resume;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod rig;
mod rights;
mod signal;
mod state;
mod tracks;
mod vitals;

use crate::auth::Pass;
use crate::media::{MediaEvent, MemberKey, RoomKey};
use crate::outbox::Outbox;
use crate::registry::{RoomName, Shared};
use crate::socket::Options;
use line::SocketKey;
pub use rights::RoleChange;
pub use state::FULL;
use state::Room;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use trtc_proto::livekit::{ParticipantInfo, SignalRequest};

const INPUT_CAP: usize = 1024;
const TICK: Duration = Duration::from_secs(1);

/// What a room reacts to.
pub enum RoomInput {
    /// Somebody wants in.
    Join(Box<Joiner>),
    /// Somebody wants back in.
    Resume(Box<Comeback>),
    /// A member's client said something.
    Signal(Wire, Box<SignalRequest>),
    /// The media thread said something about a member.
    Media(MemberKey, MediaEvent),
    /// A member's WebSocket is gone. The client may come back unless it broke a rule.
    SocketClosed { wire: Wire, may_resume: bool },
    /// A member wants another role, or brings another PrivateMapKey.
    ChangeRole(Box<RoleChange>),
    /// Somebody asks who is to be seen.
    Look(oneshot::Sender<Vec<ParticipantInfo>>),
    /// The server stops.
    Shutdown,
}

/// A member and the WebSocket that speaks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    pub member: MemberKey,
    pub socket: SocketKey,
}

/// A member that lost its WebSocket, on a new one.
pub struct Comeback {
    pub socket: SocketKey,
    pub identity: String,
    pub sid: String,
    pub outbox: Outbox,
    /// Its member; `None` when it has to join anew.
    pub reply: oneshot::Sender<Option<MemberKey>>,
}

/// A member to be.
pub struct Joiner {
    pub wire: Wire,
    pub pass: Pass,
    pub options: Options,
    pub outbox: Outbox,
    pub events: mpsc::Sender<MediaEvent>,
    /// Whether the member is in, or why not; dropped when the room has ended.
    pub reply: oneshot::Sender<Result<(), Refused>>,
}

/// Why a room does not let somebody in, for the close frame.
pub type Refused = &'static str;

/// A way to a room.
#[derive(Clone)]
pub struct RoomHandle {
    key: RoomKey,
    input: mpsc::Sender<RoomInput>,
}

/// The room has ended.
#[derive(Debug)]
pub struct Closed;

impl RoomHandle {
    pub fn key(&self) -> RoomKey {
        self.key
    }

    pub fn is_closed(&self) -> bool {
        self.input.is_closed()
    }

    /// Waits for a place in the queue; a member that floods waits, not the others.
    pub async fn send(&self, input: RoomInput) -> Result<(), Closed> {
        self.input.send(input).await.map_err(|_| Closed)
    }
}

/// Starts a room on the current runtime.
pub fn spawn(shared: Arc<Shared>, name: RoomName, key: RoomKey) -> RoomHandle {
    let (input, receiver) = mpsc::channel(INPUT_CAP);
    tokio::spawn(run(Room::new(shared, name, key, Instant::now()), receiver));
    RoomHandle { key, input }
}

async fn run(mut room: Room, mut inputs: mpsc::Receiver<RoomInput>) {
    // Not at once: a room is empty until its first member's join is read.
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let goes_on = tokio::select! {
            input = inputs.recv() => match input {
                Some(input) => room.handle(Instant::now(), input),
                None => false,
            },
            _ = tick.tick() => room.tick(Instant::now()),
        };
        if !goes_on {
            break;
        }
    }
    // Joins that are still queued see their reply dropped and try again with a new room.
    inputs.close();
    room.end();
}
