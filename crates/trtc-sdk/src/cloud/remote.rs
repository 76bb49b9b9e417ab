//! Remote streams.
use super::Cloud;
use crate::local::slot;
use crate::params::{RenderFrame, within};
use crate::receive::audio::{RemoteAudioInfo, check_pull};
use crate::receive::cell::RenderCallback;
use crate::remote::view_of;
use crate::room::Phase;
use crate::shared::AudioTap;
use std::sync::atomic::Ordering;
use trtc_types::{AudioFrame, Code, Error, Result, StreamType, UserId};

impl Cloud {
    /// Watches a remote stream, now or as soon as it is there. The small stream comes in place of the main one, as with
    /// [`Cloud::set_remote_video_stream_type`]; a choice made before stays when the main stream is asked for.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn start_remote_view(&self, user: &UserId, stream: StreamType) -> Result<()> {
        let mut state = self.shared.open_state()?;
        let member = state.member.clone();
        if stream == StreamType::Small {
            state.remote.choose(member.as_ref(), Some(user), true);
        }
        state.remote.watch(member.as_ref(), user, view_of(stream));
        Ok(())
    }

    /// Takes the main or the small stream of a user, also while it is watched; at once when its next key frame is there. A
    /// user who sends none shows the main one. May be set before the user is there; forgotten at exit.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` for the sub stream, which has no small one.
    pub fn set_remote_video_stream_type(&self, user: &UserId, stream: StreamType) -> Result<()> {
        self.choose(Some(user), stream)
    }

    /// As [`Cloud::set_remote_video_stream_type`] for everybody, later users and rooms included. Default: the main stream.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` for the sub stream, which has no small one.
    pub fn set_prior_remote_video_stream_type(&self, stream: StreamType) -> Result<()> {
        self.choose(None, stream)
    }

    fn choose(&self, user: Option<&UserId>, stream: StreamType) -> Result<()> {
        if stream == StreamType::Sub {
            return Err(Error::invalid("stream_type must be 0 (big) or 1 (small) here, got 2 (sub)"));
        }
        let mut state = self.shared.open_state()?;
        let member = state.member.clone();
        state.remote.choose(member.as_ref(), user, stream == StreamType::Small);
        Ok(())
    }

    /// Stops watching a remote stream.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn stop_remote_view(&self, user: &UserId, stream: StreamType) -> Result<()> {
        self.shared.check()?;
        self.unwatch(Some((user, view_of(stream))));
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

    /// Freezes or resumes a watched stream; it is not pulled meanwhile. The latest call wins, that for everybody included. May
    /// be set before entering; forgotten at exit.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn mute_remote_video_stream(&self, user: &UserId, stream: StreamType, mute: bool) -> Result<()> {
        self.shared.check()?;
        let mut state = self.shared.state.lock();
        let member = state.member.clone();
        state.remote.freeze(member.as_ref(), Some((user, view_of(stream))), mute);
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

    /// Render callback for a remote stream, on its `trtc-render` thread; `None` ends it. The stream must also be watched. Main
    /// and small stream have one: they are never shown side by side.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn set_remote_video_callback(
        &self,
        user: &UserId,
        stream: StreamType,
        callback: Option<RenderCallback>,
    ) -> Result<()> {
        self.shared.check()?;
        self.shared.state.lock().remote.set_callback(user, view_of(stream), callback);
        Ok(())
    }

    /// The newest picture that was not acquired yet: of a watched remote user, or the local one (`None`).
    ///
    /// # Errors
    /// `NO_FRAME` when there is none; `NOT_SUPPORTED` for the local small stream.
    pub fn acquire_video(&self, user: Option<&UserId>, stream: StreamType) -> Result<RenderFrame> {
        self.shared.check()?;
        let cell = {
            let state = self.shared.state.lock();
            match user {
                None => Some(state.local.videos[slot(stream)?].cell.clone()),
                Some(user) => state.remote.cell(user, view_of(stream)),
            }
        };
        cell.and_then(|c| c.take()).ok_or_else(|| Error::new(Code::NO_FRAME, "no new picture"))
    }

    /// Silences one user and stops pulling the sound; `false` pulls it, also when sound does not come by itself. The latest
    /// call wins, that for everybody included. May be set before entering; forgotten at exit.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn mute_remote_audio(&self, user: &UserId, mute: bool) -> Result<()> {
        self.mute_audio(Some(user), mute)
    }

    /// As [`Cloud::mute_remote_audio`] for everybody, later users included.
    ///
    /// # Errors
    /// On a closed instance.
    pub fn mute_all_remote_audio(&self, mute: bool) -> Result<()> {
        self.mute_audio(None, mute)
    }

    fn mute_audio(&self, user: Option<&UserId>, mute: bool) -> Result<()> {
        self.shared.check()?;
        self.shared.playout.mute(user, mute);
        let mut state = self.shared.state.lock();
        let member = state.member.clone();
        state.remote.pull_audio(member.as_ref(), user, !mute);
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

    /// Reports loudness every `interval_ms` (100..=10000; 0 ends it) by [`crate::Event::UserVoiceVolume`].
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
}
