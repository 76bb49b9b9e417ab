//! Files that play as local streams.
use crate::params::{FileSource, within};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use trtc_bitstream::h264;
use trtc_codec::H264Decoder;
use trtc_media::raw_video::{Y4mHeader, i420_bytes};
use trtc_types::{Code, EncodedVideo, Error, I420, Result, VideoDecoder};

const H264_MAX_BYTES: u64 = 512 << 20;
/// An hour of 48 kHz stereo.
const WAV_MAX_SAMPLES: u32 = 48_000 * 2 * 3600;
const Y4M_LINE_MAX: u64 = 4096;
/// The rate of a file that does not tell it.
const FPS_UNKNOWN: (u32, u32) = (30, 1);
/// A stream whose key frames are further apart is re-encoded, so that late joiners get one when they ask.
const KEY_DISTANCE_MAX: Duration = Duration::from_millis(500);

/// What a video file gives next.
pub(crate) enum Picture {
    Raw(Arc<I420>),
    Encoded(EncodedVideo),
}

pub(crate) struct VideoFile {
    path: PathBuf,
    kind: Kind,
    repeat: bool,
    /// From one picture to the next, exactly.
    pub(crate) interval: Duration,
    /// The nearest whole rate, for the encoder.
    pub(crate) fps: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

enum Kind {
    Y4m { reader: BufReader<File>, header: Y4mHeader },
    Raw { reader: BufReader<File> },
    Passthrough(AccessUnits),
    Decoded { units: AccessUnits, decoder: H264Decoder },
}

#[derive(Clone)]
struct AccessUnits {
    data: bytes::Bytes,
    ranges: Vec<std::ops::Range<usize>>,
    next: usize,
}

/// The kinds of a path by its extension.
pub(crate) fn is_wav(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("wav"))
}

impl VideoFile {
    pub(crate) fn open(source: &FileSource) -> Result<Self> {
        let extension = source.path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        match extension.as_str() {
            "y4m" => Self::y4m(source),
            "yuv" | "i420" | "raw" => Self::raw(source),
            "h264" | "264" | "avc" => Self::h264(source),
            _ => Err(file_error(&source.path, "unknown kind: .h264, .y4m, .yuv or .wav expected")),
        }
    }

    /// The next picture; `None` at the end when it does not repeat.
    pub(crate) fn next(&mut self) -> Result<Option<Picture>> {
        if let Some(picture) = self.read()? {
            return Ok(Some(picture));
        }
        if !self.repeat {
            return Ok(None);
        }
        self.rewind()?;
        self.read()?.map(Some).ok_or_else(|| self.no_picture())
    }

    /// From now on gives pictures, to be encoded anew; what was passed through goes back to its last key frame.
    pub(crate) fn reencode(&mut self) -> Result<()> {
        if let Kind::Passthrough(units) = &self.kind {
            let mut units = units.clone();
            let is_key = |at: &usize| h264::is_key(&units.data[units.ranges[*at].clone()]);
            units.next = (0..units.next).rev().find(is_key).unwrap_or(0);
            self.kind = Kind::Decoded { units, decoder: H264Decoder::new()? };
        }
        Ok(())
    }

    fn new(source: &FileSource, kind: Kind, own_rate: (u32, u32), width: u32, height: u32) -> Self {
        let (n, d) = if source.fps > 0 { (source.fps, 1) } else { own_rate };
        let hz = (f64::from(n) / f64::from(d.max(1))).clamp(1.0, 60.0);
        let (interval, fps) = (Duration::from_secs_f64(1.0 / hz), hz.round() as u32);
        Self { path: source.path.clone(), kind, repeat: source.repeat, interval, fps, width, height }
    }

    /// A file without one whole picture is refused when it is opened, rather than being a stream that never starts.
    fn checked(mut self) -> Result<Self> {
        self.read()?.ok_or_else(|| self.no_picture())?;
        self.rewind()?;
        Ok(self)
    }

    fn no_picture(&self) -> Error {
        let Self { width, height, .. } = self;
        file_error(&self.path, format!("holds no whole picture of {width}x{height}"))
    }

    fn y4m(source: &FileSource) -> Result<Self> {
        let mut reader = BufReader::with_capacity(1 << 20, open(&source.path)?);
        let mut line = Vec::new();
        read_line(&mut reader, &mut line).map_err(|e| file_error(&source.path, e))?;
        let header = Y4mHeader::parse(&line).map_err(|e| file_error(&source.path, e.message))?;
        let (width, height) = (header.width as u32, header.height as u32);
        Self::new(source, Kind::Y4m { reader, header }, header.fps, width, height).checked()
    }

