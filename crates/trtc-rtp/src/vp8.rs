//! The VP8 payload descriptor (RFC 7741 section 4.2): its numbers, and how they go on when a stream continues in another.

/// Picture id, TL0PICIDX and KEYIDX of a packet; 0 where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vp8Numbers {
    /// 15 bits, or 7 in the short form.
    pub picture_id: u16,
    /// Temporal level zero index, 8 bits.
    pub tl0_picture: u8,
    /// Temporal key frame index, 5 bits.
    pub key_index: u8,
}

/// A checked payload descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// Its numbers.
    pub numbers: Vp8Numbers,
    /// The first packet of a frame without inter-picture prediction.
    pub starts_key_frame: bool,
    picture_id: Option<(usize, bool)>,
    tl0_picture: Option<usize>,
    key_index: Option<usize>,
}

impl Vp8Descriptor {
    /// Reads the descriptor and the first byte behind it; `None` when either is cut off.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &first = payload.first()?;
        let (mut at, mut numbers) = (1, Vp8Numbers::default());
        let (mut picture_id, mut tl0_picture, mut key_index) = (None, None, None);
        if first & 0x80 != 0 {
            let &flags = payload.get(1)?;
            at = 2;
            if flags & 0x80 != 0 {
                let &high = payload.get(at)?;
                let wide = high & 0x80 != 0;
                picture_id = Some((at, wide));
                numbers.picture_id = u16::from(high & 0x7f);
                if wide {
                    numbers.picture_id = numbers.picture_id << 8 | u16::from(*payload.get(at + 1)?);
                }
                at += 1 + usize::from(wide);
            }
            if flags & 0x40 != 0 {
                tl0_picture = Some(at);
                numbers.tl0_picture = *payload.get(at)?;
                at += 1;
            }
            if flags & 0x30 != 0 {
                let &byte = payload.get(at)?;
                if flags & 0x10 != 0 {
                    key_index = Some(at);
                    numbers.key_index = byte & 0x1f;
                }
                at += 1;
            }
        }
        // S = 1 and PID = 0, then the inverse key frame bit of the frame header.
        let starts_key_frame = first & 0x17 == 0x10 && payload.get(at)? & 1 == 0;
        Some(Self { numbers, starts_key_frame, picture_id, tl0_picture, key_index })
    }
}

/// What is added to the numbers of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vp8Shift {
    picture_id: u16,
    tl0_picture: u8,
    key_index: u8,
}

impl Vp8Shift {
    /// The shift by which `first` follows `last`.
    #[must_use]
    pub fn following(last: Vp8Numbers, first: Vp8Numbers) -> Self {
        Self {
            picture_id: last.picture_id.wrapping_add(1).wrapping_sub(first.picture_id) & 0x7fff,
            tl0_picture: last.tl0_picture.wrapping_add(1).wrapping_sub(first.tl0_picture),
            key_index: last.key_index.wrapping_add(1).wrapping_sub(first.key_index) & 0x1f,
        }
    }

    /// The shifted numbers.
    #[must_use]
    pub fn of(self, numbers: Vp8Numbers) -> Vp8Numbers {
        Vp8Numbers {
            picture_id: numbers.picture_id.wrapping_add(self.picture_id) & 0x7fff,
            tl0_picture: numbers.tl0_picture.wrapping_add(self.tl0_picture),
            key_index: numbers.key_index.wrapping_add(self.key_index) & 0x1f,
        }
    }

    /// Shifts the numbers of a payload in place; other bytes, and payloads that cannot be read, stay.
    #[inline]
    pub fn apply(self, payload: &mut [u8]) {
        // Nearly always: one layer, or the first.
        if self != Self::default() {
            self.rewrite(payload);
        }
    }

    fn rewrite(self, payload: &mut [u8]) {
        let Some(descriptor) = Vp8Descriptor::parse(payload) else { return };
        let to = self.of(descriptor.numbers);
        match descriptor.picture_id {
            Some((at, true)) => {
                payload[at] = 0x80 | (to.picture_id >> 8) as u8;
                payload[at + 1] = to.picture_id as u8;
            }
            Some((at, false)) => payload[at] = to.picture_id as u8 & 0x7f,
            None => {}
        }
        if let Some(at) = descriptor.tl0_picture {
            payload[at] = to.tl0_picture;
        }
        if let Some(at) = descriptor.key_index {
            payload[at] = payload[at] & 0xe0 | to.key_index;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_full_descriptor_is_shifted_in_place() {
        // X, S; I, L, T, K; 15-bit picture id 0x7fff; TL0PICIDX 255; TID 2, Y, KEYIDX 31; then a key frame.
        let mut payload = [0x90, 0xf0, 0xff, 0xff, 255, 0xbf, 0x10, 7];
        let descriptor = Vp8Descriptor::parse(&payload).unwrap();
        assert!(descriptor.starts_key_frame);
        assert_eq!(descriptor.numbers, Vp8Numbers { picture_id: 0x7fff, tl0_picture: 255, key_index: 31 });
        let last = Vp8Numbers { picture_id: 4, tl0_picture: 9, key_index: 2 };
        Vp8Shift::following(last, descriptor.numbers).apply(&mut payload);
        assert_eq!(payload, [0x90, 0xf0, 0x80, 5, 10, 0xa3, 0x10, 7]);
    }

    #[test]
    fn short_forms_keep_their_length() {
        let mut short = [0x80, 0x80, 0x7f, 0x31];
        let shift = Vp8Shift::following(Vp8Numbers { picture_id: 0x1ff, ..Default::default() }, Vp8Numbers::default());
        shift.apply(&mut short);
        assert_eq!(short, [0x80, 0x80, 0x7f, 0x31], "512 is a whole turn of 7 bits");
        let mut none = [0x10, 0x30];
        shift.apply(&mut none);
        assert_eq!(none, [0x10, 0x30]);
        assert_eq!(Vp8Descriptor::parse(&[0x90, 0x80]), None);
        assert!(Vp8Descriptor::parse(&[0x00, 0x50]).is_some_and(|d| !d.starts_key_frame));
    }

    proptest! {
        #[test]
        fn anything_parses_and_shifts(mut payload in proptest::collection::vec(any::<u8>(), 0..12), by in any::<u16>()) {
            let last = Vp8Numbers { picture_id: by & 0x7fff, tl0_picture: by as u8, key_index: by as u8 & 0x1f };
            let before = Vp8Descriptor::parse(&payload);
            let shift = Vp8Shift::following(last, Vp8Numbers::default());
            shift.apply(&mut payload);
            let after = Vp8Descriptor::parse(&payload);
            prop_assert_eq!(before.map(|d| d.picture_id), after.map(|d| d.picture_id));
            prop_assert_eq!(before.map(|d| d.starts_key_frame), after.map(|d| d.starts_key_frame));
        }
    }
}
