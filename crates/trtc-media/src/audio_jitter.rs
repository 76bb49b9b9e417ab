//! The jitter buffer of one received audio track: packets in as the network brings them, 10 ms of sound out per pull.
//!
//! The playhead is a media time. How far it lies behind the fastest packet of the last seconds is the *lag*; the packets'
//! own delays against that fastest one make a histogram, and nearly all of them must fit into the lag. So the wanted lag
//! follows from the histogram, and the real one is steered to it: in silence by waiting or skipping, in sound by stretching.
//! A hole whose successor is here is filled by FEC or concealment; when nothing is here at all, the playhead stands still
//! and concealment bridges the time, so that a late packet is still played.
use crate::delay::{DelayEstimator, Unwrapper, extend_sequence};
use crate::stretch::{STRETCH_NEEDS, accelerate, expand};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;
use trtc_types::AudioDecoder;

/// Packets that may wait; more than these drop the oldest.
pub const PACKETS_MAX: usize = 200;

const PER_MS: f64 = 48.0;
const FRAME: usize = 960;
const DECODE_MAX: i64 = 5_760;
const LATE_PART: f64 = 0.97;
const TARGET_START_MS: f64 = 40.0;
const TARGET_MIN_MS: f64 = 10.0;
/// More than a frame, so that the packet after a lost one is here in time to repair it: while more than this part is lost.
const TARGET_LOSSY_MS: f64 = 25.0;
const LOSSY: f64 = 0.003;
/// Weight that the loss keeps when the next packet is played: half is forgotten after 350 packets.
const LOSS_KEEP: f64 = 0.998;
const TARGET_MAX_MS: f64 = 600.0;
/// A step of the sender's clock, or a sequence jump, that is a new beginning.
const JUMP_MS: f64 = 3_000.0;
const JUMP_PACKETS: i64 = 500;
/// Pulls between two stretches: 100 ms, or less when the lag is far off.
const STRETCH_PULLS: u32 = 10;
const STRETCH_PULLS_URGENT: u32 = 3;
const URGENT_MS: f64 = 100.0;
/// So far behind, packets are dropped instead.
const SKIP_MS: f64 = 400.0;

/// What one pull did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PullInfo {
    /// Sound has started; before, a pull gives silence.
    pub playing: bool,
    /// Samples per channel in this block that were made up, for loss or lateness.
    pub concealed: usize,
    /// Samples per channel that came from in-band FEC.
    pub recovered: usize,
    /// Samples per channel of comfort noise in a pause of the sender (DTX).
    pub comfort: usize,
    /// Samples per channel added (positive) or removed by stretching.
    pub stretched: i32,
}

/// Counters since the start. Samples are per channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioJitterStats {
    /// Packets taken in.
    pub received: u64,
    /// Packets that came twice.
    pub duplicate: u64,
    /// Packets that came after their time.
    pub late: u64,
    /// Packets thrown away because too many waited.
    pub overflow: u64,
    /// Packets that the decoder refused.
    pub corrupt: u64,
    /// Packets that never came in time.
    pub lost: u64,
    /// New beginnings: jumps of the sender's clock or numbering.
    pub restarts: u64,
    /// Samples put out since the sound started.
    pub played: u64,
    /// Samples made up for loss or lateness.
    pub concealed: u64,
    /// Of these, samples that count as comfort noise when the next packet shows a pause of the sender.
    pub unsettled: u64,
    /// Times that concealment began.
    pub concealments: u64,
    /// Samples recovered by FEC.
    pub recovered: u64,
    /// Samples of comfort noise.
    pub comfort: u64,
    /// Samples removed by stretching.
    pub accelerated: u64,
    /// Samples added by stretching.
    pub expanded: u64,
    /// Wanted lag, ms.
    pub target_ms: u32,
    /// Lag in force, ms.
    pub delay_ms: u32,
}

struct Packet {
    time: i64,
    payload: Bytes,
}

/// The playhead's place in the stream.
#[derive(Clone, Copy)]
struct Cursor {
    /// Sequence number to be decoded next.
    sequence: i64,
    /// Its media time: where the decoded sound ends.
    time: i64,
}

/// Why a made-up stretch of sound was needed; settled when the next packet shows what happened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    Concealed,
    Recovered,
    Comfort,
}

