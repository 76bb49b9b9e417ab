//! From RTP packets in any order to H.264 frames in decode order.
//!
//! A frame is complete when every sequence number from its first packet to its marker is here, and it continues where the
//! last frame ended. A gap is waited for while its packets can still be repaired; then everything up to the next key
//! frame is dropped and a key frame is asked for. Nothing is ever emitted in mere arrival order.
use crate::h264::{Depacketizer, KeyStart, key_start};
use crate::nack::NackGenerator;
use crate::packet::RtpPacket;
use crate::rtcp::ReportBlock;
use crate::sequence::Unwrapper;
use crate::stats::{ReceiverStats, StreamStats};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use trtc_bitstream::h264::{NalType, nal_units};

const MAX_PACKETS: usize = 2048;
const MAX_BYTES: usize = 4 << 20;
/// The longest wait for one gap.
const MAX_WAIT: Duration = Duration::from_millis(500);
const KEY_REQUEST_INTERVAL: Duration = Duration::from_millis(300);

/// A complete frame.
#[derive(Clone, Debug)]
pub struct AssembledFrame {
    /// The access unit as Annex B. Parameter sets precede an IDR picture also when the sender left them out.
    pub data: Bytes,
    /// Holds an IDR picture.
    pub key: bool,
    /// RTP timestamp.
    pub rtp_time: u32,
    /// When its first packet arrived.
    pub first_arrival: Instant,
    /// When its last packet arrived.
    pub last_arrival: Instant,
}

/// Counters of a [`VideoReceiver`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VideoReceiverStats {
    /// Reception before repair.
    pub stream: StreamStats,
    /// Frames emitted.
    pub frames: u64,
    /// Key frames among them.
    pub key_frames: u64,
    /// Packets that came back as retransmissions and were missing.
    pub recovered: u64,
    /// Duplicates and packets that came too late.
    pub useless: u64,
    /// Packets thrown away: behind an unrepaired gap, malformed, or above the buffer's bound.
    pub dropped: u64,
    /// How often decoding had to wait for a key frame.
    pub interruptions: u64,
    /// Packets asked for again, every try counted.
    pub nacks: u64,
}

/// The receiver of one video source.
pub struct VideoReceiver {
    packets: BTreeMap<u64, Slot>,
    bytes: usize,
    unwrapper: Unwrapper,
    nack: NackGenerator,
    reception: ReceiverStats,
    place: Place,
    /// Index behind the last frame that was taken out.
    boundary: u64,
    parameters: Vec<u8>,
    late_run: Option<u16>,
    wants_key: bool,
    heard_since_request: Option<Instant>,
    last_request: Option<Instant>,
    counters: VideoReceiverStats,
}

struct Slot {
    arrival: Instant,
    timestamp: u32,
    marker: bool,
    key_start: KeyStart,
    payload: Vec<u8>,
}

/// Where the next frame begins, and up to where its packets are known to be there.
#[derive(Clone, Copy)]
enum Place {
    /// Anywhere: at the next key frame.
    KeyFrame,
    /// A key frame was found here, but is not complete yet.
    Candidate { start: u64, checked: u64 },
    /// Right after the last frame.
    After { start: u64, checked: u64 },
}

enum Scan {
    /// The packet at `end` is the frame's last.
    Complete { start: u64, end: u64 },
    /// The packet at `missing` is not here.
    Missing { start: u64, missing: u64 },
}

impl VideoReceiver {
    /// For the source `ssrc` with a 90 kHz clock.
    #[must_use]
    pub fn new(ssrc: u32) -> Self {
        Self {
            packets: BTreeMap::new(),
            bytes: 0,
            unwrapper: Unwrapper::new(),
            nack: NackGenerator::new(),
            reception: ReceiverStats::new(ssrc, 90_000),
            place: Place::KeyFrame,
            boundary: 0,
            parameters: Vec::new(),
            late_run: None,
            wants_key: true,
            heard_since_request: None,
            last_request: None,
            counters: VideoReceiverStats::default(),
        }
    }

