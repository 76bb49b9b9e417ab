//! Files as sources, from one cloud through the server to another: every picture and the tone come out as they went in.
use crate::guest::{Guest, until, user};
use crate::server::TestServer;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use trtc_bitstream::h264;
use trtc_codec::{H264Decoder, H264Encoder};
use trtc_media::pattern::{Pattern, psnr_y, read_time_code};
use trtc_sdk::types::{EncodedVideo, EncoderTarget, I420, StreamType, VideoDecoder, VideoEncoder, VideoFrame};
use trtc_sdk::{Event, FileSource, VideoEncoderParam};

const BIG: StreamType = StreamType::Big;
const FPS: u32 = 12;
const WIDTH: usize = 320;
const HEIGHT: usize = 192;

/// A file that is removed when dropped.
pub struct TempFile(pub PathBuf);

impl TempFile {
    pub fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("trtc-call-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Picture `index` of all files.
pub fn picture(index: u32) -> I420 {
    Pattern::new(WIDTH, HEIGHT).frame(index, index * 1000 / FPS)
}

pub fn y4m(count: u32) -> Vec<u8> {
    let mut file = format!("YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420jpeg\n").into_bytes();
    for index in 0..count {
        // Frame lines may have parameters.
        file.extend_from_slice(if index % 5 == 1 { b"FRAME Ip XA=1\n" } else { b"FRAME\n" });
        file.extend_from_slice(picture(index).data());
    }
    file
}

pub fn h264(count: u32, key_every: u32) -> Vec<u8> {
    let target = EncoderTarget { width: WIDTH, height: HEIGHT, bitrate_bps: 1_000_000, fps: FPS };
    let mut encoder = H264Encoder::new(target).unwrap();
    let mut file = Vec::new();
    for index in 0..count {
        let time = Duration::from_millis(u64::from(index * 1000 / FPS));
        let frame = VideoFrame { picture: Arc::new(picture(index)), time };
        let unit = encoder.encode(&frame, index % key_every == 0).unwrap();
        file.extend_from_slice(&unit.map(|u| u.data).unwrap_or_default());
    }
    file
}

fn decoded(file: &[u8]) -> Vec<Arc<I420>> {
    let mut decoder = H264Decoder::new().unwrap();
    let unit = |unit: &[u8]| EncodedVideo { data: unit.to_vec().into(), key: h264::is_key(unit), time: Duration::ZERO };
    h264::access_units(file).filter_map(|u| decoder.decode(&unit(u)).unwrap()).map(|f| f.picture).collect()
}

/// A viewer of a room in which `prepare` starts what is sent.
fn viewer(server: &TestServer, room: &str, prepare: impl FnOnce(&Guest)) -> (Guest, Guest) {
    let (sender, viewer) = (Guest::new(), Guest::new());
    viewer.enter(server, room, "viewer");
    viewer.watch("sender", BIG);
    sender.enter(server, room, "sender");
    prepare(&sender);
    (sender, viewer)
}

/// Waits until 95 % of `count` different pictures were seen, in order, round after round; gives all that were seen.
fn rounds(viewer: &Guest, count: usize) -> Vec<(u16, Arc<I420>)> {
    let seen = || -> Vec<(u16, Arc<I420>)> {
        let pictures = viewer.pictures("sender", BIG);
        pictures.into_iter().filter_map(|p| Some((read_time_code(&p)?.index, p))).collect()
    };
    let different = || seen().iter().map(|(index, _)| *index).collect::<BTreeSet<u16>>().len();
    until("every picture", || different() * 100 >= count * 95);
    let (all, seen) = (viewer.pictures("sender", BIG).len(), seen());
    assert!(seen.len() * 100 >= all.min(seen.len() + 50) * 95, "{} of {all} are readable", seen.len());
    for pair in seen.windows(2) {
        let (before, after) = (usize::from(pair[0].0), usize::from(pair[1].0));
        assert!(before < after || before - after > count / 2, "{before} is followed by {after}");
    }
    seen
}

fn assert_good(seen: &[(u16, Arc<I420>)]) {
    let mut psnr: Vec<f64> = seen.iter().map(|(index, shown)| psnr_y(&picture((*index).into()), shown)).collect();
    psnr.sort_by(f64::total_cmp);
    println!("{} pictures, PSNR {:.1}..{:.1} dB", psnr.len(), psnr[0], psnr[psnr.len() - 1]);
    assert!(psnr[psnr.len() / 20] > 25.0 && psnr[psnr.len() / 2] > 30.0, "{psnr:.1?}");
}

#[test]
fn y4m_with_its_own_size_and_rate() {
    let (server, file) = (TestServer::start(), TempFile::new("plain.y4m", &y4m(24)));
    let (sender, viewer) = viewer(&server, "y4m", |sender| {
        sender.cloud.start_file_source(BIG, &FileSource::new(&file.0)).unwrap();
    });
    assert_good(&rounds(&viewer, 24));
    let size = |e: &Event| matches!(e, Event::UserVideoSizeChanged { width: 320, height: 192, .. });
    assert_eq!((viewer.count(size), sender.errors().len()), (1, 0));
}

#[test]
fn raw_i420_with_the_size_that_is_told() {
    let data: Vec<u8> = (0..24).flat_map(|index| picture(index).data().to_vec()).collect();
    // The last picture is cut off.
    let (server, file) = (TestServer::start(), TempFile::new("raw.yuv", &data[..data.len() - 1]));
    let (_sender, viewer) = viewer(&server, "yuv", |sender| {
        let raw = FileSource { width: 320, height: 192, fps: FPS, ..FileSource::new(&file.0) };
        sender.cloud.start_file_source(BIG, &raw).unwrap();
    });
    let seen = rounds(&viewer, 23);
    assert_good(&seen);
    assert!(seen.iter().all(|(index, _)| *index < 23));
}

#[test]
fn h264_is_sent_as_it_is() {
    let data = h264(36, FPS / 2);
    let sent = decoded(&data);
    assert!(sent.len() > 34);
    let (server, file) = (TestServer::start(), TempFile::new("plain.h264", &data));
    let (_sender, viewer) = viewer(&server, "h264", |sender| {
        sender.cloud.start_file_source(BIG, &FileSource { fps: FPS, ..FileSource::new(&file.0) }).unwrap();
    });
    let seen = rounds(&viewer, sent.len());
    // Not one bit is different.
    let same = |index: u16, shown: &I420| {
        sent.iter().any(|p| read_time_code(p).is_some_and(|c| c.index == index) && **p == *shown)
    };
    assert!(seen.iter().all(|(index, shown)| same(*index, shown)));
}

#[test]
fn h264_with_few_key_frames_is_encoded_anew() {
    let data = h264(40, 1000);
    let (server, file) = (TestServer::start(), TempFile::new("few-keys.h264", &data));
    let (_sender, viewer) = viewer(&server, "few keys", |sender| {
        let param = VideoEncoderParam { width: 320, height: 192, fps: FPS, bitrate_kbps: 1000, min_bitrate_kbps: 0 };
        sender.cloud.set_video_encoder_param(BIG, param).unwrap();
        sender.cloud.start_file_source(BIG, &FileSource { fps: FPS, ..FileSource::new(&file.0) }).unwrap();
    });
    assert_good(&rounds(&viewer, 40));
}

#[test]
fn h264_with_b_frames_is_encoded_anew_in_display_order() {
    let data = include_bytes!("../../../trtc-codec/tests/data/b_frames_320x192_12fps.h264");
    assert!(h264::has_b_frames(data));
    let (server, file) = (TestServer::start(), TempFile::new("b-frames.h264", data));
    let (_sender, viewer) = viewer(&server, "b frames", |sender| {
        let param = VideoEncoderParam { width: 320, height: 192, fps: FPS, bitrate_kbps: 1000, min_bitrate_kbps: 0 };
        sender.cloud.set_video_encoder_param(BIG, param).unwrap();
        sender.cloud.start_file_source(BIG, &FileSource { fps: FPS, ..FileSource::new(&file.0) }).unwrap();
    });
    assert_good(&rounds(&viewer, 60));
}

#[test]
fn a_file_that_does_not_repeat_plays_once() {
    let (server, file) = (TestServer::start(), TempFile::new("once.y4m", &y4m(48)));
    let (_sender, viewer) = viewer(&server, "once", |sender| {
        sender.cloud.start_file_source(BIG, &FileSource { repeat: false, ..FileSource::new(&file.0) }).unwrap();
    });
    let indices = || -> Vec<u16> {
        let pictures = viewer.pictures("sender", BIG);
        pictures.iter().filter_map(|p| read_time_code(p)).map(|code| code.index).collect()
    };
    until("the end", || indices().last().is_some_and(|index| *index >= 46));
    viewer.wait_remote("nothing more", "sender", BIG, |r| r.video_bitrate_kbps == 0);
    assert!(indices().is_sorted_by(|a, b| a < b), "{:?}", indices());
}

/// 2 s of a tone at any rate, as a WAV file.
pub fn wav(hz: f64, rate: u32, channels: u16, bits: u16, float: bool) -> Vec<u8> {
    let sample_format = if float { hound::SampleFormat::Float } else { hound::SampleFormat::Int };
    let spec = hound::WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format };
    let mut file = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
    for index in 0..2 * rate {
        let value = 0.3 * (std::f64::consts::TAU * hz * f64::from(index) / f64::from(rate)).sin();
        for _ in 0..channels {
            if float {
                writer.write_sample(value as f32).unwrap();
            } else {
                writer.write_sample((value * f64::from((1i64 << (bits - 1)) as u32)) as i32).unwrap();
            }
        }
    }
    writer.finalize().unwrap();
    file.into_inner()
}

#[test]
fn wav_of_all_kinds_keeps_its_tone() {
    let server = TestServer::start();
    let (sender, viewer) = viewer(&server, "wav", |_| {});
    for (hz, rate, channels, bits, float) in [
        (500.0, 48_000, 1, 16, false),
        (620.0, 44_100, 2, 16, false),
        (740.0, 16_000, 1, 8, false),
        (860.0, 96_000, 1, 24, false),
        (980.0, 22_050, 2, 32, true),
    ] {
        let file = TempFile::new("tone.wav", &wav(hz, rate, channels, bits, float));
        sender.cloud.start_file_source(BIG, &FileSource::new(&file.0)).unwrap();
        viewer.hear("sender", hz);
    }
    // Sound and picture are sources of their own; stopping the main stream ends both.
    let video = TempFile::new("beside.y4m", &y4m(12));
    sender.cloud.start_file_source(BIG, &FileSource::new(&video.0)).unwrap();
    viewer.hear("sender", 980.0);
    viewer.see("sender", BIG, 5);
    sender.cloud.stop_source(BIG).unwrap();
    viewer.wait("silence", |e| matches!(e, Event::UserAudioAvailable(who, false) if *who == user("sender")));
    viewer.wait("no picture", |e| matches!(e, Event::UserVideoAvailable(who, false) if *who == user("sender")));
}
