//! Clouds in calls through a room server of this process, judged by what is seen and heard.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod bad_files;
mod files;
mod guest;
mod receive;
mod rooms;
mod server;
mod small_stream;
mod sub_stream;
mod tickets;
