//! The room server: signalling, rooms, auth, media threads, metrics. It speaks LiveKit's two-connection protocol
//! (`/rtc`), so that LiveKit's own clients join it, and answers 404 on `/rtc/v1` until single-connection mode exists.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod auth;
mod bucket;
pub mod config;
mod http;
mod ice;
mod ids;
mod listen;
pub mod media;
mod metrics;
mod outbox;
mod page;
mod registry;
mod room;
mod server;
mod socket;
mod tickets;
mod tls;
mod whip;

pub use config::{Application, ServerConfig};
pub use metrics::Metrics;
pub use server::Server;
