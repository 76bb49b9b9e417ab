//! The room client as a state machine: join, roster, publications, subscriptions, messages, reconnect. It speaks
//! LiveKit's signalling with two peer connections and owns neither: its inputs are what happened (with the time), its
//! outputs are [`Action`]s for whoever holds socket and transports.
//!
//! ```text
//! connect -> OpenSocket -> socket_opened -> (join) -> OpenTransports -> (offer) -> AcceptOffer -> local_answer
//!         -> transport_connected(Subscriber) -> Event::Joined
//! ```
#![forbid(unsafe_code)]

mod candidate;
mod data;
mod limiter;
mod publish;
mod reconnect;
mod roster;
mod session;
mod signal;
mod types;

pub use limiter::{COMMAND_WINDOW, COMMANDS_MAX_BYTES, COMMANDS_MAX_COUNT, CommandLimiter};
pub use session::{Counters, Session};
pub use types::{
    Action, Event, IceServer, LocalLayer, LocalTrack, Privileges, RIDS, RemoteTrack, SessionConfig, Target,
    TrackSettings, VideoQuality,
};
