//! Counts running host callbacks, so that destruction can wait for them and release the host's data exactly once, last.
use parking_lot::{Condvar, Mutex};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

type Release = Box<dyn FnOnce() + Send>;

thread_local! {
    /// Host callbacks, of any cloud, on this thread's stack.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Whether the caller is inside a callback of any cloud. It must not wait then: two clouds that destroy each other from their
/// callbacks would wait for ever.
pub(crate) fn inside_callback() -> bool {
    DEPTH.try_with(Cell::get).unwrap_or(0) > 0
}

pub(crate) struct Gate {
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
        let state = State { closed: false, running: 0, release: Step::Pending(release) };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
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
        let _leave = Leave(self);
        let _deeper = Deeper::new();
        Some(callback())
    }

    /// No new callback starts. It returns after the last running callback and the release, but inside a callback (of any
    /// gate) at once.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.release_when_quiet();
        if inside_callback() {
            return;
        }
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
            let _deeper = Deeper::new();
            if catch_unwind(AssertUnwindSafe(release)).is_err() {
                log::error!("the host's release function panicked");
            }
        }
        self.state.lock().release = Step::Done;
        self.changed.notify_all();
    }
}

/// Counts into [`DEPTH`] while it lives.
struct Deeper;

impl Deeper {
    fn new() -> Self {
        let _ = DEPTH.try_with(|depth| depth.set(depth.get() + 1));
        Self
    }
}

impl Drop for Deeper {
    fn drop(&mut self) {
        let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

/// Ends a callback, also when it panics.
struct Leave<'a>(&'a Gate);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.state.lock().running -= 1;
        self.0.release_when_quiet();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

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

    #[test]
    fn two_callbacks_that_close_each_others_gate_do_not_wait() {
        let released = Arc::new(AtomicUsize::new(0));
        let gate = || {
            let count = released.clone();
            Gate::new(Some(Box::new(move || {
                assert!(inside_callback());
                count.fetch_add(1, Ordering::SeqCst);
            })))
        };
        let (a, b) = (gate(), gate());
        let both_inside = Arc::new(std::sync::Barrier::new(2));
        let close_from = |own: &Arc<Gate>, other: &Arc<Gate>| {
            let (own, other, both) = (own.clone(), other.clone(), both_inside.clone());
            std::thread::spawn(move || {
                own.run(|| {
                    both.wait();
                    other.close();
                })
            })
        };
        for thread in [close_from(&a, &b), close_from(&b, &a)] {
            thread.join().expect("test");
        }
        assert!(!inside_callback());
        assert_eq!(released.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_panicking_release_does_not_hang_the_closer() {
        Gate::new(Some(Box::new(|| panic!("host bug")))).close();
        assert!(!inside_callback());
    }
}
