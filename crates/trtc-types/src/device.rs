//! Devices: what they are called, and the traits that the adapter (`trtc-device`, or a test) implements.
use crate::{Error, Result, VideoFrame};
use std::sync::Arc;

/// One device, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Stable over restarts as far as the system's names are; for programs.
    pub id: String,
    /// For people.
    pub name: String,
    /// The system's default of its kind; cameras have none.
    pub is_default: bool,
    /// What a camera can deliver; empty for sound.
    pub formats: Vec<CameraFormat>,
}

/// One way in which a camera can deliver pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CameraFormat {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames per second as a fraction, such as (30000, 1001).
    pub fps: (u32, u32),
    /// How pixels are stored.
    pub pixel: CameraPixel,
}

impl CameraFormat {
    /// Frames per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        f64::from(self.fps.0) / f64::from(self.fps.1.max(1))
    }
}

/// How a camera stores pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CameraPixel {
    /// Planar 4:2:0: Y, U, V.
    I420,
    /// 4:2:0: Y, then U and V interleaved.
    Nv12,
    /// Packed 4:2:2: Y U Y V.
    Yuyv,
    /// A JPEG picture a frame.
    Mjpeg,
}

/// One sample of both channels, left and right.
pub type StereoFrame = [i16; 2];

/// Takes captured sound. Called on the device's thread: it must not block, lock or allocate.
pub trait CaptureSink: Send {
    /// The next frames, of any number.
    fn captured(&mut self, frames: &[StereoFrame]);
}

/// Gives sound to play. Called on the device's thread: it must not block, lock or allocate.
pub trait PlayoutSource: Send {
    /// Fills all frames; silence where there is no sound.
    fn play(&mut self, frames: &mut [StereoFrame]);
}

/// Told once when an open stream has failed. May be called on any thread.
pub type StreamLost = Arc<dyn Fn(Error) + Send + Sync>;

/// An open microphone or speaker.
pub struct AudioStream {
    /// Frames per second at which the device runs.
    pub rate_hz: u32,
    /// Dropping it closes the device.
    pub guard: Box<dyn Send>,
}

/// The system's microphones and speakers. Calls may block for some 100 ms, so none is made on a host's thread that must not.
pub trait AudioDevices: Send + Sync {
    /// The microphones there are now.
    ///
    /// # Errors
    /// `FAILED` when the system's sound service does not answer.
    fn microphones(&self) -> Result<Vec<DeviceInfo>>;

    /// The speakers there are now.
    ///
    /// # Errors
    /// As [`AudioDevices::microphones`].
    fn speakers(&self) -> Result<Vec<DeviceInfo>>;

    /// Opens a microphone; sound comes in small blocks soon.
    ///
    /// # Errors
    /// `FAILED`, with the system's words.
    fn open_microphone(&self, id: &str, sink: Box<dyn CaptureSink>, lost: StreamLost) -> Result<AudioStream>;

    /// Opens a speaker; it asks for small blocks.
    ///
    /// # Errors
    /// `FAILED`, with the system's words.
    fn open_speaker(&self, id: &str, source: Box<dyn PlayoutSource>, lost: StreamLost) -> Result<AudioStream>;
}

/// An open camera. It stays on the thread that opened it.
pub trait Camera {
    /// What it delivers.
    fn format(&self) -> CameraFormat;

    /// Waits for the next picture, at most about a second; `None` when none came. The time of the picture is left zero.
    ///
    /// # Errors
    /// `FAILED` when the camera is gone.
    fn picture(&mut self) -> Result<Option<VideoFrame>>;
}

/// The system's cameras.
pub trait Cameras: Send + Sync {
    /// The cameras there are now.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` on systems without camera support; `WARN_CAMERA_NOT_AUTHORIZED` when the system lets this process open none
    /// of those there are.
    fn cameras(&self) -> Result<Vec<DeviceInfo>>;

    /// Something that changes when a camera comes, goes or may be opened now. Cheap, and touches no camera.
    fn trace(&self) -> Vec<String>;

    /// Opens a camera in the format that is nearest to the wished size and rate.
    ///
    /// # Errors
    /// `WARN_CAMERA_NOT_AUTHORIZED`, `WARN_CAMERA_IS_OCCUPIED` by another program, or `FAILED`, with the system's words.
    fn open_camera(&self, id: &str, width: u32, height: u32, fps: u32) -> Result<Box<dyn Camera>>;
}
