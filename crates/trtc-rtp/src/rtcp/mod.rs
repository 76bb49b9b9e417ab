//! RTCP (RFC 3550, 4585, 5104; REMB and transport-wide feedback by their drafts): views over a compound packet and writers.
mod parse;
mod twcc;
mod write;

pub use parse::{Compound, FirEntries, LostSequences, Reports, Ssrcs, parse};
pub use twcc::{TransportFeedback, TransportFeedbackPackets};
pub use write::{bye, fir, nack, pli, receiver_report, remb, sdes_cname, sender_report, transport_feedback};

/// One packet of a compound. Lists are iterators over the datagram, so that nothing is allocated.
#[derive(Clone, Debug)]
pub enum Rtcp<'a> {
    /// What a sender sent, and how its clock maps to media time.
    SenderReport {
        /// The sender.
        ssrc: u32,
        /// Wall clock in NTP format.
        ntp: u64,
        /// The same moment as an RTP timestamp.
        rtp_time: u32,
        /// Packets sent.
        packets: u32,
        /// Payload bytes sent.
        octets: u32,
        /// What it received.
        reports: Reports<'a>,
    },
    /// What a receiver received.
    ReceiverReport {
        /// The reporter.
        ssrc: u32,
        /// One per source.
        reports: Reports<'a>,
    },
    /// Asks for lost packets.
    Nack {
        /// The source of the packets.
        media_ssrc: u32,
        /// Their sequence numbers.
        lost: LostSequences<'a>,
    },
    /// Asks for a key frame.
    Pli {
        /// The source.
        media_ssrc: u32,
    },
    /// Asks for key frames, with a command number for each source.
    Fir {
        /// The sources.
        entries: FirEntries<'a>,
    },
    /// The receiver's estimate of the bandwidth.
    Remb {
        /// Bits per second.
        bitrate_bps: u64,
        /// The sources it is for.
        ssrcs: Ssrcs<'a>,
    },
    /// Arrival times of packets by their transport-wide numbers.
    TransportFeedback(TransportFeedback<'a>),
    /// Sources that leave.
    Bye {
        /// The sources.
        ssrcs: Ssrcs<'a>,
    },
    /// Anything else, SDES included.
    Unknown {
        /// RTCP packet type.
        packet_type: u8,
        /// The count or format field.
        format: u8,
    },
}

/// What a sender report says about the sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// The sender.
    pub ssrc: u32,
    /// Wall clock in NTP format.
    pub ntp: u64,
    /// The same moment as an RTP timestamp.
    pub rtp_time: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub octets: u32,
}

/// A reception report block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source reported on.
    pub ssrc: u32,
    /// Loss since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost in all, a signed 24-bit number: duplicates may make it negative.
    pub cumulative_lost: i32,
    /// Highest sequence number with its count of cycles above it.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the last sender report's NTP time; 0 if there was none.
    pub last_sender_report: u32,
    /// Time since that report in 1/65536 s.
    pub delay_since: u32,
}

/// NTP time (seconds since 1900 in 32.32 bits) of a Unix time.
#[must_use]
pub fn ntp_from_unix(unix: std::time::Duration) -> u64 {
    let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
    (unix.as_secs().wrapping_add(2_208_988_800) << 32) | fraction
}

/// The middle 32 bits of an NTP time, as report blocks quote it.
#[must_use]
pub fn ntp_middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}
