//! Runs the body of every exported function: results become codes, messages are kept, panics are caught.
use super::cloud::{CLOUDS, Entry, trtc_cloud};
use super::error;
use super::trtc_result;
use std::panic::{AssertUnwindSafe, catch_unwind};
use trtc_types::{Code, Error, Result};

/// A call without an instance.
pub(super) fn call(body: impl FnOnce() -> Result<()>) -> trtc_result {
    let outcome = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| Err(panicked()));
    finish(outcome)
}

/// A call on a cloud.
pub(super) fn on_cloud(handle: *const trtc_cloud, body: impl FnOnce(&Entry) -> Result<()>) -> trtc_result {
    let entry = match CLOUDS.get(handle.addr()) {
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
