//! The adapters that are used: the system's, or others that a host (or a test) puts in.
use parking_lot::Mutex;
use std::sync::Arc;
use trtc_device::{SystemAudio, SystemCameras};
use trtc_types::{AudioDevices, Cameras};

static AUDIO: Mutex<Option<Arc<dyn AudioDevices>>> = Mutex::new(None);

/// The microphones and speakers.
pub(crate) fn audio() -> Arc<dyn AudioDevices> {
    AUDIO.lock().get_or_insert_with(|| Arc::new(SystemAudio::default())).clone()
}

static CAMERAS: Mutex<Option<Arc<dyn Cameras>>> = Mutex::new(None);

/// The cameras.
pub(crate) fn cameras() -> Arc<dyn Cameras> {
    CAMERAS.lock().get_or_insert_with(|| Arc::new(SystemCameras)).clone()
}

/// Puts other cameras in place of the system's, for streams that start from now on. For hosts with camera hardware of their own,
/// and for tests.
pub fn set_cameras(cameras: Arc<dyn Cameras>) {
    *CAMERAS.lock() = Some(cameras);
}

/// Puts other microphones and speakers in place of the system's, for streams that open from now on. For hosts with sound
/// hardware of their own, and for tests.
pub fn set_audio_devices(devices: Arc<dyn AudioDevices>) {
    *AUDIO.lock() = Some(devices);
}
