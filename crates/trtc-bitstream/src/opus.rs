//! Opus packets (RFC 6716 section 3): durations without decoding.

/// The first byte of an Opus packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Toc(u8);

impl Toc {
    /// The table-of-contents byte of a packet; `None` when it is empty.
    #[must_use]
    pub fn of(packet: &[u8]) -> Option<Self> {
        packet.first().map(|&byte| Self(byte))
    }

    /// Samples per channel of one frame, at 48 kHz: 120 (2.5 ms) to 2,880 (60 ms).
    #[must_use]
    pub fn frame_samples(self) -> u32 {
        match self.0 >> 3 {
            config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config % 4)],
            config @ 12..=15 => [480, 960][usize::from(config % 2)],
            config => [120, 240, 480, 960][usize::from(config % 4)],
        }
    }

    /// Whether the packet was coded with two channels.
    #[must_use]
    pub fn is_stereo(self) -> bool {
        self.0 & 4 != 0
    }

    /// Whether the packet can carry in-band FEC for its predecessor (SILK or hybrid mode).
    #[must_use]
    pub fn may_have_fec(self) -> bool {
        self.0 >> 3 < 16
    }
}

/// Frames in a packet, 1..=48; `None` for an empty or impossible packet.
#[must_use]
pub fn frame_count(packet: &[u8]) -> Option<u32> {
    match packet.first()? & 3 {
        0 => Some(1),
        1 | 2 => Some(2),
        _ => Some(u32::from(packet.get(1)? & 0x3f)).filter(|&count| count > 0),
    }
}

/// Samples per channel of a packet at 48 kHz; `None` for an impossible packet (more than 120 ms included).
#[must_use]
pub fn packet_samples(packet: &[u8]) -> Option<u32> {
    let samples = Toc::of(packet)?.frame_samples() * frame_count(packet)?;
    (samples <= 5760).then_some(samples)
}

/// Whether the packet stands for silence: an encoder in DTX sends at most two bytes.
#[must_use]
pub fn is_dtx(packet: &[u8]) -> bool {
    packet.len() <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(packet_samples(&[0xfc, 1, 2]), Some(960)); // CELT full band, 20 ms, stereo, one frame
        assert!(Toc::of(&[0xfc]).is_some_and(Toc::is_stereo));
        assert_eq!(packet_samples(&[0x08, 1]), Some(960)); // SILK narrow band, 20 ms
        assert_eq!(packet_samples(&[0x18, 1]), Some(2880)); // SILK, 60 ms
        assert_eq!(packet_samples(&[0x79, 1]), Some(1920)); // hybrid full band, two frames of 20 ms
        assert_eq!(packet_samples(&[0xe3, 4]), Some(480)); // four CELT frames of 2.5 ms
        assert_eq!(packet_samples(&[]), None);
        assert_eq!(packet_samples(&[0x03]), None);
        assert_eq!(packet_samples(&[0x1b, 48]), None); // more than 120 ms
    }

    #[test]
    fn every_first_byte_is_legal() {
        for toc in 0..=255u8 {
            assert!((120..=2880).contains(&Toc(toc).frame_samples()));
        }
    }
}
