//! The conformance suite over our own codecs, and what only real content shows.
#![allow(clippy::unwrap_used)]
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use trtc_codec::{H264Decoder, H264Encoder, OpusDecoder, OpusEncoder, conformance};
use trtc_media::{AudioJitterBuffer, Pattern, Tone, longest_gap_ms, psnr_y, read_time_code, scale, tone_hz};
use trtc_types::{
    AudioDecoder, AudioEncoder, AudioQuality, EncodedVideo, EncoderTarget, I420, VideoDecoder, VideoEncoder, VideoFrame,
};

fn target(width: usize, height: usize, bitrate_bps: u32) -> EncoderTarget {
    EncoderTarget { width, height, bitrate_bps, fps: 30 }
}

fn frame(pattern: &Pattern, i: u32) -> VideoFrame {
    VideoFrame { picture: Arc::new(pattern.frame(i, i * 33)), time: Duration::from_millis(u64::from(i) * 33) }
}

#[test]
fn h264_conforms_and_the_time_code_survives() {
    for (w, h, bps) in [(320, 180, 200_000), (640, 360, 600_000)] {
        let pattern = Pattern::new(w, h);
        let target = target(w, h, bps);
        let (mut encoder, mut decoder) = (H264Encoder::new(target).unwrap(), H264Decoder::new().unwrap());
        let report = conformance::video(&mut encoder, &mut decoder, target, 150, &mut |i| {
            pattern.frame(i as u32, i as u32 * 33)
        })
        .unwrap();
        println!("{w}x{h}: {} encoded, {} skipped, {:.0} b/s", report.encoded, report.skipped, report.bitrate_bps);
        assert!(report.encoded >= 143, "{} skipped", report.skipped);
        assert_eq!(report.pictures.len(), report.encoded);
        assert!(report.bitrate_bps < f64::from(bps) * 1.2, "{}", report.bitrate_bps);
        let mut worst = f64::MAX;
        for (i, picture) in &report.pictures {
            let code = read_time_code(picture).unwrap();
            assert_eq!((usize::from(code.index), code.time_ms as usize), (*i, i * 33));
            for factor in [0.5, 0.8, 2.0] {
                let small = scale(picture, (w as f64 * factor) as usize, (h as f64 * factor) as usize);
                assert_eq!(read_time_code(&small), Some(code), "{w}x{h} times {factor}");
            }
            worst = worst.min(psnr_y(picture, &pattern.frame(*i as u32, *i as u32 * 33)));
        }
        println!("worst PSNR {worst:.1} dB");
        assert!(worst > 27.0, "{worst}");
    }
}

#[test]
fn h264_obeys_a_new_bitrate_at_once() {
    let pattern = Pattern::new(640, 360);
    let mut encoder = H264Encoder::new(target(640, 360, 1_000_000)).unwrap();
    let mut seed = 7u32;
    // Noise in a band of the picture keeps the rate control busy.
    let mut noisy = |i: u32| {
        let mut frame = pattern.frame(i, i);
        let mut data = frame.data().to_vec();
        for p in &mut data[640 * 100..640 * 300] {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *p = p.saturating_add((seed >> 27) as u8);
        }
        frame = I420::from_packed(640, 360, data).unwrap();
        VideoFrame { picture: Arc::new(frame), time: Duration::from_millis(u64::from(i) * 33) }
    };
    let mut window = |encoder: &mut H264Encoder, from: u32| {
        let bytes: usize =
            (from..from + 60).filter_map(|i| encoder.encode(&noisy(i), false).unwrap()).map(|e| e.data.len()).sum();
        bytes as f64 * 8.0 / 2.0
    };
    window(&mut encoder, 0);
    let high = window(&mut encoder, 60);
    encoder.set_target(target(640, 360, 300_000)).unwrap();
    window(&mut encoder, 120);
    let low = window(&mut encoder, 180);
    println!("1000 kb/s gave {high:.0}, 300 kb/s gave {low:.0}");
    assert!((600_000.0..1_300_000.0).contains(&high), "{high}");
    assert!((200_000.0..400_000.0).contains(&low), "{low}");
}

#[test]
fn h264_loss_is_an_error_until_the_next_key_frame() {
    let pattern = Pattern::new(320, 180);
    let mut encoder = H264Encoder::new(target(320, 180, 400_000)).unwrap();
    let mut decoder = H264Decoder::new().unwrap();
    let mut encode = |i, key| encoder.encode(&frame(&pattern, i), key).unwrap().unwrap();
    for i in 0..5 {
        assert!(decoder.decode(&encode(i, false)).unwrap().is_some());
    }
    encode(5, false);
    assert!(decoder.decode(&encode(6, false)).is_err());
    assert!(decoder.decode(&encode(7, false)).is_err());
    assert!(decoder.decode(&encode(8, true)).unwrap().is_some());
    assert!(decoder.decode(&encode(9, false)).unwrap().is_some());
}

