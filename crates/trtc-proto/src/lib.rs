//! Bytes to values and back for every protocol message. Nothing here knows a socket, a clock or a room.
#![forbid(unsafe_code)]

pub mod command;
pub mod entry;
pub mod jwt;
pub mod livekit;
pub mod ticket;
pub mod turn;

/// `encode`, `decode` and friends of every message in [`livekit`].
pub use prost::Message;
