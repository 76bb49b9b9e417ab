//! Local sound: the microphone, custom PCM, a file or the pattern, in 20 ms Opus frames on the hub's clock.
use super::files::WavFile;
use crate::params::AudioInput;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use trtc_codec::OpusEncoder;
use trtc_media::{Resampler, mixer, tone::Tone};
use trtc_member::{EncodedAudio, Member};
use trtc_types::{AudioEncoder, AudioQuality, Code, Error, Result};

/// Samples per channel in 20 ms of 48 kHz; 10 ms of stereo.
const FRAME: usize = 960;
/// Custom PCM that may wait: 1 s of 48 kHz stereo.
const RING_CAP: usize = 96_000;
/// Custom PCM that must wait before the first frame: 40 ms of 48 kHz stereo.
const PREFILL: usize = 4 * FRAME;
/// Custom PCM that has waited all through this many frames (2 s) is more than the host's unevenness needs, when it is above 150 ms:
/// only the prefill is kept.
const STANDING_FRAMES: u32 = 100;
const STANDING: usize = 15 * FRAME;
/// The samples follow the hub's clock by this part of what is between them with each frame; a step is followed at once.
const FOLLOW: u32 = 64;
const STEP: Duration = Duration::from_millis(200);
const FRAME_TIME: Duration = Duration::from_millis(20);

pub(crate) enum AudioSource {
    Custom,
    /// The microphone: 10 ms at a time from the hub.
    Device,
    Pattern(Tone),
    File {
        wav: WavFile,
        at: usize,
        repeat: bool,
        converter: Resampler,
    },
}

pub(crate) struct Capture {
    /// Custom PCM at 48 kHz stereo; its own lock, so that a pushing host never waits for the encoder.
    ring: Mutex<Ring>,
    work: Mutex<Work>,
    muted: AtomicBool,
    volume: AtomicU32,
    level: AtomicU32,
    pub(crate) sent_bytes: AtomicU64,
    pub(crate) dropped_samples: AtomicU64,
}

#[derive(Default)]
struct Ring {
    samples: VecDeque<i16>,
    converter: Option<(u32, u16, Resampler)>,
    open: bool,
    flowing: bool,
    /// The least that waited since, and frames taken since.
    least: usize,
    taken: u32,
}

struct Work {
    source: Option<AudioSource>,
    quality: AudioQuality,
    encoder: Option<OpusEncoder>,
    sending: Option<(Member, String)>,
    /// Media time of the next sample, and samples since the run began.
    next: Option<Duration>,
    played: u64,
    /// How long ago the host gave the frame in hand.
    waited: Duration,
    first_sent: bool,
    /// The microphone has delivered.
    device_ready: bool,
    pcm: Vec<i16>,
    packet: Vec<u8>,
    spare: VecDeque<i16>,
}

/// What a tick brought.
#[derive(Default)]
pub(crate) struct Captured {
    /// The microphone has begun to deliver.
    pub(crate) device_ready: bool,
    pub(crate) first_sent: bool,
    pub(crate) failed: Option<Error>,
}

impl Capture {
    pub(crate) fn new() -> Self {
        Self {
            ring: Mutex::default(),
            work: Mutex::new(Work {
                source: None,
                quality: AudioQuality::Default,
                encoder: None,
                sending: None,
                next: None,
                waited: Duration::ZERO,
                played: 0,
                first_sent: false,
                device_ready: false,
                pcm: Vec::new(),
                packet: Vec::new(),
                spare: VecDeque::new(),
            }),
            muted: AtomicBool::new(false),
            volume: AtomicU32::new(100),
            level: AtomicU32::new(0),
            sent_bytes: AtomicU64::new(0),
            dropped_samples: AtomicU64::new(0),
        }
    }

    pub(crate) fn set_source(&self, source: Option<AudioSource>) {
        let custom = matches!(source, Some(AudioSource::Custom));
        let mut work = self.work.lock();
        work.source = source;
        work.restart();
        work.device_ready = false;
        work.spare.clear();
        drop(work);
        *self.ring.lock() = Ring { open: custom, ..Ring::default() };
        self.level.store(0, Ordering::Relaxed);
    }

    pub(crate) fn set_quality(&self, quality: AudioQuality) {
        let mut work = self.work.lock();
        if work.quality != quality {
            work.quality = quality;
            work.encoder = None;
        }
    }

