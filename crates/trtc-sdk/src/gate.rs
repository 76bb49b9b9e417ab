//! Counts running host callbacks, so that destruction can wait for them and release the host's data exactly once, last.
use parking_lot::{Condvar, Mutex};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

type Release = Box<dyn FnOnce() + Send>;

thread_local! {
    /// Gates whose callbacks are on this thread's stack.
    static INSIDE: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

pub(crate) struct Gate {
    id: u64,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    closed: bool,
    running: usize,
    release: Step,
}

enum Step {
    Pending(Option<Release>),
    Running,
    Done,
}

impl Gate {
    pub(crate) fn new(release: Option<Release>) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let state = State { closed: false, running: 0, release: Step::Pending(release) };
        Arc::new(Self { id: NEXT.fetch_add(1, Ordering::Relaxed), state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Runs a host callback, unless the gate is closed.
    pub(crate) fn run<R>(&self, callback: impl FnOnce() -> R) -> Option<R> {
        {
            let mut state = self.state.lock();
            if state.closed {
                return None;
            }
            state.running += 1;
        }
        INSIDE.with_borrow_mut(|inside| inside.push(self.id));
        let _leave = Leave(self);
        Some(callback())
    }

    /// Whether the caller is inside one of this gate's callbacks.
    pub(crate) fn is_inside(&self) -> bool {
        INSIDE.try_with(|inside| inside.borrow().contains(&self.id)).unwrap_or(false)
    }

    /// No new callback starts. From outside it returns after the last running callback and the release; from inside at once.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        if self.is_inside() {
            return;
        }
        self.release_when_quiet();
        let mut state = self.state.lock();
        while !matches!(state.release, Step::Done) {
            self.changed.wait(&mut state);
        }
    }

    fn release_when_quiet(&self) {
        let release = {
            let mut state = self.state.lock();
            if !state.closed || state.running > 0 || !matches!(state.release, Step::Pending(_)) {
                return;
            }
            std::mem::replace(&mut state.release, Step::Running)
        };
        if let Step::Pending(Some(release)) = release {
            release();
        }
        self.state.lock().release = Step::Done;
        self.changed.notify_all();
    }
}

/// Ends a callback, also when it panics.
struct Leave<'a>(&'a Gate);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let _ = INSIDE.try_with(|inside| {
            let mut inside = inside.borrow_mut();
            if let Some(at) = inside.iter().rposition(|id| *id == self.0.id) {
                inside.remove(at);
            }
        });
        self.0.state.lock().running -= 1;
        self.0.release_when_quiet();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn release_runs_once_after_the_callback_that_closed() {
        let count = Arc::new(AtomicUsize::new(0));
        let seen = count.clone();
        let gate = Gate::new(Some(Box::new(move || {
            seen.fetch_add(1, Ordering::SeqCst);
        })));
        gate.run(|| {
            gate.close();
            assert_eq!(count.load(Ordering::SeqCst), 0);
            assert!(gate.run(|| ()).is_none());
        });
        gate.close();
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn close_waits_for_a_running_callback() {
        let gate = Gate::new(None);
        let other = gate.clone();
        let (started, wait) = std::sync::mpsc::channel();
        let done = Arc::new(AtomicUsize::new(0));
        let flag = done.clone();
        let thread = std::thread::spawn(move || {
            other.run(|| {
                started.send(()).expect("test");
                std::thread::sleep(std::time::Duration::from_millis(50));
                flag.store(1, Ordering::SeqCst);
            })
        });
        wait.recv().expect("test");
        gate.close();
        assert_eq!(done.load(Ordering::SeqCst), 1);
        thread.join().expect("test");
    }
}
