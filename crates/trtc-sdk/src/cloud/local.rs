//! Local streams.
use super::Cloud;
use crate::devices;
use crate::local::slot;
use crate::params::{AudioInput, FileSource, PatternSource, VideoEncoderParam, VideoInput, within};
use crate::receive::cell::RenderCallback;
use crate::send::audio::AudioSource;
use crate::send::files::{VideoFile, WavFile, is_wav};
use crate::send::video::VideoSource;
use crate::shared::media_now;
use std::sync::Arc;
use trtc_media::Resampler;
use trtc_media::convert::i420_from;
use trtc_media::tone::Tone;
use trtc_types::{AudioQuality, Code, Error, Result, StreamType, VideoFrame};

impl Cloud {
    /// Sends the camera as the main stream, in place of its source; in the format that is nearest to the encoder's. Without a
    /// camera it warns with 1111, and nothing is sent.
    ///
    /// # Errors
    /// On a closed instance; `FAILED` when the system gives no thread.
    pub fn start_local_preview(&self) -> Result<()> {
        self.shared.check()?;
        let (choices, _) = devices::selected_camera();
        let there = match devices::cameras().cameras() {
            Err(error) if error.code.0 > 0 => {
                self.shared.warn(error.code, error.message);
                Vec::new()
            }
            found => found?,
        };
        {
            // Under the lock, so that a `close` of another thread sees it.
            let _open = self.shared.open_state()?;
            devices::CAMERAS.add(self.shared.clone(), &there)?;
        }
        let Some(camera) = devices::current_camera(&there) else {
            self.shared
                .warn(Code::WARN_CAMERA_DEVICE_EMPTY, "no camera; enable custom video capture or start a source");
            return Ok(());
        };
        let index = slot(StreamType::Big)?;
        self.start_video(index, VideoSource::Camera { id: camera.id.clone(), choices }, None)?;
        self.shared.state.lock().local.videos[index].camera = true;
        Ok(())
    }

