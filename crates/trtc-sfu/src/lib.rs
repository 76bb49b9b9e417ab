//! Forwarding decisions for one room, as values that are fed and told the time: which packet goes to which subscriber
//! under which header, which key frame and which lost packet to ask for, and which data packets to relay.
#![forbid(unsafe_code)]

mod allocate;
mod data;
mod key_frame;
mod layer;
mod rewrite;
mod speaker;
mod subscription;
mod track;

pub use allocate::{Demand, allocate};
pub use data::{DataGate, Refusal};
pub use key_frame::Codec;
pub use speaker::SpeakerLevel;
pub use subscription::{Left, Subscription};
pub use track::{Accepted, Extensions, Forward, LAYERS_MAX, Resend, Rtx, SubscriptionConfig, Track, TrackConfig};
