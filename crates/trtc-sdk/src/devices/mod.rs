//! Microphone and speaker of the process, shared by its clouds: which device is used, when it is open, what became of it.
mod line;
pub(crate) mod microphone;
pub(crate) mod speaker;
mod system;

pub(crate) use line::{Line, User};
use parking_lot::Mutex;
pub use system::set_audio_devices;
pub(crate) use system::{audio, cameras};
use trtc_types::{DeviceInfo, DeviceKind, Error, Result};

pub(crate) static MICROPHONE: Line = Line::new(DeviceKind::Microphone);
pub(crate) static SPEAKER: Line = Line::new(DeviceKind::Speaker);

/// The line of an audio device.
pub(crate) fn line(kind: DeviceKind) -> Result<&'static Line> {
    match kind {
        DeviceKind::Microphone => Ok(&MICROPHONE),
        DeviceKind::Speaker => Ok(&SPEAKER),
        DeviceKind::Camera => {
            Err(Error::not_supported("type must be 0 (microphone) or 1 (speaker) here, got 2 (camera)"))
        }
    }
}

/// The camera that the host has chosen.
static CAMERA: Mutex<Option<String>> = Mutex::new(None);

/// Uses this camera for streams that start from now on.
pub(crate) fn select_camera(id: Option<String>) {
    *CAMERA.lock() = id;
}

/// The chosen camera while it is there, else the first.
pub(crate) fn current_camera(cameras: &[DeviceInfo]) -> Option<&DeviceInfo> {
    let chosen = CAMERA.lock().clone();
    cameras.iter().find(|d| Some(&d.id) == chosen.as_ref()).or_else(|| cameras.first())
}
