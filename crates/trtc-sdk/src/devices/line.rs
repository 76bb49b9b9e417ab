//! A line: one kind of audio device. While clouds use it, its thread looks at the devices once a second (the system tells no
//! changes), opens the right one and tells the clouds what happened.
use super::{audio, changes, microphone, speaker};
use crate::threads;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use trtc_types::{AudioStream, Code, DeviceInfo, DeviceKind, DeviceState, Error, Result, StreamLost};

const POLL: Duration = Duration::from_secs(1);
/// A stream that has lived for so long is well.
const SETTLED: Duration = Duration::from_secs(3);
/// Looks without an answer of the sound service after which its devices are gone.
const SILENT_LOOKS: u32 = 3;

/// A cloud, as a line sees it.
pub(crate) trait User: Send + Sync {
    /// A device came, went, is used now, or is the default now.
    fn device_changed(&self, id: &str, kind: DeviceKind, state: DeviceState);
    /// The line is in trouble; `wanted` clouds only.
    fn device_warning(&self, code: Code, message: &str);
}

pub(crate) struct Line {
    kind: DeviceKind,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    users: Vec<(Arc<dyn User>, bool)>,
    thread: Option<JoinHandle<()>>,
    /// Counts threads; an older one ends.
    generation: u64,
    /// Chosen by the host; `None` follows the system's default.
    selected: Option<String>,
    /// In use now.
    current: Option<DeviceInfo>,
    /// Which stream ended by itself, and why.
    lost: Option<(u64, Error)>,
}

/// An open stream.
struct Open {
    id: String,
    /// Counts streams: what an older one says late is not about this one.
    serial: u64,
    since: Instant,
    part: Part,
    _stream: AudioStream,
}

enum Part {
    Microphone(Arc<trtc_media::CaptureRing>),
    Speaker(Arc<speaker::SpeakerLine>),
}

/// What a line's thread knows.
#[derive(Default)]
struct Seen {
    devices: Option<Vec<DeviceInfo>>,
    open: Option<Open>,
    /// A device that could not be opened, or broke, is not warned of again, until it was well or another one is tried.
    failed: Option<String>,
    /// Not before this is a broken one opened again.
    retry: Option<Instant>,
    serial: u64,
    warned_empty: bool,
    /// Looks in a row that the sound service did not answer, and what it said.
    silent: u32,
    why: Option<String>,
}

impl Line {
    pub(crate) const fn new(kind: DeviceKind) -> Self {
        let state = State { users: Vec::new(), thread: None, generation: 0, selected: None, current: None, lost: None };
        Self { kind, state: Mutex::new(state), wake: Condvar::new() }
    }

    /// Adds a cloud: one that uses the device (`wanted`), or one that only hears of changes.
    pub(crate) fn add(&'static self, user: Arc<dyn User>, wanted: bool) -> Result<()> {
        let mut state = self.state.lock();
        match state.users.iter_mut().find(|(u, _)| Arc::ptr_eq(u, &user)) {
            Some((_, wants)) => *wants |= wanted,
            None => state.users.push((user, wanted)),
        }
        if state.thread.is_none() {
            state.generation += 1;
            state.lost = None;
            let generation = state.generation;
            let name = if self.kind == DeviceKind::Microphone { "trtc-mic" } else { "trtc-speaker" };
            let thread = threads::spawn(name, move || self.run(generation), || ());
            state.thread = Some(thread.map_err(|e| Error::new(Code::FAILED, format!("cannot start a thread: {e}")))?);
        }
        drop(state);
        self.wake.notify_all();
        Ok(())
    }

    /// The cloud does not use the device any more; it still hears of changes.
    pub(crate) fn release(&self, user: &Arc<dyn User>) {
        let mut state = self.state.lock();
        state.users.iter_mut().filter(|(u, _)| Arc::ptr_eq(u, user)).for_each(|(_, wants)| *wants = false);
        drop(state);
        self.wake.notify_all();
    }

    /// Removes a cloud; with the last one the device closes. `inside` a callback nothing is waited for.
    pub(crate) fn remove(&self, user: &Arc<dyn User>, inside: bool) {
        let ended = {
            let mut state = self.state.lock();
            state.users.retain(|(u, _)| !Arc::ptr_eq(u, user));
            if !state.users.is_empty() {
                return;
            }
            state.generation += 1;
            state.current = None;
            state.thread.take()
        };
        self.wake.notify_all();
        if let Some(thread) = ended {
            threads::finish(thread, inside);
        }
    }

