//! Runs the body of every exported function: results become codes, messages are kept, panics are caught.
use super::cloud::{CLOUDS, Entry, trtc_cloud};
use super::{error, log, trtc_result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use trtc_types::{Code, Error, Result};

/// A call without an instance.
pub(super) fn call(body: impl FnOnce() -> Result<()>) -> trtc_result {
    let guarded = || catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| Err(panicked()));
    finish(not_while_logging().and_then(|()| guarded()))
}

/// A call on a cloud.
pub(super) fn on_cloud(handle: *const trtc_cloud, body: impl FnOnce(&Entry) -> Result<()>) -> trtc_result {
    let entry = match not_while_logging().and_then(|()| CLOUDS.get(handle.addr())) {
        Ok(entry) => entry,
        Err(error) => return finish(Err(error)),
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| body(&entry))).unwrap_or_else(|_| {
        entry.cloud.fail_internal();
        Err(panicked())
    });
    if let Err(error) = &outcome {
        entry.last_error.lock().clone_from(&error.message);
    }
    finish(outcome)
}

/// The line may be written under a lock that the call would need.
fn not_while_logging() -> Result<()> {
    if log::inside_callback() {
        return Err(Error::new(Code::REFUSED, "the library must not be called inside the log callback"));
    }
    Ok(())
}

fn panicked() -> Error {
    Error::new(Code::INTERNAL, "internal error: a panic was caught")
}

fn finish(outcome: Result<()>) -> trtc_result {
    match outcome {
        Ok(()) => Code::OK.0,
        Err(error) => {
            error::set(&error.message);
            error.code.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::audio::trtc_cloud_mute_local_audio;
    use crate::capi::cloud::{trtc_cloud_create, trtc_cloud_destroy};
    use std::ptr::{null, null_mut};

    #[test]
    fn a_panic_is_a_code_and_closes_that_instance_only() {
        assert_eq!(call(|| panic!("a bug")), Code::INTERNAL.0);
        let (mut broken, mut other) = (null_mut(), null_mut());
        // SAFETY: live locals, and handles of clouds made here.
        unsafe {
            assert_eq!(trtc_cloud_create(null(), null(), &raw mut broken), 0);
            assert_eq!(trtc_cloud_create(null(), null(), &raw mut other), 0);
            assert_eq!(on_cloud(broken, |_| panic!("a bug")), Code::INTERNAL.0);
            assert_eq!(trtc_cloud_mute_local_audio(broken, 0), Code::INTERNAL.0);
            assert_eq!(trtc_cloud_mute_local_audio(other, 0), 0);
            assert_eq!((trtc_cloud_destroy(broken), trtc_cloud_destroy(other)), (0, 0));
        }
    }
}
