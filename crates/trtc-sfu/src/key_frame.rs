//! Where a decoder can start, read from RTP payloads.

use trtc_rtp::{Vp8Descriptor, Vp8Numbers};

/// A codec as far as forwarding cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// RFC 6184.
    H264,
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// The AOMedia RTP payload format.
    Av1,
    /// Audio, or video whose payload is not read: subscribers start at once.
    Opaque,
}

impl Codec {
    /// From an SDP encoding name, any case.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "h264" => Self::H264,
            "vp8" => Self::Vp8,
            "vp9" => Self::Vp9,
            "av1" => Self::Av1,
            _ => Self::Opaque,
        }
    }

    /// Can a subscriber's stream begin with this packet? And the numbers inside it that a receiver expects to go on.
    pub(crate) fn read(self, payload: &[u8]) -> (bool, Option<Vp8Numbers>) {
        if self != Self::Vp8 {
            return (self.starts_here(payload), None);
        }
        let descriptor = Vp8Descriptor::parse(payload);
        (descriptor.is_some_and(|d| d.starts_key_frame), descriptor.map(|d| d.numbers))
    }

    /// Can a subscriber's stream begin with this packet?
    #[must_use]
    pub fn starts_here(self, payload: &[u8]) -> bool {
        match self {
            Self::H264 => h264(payload),
            Self::Vp8 => Vp8Descriptor::parse(payload).is_some_and(|d| d.starts_key_frame),
            // P = 0 and B = 1: the first packet of a frame without inter-picture prediction.
            Self::Vp9 => payload.first().is_some_and(|b| b & 0x48 == 0x08),
            // N: first packet of a coded video sequence.
            Self::Av1 => payload.first().is_some_and(|b| b & 0x08 != 0),
            Self::Opaque => true,
        }
    }
}

const NAL_SPS: u8 = 7;

/// Only the packet with the SPS: a decoder that starts at a later packet of the same access unit has no parameters.
fn h264(payload: &[u8]) -> bool {
    match payload.first().map(|b| b & 0x1f) {
        Some(NAL_SPS) => true,
        Some(24) => {
            let mut rest = &payload[1..];
            while let [high, low, tail @ ..] = rest {
                let size = usize::from(u16::from_be_bytes([*high, *low]));
                if size == 0 || size > tail.len() {
                    return false;
                }
                if tail[0] & 0x1f == NAL_SPS {
                    return true;
                }
                rest = &tail[size..];
            }
            false
        }
        Some(28) => payload.get(1).is_some_and(|b| b & 0x80 != 0 && b & 0x1f == NAL_SPS),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h264_starts_at_the_parameter_sets() {
        let codec = Codec::from_name("H264");
        assert!(codec.starts_here(&[0x67, 1, 2]));
        assert!(codec.starts_here(&[24, 0, 2, 0x67, 1, 0, 2, 0x68, 1]));
        assert!(codec.starts_here(&[24, 0, 2, 0x09, 1, 0, 2, 0x67, 1]));
        assert!(!codec.starts_here(&[0x65, 1]));
        assert!(!codec.starts_here(&[28, 0x85, 1]));
        assert!(!codec.starts_here(&[24, 0, 9, 0x67]));
        assert!(!codec.starts_here(&[24, 0, 0, 0x67]));
        assert!(!codec.starts_here(&[]));
    }

    #[test]
    fn vp8_key_frames_behind_every_descriptor() {
        let codec = Codec::Vp8;
        assert!(codec.starts_here(&[0x10, 0x50]));
        assert!(!codec.starts_here(&[0x10, 0x51]));
        assert!(!codec.starts_here(&[0x00, 0x50]));
        assert!(codec.starts_here(&[0x90, 0x80, 0x80, 1, 0x50]));
        assert!(codec.starts_here(&[0x90, 0xe0, 0x01, 2, 3, 0x50]));
        assert!(!codec.starts_here(&[0x90, 0xe0, 0x01, 2, 3, 0x51]));
        assert!(!codec.starts_here(&[0x90, 0x80]));
    }

    #[test]
    fn others_start_at_once() {
        assert!(Codec::from_name("opus").starts_here(&[]));
        assert!(Codec::Vp9.starts_here(&[0x8c]) && !Codec::Vp9.starts_here(&[0xcc]));
        assert!(Codec::Av1.starts_here(&[0x18]) && !Codec::Av1.starts_here(&[0x10]));
    }
}
