//! Statistics with the vendor's field meanings (TRTCStatistics). Units are in the names.
use crate::{StreamType, UserId};

/// One local stream.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalStatistics {
    /// Which stream. The sound stands with the main stream, or alone.
    pub stream: StreamType,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames per second sent.
    pub frame_rate: u32,
    /// Video kbit/s sent.
    pub video_bitrate_kbps: u32,
    /// Audio samples per second.
    pub audio_sample_rate_hz: u32,
    /// Audio kbit/s sent.
    pub audio_bitrate_kbps: u32,
}

/// One remote stream.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteStatistics {
    /// Whose stream.
    pub user: UserId,
    /// Which stream.
    pub stream: StreamType,
    /// Audio loss in percent before repair.
    pub audio_packet_loss_percent: u32,
    /// Video loss in percent before repair.
    pub video_packet_loss_percent: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames per second decoded.
    pub frame_rate: u32,
    /// Video kbit/s received.
    pub video_bitrate_kbps: u32,
    /// Audio kbit/s received.
    pub audio_bitrate_kbps: u32,
    /// Jitter buffer delay in ms.
    pub jitter_buffer_delay_ms: u32,
    /// Total video block time in ms.
    pub video_total_block_time_ms: u32,
    /// Total audio block time in ms.
    pub audio_total_block_time_ms: u32,
}

/// All statistics of one room membership, every 2 s.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Uplink loss in percent, from receiver reports.
    pub up_loss_percent: u32,
    /// Downlink loss in percent, own measurement.
    pub down_loss_percent: u32,
    /// Round trip to the server in ms.
    pub rtt_ms: u32,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Process CPU in percent of one core.
    pub app_cpu_percent: u32,
    /// Local streams.
    pub local: Vec<LocalStatistics>,
    /// Remote streams.
    pub remote: Vec<RemoteStatistics>,
}
