//! The calls of a cloud.
mod devices;
mod entry;
mod local;
mod remote;
#[cfg(test)]
mod tests;

use crate::devices::MICROPHONE;
use crate::dispatcher::{Dispatcher, Handler};
use crate::events::Event;
use crate::gate::Gate;
use crate::params::{CloudOptions, VideoEncoderParam};
use crate::room::{Phase, State};
use crate::send::audio::AudioSource;
use crate::send::video::VideoSource;
use crate::shared::Shared;
use crate::threads;
use std::sync::Arc;
use std::thread::JoinHandle;
use trtc_member::Member;
use trtc_types::{AudioQuality, Code, Error, Result, StreamType, UserId};

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
        match Shared::start(gate.clone(), dispatcher, options) {
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

    /// Leaves, ends all threads and releases. It waits for running callbacks, but inside a callback, of this cloud or another
    /// one, it returns at once: two clouds that end each other from their callbacks would wait for ever. No further callback
    /// starts.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Ends the instance after a panic that was caught at a boundary.
    pub fn fail_internal(&self) {
        self.shared.fail(Code::INTERNAL, "a panic was caught; the instance is closed");
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

    /// Sends a command message to everybody: `cmd_id` 1..=10, at most 1,000 bytes, 30 messages and 8,000 bytes in any second.
    ///
    /// # Errors
    /// `REFUSED` outside of rooms or for an audience member (with warning 6001), `INVALID_PARAMETER`, `RATE_LIMITED`.
    pub fn send_custom_cmd_msg(&self, cmd_id: i32, data: &[u8], reliable: bool, ordered: bool) -> Result<()> {
        let member = self.sending_member()?;
        member.send_command(cmd_id, data, reliable, ordered)
    }

    /// Sends a data packet as LiveKit clients do, to everybody or to some. Not in the C header: see [`Event::UserData`].
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
            let mut state = self.shared.open_state()?;
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
        self.release_microphone();
        self.shared.capture.set_source(Some(source));
        let mut state = self.shared.open_state()?;
        state.local.audio.on = true;
        (state.local.audio.custom, state.local.audio.device) = (custom, false);
        let stereo = self.shared.capture.quality() == AudioQuality::Music;
        state.local.audio.stereo = stereo;
        self.publish(&mut state);
        Ok(())
    }

    /// Local sound from the microphone; it is published when the first of it is there.
    fn start_microphone(&self) -> Result<()> {
        let user: Arc<dyn crate::devices::User> = self.shared.clone();
        {
            let mut state = self.shared.open_state()?;
            state.local.audio.device = true;
            self.shared.capture.set_source(Some(AudioSource::Device));
            self.refuse_audience(&state);
            // Still under the lock, so that a `close` of another thread sees it.
            MICROPHONE.add(user, true)
        }
    }

    fn release_microphone(&self) {
        let user: Arc<dyn crate::devices::User> = self.shared.clone();
        MICROPHONE.release(&user);
    }

    fn refuse_audience(&self, state: &State) {
        if state.phase == Phase::In && !state.local.may_send() {
            self.shared
                .warn(Code::WARN_IGNORE_UPSTREAM_FOR_AUDIENCE, "this role or token may not send; nothing is published");
        }
    }

    fn publish(&self, state: &mut State) {
        if state.phase != Phase::In {
            return;
        }
        self.refuse_audience(state);
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