/// The jitter buffer; see the module. Not tied to a decoder: the same one must be given to every pull.
pub struct AudioJitterBuffer {
    channels: usize,
    packets: BTreeMap<i64, Packet>,
    newest: Option<i64>,
    times: Unwrapper,
    delays: DelayEstimator,
    cursor: Option<Cursor>,
    /// Decoded sound not yet played, interleaved.
    pcm: Vec<i16>,
    /// What lies in `pcm` and is not real: samples per channel and why, with the real ones between.
    fills: VecDeque<(usize, Option<Fill>)>,
    /// Samples concealed while nothing was here; comfort noise if the next packet shows a pause.
    unsettled: u64,
    frame: usize,
    lag_ms: Option<f64>,
    pulls_since_stretch: u32,
    last_pull: Option<Instant>,
    pull_gap_ms: f64,
    was_concealing: bool,
    /// Part of the last packets that was lost.
    loss: f64,
    scratch: Vec<i16>,
    stats: AudioJitterStats,
}

impl AudioJitterBuffer {
    /// An empty buffer that puts out `channels` (1 or 2) interleaved channels.
    #[must_use]
    pub fn new(channels: u16) -> Self {
        Self {
            channels: usize::from(channels.clamp(1, 2)),
            packets: BTreeMap::new(),
            newest: None,
            times: Unwrapper::default(),
            delays: DelayEstimator::default(),
            cursor: None,
            pcm: Vec::new(),
            fills: VecDeque::new(),
            unsettled: 0,
            frame: FRAME,
            lag_ms: None,
            pulls_since_stretch: 0,
            last_pull: None,
            pull_gap_ms: 10.0,
            was_concealing: false,
            loss: 0.0,
            scratch: Vec::new(),
            stats: AudioJitterStats::default(),
        }
    }

    /// Takes a packet in, in any order, any number of times.
    pub fn insert(&mut self, now: Instant, sequence: u16, rtp_time: u32, payload: Bytes) {
        if payload.is_empty() {
            return;
        }
        self.stats.received += 1;
        let mut number = extend_sequence(self.newest.unwrap_or(i64::from(sequence)), sequence);
        let mut time = self.times.extend(rtp_time);
        let jumped = self.newest.is_some_and(|newest| (number - newest).abs() > JUMP_PACKETS)
            || self.delays.lag(now, media_ms(time)).is_some_and(|lag| lag.abs() > JUMP_MS);
        if jumped {
            self.restart();
            number = i64::from(sequence);
            self.times = Unwrapper::default();
            time = self.times.extend(rtp_time);
        }
        self.delays.insert(now, media_ms(time));
        self.newest = Some(self.newest.map_or(number, |n| n.max(number)));
        if self.cursor.is_some_and(|c| number < c.sequence) {
            self.stats.late += 1;
            return;
        }
        if self.packets.contains_key(&number) {
            self.stats.duplicate += 1;
            return;
        }
        self.packets.insert(number, Packet { time, payload });
        if self.packets.len() > PACKETS_MAX {
            self.packets.pop_first();
            self.stats.overflow += 1;
        }
    }

    /// Fills `out` (interleaved; 10 ms at 48 kHz is the block it is made for). Decoder trouble becomes concealment.
    pub fn pull(&mut self, now: Instant, decoder: &mut dyn AudioDecoder, out: &mut [i16]) -> PullInfo {
        let want = out.len() / self.channels;
        self.watch_pulls(now);
        if self.cursor.is_none() && !self.start(now) {
            out.fill(0);
            return PullInfo::default();
        }
        let mut info = PullInfo { playing: true, ..PullInfo::default() };
        while self.buffered() < want {
            self.produce(now, decoder);
        }
        info.stretched = self.steer(now, decoder);
        out.copy_from_slice(&self.pcm[..want * self.channels]);
        self.pcm.drain(..want * self.channels);
        self.account(want, &mut info);
        info
    }

    /// Counters and levels.
    #[must_use]
    pub fn stats(&self) -> AudioJitterStats {
        let unplayed =
            self.fills.iter().filter(|(_, why)| *why == Some(Fill::Concealed)).map(|(count, _)| *count as u64);
        AudioJitterStats {
            unsettled: self.unsettled.saturating_sub(unplayed.sum()),
            target_ms: self.target_ms() as u32,
            delay_ms: self.lag_ms.unwrap_or(0.0).max(0.0) as u32,
            ..self.stats
        }
    }

