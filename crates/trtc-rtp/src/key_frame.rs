//! Does a packet start a key frame? A forwarder must know this for every codec that it switches on, decoder or not.
use crate::h264;
use crate::vp8::Vp8Descriptor;
use trtc_types::CodecKind;

/// Whether `payload` is the first packet of a key frame. `None` for a codec that cannot be read here: treat every packet as
/// a possible start.
#[must_use]
pub fn starts_key_frame(codec: &CodecKind, payload: &[u8]) -> Option<bool> {
    match codec {
        CodecKind::H264 => Some(h264::starts_key_frame(payload)),
        CodecKind::Opus => Some(true),
        CodecKind::Other(name) => match name.as_str() {
            "vp8" => Some(Vp8Descriptor::parse(payload).is_some_and(|d| d.starts_key_frame)),
            "vp9" => Some(vp9(payload).unwrap_or(false)),
            // RFC draft AV1: N starts a coded video sequence.
            "av1" => Some(payload.first().is_some_and(|byte| byte & 0x08 != 0)),
            _ => None,
        },
    }
}

/// RFC 9628: start of a frame (B), no inter-picture prediction (P), lowest spatial layer.
fn vp9(payload: &[u8]) -> Option<bool> {
    let &first = payload.first()?;
    if first & 0x48 != 0x08 {
        return Some(false);
    }
    let mut at = 1;
    if first & 0x80 != 0 {
        at += if payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
    }
    let layer = if first & 0x20 != 0 { (payload.get(at)? >> 1) & 7 } else { 0 };
    Some(layer == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn first_packets_of_key_frames() {
        let is = |name: &str, payload: &[u8]| starts_key_frame(&CodecKind::from_name(name), payload);
        // Chromium's VP8: X, I with a 15-bit picture id, S.
        assert_eq!(is("VP8", &[0x90, 0x80, 0x81, 0x02, 0x10, 0, 0]), Some(true));
        assert_eq!(is("VP8", &[0x90, 0x80, 0x81, 0x02, 0x11, 0, 0]), Some(false));
        assert_eq!(is("VP8", &[0x80, 0x80, 0x81, 0x02, 0x10, 0, 0]), Some(false));
        assert_eq!(is("VP9", &[0x8b, 0x81, 0x02]), Some(true));
        assert_eq!(is("VP9", &[0xcb, 0x81, 0x02]), Some(false));
        assert_eq!(is("VP9", &[0xab, 0x81, 0x02, 0x02]), Some(false));
        assert_eq!(is("AV1", &[0x08]), Some(true));
        assert_eq!(is("H265", &[0x08]), None);
        assert_eq!(is("H264", &[0x67, 1]), Some(true));
        assert_eq!(is("H264", &[0x41, 1]), Some(false));
    }

    proptest! {
        #[test]
        fn anything_parses(payload in proptest::collection::vec(any::<u8>(), 0..12)) {
            for name in ["vp8", "vp9", "av1", "h264"] {
                prop_assert!(starts_key_frame(&CodecKind::from_name(name), &payload).is_some());
            }
        }
    }
}
