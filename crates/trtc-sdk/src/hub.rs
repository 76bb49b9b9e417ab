//! The audio hub: one thread per process that makes sound in blocks of 10 ms; clouds are ports on it. Its clock is the speaker,
//! or a timer while none plays. The microphone is read at that clock (`trtc_media::drift`).
use crate::devices::{microphone, speaker::Filler};
use crate::receive::audio::BLOCK;
use crate::threads;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use trtc_media::mixer;

pub(crate) const TICK: Duration = Duration::from_millis(10);
/// Behind by more than this (a suspended machine), the timer starts afresh instead of catching up.
const GIVE_UP: Duration = Duration::from_millis(200);
/// A speaker wakes the thread; this is for one that stops.
const PATIENCE: Duration = Duration::from_millis(20);
/// The device's blocks come in bursts, so its clock only pulls at ours, unless it is off by this much.
const JUMP: Duration = Duration::from_millis(60);
const PULL: u32 = 16;

/// One 10 ms step.
pub(crate) struct Tick<'a> {
    /// When the block is due.
    pub(crate) now: Instant,
    /// Steps since the hub began.
    pub(crate) index: u64,
    /// The microphone's 10 ms (48 kHz stereo) while it delivers.
    pub(crate) microphone: Option<&'a [i16; BLOCK]>,
}

/// What the hub drives.
pub(crate) trait Port: Send + Sync {
    /// Called every 10 ms, on the hub's thread. Adds what is to be played.
    fn tick(&self, tick: &Tick<'_>, playout: &mut [i32]);
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
    let mut clock = Clock { due: Instant::now() };
    let mut filler = Filler::default();
    let mut index = 0;
    let mut round: Vec<Arc<dyn Port>> = Vec::new();
    let (mut captured, mut mix, mut block) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
    while clock.wait(&mut filler, stop) {
        let microphone = microphone::read(&mut captured).then_some(&captured);
        let tick = Tick { now: clock.due, index, microphone };
        mix.fill(0);
        round.clone_from(&ports.lock());
        for port in &round {
            let step = std::panic::AssertUnwindSafe(|| port.tick(&tick, &mut mix));
            if std::panic::catch_unwind(step).is_err() {
                ports.lock().retain(|p| !Arc::ptr_eq(p, port));
                port.failed();
            }
        }
        round.clear();
        mixer::finish(&mix, &mut block);
        filler.fill(&block);
        index += 1;
    }
}

/// When the next block is due. It goes on from the same moment when the speaker takes over from the timer or the other way
/// round, so that no time is left out or doubled.
struct Clock {
    due: Instant,
}

impl Clock {
    /// Waits for the next block; `false` when the hub ends.
    fn wait(&mut self, filler: &mut Filler, stop: &AtomicBool) -> bool {
        while !stop.load(Ordering::Acquire) {
            let now = Instant::now();
            if filler.is_clock(now) {
                if filler.wants_block() {
                    self.due = pulled(self.due + TICK, now);
                    return true;
                }
                std::thread::park_timeout(PATIENCE);
                continue;
            }
            let next = self.due + TICK;
            if let Some(wait) = next.checked_duration_since(now).filter(|w| !w.is_zero()) {
                std::thread::sleep(wait.min(TICK));
                continue;
            }
            self.due = if now - next > GIVE_UP { now } else { next };
            return true;
        }
        false
    }
}

/// The device's time in place of ours, without its bursts.
fn pulled(due: Instant, now: Instant) -> Instant {
    let (ahead, behind) = (due.saturating_duration_since(now), now.saturating_duration_since(due));
    if ahead.max(behind) > JUMP {
        return now;
    }
    due + behind / PULL - ahead / PULL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bursty_device_makes_even_time() {
        let start = Instant::now();
        let mut due = start;
        for i in 0..1_000u32 {
            // Two blocks every 20 ms, by a clock that is 0.1 % slow.
            let now = start + (TICK * (i / 2 * 2)).mul_f64(1.001);
            let next = pulled(due + TICK, now);
            assert!((next - due).abs_diff(TICK) < Duration::from_millis(2), "{i}: {:?}", next - due);
            due = next;
        }
        assert!((due - start).abs_diff(TICK.mul_f64(1_001.0)) < Duration::from_millis(25));
    }

    #[test]
    fn a_far_clock_is_taken_over_at_once() {
        let now = Instant::now() + Duration::from_secs(10);
        assert_eq!(pulled(now - Duration::from_secs(1), now), now);
        assert_eq!(pulled(now + Duration::from_secs(1), now), now);
    }
}
