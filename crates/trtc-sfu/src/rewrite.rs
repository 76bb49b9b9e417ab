//! Sequence numbers and time stamps of one subscription: one continuous stream made of pieces of the source's layers.
use std::collections::VecDeque;
use trtc_rtp::{Vp8Numbers, Vp8Shift};

/// NACKs reach back over a few layer switches, not more.
const SEGMENTS_MAX: usize = 4;

/// A piece: consecutive packets of one layer at a constant distance. Gaps inside it are the source's own.
#[derive(Clone, Copy, Debug)]
struct Segment {
    layer: usize,
    first_in: u64,
    first_out: u64,
    time_offset: u32,
    shift: Vp8Shift,
}

/// The numbers of a packet on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapped {
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) shift: Vp8Shift,
}

/// Where an output packet came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) layer: usize,
    pub(crate) sequence: u64,
    pub(crate) time_offset: u32,
    pub(crate) shift: Vp8Shift,
}

#[derive(Debug)]
pub(crate) struct Rewriter {
    segments: VecDeque<Segment>,
    next_out: u64,
    last_time: Option<u32>,
    last_numbers: Option<Vp8Numbers>,
}

impl Rewriter {
    /// Begins, or goes on after these VP8 numbers of another one.
    pub(crate) fn new(first_sequence: u16, last_numbers: Option<Vp8Numbers>) -> Self {
        // One cycle ahead, so that nothing below ever runs under zero.
        let next_out = (1 << 16) + u64::from(first_sequence);
        Self { segments: VecDeque::new(), next_out, last_time: None, last_numbers }
    }

    /// Continues the output with `first_in` of a layer.
    pub(crate) fn start(&mut self, layer: usize, first_in: u64, time_offset: u32, numbers: Option<Vp8Numbers>) {
        if self.segments.len() == SEGMENTS_MAX {
            self.segments.pop_front();
        }
        let shift = self.last_numbers.zip(numbers).map(|(last, first)| Vp8Shift::following(last, first));
        let shift = shift.unwrap_or_default();
        self.segments.push_back(Segment { layer, first_in, first_out: self.next_out, time_offset, shift });
    }

    /// The output numbers of a packet, `None` when it lies before the current piece.
    pub(crate) fn map(
        &mut self,
        layer: usize,
        sequence_in: u64,
        time_in: u32,
        numbers: Option<Vp8Numbers>,
    ) -> Option<Mapped> {
        let segment = self.segments.back().filter(|s| s.layer == layer && sequence_in >= s.first_in)?;
        let out = segment.first_out + (sequence_in - segment.first_in);
        let timestamp = time_in.wrapping_add(segment.time_offset);
        if out >= self.next_out {
            self.next_out = out + 1;
            self.last_time = Some(timestamp);
            self.last_numbers = numbers.map(|numbers| segment.shift.of(numbers)).or(self.last_numbers);
        }
        Some(Mapped { sequence: out as u16, timestamp, shift: segment.shift })
    }

    /// What an output sequence number stands for.
    pub(crate) fn source(&self, out: u16) -> Option<Source> {
        let newest = self.next_out - 1;
        let out = newest.checked_sub(u64::from((newest as u16).wrapping_sub(out)))?;
        let &Segment { layer, first_in, first_out, time_offset, shift } =
            self.segments.iter().rev().find(|s| s.first_out <= out)?;
        Some(Source { layer, sequence: first_in + (out - first_out), time_offset, shift })
    }

    /// Layer and time offset of the newest piece.
    pub(crate) fn newest(&self) -> Option<(usize, u32)> {
        self.segments.back().map(|s| (s.layer, s.time_offset))
    }

    /// The output sequence number after the newest.
    pub(crate) fn next_sequence(&self) -> u16 {
        self.next_out as u16
    }

    /// The newest output VP8 numbers.
    pub(crate) fn last_numbers(&self) -> Option<Vp8Numbers> {
        self.last_numbers
    }

    /// The newest output time stamp.
    pub(crate) fn last_time(&self) -> Option<u32> {
        self.last_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(rewriter: &mut Rewriter, layer: usize, sequence: u64, time: u32) -> Option<(u16, u32)> {
        rewriter.map(layer, sequence, time, None).map(|m| (m.sequence, m.timestamp))
    }

    #[test]
    fn gaps_are_kept_and_pieces_join_without_one() {
        let mut rewriter = Rewriter::new(65_534, None);
        rewriter.start(0, 1_000, 10, None);
        assert_eq!(map(&mut rewriter, 0, 1_000, 0), Some((65_534, 10)));
        assert_eq!(map(&mut rewriter, 0, 1_003, 90), Some((1, 100)));
        assert_eq!(map(&mut rewriter, 0, 1_001, 30), Some((65_535, 40)), "late packets take their place");
        assert_eq!(map(&mut rewriter, 0, 999, 0), None);
        assert_eq!(map(&mut rewriter, 1, 1_004, 0), None);
        rewriter.start(1, 7, 0, None);
        assert_eq!(map(&mut rewriter, 1, 7, 200), Some((2, 200)));
        let source = |out| rewriter.source(out).map(|s| (s.layer, s.sequence, s.time_offset));
        assert_eq!(source(2), Some((1, 7, 0)));
        assert_eq!(source(1), Some((0, 1_003, 10)));
        assert_eq!(source(65_534), Some((0, 1_000, 10)));
        assert_eq!(source(65_533), None);
    }

    #[test]
    fn old_pieces_are_forgotten() {
        let mut rewriter = Rewriter::new(0, None);
        for piece in 0..10 {
            rewriter.start(piece, 5, 0, None);
            map(&mut rewriter, piece, 5, 0);
        }
        assert_eq!(rewriter.source(9).map(|s| s.layer), Some(9));
        assert_eq!(rewriter.source(6).map(|s| s.layer), Some(6));
        assert_eq!(rewriter.source(5), None);
    }

    #[test]
    fn picture_ids_go_on_in_the_next_piece() {
        let numbers = |picture_id| Some(Vp8Numbers { picture_id, ..Vp8Numbers::default() });
        let shifted =
            |mapped: Option<Mapped>, from| mapped.map(|m| m.shift.of(numbers(from).unwrap_or_default()).picture_id);
        let mut rewriter = Rewriter::new(0, None);
        rewriter.start(0, 5, 0, numbers(0x7ffe));
        assert_eq!(rewriter.map(0, 5, 0, numbers(0x7ffe)).map(|m| m.shift), Some(Vp8Shift::default()));
        rewriter.map(0, 6, 0, numbers(0x7fff));
        rewriter.start(1, 90, 0, numbers(300));
        let first = rewriter.map(1, 90, 0, numbers(300));
        assert_eq!(shifted(first, 300), Some(0));
        let second = rewriter.map(1, 91, 0, numbers(301));
        assert_eq!(shifted(second, 301), Some(1));
        assert_eq!(rewriter.source(2).map(|s| s.shift), first.map(|m| m.shift));
    }
}
