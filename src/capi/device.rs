//! Devices: which there are, which are used.
use super::check::{one_of, within};
use super::cloud::trtc_cloud;
use super::guard::{call, on_cloud};
use super::handle::{Kind, Table};
use super::out::Out;
use super::{text, trtc_bool, trtc_result};
use std::collections::BTreeSet;
use std::ffi::c_char;
use std::sync::Arc;
use trtc_sdk::Cloud;
use trtc_types::{CameraFormat, DeviceInfo, DeviceKind, Error, Result};

/// Device: microphone.
pub const TRTC_DEVICE_TYPE_MIC: i32 = 0;
/// Device: speaker.
pub const TRTC_DEVICE_TYPE_SPEAKER: i32 = 1;
/// Device: camera.
pub const TRTC_DEVICE_TYPE_CAMERA: i32 = 2;
/// Device change: it was plugged in.
pub const TRTC_DEVICE_STATE_ADD: i32 = 0;
/// Device change: it was pulled out.
pub const TRTC_DEVICE_STATE_REMOVE: i32 = 1;
/// Device change: it is in use now.
pub const TRTC_DEVICE_STATE_ACTIVE: i32 = 2;
/// Device change: it is the system's default now.
pub const TRTC_DEVICE_STATE_DEFAULT_DEVICE_CHANGED: i32 = 3;

/// A list of devices as they were when it was made. A handle like `trtc_cloud`: given back with
/// `trtc_device_list_release()`; at most 8,192 at a time.
pub struct trtc_device_list {
    _private: (),
}

static LISTS: Table<Vec<DeviceInfo>> = Table::new(Kind::DeviceList);

/// Lists the devices of a type (`TRTC_DEVICE_TYPE_*`) that are there now, by a handle in `out_list`.
///
/// From now on the cloud tells changes by `on_device_change`. On Linux microphones and speakers are those of the PulseAudio
/// (or PipeWire) server, without one ALSA's; the first use of them keeps the library loaded after a later `dlclose`. Waits for the system's answer, up to some 100 ms. Errors: `TRTC_ERR_INVALID_PARAMETER`
/// (`device_type`), `TRTC_ERR_NOT_SUPPORTED` (cameras on systems other than Linux), `TRTC_ERR_FAILED` (there are
/// cameras, and the system lets this process open none). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_device_get_devices_list(
    cloud: *mut trtc_cloud,
    device_type: i32,
    out_list: *mut *mut trtc_device_list,
) -> trtc_result {
    // SAFETY: the host promises a writable pointer.
    unsafe { list_of(cloud, out_list, |cloud| cloud.devices(kind(device_type)?)) }
}

/// How many devices a list has. Errors: `TRTC_ERR_INVALID_HANDLE`, `TRTC_ERR_INVALID_PARAMETER` (`out_count`). Any thread.
/// Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_device_list_get_count(list: *mut trtc_device_list, out_count: *mut u32) -> trtc_result {
    call(|| {
        let devices = LISTS.get(list.addr())?;
        // SAFETY: the host promises a writable u32.
        unsafe { Out::required(out_count, "out_count") }?.put(devices.len() as u32);
        Ok(())
    })
}

/// The name of a device, for people.
///
/// `buffer` (of `size_bytes`; may be NULL to ask for the size) gets the text with its NUL; `out_need_bytes` (may be NULL)
/// gets the size that is needed. Errors: `TRTC_ERR_INVALID_HANDLE`, `TRTC_ERR_INVALID_PARAMETER` (`index`),
/// `TRTC_ERR_BUFFER_TOO_SMALL` (`buffer` was not touched). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_device_list_get_device_name(
    list: *mut trtc_device_list,
    index: u32,
    buffer: *mut c_char,
    size_bytes: u32,
    out_need_bytes: *mut u32,
) -> trtc_result {
    // SAFETY: the host promises the buffer and the size.
    call(|| unsafe { text::write(&device(list, index)?.name, buffer, size_bytes, out_need_bytes) })
}

