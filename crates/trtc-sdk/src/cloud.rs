//! The calls of a cloud.
mod local;
mod remote;

use crate::dispatcher::{Dispatcher, Handler};
use crate::events::Event;
use crate::gate::Gate;
use crate::params::{CloudOptions, EnterParams, VideoEncoderParam};
use crate::room::{Phase, RoomSink, State};
use crate::send::audio::AudioSource;
use crate::send::video::VideoSource;
use crate::shared::Shared;
use crate::threads;
use std::sync::Arc;
use std::thread::JoinHandle;
use trtc_member::{Member, MemberConfig};
use trtc_types::{AppScene, AudioQuality, Code, Error, Result, Role, StreamType, UserId};

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

    /// Enters a room; the outcome comes as [`Event::EnterRoom`].
    ///
    /// # Errors
    /// `ENTER_ROOM_REFUSED` when not outside of rooms, `ROOM_PARAM_NULL`, `INVALID_PARAMETER`, `NOT_SUPPORTED` for tickets.
    pub fn enter_room(&self, params: &EnterParams, scene: AppScene) -> Result<()> {
        self.shared.check()?;
        check_enter(params)?;
        let mut state = self.shared.open_state()?;
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
        self.shared.capture.set_source(Some(source));
        let mut state = self.shared.open_state()?;
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
    let room = claims.video.as_ref().map(|grant| grant.room.as_str());
    if params.room.as_ref().is_some_and(|given| room != Some(&given.wire_name())) {
        return Err(Error::new(
            Code::INVALID_ROOM_ID,
            "str_room_id or room_id differs from the access_token's; both may stay empty",
        ));
    }
    Ok(())
}
