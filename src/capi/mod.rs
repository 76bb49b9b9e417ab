//! The C door: one file per section of `include/trtc.h`, over a few mechanisms (`handle`, `guard`, `sized`, `text`, `out`, `check`,
//! `error`).
//!
//! Every function is guarded: a panic becomes `TRTC_ERR_INTERNAL` and closes that instance only. Pointers are checked for
//! NULL and alignment; what they point to is the host's promise, stated in the header.
#![allow(non_camel_case_types, reason = "the names of the header")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the comment of each function is the header's, and says what pointers must be"
)]

pub mod audio;
pub mod callbacks;
mod check;
pub mod cloud;
pub mod code;
pub mod device;
pub mod error;
mod guard;
mod handle;
pub mod log;
pub mod message;
mod out;
pub mod params;
pub mod room;
mod sized;
pub mod source;
mod text;
pub mod video;

/// Outcome of a call: 0 is success, negative an error (`TRTC_ERR_*`). Success means accepted; outcomes arrive by callback.
pub type trtc_result = i32;
/// 0 is false, anything else is true.
pub type trtc_bool = i32;
