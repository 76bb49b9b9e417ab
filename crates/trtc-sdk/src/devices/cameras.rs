//! Which camera is used, and which come and go: the system tells no changes, so a thread looks once a second while a cloud has
//! asked for cameras.
use super::{User, cameras, changes};
use crate::threads;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use trtc_types::{Code, DeviceInfo, DeviceKind, Error, Result};

const POLL: Duration = Duration::from_secs(1);

/// The camera that the host has chosen, and how often it chose.
static CHOICE: Mutex<(u64, Option<String>)> = Mutex::new((0, None));

/// Uses this camera from now on.
pub(crate) fn select_camera(id: String) {
    let mut choice = CHOICE.lock();
    *choice = (choice.0 + 1, Some(id));
}

/// How often a camera was chosen, and the latest one.
pub(crate) fn selected_camera() -> (u64, Option<String>) {
    CHOICE.lock().clone()
}

/// The chosen camera while it is there, else the first.
pub(crate) fn current_camera(cameras: &[DeviceInfo]) -> Option<&DeviceInfo> {
    let (_, chosen) = selected_camera();
    cameras.iter().find(|d| Some(&d.id) == chosen.as_ref()).or_else(|| cameras.first())
}

pub(crate) static CAMERAS: Watch = Watch { state: Mutex::new(State::new()), wake: Condvar::new() };

/// Tells clouds of cameras that come and go.
pub(crate) struct Watch {
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    users: Vec<Arc<dyn User>>,
    thread: Option<JoinHandle<()>>,
    /// Counts threads; an older one ends.
    generation: u64,
}

impl State {
    const fn new() -> Self {
        Self { users: Vec::new(), thread: None, generation: 0 }
    }
}

impl Watch {
    /// From now on the cloud hears of changes; `there` is what it was told.
    pub(crate) fn add(&'static self, user: Arc<dyn User>, there: &[DeviceInfo]) -> Result<()> {
        let mut state = self.state.lock();
        if !state.users.iter().any(|u| Arc::ptr_eq(u, &user)) {
            state.users.push(user);
        }
        if state.thread.is_none() {
            state.generation += 1;
            let (generation, there) = (state.generation, there.to_vec());
            let thread = threads::spawn("trtc-cameras", move || self.run(generation, there), || ());
            state.thread = Some(thread.map_err(|e| Error::new(Code::FAILED, format!("cannot start a thread: {e}")))?);
        }
        Ok(())
    }

    /// Removes a cloud; the last one ends the thread. `inside` a callback nothing is waited for.
    pub(crate) fn remove(&self, user: &Arc<dyn User>, inside: bool) {
        let ended = {
            let mut state = self.state.lock();
            state.users.retain(|u| !Arc::ptr_eq(u, user));
            if !state.users.is_empty() {
                return;
            }
            state.generation += 1;
            state.thread.take()
        };
        self.wake.notify_all();
        if let Some(thread) = ended {
            threads::finish(thread, inside);
        }
    }

    fn run(&self, generation: u64, mut there: Vec<DeviceInfo>) {
        // The cameras are only opened and asked when something has changed.
        let mut trace = None;
        loop {
            let now = cameras().trace();
            if trace.as_ref() != Some(&now) {
                match cameras().cameras() {
                    Ok(found) => self.tell(&mut there, found),
                    Err(error) => {
                        log::info!("cameras: {}", error.message);
                        self.tell(&mut there, Vec::new());
                    }
                }
                trace = Some(now);
            }
            let mut state = self.state.lock();
            if state.generation == generation {
                self.wake.wait_for(&mut state, POLL);
            }
            if state.generation != generation {
                return;
            }
        }
    }

    fn tell(&self, there: &mut Vec<DeviceInfo>, found: Vec<DeviceInfo>) {
        let users = self.state.lock().users.clone();
        for (id, state) in changes(there, &found) {
            users.iter().for_each(|user| user.device_changed(&id, DeviceKind::Camera, state));
        }
        *there = found;
    }
}
