//! Names are looked up on threads of their own: the system's resolver knows no other way, and may take half a minute when the network
//! is gone. Nobody waits for them but [`finish`], which has a limit.
use parking_lot::{Condvar, Mutex};
use std::io;
use std::thread::JoinHandle;
use std::time::Instant;

/// Most look-ups under way in the process; beyond, names are as good as unknown.
const LOOKUPS_MAX: usize = 64;

static UNDER_WAY: Mutex<Lookups> = Mutex::new(Lookups { running: 0, threads: Vec::new() });
static ENDED: Condvar = Condvar::new();

struct Lookups {
    running: usize,
    threads: Vec<JoinHandle<()>>,
}

/// Counts a look-up out, also when it panics.
struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        UNDER_WAY.lock().running -= 1;
        ENDED.notify_all();
    }
}

/// Runs `body`, which may block, on a `trtc-resolve` thread.
///
/// # Errors
/// Those of thread creation; `ResourceBusy` when too many are under way.
pub(crate) fn start(body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut under_way = UNDER_WAY.lock();
    under_way.threads.retain(|thread| !thread.is_finished());
    if under_way.running >= LOOKUPS_MAX {
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "too many names are being looked up"));
    }
    let thread = std::thread::Builder::new().name("trtc-resolve".into()).spawn(move || {
        let _running = Running;
        body();
    })?;
    under_way.running += 1;
    under_way.threads.push(thread);
    Ok(())
}

/// Joins all of them. `false` when some still run at the deadline; a later call joins those.
pub(crate) fn finish(deadline: Instant) -> bool {
    let mut under_way = UNDER_WAY.lock();
    while under_way.running > 0 {
        if ENDED.wait_until(&mut under_way, deadline).timed_out() {
            return false;
        }
    }
    let threads = std::mem::take(&mut under_way.threads);
    drop(under_way);
    for thread in threads {
        let _ = thread.join();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Input, Machine, NetAction, register, shutdown};
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    /// A machine that ends at once.
    struct Brief;

    impl Machine for Brief {
        fn input(&self, _: Instant, _: Input<'_>) {}
        fn advance(&self, _: Instant, actions: &mut Vec<NetAction>) -> Option<Instant> {
            actions.push(NetAction::Closed);
            None
        }
        fn crashed(&self) {}
    }

    #[test]
    fn a_resolver_that_hangs_holds_up_nobody() {
        let (answer, question) = channel::<()>();
        start(move || question.recv().unwrap_or_default()).unwrap();
        for _ in 0..3 {
            register(Arc::new(Brief)).unwrap();
            assert!(!shutdown(Duration::from_millis(20)), "its thread is still there");
        }
        drop(answer);
        assert!(shutdown(Duration::from_secs(60)));
        assert!(finish(Instant::now()));
    }
}
