//! The RTP payload format of H.264 (RFC 6184): single NAL units, STAP-A and FU-A (packetization mode 1).
use trtc_bitstream::h264::{NalType, nal_units, starts_picture};

const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// Below this a fragment would hold nothing.
const MIN_PAYLOAD: usize = 16;

/// Splits access units into RTP payloads.
#[derive(Clone, Debug, Default)]
pub struct Packetizer {
    scratch: Vec<u8>,
}

impl Packetizer {
    /// A packetizer; it keeps only its scratch buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `f(payload, last)` for each payload of the access unit; `last` goes into the marker. Parameter sets and SEI that
    /// fit together travel in one STAP-A; delimiters and filler are left out. `max_payload` is at least 16.
    pub fn packetize(&mut self, annexb: &[u8], max_payload: usize, f: &mut dyn FnMut(&[u8], bool)) {
        let max = max_payload.max(MIN_PAYLOAD);
        let mut nals = nal_units(annexb)
            .filter(|nal| !matches!(NalType::of(nal), Some(NalType::Delimiter | NalType::Filler)))
            .peekable();
        while let Some(nal) = nals.next() {
            let fits_with = |size: usize, next: &&[u8]| is_small_talk(next) && size + 2 + next.len() <= max;
            let together = 3 + nal.len();
            if is_small_talk(nal) && nals.peek().is_some_and(|next| fits_with(together, next)) {
                self.start_aggregate(nal);
                while let Some(next) = nals.next_if(|next| fits_with(self.scratch.len(), next)) {
                    self.aggregate(next);
                }
                f(&self.scratch, nals.peek().is_none());
            } else if nal.len() <= max {
                f(nal, nals.peek().is_none());
            } else {
                self.fragment(nal, max, nals.peek().is_none(), f);
            }
        }
    }

    fn start_aggregate(&mut self, nal: &[u8]) {
        self.scratch.clear();
        self.scratch.push(STAP_A);
        self.aggregate(nal);
    }

    fn aggregate(&mut self, nal: &[u8]) {
        // The aggregate's importance is that of its most important unit.
        self.scratch[0] = (self.scratch[0] & 0x1f) | (self.scratch[0] & 0x60).max(nal[0] & 0x60);
        self.scratch.extend_from_slice(&(nal.len() as u16).to_be_bytes());
        self.scratch.extend_from_slice(nal);
    }

    fn fragment(&mut self, nal: &[u8], max: usize, last_nal: bool, f: &mut dyn FnMut(&[u8], bool)) {
        let (header, body) = (nal[0], &nal[1..]);
        // Fragments of nearly equal size lose less to their headers' variation than one small tail.
        let count = body.len().div_ceil(max - 2);
        let size = body.len().div_ceil(count);
        let mut chunks = body.chunks(size).enumerate().peekable();
        while let Some((i, chunk)) = chunks.next() {
            let end = chunks.peek().is_none();
            self.scratch.clear();
            self.scratch.push((header & 0xe0) | FU_A);
            self.scratch.push(u8::from(i == 0) << 7 | u8::from(end) << 6 | (header & 0x1f));
            self.scratch.extend_from_slice(chunk);
            f(&self.scratch, end && last_nal);
        }
    }
}

/// Parameter sets and SEI: worth a common packet.
fn is_small_talk(nal: &[u8]) -> bool {
    matches!(NalType::of(nal), Some(NalType::Sps | NalType::Pps | NalType::Sei)) && nal.len() <= usize::from(u16::MAX)
}

/// Puts the payloads of consecutive packets together again.
#[derive(Clone, Debug, Default)]
pub struct Depacketizer {
    in_fragment: bool,
}

impl Depacketizer {
    /// A depacketizer at the start of a frame.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the payload's NAL units to `out` as Annex B. `false` for a malformed payload, or a fragment whose start is missing.
    #[must_use]
    pub fn push(&mut self, payload: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(&first) = payload.first() else { return false };
        if first & 0x80 != 0 {
            return false; // forbidden_zero_bit
        }
        match first & 0x1f {
            1..=23 => {
                out.extend_from_slice(&START_CODE);
                out.extend_from_slice(payload);
                !std::mem::take(&mut self.in_fragment)
            }
            STAP_A => Self::split(&payload[1..], out) && !std::mem::take(&mut self.in_fragment),
            FU_A => self.join(payload, out),
            _ => false,
        }
    }

    /// Whether a fragmented NAL unit is still open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.in_fragment
    }

    fn split(units: &[u8], out: &mut Vec<u8>) -> bool {
        let mut nals = Aggregated(units);
        for nal in nals.by_ref() {
            out.extend_from_slice(&START_CODE);
            out.extend_from_slice(nal);
        }
        nals.0.is_empty() && !units.is_empty()
    }

    fn join(&mut self, payload: &[u8], out: &mut Vec<u8>) -> bool {
        let [indicator, header, body @ ..] = payload else { return false };
        let (start, end) = (header & 0x80 != 0, header & 0x40 != 0);
        if start == self.in_fragment || body.is_empty() {
            return false;
        }
        if start {
            out.extend_from_slice(&START_CODE);
            out.push((indicator & 0xe0) | (header & 0x1f));
        }
        out.extend_from_slice(body);
        self.in_fragment = !end;
        true
    }
}

/// NAL units of a STAP-A body; stops, leaving the rest, at the first bad length.
struct Aggregated<'a>(&'a [u8]);

