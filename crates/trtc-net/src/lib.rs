//! Sockets, WebSocket, TLS and the clock: the edge between our pure machines and the operating system.
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod batch;
pub mod driver;
mod found;
mod frames;
pub mod http;
mod lookup;
#[cfg(all(test, target_os = "linux"))]
mod silent;
mod streams;
pub mod tls;
pub mod url;
pub mod websocket;

pub use url::ServerUrl;