    pub(crate) fn quality(&self) -> AudioQuality {
        self.work.lock().quality
    }

    /// Where frames go; `None` holds them back.
    pub(crate) fn set_sending(&self, sending: Option<(Member, String)>) {
        let mut work = self.work.lock();
        if sending.is_none() {
            work.first_sent = false;
        }
        work.sending = sending;
        work.restart();
    }

    pub(crate) fn set_muted(&self, muted: bool) {
        self.muted.store(muted, Ordering::Relaxed);
    }

    pub(crate) fn is_muted(&self) -> bool {
        self.muted.load(Ordering::Relaxed)
    }

    pub(crate) fn set_volume(&self, volume: u32) {
        self.volume.store(volume, Ordering::Relaxed);
    }

    pub(crate) fn volume(&self) -> u32 {
        self.volume.load(Ordering::Relaxed)
    }

    /// Loudness of the last frame; 0 while muted.
    pub(crate) fn level(&self) -> u32 {
        if self.is_muted() { 0 } else { self.level.load(Ordering::Relaxed) }
    }

    pub(crate) fn stop(&self) {
        self.set_source(None);
        self.set_sending(None);
    }

    /// Takes custom PCM. The oldest sound is dropped, and counted, when more than a second waits.
    pub(crate) fn push(&self, input: AudioInput<'_>) -> Result<()> {
        check_input(&input)?;
        let mut ring = self.ring.lock();
        if !ring.open {
            return Err(Error::new(Code::REFUSED, "custom audio capture is not enabled"));
        }
        let format = (input.sample_rate_hz, 2);
        if !matches!(&ring.converter, Some((rate, channels, _)) if (*rate, *channels) == format) {
            ring.converter = Some((format.0, 2, Resampler::new(format.0, 48_000, 2)));
        }
        let stereo: Vec<i16>;
        let samples = if input.channels == 1 {
            stereo = input.samples.iter().flat_map(|s| [*s, *s]).collect();
            &stereo
        } else {
            input.samples
        };
        let Ring { samples: waiting, converter, .. } = &mut *ring;
        if let Some((_, _, converter)) = converter {
            converter.push(samples, waiting);
        }
        let excess = waiting.len().saturating_sub(RING_CAP).next_multiple_of(2);
        if excess > 0 {
            waiting.drain(..excess);
            self.dropped_samples.fetch_add(excess as u64 / 2, Ordering::Relaxed);
            return Err(Error::new(Code::QUEUE_FULL, "more than 1 s of sound was waiting; the oldest was dropped"));
        }
        Ok(())
    }

    /// Every 10 ms, at `now` of the media clock: a frame of 20 ms whenever the microphone has one, of other sources at `even` ticks.
    pub(crate) fn tick(&self, now: Duration, even: bool, microphone: Option<&[i16; FRAME]>) -> Captured {
        let mut work = self.work.lock();
        let mut ready = false;
        if matches!(work.source, Some(AudioSource::Device)) {
            ready = work.take_device(microphone);
        } else if !even {
            return Captured::default();
        }
        let mut pcm = std::mem::take(&mut work.pcm);
        pcm.clear();
        let has_sound = self.read(&mut work, &mut pcm);
        let captured = if has_sound { self.send(now, &mut work, &mut pcm) } else { Captured::default() };
        work.pcm = pcm;
        Captured { device_ready: ready, ..captured }
    }

