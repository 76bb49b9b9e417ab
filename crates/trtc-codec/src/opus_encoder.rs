//! Opus at 48 kHz in 20 ms frames.
use crate::OPUS_FRAME_SAMPLES;
use opus::{Application, Bitrate, Channels, Encoder, Signal};
use trtc_types::{AudioEncoder, AudioQuality, Code, Error, Result};

// RFC 6716 section 3.2.1: a frame is at most 1275 bytes; one code-0 packet has one byte more.
const PACKET_MAX_BYTES: usize = 1276;

/// The Opus encoder: variable bitrate, in-band FEC and DTX on.
pub struct OpusEncoder {
    codec: Encoder,
    channels: usize,
    packet: Box<[u8; PACKET_MAX_BYTES]>,
}

impl OpusEncoder {
    /// Opens an encoder: `Speech` 18 kb/s, `Default` 50 kb/s, `Music` 128 kb/s.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` when `channels` is not 1 or 2.
    pub fn new(channels: u16, quality: AudioQuality) -> Result<Self> {
        let layout = layout(channels)?;
        let (application, bitrate, loss) = match quality {
            AudioQuality::Speech => (Application::Voip, 18_000, 10),
            AudioQuality::Default => (Application::Voip, 50_000, 5),
            AudioQuality::Music => (Application::Audio, 128_000, 1),
        };
        let mut codec = Encoder::new(48_000, layout, application).map_err(failed)?;
        codec.set_bitrate(Bitrate::Bits(bitrate)).map_err(failed)?;
        codec.set_vbr(true).map_err(failed)?;
        codec.set_vbr_constraint(true).map_err(failed)?;
        codec.set_inband_fec(true).map_err(failed)?;
        codec.set_packet_loss_perc(loss).map_err(failed)?;
        codec.set_dtx(true).map_err(failed)?;
        // From 7 on libopus analyses the signal, without which DTX would take a steady tone for noise.
        codec.set_complexity(9).map_err(failed)?;
        if quality == AudioQuality::Speech {
            codec.set_signal(Signal::Voice).map_err(failed)?;
        }
        Ok(Self { codec, channels: usize::from(channels), packet: Box::new([0; PACKET_MAX_BYTES]) })
    }
}

impl AudioEncoder for OpusEncoder {
    fn set_bitrate(&mut self, bitrate_bps: u32) -> Result<()> {
        if !(6_000..=510_000).contains(&bitrate_bps) {
            return Err(Error::invalid(format!("bitrate_bps must be in 6000..=510000, got {bitrate_bps}")));
        }
        self.codec.set_bitrate(Bitrate::Bits(bitrate_bps as i32)).map_err(failed)
    }

    fn set_expected_loss(&mut self, percent: u8) -> Result<()> {
        if percent > 100 {
            return Err(Error::invalid(format!("percent must be in 0..=100, got {percent}")));
        }
        self.codec.set_packet_loss_perc(percent.into()).map_err(failed)
    }

    fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        let need = OPUS_FRAME_SAMPLES * self.channels;
        if pcm.len() != need {
            return Err(Error::invalid(format!("pcm must have {need} samples (20 ms at 48 kHz), got {}", pcm.len())));
        }
        let bytes = self.codec.encode(pcm, &mut self.packet[..]).map_err(failed)?;
        // One or two bytes carry no sound: DTX.
        if bytes > 2 {
            out.extend_from_slice(&self.packet[..bytes]);
        }
        Ok(())
    }
}

pub(crate) fn layout(channels: u16) -> Result<Channels> {
    match channels {
        1 => Ok(Channels::Mono),
        2 => Ok(Channels::Stereo),
        other => Err(Error::invalid(format!("channels must be 1 or 2, got {other}"))),
    }
}

fn failed(error: opus::Error) -> Error {
    Error::new(Code::AUDIO_ENCODE_FAIL, error.to_string())
}
