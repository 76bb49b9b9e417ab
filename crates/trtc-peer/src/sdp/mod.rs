//! The part of SDP that WebRTC uses (RFC 8866, RFC 9429): model, tolerant parser, writer.
mod model;
mod parse;
mod write;

pub(crate) use model::{Description, Direction, Kind, Section};
pub(crate) use parse::{parse, parse_candidate};
pub(crate) use write::{Head, write};

#[cfg(test)]
mod tests;