    /// When the sound of this RTP time is played, at the present lag: for lip sync. Unknown before sound has started.
    #[must_use]
    pub fn plays_at(&self, rtp_time: u32) -> Option<Instant> {
        let time = { self.times }.extend(rtp_time);
        self.delays.instant_at(media_ms(time), self.lag_ms?)
    }

    /// Packets waiting to be decoded.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.packets.len()
    }

    fn restart(&mut self) {
        self.stats.restarts += 1;
        self.packets.clear();
        self.pcm.clear();
        self.fills.clear();
        self.delays.rebase();
        self.newest = None;
        self.cursor = None;
        self.lag_ms = None;
        self.unsettled = 0;
    }

    /// Begins with the first packet once it has waited for its lag.
    fn start(&mut self, now: Instant) -> bool {
        let Some((&sequence, first)) = self.packets.first_key_value() else { return false };
        let time = first.time;
        let target = if self.stats.played == 0 { TARGET_START_MS } else { self.target_ms() };
        match self.delays.lag(now, media_ms(time)) {
            Some(lag) if lag >= target => {
                self.cursor = Some(Cursor { sequence, time });
                true
            }
            _ => false,
        }
    }

    /// The lag that nearly all packets keep, plus what the player takes at a time.
    fn target_ms(&self) -> f64 {
        let least = if self.loss > LOSSY { TARGET_LOSSY_MS } else { TARGET_MIN_MS };
        (self.delays.quantile(LATE_PART) + self.pull_gap_ms).clamp(least, TARGET_MAX_MS)
    }

    /// A device that pulls two blocks at once needs the second one 10 ms earlier: the widest gap, slowly forgotten.
    fn watch_pulls(&mut self, now: Instant) {
        if let Some(last) = self.last_pull.replace(now) {
            let gap = now.saturating_duration_since(last).as_secs_f64() * 1_000.0;
            self.pull_gap_ms = gap.min(60.0).max(self.pull_gap_ms * 0.999).max(10.0);
        }
    }

    fn buffered(&self) -> usize {
        self.pcm.len() / self.channels
    }

    /// Appends some sound: the next packet, or what stands in for it.
    fn produce(&mut self, now: Instant, decoder: &mut dyn AudioDecoder) {
        let Some(cursor) = self.cursor else { return };
        let Some((&sequence, packet)) = self.packets.first_key_value() else {
            // Nothing here: bridge, and let the playhead stand.
            self.unsettled += self.make_up(decoder, FRAME / 2, Fill::Concealed) as u64;
            return;
        };
        let missing = sequence - cursor.sequence;
        let gap = packet.time - cursor.time;
        let pause = gap - missing * self.frame as i64;
        if pause >= self.frame as i64 / 2 {
            return self.bridge_pause(now, decoder, packet.time - missing * self.frame as i64);
        }
        if missing > 0 && gap > 0 {
            return self.fill_hole(now, decoder, missing, gap);
        }
        self.settle(false);
        self.skip_ahead();
        if let Some((sequence, packet)) = self.packets.pop_first() {
            self.decode(decoder, sequence, &packet);
        }
    }

    /// The sender was silent (DTX) until `resume`: comfort noise until that has reached its lag, which readjusts the lag
    /// where nobody hears it.
    fn bridge_pause(&mut self, now: Instant, decoder: &mut dyn AudioDecoder, resume: i64) {
        self.settle(true);
        let ahead = self.buffered() as f64 / PER_MS;
        let due = self.delays.lag(now, media_ms(resume)).is_none_or(|lag| lag + ahead >= self.target_ms());
        if due {
            if let Some(cursor) = &mut self.cursor {
                cursor.time = resume;
            }
            self.lag_ms = None;
        } else {
            self.make_up(decoder, FRAME / 2, Fill::Comfort);
        }
    }

    /// Packets are missing and later ones are here: the last one by FEC, those before it by concealment.
    fn fill_hole(&mut self, now: Instant, decoder: &mut dyn AudioDecoder, missing: i64, gap: i64) {
        if self.unsettled > 0 && missing > 1 && self.shorten_hole(now, missing, gap) {
            return;
        }
        self.settle(false);
        let length = (gap / missing).clamp(1, DECODE_MAX) as usize;
        if missing == 1 {
            let payload = self.packets.first_key_value().map(|(_, p)| p.payload.clone()).unwrap_or_default();
            self.scratch.clear();
            match decoder.decode_fec(&payload, length, &mut self.scratch) {
                Ok(samples) if samples > 0 => self.append(decoder.channels(), Some(Fill::Recovered)),
                _ => drop(self.make_up(decoder, length, Fill::Concealed)),
            }
        } else {
            self.make_up(decoder, length, Fill::Concealed);
        }
        self.count_lost(1);
        if let Some(cursor) = &mut self.cursor {
            cursor.sequence += 1;
            cursor.time += length as i64;
        }
    }

    /// The time of the hole was bridged already, in part or in whole: what is left of it is only what brings the next packet
    /// to its lag.
    fn shorten_hole(&mut self, now: Instant, missing: i64, gap: i64) -> bool {
        let Some(cursor) = self.cursor else { return false };
        let ahead = self.buffered() as f64 / PER_MS;
        let lag = self.delays.lag(now, media_ms(cursor.time + gap)).unwrap_or(0.0) + ahead;
        let length = gap / missing;
        let left = (((self.target_ms() - lag).max(0.0) * PER_MS) as i64 / length.max(1)).max(1);
        self.settle(false);
        if left >= missing {
            return false;
        }
        let skipped = missing - left;
        self.count_lost(skipped);
        self.cursor = Some(Cursor { sequence: cursor.sequence + skipped, time: cursor.time + gap - left * length });
        true
    }

    fn count_lost(&mut self, packets: i64) {
        self.stats.lost += packets as u64;
        self.loss = (self.loss + packets as f64 * (1.0 - LOSS_KEEP)).min(1.0);
    }

    /// After an outage everything may come at once: what is far behind is dropped, for stretching would take too long.
    fn skip_ahead(&mut self) {
        let excess = self.lag_ms.unwrap_or(0.0) - self.target_ms();
        if excess < SKIP_MS {
            return;
        }
        let Some(first) = self.packets.first_key_value().map(|(_, p)| p.time) else { return };
        let until = first + (excess * PER_MS) as i64;
        while self.packets.len() > 1 && self.packets.first_key_value().is_some_and(|(_, p)| p.time < until) {
            self.packets.pop_first();
            self.stats.overflow += 1;
        }
        self.lag_ms = None;
    }

    fn decode(&mut self, decoder: &mut dyn AudioDecoder, sequence: i64, packet: &Packet) {
        self.loss *= LOSS_KEEP;
        self.scratch.clear();
        let samples = match decoder.decode(&packet.payload, &mut self.scratch) {
            Ok(_) if self.scratch.len() >= usize::from(decoder.channels().max(1)) => {
                self.frame = self.scratch.len() / usize::from(decoder.channels().max(1));
                self.append(decoder.channels(), None);
                self.frame
            }
            _ => {
                self.stats.corrupt += 1;
                self.make_up(decoder, self.frame, Fill::Concealed)
            }
        };
        self.cursor = Some(Cursor { sequence: sequence + 1, time: packet.time + samples as i64 });
    }

    /// Conceals; silence when even that fails, so that a pull always ends.
    fn make_up(&mut self, decoder: &mut dyn AudioDecoder, samples: usize, why: Fill) -> usize {
        self.scratch.clear();
        let width = usize::from(decoder.channels().max(1));
        if decoder.conceal(samples, &mut self.scratch).is_err() || self.scratch.len() < width {
            self.scratch.clear();
            self.scratch.resize(samples.max(1) * width, 0);
        }
        let made = self.scratch.len() / width;
        self.append(decoder.channels(), Some(why));
        made
    }

    /// Moves `scratch` behind the decoded sound, in our number of channels.
    fn append(&mut self, from: u16, why: Option<Fill>) {
        let from = usize::from(from.max(1));
        let frames = self.scratch.len() / from;
        match (from, self.channels) {
            (a, b) if a == b => self.pcm.extend_from_slice(&self.scratch),
            (1, b) => self.pcm.extend(self.scratch.iter().flat_map(|s| std::iter::repeat_n(*s, b))),
            (a, _) => self.pcm.extend(
                self.scratch.chunks_exact(a).map(|f| (f.iter().map(|s| i32::from(*s)).sum::<i32>() / a as i32) as i16),
            ),
        }
        match self.fills.back_mut() {
            Some((samples, last)) if *last == why => *samples += frames,
            _ => self.fills.push_back((frames, why)),
        }
    }

    /// The packet after a bridge shows what it was: a pause of the sender is not loss.
    fn settle(&mut self, pause: bool) {
        let samples = std::mem::take(&mut self.unsettled);
        if !pause || samples == 0 {
            return;
        }
        // What is still unplayed changes its name; what was played moves between the counters.
        let mut rest = samples;
        for (count, why) in self.fills.iter_mut().rev() {
            if *why == Some(Fill::Concealed) && rest > 0 {
                rest = rest.saturating_sub(*count as u64);
                *why = Some(Fill::Comfort);
            }
        }
        self.stats.concealments = self.stats.concealments.saturating_sub(1);
        let moved = rest.min(self.stats.concealed);
        self.stats.concealed -= moved;
        self.stats.comfort += moved;
    }

    /// Compares the lag with the wanted one and stretches by one period when it is off.
    fn steer(&mut self, now: Instant, decoder: &mut dyn AudioDecoder) -> i32 {
        let Some(cursor) = self.cursor else { return 0 };
        let playhead = media_ms(cursor.time) - self.buffered() as f64 / PER_MS;
        let Some(lag) = self.delays.lag(now, playhead) else { return 0 };
        let smooth = self.lag_ms.map_or(lag, |old| old + (lag - old) / 8.0);
        self.lag_ms = Some(smooth);
        self.pulls_since_stretch = self.pulls_since_stretch.saturating_add(1);
        let target = self.target_ms();
        // Too short is heard, too long is only felt. Wider than the longest period, or a stretch would call for its opposite.
        let comfortable = -3.0..=(target / 4.0).max(10.0);
        let off = smooth - target;
        let wait = if off.abs() > URGENT_MS { STRETCH_PULLS_URGENT } else { STRETCH_PULLS };
        if self.pulls_since_stretch < wait || comfortable.contains(&off) {
            return 0;
        }
        // Enough sound to see two periods, if the next packet simply follows.
        if self.buffered() < STRETCH_NEEDS {
            let follows =
                self.packets.first_key_value().is_some_and(|(s, p)| *s == cursor.sequence && p.time <= cursor.time);
            if !follows {
                return 0;
            }
            self.produce(now, decoder);
        }
        // Made-up sound is not stretched: it may be comfort noise whose length means nothing.
        if self.fills.iter().any(|(_, why)| why.is_some()) {
            return 0;
        }
        let changed = if off > 0.0 {
            let removed = accelerate(&mut self.pcm, self.channels);
            self.stats.accelerated += removed as u64;
            -(removed as i32)
        } else {
            let added = expand(&mut self.pcm, self.channels);
            self.stats.expanded += added as u64;
            added as i32
        };
        if changed != 0 {
            self.pulls_since_stretch = 0;
            self.lag_ms = Some(smooth + f64::from(changed) / PER_MS);
            self.fills.clear();
            self.fills.push_back((self.buffered(), None));
        }
        changed
    }

    fn account(&mut self, samples: usize, info: &mut PullInfo) {
        self.stats.played += samples as u64;
        let mut rest = samples;
        while rest > 0 {
            let Some((count, why)) = self.fills.front_mut() else { break };
            let part = rest.min(*count);
            match why {
                Some(Fill::Concealed) => info.concealed += part,
                Some(Fill::Recovered) => info.recovered += part,
                Some(Fill::Comfort) => info.comfort += part,
                None => {}
            }
            *count -= part;
            rest -= part;
            if *count == 0 {
                self.fills.pop_front();
            }
        }
        self.stats.concealed += info.concealed as u64;
        self.stats.recovered += info.recovered as u64;
        self.stats.comfort += info.comfort as u64;
        let concealing = info.concealed > 0;
        if concealing && !self.was_concealing {
            self.stats.concealments += 1;
        }
        self.was_concealing = concealing;
    }
}

fn media_ms(time: i64) -> f64 {
    time as f64 / PER_MS
}

#[cfg(test)]
mod tests;
