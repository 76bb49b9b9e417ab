//! Live-streaming formats as machines that are fed and asked: for now the resources of WHIP (RFC 9725) and WHEP
//! (draft-ietf-wish-whep).
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod whip;
