//! A real clip with B frames: pictures come out in display order, each with its own time. Skips without the clip.
#![allow(clippy::unwrap_used)]
use bytes::Bytes;
use std::path::Path;
use std::time::Duration;
use trtc_bitstream::h264;
use trtc_codec::H264Decoder;
use trtc_types::{EncodedVideo, VideoDecoder};

#[test]
fn pictures_come_in_display_order() {
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/media/handheld_1280x720_bframes.h264");
    let Ok(stream) = std::fs::read(&clip) else {
        println!("SKIPPED: no clip with B frames at {}", clip.display());
        return;
    };
    assert!(h264::has_b_frames(&stream));
    let mut decoder = H264Decoder::new().unwrap();
    let mut out = Vec::new();
    for (i, unit) in h264::access_units(&stream).take(60).enumerate() {
        let time = Duration::from_millis(i as u64 * 40);
        let frame = EncodedVideo { data: Bytes::copy_from_slice(unit), key: i == 0, time };
        out.extend(decoder.decode(&frame).unwrap().map(|picture| picture.time.as_millis() / 40));
    }
    // The decoder keeps at most two pictures back; the times say which input each one was.
    assert!(out.len() >= 58, "{} pictures", out.len());
    assert!(out.windows(2).any(|w| w[0] > w[1]), "no reordering in {out:?}");
}
