//! The audio thread's side of an open microphone.
use crate::receive::audio::BLOCK;
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use trtc_media::{CaptureRing, DriftReader};
use trtc_types::{CaptureSink, StereoFrame};

/// Frames that may wait for the audio thread: a third of a second.
const CAPACITY: usize = 16_384;

/// Both sides count from here.
static START: OnceLock<Instant> = OnceLock::new();

fn now() -> Duration {
    START.get_or_init(Instant::now).elapsed()
}

/// Given to the device.
pub(crate) struct MicrophoneSink(Arc<CaptureRing>);

impl CaptureSink for MicrophoneSink {
    fn captured(&mut self, frames: &[StereoFrame]) {
        self.0.push(now(), frames);
    }
}

/// The open microphone, where the audio thread finds it. The lock is held for a read of 10 ms, by that thread, and for a
/// replacement.
static OPEN: Mutex<Option<(Arc<CaptureRing>, DriftReader)>> = Mutex::new(None);

pub(crate) fn new_ring() -> (Arc<CaptureRing>, MicrophoneSink) {
    let ring = Arc::new(CaptureRing::new(CAPACITY));
    (ring.clone(), MicrophoneSink(ring))
}

pub(crate) fn set_open(ring: Arc<CaptureRing>, rate_hz: u32) {
    let reader = DriftReader::new(ring.clone(), rate_hz);
    *OPEN.lock() = Some((ring, reader));
}

/// Forgets a microphone, unless another one took its place.
pub(crate) fn set_closed(ring: &Arc<CaptureRing>) {
    OPEN.lock().take_if(|(open, _)| Arc::ptr_eq(open, ring));
}

/// The next 10 ms; `false` while none flow.
pub(crate) fn read(block: &mut [i16; BLOCK]) -> bool {
    OPEN.lock().as_mut().is_some_and(|(_, reader)| reader.read(now(), block))
}
