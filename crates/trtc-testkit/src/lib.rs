//! For tests only: a client that obeys nothing but its test. It shares no code with `trtc-session`: tokens and tickets are made by hand,
//! messages are those of the public `livekit-protocol` crate, and the WebSocket is `tungstenite`'s.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test may stop")]

pub mod client;
pub mod http;
pub mod media;
pub mod ticket;
pub mod token;

use std::time::Duration;

/// Longer than anything takes on the busiest machine; only what fails waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);
