//! Server-made identifiers. Clients insist on the prefixes.
use rand::Rng as _;
use trtc_proto::livekit::{TrackSource, TrackType};

// No look-alikes (0 O, 1 I l): ids are read aloud from logs.
const ALPHABET: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// `RM_` and 12 random characters.
pub fn room_sid() -> String {
    with_prefix("RM_", 12)
}

/// `PA_` and 12 random characters.
pub fn participant_sid() -> String {
    with_prefix("PA_", 12)
}

/// `TR_`, a letter for the kind, a letter for the source and 12 random characters.
pub fn track_sid(kind: TrackType, source: TrackSource) -> String {
    let kind = if kind == TrackType::Video { 'V' } else { 'A' };
    let source = match source {
        TrackSource::Camera => "C",
        TrackSource::Microphone => "M",
        TrackSource::ScreenShare => "S",
        TrackSource::ScreenShareAudio => "s",
        TrackSource::Unknown => "",
    };
    with_prefix(&format!("TR_{kind}{source}"), 12)
}

/// Random characters after a prefix.
pub fn with_prefix(prefix: &str, count: usize) -> String {
    let mut rng = rand::rng();
    let mut id = String::with_capacity(prefix.len() + count);
    id.push_str(prefix);
    id.extend((0..count).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])));
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn track_sids_tell_kind_and_source() {
        assert!(track_sid(TrackType::Audio, TrackSource::Microphone).starts_with("TR_AM"));
        assert!(track_sid(TrackType::Video, TrackSource::Camera).starts_with("TR_VC"));
        assert_eq!(track_sid(TrackType::Video, TrackSource::ScreenShare).len(), 17);
        assert_ne!(participant_sid(), participant_sid());
    }
}
