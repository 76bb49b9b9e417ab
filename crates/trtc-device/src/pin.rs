//! Keeps the library in memory: the PulseAudio client that cpal uses has a thread that ends only with the server, so after the
//! first use of a sound device the code under it must not be unloaded.
use std::sync::Once;

static ONCE: Once = Once::new();

/// After this a `dlclose` of the library leaves it loaded. Does nothing in a program that links it statically.
pub(crate) fn keep_loaded() {
    ONCE.call_once(|| {
        #[cfg(unix)]
        pin_this_object();
    });
}

#[cfg(unix)]
fn pin_this_object() {
    let mut found = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
    let here: fn() = keep_loaded;
    // SAFETY: the address is that of a function of this object; `found` is written when the result is not 0, and its path is
    // then NUL-terminated and lives as long as the object. The handle is meant to be kept for ever.
    unsafe {
        if libc::dladdr(here as *const libc::c_void, found.as_mut_ptr()) != 0 {
            let path = (*found.as_ptr()).dli_fname;
            libc::dlopen(path, libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
        }
    }
}
