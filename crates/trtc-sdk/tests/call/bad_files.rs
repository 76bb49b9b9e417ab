//! Files that cannot be played: told at once where possible, by an event where not, and always by name.
use crate::files::{TempFile, h264, picture, wav, y4m};
use crate::guest::{Guest, until};
use trtc_sdk::types::{Code, Error, StreamType};
use trtc_sdk::{Event, FileSource, PatternSource};

const BIG: StreamType = StreamType::Big;

fn refused(guest: &Guest, source: &FileSource) -> Error {
    let error = guest.cloud.start_file_source(BIG, source).unwrap_err();
    assert!(error.code != Code::FILE || error.message.starts_with("path "), "{error}");
    error
}

#[test]
fn a_bad_file_is_told_by_its_path_and_what_is_wrong() {
    let guest = Guest::new();
    let (h264, y4m, wav) = (h264(12, 12), y4m(2), wav(440.0, 48_000, 1, 16, false));
    let idr = trtc_bitstream::h264::access_units(&h264).nth(1).unwrap().to_vec();
    let sps_only: Vec<u8> = h264[..h264.windows(4).skip(4).position(|w| w == [0, 0, 0, 1]).unwrap() + 4].to_vec();
    let mut headless = y4m.clone();
    headless[0] = b'X';
    let mut no_frame = y4m.clone();
    let at = no_frame.iter().position(|b| *b == b'\n').unwrap() + 1;
    no_frame[at..at + 5].copy_from_slice(b"XRAME");
    let mut garbled = h264.clone();
    garbled.iter_mut().skip(60).for_each(|b| *b = b.wrapping_mul(31).max(4));
    let mut riff = wav.clone();
    riff[0] = b'X';
    for (name, data, why) in [
        ("empty.y4m", &b""[..], "header"),
        ("header.y4m", &headless, "YUV4MPEG2"),
        ("only-header.y4m", &y4m[..at], "no whole picture"),
        ("cut.y4m", &y4m[..at + 6 + 1000], "no whole picture"),
        ("no-frame.y4m", &no_frame, "no FRAME line"),
        ("422.y4m", b"YUV4MPEG2 W16 H16 C422\n", "4:2:0"),
        ("size.y4m", b"YUV4MPEG2 W16\n", "height"),
        ("empty.yuv", b"", "no whole picture of 320x192"),
        ("cut.yuv", &picture(0).data()[1..], "no whole picture of 320x192"),
        ("empty.h264", b"", "Annex B"),
        ("text.h264", b"this is no video, but it is long enough to be one", "Annex B"),
        ("p-first.h264", &[&sps_only[..], &idr].concat(), "key frame"),
        ("sps.h264", &sps_only, "key frame"),
        ("garbled.h264", &garbled, "no whole picture"),
        ("empty.wav", b"", "WAV file"),
        ("header.wav", &riff, "RIFF"),
        ("cut.wav", &wav[..wav.len() / 2], "WAV file"),
        ("only-header.wav", &wav[..44], "WAV file"),
        ("kind.mkv", b"x", "unknown kind"),
        ("kind", b"x", "unknown kind"),
    ] {
        let file = TempFile::new(name, data);
        let error = refused(&guest, &FileSource { width: 320, height: 192, ..FileSource::new(&file.0) });
        assert_eq!(error.code, Code::FILE, "{name}: {error}");
        assert!(error.message.contains(name) && error.message.contains(why), "{name}: {error}");
    }
    for name in ["missing.y4m", "missing.yuv", "missing.h264", "missing.wav"] {
        let path = std::env::temp_dir().join("trtc-no-such-directory").join(name);
        let error = refused(&guest, &FileSource { width: 320, height: 192, ..FileSource::new(path) });
        assert!(error.code == Code::FILE && error.message.contains(name), "{error}");
    }
    let directory = std::env::temp_dir().join(format!("trtc-{}.y4m", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    assert_eq!(refused(&guest, &FileSource::new(&directory)).code, Code::FILE);
    std::fs::remove_dir(directory).unwrap();
    let raw = TempFile::new("range.yuv", picture(0).data());
    for (field, source) in [
        ("width", FileSource { width: 15, height: 192, ..FileSource::new(&raw.0) }),
        ("height", FileSource { width: 320, height: 2161, ..FileSource::new(&raw.0) }),
        ("fps", FileSource { width: 320, height: 192, fps: 61, ..FileSource::new(&raw.0) }),
    ] {
        let error = refused(&guest, &source);
        assert!(error.code == Code::INVALID_PARAMETER && error.message.starts_with(field), "{error}");
    }
    assert_eq!(guest.errors(), []);
}

#[test]
fn a_bad_file_leaves_the_running_source_alone() {
    let guest = Guest::new();
    guest.cloud.start_pattern_source(BIG, PatternSource::default()).unwrap();
    guest.wait("a picture", |e| matches!(e, Event::FirstVideoFrame { user: None, .. }));
    let file = TempFile::new("bad.y4m", b"YUV4MPEG2\n");
    refused(&guest, &FileSource::new(&file.0));
    let _ = guest.cloud.acquire_video(None, BIG);
    until("another picture", || guest.cloud.acquire_video(None, BIG).is_ok());
}

#[test]
fn damage_that_shows_later_is_told_by_an_event() {
    let guest = Guest::new();
    let mut data = y4m(3);
    let second = data.windows(5).rposition(|w| w == b"FRAME").unwrap();
    data[second] = b'X';
    let file = TempFile::new("later.y4m", &data);
    guest.cloud.start_file_source(BIG, &FileSource { fps: 60, ..FileSource::new(&file.0) }).unwrap();
    until("the error", || !guest.errors().is_empty());
    let (code, message) = guest.errors().remove(0);
    assert!(code == Code::FILE && message.contains("later.y4m") && message.contains("no FRAME line"), "{message}");
}
