//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).
use super::write::{feedback_head, set_length};

/// Packets covered by one feedback: keeps it below 1,100 bytes in the worst case.
const MAX_SPAN: u64 = 400;
const TICK_US: u64 = 250;
const REFERENCE_US: u64 = 64_000;

/// A checked view of a feedback packet.
#[derive(Clone, Copy, Debug)]
pub struct TransportFeedback<'a> {
    base: u16,
    count: u16,
    reference: i32,
    sequence: u8,
    items: &'a [u8],
}

impl<'a> TransportFeedback<'a> {
    /// From the body behind the RTCP head.
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let f = body.get(8..16)?;
        Some(Self {
            base: u16::from_be_bytes([f[0], f[1]]),
            count: u16::from_be_bytes([f[2], f[3]]),
            // Signed 24 bits.
            reference: i32::from_be_bytes([f[4], f[5], f[6], 0]) >> 8,
            sequence: f[7],
            items: &body[16..],
        })
    }

    /// The feedback's own number, which shows lost feedback.
    #[must_use]
    pub fn feedback_sequence(&self) -> u8 {
        self.sequence
    }

    /// The reference time in microseconds, on the receiver's clock.
    #[must_use]
    pub fn reference_us(&self) -> i64 {
        i64::from(self.reference) * REFERENCE_US as i64
    }

    /// Each reported packet: its transport-wide number and its arrival in microseconds on the receiver's clock, `None` if lost.
    #[must_use]
    pub fn packets(&self) -> TransportFeedbackPackets<'a> {
        // Chunks come first: their number follows from the statuses they hold.
        let mut left = usize::from(self.count);
        let mut chunks = 0;
        while left > 0 && self.items.len() >= 2 * chunks + 2 {
            let chunk = u16::from_be_bytes([self.items[2 * chunks], self.items[2 * chunks + 1]]);
            left = left.saturating_sub(Chunk::new(chunk).len());
            chunks += 1;
        }
        let (chunks, deltas) = self.items.split_at(2 * chunks);
        TransportFeedbackPackets {
            chunks,
            deltas,
            current: Chunk { value: 0, position: 0 },
            left_in_chunk: 0,
            next: self.base,
            left: self.count,
            time_us: self.reference_us(),
        }
    }
}

/// Iterator of [`TransportFeedback::packets`].
#[derive(Clone, Debug)]
pub struct TransportFeedbackPackets<'a> {
    chunks: &'a [u8],
    deltas: &'a [u8],
    current: Chunk,
    left_in_chunk: usize,
    next: u16,
    left: u16,
    time_us: i64,
}

impl Iterator for TransportFeedbackPackets<'_> {
    type Item = (u16, Option<i64>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        if self.left_in_chunk == 0 {
            let (chunk, rest) = self.chunks.split_at_checked(2)?;
            self.chunks = rest;
            self.current = Chunk::new(u16::from_be_bytes([chunk[0], chunk[1]]));
            self.left_in_chunk = self.current.len();
            if self.left_in_chunk == 0 {
                self.left = 0; // a run of nothing: malformed
                return None;
            }
        }
        let delta = match self.current.take() {
            1 => {
                let (&delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                Some(i64::from(delta))
            }
            2 => {
                let (delta, rest) = self.deltas.split_at_checked(2)?;
                self.deltas = rest;
                Some(i64::from(i16::from_be_bytes([delta[0], delta[1]])))
            }
            _ => None,
        };
        self.left_in_chunk -= 1;
        self.left -= 1;
        let sequence = self.next;
        self.next = sequence.wrapping_add(1);
        let arrival = delta.map(|ticks| {
            self.time_us += ticks * TICK_US as i64;
            self.time_us
        });
        Some((sequence, arrival))
    }
}

/// A packet status chunk: a run length, or a vector of 14 one-bit or 7 two-bit symbols.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    value: u16,
    position: u32,
}

impl Chunk {
    fn new(value: u16) -> Self {
        Self { value, position: 0 }
    }

    fn len(self) -> usize {
        match self.value >> 14 {
            0 | 1 => usize::from(self.value & 0x1fff),
            2 => 14,
            _ => 7,
        }
    }

    fn take(&mut self) -> u16 {
        let at = self.position;
        self.position += 1;
        match self.value >> 14 {
            0 | 1 => (self.value >> 13) & 3,
            2 => self.value.checked_shr(13 - at.min(13)).unwrap_or(0) & 1,
            _ => self.value.checked_shr(12 - 2 * at.min(6)).unwrap_or(0) & 3,
        }
    }
}