    /// 20 ms of 48 kHz stereo.
    fn read(&self, work: &mut Work, pcm: &mut Vec<i16>) -> bool {
        let Work { source, played, spare, waited, .. } = work;
        *waited = Duration::ZERO;
        match source {
            None => false,
            Some(AudioSource::Device) => {
                let full = spare.len() >= 2 * FRAME;
                if full {
                    pcm.extend(spare.drain(..2 * FRAME));
                }
                full
            }
            Some(AudioSource::Pattern(tone)) => {
                pcm.resize(2 * FRAME, 0);
                tone.fill(*played, pcm, 2);
                true
            }
            Some(AudioSource::Custom) => {
                let mut ring = self.ring.lock();
                let need = if ring.flowing { 2 * FRAME } else { PREFILL };
                if ring.samples.len() < need {
                    if ring.flowing {
                        // Underrun: the next sound starts a new run on the clock.
                        ring.flowing = false;
                        work.next = None;
                    }
                    return false;
                }
                if !std::mem::replace(&mut ring.flowing, true) {
                    (ring.least, ring.taken) = (usize::MAX, 0);
                }
                let excess = ring.standing();
                self.dropped_samples.fetch_add(excess as u64 / 2, Ordering::Relaxed);
                *waited = FRAME_TIME * ring.samples.len() as u32 / (2 * FRAME) as u32;
                pcm.extend(ring.samples.drain(..2 * FRAME));
                true
            }
            Some(AudioSource::File { wav, at, repeat, converter }) => {
                let step = usize::from(wav.channels) * (wav.rate as usize / 50).max(1);
                while spare.len() < 2 * FRAME {
                    if *at >= wav.samples.len() {
                        if !*repeat {
                            return false;
                        }
                        *at = 0;
                    }
                    let part = &wav.samples[*at..(*at + step).min(wav.samples.len())];
                    *at += step;
                    if wav.channels == 1 {
                        let stereo: Vec<i16> = part.iter().flat_map(|s| [*s, *s]).collect();
                        converter.push(&stereo, spare);
                    } else {
                        converter.push(part, spare);
                    }
                }
                pcm.extend(spare.drain(..2 * FRAME));
                true
            }
        }
    }

    fn send(&self, now: Duration, work: &mut Work, pcm: &mut Vec<i16>) -> Captured {
        let volume = self.volume.load(Ordering::Relaxed) as i32;
        if self.is_muted() {
            // The track stays alive with silence, which DTX makes nearly free.
            pcm.fill(0);
        } else if volume != 100 {
            for sample in pcm.iter_mut() {
                *sample = (i32::from(*sample) * volume / 100).clamp(-32_768, 32_767) as i16;
            }
        }
        self.level.store(mixer::volume(pcm), Ordering::Relaxed);
        let level = Some(mixer::level_dbov(pcm));
        let time = work.time(now.saturating_sub(work.waited));
        let mut captured = Captured::default();
        let Some((member, cid)) = work.sending.clone() else { return captured };
        if work.quality != AudioQuality::Music {
            let mono: Vec<i16> =
                pcm.chunks_exact(2).map(|s| ((i32::from(s[0]) + i32::from(s[1])) / 2) as i16).collect();
            *pcm = mono;
        }
        if let Err(error) = work.encode(pcm) {
            work.sending = None;
            captured.failed = Some(error);
            return captured;
        }
        let sound = EncodedAudio { opus: &work.packet, samples_48k: FRAME as u32, time, level };
        if !work.packet.is_empty() && member.send_audio(&cid, &sound) == Ok(true) {
            self.sent_bytes.fetch_add(work.packet.len() as u64, Ordering::Relaxed);
            captured.first_sent = !std::mem::replace(&mut work.first_sent, true);
        }
        captured
    }
}

impl Work {
    /// Takes 10 ms of the microphone; `true` for the first since it became the source.
    fn take_device(&mut self, microphone: Option<&[i16; FRAME]>) -> bool {
        let Some(block) = microphone else {
            // The next sound starts a new run on the clock.
            self.restart();
            self.spare.clear();
            return false;
        };
        self.spare.extend(block);
        !std::mem::replace(&mut self.device_ready, true)
    }

    fn restart(&mut self) {
        self.next = None;
    }

    /// When the next frame was captured: sample after sample, yet on the media clock.
    fn time(&mut self, now: Duration) -> Duration {
        if self.next.is_none() {
            self.played = 0;
        }
        let time = match self.next {
            Some(next) if next.abs_diff(now) > STEP => now,
            Some(next) if next < now => next + (now - next) / FOLLOW,
            Some(next) => next - (next - now) / FOLLOW,
            None => now,
        };
        self.next = Some(time + FRAME_TIME);
        self.played += FRAME as u64;
        time
    }

    fn encode(&mut self, pcm: &[i16]) -> Result<()> {
        let channels = if self.quality == AudioQuality::Music { 2 } else { 1 };
        if self.encoder.is_none() {
            self.encoder = Some(OpusEncoder::new(channels, self.quality)?);
        }
        match &mut self.encoder {
            Some(encoder) => encoder.encode(pcm, &mut self.packet),
            None => Ok(()),
        }
    }
}

