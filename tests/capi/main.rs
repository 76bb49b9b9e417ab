//! The C door. No function may crash, whatever it is given; the tables of these modules are checked against include/trtc.h.
#![allow(clippy::unwrap_used, clippy::undocumented_unsafe_blocks, missing_docs, reason = "tests")]

mod call;
mod every_call;
mod header;
mod host;
mod kinds;
mod life;
mod media;
mod parameters;
#[path = "../../crates/trtc-sdk/tests/call/server.rs"]
mod server;
mod structs;