    /// A packet that arrived by itself. Packets of other codecs than H.264 are only counted.
    pub fn insert(&mut self, now: Instant, packet: &RtpPacket<'_>, codec_is_h264: bool) {
        self.reception.received(now, &packet.header(), packet.payload().len());
        if codec_is_h264 {
            self.store(now, packet, false);
        }
    }

    /// A packet that came back as a retransmission (already unwrapped): repairs gaps without hiding them from the loss figures.
    pub fn insert_recovered(&mut self, now: Instant, packet: &RtpPacket<'_>, codec_is_h264: bool) {
        if codec_is_h264 {
            self.store(now, packet, true);
        }
    }

    /// The next complete frame in decode order. Call until it returns `None`.
    pub fn poll_frame(&mut self, now: Instant) -> Option<AssembledFrame> {
        loop {
            let scan = match self.place {
                Place::KeyFrame => {
                    let start = self.find_key_frame(now)?;
                    self.place = Place::Candidate { start, checked: start };
                    continue;
                }
                Place::Candidate { start, checked } | Place::After { start, checked } => self.scan(start, checked),
            };
            match scan {
                Scan::Complete { start, end } => {
                    if let Some(frame) = self.take_frame(start, end) {
                        return Some(frame);
                    }
                }
                Scan::Missing { start, missing } => {
                    self.place = match self.place {
                        Place::Candidate { .. } => Place::Candidate { start, checked: missing },
                        _ => Place::After { start, checked: missing },
                    };
                    if self.packets.first_key_value().is_some_and(|(&first, _)| first < start) {
                        self.packets = self.packets.split_off(&start); // padding is done with
                    }
                    if !self.is_hopeless(now, missing) {
                        return None;
                    }
                    self.interrupt(missing + 1);
                }
            }
        }
    }

    /// Appends the sequence numbers to ask for now.
    pub fn poll_nack(&mut self, now: Instant, out: &mut Vec<u16>) {
        self.nack.poll(now, out);
    }

    /// Whether to ask the sender for a key frame now: at most every 300 ms, and only while packets come.
    pub fn needs_key_frame(&mut self, now: Instant) -> bool {
        if self.key_request_due().is_none_or(|due| now < due) {
            return false;
        }
        self.last_request = Some(now);
        self.heard_since_request = None;
        true
    }

    /// Drops everything up to the next key frame and asks for one: the decoder failed.
    pub fn require_key_frame(&mut self) {
        if let Place::After { start, .. } = self.place {
            self.interrupt(start);
        }
        self.wants_key = true;
    }

    /// Tells the round-trip time, which paces NACK retries.
    pub fn set_round_trip(&mut self, round_trip: Duration) {
        self.nack.set_round_trip(round_trip);
    }