impl Ring {
    /// Drops the oldest of what stands all the time: a host that caught up after a pause, or whose clock is fast, would be heard ever
    /// later. Samples dropped.
    fn standing(&mut self) -> usize {
        self.least = self.least.min(self.samples.len());
        self.taken += 1;
        if self.taken < STANDING_FRAMES {
            return 0;
        }
        let least = std::mem::replace(&mut self.least, usize::MAX);
        self.taken = 0;
        let excess = if least > STANDING { least - PREFILL } else { 0 };
        self.samples.drain(..excess);
        excess
    }
}

fn check_input(input: &AudioInput<'_>) -> Result<()> {
    let rate = input.sample_rate_hz;
    if ![16_000, 24_000, 32_000, 44_100, 48_000].contains(&rate) {
        let message = format!("sample_rate_hz must be 16000, 24000, 32000, 44100 or 48000, got {rate}");
        return Err(Error::new(Code::UNSUPPORTED_SAMPLERATE, message));
    }
    if !(1..=2).contains(&input.channels) {
        return Err(Error::invalid(format!("channels must be 1..=2, got {}", input.channels)));
    }
    let channels = usize::from(input.channels);
    let frames = input.samples.len() / channels;
    let (low, high) = (rate as usize / 200, rate as usize / 10);
    if !input.samples.len().is_multiple_of(channels) || !(low..=high).contains(&frames) {
        return Err(Error::invalid(format!("samples_per_channel must be 5..=100 ms ({low}..={high}), got {frames}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture() -> Capture {
        let capture = Capture::new();
        capture.set_source(Some(AudioSource::Custom));
        capture
    }

    fn push(capture: &Capture) -> Result<()> {
        let samples = [100; FRAME];
        capture.push(AudioInput { sample_rate_hz: 48_000, channels: 1, samples: &samples })
    }

    fn waiting_ms(capture: &Capture) -> usize {
        capture.ring.lock().samples.len() / 96
    }

    #[test]
    fn sound_that_a_host_catches_up_with_does_not_wait_for_ever() {
        let capture = capture();
        let tick = |at: u64| capture.tick(FRAME_TIME * at as u32, true, None);
        for at in 0..50 {
            push(&capture).unwrap();
            tick(at);
        }
        // 400 ms are missing, and come at once; bursts of 100 ms follow.
        (50..70).for_each(|at| drop(tick(at)));
        (0..20).for_each(|_| push(&capture).unwrap());
        for at in 70..400 {
            if at % 5 == 0 {
                (0..5).for_each(|_| push(&capture).unwrap());
            }
            tick(at);
        }
        assert!((20..=140).contains(&waiting_ms(&capture)), "{} ms", waiting_ms(&capture));
        let dropped = capture.dropped_samples.load(Ordering::Relaxed);
        assert!((300 * 48..=420 * 48).contains(&dropped), "{dropped}");
        // Once, and not again.
        for at in 400..1_000 {
            push(&capture).unwrap();
            tick(at);
        }
        assert_eq!(capture.dropped_samples.load(Ordering::Relaxed), dropped);
    }

    #[test]
    fn custom_sound_is_of_the_moment_in_which_the_host_gave_it() {
        let capture = capture();
        for at in 0..500 {
            // 60 ms at a time: 40 to 100 ms wait.
            if at % 3 == 0 {
                (0..3).for_each(|_| push(&capture).unwrap());
            }
            capture.tick(Duration::from_secs(1) + FRAME_TIME * at, true, None);
        }
        let next = capture.work.lock().next.unwrap();
        let late = Duration::from_secs(1) + FRAME_TIME * 500 - next;
        assert!((20..=60).contains(&late.as_millis()), "{late:?}");
    }

    #[test]
    fn sound_of_a_slow_hub_stays_on_the_media_clock() {
        let capture = capture();
        let mut work = capture.work.lock();
        let mut last = None;
        // An hour by a speaker that is 100 ppm slow.
        for frame in 0..180_000_u32 {
            let now = Duration::from_secs(1) + FRAME_TIME.mul_f64(1.0001) * frame;
            let time = work.time(now);
            assert!(time.abs_diff(now) < Duration::from_micros(500), "{frame}: {time:?} {now:?}");
            let step = last.replace(time).map_or(FRAME_TIME, |last| time - last);
            assert!(step.abs_diff(FRAME_TIME) < Duration::from_micros(10), "{frame}: {step:?}");
        }
        // The machine slept.
        assert_eq!(work.time(Duration::from_secs(9_000)), Duration::from_secs(9_000));
    }
}
