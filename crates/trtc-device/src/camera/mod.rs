//! Cameras. On Linux V4L2, through nokhwa and, for what that refuses, v4l.
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod nokhwa;
pub mod pixels;

#[cfg(target_os = "linux")]
pub use linux::{SystemCameras, open};
#[cfg(not(target_os = "linux"))]
pub use none::SystemCameras;
use trtc_types::CameraFormat;

/// The format that serves a wish best: not smaller and not slower if possible, then not much larger, then cheap to convert.
#[must_use]
pub fn nearest(formats: &[CameraFormat], width: u32, height: u32, fps: u32) -> Option<CameraFormat> {
    let cost = |f: &CameraFormat| {
        let small = f.width < width || f.height < height;
        let pixels = u64::from(f.width) * u64::from(f.height);
        // Too small: the largest first. Large enough: the smallest first.
        let size = if small { u64::MAX / 2 - pixels } else { pixels };
        // 29.97 serves a wish for 30.
        let slow = f.rate() < f64::from(fps) * 0.99;
        let missing = if slow { (f64::from(fps) - f.rate()) * 1000.0 } else { 0.0 };
        (small, missing as u64, size, (f.rate() * 1000.0) as u64, f.pixel)
    };
    formats.iter().copied().min_by_key(cost)
}

#[cfg(not(target_os = "linux"))]
mod none {
    use trtc_types::{Camera, Cameras, DeviceInfo, Error, Result};

    /// No cameras here yet.
    pub struct SystemCameras;

    impl Cameras for SystemCameras {
        fn cameras(&self) -> Result<Vec<DeviceInfo>> {
            Err(Error::not_supported("cameras are supported on Linux only"))
        }

        fn trace(&self) -> Vec<String> {
            Vec::new()
        }

        fn open_camera(&self, _: &str, _: u32, _: u32, _: u32) -> Result<Box<dyn Camera>> {
            Err(Error::not_supported("cameras are supported on Linux only"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trtc_types::CameraPixel;

    #[test]
    fn the_nearest_format_is_not_smaller_nor_slower() {
        use CameraPixel::{Mjpeg, Nv12, Yuyv};
        let format = |width, height, fps, pixel| CameraFormat { width, height, fps, pixel };
        // As a usual webcam: raw pictures are slow when large.
        let formats = [
            format(640, 480, (30, 1), Yuyv),
            format(640, 480, (30, 1), Mjpeg),
            format(640, 360, (30_000, 1001), Yuyv),
            format(1280, 720, (10, 1), Yuyv),
            format(1280, 720, (30, 1), Mjpeg),
            format(1920, 1080, (5, 1), Yuyv),
            format(1920, 1080, (30, 1), Mjpeg),
        ];
        let chosen = |w, h, fps| nearest(&formats, w, h, fps).map(|f| (f.width, f.height, f.fps.0, f.pixel));
        assert_eq!(chosen(640, 360, 30), Some((640, 360, 30_000, Yuyv)));
        assert_eq!(chosen(640, 480, 15), Some((640, 480, 30, Yuyv)));
        assert_eq!(chosen(1280, 720, 30), Some((1280, 720, 30, Mjpeg)));
        assert_eq!(chosen(1280, 720, 10), Some((1280, 720, 10, Yuyv)));
        assert_eq!(chosen(3840, 2160, 30), Some((1920, 1080, 30, Mjpeg)));
        assert_eq!(nearest(&[format(320, 240, (15, 2), Nv12)], 640, 360, 30).map(|f| f.width), Some(320));
        assert_eq!(nearest(&[], 640, 360, 30), None);
    }
}
