//! A C host in Rust: what the tests of the C door share.
#![allow(clippy::unwrap_used, clippy::undocumented_unsafe_blocks, dead_code, reason = "tests, each with its part")]

use std::ffi::{CStr, c_char, c_void};
use std::ptr::{null, null_mut, without_provenance_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use trtc::capi::{callbacks::*, cloud::*, code::*, params::*, video::*};
use trtc_proto::jwt::{Claims, VideoGrant, sign};

/// Nobody waits this long on the busiest machine; what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

pub const USER: *const c_char = c"alice".as_ptr();

/// A struct with the defaults of its init function.
pub fn made<T: Init>() -> T {
    let mut value = std::mem::MaybeUninit::uninit();
    unsafe {
        T::init(value.as_mut_ptr(), size_of::<T>() as u32);
        value.assume_init()
    }
}

/// A struct with an init function.
pub trait Init {
    unsafe fn init(to: *mut Self, size: u32);
}

macro_rules! inits {
    ($($type:ident $function:ident;)*) => {
        $(impl Init for $type {
            unsafe fn init(to: *mut Self, size: u32) {
                unsafe { $function(to, size) }
            }
        })*
    };
}
inits! {
    trtc_callbacks trtc_callbacks_init;
    trtc_cloud_options trtc_cloud_options_init;
    trtc_enter_params trtc_enter_params_init;
    trtc_video_enc_param trtc_video_enc_param_init;
    trtc_video_frame trtc_video_frame_init;
    trtc_audio_frame trtc_audio_frame_init;
    trtc_file_source trtc_file_source_init;
    trtc_pattern_source trtc_pattern_source_init;
}

pub fn create(callbacks: Option<&trtc_callbacks>, pull: bool) -> *mut trtc_cloud {
    let mut options = made::<trtc_cloud_options>();
    options.pull_events = i32::from(pull);
    let mut cloud = null_mut();
    let table = callbacks.map_or(null(), std::ptr::from_ref);
    assert_eq!(unsafe { trtc_cloud_create(table, &raw const options, &raw mut cloud) }, TRTC_OK);
    cloud
}

pub fn destroy(cloud: *mut trtc_cloud) {
    assert_eq!(unsafe { trtc_cloud_destroy(cloud) }, TRTC_OK);
}

/// A file of zeros, raw I420 by its name; removed when dropped.
pub struct TempFile(std::ffi::CString);

impl TempFile {
    pub fn new(name: &str, bytes: usize) -> Self {
        let path = std::env::temp_dir().join(format!("trtc-capi-{}-{name}.yuv", std::process::id()));
        std::fs::write(&path, vec![0; bytes]).unwrap();
        Self(std::ffi::CString::new(path.to_str().unwrap()).unwrap())
    }

    pub fn path(&self) -> *const c_char {
        self.0.as_ptr()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0.to_str().unwrap());
    }
}

/// Logging is the process's: one test at a time.
pub static LOGS: parking_lot::Mutex<()> = parking_lot::Mutex::new(());

/// What the latest failed call of this thread said.
pub fn message() -> String {
    unsafe { CStr::from_ptr(trtc::capi::error::trtc_last_error_message()) }.to_str().unwrap().to_owned()
}

/// A token that nobody's key has signed, unless `secret` is the server's.
pub fn token(room: &str, user: &str, secret: &str) -> std::ffi::CString {
    let video = VideoGrant { room_join: true, room: room.into(), ..VideoGrant::default() };
    let claims = Claims { iss: "devkey".into(), sub: user.into(), video: Some(video), ..Claims::default() };
    std::ffi::CString::new(sign(&claims, secret)).unwrap()
}

/// Waits until `done`.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs on a thread of its own; fails, rather than hangs, when it never ends.
pub fn ends<T: Send + 'static>(what: &str, body: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, ended) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = tell.send(body());
    });
    match ended.recv_timeout(PATIENCE) {
        Ok(value) => {
            thread.join().unwrap();
            value
        }
        Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => std::panic::resume_unwind(thread.join().unwrap_err()),
        Err(_) => panic!("{what} does not end"),
    }
}

/// Handles and pointers travel between threads as numbers, as in C.
pub fn handle<T>(token: usize) -> *mut T {
    without_provenance_mut(token)
}

type Body = Box<dyn Fn(&Host) + Send + Sync>;

/// What the callbacks of a cloud see, and what they do.
#[derive(Default)]
pub struct Host {
    pub cloud: AtomicUsize,
    pub warnings: AtomicUsize,
    pub released: AtomicUsize,
    pub after_release: AtomicUsize,
    /// Runs in the warning callback.
    pub on_warning: Option<Body>,
    /// Runs in the release function.
    pub on_release: Option<Body>,
}

unsafe extern "C" fn on_warning(data: *mut c_void, code: i32, _: *const c_char) {
    let host = unsafe { &*data.cast::<Host>() };
    // Which device is missing or cannot be opened depends on the machine.
    assert!((1101..1300).contains(&code), "{code}");
    host.after_release.fetch_add(host.released.load(SeqCst), SeqCst);
    host.warnings.fetch_add(1, SeqCst);
    if let Some(body) = &host.on_warning {
        body(host);
    }
    host.after_release.fetch_add(host.released.load(SeqCst), SeqCst);
}

unsafe extern "C" fn on_release(data: *mut c_void) {
    let host = unsafe { &*data.cast::<Host>() };
    if let Some(body) = &host.on_release {
        body(host);
    }
    host.released.fetch_add(1, SeqCst);
}

impl Host {
    /// A cloud whose callbacks are this host's, which must outlive it.
    pub fn cloud(self: &Arc<Self>, pull: bool) -> *mut trtc_cloud {
        let mut callbacks = made::<trtc_callbacks>();
        callbacks.user_data = Arc::as_ptr(self).cast_mut().cast();
        callbacks.user_data_release = Some(on_release);
        callbacks.on_warning = Some(on_warning);
        let cloud = create(Some(&callbacks), pull);
        self.cloud.store(cloud.addr(), SeqCst);
        cloud
    }

    pub fn token(&self) -> *mut trtc_cloud {
        handle(self.cloud.load(SeqCst))
    }

    pub fn released(&self) -> usize {
        self.released.load(SeqCst)
    }
}

/// Causes one warning callback.
pub fn warn(cloud: *mut trtc_cloud) {
    assert_eq!(unsafe { trtc_cloud_start_local_preview(cloud, null_mut()) }, TRTC_OK);
}
