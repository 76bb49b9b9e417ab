//! Media across a lossy path: RTP, RTCP, payload formats, repair, feedback.
//!
//! Everything here is a pure machine: datagrams and the time go in, bytes and deadlines come out. Parsers take arbitrary
//! bytes and never panic; every buffer has a bound.
#![forbid(unsafe_code)]

pub mod delay_trend;
pub mod feedback;
pub mod h264;
pub mod key_frame;
pub mod link_estimate;
pub mod loss_control;
pub mod nack;
pub mod packet;
pub mod path_monitor;
pub mod quality;
pub mod red;
pub mod retransmission;
pub mod rtcp;
pub mod send_history;
pub mod send_rate;
pub mod sequence;
pub mod stats;
pub mod video_receiver;
pub mod vp8;

pub use delay_trend::Usage;
pub use feedback::TransportFeedbackRecorder;
pub use link_estimate::LinkEstimator;
pub use loss_control::LossControl;
pub use nack::NackGenerator;
pub use packet::{
    RtpHeader, RtpPacket, is_rtcp, set_marker, set_payload_type, set_sequence, set_ssrc, set_timestamp, write_rtp,
};
pub use path_monitor::{PathMonitor, PathReport};
pub use retransmission::{RecentRepeats, RetransmissionCache, unwrap_rtx, write_rtx};
pub use send_rate::SendRate;
pub use sequence::Unwrapper;
pub use stats::{ReceiverStats, SenderState, StreamStats};
pub use video_receiver::{AssembledFrame, VideoReceiver, VideoReceiverStats};
pub use vp8::{Vp8Descriptor, Vp8Numbers, Vp8Shift};
