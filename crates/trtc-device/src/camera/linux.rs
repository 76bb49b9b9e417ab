//! V4L2 cameras: listed by `v4l`, with rates as fractions; opened by nokhwa or, where that refuses (a rate that is no whole
//! number, a pixel format it does not know), by `v4l`.
use super::nokhwa::Nokhwa;
use super::{nearest, pixels};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;
use trtc_types::{Camera, CameraFormat, CameraPixel, Cameras, Code, DeviceInfo, Error, Result, VideoFrame};
use v4l::capability::Flags;
use v4l::io::mmap::Stream;
use v4l::io::traits::CaptureStream;
use v4l::video::Capture;
use v4l::{Device, FourCC, Fraction};

const BUFFERS: u32 = 4;
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// Sizes tried where a camera takes any.
const USUAL: [(u32, u32); 5] = [(320, 240), (640, 360), (640, 480), (1280, 720), (1920, 1080)];
const USUAL_FPS: [u32; 3] = [10, 15, 30];

/// The cameras under `/dev/video*`; their ids are these paths.
pub struct SystemCameras;

impl Cameras for SystemCameras {
    fn cameras(&self) -> Result<Vec<DeviceInfo>> {
        let mut nodes = v4l::context::enum_devices();
        nodes.sort_by_key(v4l::context::Node::index);
        let (mut found, mut refused) = (Vec::new(), None);
        for node in &nodes {
            let id = node.path().to_string_lossy().into_owned();
            let device = match Device::with_path(node.path()) {
                Ok(device) => device,
                Err(error) => {
                    log::debug!("camera {id}: {error}");
                    refused = refused
                        .or_else(|| (error.kind() == ErrorKind::PermissionDenied).then(|| failed_io(&id, &error)));
                    continue;
                }
            };
            let formats = formats(&device);
            let name = node.name().unwrap_or_else(|| id.clone());
            // A camera has further nodes, for its metadata, which deliver no pictures.
            if !formats.is_empty() {
                found.push(DeviceInfo { id, name, is_default: false, formats });
            }
        }
        refused.filter(|_| found.is_empty()).map_or(Ok(found), Err)
    }

    /// The nodes, with the moment at which their rights last changed.
    fn trace(&self) -> Vec<String> {
        let nodes = std::fs::read_dir("/dev").into_iter().flatten().flatten();
        let mut trace: Vec<String> = nodes
            .filter_map(|node| {
                let name = node.file_name().into_string().ok().filter(|name| name.starts_with("video"))?;
                let seen = node.metadata().ok()?;
                Some(format!("{name} {} {}.{}", seen.ino(), seen.ctime(), seen.ctime_nsec()))
            })
            .collect();
        trace.sort_unstable();
        trace
    }

    fn open_camera(&self, id: &str, width: u32, height: u32, fps: u32) -> Result<Box<dyn Camera>> {
        let device = Device::with_path(id).map_err(|e| failed_io(id, &e))?;
        let format = nearest(&formats(&device), width, height, fps);
        drop(device);
        Ok(open(id, format.ok_or_else(|| failed(id, &"it has no format that is understood here"))?)?.0)
    }
}

/// Opens a camera in exactly this format, and says by which library.
///
/// # Errors
/// As [`Cameras::open_camera`].
pub fn open(id: &str, format: CameraFormat) -> Result<(Box<dyn Camera>, &'static str)> {
    let device = || Device::with_path(id).map_err(|e| failed_io(id, &e));
    if format.fps.1 == 1 && format.pixel != CameraPixel::I420 {
        // nokhwa asks for what is set now, too: a fraction left by another program would stop it.
        if let Err(error) = set(&device()?, format)
            && error.kind() == ErrorKind::ResourceBusy
        {
            return Err(failed_io(id, &error));
        }
        match Nokhwa::open(id, format) {
            Ok(camera) => return Ok((Box::new(camera), "nokhwa")),
            Err(error) => log::info!("{}; v4l is used", error.message),
        }
    }
    Ok((Box::new(Direct::open(id, &device()?, format)?), "v4l"))
}

fn formats(device: &Device) -> Vec<CameraFormat> {
    let captures = device.query_caps().is_ok_and(|c| c.capabilities.contains(Flags::VIDEO_CAPTURE));
    if !captures {
        return Vec::new();
    }
    let mut found = Vec::new();
    for description in device.enum_formats().unwrap_or_default() {
        let Some(pixel) = pixel(description.fourcc) else { continue };
        for (width, height) in sizes(device, description.fourcc) {
            for fps in rates(device, description.fourcc, width, height) {
                found.push(CameraFormat { width, height, fps, pixel });
            }
        }
    }
    found
}