    fn raw(source: &FileSource) -> Result<Self> {
        within("width", source.width, 16, 3840)?;
        within("height", source.height, 16, 2160)?;
        let reader = BufReader::with_capacity(1 << 20, open(&source.path)?);
        Self::new(source, Kind::Raw { reader }, FPS_UNKNOWN, source.width, source.height).checked()
    }

    fn h264(source: &FileSource) -> Result<Self> {
        let mut data = Vec::new();
        let mut file = open(&source.path)?.take(H264_MAX_BYTES + 1);
        file.read_to_end(&mut data).map_err(|e| file_error(&source.path, e))?;
        if data.len() as u64 > H264_MAX_BYTES {
            return Err(file_error(&source.path, "larger than 512 MB"));
        }
        let data = bytes::Bytes::from(data);
        let base = data.as_ptr() as usize;
        let ranges: Vec<_> = h264::access_units(&data)
            .map(|unit| {
                let start = unit.as_ptr() as usize - base;
                start..start + unit.len()
            })
            .collect();
        let sps = h264::nal_units(&data).find_map(h264::parse_sps);
        let (Some(sps), false) = (sps, ranges.is_empty()) else {
            return Err(file_error(&source.path, "not an H.264 Annex B stream"));
        };
        let keys: Vec<usize> = (0..ranges.len()).filter(|i| h264::is_key(&data[ranges[*i].clone()])).collect();
        if keys.first() != Some(&0) {
            return Err(file_error(&source.path, "does not begin with a key frame"));
        }
        let ends = keys.iter().copied().skip(1).chain([ranges.len()]);
        let distance = keys.iter().zip(ends).map(|(a, b)| b - a).max().unwrap_or(0);
        let units = AccessUnits { ranges, next: 0, data: data.clone() };
        let kind = Kind::Decoded { units: units.clone(), decoder: H264Decoder::new()? };
        let rate = sps.frame_rate.unwrap_or(FPS_UNKNOWN);
        let mut file = Self::new(source, kind, rate, sps.width, sps.height).checked()?;
        let late_joiners_wait = file.interval * u32::try_from(distance).unwrap_or(u32::MAX) > KEY_DISTANCE_MAX;
        if !late_joiners_wait && !h264::has_b_frames(&data) {
            file.kind = Kind::Passthrough(units);
        }
        Ok(file)
    }

    fn read(&mut self) -> Result<Option<Picture>> {
        let (width, height) = (self.width as usize, self.height as usize);
        let failed = |e: io::Error| file_error(&self.path, e);
        match &mut self.kind {
            Kind::Y4m { reader, header } => {
                let mut frame = Vec::with_capacity(header.frame_bytes());
                read_line(reader, &mut frame).map_err(failed)?;
                let line = frame.len();
                frame.resize(line + i420_bytes(width, height), 0);
                if line == 0 || !fill(reader, &mut frame[line..]).map_err(failed)? {
                    return Ok(None);
                }
                let picture =
                    header.frame(&frame).map_err(|_| file_error(&self.path, "no FRAME line before a picture"))?;
                Ok(picture.map(|(picture, _)| Picture::Raw(Arc::new(picture))))
            }
            Kind::Raw { reader } => {
                let mut frame = vec![0; i420_bytes(width, height)];
                if !fill(reader, &mut frame).map_err(failed)? {
                    return Ok(None);
                }
                Ok(I420::from_packed(width, height, frame).map(|p| Picture::Raw(Arc::new(p))))
            }
            Kind::Passthrough(units) => Ok(units.next_unit().map(Picture::Encoded)),
            Kind::Decoded { units, decoder } => {
                while let Some(unit) = units.next_unit() {
                    // A damaged picture is skipped; the file goes on.
                    if let Ok(Some(frame)) = decoder.decode(&unit) {
                        return Ok(Some(Picture::Raw(frame.picture)));
                    }
                }
                Ok(None)
            }
        }
    }

    fn rewind(&mut self) -> Result<()> {
        let to = |reader: &mut BufReader<File>, at: usize| {
            reader.seek(SeekFrom::Start(at as u64)).map(|_| ()).map_err(|e| file_error(&self.path, e))
        };
        match &mut self.kind {
            Kind::Y4m { reader, header } => to(reader, header.length),
            Kind::Raw { reader } => to(reader, 0),
            Kind::Passthrough(units) => {
                units.next = 0;
                Ok(())
            }
            Kind::Decoded { units, decoder } => {
                units.next = 0;
                *decoder = H264Decoder::new()?;
                Ok(())
            }
        }
    }
}

impl AccessUnits {
    fn next_unit(&mut self) -> Option<EncodedVideo> {
        let range = self.ranges.get(self.next)?.clone();
        self.next += 1;
        let data = self.data.slice(range);
        let key = h264::is_key(&data);
        Some(EncodedVideo { data, key, time: Duration::ZERO })
    }
}

