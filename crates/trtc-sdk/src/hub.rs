//! The audio hub: one thread per process with a 10 ms clock; clouds are ports on it.
use crate::threads;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) const TICK: Duration = Duration::from_millis(10);
/// Behind by more than this (a suspended machine), the clock starts afresh instead of catching up.
const GIVE_UP: Duration = Duration::from_millis(200);

/// What the hub drives.
pub(crate) trait Port: Send + Sync {
    /// Called every 10 ms, on the hub's thread.
    fn tick(&self, now: Instant, index: u64);
    /// The port panicked; it is not called again.
    fn failed(&self);
}

struct Hub {
    ports: Arc<Mutex<Vec<Arc<dyn Port>>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

static HUB: Mutex<Option<Hub>> = Mutex::new(None);

/// Adds a port; the first one starts the thread.
pub(crate) fn add(port: Arc<dyn Port>) -> std::io::Result<()> {
    let mut hub = HUB.lock();
    if let Some(hub) = hub.as_ref() {
        hub.ports.lock().push(port);
        return Ok(());
    }
    let ports = Arc::new(Mutex::new(vec![port]));
    let stop = Arc::new(AtomicBool::new(false));
    let (list, flag) = (ports.clone(), stop.clone());
    let thread = threads::spawn("trtc-audio", move || run(&list, &flag), || ())?;
    *hub = Some(Hub { ports, stop, thread });
    Ok(())
}

/// Removes a port; the last one ends the thread. `inside` a callback nothing is waited for.
pub(crate) fn remove(port: &Arc<dyn Port>, inside: bool) {
    let ended = {
        let mut hub = HUB.lock();
        let Some(running) = hub.as_ref() else { return };
        let empty = {
            let mut ports = running.ports.lock();
            ports.retain(|p| !Arc::ptr_eq(p, port));
            ports.is_empty()
        };
        if !empty {
            return;
        }
        hub.take()
    };
    if let Some(hub) = ended {
        hub.stop.store(true, Ordering::Release);
        threads::finish(hub.thread, inside);
    }
}

fn run(ports: &Mutex<Vec<Arc<dyn Port>>>, stop: &AtomicBool) {
    let mut due = Instant::now();
    let mut index = 0;
    let mut round: Vec<Arc<dyn Port>> = Vec::new();
    while !stop.load(Ordering::Acquire) {
        due += TICK;
        let now = Instant::now();
        match due.checked_duration_since(now) {
            Some(wait) => std::thread::sleep(wait),
            None if now - due > GIVE_UP => due = now,
            None => {}
        }
        round.clone_from(&ports.lock());
        for port in &round {
            let step = std::panic::AssertUnwindSafe(|| port.tick(due, index));
            if std::panic::catch_unwind(step).is_err() {
                ports.lock().retain(|p| !Arc::ptr_eq(p, port));
                port.failed();
            }
        }
        round.clear();
        index += 1;
    }
}
