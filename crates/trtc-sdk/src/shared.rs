//! What all parts of one cloud share.
use crate::devices::{CAMERAS, MICROPHONE, SPEAKER, User};
use crate::dispatcher::{Dispatcher, Pushed};
use crate::events::Event;
use crate::gate::{self, Gate};
use crate::params::{CloudOptions, PlayedAudio};
use crate::receive::audio::Playout;
use crate::room::State;
use crate::send::audio::Capture;
use crate::stats::Meter;
use crate::{hub, threads};
use parking_lot::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use trtc_types::{Code, Error, Result};

/// Taps on each remote user's sound, on the audio thread.
pub type AudioTap = Arc<dyn Fn(PlayedAudio<'_>) + Send + Sync>;

pub(crate) struct Shared {
    weak: Weak<Self>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) state: Mutex<State>,
    pub(crate) capture: Capture,
    pub(crate) playout: Playout,
    pub(crate) tap: Mutex<Option<AudioTap>>,
    /// Events are pulled by the host.
    pub(crate) pull: bool,
    /// Nothing goes to a speaker.
    no_speaker: bool,
    /// The mix goes to the speaker now.
    pub(crate) plays: AtomicBool,
    events_thread: Mutex<Option<JoinHandle<()>>>,
    closed: AtomicBool,
    failure: AtomicI32,
    left_after_failure: AtomicBool,
    pub(crate) volume_interval_ms: AtomicU32,
    pub(crate) meter: Meter,
}

/// Time on the media clock, which starts with the process's first use of the library.
#[must_use]
pub fn media_now() -> Duration {
    epoch().elapsed()
}

pub(crate) fn media_time(at: Instant) -> Duration {
    at.saturating_duration_since(epoch())
}

fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    // Half a second early, so that instants shortly before the first use have a time.
    *EPOCH.get_or_init(|| Instant::now().checked_sub(Duration::from_millis(500)).unwrap_or_else(Instant::now))
}

impl Shared {
    pub(crate) fn start(gate: Arc<Gate>, dispatcher: Arc<Dispatcher>, options: &CloudOptions) -> Result<Arc<Self>> {
        epoch();
        let shared = Arc::new_cyclic(|weak: &Weak<Self>| Self {
            weak: weak.clone(),
            gate,
            dispatcher,
            state: Mutex::new(State::new(weak.clone())),
            capture: Capture::new(),
            playout: Playout::new(),
            tap: Mutex::new(None),
            pull: options.pull_events,
            no_speaker: options.no_speaker,
            plays: AtomicBool::new(false),
            events_thread: Mutex::new(None),
            closed: AtomicBool::new(false),
            failure: AtomicI32::new(0),
            left_after_failure: AtomicBool::new(false),
            volume_interval_ms: AtomicU32::new(0),
            meter: Meter::default(),
        });
        let no_thread = |e: std::io::Error| Error::new(Code::FAILED, format!("cannot start a thread: {e}"));
        if !options.pull_events {
            let (dispatcher, weak) = (shared.dispatcher.clone(), Arc::downgrade(&shared));
            let body = move || {
                if dispatcher.run().is_err()
                    && let Some(shared) = weak.upgrade()
                {
                    shared.fail(Code::INTERNAL, "the event handler panicked");
                }
            };
            *shared.events_thread.lock() = Some(threads::spawn("trtc-events", body, || ()).map_err(no_thread)?);
        }
        // The process's certificate takes tens of milliseconds: not in the first `enter_room`.
        if let Ok(thread) = threads::spawn("trtc-prepare", trtc_member::prepare, || ()) {
            threads::finish(thread, true);
        }
        threads::cloud_started();
        if let Err(error) = hub::add(shared.clone()) {
            shared.close();
            return Err(no_thread(error));
        }
        Ok(shared)
    }

    /// Queues an event; closes the cloud when the host has not taken events for too long.
    pub(crate) fn emit(&self, event: Event) {
        if self.dispatcher.push(event) == Pushed::Overflow {
            // The caller may hold the state: the hub leaves the room at its next tick.
            self.failure.store(Code::EVENT_OVERFLOW.0, Ordering::Release);
        }
    }

    pub(crate) fn warn(&self, code: Code, message: impl Into<String>) {
        let message = message.into();
        log::warn!("{message} [{code:?}]");
        self.emit(Event::Warning { code, message });
    }

    /// Reports an error that ends the instance: it refuses further calls, and the hub leaves the room.
    pub(crate) fn fail(&self, code: Code, message: &str) {
        if self.failure.compare_exchange(0, code.0, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        log::error!("{message} [{code:?}]");
        self.emit(Event::Error { code, message: message.to_owned() });
    }

    /// True once after a failure.
    pub(crate) fn failed_and_not_left(&self) -> bool {
        self.failure.load(Ordering::Acquire) != 0 && !self.left_after_failure.swap(true, Ordering::AcqRel)
    }

    /// Refuses calls on a closed or failed instance.
    pub(crate) fn check(&self) -> Result<()> {
        match self.failure.load(Ordering::Acquire) {
            0 if self.closed.load(Ordering::Acquire) => Err(Error::new(Code::INVALID_HANDLE, "the instance is closed")),
            0 => Ok(()),
            code => Err(Error::new(Code(code), "the instance is closed after an earlier failure")),
        }
    }

    /// The state of an instance that is open. Looked at under the lock: what a call starts, [`Shared::close`] must see.
    pub(crate) fn open_state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock();
        self.check()?;
        Ok(state)
    }

    /// Ends everything. From inside a callback, of whichever cloud, nothing is waited for.
    pub(crate) fn close(self: &Arc<Self>) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let inside = gate::inside_callback();
        self.dispatcher.close();
        let port: Arc<dyn hub::Port> = self.clone();
        hub::remove(&port, inside);
        let (member, workers) = {
            let mut state = self.state.lock();
            (state.member.take(), state.stop_all())
        };
        // Who held the lock before has added us, who holds it later is refused.
        let user: Arc<dyn User> = self.clone();
        MICROPHONE.remove(&user, inside);
        SPEAKER.remove(&user, inside);
        CAMERAS.remove(&user, inside);
        self.capture.stop();
        self.playout.clear();
        if let Some(member) = member {
            member.leave();
        }
        for worker in workers {
            threads::finish(worker, inside);
        }
        let events = self.events_thread.lock().take();
        if let Some(thread) = events {
            threads::finish(thread, inside);
        }
        *self.tap.lock() = None;
        self.gate.close();
        threads::cloud_ended(inside);
    }

    /// As the lines of microphone and speaker see it.
    pub(crate) fn user(&self) -> Option<Arc<dyn User>> {
        self.weak.upgrade().map(|shared| shared as Arc<dyn User>)
    }

    /// The speaker plays what is heard in the room, unless the host plays by itself.
    pub(crate) fn start_speaker(&self) {
        if self.no_speaker || self.playout.pulled.load(Ordering::Relaxed) || self.is_closed() {
            return;
        }
        self.plays.store(true, Ordering::Relaxed);
        if let Some(Err(error)) = self.user().map(|user| SPEAKER.add(user, true)) {
            self.emit(Event::Error { code: error.code, message: error.message });
        }
    }

    pub(crate) fn stop_speaker(&self) {
        self.plays.store(false, Ordering::Relaxed);
        if let Some(user) = self.user() {
            SPEAKER.release(&user);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
