//! Threads that are joined: by their owner, or, when the owner ends inside its own callback, by the last cloud's end.
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

static CLOUDS: AtomicUsize = AtomicUsize::new(0);
static RETIRED: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// Starts a named thread whose panic is caught and reported.
pub(crate) fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
    on_panic: impl FnOnce() + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let label = name.to_owned();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            log::error!("thread {label} panicked");
            let _ = catch_unwind(AssertUnwindSafe(on_panic));
        }
    })
}

/// Joins now, or later when the caller must not block (`inside` a callback) or is that thread.
pub(crate) fn finish(handle: JoinHandle<()>, inside: bool) {
    if inside || handle.thread().id() == std::thread::current().id() {
        let mut retired = RETIRED.lock();
        retired.retain(|h| !h.is_finished());
        retired.push(handle);
    } else {
        let _ = handle.join();
    }
}

pub(crate) fn cloud_started() {
    CLOUDS.fetch_add(1, Ordering::SeqCst);
}

/// The last cloud joins what earlier ones had to leave.
pub(crate) fn cloud_ended(inside: bool) {
    let last = CLOUDS.fetch_sub(1, Ordering::SeqCst) == 1;
    if !last || inside {
        return;
    }
    let retired = std::mem::take(&mut *RETIRED.lock());
    for handle in retired {
        finish(handle, false);
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    // A cloud that was made meanwhile needs the network thread: it will end it.
    while CLOUDS.load(Ordering::SeqCst) == 0 && !trtc_member::shutdown(Duration::from_millis(50)) {
        if Instant::now() > deadline {
            log::warn!("the network thread did not end in time");
            return;
        }
    }
}