/// The id of a device, for `trtc_device_set_current_device()`: the same after a restart, as far as the system's names are.
/// Arguments and errors as for `trtc_device_list_get_device_name()`. Errors: as there. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_device_list_get_device_pid(
    list: *mut trtc_device_list,
    index: u32,
    buffer: *mut c_char,
    size_bytes: u32,
    out_need_bytes: *mut u32,
) -> trtc_result {
    // SAFETY: the host promises the buffer and the size.
    call(|| unsafe { text::write(&device(list, index)?.id, buffer, size_bytes, out_need_bytes) })
}

/// What a camera can do, as JSON: `{"SupportedResolution":[{"width":1280,"height":720}]}`; for other devices the list is
/// empty. Arguments and errors as for `trtc_device_list_get_device_name()`. Errors: as there. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_device_list_get_device_properties(
    list: *mut trtc_device_list,
    index: u32,
    buffer: *mut c_char,
    size_bytes: u32,
    out_need_bytes: *mut u32,
) -> trtc_result {
    call(|| {
        let properties = properties(&device(list, index)?.formats);
        // SAFETY: the host promises the buffer and the size.
        unsafe { text::write(&properties, buffer, size_bytes, out_need_bytes) }
    })
}

/// Gives a list back. Errors: `TRTC_ERR_INVALID_HANDLE`. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_device_list_release(list: *mut trtc_device_list) -> trtc_result {
    call(|| LISTS.remove(list.addr()).map(|_| ()))
}

/// Uses a device (`device_id` as of the list) from now on, also in place of one that is in use.
///
/// Devices belong to the process: the latest call of any cloud wins. The system's default is no longer followed; a
/// microphone or speaker that is pulled out is replaced by the default until it is back. No other camera is switched on by
/// itself in place of one that is pulled out. Errors: `TRTC_ERR_INVALID_PARAMETER` (`device_type`,
/// `device_id`: not there now), `TRTC_ERR_NOT_SUPPORTED` (cameras on systems other than Linux). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_device_set_current_device(
    cloud: *mut trtc_cloud,
    device_type: i32,
    device_id: *const c_char,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        // SAFETY: the host promises a NUL-terminated text.
        let id = unsafe { text::required(device_id, "device_id") }?;
        entry.cloud.set_current_device(kind(device_type)?, &id)
    })
}

/// The device in use, or else the one that would be used: a list of one, or of none without any, by a handle in `out_list`.
/// Errors: `TRTC_ERR_INVALID_PARAMETER` (`device_type`), `TRTC_ERR_NOT_SUPPORTED` (cameras on systems other than Linux). Any
/// thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_device_get_current_device(
    cloud: *mut trtc_cloud,
    device_type: i32,
    out_list: *mut *mut trtc_device_list,
) -> trtc_result {
    // SAFETY: the host promises a writable pointer.
    unsafe { list_of(cloud, out_list, |cloud| Ok(cloud.current_device(kind(device_type)?)?.into_iter().collect())) }
}

/// Follows the system's default microphone or speaker (nonzero, the default), or stays with the device of now. Errors:
/// `TRTC_ERR_INVALID_PARAMETER` (`device_type`), `TRTC_ERR_NOT_SUPPORTED` (camera). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_device_enable_following_default_audio_device(
    cloud: *mut trtc_cloud,
    device_type: i32,
    enable: trtc_bool,
) -> trtc_result {
    on_cloud(cloud, |entry| entry.cloud.follow_default_audio_device(kind(device_type)?, enable != 0))
}

/// Sets the system's volume of a microphone or speaker in percent: 0..100. Not available yet; see
/// `trtc_cloud_set_audio_capture_volume()` and `trtc_cloud_set_audio_playout_volume()`. Errors:
/// `TRTC_ERR_INVALID_PARAMETER` (`device_type`, `volume`), `TRTC_ERR_NOT_SUPPORTED`. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_device_set_current_device_volume(
    cloud: *mut trtc_cloud,
    device_type: i32,
    volume: u32,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        within("volume", volume, 0..=100)?;
        entry.cloud.system_volume(kind(device_type)?)
    })
}