#[test]
fn h264_decoder_survives_rubbish() {
    let pattern = Pattern::new(320, 180);
    let mut encoder = H264Encoder::new(target(320, 180, 400_000)).unwrap();
    let mut decoder = H264Decoder::new().unwrap();
    let key = encoder.encode(&frame(&pattern, 0), true).unwrap().unwrap();
    let mut seed = 1u32;
    for round in 0..300u32 {
        let mut data = key.data.to_vec();
        for _ in 0..1 + round % 8 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = seed as usize / 7 % data.len();
            data[at] = (seed >> 24) as u8;
        }
        data.truncate(1 + seed as usize % data.len());
        let _ = decoder.decode(&EncodedVideo { data: Bytes::from(data), key: true, time: Duration::ZERO });
    }
    let mut fresh = H264Decoder::new().unwrap();
    assert!(fresh.decode(&key).unwrap().is_some());
    assert!(decoder.decode(&key).is_err() || decoder.decode(&key).unwrap().is_some());
}

#[test]
fn h264_targets_are_checked() {
    for bad in [target(15, 180, 1), target(320, 181, 200_000), target(4000, 180, 200_000), target(320, 180, 1)] {
        assert!(H264Encoder::new(bad).is_err());
    }
    assert!(H264Encoder::new(EncoderTarget { fps: 0, ..target(320, 180, 200_000) }).is_err());
    for (w, h) in [(16, 16), (130, 98), (1920, 1080)] {
        let mut encoder = H264Encoder::new(target(w, h, 500_000)).unwrap();
        let encoded = encoder.encode(&frame(&Pattern::new(w, h), 0), false).unwrap().unwrap();
        let out = H264Decoder::new().unwrap().decode(&encoded).unwrap().unwrap();
        assert_eq!((out.picture.width(), out.picture.height()), (w, h));
    }
}

#[test]
fn opus_conforms_and_keeps_the_tone() {
    for (channels, quality, bps) in [
        (1u16, AudioQuality::Speech, 18_000.0),
        (1, AudioQuality::Default, 50_000.0),
        (2, AudioQuality::Music, 128_000.0),
    ] {
        let mut encoder = OpusEncoder::new(channels, quality).unwrap();
        let mut decoder = OpusDecoder::new(channels).unwrap();
        let mut tone = Tone::new(440.0);
        let report = conformance::audio(&mut encoder, &mut decoder, channels.into(), 250, &mut |i, out| {
            tone.fill(i as u64 * 960, out, channels);
        })
        .unwrap();
        println!("{quality:?}: {:.0} b/s, {} silent of 250", report.bitrate_bps, report.silent);
        assert_eq!(report.silent, 0, "a tone is not silence");
        assert!(report.bitrate_bps < bps * 1.3, "{}", report.bitrate_bps);
        let mono: Vec<i16> = report.sound.chunks(channels.into()).map(|f| f[0]).collect();
        assert!((tone_hz(&mono, 48_000).unwrap() - 440.0).abs() < 1.0);
        assert!(longest_gap_ms(&mono[4_800..], 48_000) <= 5);
    }
}

#[test]
fn opus_sends_nothing_in_silence() {
    let mut encoder = OpusEncoder::new(1, AudioQuality::Default).unwrap();
    let mut decoder = OpusDecoder::new(1).unwrap();
    let report = conformance::audio(&mut encoder, &mut decoder, 1, 250, &mut |_, out| out.fill(0)).unwrap();
    assert!(report.silent > 200, "{}", report.silent);
}

#[test]
fn opus_fec_brings_a_lost_frame_back() {
    let mut encoder = OpusEncoder::new(1, AudioQuality::Speech).unwrap();
    encoder.set_expected_loss(20).unwrap();
    let mut tone = Tone::new(300.0);
    let mut packets = Vec::new();
    for i in 0..50u64 {
        let (mut block, mut packet) = ([0; 960], Vec::new());
        tone.fill(i * 960 + 2_000, &mut block, 1);
        encoder.encode(&block, &mut packet).unwrap();
        packets.push(packet);
    }
    let (mut whole, mut holed) = (Vec::new(), Vec::new());
    let (mut a, mut b) = (OpusDecoder::new(1).unwrap(), OpusDecoder::new(1).unwrap());
    for (i, packet) in packets.iter().enumerate() {
        a.decode(packet, &mut whole).unwrap();
        if i % 5 == 3 {
            assert_eq!(b.decode_fec(&packets[i + 1], 960, &mut holed).unwrap(), 960);
        } else {
            b.decode(packet, &mut holed).unwrap();
        }
    }
    assert_eq!(whole.len(), holed.len());
    assert!((tone_hz(&holed, 48_000).unwrap() - 300.0).abs() < 2.0);
    assert_eq!(longest_gap_ms(&holed[4_800..], 48_000), 0);
    assert!(OpusDecoder::new(3).is_err() && b.decode(&[0xff; 3], &mut holed).is_err());
}

