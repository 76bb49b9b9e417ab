//! The calls of a cloud.
use crate::dispatcher::{Dispatcher, Handler};
use crate::events::Event;
use crate::gate::Gate;
use crate::local::slot;
use crate::params::{
    AudioInput, CloudOptions, EnterParams, FileSource, PatternSource, RenderFrame, VideoEncoderParam, VideoInput,
    within,
};
use crate::receive::audio::{RemoteAudioInfo, check_pull};
use crate::receive::cell::RenderCallback;
use crate::room::{Phase, RoomSink, State};
use crate::send::audio::AudioSource;
use crate::send::files::{VideoFile, WavFile, is_wav};
use crate::send::resample::Resampler;
use crate::send::video::VideoSource;
use crate::shared::{AudioTap, Shared, media_now};
use crate::threads;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use trtc_media::convert::i420_from;
use trtc_media::tone::Tone;
use trtc_member::{Member, MemberConfig};
use trtc_types::{AppScene, AudioFrame, AudioQuality, Code, Error, Result, Role, StreamType, UserId, VideoFrame};

/// One room membership with its local and remote streams. Dropping it is [`Cloud::close`].
///
/// Every method may be called on any thread, also inside an event handler or a frame callback.
pub struct Cloud {
    shared: Arc<Shared>,
}

impl Cloud {
    /// A cloud that tells its events to `handler`.
    ///
    /// # Errors
    /// `FAILED` when the system gives no thread.
    pub fn new(options: &CloudOptions, handler: impl Fn(Event) + Send + Sync + 'static) -> Result<Self> {
        Self::with_release(options, Box::new(handler), None)
    }

    /// As [`Cloud::new`]; `release` runs exactly once, after the last callback of the cloud has returned.
    ///
    /// # Errors
    /// As [`Cloud::new`]; `release` has then run.
    pub fn with_release(
        options: &CloudOptions,
        handler: Handler,
        release: Option<Box<dyn FnOnce() + Send>>,
    ) -> Result<Self> {
        let gate = Gate::new(release);
        let dispatcher = Dispatcher::new(handler, gate.clone());
        match Shared::start(gate.clone(), dispatcher, options.pull_events) {
            Ok(shared) => Ok(Self { shared }),
            Err(error) => {
                gate.close();
                Err(error)
            }
        }
    }

    /// Delivers the waiting events on this thread (pull mode); returns how many.
    ///
    /// # Errors
    /// `REFUSED` inside a callback or while another thread dispatches; `INTERNAL` when the handler panicked.
    pub fn dispatch(&self) -> Result<usize> {
        if !self.shared.pull {
            return Err(Error::new(Code::REFUSED, "dispatch is for clouds made with pull_events"));
        }
        match self.shared.dispatcher.pull()? {
            Ok(count) => Ok(count),
            Err(_) => {
                self.shared.fail(Code::INTERNAL, "the event handler panicked");
                Err(Error::new(Code::INTERNAL, "the event handler panicked; the instance is closed"))
            }
        }
    }

    /// Leaves, ends all threads and releases. From outside it waits for running callbacks; inside one it returns at once,
    /// and no further callback starts.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Ends the instance after a panic that was caught at a boundary.
    pub fn fail_internal(&self) {
        self.shared.fail(Code::INTERNAL, "a panic was caught; the instance is closed");
    }

