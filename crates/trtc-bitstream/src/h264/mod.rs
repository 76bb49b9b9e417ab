//! H.264 (ITU-T H.264): NAL units of an Annex B stream, access units, parameter sets, slice types.
mod sps;

pub use sps::{Sps, parse_sps};

use crate::bits::BitReader;

/// What a NAL unit is (table 7-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalType {
    /// A slice of a picture that is not IDR (1).
    Slice,
    /// A data partition (2..=4).
    Partition,
    /// A slice of an IDR picture (5).
    Idr,
    /// Supplemental information (6).
    Sei,
    /// Sequence parameter set (7).
    Sps,
    /// Picture parameter set (8).
    Pps,
    /// Access unit delimiter (9).
    Delimiter,
    /// End of sequence or stream (10, 11).
    End,
    /// Filler data (12).
    Filler,
    /// Any other number.
    Other(u8),
}

impl NalType {
    /// From the first byte of a NAL unit.
    #[must_use]
    pub fn from_header(byte: u8) -> Self {
        match byte & 0x1f {
            1 => Self::Slice,
            2..=4 => Self::Partition,
            5 => Self::Idr,
            6 => Self::Sei,
            7 => Self::Sps,
            8 => Self::Pps,
            9 => Self::Delimiter,
            10 | 11 => Self::End,
            12 => Self::Filler,
            other => Self::Other(other),
        }
    }

    /// The type of a NAL unit (header byte first); `None` when it is empty.
    #[must_use]
    pub fn of(nal: &[u8]) -> Option<Self> {
        nal.first().map(|&byte| Self::from_header(byte))
    }

    /// Whether it carries picture data.
    #[must_use]
    pub fn is_slice(self) -> bool {
        matches!(self, Self::Slice | Self::Partition | Self::Idr)
    }
}

/// The NAL units of an Annex B stream: header byte first, without start codes and trailing zeros. Empty ones are skipped.
#[must_use]
pub fn nal_units(annexb: &[u8]) -> NalUnits<'_> {
    let start = find_start_code(annexb, 0).map_or(annexb.len(), |at| at + 3);
    NalUnits { data: annexb, position: start }
}

/// Iterator of [`nal_units`].
#[derive(Clone, Debug)]
pub struct NalUnits<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while self.position < self.data.len() {
            let end = find_start_code(self.data, self.position);
            let nal = &self.data[self.position..end.unwrap_or(self.data.len())];
            self.position = end.map_or(self.data.len(), |at| at + 3);
            let nal = trim_zeros(nal);
            if !nal.is_empty() {
                return Some(nal);
            }
        }
        None
    }
}

/// Whether a decoder can start here: the access unit holds an IDR slice.
#[must_use]
pub fn is_key(annexb: &[u8]) -> bool {
    nal_units(annexb).any(|nal| NalType::of(nal) == Some(NalType::Idr))
}

/// Whether any slice is a B slice, so that decode order and display order may differ.
#[must_use]
pub fn has_b_frames(annexb: &[u8]) -> bool {
    nal_units(annexb).any(|nal| matches!(slice_type(nal), Some(1 | 6)))
}

/// Whether a slice NAL unit is the first of its picture (`first_mb_in_slice` is 0).
#[must_use]
pub fn starts_picture(nal: &[u8]) -> bool {
    NalType::of(nal).is_some_and(NalType::is_slice) && nal.get(1).is_some_and(|byte| byte & 0x80 != 0)
}

/// Splits an Annex B file into access units, each with its start codes (7.4.1.2.3, for streams without redundant pictures
/// and arbitrary slice order).
#[must_use]
pub fn access_units(file: &[u8]) -> AccessUnits<'_> {
    let start = find_start_code(file, 0).map(|at| with_long_code(file, at));
    AccessUnits { data: file, start: start.unwrap_or(file.len()) }
}

/// Iterator of [`access_units`].
#[derive(Clone, Debug)]
pub struct AccessUnits<'a> {
    data: &'a [u8],
    start: usize,
}

impl<'a> Iterator for AccessUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut position = self.start;
        let mut has_picture = false;
        while let Some(at) = find_start_code(self.data, position) {
            let nal = &self.data[at + 3..];
            let begins_new = match NalType::of(nal) {
                Some(kind) if kind.is_slice() => starts_picture(nal),
                Some(NalType::Sei | NalType::Sps | NalType::Pps | NalType::Delimiter | NalType::Other(14..=18)) => true,
                _ => false,
            };
            if has_picture && begins_new {
                let end = with_long_code(self.data, at);
                let unit = &self.data[self.start..end];
                self.start = end;
                return Some(unit);
            }
            has_picture |= NalType::of(nal).is_some_and(NalType::is_slice);
            position = at + 3;
        }
        let unit = &self.data[self.start..];
        self.start = self.data.len();
        (!unit.is_empty()).then_some(unit)
    }
}

