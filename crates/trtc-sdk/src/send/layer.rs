//! One layer of a local video stream: its encoder, its rate, its counters.
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use trtc_codec::H264Encoder;
use trtc_media::scale::scale_to_fit;
use trtc_types::{EncodedVideo, EncoderTarget, Result, VideoEncoder, VideoFrame};

/// Index of the small layer.
pub(crate) const SMALL: usize = 0;
/// Index of the main layer, which is always there.
pub(crate) const BIG: usize = 1;

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) frames: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

/// What the encoder thread knows of a layer.
#[derive(Default)]
pub(crate) struct Layer {
    encoder: Option<H264Encoder>,
    target: Option<EncoderTarget>,
    /// The last frame was taken; after one that was not, a key frame begins anew.
    pub(crate) flowing: bool,
    /// The publication whose first frame has been told of.
    pub(crate) first_sent: Option<String>,
    next: Duration,
}

impl Layer {
    /// Encodes a picture that has the target's size; `None` when the rate control leaves it out.
    pub(crate) fn encode(
        &mut self,
        frame: &VideoFrame,
        target: EncoderTarget,
        force_key: bool,
    ) -> Result<Option<EncodedVideo>> {
        if self.target != Some(target) {
            match &mut self.encoder {
                Some(encoder) => encoder.set_target(target)?,
                None => self.encoder = Some(H264Encoder::new(target)?),
            }
            self.target = Some(target);
        }
        let force_key = force_key || !self.flowing;
        self.encoder.as_mut().map_or(Ok(None), |encoder| encoder.encode(frame, force_key))
    }

    /// Whether a picture of this time is one of `fps` a second.
    pub(crate) fn is_due(&mut self, time: Duration, fps: u32) -> bool {
        let interval = Duration::from_secs(1) / fps;
        if time + interval / 4 < self.next {
            return false;
        }
        self.next = (self.next + interval).max(time.saturating_sub(interval));
        true
    }
}

/// The picture in the target's size, with black bars where the aspect ratio differs.
pub(crate) fn fitted(frame: &VideoFrame, target: EncoderTarget) -> VideoFrame {
    if (frame.picture.width(), frame.picture.height()) == (target.width, target.height) {
        return frame.clone();
    }
    let picture = Arc::new(scale_to_fit(&frame.picture, target.width, target.height));
    VideoFrame { picture, time: frame.time }
}
