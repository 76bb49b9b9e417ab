//! Devices of the process, shared by its clouds: which is used, when it is open, what became of it.
mod cameras;
mod line;
pub(crate) mod microphone;
pub(crate) mod speaker;
mod system;

pub(crate) use cameras::{CAMERAS, current_camera, select_camera, selected_camera};
pub(crate) use line::{Line, User};
pub(crate) use system::{audio, cameras};
pub use system::{set_audio_devices, set_cameras};
use trtc_types::{DeviceInfo, DeviceKind, DeviceState, Error, Result};

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

/// What came, went and is the default now.
fn changes(before: &[DeviceInfo], now: &[DeviceInfo]) -> Vec<(String, DeviceState)> {
    let has = |list: &[DeviceInfo], id: &str| list.iter().any(|d| d.id == id);
    let default = |list: &[DeviceInfo]| list.iter().find(|d| d.is_default).map(|d| d.id.clone());
    let come = now.iter().filter(|d| !has(before, &d.id)).map(|d| (d.id.clone(), DeviceState::Add));
    let gone = before.iter().filter(|d| !has(now, &d.id)).map(|d| (d.id.clone(), DeviceState::Remove));
    let other = default(now).filter(|id| default(before).as_ref() != Some(id));
    come.chain(gone).chain(other.map(|id| (id, DeviceState::DefaultDeviceChanged))).collect()
}