    /// When to poll again even if nothing arrives.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        let blocked = match self.place {
            Place::Candidate { checked, .. } | Place::After { checked, .. } => {
                self.nack.pending_since(checked as u16).map(|since| since + MAX_WAIT)
            }
            Place::KeyFrame => None,
        };
        [self.nack.timeout(), blocked, self.key_request_due()].into_iter().flatten().min()
    }

    /// The source's sender report arrived.
    pub fn sender_report(&mut self, now: Instant, ntp: u64) {
        self.reception.sender_report(now, ntp);
    }

    /// The block for the next receiver report.
    pub fn report_block(&mut self, now: Instant) -> Option<ReportBlock> {
        self.reception.report_block(now)
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> VideoReceiverStats {
        VideoReceiverStats { stream: self.reception.snapshot(), nacks: self.nack.asked(), ..self.counters }
    }

    fn store(&mut self, now: Instant, packet: &RtpPacket<'_>, recovered: bool) {
        let (header, payload) = (packet.header(), packet.payload());
        if recovered && self.is_far(header.sequence) {
            self.counters.useless += 1;
            return;
        }
        if !recovered && self.restarted(header.sequence) {
            self.restart();
        }
        let index = self.unwrapper.unwrap(header.sequence);
        self.nack.received(now, header.sequence);
        let too_late =
            matches!(self.place, Place::After { start, .. } | Place::Candidate { start, .. } if index < start);
        if too_late || self.packets.contains_key(&index) {
            self.counters.useless += 1;
            return;
        }
        if self.packets.len() >= MAX_PACKETS || self.bytes + payload.len() > MAX_BYTES {
            self.interrupt(u64::MAX);
        }
        self.heard_since_request = Some(now);
        self.counters.recovered += u64::from(recovered);
        self.bytes += payload.len();
        let slot = Slot {
            arrival: now,
            timestamp: header.timestamp,
            marker: header.marker && !payload.is_empty(),
            key_start: key_start(payload),
            payload: payload.to_vec(),
        };
        self.packets.insert(index, slot);
    }

    fn is_far(&self, sequence: u16) -> bool {
        let highest = self.unwrapper.highest();
        highest.is_none_or(|highest| highest.abs_diff(self.unwrapper.peek(sequence)) > MAX_PACKETS as u64)
    }

    /// A jump beyond any reordering is a new beginning: at once forward, at the second consecutive packet backward.
    fn restarted(&mut self, sequence: u16) -> bool {
        let Some(highest) = self.unwrapper.highest() else { return false };
        let far = self.is_far(sequence);
        let forward = far && self.unwrapper.peek(sequence) > highest;
        let second = far && self.late_run == Some(sequence);
        self.late_run = far.then_some(sequence.wrapping_add(1));
        forward || second
    }

    fn restart(&mut self) {
        self.interrupt(u64::MAX);
        self.unwrapper = Unwrapper::new();
        self.nack = self.nack.restarted();
        self.boundary = 0;
        self.late_run = None;
    }

    /// Walks from `checked` to the end of the frame that begins at `start`.
    fn scan(&self, start: u64, checked: u64) -> Scan {
        let (mut start, mut next) = (start, checked);
        for (&index, slot) in self.packets.range(checked..) {
            if index != next {
                break;
            }
            next += 1;
            if slot.payload.is_empty() {
                // Padding: belongs to no frame.
                if start == index {
                    start = next;
                }
                continue;
            }
            let first = self.packets.get(&start).map_or(slot.timestamp, |first| first.timestamp);
            if slot.timestamp != first {
                return Scan::Complete { start, end: index - 1 }; // a sender without markers
            }
            if slot.marker {
                return Scan::Complete { start, end: index };
            }
        }
        Scan::Missing { start, missing: next }
    }

    /// The first packet from which decoding can start. Forgets what lies before it, or is too old to become part of one.
    fn find_key_frame(&mut self, now: Instant) -> Option<u64> {
        if let Some(start) = self.packets.iter().find(|&(&i, slot)| self.can_start(i, slot)).map(|(&index, _)| index) {
            self.drop_before(start);
            self.nack.forget_before(start as u16);
            return Some(start);
        }
        let fresh = self.packets.iter().find(|(_, slot)| now < slot.arrival + MAX_WAIT).map(|(&index, _)| index);
        self.drop_before(fresh.unwrap_or(u64::MAX));
        None
    }

    /// Parameter sets start a key frame. A bare IDR picture does if nothing of its frame, which could be new parameter sets, is
    /// missing before it.
    fn can_start(&self, index: u64, slot: &Slot) -> bool {
        match slot.key_start {
            KeyStart::Parameters => true,
            KeyStart::Picture if self.parameters.is_empty() => false,
            KeyStart::Picture => {
                let before = index.checked_sub(1).and_then(|before| self.packets.get(&before));
                self.boundary == index || before.is_some_and(|before| before.timestamp != slot.timestamp)
            }
            KeyStart::No => false,
        }
    }

    /// Whether to stop waiting for a missing packet. Nobody waits for one that may not even have been sent yet.
    fn is_hopeless(&self, now: Instant, missing: u64) -> bool {
        if self.unwrapper.highest().is_none_or(|highest| highest < missing) {
            return false;
        }
        self.nack.pending_since(missing as u16).is_none_or(|since| now >= since + MAX_WAIT)
    }

    /// Gives up everything before `keep_from` and waits for a key frame.
    fn interrupt(&mut self, keep_from: u64) {
        if matches!(self.place, Place::After { .. }) {
            self.counters.interruptions += 1;
        }
        self.drop_before(keep_from);
        self.nack.forget_before(keep_from.min(self.unwrapper.highest().unwrap_or(0) + 1) as u16);
        self.place = Place::KeyFrame;
        self.wants_key = true;
    }

    fn drop_before(&mut self, index: u64) {
        let keep = self.packets.split_off(&index);
        let gone = std::mem::replace(&mut self.packets, keep);
        self.counters.dropped += gone.len() as u64;
        self.bytes -= gone.values().map(|slot| slot.payload.len()).sum::<usize>();
    }

    /// Takes the packets `start..=end` out and makes a frame of them; `None` when they hold no picture or nonsense.
    fn take_frame(&mut self, start: u64, end: u64) -> Option<AssembledFrame> {
        let keep = self.packets.split_off(&(end + 1));
        let taken = std::mem::replace(&mut self.packets, keep);
        self.bytes -= taken.values().map(|slot| slot.payload.len()).sum::<usize>();
        self.boundary = end + 1;
        let slots: Vec<Slot> = taken.into_iter().filter(|(i, _)| *i >= start).map(|(_, slot)| slot).collect();
        let size: usize = slots.iter().map(|slot| slot.payload.len()).sum();
        let mut data = Vec::with_capacity(self.parameters.len() + size + 64);
        let mut depacketizer = Depacketizer::new();
        let sound = slots.iter().filter(|s| !s.payload.is_empty()).all(|s| depacketizer.push(&s.payload, &mut data));
        if !sound || depacketizer.is_open() {
            self.counters.dropped += slots.len() as u64;
            self.interrupt(end + 1);
            return None;
        }
        let content = Content::of(&data);
        if content.has_parameters {
            self.remember_parameters(&data);
        } else if content.key && !self.parameters.is_empty() {
            data.splice(..0, self.parameters.iter().copied());
        }
        let was_waiting = matches!(self.place, Place::Candidate { .. });
        if was_waiting && !content.key {
            // Parameter sets ahead of their picture, or a delta frame with parameter sets: not a start yet.
            self.place = Place::KeyFrame;
            return None;
        }
        self.place = Place::After { start: end + 1, checked: end + 1 };
        if !content.has_picture {
            return None;
        }
        self.wants_key &= !content.key;
        self.counters.frames += 1;
        self.counters.key_frames += u64::from(content.key);
        Some(AssembledFrame {
            data: Bytes::from(data),
            key: content.key,
            rtp_time: slots.iter().find(|s| !s.payload.is_empty())?.timestamp,
            first_arrival: slots.iter().map(|slot| slot.arrival).min()?,
            last_arrival: slots.iter().map(|slot| slot.arrival).max()?,
        })
    }

    /// Keeps the newest parameter sets. Real ones have a few dozen bytes; large ones are not worth remembering.
    fn remember_parameters(&mut self, data: &[u8]) {
        self.parameters.clear();
        for nal in nal_units(data).filter(|nal| matches!(NalType::of(nal), Some(NalType::Sps | NalType::Pps))) {
            if self.parameters.len() + nal.len() > 4096 {
                self.parameters.clear();
                return;
            }
            self.parameters.extend_from_slice(&[0, 0, 0, 1]);
            self.parameters.extend_from_slice(nal);
        }
    }

    fn key_request_due(&self) -> Option<Instant> {
        let heard =
            self.heard_since_request.filter(|_| self.wants_key && !matches!(self.place, Place::Candidate { .. }))?;
        Some(self.last_request.map_or(heard, |last| last + KEY_REQUEST_INTERVAL))
    }
}

#[derive(Default)]
struct Content {
    key: bool,
    has_picture: bool,
    has_parameters: bool,
}

impl Content {
    fn of(annexb: &[u8]) -> Self {
        let mut content = Self::default();
        for kind in nal_units(annexb).filter_map(NalType::of) {
            content.key |= kind == NalType::Idr;
            content.has_picture |= kind.is_slice();
            content.has_parameters |= kind == NalType::Sps;
        }
        content
    }
}

#[cfg(test)]
#[path = "video_receiver_tests.rs"]
mod tests;