    /// Enters a room; the outcome comes as [`Event::EnterRoom`].
    ///
    /// # Errors
    /// `ENTER_ROOM_REFUSED` when not outside of rooms, `ROOM_PARAM_NULL`, `INVALID_PARAMETER`, `NOT_SUPPORTED` for tickets.
    pub fn enter_room(&self, params: &EnterParams, scene: AppScene) -> Result<()> {
        self.shared.check()?;
        check_enter(params)?;
        let mut state = self.shared.state.lock();
        if state.phase != Phase::Idle {
            return Err(Error::new(Code::ENTER_ROOM_REFUSED, "already in a room, entering or leaving one"));
        }
        state.generation += 1;
        let sink = Arc::new(RoomSink::new(Arc::downgrade(&self.shared), state.generation));
        let config = MemberConfig {
            url: params.server_url.clone(),
            token: params.access_token.clone(),
            auto_subscribe_audio: state.auto_audio,
            auto_subscribe_video: state.auto_video,
            allow_plain: params.allow_plain,
        };
        let member = trtc_member::join(config, sink.clone())?;
        let live = matches!(scene, AppScene::Live | AppScene::VoiceChatRoom);
        state.local.anchor = !live || params.role == Role::Anchor;
        state.local.set_privilege(true);
        state.member = Some(member);
        state.phase = Phase::Entering;
        drop(state);
        self.shared.meter.clear();
        sink.activate();
        Ok(())
    }