fn sizes(device: &Device, fourcc: FourCC) -> Vec<(u32, u32)> {
    use v4l::framesize::FrameSizeEnum::{Discrete, Stepwise};
    let mut sizes = Vec::new();
    for each in device.enum_framesizes(fourcc).unwrap_or_default() {
        match each.size {
            Discrete(size) => sizes.push((size.width, size.height)),
            Stepwise(s) => {
                sizes.extend(USUAL.into_iter().filter(|(w, h)| {
                    (s.min_width..=s.max_width).contains(w) && (s.min_height..=s.max_height).contains(h)
                }))
            }
        }
    }
    sizes.retain(|(width, height)| width % 2 == 0 && height % 2 == 0);
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// Frames per second as fractions; V4L2 tells intervals.
fn rates(device: &Device, fourcc: FourCC, width: u32, height: u32) -> Vec<(u32, u32)> {
    use v4l::frameinterval::FrameIntervalEnum::{Discrete, Stepwise};
    let mut rates = Vec::new();
    for each in device.enum_frameintervals(fourcc, width, height).unwrap_or_default() {
        match each.interval {
            Discrete(interval) => rates.extend(rate(interval)),
            Stepwise(s) => rates.extend(USUAL_FPS.into_iter().map(|fps| (fps, 1)).filter(|fps| {
                let fast = rate(s.min).is_none_or(|top| u64::from(fps.0) * u64::from(top.1) <= u64::from(top.0));
                let slow = rate(s.max).is_none_or(|low| u64::from(fps.0) * u64::from(low.1) >= u64::from(low.0));
                fast && slow
            })),
        }
    }
    rates
}

/// The rate of an interval, in lowest terms.
fn rate(interval: Fraction) -> Option<(u32, u32)> {
    let (mut a, mut b) = (interval.denominator, interval.numerator);
    if a == 0 || b == 0 {
        return None;
    }
    while b != 0 {
        (a, b) = (b, a % b);
    }
    Some((interval.denominator / a, interval.numerator / a))
}

fn pixel(fourcc: FourCC) -> Option<CameraPixel> {
    match &fourcc.repr {
        b"YU12" => Some(CameraPixel::I420),
        b"NV12" => Some(CameraPixel::Nv12),
        b"YUYV" => Some(CameraPixel::Yuyv),
        b"MJPG" | b"JPEG" => Some(CameraPixel::Mjpeg),
        _ => None,
    }
}

/// Sets size, pixels and rate; returns what the device made of it.
fn set(device: &Device, format: CameraFormat) -> std::io::Result<CameraFormat> {
    let fourcc = match format.pixel {
        CameraPixel::I420 => b"YU12",
        CameraPixel::Nv12 => b"NV12",
        CameraPixel::Yuyv => b"YUYV",
        CameraPixel::Mjpeg => b"MJPG",
    };
    let wanted = v4l::Format::new(format.width, format.height, FourCC::new(fourcc));
    let got = device.set_format(&wanted)?;
    let interval = Fraction::new(format.fps.1, format.fps.0);
    let params = device.set_params(&v4l::video::capture::Parameters::new(interval))?;
    let pixel = pixel(got.fourcc).ok_or_else(|| std::io::Error::other(format!("it insists on {}", got.fourcc)))?;
    Ok(CameraFormat { width: got.width, height: got.height, fps: rate(params.interval).unwrap_or(format.fps), pixel })
}

/// A camera opened by `v4l`.
struct Direct {
    id: String,
    stream: Stream<'static>,
    format: CameraFormat,
}

impl Direct {
    fn open(id: &str, device: &Device, format: CameraFormat) -> Result<Self> {
        let format = set(device, format).map_err(|e| failed_io(id, &e))?;
        let mut stream =
            Stream::with_buffers(device, v4l::buffer::Type::VideoCapture, BUFFERS).map_err(|e| failed_io(id, &e))?;
        stream.set_timeout(PATIENCE);
        Ok(Self { id: id.to_owned(), stream, format })
    }
}

impl Camera for Direct {
    fn format(&self) -> CameraFormat {
        self.format
    }

    fn picture(&mut self) -> Result<Option<VideoFrame>> {
        match self.stream.next() {
            // The buffer is longer than what was written to it.
            Ok((data, meta)) => Ok(picture(self.format, &data[..data.len().min(meta.bytesused as usize)])),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Ok(None),
            Err(error) => Err(failed(&self.id, &error)),
        }
    }
}

/// A broken picture is left out: the first ones of many webcams are.
pub(super) fn picture(format: CameraFormat, data: &[u8]) -> Option<VideoFrame> {
    match pixels::to_i420(format.pixel, format.width as usize, format.height as usize, data) {
        Ok(picture) => Some(VideoFrame { picture: Arc::new(picture), time: Duration::ZERO }),
        Err(error) => {
            log::debug!("{}", error.message);
            None
        }
    }
}

/// With the number of the vendor's warning where the system's reason has one.
fn failed_io(id: &str, error: &std::io::Error) -> Error {
    let code = match error.kind() {
        ErrorKind::PermissionDenied => Code::WARN_CAMERA_NOT_AUTHORIZED,
        ErrorKind::ResourceBusy => Code::WARN_CAMERA_IS_OCCUPIED,
        _ => Code::FAILED,
    };
    Error { code, ..failed(id, error) }
}

pub(super) fn failed(id: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(Code::FAILED, format!("camera {id}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_fractions_in_lowest_terms() {
        let of = |numerator, denominator| rate(Fraction::new(numerator, denominator));
        assert_eq!(of(1, 30), Some((30, 1)));
        assert_eq!(of(1001, 30_000), Some((30_000, 1001)));
        assert_eq!(of(2, 25), Some((25, 2)));
        assert_eq!(of(333_333, 10_000_000), Some((10_000_000, 333_333)));
        assert_eq!(of(10, 300), Some((30, 1)));
        assert_eq!((of(0, 30), of(1, 0)), (None, None));
    }
}
