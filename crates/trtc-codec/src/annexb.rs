//! The little H.264 framing that must be right before bytes reach the C decoder.
use trtc_bitstream::h264::parse_sps;
use trtc_types::{Code, Error, Result};

/// An access unit above this is refused: 4K intra pictures at the highest level stay below it.
const ACCESS_UNIT_MAX_BYTES: usize = 8 << 20;

/// A larger picture is refused before the decoder allocates its reference frames: 4096 x 2304, level 5.1.
const PICTURE_MAX_PIXELS: u64 = 4096 * 2304;

/// What an access unit holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Coded slices.
    pub slices: usize,
    /// An IDR slice is among them.
    pub idr: bool,
    /// A sequence parameter set is among them.
    pub sps: bool,
}

/// Checks Annex B framing: a start code first, no empty NAL unit, no forbidden bit, a bounded size.
pub(crate) fn check(data: &[u8]) -> Result<Contents> {
    let bad = |why: &str| Err(Error::new(Code::FAILED, format!("H.264 access unit: {why}")));
    if data.len() > ACCESS_UNIT_MAX_BYTES {
        return bad("more than 8 MiB");
    }
    let mut starts = start_codes(data);
    let Some((first, mut body)) = starts.next() else { return bad("no start code") };
    if data[..first].iter().any(|b| *b != 0) {
        return bad("bytes before the first start code");
    }
    let mut contents = Contents::default();
    loop {
        let next = starts.next();
        let end = next.map_or(data.len(), |(at, _)| at);
        let Some(&header) = data.get(body).filter(|_| body < end) else { return bad("empty NAL unit") };
        if header & 0x80 != 0 {
            return bad("forbidden bit set");
        }
        match header & 0x1f {
            1..=5 => {
                contents.slices += 1;
                contents.idr |= header & 0x1f == 5;
            }
            7 => {
                contents.sps = true;
                let pixels = |sps: trtc_bitstream::h264::Sps| u64::from(sps.width) * u64::from(sps.height);
                if parse_sps(&data[body..end]).map(pixels).is_some_and(|p| p > PICTURE_MAX_PIXELS) {
                    return bad("picture larger than 4096x2304");
                }
            }
            _ => {}
        }
        match next {
            Some((_, after)) => body = after,
            None => return Ok(contents),
        }
    }
}

/// Positions of `00 00 01`: where it begins and where the NAL unit after it begins.
fn start_codes(data: &[u8]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at + 3 <= data.len() {
            if data[at + 2] > 1 {
                at += 3;
            } else if data[at] == 0 && data[at + 1] == 0 && data[at + 2] == 1 {
                at += 3;
                return Some((at - 3, at));
            } else {
                at += 1;
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_is_checked() {
        let good = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 1, 0x65, 9];
        assert_eq!(check(&good), Ok(Contents { slices: 1, idr: true, sps: true }));
        for bad in
            [&[][..], &[1, 2, 3], &[0x67, 0, 0, 1, 0x65], &[0, 0, 1], &[0, 0, 1, 0, 0, 1, 0x65], &[0, 0, 1, 0xe5, 1]]
        {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
