//! RED (RFC 2198) around Opus: the newest frame with repetitions of earlier ones before it.

/// Where the newest frame begins in a RED payload, and its payload type; `None` when the headers do not fit into it.
///
/// RFC 2198 section 3: headers of four bytes with the F bit, for earlier frames, then one of a byte for the newest; the frames
/// follow in the same order, and the newest has what is left.
#[must_use]
pub fn primary(payload: &[u8]) -> Option<(u8, usize)> {
    let (mut at, mut earlier) = (0, 0);
    loop {
        let first = *payload.get(at)?;
        if first & 0x80 == 0 {
            let start = at + 1 + earlier;
            return (start <= payload.len()).then_some((first & 0x7f, start));
        }
        let &[high, low] = payload.get(at + 2..at + 4)? else { return None };
        earlier += usize::from(u16::from_be_bytes([high, low]) & 0x3ff);
        at += 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(payload_type: u8, offset: u32, length: u32) -> [u8; 4] {
        (0x8000_0000 | u32::from(payload_type) << 24 | offset << 10 | length).to_be_bytes()
    }

    #[test]
    fn the_newest_frame_is_behind_all_others() {
        let mut payload = [header(111, 1920, 3), header(111, 960, 2)].concat();
        payload.push(111);
        payload.extend([1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(primary(&payload), Some((111, 14)));
        assert_eq!(&payload[14..], [6, 7]);
        assert_eq!(primary(&[111, 9]), Some((111, 1)), "nothing repeated");
        assert_eq!(primary(&[111]), Some((111, 1)), "an empty frame");
    }

    #[test]
    fn headers_that_do_not_fit_are_no_red() {
        assert_eq!(primary(&[]), None);
        assert_eq!(primary(&header(111, 960, 2)), None, "no newest frame");
        let mut short = header(111, 960, 4).to_vec();
        short.extend([111, 1, 2, 3]);
        assert_eq!(primary(&short), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_within_their_length(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some((_, start)) = primary(&bytes) {
                prop_assert!(start >= 1 && start <= bytes.len());
            }
        }
    }
}
