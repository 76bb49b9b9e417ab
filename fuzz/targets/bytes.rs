//! Values taken from fuzz bytes. Past the end everything is zero or empty.

/// A reader that never fails.
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn u8(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    /// True for one in `n` values of the next byte, 0 among them.
    pub fn one_in(&mut self, n: u8) -> bool {
        self.u8().is_multiple_of(n)
    }

    /// Two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.u8(), self.u8()])
    }

    /// Four bytes.
    pub fn u32(&mut self) -> u32 {
        u32::from(self.u16()) | u32::from(self.u16()) << 16
    }

    /// At most `most` bytes, as many as the next one or two bytes say.
    pub fn chunk(&mut self, most: usize) -> &'a [u8] {
        let said = if most < 256 { usize::from(self.u8()) } else { usize::from(self.u16()) };
        let (chunk, rest) = self.0.split_at(said.min(most).min(self.0.len()));
        self.0 = rest;
        chunk
    }

    /// A chunk as text.
    pub fn text(&mut self, most: usize) -> String {
        String::from_utf8_lossy(self.chunk(most)).into_owned()
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Everything that is left, as text.
    pub fn rest_text(&mut self) -> String {
        String::from_utf8_lossy(self.rest()).into_owned()
    }
}
