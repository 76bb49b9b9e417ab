//! The lock-free ring between a device's callback and the audio thread: one writer, one reader, bounded, counted.
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use trtc_types::StereoFrame;

/// A ring of stereo frames. Neither side ever waits or allocates; one thread writes, one reads.
pub struct FrameRing {
    /// A frame each: the left sample in the upper half.
    slots: Box<[AtomicU32]>,
    /// Frames ever written and read; the difference waits.
    written: AtomicUsize,
    read: AtomicUsize,
    overrun: AtomicU64,
    underrun: AtomicU64,
}

impl FrameRing {
    /// Room for `capacity` frames, rounded up to a power of two.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            slots: (0..capacity.next_power_of_two()).map(|_| AtomicU32::new(0)).collect(),
            written: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
            overrun: AtomicU64::new(0),
            underrun: AtomicU64::new(0),
        }
    }

    /// Frames that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.written.load(Ordering::Acquire).wrapping_sub(self.read.load(Ordering::Acquire))
    }

    /// No frame waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writer: appends what fits; the rest is dropped and counted.
    pub fn push(&self, frames: &[StereoFrame]) {
        let at = self.written.load(Ordering::Relaxed);
        let free = self.slots.len() - at.wrapping_sub(self.read.load(Ordering::Acquire));
        let fits = frames.len().min(free);
        for (i, [left, right]) in frames[..fits].iter().enumerate() {
            let frame = u32::from(*left as u16) << 16 | u32::from(*right as u16);
            self.slots[at.wrapping_add(i) & (self.slots.len() - 1)].store(frame, Ordering::Relaxed);
        }
        self.written.store(at.wrapping_add(fits), Ordering::Release);
        if fits < frames.len() {
            self.overrun.fetch_add((frames.len() - fits) as u64, Ordering::Relaxed);
        }
    }

    /// Reader: takes up to `out.len()` frames; returns how many.
    pub fn pop(&self, out: &mut [StereoFrame]) -> usize {
        let at = self.read.load(Ordering::Relaxed);
        let there = out.len().min(self.written.load(Ordering::Acquire).wrapping_sub(at));
        for (i, frame) in out[..there].iter_mut().enumerate() {
            let slot = self.slots[at.wrapping_add(i) & (self.slots.len() - 1)].load(Ordering::Relaxed);
            *frame = [(slot >> 16) as u16 as i16, slot as u16 as i16];
        }
        self.read.store(at.wrapping_add(there), Ordering::Release);
        there
    }

    /// Reader: as [`FrameRing::pop`]; what is missing becomes silence and is counted.
    pub fn pop_or_silence(&self, out: &mut [StereoFrame]) {
        let there = self.pop(out);
        if there < out.len() {
            out[there..].fill([0, 0]);
            self.underrun.fetch_add((out.len() - there) as u64, Ordering::Relaxed);
        }
    }

    /// Reader: drops up to `frames` of the oldest.
    pub fn skip(&self, frames: usize) {
        let at = self.read.load(Ordering::Relaxed);
        let there = frames.min(self.written.load(Ordering::Acquire).wrapping_sub(at));
        self.read.store(at.wrapping_add(there), Ordering::Release);
    }

    /// Frames ever read.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.read.load(Ordering::Acquire)
    }

    /// Frames dropped because the ring was full.
    #[must_use]
    pub fn overrun(&self) -> u64 {
        self.overrun.load(Ordering::Relaxed)
    }

    /// Frames of silence given because the ring was empty.
    #[must_use]
    pub fn underrun(&self) -> u64 {
        self.underrun.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn full_and_empty_are_counted() {
        let ring = FrameRing::new(8);
        let frames: Vec<StereoFrame> = (0..10).map(|i| [i, -i]).collect();
        ring.push(&frames);
        assert_eq!((ring.len(), ring.overrun()), (8, 2));
        ring.skip(1);
        let mut out = [[7, 7]; 9];
        ring.pop_or_silence(&mut out);
        assert_eq!(out[..7], frames[1..8]);
        assert_eq!((out[7], out[8], ring.underrun(), ring.taken()), ([0, 0], [0, 0], 2, 8));
        assert!(ring.is_empty());
    }

    #[test]
    fn two_threads_see_every_frame_once_and_in_order() {
        let ring = Arc::new(FrameRing::new(64));
        let reader = ring.clone();
        let counted = std::thread::Builder::new().spawn(move || {
            let (mut next, mut out) = (0u32, [[0, 0]; 37]);
            while next < 200_000 {
                let there = reader.pop(&mut out);
                for [high, low] in &out[..there] {
                    assert_eq!(u32::from(*high as u16) << 16 | u32::from(*low as u16), next);
                    next += 1;
                }
                if there == 0 {
                    std::thread::yield_now();
                }
            }
        });
        let mut sent = 0u32;
        while sent < 200_000 {
            if ring.len() < 32 {
                let part: Vec<StereoFrame> =
                    (sent..(sent + 25).min(200_000)).map(|i| [(i >> 16) as i16, i as u16 as i16]).collect();
                ring.push(&part);
                sent += part.len() as u32;
            } else {
                std::thread::yield_now();
            }
        }
        counted.unwrap().join().unwrap();
        assert_eq!(ring.overrun(), 0);
    }
}
