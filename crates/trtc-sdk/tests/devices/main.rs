//! Microphone, speaker and camera in a call. A program of its own: they belong to the process.
#![allow(clippy::unwrap_used, missing_docs, dead_code, reason = "tests")]

mod cameras;
mod devices;
#[path = "../call/guest.rs"]
mod guest;
#[path = "../call/server.rs"]
mod server;
