//! Sequence numbers and time stamps of one subscription: one continuous stream made of pieces of the source's layers.
use std::collections::VecDeque;

/// NACKs reach back over a few layer switches, not more.
const SEGMENTS_MAX: usize = 4;

/// A piece: consecutive packets of one layer at a constant distance. Gaps inside it are the source's own.
#[derive(Clone, Copy, Debug)]
struct Segment {
    layer: usize,
    first_in: u64,
    first_out: u64,
    time_offset: u32,
}

#[derive(Debug)]
pub(crate) struct Rewriter {
    segments: VecDeque<Segment>,
    next_out: u64,
    last_time: Option<u32>,
}

impl Rewriter {
    pub(crate) fn new(first_sequence: u16) -> Self {
        // One cycle ahead, so that nothing below ever runs under zero.
        Self { segments: VecDeque::new(), next_out: (1 << 16) + u64::from(first_sequence), last_time: None }
    }

    /// Continues the output with `first_in` of a layer.
    pub(crate) fn start(&mut self, layer: usize, first_in: u64, time_offset: u32) {
        if self.segments.len() == SEGMENTS_MAX {
            self.segments.pop_front();
        }
        self.segments.push_back(Segment { layer, first_in, first_out: self.next_out, time_offset });
    }

    /// The output numbers of a packet, `None` when it lies before the current piece.
    pub(crate) fn map(&mut self, layer: usize, sequence_in: u64, time_in: u32) -> Option<(u16, u32)> {
        let segment = self.segments.back().filter(|s| s.layer == layer && sequence_in >= s.first_in)?;
        let out = segment.first_out + (sequence_in - segment.first_in);
        let time = time_in.wrapping_add(segment.time_offset);
        if out >= self.next_out {
            self.next_out = out + 1;
            self.last_time = Some(time);
        }
        Some((out as u16, time))
    }

    /// Layer, source sequence and time offset of an output sequence number.
    pub(crate) fn source(&self, out: u16) -> Option<(usize, u64, u32)> {
        let newest = self.next_out - 1;
        let out = newest.checked_sub(u64::from((newest as u16).wrapping_sub(out)))?;
        let segment = self.segments.iter().rev().find(|s| s.first_out <= out)?;
        Some((segment.layer, segment.first_in + (out - segment.first_out), segment.time_offset))
    }

    /// Layer and time offset of the newest piece.
    pub(crate) fn newest(&self) -> Option<(usize, u32)> {
        self.segments.back().map(|s| (s.layer, s.time_offset))
    }

    /// The newest output time stamp.
    pub(crate) fn last_time(&self) -> Option<u32> {
        self.last_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_kept_and_pieces_join_without_one() {
        let mut rewriter = Rewriter::new(65_534);
        rewriter.start(0, 1_000, 10);
        assert_eq!(rewriter.map(0, 1_000, 0), Some((65_534, 10)));
        assert_eq!(rewriter.map(0, 1_003, 90), Some((1, 100)));
        assert_eq!(rewriter.map(0, 1_001, 30), Some((65_535, 40)), "late packets take their place");
        assert_eq!(rewriter.map(0, 999, 0), None);
        assert_eq!(rewriter.map(1, 1_004, 0), None);
        rewriter.start(1, 7, 0);
        assert_eq!(rewriter.map(1, 7, 200), Some((2, 200)));
        assert_eq!(rewriter.source(2), Some((1, 7, 0)));
        assert_eq!(rewriter.source(1), Some((0, 1_003, 10)));
        assert_eq!(rewriter.source(65_534), Some((0, 1_000, 10)));
        assert_eq!(rewriter.source(65_533), None);
    }

    #[test]
    fn old_pieces_are_forgotten() {
        let mut rewriter = Rewriter::new(0);
        for piece in 0..10 {
            rewriter.start(piece, 5, 0);
            rewriter.map(piece, 5, 0);
        }
        assert_eq!(rewriter.source(9).map(|s| s.0), Some(9));
        assert_eq!(rewriter.source(6).map(|s| s.0), Some(6));
        assert_eq!(rewriter.source(5), None);
    }
}
