//! One suite for every codec, the host's own encoders included: what the pipelines rely on, checked with real sound and
//! pictures. Each function returns what it measured or says what was broken.
use crate::OPUS_FRAME_SAMPLES;
use crate::annexb;
use std::sync::Arc;
use std::time::Duration;
use trtc_types::{
    AudioDecoder, AudioEncoder, Code, EncodedVideo, EncoderTarget, Error, I420, Result, VideoDecoder, VideoEncoder,
    VideoFrame,
};

/// What [`video`] measured.
#[derive(Clone, Debug, Default)]
pub struct VideoReport {
    /// Frames encoded, skipped ones not counted.
    pub encoded: usize,
    /// Frames that the rate control skipped.
    pub skipped: usize,
    /// Bits per second over the frames, the first key frame left out.
    pub bitrate_bps: f64,
    /// Every decoded picture with the index of its source frame.
    pub pictures: Vec<(usize, Arc<I420>)>,
}

/// Encodes `frames` pictures from `source` at `target` and decodes them.
///
/// Checked: first frame is a key frame with parameter sets; a forced key frame comes with the very next picture; no key
/// frame comes unasked; times pass through; a wrong size is refused; the encoder survives a change of size.
///
/// # Errors
/// `FAILED` with what was broken, or the codec's own error.
pub fn video(
    encoder: &mut dyn VideoEncoder,
    decoder: &mut dyn VideoDecoder,
    target: EncoderTarget,
    frames: usize,
    source: &mut dyn FnMut(usize) -> I420,
) -> Result<VideoReport> {
    encoder.set_target(target)?;
    let mut report = VideoReport::default();
    let (mut bits, mut expect_key) = (0usize, true);
    for i in 0..frames {
        let time = Duration::from_secs_f64(i as f64 / f64::from(target.fps));
        let force = i == frames / 2;
        expect_key |= force;
        let frame = VideoFrame { picture: Arc::new(source(i)), time };
        let Some(encoded) = encoder.encode(&frame, force)? else {
            report.skipped += 1;
            continue;
        };
        check_video(&encoded, time, expect_key)?;
        if !encoded.key {
            bits += encoded.data.len() * 8;
        }
        expect_key = false;
        report.encoded += 1;
        if let Some(out) = decoder.decode(&encoded)? {
            ensure(out.time.abs_diff(time) < Duration::from_millis(1), "the decoder lost the time of a picture")?;
            report.pictures.push((i, out.picture));
        }
    }
    report.bitrate_bps = bits as f64 / frames as f64 * f64::from(target.fps);
    size_change(encoder, decoder, target)?;
    Ok(report)
}

/// What [`audio`] measured.
#[derive(Clone, Debug, Default)]
pub struct AudioReport {
    /// Packets, DTX left out.
    pub packets: usize,
    /// Frames for which nothing was to be sent.
    pub silent: usize,
    /// Bits per second.
    pub bitrate_bps: f64,
    /// The decoded sound, interleaved.
    pub sound: Vec<i16>,
}

/// Encodes `frames` blocks of 20 ms from `source` and decodes them; every block must come back with its length.
///
/// # Errors
/// `FAILED` with what was broken, or the codec's own error.
pub fn audio(
    encoder: &mut dyn AudioEncoder,
    decoder: &mut dyn AudioDecoder,
    channels: usize,
    frames: usize,
    source: &mut dyn FnMut(usize, &mut [i16]),
) -> Result<AudioReport> {
    let mut report = AudioReport::default();
    let mut block = vec![0; OPUS_FRAME_SAMPLES * channels];
    let (mut packet, mut bytes) = (vec![1, 2, 3], 0);
    for i in 0..frames {
        source(i, &mut block);
        encoder.encode(&block, &mut packet)?;
        ensure(packet.len() != 1 && packet.len() != 2, "DTX must give an empty packet")?;
        let before = report.sound.len();
        let samples = if packet.is_empty() {
            report.silent += 1;
            decoder.conceal(OPUS_FRAME_SAMPLES, &mut report.sound)?
        } else {
            report.packets += 1;
            bytes += packet.len();
            decoder.decode(&packet, &mut report.sound)?
        };
        ensure(samples == OPUS_FRAME_SAMPLES, "a packet must be 20 ms")?;
        ensure(
            report.sound.len() - before == samples * usize::from(decoder.channels()),
            "the decoder must append exactly what it says",
        )?;
    }
    report.bitrate_bps = bytes as f64 * 8.0 * 50.0 / frames.max(1) as f64;
    ensure(encoder.encode(&block[1..], &mut packet).is_err(), "a block of another length must be refused")?;
    ensure(decoder.decode(&[], &mut report.sound).is_err(), "an empty packet must be refused")?;
    ensure(encoder.set_bitrate(5_999).is_err() && encoder.set_bitrate(510_001).is_err(), "bitrate range")?;
    ensure(encoder.set_expected_loss(101).is_err(), "loss range")?;
    Ok(report)
}

fn check_video(encoded: &EncodedVideo, time: Duration, expect_key: bool) -> Result<()> {
    let contents = annexb::check(&encoded.data)?;
    ensure(encoded.key == expect_key, if expect_key { "a key frame was due" } else { "a key frame came unasked" })?;
    ensure(contents.idr == encoded.key, "the key flag must mean IDR")?;
    ensure(!encoded.key || contents.sps, "a key frame must bring its parameter sets")?;
    ensure(contents.slices > 0, "a frame must have a slice")?;
    ensure(encoded.time == time, "the encoder must pass the time on")
}

fn size_change(encoder: &mut dyn VideoEncoder, decoder: &mut dyn VideoDecoder, old: EncoderTarget) -> Result<()> {
    let target = EncoderTarget { width: old.width / 4 * 2, height: old.height / 4 * 2, ..old };
    let frame = |w, h| VideoFrame { picture: Arc::new(I420::black(w, h)), time: Duration::ZERO };
    ensure(encoder.encode(&frame(target.width, target.height), false).is_err(), "another size must be refused")?;
    encoder.set_target(target)?;
    let encoded = encoder.encode(&frame(target.width, target.height), false)?;
    let encoded = encoded.ok_or_else(|| broken("the first picture of a new size was skipped"))?;
    check_video(&encoded, Duration::ZERO, true)?;
    let picture = decoder.decode(&encoded)?.map(|f| (f.picture.width(), f.picture.height()));
    ensure(picture == Some((target.width, target.height)), "the new size must be decoded")?;
    encoder.set_target(old)
}

fn ensure(ok: bool, what: &str) -> Result<()> {
    if ok { Ok(()) } else { Err(broken(what)) }
}

fn broken(what: &str) -> Error {
    Error::new(Code::FAILED, what)
}
