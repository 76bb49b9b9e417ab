//! Everything computable on samples and pixels: conversion, scaling, test pictures and tones with their meters, the audio
//! jitter buffer, video playout, mixing, raw file parsing. Time comes in as an argument; nothing here asks for it.
#![forbid(unsafe_code)]

pub mod audio_jitter;
pub mod convert;
pub mod delay;
pub mod drift;
pub mod mixer;
pub mod pattern;
pub mod raw_video;
pub mod resample;
pub mod ring;
pub mod scale;
pub mod stretch;
pub mod tone;
pub mod video_playout;

pub use audio_jitter::{AudioJitterBuffer, AudioJitterStats, PullInfo};
pub use convert::{PixelFormat, i420_from, pack, to_bgra, to_nv12, to_rgba};
pub use drift::{CaptureRing, DriftReader};
pub use mixer::{finish, mix_into, volume};
pub use pattern::{Pattern, TimeCode, psnr_y, read_time_code};
pub use resample::Resampler;
pub use ring::FrameRing;
pub use scale::scale;
pub use tone::{Tone, longest_gap_ms, tone_hz};
pub use video_playout::VideoPlayout;