/// DTX sends nothing while the RTP time goes on: that is neither loss nor does it leave delay behind.
#[test]
fn opus_pauses_are_not_loss() {
    let start = std::time::Instant::now();
    let mut encoder = OpusEncoder::new(1, AudioQuality::Default).unwrap();
    let mut decoder = OpusDecoder::new(1).unwrap();
    let mut buffer = AudioJitterBuffer::new(1);
    let (mut tone, mut sound, mut sequence) = (Tone::new(440.0), Vec::new(), 0u16);
    for ms in (0..44_000u64).step_by(10) {
        let now = start + Duration::from_millis(ms);
        // Thirty seconds of steady tone would show a DTX that takes it for noise; then eight of silence, then tone again.
        if ms % 20 == 0 {
            let (mut block, mut packet) = ([0; 960], Vec::new());
            if !(30_000..38_000).contains(&ms) {
                tone.fill(ms * 48, &mut block, 1);
            }
            encoder.encode(&block, &mut packet).unwrap();
            assert!(!packet.is_empty() || (30_000..39_000).contains(&ms), "DTX at {ms} ms");
            if !packet.is_empty() {
                buffer.insert(now, sequence, (ms * 48) as u32, Bytes::from(packet));
                sequence += 1;
            }
        }
        let mut block = [0; 480];
        if buffer.pull(now, &mut decoder, &mut block).playing {
            sound.extend_from_slice(&block);
        }
    }
    let stats = buffer.stats();
    println!("{} of 2200 packets, {stats:?}", sequence);
    assert!(sequence < 1_900);
    assert_eq!((stats.lost, stats.concealed, stats.late), (0, 0, 0));
    assert!(stats.comfort > 48_000 * 6 && stats.delay_ms < 70);
    for part in [&sound[4_800..48_000 * 29], &sound[48_000 * 40..48_000 * 43]] {
        assert!((tone_hz(part, 48_000).unwrap() - 440.0).abs() < 1.0);
        assert!(longest_gap_ms(part, 48_000) <= 5);
    }
    assert!(sound[48_000 * 32..48_000 * 37].iter().all(|s| s.unsigned_abs() < 500));
}

/// Real Opus through the jitter buffer with loss and jitter: the tone comes out whole.
#[test]
fn opus_through_the_jitter_buffer() {
    let start = std::time::Instant::now();
    let mut encoder = OpusEncoder::new(2, AudioQuality::Default).unwrap();
    let mut decoder = OpusDecoder::new(2).unwrap();
    let mut buffer = AudioJitterBuffer::new(2);
    let mut tone = Tone::new(997.0);
    let (mut sound, mut seed) = (Vec::new(), 5u32);
    let mut flight: Vec<(u64, u32, Vec<u8>)> = Vec::new();
    for ms in (0..12_000u64).step_by(10) {
        if ms % 20 == 0 {
            let (mut block, mut packet) = ([0; 1_920], Vec::new());
            tone.fill(ms * 48, &mut block, 2);
            encoder.encode(&block, &mut packet).unwrap();
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if seed >> 24 > 5 {
                flight.push((ms + 20 + u64::from(seed >> 16 & 31), (ms / 20) as u32, packet));
            }
        }
        let now = start + Duration::from_millis(ms);
        flight.retain(|(at, n, packet)| {
            let here = *at <= ms;
            if here {
                buffer.insert(now, *n as u16, n * 960, Bytes::copy_from_slice(packet));
            }
            !here
        });
        let mut block = [0; 960];
        if buffer.pull(now, &mut decoder, &mut block).playing {
            sound.extend(block.chunks(2).map(|f| f[0]));
        }
    }
    let stats = buffer.stats();
    println!("{stats:?}");
    assert!(stats.lost >= 5 && stats.concealed < stats.played / 50);
    assert!((tone_hz(&sound, 48_000).unwrap() - 997.0).abs() < 2.0);
    assert!(longest_gap_ms(&sound[4_800..], 48_000) <= 60);
}
