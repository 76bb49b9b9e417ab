//! Life of an instance.
use super::callbacks::trtc_callbacks;
use super::guard::{call, on_cloud};
use super::handle::{Kind, Table};
use super::out::Out;
use super::params::trtc_cloud_options;
use super::{sized, text, trtc_result};
use parking_lot::Mutex;
use std::ffi::c_char;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use trtc_sdk::{Cloud, CloudOptions};
use trtc_types::Result;

/// One room membership with its local and remote streams. A handle is a token, not an address; a stale, wrong or NULL one
/// is an error (`TRTC_ERR_INVALID_HANDLE`), never a crash. Any number of clouds may exist.
pub struct trtc_cloud {
    _private: (),
}

pub(super) struct Entry {
    pub(super) cloud: Cloud,
    pub(super) last_error: Mutex<String>,
}

pub(super) static CLOUDS: Table<Entry> = Table::new(Kind::Cloud);

/// Version of the library: `major << 16 | minor << 8 | patch`. Compare with `TRTC_VERSION`. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn trtc_version() -> u32 {
    let part = |text: &str| text.bytes().fold(0, |n, b| n * 10 + u32::from(b - b'0'));
    part(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | part(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | part(env!("CARGO_PKG_VERSION_PATCH"))
}

/// Version of the library as text, such as "0.1.0". Static: valid until the library is unloaded. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn trtc_version_string() -> *const c_char {
    const TEXT: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    TEXT.as_ptr().cast()
}

/// Makes a cloud, to be ended by `trtc_cloud_destroy()`.
///
/// `callbacks` may be NULL (nothing is told), `options` may be NULL (defaults). `out_cloud` gets the handle, or NULL.
/// Errors: `TRTC_ERR_FAILED` (the system gives no thread, or 8,192 clouds exist). Any thread. Since 0.1.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_create(
    callbacks: *const trtc_callbacks,
    options: *const trtc_cloud_options,
    out_cloud: *mut *mut trtc_cloud,
) -> trtc_result {
    call(|| {
        // SAFETY: the host promises a writable pointer.
        let out = unsafe { Out::required(out_cloud, "out_cloud") }?;
        out.put(std::ptr::null_mut());
        // SAFETY: the host promises sized structs.
        let table = if callbacks.is_null() { None } else { Some(unsafe { sized::read(callbacks, "callbacks") }?) };
        let mut cloud_options = CloudOptions::default();
        if !options.is_null() {
            // SAFETY: as above.
            let given = unsafe { sized::read(options, "options") }?;
            cloud_options.pull_events = given.pull_events != 0;
        }
        let token = create(table, &cloud_options)?;
        out.put(std::ptr::without_provenance_mut(token));
        Ok(())
    })
}

/// Ends a cloud: leaves the room, ends its threads. Allowed anywhere but in the log callback. The handle is stale at once,
/// and no new callback of the cloud starts.
///
/// Outside of callbacks it returns after the cloud's running callbacks have returned and `user_data_release` has run.
/// Inside a callback, of this cloud or of another one (render callbacks and `user_data_release` included), it never waits,
/// so that clouds can end each other: callbacks of the cloud that run at the moment go on, and `user_data_release` runs
/// when they have returned. The last cloud of all, when it is destroyed outside of callbacks, also waits for what earlier
/// ones left behind; only then may the library be unloaded. Errors: `TRTC_ERR_INVALID_HANDLE`, also for the second of two
/// calls. Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_destroy(cloud: *mut trtc_cloud) -> trtc_result {
    call(|| {
        let entry = CLOUDS.remove(cloud.addr())?;
        entry.cloud.close();
        Ok(())
    })
}

/// Runs the waiting callbacks on the calling thread (pull mode); without waiting ones it returns at once. `out_count` (may
/// be NULL) gets how many events there were.
///
/// Errors: `TRTC_ERR_REFUSED` (without `pull_events`, inside a callback of the cloud, or while another thread dispatches).
/// Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_dispatch(cloud: *mut trtc_cloud, out_count: *mut u32) -> trtc_result {
    on_cloud(cloud, |entry| {
        // SAFETY: the host promises a writable u32.
        let out = unsafe { Out::optional(out_count, "out_count") }?;
        out.put(0);
        out.put(entry.cloud.dispatch()? as u32);
        Ok(())
    })
}

/// The message of the latest failed call on this cloud, from any thread; "" when there was none.
///
/// `buffer` (of `size_bytes`; may be NULL to ask for the size) gets the text with its NUL; `out_need_bytes` (may be NULL)
/// gets the size that is needed. Errors: `TRTC_ERR_BUFFER_TOO_SMALL` (`buffer` was not touched). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_cloud_last_error(
    cloud: *mut trtc_cloud,
    buffer: *mut c_char,
    size_bytes: u32,
    out_need_bytes: *mut u32,
) -> trtc_result {
    call(|| {
        let entry = CLOUDS.get(cloud.addr())?;
        let text = entry.last_error.lock().clone();
        // SAFETY: the host promises the buffer and the size.
        unsafe { text::write(&text, buffer, size_bytes, out_need_bytes) }
    })
}

/// The clock of frame timestamps, in milliseconds since a moment of the process; it only goes forward. Errors: common. Any
/// thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_generate_custom_pts(out_pts_ms: *mut u64) -> trtc_result {
    call(|| {
        // SAFETY: the host promises a writable u64.
        unsafe { Out::required(out_pts_ms, "out_pts_ms") }?.put(trtc_sdk::media_now().as_millis() as u64);
        Ok(())
    })
}

fn create(table: Option<trtc_callbacks>, options: &CloudOptions) -> Result<usize> {
    let created = Arc::new(AtomicBool::new(false));
    let armed = created.clone();
    let release = move || {
        // A failed creation leaves `user_data` with the host.
        if let Some((table, release)) = table.and_then(|t| t.user_data_release.map(|r| (t, r)))
            && armed.load(Ordering::Acquire)
        {
            // SAFETY: the host promises that it may be called once, on any thread.
            unsafe { release(table.user_data) };
        }
    };
    let handler = move |event| {
        if let Some(table) = &table {
            table.deliver(event);
        }
    };
    let cloud = Cloud::with_release(options, Box::new(handler), Some(Box::new(release)))?;
    let token = CLOUDS.insert(Arc::new(Entry { cloud, last_error: Mutex::default() }))?;
    created.store(true, Ordering::Release);
    Ok(token)
}
