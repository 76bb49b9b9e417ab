//! Opus packets: what we say of them is what libopus says, where libopus accepts them.
use trtc_bitstream::opus::{Toc, frame_count, is_dtx, packet_samples};

/// One packet.
pub fn run(packet: &[u8]) {
    let samples = packet_samples(packet);
    if let Some(toc) = Toc::of(packet) {
        let _ = (toc.may_have_fec(), is_dtx(packet));
        let count = frame_count(packet);
        if let (Ok(theirs), Some(ours)) = (opus::packet::get_nb_frames(packet), count) {
            assert_eq!(theirs, ours as usize);
        }
        if let Ok(theirs) = opus::packet::get_nb_samples(packet, 48_000) {
            assert_eq!(samples.map(|n| n as usize), Some(theirs).filter(|n| *n > 0));
        }
        assert_eq!(opus::packet::get_nb_channels(packet).ok() == Some(opus::Channels::Stereo), toc.is_stereo());
        assert!(samples.is_none_or(|n| n <= 5_760 && n.is_multiple_of(toc.frame_samples())));
    }
    assert!(!packet.is_empty() || samples.is_none());
}
