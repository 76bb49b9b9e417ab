//! 16-bit sequence numbers as ever-growing 64-bit indices.

/// Turns wrapping 16-bit numbers into 64-bit indices, relative to the highest one seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwrapper {
    highest: Option<u64>,
}

impl Unwrapper {
    /// A fresh one: the first number becomes index 65,536 + number, so that earlier ones stay positive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The index of `sequence`, and remembers it if it is the highest.
    pub fn unwrap(&mut self, sequence: u16) -> u64 {
        let index = self.peek(sequence);
        self.highest = Some(self.highest.map_or(index, |highest| highest.max(index)));
        index
    }

    /// The index that `sequence` would get, without remembering it.
    #[must_use]
    pub fn peek(&self, sequence: u16) -> u64 {
        match self.highest {
            None => 0x1_0000 + u64::from(sequence),
            Some(highest) => highest.saturating_add_signed(i64::from(sequence.wrapping_sub(highest as u16) as i16)),
        }
    }

    /// The highest index seen.
    #[must_use]
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// Whether `a` comes after `b` on the circle of 16-bit numbers.
#[must_use]
pub fn is_newer(a: u16, b: u16) -> bool {
    (a.wrapping_sub(b) as i16) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_both_ways() {
        let mut u = Unwrapper::new();
        let first = u.unwrap(65_534);
        assert_eq!(u.unwrap(1), first + 3);
        assert_eq!(u.unwrap(65_535), first + 1);
        assert_eq!(u.highest(), Some(first + 3));
        assert!(is_newer(1, 65_535) && !is_newer(65_535, 1) && !is_newer(5, 5));
        let mut low = Unwrapper::new();
        let zero = low.unwrap(0);
        assert_eq!(low.unwrap(40_000), zero - 25_536);
    }
}
