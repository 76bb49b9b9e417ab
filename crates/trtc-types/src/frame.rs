//! Raw frames.
use std::sync::Arc;
use std::time::Duration;

/// A tightly packed I420 picture: Y (width x height), then U and V (each ceil(width/2) x ceil(height/2)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct I420 {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl I420 {
    /// A black picture. Width and height are in pixels, at least 1.
    #[must_use]
    pub fn black(width: usize, height: usize) -> Self {
        let (y, c) = (width * height, width.div_ceil(2) * height.div_ceil(2));
        let mut data = vec![16; y];
        data.resize(y + 2 * c, 128);
        Self { width, height, data }
    }

    /// Wraps packed data; `None` when the length does not fit the size.
    #[must_use]
    pub fn from_packed(width: usize, height: usize, data: Vec<u8>) -> Option<Self> {
        let c = width.div_ceil(2).checked_mul(height.div_ceil(2))?;
        let need = width.checked_mul(height)?.checked_add(c.checked_mul(2)?)?;
        (width > 0 && height > 0 && data.len() == need).then_some(Self { width, height, data })
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Row length of U and V in bytes.
    #[must_use]
    pub fn chroma_width(&self) -> usize {
        self.width.div_ceil(2)
    }

    /// All bytes: Y, U, V.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The planes Y, U, V.
    #[must_use]
    pub fn planes(&self) -> [&[u8]; 3] {
        let (y, c) = self.split();
        [&self.data[..y], &self.data[y..y + c], &self.data[y + c..]]
    }

    /// The planes Y, U, V for writing.
    pub fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        let (y, c) = self.split();
        let (luma, chroma) = self.data.split_at_mut(y);
        let (u, v) = chroma.split_at_mut(c);
        [luma, u, v]
    }

    fn split(&self) -> (usize, usize) {
        (self.width * self.height, self.chroma_width() * self.height.div_ceil(2))
    }
}

/// A picture and the time at which it was captured (sender) or is to be shown (receiver), on the instance's media clock.
#[derive(Clone, Debug)]
pub struct VideoFrame {
    /// The pixels, shared, never changed.
    pub picture: Arc<I420>,
    /// Media time since the instance's epoch.
    pub time: Duration,
}

/// Interleaved signed 16-bit PCM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFrame {
    /// Samples per second and channel.
    pub sample_rate_hz: u32,
    /// 1 or 2.
    pub channels: u16,
    /// Interleaved samples; the length is a multiple of `channels`.
    pub samples: Vec<i16>,
    /// Media time since the instance's epoch.
    pub time: Duration,
}
