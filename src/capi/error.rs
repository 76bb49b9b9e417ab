//! What went wrong last, for people: one text for each calling thread.
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};

thread_local! {
    static LAST: RefCell<Option<CString>> = const { RefCell::new(None) };
}

pub(super) fn set(message: &str) {
    let text = CString::new(message.replace('\0', " ")).ok();
    let _ = LAST.try_with(|last| *last.borrow_mut() = text);
}

/// The message of the latest failed call on this thread, naming the field and the allowed range; "" when there was none.
///
/// The text belongs to the library and is valid until the next failing call on the same thread. Never NULL. Any thread.
/// Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn trtc_last_error_message() -> *const c_char {
    const EMPTY: &CStr = c"";
    LAST.try_with(|last| last.borrow().as_ref().map_or(EMPTY.as_ptr(), |text| text.as_ptr())).unwrap_or(EMPTY.as_ptr())
}