/// Writes a feedback; see [`super::transport_feedback`].
pub(super) fn write(
    out: &mut Vec<u8>,
    sender_ssrc: u32,
    media_ssrc: u32,
    count: u8,
    first_index: u64,
    arrivals: &[(u64, u64)],
) -> usize {
    let Some(&(first_packet, first_time)) = arrivals.first() else { return 0 };
    // A first packet too far behind the start of the report moves the start.
    let first =
        if first_packet.saturating_sub(first_index) < MAX_SPAN { first_index.min(first_packet) } else { first_packet };
    let reference = first_time / REFERENCE_US;
    let mut statuses: Vec<u8> = Vec::with_capacity(arrivals.len());
    let mut deltas: Vec<u8> = Vec::with_capacity(2 * arrivals.len());
    let mut ticks = (reference * REFERENCE_US / TICK_US) as i64;
    let mut written = 0;
    for &(index, time_us) in arrivals {
        let (Some(position), now) = (index.checked_sub(first), (time_us / TICK_US) as i64) else { break };
        let step = now - ticks;
        if position >= MAX_SPAN || (position as usize) < statuses.len() || i16::try_from(step).is_err() {
            break;
        }
        statuses.resize(position as usize, 0);
        if let Ok(small) = u8::try_from(step) {
            statuses.push(1);
            deltas.push(small);
        } else {
            statuses.push(2);
            deltas.extend_from_slice(&(step as i16).to_be_bytes());
        }
        ticks = now;
        written += 1;
    }
    let start = out.len();
    feedback_head(out, 205, 15, 0, sender_ssrc, media_ssrc);
    out.extend_from_slice(&(first as u16).to_be_bytes());
    out.extend_from_slice(&(statuses.len() as u16).to_be_bytes());
    out.extend_from_slice(&(reference as u32).to_be_bytes()[1..]);
    out.push(count);
    write_chunks(out, &statuses);
    out.extend_from_slice(&deltas);
    let padding = (4 - (out.len() - start) % 4) % 4;
    if padding > 0 {
        out.resize(out.len() + padding - 1, 0);
        out.push(padding as u8);
        out[start] |= 0x20;
    }
    set_length(out, start);
    written
}

fn write_chunks(out: &mut Vec<u8>, mut statuses: &[u8]) {
    while let Some(&first) = statuses.first() {
        let run = statuses.iter().take_while(|&&s| s == first).count();
        let (chunk, used) = if run > 7 || run == statuses.len() {
            (u16::from(first) << 13 | run as u16, run) // runs are below MAX_SPAN, far below 8,191
        } else {
            let used = statuses.len().min(7);
            let symbols = statuses[..used].iter().enumerate();
            (0xc000 | symbols.fold(0, |acc, (i, &s)| acc | u16::from(s) << (12 - 2 * i)), used)
        };
        out.extend_from_slice(&chunk.to_be_bytes());
        statuses = &statuses[used..];
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Rtcp, parse};
    use super::*;
    use proptest::prelude::*;

    fn read(data: &[u8]) -> Vec<(u16, Option<i64>)> {
        let Some(Rtcp::TransportFeedback(feedback)) = parse(data).next() else { panic!("no feedback in {data:?}") };
        feedback.packets().collect()
    }

    #[test]
    fn losses_and_times_read_back() {
        let arrivals = [(65_535u64, 1_000_000u64), (65_537, 1_000_500), (65_538, 1_400_000), (65_540, 1_399_000)];
        let mut out = Vec::new();
        assert_eq!(write(&mut out, 1, 2, 3, 65_534, &arrivals), 4);
        assert_eq!(out.len() % 4, 0);
        let expected = [
            (65_534, None),
            (65_535, Some(1_000_000)),
            (0, None),
            (1, Some(1_000_500)),
            (2, Some(1_400_000)),
            (3, None),
            (4, Some(1_399_000)),
        ];
        assert_eq!(read(&out), expected);
    }

    #[test]
    fn one_bit_vectors_and_runs_of_other_writers() {
        // Base 10, 16 packets: 14 one-bit symbols (10...), then a run of 2 small deltas.
        let mut data = vec![0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 10, 0, 16, 0, 0, 1, 0];
        data.extend_from_slice(&(0x8000u16 | 0x2001).to_be_bytes());
        data.extend_from_slice(&0x2002u16.to_be_bytes());
        data.extend_from_slice(&[4, 4, 4, 4]);
        let len = data.len();
        data[3] = (len / 4 - 1) as u8;
        let got: Vec<_> = read(&data).into_iter().filter_map(|(s, t)| t.map(|t| (s, t))).collect();
        assert_eq!(got, [(10, 65_000), (23, 66_000), (24, 67_000), (25, 68_000)]);
    }

    #[test]
    fn too_much_is_left_for_the_next_one() {
        let mut out = Vec::new();
        assert_eq!(write(&mut out, 1, 2, 0, 100, &[(100, 0), (100 + MAX_SPAN, 10)]), 1);
        out.clear();
        assert_eq!(write(&mut out, 1, 2, 0, 100, &[(100, 0), (101, 20_000_000)]), 1);
        out.clear();
        assert_eq!(write(&mut out, 1, 2, 0, 0, &[(100_000, 5)]), 1);
        assert_eq!(read(&out).len(), 1);
        assert_eq!(write(&mut out, 1, 2, 0, 0, &[]), 0);
    }

    proptest! {
        #[test]
        fn round_trip(packets in proptest::collection::btree_map(1000u64..1390, 0u64..4_000_000, 1..200)) {
            let arrivals: Vec<(u64, u64)> = packets.iter().map(|(&i, &t)| (i, t)).collect();
            let mut out = Vec::new();
            let written = write(&mut out, 1, 2, 9, 1000, &arrivals);
            prop_assert!(written >= 1 && out.len() < 1200);
            let got: Vec<_> = read(&out).into_iter().filter_map(|(s, t)| t.map(|t| (s, t))).collect();
            let want: Vec<_> = arrivals[..written].iter().map(|&(i, t)| (i as u16, (t / 250 * 250) as i64)).collect();
            prop_assert_eq!(got, want);
        }
    }
}
