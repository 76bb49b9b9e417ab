//! libtrtc: TRTCCloud's vocabulary, LiveKit on the wire.
//!
//! Rust hosts use [`Cloud`] and its neighbours, re-exported from `trtc-sdk`. All others use `include/trtc.h`, which is
//! written from [`capi`].
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(all(panic = "abort", not(test)))]
compile_error!("libtrtc catches panics at its boundary: build it with panic=unwind");

pub mod capi;

pub use trtc_sdk::*;
