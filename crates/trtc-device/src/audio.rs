//! Microphones and speakers through cpal. On Linux through PulseAudio (or PipeWire's PulseAudio server), else ALSA.
use crate::pin;
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, Device, Host, SampleFormat, StreamConfig, SupportedStreamConfigRange};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use trtc_types::{
    AudioDevices, AudioStream, CaptureSink, Code, DeviceInfo, Error, PlayoutSource, Result, StereoFrame, StreamLost,
};

/// The rate that is asked for when the device has it.
const RATE_HZ: u32 = 48_000;
/// Frames of a device period: always set, since defaults reach seconds (PulseAudio). What callbacks bring still varies.
const PERIOD: u32 = 480;
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);
/// Frames converted at once in a callback; usual periods are far below.
const CHUNK: usize = 8_192;

/// The system's sound service; connected at the first use, and again after it was lost.
#[derive(Default)]
pub struct SystemAudio {
    host: Mutex<Option<Arc<Host>>>,
}

impl SystemAudio {
    fn host(&self) -> Result<Arc<Host>> {
        let mut host = self.host.lock();
        if let Some(host) = host.as_ref() {
            return Ok(host.clone());
        }
        let connected = Arc::new(connect()?);
        *host = Some(connected.clone());
        Ok(connected)
    }

    /// Runs `f`; after a failure the service is connected anew next time.
    fn with_host<T>(&self, f: impl FnOnce(&Host) -> Result<T, cpal::Error>) -> Result<T> {
        let host = self.host()?;
        f(&host).map_err(|error| {
            *self.host.lock() = None;
            said(&error)
        })
    }

    fn device(&self, id: &str) -> Result<Device> {
        let found = self.with_host(|host| Ok(host.devices()?.find(|d| d.id().is_ok_and(|i| i.id() == id))))?;
        found.ok_or_else(|| Error::new(Code::FAILED, format!("there is no device {id:?} now")))
    }
}

impl AudioDevices for SystemAudio {
    fn microphones(&self) -> Result<Vec<DeviceInfo>> {
        self.with_host(|host| {
            let default = host.default_input_device().and_then(|d| d.id().ok());
            Ok(host.input_devices()?.filter_map(|d| info(&d, default.as_ref())).collect())
        })
    }

    fn speakers(&self) -> Result<Vec<DeviceInfo>> {
        self.with_host(|host| {
            let default = host.default_output_device().and_then(|d| d.id().ok());
            Ok(host.output_devices()?.filter_map(|d| info(&d, default.as_ref())).collect())
        })
    }

    fn open_microphone(&self, id: &str, sink: Box<dyn CaptureSink>, lost: StreamLost) -> Result<AudioStream> {
        let device = self.device(id)?;
        let (config, format) = choose(device.supported_input_configs().map_err(|e| said(&e))?)?;
        let built = match format {
            SampleFormat::I16 => microphone::<i16>(&device, config, sink, lost.clone()),
            _ => microphone::<f32>(&device, config, sink, lost.clone()),
        };
        start(built.map_err(|e| said(&e))?, config.sample_rate, lost)
    }

    fn open_speaker(&self, id: &str, source: Box<dyn PlayoutSource>, lost: StreamLost) -> Result<AudioStream> {
        let device = self.device(id)?;
        let (config, format) = choose(device.supported_output_configs().map_err(|e| said(&e))?)?;
        let built = match format {
            SampleFormat::I16 => speaker::<i16>(&device, config, source, lost.clone()),
            _ => speaker::<f32>(&device, config, source, lost.clone()),
        };
        start(built.map_err(|e| said(&e))?, config.sample_rate, lost)
    }
}

#[cfg(target_os = "linux")]
fn connect() -> Result<Host> {
    let mut pulse = None;
    if cpal::available_hosts().contains(&cpal::HostId::PulseAudio) {
        // The client library has a thread that never ends.
        pin::keep_loaded();
        pulse = cpal::host_from_id(cpal::HostId::PulseAudio).map_err(|e| log::info!("PulseAudio: {e}")).ok();
    }
    if let Some(pulse) = pulse {
        return Ok(pulse);
    }
    // Without hardware ALSA would only tell its configuration's names, and write to standard error.
    if !std::path::Path::new("/dev/snd").is_dir() {
        return Err(Error::new(Code::FAILED, "there is neither a PulseAudio server nor ALSA hardware"));
    }
    cpal::host_from_id(cpal::HostId::Alsa).map_err(|e| said(&e))
}

#[cfg(not(target_os = "linux"))]
fn connect() -> Result<Host> {
    pin::keep_loaded();
    Ok(cpal::default_host())
}

fn info(device: &Device, default: Option<&cpal::DeviceId>) -> Option<DeviceInfo> {
    let id = device.id().ok()?;
    let name = device.description().map_or_else(|_| id.id().to_owned(), |d| d.name().to_owned());
    Some(DeviceInfo { is_default: Some(&id) == default, id: id.id().to_owned(), name, formats: Vec::new() })
}