/// A whole WAV file as 16-bit samples.
pub(crate) struct WavFile {
    pub(crate) rate: u32,
    pub(crate) channels: u16,
    pub(crate) samples: Vec<i16>,
}

impl WavFile {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed = |e: hound::Error| file_error(path, format!("WAV file: {e}"));
        let mut reader = hound::WavReader::open(path).map_err(failed)?;
        let spec = reader.spec();
        if !(1..=2).contains(&spec.channels) || !(8_000..=192_000).contains(&spec.sample_rate) {
            return Err(file_error(path, "1 or 2 channels at 8 to 192 kHz expected"));
        }
        if reader.len() > WAV_MAX_SAMPLES {
            return Err(file_error(path, format!("more than {WAV_MAX_SAMPLES} samples")));
        }
        let samples: std::result::Result<Vec<i16>, hound::Error> = match spec.sample_format {
            hound::SampleFormat::Float => {
                reader.samples::<f32>().map(|s| s.map(|v| (v.clamp(-1.0, 1.0) * 32_767.0) as i16)).collect()
            }
            hound::SampleFormat::Int if spec.bits_per_sample <= 16 => {
                let shift = 16 - spec.bits_per_sample;
                reader.samples::<i32>().map(|s| s.map(|v| (v << shift) as i16)).collect()
            }
            hound::SampleFormat::Int => {
                let shift = spec.bits_per_sample - 16;
                reader.samples::<i32>().map(|s| s.map(|v| (v >> shift) as i16)).collect()
            }
        };
        let samples = samples.map_err(failed)?;
        if samples.is_empty() {
            return Err(file_error(path, "no sound in it"));
        }
        Ok(Self { rate: spec.sample_rate, channels: spec.channels, samples })
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| file_error(path, e))
}

/// Appends a line and its end; nothing at the end of the file.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    reader.take(Y4M_LINE_MAX).read_until(b'\n', line).map(|_| ())
}

/// Fills the buffer; `false` at the end of the file, also when the last frame is cut off.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

fn file_error(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(Code::FILE, format!("path {}: {why}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use trtc_codec::H264Encoder;
    use trtc_media::pattern::{Pattern, read_time_code};
    use trtc_types::{EncoderTarget, VideoEncoder, VideoFrame};

    fn h264(frames: u32, key_every: u32) -> (std::path::PathBuf, u32) {
        let target = EncoderTarget { width: 320, height: 192, bitrate_bps: 600_000, fps: 15 };
        let mut encoder = H264Encoder::new(target).unwrap();
        let (mut data, mut units) = (Vec::new(), 0);
        for i in 0..frames {
            let picture = Arc::new(Pattern::new(320, 192).frame(i, i));
            let frame = VideoFrame { picture, time: Duration::from_millis(u64::from(i) * 66) };
            if let Some(unit) = encoder.encode(&frame, i % key_every == 0).unwrap() {
                data.extend_from_slice(&unit.data);
                units += 1;
            }
        }
        let path = std::env::temp_dir().join(format!("trtc-files-{}-{key_every}.h264", std::process::id()));
        std::fs::write(&path, data).unwrap();
        (path, units)
    }

    #[test]
    fn a_plain_h264_file_is_passed_through_and_repeats() {
        let (path, units) = h264(20, 7);
        let mut file = VideoFile::open(&FileSource { fps: 15, ..FileSource::new(&path) }).unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!((file.width, file.height, file.fps), (320, 192, 15));
        for i in 0..2 * units {
            let Some(Picture::Encoded(unit)) = file.next().unwrap() else {
                panic!("unit {i} is missing or re-encoded")
            };
            assert_eq!(unit.key, h264::is_key(&unit.data));
            assert!(unit.key || i % units != 0);
        }
        file.next().unwrap();
        file.reencode().unwrap();
        assert!(matches!(file.next().unwrap(), Some(Picture::Raw(_))), "a small stream needs pictures");
    }

    #[test]
    fn key_frames_far_apart_are_decoded_to_be_encoded_anew() {
        let (path, units) = h264(40, 1000);
        let source = FileSource { fps: 15, repeat: false, ..FileSource::new(&path) };
        let mut file = VideoFile::open(&source).unwrap();
        std::fs::remove_file(path).unwrap();
        let mut seen = 0;
        while let Some(picture) = file.next().unwrap() {
            let Picture::Raw(picture) = picture else { panic!("passed through") };
            assert!(read_time_code(&picture).is_some());
            seen += 1;
        }
        assert!(seen + 1 >= units, "{seen} of {units}");
    }
}
