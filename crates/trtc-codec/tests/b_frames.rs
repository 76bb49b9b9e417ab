//! B frames, as x264 writes them: pictures come out in display order, each with its own time.
#![allow(clippy::unwrap_used)]
use bytes::Bytes;
use std::time::Duration;
use trtc_bitstream::h264;
use trtc_codec::H264Decoder;
use trtc_types::{EncodedVideo, VideoDecoder};

/// 60 pictures of `trtc pattern --width 320 --height 192 --fps 12`, encoded by x264 with two B frames between others.
const CLIP: &[u8] = include_bytes!("data/b_frames_320x192_12fps.h264");

#[test]
fn pictures_come_in_display_order() {
    assert!(h264::has_b_frames(CLIP));
    let mut decoder = H264Decoder::new().unwrap();
    let mut out = Vec::new();
    for (i, unit) in h264::access_units(CLIP).enumerate() {
        let time = Duration::from_millis(i as u64 * 40);
        let frame = EncodedVideo { data: Bytes::copy_from_slice(unit), key: i == 0, time };
        out.extend(decoder.decode(&frame).unwrap().map(|picture| picture.time.as_millis() / 40));
    }
    // The decoder keeps at most two pictures back; the times say which input each one was.
    assert!(out.len() >= 58, "{} pictures", out.len());
    assert!(out.windows(2).any(|w| w[0] > w[1]), "no reordering in {out:?}");
}
