//! One WebRTC transport as a pure machine: ICE (lite and full), DTLS, SRTP in place, SCTP data channels and SDP
//! negotiation behind [`Peer`]. It owns no socket, no thread and no clock: datagrams and the time come in, datagrams and
//! events go out.
//!
//! ```text
//! datagram -> Peer::feed -> STUN | DTLS (SCTP inside) consumed, RTP/RTCP handed back decrypted
//! Peer::tick at Peer::timeout; after every call drain Peer::poll_send and Peer::poll_event
//! ```
//!
//! The only clock that is read by itself lies in `sctp-proto`'s `Endpoint::connect` (once per association).
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::disallowed_methods))]

mod channels;
mod dtls;
#[doc(hidden)]
pub mod fuzzing;
mod ice;
mod identity;
mod negotiation;
mod peer;
mod sctp;
mod sdp;
mod srtp;
mod stun;
mod turn;
mod types;

pub use identity::Identity;
pub use peer::Peer;
pub use stun::stun_ufrag;
pub use types::{
    CodecSpec, Config, Counters, IceRole, Incoming, PeerEvent, ReceiveSection, SectionId, SendParams, SendTrack, Setup,
    TurnServer, extension,
};