    /// The devices there are now; none without a sound service. Blocks for the system's answer.
    pub(crate) fn list(&self) -> Vec<DeviceInfo> {
        self.ask().unwrap_or_else(|error| {
            log::info!("{:?}: {}", self.kind, error.message);
            Vec::new()
        })
    }

    fn ask(&self) -> Result<Vec<DeviceInfo>> {
        match self.kind {
            DeviceKind::Microphone => audio().microphones(),
            _ => audio().speakers(),
        }
    }

    /// What the thread takes for the devices of now: a service that does not answer at once has those of before.
    fn look(&self, seen: &mut Seen) -> Vec<DeviceInfo> {
        match self.ask() {
            Ok(devices) => {
                (seen.silent, seen.why) = (0, None);
                devices
            }
            Err(error) => {
                seen.silent += 1;
                seen.why = Some(error.message);
                seen.devices.clone().filter(|_| seen.silent < SILENT_LOOKS).unwrap_or_default()
            }
        }
    }

    /// Uses this device from now on (`None`: the system's default, followed).
    pub(crate) fn select(&self, id: Option<String>) {
        self.state.lock().selected = id;
        self.wake.notify_all();
    }

    /// The device in use, or else the one that would be used.
    pub(crate) fn current(&self) -> Option<DeviceInfo> {
        let (current, selected) = {
            let state = self.state.lock();
            (state.current.clone(), state.selected.clone())
        };
        current.or_else(|| target(&self.list(), selected.as_deref()).cloned())
    }

    fn run(&'static self, generation: u64) {
        let mut seen = Seen::default();
        loop {
            let (wanted, selected, lost) = {
                let mut state = self.state.lock();
                if state.generation != generation {
                    break;
                }
                (state.users.iter().any(|(_, wants)| *wants), state.selected.clone(), state.lost.take())
            };
            if let Some((serial, error)) = lost
                && let Some(open) = seen.open.take_if(|open| open.serial == serial)
            {
                self.broken(&mut seen, open, &error);
            }
            self.settle(&mut seen);
            let devices = self.look(&mut seen);
            for (id, state) in seen.devices.iter().flat_map(|before| changes(before, &devices)) {
                self.tell(&id, state);
            }
            if wanted {
                self.keep_open(&mut seen, &devices, selected.as_deref(), generation);
            } else if let Some(open) = seen.open.take() {
                self.close(open);
            }
            seen.devices = Some(devices);
            let mut state = self.state.lock();
            let idle = state.generation == generation && state.lost.is_none();
            let same = (wanted, &selected) == (state.users.iter().any(|(_, w)| *w), &state.selected);
            if idle && same {
                self.wake.wait_for(&mut state, POLL);
            }
        }
        if let Some(open) = seen.open {
            self.close(open);
        }
    }

    /// A stream ended by itself. One that did so early is not tried again at once.
    fn broken(&self, seen: &mut Seen, open: Open, error: &Error) {
        if open.since.elapsed() < POLL {
            seen.retry = Some(Instant::now() + POLL);
        }
        if seen.failed.replace(open.id.clone()).as_ref() != Some(&open.id) {
            self.warn(self.abnormal(), &error.message);
        }
        self.close(open);
    }

    /// A stream that lives on after trouble is told.
    fn settle(&self, seen: &mut Seen) {
        let Some(open) = seen.open.as_ref().filter(|open| open.since.elapsed() >= SETTLED) else { return };
        if seen.failed.take_if(|id| *id == open.id).is_some() {
            self.tell(&open.id, DeviceState::Active);
        }
    }