/// `slice_type` of a slice NAL unit (table 7-6): 0 P, 1 B, 2 I, plus 5 when all slices of the picture agree.
fn slice_type(nal: &[u8]) -> Option<u32> {
    if !matches!(NalType::of(nal)?, NalType::Slice | NalType::Idr) {
        return None;
    }
    // Two Exp-Golomb codes: 16 bytes are more than enough.
    let head = without_emulation(&nal[1..nal.len().min(17)]);
    let mut reader = BitReader::new(&head);
    reader.ue()?;
    reader.ue()
}

/// Removes emulation prevention bytes (00 00 03 -> 00 00).
pub(crate) fn without_emulation(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut zeros = 0;
    for &byte in data {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// Position of the next 00 00 01 at or after `from`.
fn find_start_code(data: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    // The third byte decides how far to skip: most bytes of a stream are neither 0 nor 1.
    while let Some(&third) = data.get(at + 2) {
        match third {
            0 => at += 1,
            1 if data[at] == 0 && data[at + 1] == 0 => return Some(at),
            _ => at += 3,
        }
    }
    None
}

/// The start code at `at`, with the zero before it if there is one.
fn with_long_code(data: &[u8], at: usize) -> usize {
    if at > 0 && data[at - 1] == 0 { at - 1 } else { at }
}

fn trim_zeros(nal: &[u8]) -> &[u8] {
    let end = nal.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &nal[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1e, 0xaa];
    const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];
    const IDR: &[u8] = &[0x65, 0x88, 0x84, 0x11];
    const IDR_SECOND_SLICE: &[u8] = &[0x65, 0x42, 0x84, 0x11];
    const P: &[u8] = &[0x41, 0x9a, 0x11]; // first_mb 0, slice_type 5

    fn stream(nals: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for (i, nal) in nals.iter().enumerate() {
            out.extend_from_slice(if i % 2 == 0 { &[0, 0, 0, 1] } else { &[0, 0, 1] });
            out.extend_from_slice(nal);
        }
        out
    }

    #[test]
    fn nal_units_of_both_start_codes() {
        let data = stream(&[SPS, PPS, IDR]);
        assert_eq!(nal_units(&data).collect::<Vec<_>>(), [SPS, PPS, IDR]);
        assert_eq!(nal_units(&[]).count(), 0);
        assert_eq!(nal_units(&[0, 0, 1]).count(), 0);
        assert_eq!(nal_units(&[9, 9, 0, 0, 1, 0x65]).collect::<Vec<_>>(), [&[0x65u8][..]]);
        assert_eq!(nal_units(&[0, 0, 1, 0, 0, 1, 0x41, 0, 0, 0]).collect::<Vec<_>>(), [&[0x41u8][..]]);
    }

    #[test]
    fn key_and_b_detection() {
        assert!(is_key(&stream(&[SPS, PPS, IDR])));
        assert!(!is_key(&stream(&[P])));
        // first_mb 0 = "1"; slice_type 1 = "010" -> 1010....; slice_type 6 = "00111" -> 100111..
        assert!(has_b_frames(&stream(&[&[0x01, 0b1010_1111, 1]])));
        assert!(has_b_frames(&stream(&[P, &[0x01, 0b1001_1111, 1]])));
        assert!(!has_b_frames(&stream(&[SPS, PPS, IDR, P])));
    }

    #[test]
    fn access_units_keep_parameter_sets_with_their_picture() {
        let data = stream(&[SPS, PPS, IDR, IDR_SECOND_SLICE, P, P, &[0x09, 0x10], P]);
        let units: Vec<_> = access_units(&data).collect();
        let counts: Vec<_> = units.iter().map(|u| nal_units(u).count()).collect();
        assert_eq!(counts, [4, 1, 1, 2]);
        assert_eq!(units.concat(), data);
    }

    proptest! {
        #[test]
        fn anything_parses(data in proptest::collection::vec(prop_oneof![Just(0u8), Just(1u8), any::<u8>()], 0..300)) {
            let _ = (is_key(&data), has_b_frames(&data), parse_sps(&data));
            for nal in nal_units(&data) {
                prop_assert!(!nal.is_empty());
                let _ = parse_sps(nal);
            }
            let joined: usize = access_units(&data).map(<[u8]>::len).sum();
            prop_assert!(joined <= data.len());
        }

        #[test]
        fn nal_units_survive_a_round_trip(nals in proptest::collection::vec(proptest::collection::vec(4u8..=255, 1..40), 0..12)) {
            let refs: Vec<&[u8]> = nals.iter().map(Vec::as_slice).collect();
            let data = stream(&refs);
            prop_assert_eq!(nal_units(&data).collect::<Vec<_>>(), refs);
        }
    }
}