    /// Ends the camera; other sources are left alone.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn stop_local_preview(&self) -> Result<()> {
        self.shared.check()?;
        let index = slot(StreamType::Big)?;
        let camera = { self.shared.state.lock().local.videos[index].camera };
        if camera { self.stop_video(index) } else { Ok(()) }
    }

    /// Size, rate and bitrate of the main or sub stream, also while it runs.
    ///
    /// # Errors
    /// `INVALID_PARAMETER`; `NOT_SUPPORTED` for the small stream.
    pub fn set_video_encoder_param(&self, stream: StreamType, param: VideoEncoderParam) -> Result<()> {
        self.shared.check()?;
        let (index, param) = (slot(stream)?, param.checked()?);
        let mut state = self.shared.state.lock();
        let video = &mut state.local.videos[index];
        (video.param, video.param_set) = (param, true);
        if let Some(running) = &mut video.running {
            running.param = param;
            running.sender.set_param(param);
        }
        Ok(())
    }

    /// Sends the main stream in a second, small layer too (simulcast), or ends that. Others choose between them by
    /// [`Cloud::set_remote_video_stream_type`]. Before the main stream starts or while it runs: one that is published
    /// without it is published anew, once. Its rate is at most the main stream's. Default off.
    ///
    /// # Errors
    /// `INVALID_PARAMETER`, also for a picture larger than the main stream's.
    pub fn enable_small_video_stream(&self, small: Option<VideoEncoderParam>) -> Result<()> {
        self.shared.check()?;
        let small = small.map(VideoEncoderParam::checked).transpose()?;
        let mut state = self.shared.state.lock();
        let video = &state.local.videos[0];
        let big = video.running.as_ref().map_or(video.param, |running| running.param);
        if let Some(small) = small {
            within("width", small.width, 16, big.width)?;
            within("height", small.height, 16, big.height)?;
        }
        let member = state.member.clone();
        state.local.set_small(small, member.as_ref());
        Ok(())
    }

    /// Starts or ends a stream of the host's own pictures.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for the small stream.
    pub fn enable_custom_video_capture(&self, stream: StreamType, enable: bool) -> Result<()> {
        self.shared.check()?;
        let index = slot(stream)?;
        let custom = { self.shared.state.lock().local.videos[index].custom };
        match (enable, custom) {
            (true, false) => self.start_video(index, VideoSource::Custom, None),
            (false, true) => self.stop_video(index),
            _ => Ok(()),
        }
    }

    /// Sends one picture of the host. It is copied; the newest wins.
    ///
    /// # Errors
    /// `REFUSED` without custom capture, `INVALID_PARAMETER`, `QUEUE_FULL` when an older picture was dropped for it.
    pub fn send_custom_video(&self, stream: StreamType, input: &VideoInput<'_>) -> Result<()> {
        self.shared.check()?;
        let index = slot(stream)?;
        within("width", input.width, 16, 3840)?;
        within("height", input.height, 16, 2160)?;
        if !input.width.is_multiple_of(2) || !input.height.is_multiple_of(2) {
            return Err(Error::invalid(format!("width and height must be even, got {}x{}", input.width, input.height)));
        }
        let sender = {
            let state = self.shared.state.lock();
            let video = &state.local.videos[index];
            match &video.running {
                Some(running) if video.custom => running.sender.clone(),
                _ => return Err(Error::new(Code::REFUSED, "custom video capture is not enabled for this stream")),
            }
        };
        let picture = i420_from(input.format, input.width as usize, input.height as usize, input.planes)?;
        let time = input.time.unwrap_or_else(media_now);
        if sender.push(VideoFrame { picture: Arc::new(picture), time }) {
            return Ok(());
        }
        Err(Error::new(Code::QUEUE_FULL, "an older picture was still waiting; it was dropped for this one"))
    }

    /// Plays a file as the main (or sub) picture or, for `.wav`, as the microphone.
    ///
    /// # Errors
    /// `FILE` when it cannot be read or has an unknown format; `INVALID_PARAMETER`.
    pub fn start_file_source(&self, stream: StreamType, source: &FileSource) -> Result<()> {
        self.shared.check()?;
        let index = slot(stream)?;
        within("fps", source.fps, 0, 60)?;
        if is_wav(&source.path) {
            let wav = WavFile::open(&source.path)?;
            let converter = Resampler::new(wav.rate, 48_000, 2);
            return self.start_audio(AudioSource::File { wav, at: 0, repeat: source.repeat, converter });
        }
        let file = VideoFile::open(source)?;
        let own = VideoEncoderParam {
            width: file.width,
            height: file.height,
            fps: file.fps,
            // 0.1 bit a pixel and frame.
            bitrate_kbps: (file.width * file.height / 100 * file.fps / 100).clamp(200, 8000),
            min_bitrate_kbps: 0,
        };
        self.start_video(index, VideoSource::File(file), own.checked().ok())
    }

    /// Sends the built-in pattern.
    ///
    /// # Errors
    /// `INVALID_PARAMETER`; `NOT_SUPPORTED` for the small stream.
    pub fn start_pattern_source(&self, stream: StreamType, pattern: PatternSource) -> Result<()> {
        self.shared.check()?;
        let index = slot(stream)?;
        within("tone_hz", pattern.tone_hz, 50, 4000)?;
        if pattern.video {
            self.start_video(index, VideoSource::Pattern, None)?;
        }
        if pattern.audio {
            self.start_audio(AudioSource::Pattern(Tone::new(f64::from(pattern.tone_hz))))?;
        }
        Ok(())
    }

    /// Ends whatever video source runs on `stream`; with the main stream also a file or pattern that sounds.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for the small stream.
    pub fn stop_source(&self, stream: StreamType) -> Result<()> {
        self.shared.check()?;
        self.stop_video(slot(stream)?)?;
        let sounds = {
            let state = self.shared.state.lock();
            state.local.audio.on && !state.local.audio.custom && !state.local.audio.device
        };
        if stream == StreamType::Big && sounds { self.stop_local_audio() } else { Ok(()) }
    }

    /// Pauses or resumes a local stream; others see it become (un)available.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for the small stream.
    pub fn mute_local_video(&self, stream: StreamType, mute: bool) -> Result<()> {
        self.shared.check()?;
        let index = slot(stream)?;
        let mut state = self.shared.state.lock();
        let member = state.member.clone();
        let video = &mut state.local.videos[index];
        (video.muted, video.silenced) = (mute, false);
        if let Some(running) = &video.running {
            running.sender.set_muted(mute);
        }
        if let (Some(member), Some(cid)) = (member, video.cid.clone()) {
            member.set_muted(&cid, mute);
        }
        Ok(())
    }

    /// Render callback for a local stream, on its `trtc-venc` thread; `None` ends it.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for the small stream.
    pub fn set_local_video_callback(&self, stream: StreamType, callback: Option<RenderCallback>) -> Result<()> {
        self.shared.check()?;
        let index = slot(stream)?;
        self.shared.state.lock().local.videos[index].cell.set_callback(callback);
        Ok(())
    }

    /// Takes the microphone, unless custom, file or pattern sound runs: then only the quality is kept. Others hear of it when
    /// the first sound is there. Without a microphone it warns with 1201, and takes the first one that is plugged in.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn start_local_audio(&self, quality: AudioQuality) -> Result<()> {
        self.shared.check()?;
        self.shared.capture.set_quality(quality);
        let runs = {
            let mut state = self.shared.state.lock();
            state.local.set_quality(quality);
            state.local.audio.on || state.local.audio.device
        };
        if runs { Ok(()) } else { self.start_microphone() }
    }

    /// Ends local sound, whatever its source; others see it become unavailable.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn stop_local_audio(&self) -> Result<()> {
        self.shared.check()?;
        self.release_microphone();
        self.shared.capture.stop();
        let mut state = self.shared.state.lock();
        let member = state.member.clone();
        let audio = &mut state.local.audio;
        (audio.on, audio.custom, audio.device) = (false, false, false);
        if let (Some(cid), Some(member)) = (audio.cid.take(), member) {
            member.unpublish(&cid);
        }
        Ok(())
    }

    /// Silences local sound. The track stays and carries silence; others see it become unavailable.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn mute_local_audio(&self, mute: bool) -> Result<()> {
        self.shared.check()?;
        self.shared.capture.set_muted(mute);
        let mut state = self.shared.state.lock();
        (state.local.audio.muted, state.local.audio.silenced) = (mute, false);
        if let (Some(member), Some(cid)) = (state.member.clone(), state.local.audio.cid.clone()) {
            member.set_muted(&cid, mute);
        }
        Ok(())
    }

    /// Starts or ends sound pushed by the host.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn enable_custom_audio_capture(&self, enable: bool) -> Result<()> {
        self.shared.check()?;
        let custom = { self.shared.state.lock().local.audio.custom };
        match (enable, custom) {
            (true, false) => self.start_audio(AudioSource::Custom),
            (false, true) => self.stop_local_audio(),
            _ => Ok(()),
        }
    }

    /// Sends 5 to 100 ms of the host's sound.
    ///
    /// # Errors
    /// `REFUSED` without custom capture, `UNSUPPORTED_SAMPLERATE`, `INVALID_PARAMETER`, `QUEUE_FULL` when more than 1 s was
    /// waiting and the oldest was dropped.
    pub fn send_custom_audio(&self, input: AudioInput<'_>) -> Result<()> {
        self.shared.check()?;
        self.shared.capture.push(input)
    }

    /// Volume of local sound, 0..=150, default 100.
    ///
    /// # Errors
    /// `INVALID_PARAMETER`.
    pub fn set_audio_capture_volume(&self, volume: u32) -> Result<()> {
        self.shared.check()?;
        within("volume", volume, 0, 150)?;
        self.shared.capture.set_volume(volume);
        Ok(())
    }

    /// See [`Cloud::set_audio_capture_volume`].
    #[must_use]
    pub fn audio_capture_volume(&self) -> u32 {
        self.shared.capture.volume()
    }
}