impl<'a> Iterator for Aggregated<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (len, rest) = self.0.split_at_checked(2)?;
        let (nal, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([len[0], len[1]])))?;
        if nal.is_empty() {
            return None;
        }
        self.0 = rest;
        Some(nal)
    }
}

/// What a payload says about a key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStart {
    /// Nothing.
    No,
    /// Holds a sequence parameter set: a key frame starts here.
    Parameters,
    /// Starts an IDR picture without its parameter sets in the same packet.
    Picture,
}

/// Looks into a payload for the start of a key frame.
#[must_use]
pub fn key_start(payload: &[u8]) -> KeyStart {
    match payload {
        [] => KeyStart::No,
        [first, units @ ..] if first & 0x1f == STAP_A => {
            let kinds = Aggregated(units).map(nal_key_start);
            kinds.fold(
                KeyStart::No,
                |best, kind| if best == KeyStart::Parameters || kind == KeyStart::No { best } else { kind },
            )
        }
        [first, header, body @ ..] if first & 0x1f == FU_A => match (header & 0x80 != 0, body.first()) {
            (true, Some(&byte)) => nal_key_start(&[header & 0x1f, byte]),
            _ => KeyStart::No,
        },
        nal => nal_key_start(nal),
    }
}

fn nal_key_start(nal: &[u8]) -> KeyStart {
    match NalType::of(nal) {
        Some(NalType::Sps) => KeyStart::Parameters,
        Some(NalType::Idr) if starts_picture(nal) => KeyStart::Picture,
        _ => KeyStart::No,
    }
}

/// Whether a receiver without history can start at this payload.
#[must_use]
pub fn starts_key_frame(payload: &[u8]) -> bool {
    key_start(payload) != KeyStart::No
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn annexb(nals: &[Vec<u8>]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&START_CODE[..], nal].concat()).collect()
    }

    fn split(data: &[u8], max: usize) -> Vec<(Vec<u8>, bool)> {
        let mut out = Vec::new();
        Packetizer::new().packetize(data, max, &mut |payload, last| out.push((payload.to_vec(), last)));
        out
    }

    #[test]
    fn a_key_frame_travels_as_stap_a_and_fu_a() {
        let nals = [vec![0x67, 1, 2], vec![0x68, 3], [vec![0x65, 0x88], vec![7; 3000]].concat()];
        let mut with_delimiter = vec![0, 0, 0, 1, 9, 0x10];
        with_delimiter.extend(annexb(&nals));
        let payloads = split(&with_delimiter, 1100);
        assert_eq!(payloads[0].0, [0x78, 0, 3, 0x67, 1, 2, 0, 2, 0x68, 3]);
        assert_eq!(payloads.len(), 4);
        assert_eq!(payloads.iter().map(|p| p.1).collect::<Vec<_>>(), [false, false, false, true]);
        assert_eq!((payloads[1].0[0], payloads[1].0[1], payloads[3].0[1]), (0x7c, 0x85, 0x45));
        assert_eq!(key_start(&payloads[0].0), KeyStart::Parameters);
        assert_eq!(key_start(&payloads[1].0), KeyStart::Picture);
        assert_eq!(key_start(&payloads[2].0), KeyStart::No);
        let (mut depacketizer, mut out) = (Depacketizer::new(), Vec::new());
        assert!(payloads.iter().all(|(payload, _)| depacketizer.push(payload, &mut out)));
        assert_eq!(out, annexb(&nals));
    }

    #[test]
    fn nothing_in_nothing_out() {
        assert!(split(&[], 100).is_empty());
        assert!(split(&[0, 0, 1, 9, 1], 100).is_empty());
    }

    #[test]
    fn malformed_payloads_are_refused() {
        let refuse = |payload: &[u8]| assert!(!Depacketizer::new().push(payload, &mut Vec::new()), "{payload:?}");
        refuse(&[]);
        refuse(&[0x80 | 1, 1]);
        refuse(&[STAP_A]);
        refuse(&[STAP_A, 0, 5, 1]);
        refuse(&[STAP_A, 0, 0]);
        refuse(&[FU_A, 0x85]);
        refuse(&[FU_A, 0x05, 1]); // the start is missing
        refuse(&[30, 1, 2]);
    }

    proptest! {
        #[test]
        fn anything_depacketizes(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..10)) {
            let (mut depacketizer, mut out) = (Depacketizer::new(), Vec::new());
            let total: usize = payloads.iter().map(|p| 2 * p.len()).sum();
            for payload in &payloads {
                let _ = (depacketizer.push(payload, &mut out), key_start(payload));
            }
            prop_assert!(out.len() <= 3 * total + 8);
        }

        #[test]
        fn frames_survive(
            nals in proptest::collection::vec((1u8..24, 0u8..4, proptest::collection::vec(4u8..=255, 1..400)), 1..8),
            max in 16usize..200,
        ) {
            let nals: Vec<Vec<u8>> = nals.into_iter()
                .filter(|(kind, ..)| ![9, 12].contains(kind))
                .map(|(kind, importance, body)| [vec![importance << 5 | kind], body].concat()).collect();
            let data = annexb(&nals);
            let payloads = split(&data, max);
            let (mut depacketizer, mut out) = (Depacketizer::new(), Vec::new());
            for (i, (payload, last)) in payloads.iter().enumerate() {
                prop_assert!(payload.len() <= max);
                prop_assert_eq!(*last, i + 1 == payloads.len());
                prop_assert!(depacketizer.push(payload, &mut out));
            }
            prop_assert!(!depacketizer.is_open());
            prop_assert_eq!(out, data);
        }
    }
}