    /// Leaves the room; [`Event::ExitRoom`] follows. Outside of rooms it does nothing.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn exit_room(&self) -> Result<()> {
        self.shared.check()?;
        let member = {
            let mut state = self.shared.state.lock();
            if !matches!(state.phase, Phase::In | Phase::Entering) {
                return Ok(());
            }
            state.phase = Phase::Exiting;
            state.member.clone()
        };
        if let Some(member) = member {
            member.leave();
        }
        Ok(())
    }

    /// Whether remote sound and pictures come by themselves (default both). Before entering.
    ///
    /// # Errors
    /// `REFUSED` in a room.
    pub fn set_default_stream_recv_mode(&self, auto_audio: bool, auto_video: bool) -> Result<()> {
        self.shared.check()?;
        let mut state = self.shared.state.lock();
        if state.phase != Phase::Idle {
            return Err(Error::new(Code::REFUSED, "set_default_stream_recv_mode has effect only before enter_room"));
        }
        (state.auto_audio, state.auto_video) = (auto_audio, auto_video);
        Ok(())
    }

    // ---- local video ----

    /// Takes the camera. There is no device support yet: it warns with 1111 and nothing is sent.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn start_local_preview(&self) -> Result<()> {
        self.shared.check()?;
        self.shared.warn(Code::WARN_CAMERA_DEVICE_EMPTY, "no camera; enable custom video capture or start a source");
        Ok(())
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
        if is_wav(&source.path) {
            let wav = WavFile::open(&source.path)?;
            let converter = Resampler::new(wav.rate, 48_000, 2);
            return self.start_audio(AudioSource::File { wav, at: 0, repeat: source.repeat, converter });
        }
        let index = slot(stream)?;
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
            state.local.audio.on && !state.local.audio.custom
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
        video.muted = mute;
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

    // ---- local audio ----

    /// Takes the microphone. There is no device support yet: without a custom, file or pattern source it warns with 1201.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn start_local_audio(&self, quality: AudioQuality) -> Result<()> {
        self.shared.check()?;
        self.shared.capture.set_quality(quality);
        let on = {
            let mut state = self.shared.state.lock();
            state.local.set_quality(quality);
            state.local.audio.on
        };
        if !on {
            self.shared.warn(
                Code::WARN_MICROPHONE_DEVICE_EMPTY,
                "no microphone; enable custom audio capture or start a source",
            );
        }
        Ok(())
    }

    /// Ends local sound, whatever its source; others see it become unavailable.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn stop_local_audio(&self) -> Result<()> {
        self.shared.check()?;
        self.shared.capture.stop();
        let mut state = self.shared.state.lock();
        let member = state.member.clone();
        let audio = &mut state.local.audio;
        (audio.on, audio.custom) = (false, false);
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
        state.local.audio.muted = mute;
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

    // ---- remote video ----

    /// Watches a remote stream, now or as soon as it is there.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for the small stream.
    pub fn start_remote_view(&self, user: &UserId, stream: StreamType) -> Result<()> {
        self.shared.check()?;
        slot(stream)?;
        let mut state = self.shared.state.lock();
        let member = state.member.clone();
        state.remote.watch(member.as_ref(), user, stream);
        Ok(())
    }

    /// Stops watching a remote stream.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for the small stream.
    pub fn stop_remote_view(&self, user: &UserId, stream: StreamType) -> Result<()> {
        self.shared.check()?;
        slot(stream)?;
        self.unwatch(Some((user, stream)));
        Ok(())
    }

    /// Stops watching everybody.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn stop_all_remote_view(&self) -> Result<()> {
        self.shared.check()?;
        self.unwatch(None);
        Ok(())
    }

    /// Freezes or resumes a watched stream; it is not pulled meanwhile. Forgotten at exit.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for the small stream.
    pub fn mute_remote_video_stream(&self, user: &UserId, stream: StreamType, mute: bool) -> Result<()> {
        self.shared.check()?;
        slot(stream)?;
        let mut state = self.shared.state.lock();
        let member = state.member.clone();
        state.remote.freeze(member.as_ref(), Some((user, stream)), mute);
        Ok(())
    }

    /// As [`Cloud::mute_remote_video_stream`] for everybody.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn mute_all_remote_video_streams(&self, mute: bool) -> Result<()> {
        self.shared.check()?;
        let mut state = self.shared.state.lock();
        let member = state.member.clone();
        state.remote.freeze(member.as_ref(), None, mute);
        Ok(())
    }

    /// Render callback for a remote stream, on its `trtc-render` thread; `None` ends it. The stream must also be watched.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for the small stream.
    pub fn set_remote_video_callback(
        &self,
        user: &UserId,
        stream: StreamType,
        callback: Option<RenderCallback>,
    ) -> Result<()> {
        self.shared.check()?;
        slot(stream)?;
        self.shared.state.lock().remote.set_callback(user, stream, callback);
        Ok(())
    }

    /// The newest picture that was not acquired yet: of a watched remote user, or the local one (`None`).
    ///
    /// # Errors
    /// `NO_FRAME` when there is none.
    pub fn acquire_video(&self, user: Option<&UserId>, stream: StreamType) -> Result<RenderFrame> {
        self.shared.check()?;
        let index = slot(stream)?;
        let cell = {
            let state = self.shared.state.lock();
            match user {
                None => Some(state.local.videos[index].cell.clone()),
                Some(user) => state.remote.cell(user, stream),
            }
        };
        cell.and_then(|c| c.take()).ok_or_else(|| Error::new(Code::NO_FRAME, "no new picture"))
    }

    // ---- remote audio ----

    /// Silences one user and stops pulling the sound. May be set before entering; forgotten at exit.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn mute_remote_audio(&self, user: &UserId, mute: bool) -> Result<()> {
        self.shared.check()?;
        self.shared.playout.mute(user, mute);
        let mut state = self.shared.state.lock();
        let member = state.member.clone();
        state.remote.pull_audio(member.as_ref(), Some(user), !mute);
        Ok(())
    }

    /// As [`Cloud::mute_remote_audio`] for everybody, later users included.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn mute_all_remote_audio(&self, mute: bool) -> Result<()> {
        self.shared.check()?;
        self.shared.playout.mute_all(mute);
        let mut state = self.shared.state.lock();
        let member = state.member.clone();
        state.remote.pull_audio(member.as_ref(), None, !mute);
        Ok(())
    }

    /// Volume of one user, 0..=150, default 100.
    ///
    /// # Errors
    /// `INVALID_PARAMETER`.
    pub fn set_remote_audio_volume(&self, user: &UserId, volume: u32) -> Result<()> {
        self.shared.check()?;
        within("volume", volume, 0, 150)?;
        self.shared.playout.set_volume(user, volume);
        Ok(())
    }

    /// Volume of the mixed playout, 0..=150, default 100.
    ///
    /// # Errors
    /// `INVALID_PARAMETER`.
    pub fn set_audio_playout_volume(&self, volume: u32) -> Result<()> {
        self.shared.check()?;
        within("volume", volume, 0, 150)?;
        self.shared.playout.set_playout_volume(volume);
        Ok(())
    }

    /// See [`Cloud::set_audio_playout_volume`].
    #[must_use]
    pub fn audio_playout_volume(&self) -> u32 {
        self.shared.playout.playout_volume()
    }

    /// Reports loudness every `interval_ms` (100..=10000; 0 ends it) by [`Event::UserVoiceVolume`].
    ///
    /// # Errors
    /// `INVALID_PARAMETER`.
    pub fn enable_audio_volume_evaluation(&self, interval_ms: u32) -> Result<()> {
        self.shared.check()?;
        if interval_ms != 0 {
            within("interval_ms", interval_ms, 100, 10_000)?;
        }
        self.shared.volume_interval_ms.store(interval_ms, Ordering::Relaxed);
        Ok(())
    }

    /// The host pulls the mixed playout by itself. Before entering.
    ///
    /// # Errors
    /// `REFUSED` in a room.
    pub fn enable_custom_audio_rendering(&self, enable: bool) -> Result<()> {
        self.shared.check()?;
        if self.shared.state.lock().phase != Phase::Idle {
            return Err(Error::new(Code::REFUSED, "enable_custom_audio_rendering has effect only before enter_room"));
        }
        self.shared.playout.pulled.store(enable, Ordering::Relaxed);
        Ok(())
    }

    /// The next 10 or 20 ms of the mixed playout.
    ///
    /// # Errors
    /// `REFUSED` without custom rendering, `UNSUPPORTED_SAMPLERATE`, `INVALID_PARAMETER`.
    pub fn custom_audio_rendering_frame(
        &self,
        rate_hz: u32,
        channels: u16,
        samples_per_channel: usize,
    ) -> Result<AudioFrame> {
        self.shared.check()?;
        check_pull(rate_hz, channels, samples_per_channel)?;
        if !self.shared.playout.pulled.load(Ordering::Relaxed) {
            return Err(Error::new(Code::REFUSED, "custom audio rendering is not enabled"));
        }
        let (frame, mixed) =
            self.shared.playout.pull(rate_hz, channels, samples_per_channel, self.shared.wants_blocks());
        self.shared.tell_mixed(mixed);
        Ok(frame)
    }

    /// Hears each remote user's sound before the mix, on the audio thread; `None` ends it. Must be quick.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn set_remote_audio_tap(&self, tap: Option<AudioTap>) -> Result<()> {
        self.shared.check()?;
        *self.shared.tap.lock() = tap;
        Ok(())
    }

    /// What is known about a remote user's sound; `None` before the first.
    #[must_use]
    pub fn remote_audio_info(&self, user: &UserId) -> Option<RemoteAudioInfo> {
        self.shared.playout.info(user)
    }

    // ---- messages ----

    /// Sends a command message to everybody: `cmd_id` 1..=10, at most 1,000 bytes, 30 messages and 8,000 bytes in any second.
    ///
    /// # Errors
    /// `REFUSED` outside of rooms or for an audience member (with warning 6001), `INVALID_PARAMETER`, `RATE_LIMITED`.
    pub fn send_custom_cmd_msg(&self, cmd_id: i32, data: &[u8], reliable: bool, ordered: bool) -> Result<()> {
        let member = self.sending_member()?;
        member.send_command(cmd_id, data, reliable, ordered)
    }

    /// Sends a data packet as LiveKit clients do, to everybody or to some.
    ///
    /// # Errors
    /// As [`Cloud::send_custom_cmd_msg`].
    pub fn send_user_data(&self, topic: &str, data: &[u8], reliable: bool, to: &[UserId]) -> Result<()> {
        let member = self.sending_member()?;
        member.send_data(topic, data, reliable, to)
    }

    fn sending_member(&self) -> Result<Member> {
        self.shared.check()?;
        let state = self.shared.state.lock();
        let member = match &state.member {
            Some(member) if state.phase == Phase::In => member.clone(),
            _ => return Err(Error::new(Code::REFUSED, "not in a room")),
        };
        let anchor = state.local.anchor;
        drop(state);
        if anchor {
            return Ok(member);
        }
        self.shared.warn(Code::WARN_IGNORE_UPSTREAM_FOR_AUDIENCE, "audience members cannot send");
        Err(Error::new(Code::REFUSED, "audience members cannot send"))
    }

    fn start_video(&self, index: usize, source: VideoSource, own: Option<VideoEncoderParam>) -> Result<()> {
        let ended = {
            let mut state = self.shared.state.lock();
            let video = &state.local.videos[index];
            let param = if video.param_set { video.param } else { own.unwrap_or(video.param) };
            let ended = state.local.start_video(index, source, param)?;
            self.publish(&mut state);
            if let (Some(member), Some(cid)) = (state.member.clone(), state.local.videos[index].cid.clone()) {
                // A new source on a published track goes on under the same id.
                state.local.published(&self.shared.capture, &member, &cid);
            }
            ended
        };
        self.finish(ended);
        Ok(())
    }

    fn stop_video(&self, index: usize) -> Result<()> {
        let ended = {
            let mut state = self.shared.state.lock();
            let member = state.member.clone();
            state.local.stop_video(index, member.as_ref())
        };
        self.finish(ended);
        Ok(())
    }

    fn start_audio(&self, source: AudioSource) -> Result<()> {
        let custom = matches!(source, AudioSource::Custom);
        self.shared.capture.set_source(Some(source));
        let mut state = self.shared.state.lock();
        state.local.audio.on = true;
        state.local.audio.custom = custom;
        let stereo = self.shared.capture.quality() == AudioQuality::Music;
        state.local.audio.stereo = stereo;
        self.publish(&mut state);
        Ok(())
    }

    fn publish(&self, state: &mut State) {
        if state.phase != Phase::In {
            return;
        }
        if !state.local.may_send() {
            self.shared
                .warn(Code::WARN_IGNORE_UPSTREAM_FOR_AUDIENCE, "this role or token may not send; nothing is published");
            return;
        }
        if let Some(member) = state.member.clone() {
            state.local.publish_all(&member);
        }
    }

    fn unwatch(&self, which: Option<(&UserId, StreamType)>) {
        let ended = {
            let mut state = self.shared.state.lock();
            let member = state.member.clone();
            state.remote.unwatch(member.as_ref(), which)
        };
        self.finish(ended);
    }

    /// Ended threads are joined by the last cloud: one of them may be running the host's callback.
    fn finish(&self, ended: impl IntoIterator<Item = JoinHandle<()>>) {
        for thread in ended {
            threads::finish(thread, true);
        }
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.close();
    }
}

fn check_enter(params: &EnterParams) -> Result<()> {
    if params.server_url.is_empty() {
        return Err(Error::new(
            Code::ROOM_PARAM_NULL,
            "server_url is required: https://, wss://, or http://, ws:// on loopback",
        ));
    }
    if params.access_token.is_empty() {
        if params.user_sig.is_empty() {
            return Err(Error::new(Code::ROOM_PARAM_NULL, "access_token (or user_sig) is required"));
        }
        return Err(Error::not_supported("entering with user_sig is not available yet: give an access_token"));
    }
    let claims = trtc_proto::jwt::decode_unverified(&params.access_token)
        .map_err(|e| Error::new(Code::INVALID_USER_SIG, format!("access_token is not a LiveKit token: {e}")))?;
    if !params.user_id.is_empty() && params.user_id != claims.identity() {
        return Err(Error::new(Code::INVALID_USER_ID, "user_id differs from the access_token's; it may stay empty"));
    }
    Ok(())
}