/// 16 bits before floats, stereo before others, 48 kHz before others.
fn choose(configs: impl Iterator<Item = SupportedStreamConfigRange>) -> Result<(StreamConfig, SampleFormat)> {
    let usable = configs.filter(|c| {
        matches!(c.sample_format(), SampleFormat::I16 | SampleFormat::F32)
            && (1..=8).contains(&c.channels())
            && c.max_sample_rate() >= 8_000
            && c.min_sample_rate() <= 192_000
    });
    let best = usable.max_by_key(|c| {
        let has_rate = c.min_sample_rate() <= RATE_HZ && RATE_HZ <= c.max_sample_rate();
        (has_rate, c.channels() == 2, c.sample_format() == SampleFormat::I16, c.channels() <= 2, c.max_sample_rate())
    });
    let best = best.ok_or_else(|| Error::new(Code::FAILED, "the device has no format with 16 bit or float samples"))?;
    let rate = RATE_HZ.clamp(best.min_sample_rate(), best.max_sample_rate());
    let config = StreamConfig { channels: best.channels(), sample_rate: rate, buffer_size: BufferSize::Fixed(PERIOD) };
    Ok((config, best.sample_format()))
}

/// A sample of a device.
trait Sample: cpal::SizedSample + Send + 'static {
    fn to_16(self) -> i16;
    fn from_16(sample: i16) -> Self;
}

impl Sample for i16 {
    fn to_16(self) -> i16 {
        self
    }
    fn from_16(sample: i16) -> Self {
        sample
    }
}

impl Sample for f32 {
    fn to_16(self) -> i16 {
        // Out of range saturates, not-a-number is 0.
        (self * 32_768.0) as i16
    }
    fn from_16(sample: i16) -> Self {
        Self::from(sample) / 32_768.0
    }
}

fn microphone<T: Sample>(
    device: &Device,
    config: StreamConfig,
    mut sink: Box<dyn CaptureSink>,
    lost: StreamLost,
) -> Result<cpal::Stream, cpal::Error> {
    let channels = usize::from(config.channels);
    let mut frames: Vec<StereoFrame> = vec![[0, 0]; CHUNK];
    let take = move |data: &[T], _: &cpal::InputCallbackInfo| {
        for part in data.chunks(CHUNK * channels) {
            let mut count = 0;
            for (from, to) in part.chunks_exact(channels).zip(&mut frames) {
                *to = [from[0].to_16(), from[usize::from(channels > 1)].to_16()];
                count += 1;
            }
            sink.captured(&frames[..count]);
        }
    };
    device.build_input_stream(config, take, once(lost), Some(OPEN_TIMEOUT))
}

fn speaker<T: Sample>(
    device: &Device,
    config: StreamConfig,
    mut source: Box<dyn PlayoutSource>,
    lost: StreamLost,
) -> Result<cpal::Stream, cpal::Error> {
    let channels = usize::from(config.channels);
    let mut frames: Vec<StereoFrame> = vec![[0, 0]; CHUNK];
    let give = move |data: &mut [T], _: &cpal::OutputCallbackInfo| {
        for part in data.chunks_mut(CHUNK * channels) {
            let count = part.len() / channels;
            source.play(&mut frames[..count]);
            for (to, [left, right]) in part.chunks_exact_mut(channels).zip(&frames) {
                match to {
                    [mono] => *mono = T::from_16(((i32::from(*left) + i32::from(*right)) / 2) as i16),
                    [to_left, to_right, rest @ ..] => {
                        (*to_left, *to_right) = (T::from_16(*left), T::from_16(*right));
                        rest.fill(T::from_16(0));
                    }
                    [] => {}
                }
            }
        }
    };
    device.build_output_stream(config, give, once(lost), Some(OPEN_TIMEOUT))
}

/// Error callbacks come in thousands: the first that ends the stream is told.
fn once(lost: StreamLost) -> impl FnMut(cpal::Error) + Send + 'static {
    let told = AtomicBool::new(false);
    move |error| {
        let harmless = matches!(
            error.kind(),
            cpal::ErrorKind::Xrun | cpal::ErrorKind::DeviceChanged | cpal::ErrorKind::RealtimeDenied
        );
        if !harmless && !told.swap(true, Ordering::Relaxed) {
            lost(said(&error));
        }
    }
}

/// Lets a stream run. cpal waits here for the first sound of a PulseAudio source, which takes seconds, so another thread
/// waits; it holds the stream, too, so that closing never waits either.
fn start(stream: cpal::Stream, rate_hz: u32, lost: StreamLost) -> Result<AudioStream> {
    let stream = Arc::new(stream);
    let starting = stream.clone();
    let play = move || {
        if let Err(error) = starting.play() {
            lost(Error::new(Code::FAILED, format!("the device did not start: {error}")));
        }
    };
    let thread = std::thread::Builder::new().name("trtc-open".to_owned()).spawn(play);
    let thread = thread.map_err(|e| Error::new(Code::FAILED, format!("cannot start a thread: {e}")))?;
    Ok(AudioStream { rate_hz, guard: Box::new(Open { stream: Some(stream), thread: Some(thread) }) })
}

struct Open {
    stream: Option<Arc<cpal::Stream>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.thread.as_ref().is_some_and(std::thread::JoinHandle::is_finished) {
            let _ = self.thread.take().map(std::thread::JoinHandle::join);
        }
        self.stream = None;
    }
}

fn said(error: &cpal::Error) -> Error {
    Error::new(Code::FAILED, format!("the sound system says: {error}"))
}
