//! Opus to 48 kHz samples, with in-band FEC and loss concealment.
use crate::opus_encoder::layout;
use opus::Decoder;
use trtc_types::{AudioDecoder, Code, Error, Result};

// RFC 6716: a packet is at most 120 ms.
const PACKET_MAX_SAMPLES: usize = 5_760;
// 2.5 ms: libopus conceals in multiples of it.
const STEP_SAMPLES: usize = 120;

/// The Opus decoder. Mono packets come out as stereo, and the other way round, when asked for.
pub struct OpusDecoder {
    codec: Decoder,
    channels: u16,
}

impl OpusDecoder {
    /// Opens a decoder.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` when `channels` is not 1 or 2.
    pub fn new(channels: u16) -> Result<Self> {
        Ok(Self { codec: Decoder::new(48_000, layout(channels)?).map_err(failed)?, channels })
    }

    fn append(&mut self, packet: &[u8], fec: bool, samples: usize, out: &mut Vec<i16>) -> Result<usize> {
        let (before, channels) = (out.len(), usize::from(self.channels));
        out.resize(before + samples * channels, 0);
        let decoded = self.codec.decode(packet, &mut out[before..], fec).map_err(failed);
        out.truncate(before + decoded.as_ref().map_or(0, |n| n * channels));
        decoded
    }
}

impl AudioDecoder for OpusDecoder {
    fn channels(&self) -> u16 {
        self.channels
    }

    fn decode(&mut self, packet: &[u8], out: &mut Vec<i16>) -> Result<usize> {
        // An empty slice would mean concealment to libopus.
        if packet.is_empty() {
            return Err(Error::new(Code::FAILED, "empty Opus packet"));
        }
        self.append(packet, false, PACKET_MAX_SAMPLES, out)
    }

    fn decode_fec(&mut self, packet: &[u8], samples: usize, out: &mut Vec<i16>) -> Result<usize> {
        if packet.is_empty() {
            return Err(Error::new(Code::FAILED, "empty Opus packet"));
        }
        self.append(packet, true, step(samples), out)
    }

    fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) -> Result<usize> {
        self.append(&[], false, step(samples), out)
    }
}

fn step(samples: usize) -> usize {
    samples.next_multiple_of(STEP_SAMPLES).clamp(STEP_SAMPLES, PACKET_MAX_SAMPLES)
}

fn failed(error: opus::Error) -> Error {
    Error::new(Code::FAILED, error.to_string())
}