/// The system's volume of a microphone or speaker in percent. Not available yet. Errors: `TRTC_ERR_INVALID_PARAMETER`
/// (`device_type`), `TRTC_ERR_NOT_SUPPORTED`. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_device_get_current_device_volume(
    cloud: *mut trtc_cloud,
    device_type: i32,
    out_volume: *mut u32,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        // SAFETY: the host promises a writable u32.
        unsafe { Out::required(out_volume, "out_volume") }?;
        entry.cloud.system_volume(kind(device_type)?)
    })
}

/// Mutes a microphone or speaker in the system. Not available yet; see `trtc_cloud_mute_local_audio()`. Errors:
/// `TRTC_ERR_INVALID_PARAMETER` (`device_type`), `TRTC_ERR_NOT_SUPPORTED`. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_device_set_current_device_mute(
    cloud: *mut trtc_cloud,
    device_type: i32,
    mute: trtc_bool,
) -> trtc_result {
    let _ = mute;
    on_cloud(cloud, |entry| entry.cloud.system_volume(kind(device_type)?))
}

/// Whether a microphone or speaker is muted in the system. Not available yet. Errors: `TRTC_ERR_INVALID_PARAMETER`
/// (`device_type`), `TRTC_ERR_NOT_SUPPORTED`. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_device_get_current_device_mute(
    cloud: *mut trtc_cloud,
    device_type: i32,
    out_mute: *mut trtc_bool,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        // SAFETY: the host promises a writable trtc_bool.
        unsafe { Out::required(out_mute, "out_mute") }?;
        entry.cloud.system_volume(kind(device_type)?)
    })
}

fn kind(device_type: i32) -> Result<DeviceKind> {
    one_of("device_type", device_type)
}

/// Hands out a list, NULL if there is an error.
///
/// # Safety
/// As [`Out::required`] for `out_list`.
unsafe fn list_of(
    cloud: *mut trtc_cloud,
    out_list: *mut *mut trtc_device_list,
    find: impl FnOnce(&Cloud) -> Result<Vec<DeviceInfo>>,
) -> trtc_result {
    on_cloud(cloud, |entry| {
        // SAFETY: passed on.
        let out = unsafe { Out::required(out_list, "out_list") }?;
        out.put(std::ptr::null_mut());
        let devices = find(&entry.cloud)?;
        out.put(std::ptr::without_provenance_mut(LISTS.insert(Arc::new(devices))?));
        Ok(())
    })
}

fn device(list: *mut trtc_device_list, index: u32) -> Result<DeviceInfo> {
    let devices = LISTS.get(list.addr())?;
    let found = devices.get(index as usize).cloned();
    found.ok_or_else(|| Error::invalid(format!("index must be below {}, got {index}", devices.len())))
}

fn properties(formats: &[CameraFormat]) -> String {
    let sizes: BTreeSet<(u32, u32)> = formats.iter().map(|f| (f.width, f.height)).collect();
    let sizes: Vec<String> = sizes.iter().map(|(w, h)| format!(r#"{{"width":{w},"height":{h}}}"#)).collect();
    format!(r#"{{"SupportedResolution":[{}]}}"#, sizes.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use trtc_types::CameraPixel;

    #[test]
    fn properties_have_the_vendors_shape() {
        let format = |width, height| CameraFormat { width, height, fps: (30, 1), pixel: CameraPixel::Yuyv };
        assert_eq!(properties(&[]), r#"{"SupportedResolution":[]}"#);
        let text = properties(&[format(1280, 720), format(640, 360), format(1280, 720)]);
        assert_eq!(text, r#"{"SupportedResolution":[{"width":640,"height":360},{"width":1280,"height":720}]}"#);
    }
}
