//! Logs of the library, for the whole process. Nothing is logged by default. Tokens are never logged.
use super::guard::call;
use super::text::c_string;
use super::{text, trtc_result};
use log::{Level, LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;
use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Once;
use trtc_types::{Code, Error};

/// Everything.
pub const TRTC_LOG_LEVEL_VERBOSE: i32 = 0;
/// Debug and above.
pub const TRTC_LOG_LEVEL_DEBUG: i32 = 1;
/// Info and above.
pub const TRTC_LOG_LEVEL_INFO: i32 = 2;
/// Warnings and errors.
pub const TRTC_LOG_LEVEL_WARN: i32 = 3;
/// Errors.
pub const TRTC_LOG_LEVEL_ERROR: i32 = 4;
/// As error; the library has no fatal messages.
pub const TRTC_LOG_LEVEL_FATAL: i32 = 5;
/// Nothing. The default.
pub const TRTC_LOG_LEVEL_NONE: i32 = 6;

/// Called with each log line; `level` is `TRTC_LOG_LEVEL_*`, `module` says which part of the library speaks. The texts are
/// valid until it returns. Any thread, one at a time. Must be quick; calls of the library inside it are refused
/// (`TRTC_ERR_REFUSED`).
pub type trtc_log_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, module: *const c_char, message: *const c_char)>;

struct Sink {
    file: Mutex<Option<File>>,
    callback: Mutex<Option<Callback>>,
}

#[derive(Clone, Copy)]
struct Callback {
    call: unsafe extern "C" fn(*mut c_void, i32, *const c_char, *const c_char),
    user_data: *mut c_void,
}

// SAFETY: the host promises that the callback may be called on any thread with this `user_data`.
unsafe impl Send for Callback {}

thread_local! {
    /// This thread is inside the log callback, and may hold any lock of the library.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the caller is inside the log callback.
pub(super) fn inside_callback() -> bool {
    INSIDE.try_with(Cell::get).unwrap_or(false)
}

static SINK: Sink = Sink { file: Mutex::new(None), callback: Mutex::new(None) };

/// Lowest level that is logged, in the whole process: `TRTC_LOG_LEVEL_*`. Default none. Errors:
/// `TRTC_ERR_INVALID_PARAMETER` (`level`). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn trtc_set_log_level(level: i32) -> trtc_result {
    call(|| {
        let filter = match level {
            TRTC_LOG_LEVEL_VERBOSE => LevelFilter::Trace,
            TRTC_LOG_LEVEL_DEBUG => LevelFilter::Debug,
            TRTC_LOG_LEVEL_INFO => LevelFilter::Info,
            TRTC_LOG_LEVEL_WARN => LevelFilter::Warn,
            TRTC_LOG_LEVEL_ERROR | TRTC_LOG_LEVEL_FATAL => LevelFilter::Error,
            TRTC_LOG_LEVEL_NONE => LevelFilter::Off,
            other => return Err(Error::invalid(format!("level must be 0..=6, got {other}"))),
        };
        install();
        log::set_max_level(filter);
        Ok(())
    })
}

/// Appends log lines to a file, which is made when it is not there; NULL ends it (the default). Errors: `TRTC_ERR_FILE`
/// (`path` cannot be opened). Any thread. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_set_log_file(path: *const c_char) -> trtc_result {
    call(|| {
        // SAFETY: the host promises NULL or a NUL-terminated text.
        let path = unsafe { text::optional(path, "path") }?;
        let file = match path {
            None => None,
            Some(path) => {
                let opened = OpenOptions::new().append(true).create(true).open(&path);
                Some(opened.map_err(|e| Error::new(Code::FILE, format!("path {path}: {e}")))?)
            }
        };
        install();
        *SINK.file.lock() = file;
        Ok(())
    })
}

/// Gives log lines to the host; NULL ends it (the default). When it returns, the earlier callback is not running and will
/// not be called again. `user_data` is only handed back. Errors: common. Any thread, not inside the log callback. Since
/// 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trtc_set_log_callback(callback: trtc_log_fn, user_data: *mut c_void) -> trtc_result {
    call(|| {
        install();
        *SINK.callback.lock() = callback.map(|call| Callback { call, user_data });
        Ok(())
    })
}

fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A Rust host may have its own logger: then that one speaks.
        let _ = log::set_logger(&SINK);
    });
}

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Trace => TRTC_LOG_LEVEL_VERBOSE,
            Level::Debug => TRTC_LOG_LEVEL_DEBUG,
            Level::Info => TRTC_LOG_LEVEL_INFO,
            Level::Warn => TRTC_LOG_LEVEL_WARN,
            Level::Error => TRTC_LOG_LEVEL_ERROR,
        };
        let message = record.args().to_string();
        if let Some(file) = self.file.lock().as_mut() {
            let at = trtc_sdk::media_now().as_secs_f64();
            let _ = writeln!(file, "{at:12.3} {:5} {} {message}", record.level(), record.target());
        }
        let callback = self.callback.lock();
        if let Some(Callback { call, user_data }) = *callback {
            let (module, message) = (c_string(record.target()), c_string(&message));
            let _ = INSIDE.try_with(|inside| inside.set(true));
            // SAFETY: the host's promise; the texts live until it returns.
            unsafe { call(user_data, level, module.as_ptr(), message.as_ptr()) };
            let _ = INSIDE.try_with(|inside| inside.set(false));
        }
    }

    fn flush(&self) {}
}