    /// The right device is open, or the clouds know why none is.
    fn keep_open(&'static self, seen: &mut Seen, devices: &[DeviceInfo], selected: Option<&str>, generation: u64) {
        if let Some(open) = seen.open.take_if(|o| !devices.iter().any(|d| d.id == o.id)) {
            self.warn(self.abnormal(), &format!("the device {:?} is gone", open.id));
            self.close(open);
        }
        let Some(target) = target(devices, selected) else {
            if !std::mem::replace(&mut seen.warned_empty, true) {
                let none = if self.kind == DeviceKind::Microphone { "no microphone" } else { "no speaker" };
                let why = seen.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                self.warn(self.empty(), &format!("{none}{why}"));
            }
            return;
        };
        seen.warned_empty = false;
        if seen.open.as_ref().is_some_and(|o| o.id == target.id) || seen.retry.is_some_and(|at| Instant::now() < at) {
            return;
        }
        (seen.retry, seen.serial) = (None, seen.serial + 1);
        match self.open(&target.id, generation, seen.serial) {
            Ok(open) => {
                // The new one is heard before the old one closes.
                if let Some(old) = seen.open.replace(open) {
                    self.close_quietly(old);
                }
                self.state.lock().current = Some(target.clone());
                if seen.failed.as_ref() != Some(&target.id) {
                    seen.failed = None;
                    self.tell(&target.id, DeviceState::Active);
                }
            }
            Err(error) => {
                if seen.failed.replace(target.id.clone()).as_ref() != Some(&target.id) {
                    self.warn(self.abnormal(), &format!("{:?}: {}", target.name, error.message));
                }
            }
        }
    }

    fn open(&'static self, id: &str, generation: u64, serial: u64) -> Result<Open> {
        let lost: StreamLost = Arc::new(move |error| {
            let mut state = self.state.lock();
            // One that is being closed says nothing of its successor.
            if state.generation == generation && state.lost.as_ref().is_none_or(|(known, _)| *known <= serial) {
                state.lost = Some((serial, error));
            }
            drop(state);
            self.wake.notify_all();
        });
        let (part, stream) = if self.kind == DeviceKind::Microphone {
            let (ring, sink) = microphone::new_ring();
            let stream = audio().open_microphone(id, Box::new(sink), lost)?;
            microphone::set_open(ring.clone(), stream.rate_hz);
            (Part::Microphone(ring), stream)
        } else {
            let line = speaker::SpeakerLine::new();
            let stream = audio().open_speaker(id, Box::new(speaker::SpeakerSource(line.clone())), lost)?;
            speaker::set_open(line.clone(), stream.rate_hz);
            (Part::Speaker(line), stream)
        };
        log::info!("{:?} {id} is open at {} Hz", self.kind, stream.rate_hz);
        Ok(Open { id: id.to_owned(), serial, since: Instant::now(), part, _stream: stream })
    }

    fn close(&self, open: Open) {
        self.state.lock().current = None;
        self.close_quietly(open);
    }

    fn close_quietly(&self, open: Open) {
        match &open.part {
            Part::Microphone(ring) => {
                microphone::set_closed(ring);
                log::info!("microphone {} closed; {} frames overrun", open.id, ring.overrun());
            }
            Part::Speaker(line) => {
                speaker::set_closed(line);
                log::info!("speaker {} closed; {} frames underrun", open.id, line.underrun());
            }
        }
    }

    fn tell(&self, id: &str, state: DeviceState) {
        for (user, _) in self.users() {
            user.device_changed(id, self.kind, state);
        }
    }

    fn warn(&self, code: Code, message: &str) {
        for (user, _) in self.users().iter().filter(|(_, wants)| *wants) {
            user.device_warning(code, message);
        }
    }

    fn users(&self) -> Vec<(Arc<dyn User>, bool)> {
        self.state.lock().users.clone()
    }

    fn empty(&self) -> Code {
        match self.kind {
            DeviceKind::Microphone => Code::WARN_MICROPHONE_DEVICE_EMPTY,
            _ => Code::WARN_SPEAKER_DEVICE_EMPTY,
        }
    }

    fn abnormal(&self) -> Code {
        match self.kind {
            DeviceKind::Microphone => Code::WARN_MICROPHONE_DEVICE_ABNORMAL,
            _ => Code::WARN_SPEAKER_DEVICE_ABNORMAL,
        }
    }
}

/// The selected device while it is there, else the default, else the first.
fn target<'a>(devices: &'a [DeviceInfo], selected: Option<&str>) -> Option<&'a DeviceInfo> {
    devices
        .iter()
        .find(|d| Some(d.id.as_str()) == selected)
        .or_else(|| devices.iter().find(|d| d.is_default))
        .or_else(|| devices.first())
}
