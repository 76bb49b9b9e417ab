//! H.264 and Opus bitstream parsing. Every parser takes arbitrary bytes and never panics.
#![forbid(unsafe_code)]

mod bits;
pub mod h264;
pub mod opus;
